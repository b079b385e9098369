#!/usr/bin/env bash
# Builds build/deb/jostle_VERSION_ARCH.deb for a release of Debian or Ubuntu: this host's, or DIST (bookworm, trixie,
# noble). jostle's compiled parts belong to one version of Python, and each release has its own; its Debian packages are
# in the control file. The same commit makes the same file. Usage: [DIST=NAME] [VERSION=UPSTREAM] deb.sh
set -euo pipefail
cd "$(dirname "$0")/.."
umask 022

dist=${DIST:-$(. /etc/os-release && echo "$VERSION_CODENAME")}
case $dist in
bookworm) export PYTHON_VERSION=3.11 release=deb12u1 ;;
trixie) export PYTHON_VERSION=3.13 release=deb13u1 ;;
noble) export PYTHON_VERSION=3.12 release=ubuntu24.04.1 ;;
*)
    echo "deb: no package is known for $dist: DIST is bookworm, trixie or noble" >&2
    exit 2
    ;;
esac
upstream=${VERSION:-$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml)}
version=$upstream-1~$release
arch=$(dpkg --print-architecture)
next=3.$((${PYTHON_VERSION#3.} + 1))
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y pyproject.toml)}
root=build/deb/$dist
rm -rf "$root"
DESTDIR=$root BYTECODE=no packaging/install.sh

docs=$root/usr/share/doc/jostle
rm "$docs/LICENSE" # its text is in copyright, as Debian has it
mv "$docs/CHANGELOG.md" "$docs/changelog"
printf 'jostle (%s) unstable; urgency=medium\n\n  * See changelog.gz.\n\n -- the authors of jostle <jostle@example.invalid>  %s\n' \
    "$version" "$(date -uRd "@$SOURCE_DATE_EPOCH")" >"$docs/changelog.Debian"
gzip -9n "$docs/changelog" "$docs/changelog.Debian"
{
    printf 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: jostle\n\n'
    printf 'Files: *\nCopyright: the authors of jostle\nLicense: Apache-2.0\n'
    printf ' On Debian systems the text is in /usr/share/common-licenses/Apache-2.0.\n\n'
    printf 'Files: usr/lib/jostle/lib/*/probes/bpf/*\nCopyright: the authors of jostle\nLicense: GPL-2\n'
    printf ' On Debian systems the text is in /usr/share/common-licenses/GPL-2.\n\n'
    printf 'Files: usr/lib/jostle/lib/python*/site-packages/*\nCopyright: see *.dist-info/ in that directory\n'
    printf 'License: other\n Each package from PyPI has its own in its *.dist-info/.\n'
} >"$docs/copyright"
chmod 644 "$docs"/c*

mkdir -p "$root/DEBIAN"
install -m 755 packaging/deb/postinst packaging/deb/prerm packaging/deb/postrm "$root/DEBIAN"
echo /etc/jostle/jostle.toml >"$root/DEBIAN/conffiles"
(cd "$root" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
cat >"$root/DEBIAN/control" <<CONTROL
Package: jostle
Version: $version
Architecture: $arch
Maintainer: the authors of jostle <jostle@example.invalid>
Installed-Size: $(du -ks --apparent-size --exclude=DEBIAN "$root" | cut -f1)
Depends: python3 (>= $PYTHON_VERSION), python3 (<< $next~), libbpf1, python3-bpfcc, libc6 (>= 2.28)
Section: admin
Priority: optional
Homepage: https://pypi.org/project/jostle/
Description: noisy-neighbour profiler for Linux hosts
 jostle says whether a workload is slowed by its neighbours on the same host, by
 how much, behind whom, and what would help: by a live table, by recordings, by
 experiments with an interval, and by an agent with metrics and events.
 .
 The agent (jostle.service) is neither enabled nor started by this package.
CONTROL
find "$root" -newermt "@$SOURCE_DATE_EPOCH" -print0 | xargs -0r touch --no-dereference --date="@$SOURCE_DATE_EPOCH"
dpkg-deb --root-owner-group --uniform-compression -Zzstd --build "$root" build/deb >/dev/null
(cd build/deb && sha256sum jostle_*.deb >SHA256SUMS)
echo "build/deb/jostle_${version}_$arch.deb"
