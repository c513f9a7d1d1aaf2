#!/usr/bin/env bash
# Builds .venv as uv.lock says, with nothing but a Python: a pinned uv goes into .tools first.
# Safe to repeat; an environment that already fits is left as it is.
set -euo pipefail
cd "$(dirname "$0")/.."
uv_version=0.13.9

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }
new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

find_python() {
  local candidate
  for candidate in ${PYTHON:-} python3 python python3.14 python3.13 python3.12 python3.11; do
    if new_enough "$candidate"; then command -v "$candidate"; return; fi
  done
  die "no Python 3.11 or newer found; install one, or name it: make setup PYTHON=/path/to/python3"
}

make_tools() {
  "$1" -m venv --clear .tools >/dev/null 2>&1 && return
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing python3-venv, which $1 lacks"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null
    "$1" -m venv --clear .tools && return
  fi
  die "$1 cannot make virtual environments; install its venv module (on Debian: apt-get install python3-venv)"
}

python=$(find_python)
if [ "$(.tools/bin/uv --version 2>/dev/null | cut -d' ' -f2)" != "$uv_version" ]; then
  say "fetching uv $uv_version"
  make_tools "$python"
  .tools/bin/python -m pip install --quiet --disable-pip-version-check "uv==$uv_version"
fi

say "building .venv with $("$python" --version)"
unset UV_PROJECT_ENVIRONMENT VIRTUAL_ENV
export UV_PYTHON_DOWNLOADS=never
if new_enough .venv/bin/python; then
  .tools/bin/uv sync --frozen --quiet
else
  .tools/bin/uv sync --frozen --quiet --python "$python"
fi
say "done: $PWD/.venv/bin/latchwork"
