# Process 1 of a guest: what a host has mounted, then the run's command; or a systemd that runs it.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8
for word in $(cat /proc/cmdline); do
    case "$word" in
    jostle.checkout=*) checkout=${word#*=} ;;
    jostle.run=*) run=${word#*=} ;;
    jostle.nonce=*) nonce=${word#*=} ;;
    jostle.cgroups=*) cgroups=${word#*=} ;;
    jostle.systemd=*) systemd=${word#*=} ;;
    esac
done
echo "main: $(uname -r), $(nproc) CPUs, up $(cut -d' ' -f1 /proc/uptime) s"
if [ "$systemd" = 1 ]; then
    exec /bin/sh "$checkout/tests/vm/guest/systemd.sh" "$checkout" "$run" "$nonce"
fi
mount -t tmpfs tmpfs /run
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tracefs tracefs /sys/kernel/tracing
mount -t bpf bpf /sys/fs/bpf
if [ "$cgroups" = v1 ]; then
    mount -t tmpfs tmpfs /sys/fs/cgroup
    for controllers in cpu,cpuacct memory blkio freezer; do
        mkdir "/sys/fs/cgroup/$controllers"
        mount -t cgroup -o "$controllers" cgroup "/sys/fs/cgroup/$controllers"
    done
else
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    for controller in cpu memory io; do
        echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control
    done
fi
ip link set lo up 2>/dev/null
exec /bin/sh "$checkout/tests/vm/guest/command.sh" "$checkout" "$run" "$nonce"
