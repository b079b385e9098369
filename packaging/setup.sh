#!/usr/bin/env bash
# Installs what a fresh Debian 12 machine lacks: the Debian packages listed beside this file, and a virtual
# environment in .venv. Idempotent; does nothing, quickly, when nothing is missing. Usage: setup.sh [runtime|test|bench|vm|packages|containers|fleet]
set -euo pipefail
cd "$(dirname "$0")/.."
level=${1:-test}
here=packaging

lists=("$here/debian-runtime.txt")
[ "$level" = runtime ] || lists+=("$here/debian-$level.txt")
missing=()
while read -r package; do
    dpkg-query -W -f='${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done < <(cat "${lists[@]}")

if [ "${#missing[@]}" -gt 0 ]; then
    if [ "$(id -u)" != 0 ]; then
        echo "setup: not root, and these Debian packages are missing: ${missing[*]}" >&2
        echo "setup: run 'apt-get install ${missing[*]}' as root, then try again" >&2
        exit 3
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q
    # Services that packages would start (Redis, Prometheus) are not wanted: the tests start their own.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap 'rm -f "$policy"' EXIT
        printf '#!/bin/sh\n# Temporary, by jostle packaging/setup.sh: no service is started (invoke-rc.d(8)).\nexit 101\n' >"$policy"
        chmod +x "$policy"
    fi
    apt-get install -q -y --no-install-recommends "${missing[@]}"
fi

# The system's Python, because Debian's bcc lives there. A half-made environment is made again.
# One that has the test tools keeps them.
stamp=.venv/installed
if [ "$level" = test ] || { [ -f "$stamp" ] && grep -q '^test ' "$stamp"; }; then
    python_level=test locks=(-r "$here/requirements-runtime.txt" -r "$here/requirements-test.txt" -r "$here/requirements-fleet.txt")
else
    python_level=runtime locks=(-r "$here/requirements-runtime.txt")
fi
# The checkout's own path is part of it: a copied or moved .venv points at the old place.
want="$python_level $(pwd) $(cat pyproject.toml "$here"/requirements-*.txt "$here/setup.sh" | sha256sum)"
if [ -x .venv/bin/python ] && [ -f "$stamp" ] && .venv/bin/python -c '' 2>/dev/null; then
    [ "$(cat "$stamp")" = "$want" ] && exit 0
fi
rm -rf .venv
/usr/bin/python3 -m venv --system-site-packages .venv
# Only files whose hashes are locked, and no source of others, which would run as root and fetch what builds it.
pip=(.venv/bin/python -m pip install -q --disable-pip-version-check)
"${pip[@]}" --require-hashes --only-binary :all: "${locks[@]}"
"${pip[@]}" --no-deps --no-build-isolation -e .
echo "$want" >"$stamp"
