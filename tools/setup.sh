#!/usr/bin/env bash
# Sets the project up in .venv: Python 3.11 or newer must be there, everything else is brought.
# uv is taken from PATH, or put into .uv; bubblewrap and the venv module come from apt when they are missing.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*" >&2; }

install() { # apt packages, where that is allowed
  local as=()
  if [ "$(id -u)" != 0 ]; then
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then as=(sudo -n); else return 1; fi
  fi
  command -v apt-get >/dev/null || return 1
  say "installing $*"
  export DEBIAN_FRONTEND=noninteractive
  if ! "${as[@]}" apt-get install -y -qq --no-install-recommends "$@" >/dev/null 2>&1; then
    "${as[@]}" apt-get update -qq >/dev/null
    "${as[@]}" apt-get install -y -qq --no-install-recommends "$@" >/dev/null
  fi
}

python=""
for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
  if command -v "$candidate" >/dev/null && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    python=$(command -v "$candidate")
    break
  fi
done
if [ -z "$python" ]; then
  say "Python 3.11 or newer is needed. Install it, for example: sudo apt-get install -y python3"
  exit 1
fi

if ! command -v uv >/dev/null && [ ! -x .uv/bin/uv ]; then
  if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    install python3-venv || { say "type: sudo apt-get install -y python3-venv, then make again"; exit 1; }
  fi
  "$python" -m venv .uv
  .uv/bin/pip install -q --disable-pip-version-check uv
fi
export PATH="$PATH:$PWD/.uv/bin"
export UV_PYTHON_DOWNLOADS=never UV_PYTHON="$python"
uv sync --frozen --quiet

if ! command -v bwrap >/dev/null; then
  install bubblewrap || say "sandboxes need bubblewrap; type: sudo apt-get install -y bubblewrap"
fi
