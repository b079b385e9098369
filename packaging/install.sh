#!/usr/bin/env bash
# Installs jostle for the whole machine, or below DESTDIR for a package, in the places that Debian gives things:
#
#   /usr/lib/jostle             a virtual environment with jostle and what it needs from PyPI
#   /usr/bin/jostle             the command
#   /usr/lib/systemd/system     jostle.service, neither enabled nor started
#   /etc/jostle/jostle.toml     the configuration; one that is there already stays
#   /usr/share/jostle           a Grafana dashboard, Prometheus alert rules
#   /usr/share/doc/jostle       README and the documents
#   /usr/share/man/man1         jostle(1), made of the commands
#   /var/lib/jostle             the history; made by systemd
#
# Needs the Debian packages of debian-runtime.txt. Usage: [DESTDIR=DIR] install.sh
set -euo pipefail
cd "$(dirname "$0")/.."
root=${DESTDIR:-}
root=${root:+$(realpath -m "$root")}
root=${root%/}
home=/usr/lib/jostle
new=$root$home.new

put() { # MODE SOURCE… DIRECTORY
    install -D -m "$1" -t "$root${*: -1}" "${@:2:$#-2}"
}

# Beside the old one, so that a failure leaves that one in place. bcc is Debian's, for the system's Python alone.
rm -rf "$new" build/lib build/bdist.*
mkdir -p "$root${home%/*}"
/usr/bin/python3 -m venv --system-site-packages "$new"
pip=("$new/bin/python" -m pip install -q --disable-pip-version-check --no-compile)
"${pip[@]}" --require-hashes --only-binary :all: -r packaging/requirements-runtime.txt
"${pip[@]}" --no-deps --no-build-isolation .
"$new/bin/python" -m pip uninstall -q -y pip setuptools
# Its scripts name the place where they were made.
grep -rlIF "$new" "$new/bin" "$new/pyvenv.cfg" | xargs sed -i "s|$new|$home|g"
# What PYTHONPATH and the caller's own packages say is nothing to a command that root runs.
sed -i '1s|$| -I|' "$new/bin/jostle"
# Compiled now: the daemon may not write there, and would compile at every start.
"$new/bin/python" -m compileall -q -s "$new" -p "$home" "$new/lib"
rm -rf "$root/usr/lib/jostle"
mv "$new" "$root$home"

mkdir -p "$root/usr/bin"
ln -sfn ../lib/jostle/bin/jostle "$root/usr/bin/jostle"
put 644 systemd/jostle.service /usr/lib/systemd/system
[ -e "$root/etc/jostle/jostle.toml" ] || put 644 systemd/jostle.toml /etc/jostle
put 644 systemd/dashboard.json systemd/alerts.yml /usr/share/jostle
mkdir -p "$root/usr/share/man/man1"
"$root$home/bin/python" -I -m agent.cli.manual | gzip -9n >"$root/usr/share/man/man1/jostle.1.gz"
put 644 README.md CHANGELOG.md LICENSE docs/*.md /usr/share/doc/jostle
if [ -z "$root" ] && [ -d /run/systemd/system ]; then
    systemctl daemon-reload
fi
