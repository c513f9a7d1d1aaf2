#!/usr/bin/env bash
# Everything that can be known without running the program. Runs all of it, then fails if any part did.
set -uo pipefail
cd "$(dirname "$0")/.."
failed=()

part() {
  local name=$1 output
  shift
  if output=$("$@" 2>&1); then
    printf 'check: %-8s ok\n' "$name"
  else
    printf 'check: %-8s FAILED\n%s\n' "$name" "$output"
    failed+=("$name")
  fi
}

part lint .venv/bin/ruff check --quiet .
part format .venv/bin/ruff format --check .
part types .venv/bin/mypy
part imports .venv/bin/lint-imports
part lock .tools/bin/uv lock --check --quiet # asks no registry while the lock is in step

if [ ${#failed[@]} -gt 0 ]; then
  printf 'check: failed: %s\n' "${failed[*]}"
  exit 1
fi
