#!/usr/bin/env bash
# services.sh NAME…: makes sure that the programs named are on this machine, and fails when one is not.
# Root on Debian installs what is missing, without starting it; everybody else is told what to install.
set -euo pipefail
cd "$(dirname "$0")/.."

present() {
  case $1 in
    postgresql) .venv/bin/python -m tests.engines.postgres >/dev/null 2>&1 ;;
    *) command -v "$1" >/dev/null ;;
  esac
}

missing=()
for name in "$@"; do present "$name" || missing+=("$name"); done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" = 0 ] && [ -e /etc/debian_version ] && command -v apt-get >/dev/null; then
  printf 'services: installing %s\n' "${missing[*]}"
  policy=/usr/sbin/policy-rc.d # keeps Debian from starting what it installs: the tests start their own
  if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

lacking=()
for name in "${missing[@]}"; do present "$name" || lacking+=("$name"); done
if [ ${#lacking[@]} -gt 0 ]; then
  printf 'services: missing on this machine: %s\n' "${lacking[*]}" >&2
  printf 'services: install them (postgresql must be 15 or newer), then run this again\n' >&2
  exit 1
fi
