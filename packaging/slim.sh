#!/bin/sh
# Run in an image that is being built, and as its last step: takes away what nothing in it uses. Neither apt nor Perl
# stays, nor what one needs to make packages; dpkg's list of what is there does, for scanners.
set -eu
export LC_ALL=C
site=/usr/lib/jostle/lib/python3.11/site-packages
libraries=$(echo /usr/lib/*-linux-gnu)

# Not imported by anything in here: what rich asks for without using it, time zones that /usr/share/zoneinfo has, and of
# NumPy, SciPy, Matplotlib and what these bring, what is for other uses than statistics and SVG
# (tests/containers/test_images.py makes a page of each kind).
cd $site
rm -rf pygments pygments-* tzdata tzdata-* numpy/_core/include numpy/_core/lib numpy/random/lib \
    pydantic/v1 pydantic/mypy.py PIL/_imagingcms* pillow.libs/liblcms2* \
    PIL/_avif* PIL/_webp* PIL/_imagingft* pillow.libs/libavif* pillow.libs/libwebp* pillow.libs/libharfbuzz* \
    pillow.libs/libfreetype* pillow.libs/libbrotli* \
    fontTools/varLib fontTools/feaLib fontTools/qu2cu fontTools/cu2qu fontTools/designspaceLib fontTools/ufoLib \
    fontTools/otlLib fontTools/merge fontTools/voltLib fontTools/mtiLib \
    scipy/cluster scipy/datasets scipy/differentiate scipy/fftpack scipy/io scipy/misc scipy/odr scipy/signal \
    matplotlib/mpl-data/sample_data matplotlib/mpl-data/fonts/afm matplotlib/mpl-data/fonts/pdfcorefonts \
    matplotlib/mpl-data/fonts/ttf/STIX* matplotlib/mpl-data/fonts/ttf/cm* matplotlib/mpl-data/fonts/ttf/DejaVuS*Mono* \
    matplotlib/mpl-data/fonts/ttf/DejaVuSerif*
find . -name '*.pyi' -delete
cd /usr/lib/python3.11
rm -rf test lib2to3 ensurepip pydoc_data idlelib turtledemo tkinter unittest/test lib-dynload/nis.* lib-dynload/_dbm.*
find /usr/sbin -type f ! -name ldconfig -delete
cd "$libraries"
rm -rf perl* gconv libperl* libapt*
rm -rf /var/lib/apt /var/cache/* /var/log/* /usr/lib/apt /usr/bin/apt* /usr/bin/perl* /etc/apt /usr/share/perl* \
    /usr/share/doc /usr/share/man /usr/share/info /usr/share/locale /usr/share/lintian /usr/share/bash-completion \
    /usr/share/zsh /usr/share/fish /usr/share/keyrings /var/lib/dpkg/info \
    /usr/bin/dpkg* /usr/bin/gpgv /usr/bin/localedef \
    /usr/share/zoneinfo/right /usr/share/zoneinfo/posix /usr/lib/valgrind

# Libraries that only apt and Perl had use for. Those that are loaded by name are kept: the first line has them.
cd "$libraries"
{
    find "$PWD" -maxdepth 1 \( -name 'libnss_*' -o -name 'libbpf.so*' -o -name 'libbcc*' -o -name 'libgcc_s*' \) -print \
        -exec ldd {} \; 2>/dev/null
    find /usr/bin /usr/sbin /usr/lib/python3* $site -type f -size +4k \( -perm -u=x -o -name '*.so*' \) -exec ldd {} + 2>/dev/null || true
} | grep -o '/[^ :)]*' | xargs realpath -q | sort -u >/tmp/used
find . -maxdepth 1 -type f -name '*.so*' | sed "s|^\.|$libraries|" | sort | comm -23 - /tmp/used | xargs -r rm
find . -maxdepth 1 -xtype l -delete
rm -f /tmp/used

# Bytecode that needs no look at its source: the same at each build, and no start compiles. Not of what is large and
# is imported by few commands.
find /usr/lib/jostle -name __pycache__ -prune -exec rm -r {} +
/usr/bin/python3 -m compileall -q --invalidation-mode unchecked-hash \
    -x '/(numpy|scipy|matplotlib|fontTools|PIL|pygments|mpl_toolkits)/' $site
