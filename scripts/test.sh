#!/usr/bin/env bash
# test.sh [pytest's arguments]: every test with coverage and its floors, or the part that is named.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ $# -gt 0 ]; then
  exec .venv/bin/pytest "$@"
fi
# Two at a time, as that many cores are to be expected; a file stays together, with the servers that it starts.
.venv/bin/pytest -n 2 --dist loadfile --cov --cov-report= --durations=20
.venv/bin/python scripts/coverage_floors.py
