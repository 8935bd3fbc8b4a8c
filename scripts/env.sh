# Sourced by the other scripts: makes the project's own environment in .venv, from the lock file,
# and says what it does. The second time it only looks at a stamp.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '%s\n' "$*" >&2; }

die() {
  say "error: $*"
  exit 1
}

find_python() {
  local candidate
  for candidate in "${KEEPER_PYTHON:-}" python3 python3.13 python3.12 python3.11; do
    [ -n "$candidate" ] || continue
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      printf '%s' "$candidate"
      return
    fi
  done
  die "Python: expected 3.11 or newer as python3 (or in KEEPER_PYTHON), found $(python3 --version 2>&1 || echo none)"
}

require_node() {
  command -v node >/dev/null || die "Node: expected 18 or newer on the PATH, found none (it carries anvil and the contracts)"
  command -v npm >/dev/null || die "npm: expected on the PATH beside node, found none"
  local major
  major=$(node -p 'process.versions.node.split(".")[0]')
  [ "$major" -ge 18 ] || die "Node: expected 18 or newer, found $(node --version)"
}

stamp_of() {
  "$1" - <<'PY'
import hashlib, pathlib, sys
text = b"".join(pathlib.Path(p).read_bytes() for p in ("requirements.lock", "pyproject.toml"))
print(f"{sys.version_info.major}.{sys.version_info.minor}", hashlib.sha256(text).hexdigest())
PY
}

make_environment() {
  local python stamp log
  python=$(find_python)
  stamp=$(stamp_of "$python")
  [ "$(cat .venv/.keeper-stamp 2>/dev/null || true)" = "$stamp" ] && return
  say "making the Python environment in .venv (about a minute the first time) ..."
  "$python" -m venv --clear .venv || die "cannot make .venv with $python -m venv (is python3-venv installed?)"
  log=$(mktemp)
  if ! .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
    -r requirements.lock >"$log" 2>&1 ||
    ! .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
      --no-build-isolation --editable . >>"$log" 2>&1; then
    tail -n 15 "$log" >&2
    die "the packages of requirements.lock could not be installed: is PyPI reachable? (log: $log)"
  fi
  rm -f "$log"
  printf '%s\n' "$stamp" >.venv/.keeper-stamp
  say "environment ready"
}
