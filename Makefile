# What can be done here; `make` alone lists it. The steps themselves are in scripts/.
SHELL := /bin/bash
.DEFAULT_GOAL := help
BIN := .venv/bin
READY := .venv/.ready

.PHONY: help setup run demo test chaos check format bench

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## Build .venv from the lock (needs Python 3.11 or newer; the program is .venv/bin/latchwork)

$(READY): pyproject.toml uv.lock scripts/setup.sh
	@bash scripts/setup.sh
	@touch $@

run: setup ## Set up and start the server; options in ARGS="--port 9000"
	@$(BIN)/latchwork serve $(ARGS)

demo: setup ## Play the story: create a key, verify it, run out of credits, hit a limit, explain why
	@$(BIN)/latchwork demo $(ARGS)

test: setup ## Run every test, with coverage; one part with ARGS="tests/domains -k credits"
	@bash scripts/services.sh postgresql redis-server nginx caddy haproxy
	@bash scripts/test.sh $(ARGS)

SEEDS ?= 10000
ROUNDS ?= 3
chaos: setup ## Play a cluster's faults at length: SEEDS=10000 in the simulator, ROUNDS=3 with real servers
	@bash scripts/services.sh postgresql redis-server
	@SIMULATOR_SEEDS=$(SEEDS) $(BIN)/pytest -n 2 --dist load tests/simulator
	@for round in $$(seq $(ROUNDS)); do CHAOS_ROUNDS=5 CHAOS_SPENDS=400000 $(BIN)/pytest -s tests/faults || exit 1; done

check: setup ## Lint, format, types, import contracts, and the lock in step with pyproject.toml
	@bash scripts/check.sh

format: setup ## Put the sources into the shape that `make check` asks for
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format --quiet .

bench: setup ## Measure speed against the goals (ten minutes at most); some with FIGURES="s01 s02"
	@bash scripts/services.sh wrk
	@$(BIN)/python -m benchmarks $(FIGURES)
