#!/usr/bin/env bash
# test.sh [pytest's arguments]: every test with coverage and its floors, or the part that is named.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ $# -gt 0 ]; then
  exec .venv/bin/pytest "$@"
fi
.venv/bin/pytest --cov --cov-report= --durations=10
.venv/bin/python scripts/coverage_floors.py
