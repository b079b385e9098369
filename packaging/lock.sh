#!/usr/bin/env bash
# Writes the locks beside this file anew from pyproject.toml: each version, and the SHA-256 of every file of its release,
# so that they hold on each Python and processor. Versions that are allowed stay; UPGRADE=1 takes the newest allowed.
set -euo pipefail
cd "$(dirname "$0")/.."
locks=packaging/requirements

lock() { # NAME [uv's options…]: one lock, of nothing that the options leave out
    .cache/supply/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
        ${UPGRADE:+--upgrade} -c <(build_tool) "${@:2}" -o "$locks-$1.txt" pyproject.toml - < <(build_tool)
    sed -i "1i # Made by 'make lock' (packaging/lock.sh) from pyproject.toml." "$locks-$1.txt"
}

build_tool() { # what [build-system] pins
    sed -nE 's/^requires = \["(.*)"\]$/\1/p' pyproject.toml
}

lock runtime
mapfile -t runtime < <(sed -nE 's/^([A-Za-z0-9._-]+)==.*/--no-emit-package=\1/p' "$locks-runtime.txt")
lock test --extra dev -c "$locks-runtime.txt" "${runtime[@]}"
lock fleet --extra fleet --extra clickhouse -c "$locks-runtime.txt" "${runtime[@]}"
lock charts --extra charts -c "$locks-runtime.txt" "${runtime[@]}"
# Servers and engines that tests start, in an environment of their own: botocore needs an older python-dateutil.
printf 'apache-otava>=0.8,<1\nmoto[server]>=5.1,<6\npyspark>=4.0,<4.1\nsetuptools\n' | .cache/supply/bin/uv pip compile -q --universal \
    --python-version 3.11 --generate-hashes --no-annotate --no-header ${UPGRADE:+--upgrade} -c <(build_tool) \
    -o "$locks-fleet-test.txt" -
sed -i "1i # Made by 'make lock' (packaging/lock.sh)." "$locks-fleet-test.txt"
lock supply --extra supply -c "$locks-runtime.txt" "${runtime[@]}"
