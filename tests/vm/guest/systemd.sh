# Makes a real systemd process 1 of a guest, with jostle in place as `make install` left it below `.cache/vm/installed`,
# and the run's command as a unit: systemd.sh CHECKOUT RUN NONCE
units=/etc/systemd/system
installed=$1/.cache/vm/installed
mkdir -p /usr/lib/jostle /etc/jostle
mount --bind "$installed/usr/lib/jostle" /usr/lib/jostle || echo o >/proc/sysrq-trigger
cp "$installed"/usr/lib/systemd/system/jostle*.service /usr/lib/systemd/system
cp "$installed"/etc/jostle/* /etc/jostle
# A boot empties Debian's /tmp, and the checkout, which is the host's, may lie there: it is not to be written to, but for
# the run's directory, and nothing is to be emptied.
mount --bind "$2" "$2"
mount -o remount,bind,ro "$1"
for unit in systemd-tmpfiles-setup.service systemd-tmpfiles-clean.timer serial-getty@ttyS0.service; do
    ln -s /dev/null "$units/$unit"
done
# Without a number this would be a first boot, which asks for what it is to be called.
[ -s /etc/machine-id ] || echo 6a6f73746c6500000000000000000001 >/etc/machine-id
mkdir -p "$units/multi-user.target.wants"
cat >"$units/jostle-vm.service" <<END
[Service]
Environment=PATH=$PATH HOME=$HOME LC_ALL=$LC_ALL PYTHONDONTWRITEBYTECODE=1
ExecStart=/bin/sh $1/tests/vm/guest/command.sh $1 $2 $3
END
ln -s "$units/jostle-vm.service" "$units/multi-user.target.wants/"
exec /lib/systemd/systemd
