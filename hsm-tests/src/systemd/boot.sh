# Boots systemd as process 1 of its own namespaces, with the files of this machine below a layer that is
# thrown away, and with no units but those of the test: boot.sh FOLDER CONTROL-GROUP [ROOT]. What is in FOLDER/files
# is put over the files of the machine, or of the system in ROOT.
set -eu
folder=$1 group=$2 below=${3:-/}
if [ "$$" != 1 ]; then
    # In a control group of its own, which becomes the root of what systemd sees.
    echo $$ >"$group/cgroup.procs"
    exec unshare --mount --pid --uts --ipc --cgroup --fork --kill-child=KILL \
        sh "$0" "$folder" "$group" "$below" </dev/null
fi
mount --make-rprivate /
mkdir "$folder/layer"
mount -t tmpfs -o mode=755 tmpfs "$folder/layer"
cd "$folder/layer"
mkdir upper work root
mount -t overlay -o "lowerdir=$below,upperdir=$PWD/upper,workdir=$PWD/work" overlay root
cd root
mount -t proc proc proc
mount --rbind /dev dev
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
units=etc/systemd/system
rm -rf "$units"
# Another system's packages bring units of their own, which this machine's do not.
places=/$units
if [ "$below" != / ]; then
    rm -rf usr/lib/systemd/system/*
    places=$places:/usr/lib/systemd/system
fi
mkdir -p "$units" run/systemd
for target in basic multi-user network-online paths shutdown slices sockets sysinit time-sync timers; do
    printf '[Unit]\nDefaultDependencies=no\n' >"$units/$target.target"
done
cp -a "$folder/files/." .
systemd-sysusers --root="$PWD" >&2
pivot_root . mnt
cd /
umount -l /mnt
# As a real machine has it: systemd mounts credentials in one namespace for the others to see.
mount --make-rshared /
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=test SYSTEMD_UNIT_PATH="$places" \
    /lib/systemd/systemd --system --unit=multi-user.target --log-target=console --log-level=info --show-status=no
