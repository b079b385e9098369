#!/usr/bin/env bash
# Builds jostle:VERSION, of nodes, VERSION-full and VERSION-ship (Containerfile) by buildah, of the package that `make deb`
# built for Debian 12. BASE is an image of Debian 12, BUILDAH further words for it. Usage: [BASE=IMAGE] [BUILDAH=WORDS] images.sh
set -euo pipefail
cd "$(dirname "$0")/.."
umask 022

# What `ship` alone of the fleet's commands needs from PyPI, for the image's Python: the rest is 500 MB of engines.
rm -rf build/ship
.venv/bin/python -m pip install -q --disable-pip-version-check --no-compile --no-deps --require-hashes --only-binary :all: \
    --python-version 3.11 --platform "manylinux_2_28_$(uname -m)" --platform "manylinux_2_17_$(uname -m)" --target build/ship \
    -r <(awk '/^[a-z]/ { wanted = /^(obstore|pyarrow)==/ } wanted' packaging/requirements-fleet.txt)

version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
for target in node full ship; do
    tag=jostle:$version
    [ "$target" = node ] || tag+=-$target
    # shellcheck disable=SC2086  BUILDAH is words
    buildah build -q --layers ${BUILDAH:-} ${BASE:+--build-arg "BASE=$BASE"} --target "$target" -t "$tag" -f packaging/Containerfile .
done
