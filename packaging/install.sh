#!/usr/bin/env bash
# Installs jostle for the whole machine, or below DESTDIR for a package, in the places that Debian gives things:
#
#   /usr/lib/jostle             a virtual environment with jostle and what it needs from PyPI
#   /usr/bin/jostle             the command
#   /usr/lib/systemd/system     jostle.service and jostle-names.service; jostle-ship.timer and .service; neither enabled nor started
#   /etc/jostle/jostle.toml     the configuration; one that is there already stays
#   /usr/share/jostle           Grafana dashboards, Prometheus rules, of one host and of a fleet
#   /usr/share/doc/jostle       README and the documents
#   /usr/share/man/man1         jostle(1), made of the commands
#   /usr/share/bash-completion/completions and its likes for zsh and fish
#   /var/lib/jostle             the history; made by systemd
#
# Needs the Debian packages of debian-runtime.txt. With FLEET=1 also what `jostle ship` and `jostle fleet` need from PyPI (700 MB).
# For packages: PYTHON_VERSION=3.13 for a host of another Python than this one's, BYTECODE=no to leave that to the host.
# Usage: [DESTDIR=DIR] [FLEET=1] install.sh
set -euo pipefail
cd "$(dirname "$0")/.."
root=${DESTDIR:-}
root=${root:+$(realpath -m "$root")}
root=${root%/}
home=/usr/lib/jostle
new=$root$home.new
locks=(-r packaging/requirements-runtime.txt ${FLEET:+-r packaging/requirements-fleet.txt})
own=$(/usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
version=${PYTHON_VERSION:-$own}

put() { # MODE SOURCE… DIRECTORY
    install -D -m "$1" -t "$root${*: -1}" "${@:2:$#-2}"
}

# Beside the old one, so that a failure leaves that one in place. bcc is Debian's, for the system's Python alone.
rm -rf "$new" build/lib build/bdist.*
mkdir -p "$root${home%/*}"
/usr/bin/python3 -m venv --system-site-packages "$new"
pip=("$new/bin/python" -m pip install -q --disable-pip-version-check --no-compile)
site=$new/lib/python$version/site-packages
if [ "$version" = "$own" ]; then
    "${pip[@]}" --require-hashes --only-binary :all: "${locks[@]}"
    "${pip[@]}" --no-deps --no-build-isolation .
    "$new/bin/python" -m pip uninstall -q -y pip setuptools
else
    there=(--target "$site" --python-version "$version")
    for tag in manylinux2014 manylinux_2_17 manylinux_2_27 manylinux_2_28; do
        there+=(--platform "${tag}_$(uname -m)")
    done
    "${pip[@]}" "${there[@]}" --require-hashes --only-binary :all: "${locks[@]}"
    # The build tool that is locked, and no other.
    PYTHONPATH=$site "${pip[@]}" --target "$site" --no-deps --no-build-isolation --upgrade .
    printf '#!%s\nimport sys\nfrom agent.cli import main\n\nsys.exit(main())\n' "$new/bin/python" >"$new/bin/jostle"
    chmod 755 "$new/bin/jostle"
    rm -rf "$site"/{bin,setuptools*,pkg_resources,_distutils_hack,distutils-precedence.pth} "$new/lib/python$own"
    rm "$new"/bin/python3.*
    sed -i "s|^version = .*|version = $version|; /^executable/d" "$new/pyvenv.cfg"
fi
# The tests of others, a fifth of it all, are of no use to a host.
find "$site" -type d -name tests -prune -exec rm -r {} +
rm -f "$new"/bin/[Aa]ctivate* "$site"/*.dist-info/direct_url.json
# Its scripts name the place where they were made.
grep -rlIF "$new" "$new/bin" "$new/pyvenv.cfg" | xargs sed -i "s|$new|$home|g"
# What PYTHONPATH and the caller's own packages say is nothing to a command that root runs.
sed -i '1s|$| -I|' "$new/bin/jostle"
# Compiled now: the daemon may not write there, and would compile at every start.
[ "${BYTECODE:-}" = no ] || "$new/bin/python" -m compileall -q -s "$new" -p "$home" "$new/lib"
rm -rf "$root/usr/lib/jostle"
mv "$new" "$root$home"

mkdir -p "$root/usr/bin"
ln -sfn ../lib/jostle/bin/jostle "$root/usr/bin/jostle"
put 644 systemd/jostle.service systemd/jostle-names.service systemd/jostle-ship.service systemd/jostle-ship.timer /usr/lib/systemd/system
[ -e "$root/etc/jostle/jostle.toml" ] || put 644 systemd/jostle.toml /etc/jostle
put 644 systemd/dashboard.json systemd/alerts.yml systemd/fleet-dashboard.json systemd/fleet-rules.yml /usr/share/jostle
python=("$root$home/bin/python" -IB)
[ "$version" = "$own" ] || python=(.venv/bin/python -B)
mkdir -p "$root"/usr/share/{man/man1,bash-completion/completions,zsh/vendor-completions,fish/vendor_completions.d}
"${python[@]}" -m agent.cli.manual | gzip -9n >"$root/usr/share/man/man1/jostle.1.gz"
for place in bash:bash-completion/completions/jostle zsh:zsh/vendor-completions/_jostle \
    fish:fish/vendor_completions.d/jostle.fish; do
    _JOSTLE_COMPLETE=source_${place%%:*} "${python[@]}" -m agent >"$root/usr/share/${place#*:}"
done
put 644 README.md CHANGELOG.md LICENSE docs/*.md /usr/share/doc/jostle
if [ -z "$root" ] && [ -d /run/systemd/system ]; then
    systemctl daemon-reload
fi
