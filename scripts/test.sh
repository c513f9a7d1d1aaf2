#!/usr/bin/env bash
# test.sh [pytest's arguments]: every test with coverage and its floors, or the part that is named.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ $# -gt 0 ]; then
  exec .venv/bin/pytest "$@"
fi
# What tests write is gone with them, and most wait for the disk: it is in memory where that has 4 GB to spare.
place=${TMPDIR:-/tmp}
if free_kb=$(df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 {print $4}') && [ "${free_kb:-0}" -gt 4194304 ]; then
  place=/dev/shm
fi
TMPDIR=$(mktemp -d "$place/tests-XXXXXX")
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
# Tests start the program hundreds of times: what one has compiled, the others read.
unset PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX=$TMPDIR/compiled
# What they measure must not stand still.
export PYTHONPATH=$PWD/scripts/measured
# Two at a time, as that many cores are to be expected; a file stays together, with the servers that it starts.
# In the order of names: a file with few tests is not kept for the end, where one that takes long keeps all waiting.
# A worker that was ended ends the run: others may wait for its part for ever.
# Short paths, as those of sockets may have a hundred characters only.
.venv/bin/pytest -n 2 --dist loadfile --no-loadscope-reorder --max-worker-restart=0 \
  --basetemp="$TMPDIR/t" --cov --cov-report= --durations=20
.venv/bin/python scripts/coverage_floors.py
