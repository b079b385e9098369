# Process 1 of a guest: what a host has mounted, then the command that the run left in its directory, then its end.
# The marker line alone says how it went: QEMU exits with 0 on a panic too.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8
for word in $(cat /proc/cmdline); do
    case "$word" in
    jostle.checkout=*) checkout=${word#*=} ;;
    jostle.run=*) run=${word#*=} ;;
    jostle.nonce=*) nonce=${word#*=} ;;
    jostle.cgroups=*) cgroups=${word#*=} ;;
    esac
done
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
echo "main: $(uname -r), $(nproc) CPUs, up $(cut -d' ' -f1 /proc/uptime) s"
cd "$checkout" || echo o >/proc/sysrq-trigger
/bin/sh "$run/command" </dev/null
echo "jostle-vm $nonce exit $?"
sync
echo o >/proc/sysrq-trigger
sleep 60
