#!/usr/bin/env bash
# Installs what `make demo` and `make test` need: system packages with apt-get, Python packages into .venv; and, where npm
# is there, the emulator of one test into .venv/node.
# Says what it installs, does nothing twice, and asks for nothing but sudo's password, and that only on a terminal.
# What it cannot install it names, with the command that would. `setup.sh EXTRA` installs an extra of pyproject.toml as well.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
export PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1

say() { printf 'setup: %s\n' "$*"; }
fail() {
  printf 'error: %s\ntry:   %s\n' "$1" "$2" >&2
  exit 2
}

python=
for candidate in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
  if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    python=$candidate
    break
  fi
done
[ -n "$python" ] || fail "no Python 3.11 or newer" "sudo apt-get install python3, or make ... PYTHON=/path/to/python3"

# --- system packages ---

# doctor knows which command lacks and which package brings it; it needs nothing but the standard library.
missing_packages() {
  local found
  found=$("$python" -c 'from mbn2c.commands.doctor import missing_apt_packages; print(*missing_apt_packages())')
  if [ ! -x .venv/bin/python ] && ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    found+=" python3-venv"
  fi
  printf '%s' "$found"
}

known_to_apt() {
  local package policy
  for package in "$@"; do
    policy=$(apt-cache policy "$package")
    if [[ $policy == *Candidate:* && $policy != *"Candidate: (none)"* ]]; then printf '%s ' "$package"; fi
  done
}

apt_install() { # words to put before apt-get, packages
  local -a as_root=($1) packages
  local wanted=$2
  # Clang's sanitizers are in a package of their own, which clang only recommends.
  if [[ $wanted == *clang* ]]; then wanted+=" libclang-rt-dev"; fi
  # Debian 13 moved the RISC-V emulator out of qemu-system-misc.
  if [[ $wanted == *qemu-system-misc* ]]; then wanted+=" qemu-system-riscv"; fi
  ${as_root[@]+"${as_root[@]}"} apt-get update -qq || say "apt-get update failed; going on with the lists at hand"
  read -ra packages <<<"$(known_to_apt $wanted)"
  [ "${#packages[@]}" != 0 ] || return 0
  say "apt-get installs: ${packages[*]}"
  ${as_root[@]+"${as_root[@]}"} env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
    -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "${packages[@]}" >/dev/null || say "apt-get install failed"
}

missing=$(missing_packages)
if [ -n "$missing" ]; then
  sudo="sudo -n"
  if [ -t 0 ]; then sudo=sudo; fi
  if ! command -v apt-get >/dev/null; then
    say "this system has no apt-get; what lacks is called on Debian: $missing"
  elif [ "$(id -u)" = 0 ]; then
    apt_install "" "$missing"
  elif command -v sudo >/dev/null && $sudo true; then
    apt_install "$sudo" "$missing"
  else
    say "neither root nor sudo: an administrator has to run: apt-get install $missing"
  fi
  missing=$(missing_packages)
  [ -z "$missing" ] || say "still missing: $missing; what needs it will be skipped or refused, in words"
fi

# --- Python packages ---

if ! .venv/bin/python -c '' 2>/dev/null; then
  say "making .venv with $("$python" --version)"
  for how in "venv" "virtualenv -q" "venv --without-pip"; do
    rm -rf .venv
    # shellcheck disable=SC2086  # a module and its options
    if "$python" -m $how .venv 2>/dev/null >&2; then break; fi
  done
  [ -x .venv/bin/python ] || fail "this Python cannot make a virtual environment" "sudo apt-get install python3-venv"
fi
pip=".venv/bin/python -m pip"
if ! $pip --version >/dev/null 2>&1; then
  # A .venv without a pip of its own is filled by the pip outside.
  pip="$python -m pip --python .venv/bin/python"
  if ! $pip --version >/dev/null 2>&1; then
    rm -rf .venv
    fail "no pip for a virtual environment" "sudo apt-get install python3-venv"
  fi
fi

say "pip installs into .venv: mbn2c (this folder), what it needs, and its test tools"
$pip install --quiet --editable ".[test${1:+,$1}]"

# --- the Node package of one test ---

unless="tests/emulator/test_other_emulators.py will be skipped for the Pico, in words"
if command -v node >/dev/null && command -v npm >/dev/null; then
  say "npm installs into .venv/node: rp2040js, an emulator that tests/emulator/test_other_emulators.py asks"
  mkdir -p .venv/node
  cp tests/support/rp2040js/package.json tests/support/rp2040js/package-lock.json .venv/node/
  npm ci --prefix .venv/node --engine-strict --ignore-scripts --no-audit --no-fund --fetch-retries 1 --silent ||
    say "npm did not install it: $unless"
else
  say "no node and npm: $unless"
fi

[ -n "$missing" ] || touch .venv/.ready
say "ready"
