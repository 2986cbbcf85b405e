#!/bin/bash
# A cgroup v2 machine with a newer Docker (and rootless Docker, Podman, crun), from nothing: a Debian trixie guest in QEMU.
#
#   cgroup2_guest.sh build            root file system (mmdebstrap) -> disk image, kernel, initrd in $GUEST (default /tmp/cgroup2_guest)
#   cgroup2_guest.sh start            boots it in the background; returns when dockerd answers; prints the addresses
#   cgroup2_guest.sh shell 'COMMAND'  runs a command in the guest as root (ssh)
#   cgroup2_guest.sh stop             powers it off, by pid
#   cgroup2_guest.sh all              build (if need be) and start
#
# Engines, all on 127.0.0.1 of this machine only, without TLS, the guest itself without any way out (restrict=on):
#   tcp://127.0.0.1:$PORT      Docker as root, cgroup v2, systemd driver (runtimes runc, crun, and runsc where it is installed here)
#   tcp://127.0.0.1:$PORT+1    rootless Docker of uid 1000
#   tcp://127.0.0.1:$PORT+2    Podman as root, and +3 rootless: to see that they are refused
#   ssh: 127.0.0.1:$PORT+9     root, key in $GUEST/key
# Where /dev/kvm cannot run a stock kernel (kvm_pvm), or is not there, the guest is emulated: good for what is enforced, and
# useless for times. `docker load` of an image that was saved elsewhere is faster than building it in there. Give
# it the machine's CPUs: beside other work it is starved, and a sandbox takes minutes to start.
# Needs: root (mmdebstrap); installs qemu-system-x86 mmdebstrap e2fsprogs openssh-client where they are missing.
set -euo pipefail
GUEST=${GUEST:-${TMPDIR:-/tmp}/cgroup2_guest}
PORT=${PORT:-23750}
SUITE=${SUITE:-trixie}
MEMORY=${MEMORY:-6144}
CPUS=${CPUS:-2}
DISK=${DISK:-12G}
MIRROR=${MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' | grep -v security | head -1)}  # the one that apt uses
NICE="nice -n 19"
INCLUDE=linux-image-cloud-amd64,systemd-sysv,dbus,dbus-user-session,libpam-systemd,iproute2,kmod,procps,openssh-server,\
docker.io,docker-cli,rootlesskit,uidmap,slirp4netns,fuse-overlayfs,podman,crun,iptables,python3-minimal

say() { echo "[$(date +%T)] $*" >&2; }

need() {
    local missing=()
    command -v qemu-system-x86_64 >/dev/null || missing+=(qemu-system-x86)
    command -v mmdebstrap >/dev/null || missing+=(mmdebstrap)
    command -v mke2fs >/dev/null || missing+=(e2fsprogs)
    command -v ssh-keygen >/dev/null || missing+=(openssh-client)
    if [ ${#missing[@]} -gt 0 ]; then
        say "installing ${missing[*]}"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive $NICE apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    fi
}

build() {
    need
    mkdir -p "$GUEST"
    local began=$SECONDS root=$GUEST/root
    rm -rf --one-file-system "$root" "$GUEST"/{disk.img,vmlinuz,initrd.img}
    [ -f "$GUEST/key" ] || ssh-keygen -q -t ed25519 -N '' -C guest -f "$GUEST/key"
    say "mmdebstrap $SUITE"
    $NICE mmdebstrap --variant=minbase --include="$INCLUDE" \
        --aptopt='APT::Install-Recommends "false"' --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-include=/usr/share/doc/docker.io/*' \
        "$SUITE" "$root" "$MIRROR" >"$GUEST/mmdebstrap.log" 2>&1 || { tail -20 "$GUEST/mmdebstrap.log" >&2; exit 1; }
    say "root file system after $((SECONDS - began)) s, $(du -sh --apparent-size "$root" | cut -f1)"
    configure "$root"
    cp -L "$root"/boot/vmlinuz-* "$GUEST/vmlinuz"
    cp -L "$root"/boot/initrd.img-* "$GUEST/initrd.img"
    say "ext4 image"
    $NICE mke2fs -q -t ext4 -L guest -d "$root" "$GUEST/disk.img" "$DISK"
    rm -rf --one-file-system "$root"
    say "built in $((SECONDS - began)) s; on disk: $(du -sh "$GUEST" | cut -f1)"
}

configure() {
    local root=$1
    echo guest >"$root/etc/hostname"
    printf '127.0.0.1 localhost guest\n' >"$root/etc/hosts"
    echo '/dev/vda / ext4 defaults,noatime 0 1' >"$root/etc/fstab"
    mkdir -p "$root/root/.ssh" "$root/etc/systemd/network"
    cp "$GUEST/key.pub" "$root/root/.ssh/authorized_keys"
    chmod 700 "$root/root/.ssh"
    printf '[Match]\nName=en* eth*\n[Network]\nAddress=10.0.2.15/24\nGateway=10.0.2.2\n' >"$root/etc/systemd/network/10-all.network"
    chroot "$root" systemctl enable -q systemd-networkd ssh docker podman.socket 2>/dev/null || true
    chroot "$root" systemctl mask -q apt-daily.timer apt-daily-upgrade.timer systemd-networkd-wait-online.service 2>/dev/null || true
    # Docker as root: on TCP as well, no bridge (nothing here needs one), crun beside runc, runsc where this machine has it.
    mkdir -p "$root/etc/docker" "$root/etc/systemd/system/docker.service.d"
    local runtimes='"crun": {"path": "/usr/bin/crun"}'
    local runsc=${RUNSC:-$(command -v runsc || true)}
    if [ -n "$runsc" ]; then
        install -m 755 "$runsc" "$root/usr/local/bin/runsc"
        runtimes="$runtimes, \"runsc\": {\"path\": \"/usr/local/bin/runsc\"}"
    fi
    echo "{\"bridge\": \"none\", \"iptables\": false, \"ip6tables\": false, \"runtimes\": {$runtimes}}" >"$root/etc/docker/daemon.json"
    printf '[Service]\nExecStart=\nExecStart=/usr/sbin/dockerd -H fd:// -H tcp://0.0.0.0:2375 --containerd=/run/containerd/containerd.sock\n' \
        >"$root/etc/systemd/system/docker.service.d/tcp.conf"
    # A user with its own engines. cgroup controllers are delegated to it: without cpuset and cpu no limits of theirs.
    chroot "$root" useradd -m -u 1000 -s /bin/bash dev
    grep -q '^dev:' "$root/etc/subuid" || echo dev:100000:65536 >>"$root/etc/subuid"
    grep -q '^dev:' "$root/etc/subgid" || echo dev:100000:65536 >>"$root/etc/subgid"
    mkdir -p "$root/var/lib/systemd/linger" "$root/etc/systemd/system/user@.service.d"
    touch "$root/var/lib/systemd/linger/dev"
    printf '[Service]\nDelegate=cpu cpuset io memory pids\n' >"$root/etc/systemd/system/user@.service.d/delegate.conf"
    local rootless
    rootless=$(cd "$root" && find usr -name dockerd-rootless.sh | head -1)
    local user=$root/home/dev/.config/systemd/user
    mkdir -p "$user/default.target.wants" "$user/sockets.target.wants" "$root/home/dev/.config/docker"
    echo '{"bridge": "none", "iptables": false, "ip6tables": false, "runtimes": {"crun": {"path": "/usr/bin/crun"}}}' \
        >"$root/home/dev/.config/docker/daemon.json"
    cat >"$user/docker.service" <<UNIT
[Unit]
Description=rootless Docker
[Service]
Environment=PATH=/usr/sbin:/usr/bin:/sbin:/bin
ExecStart=/bin/sh /$rootless
Delegate=yes
KillMode=mixed
[Install]
WantedBy=default.target
UNIT
    ln -sf ../docker.service "$user/default.target.wants/docker.service"
    ln -sf /usr/lib/systemd/user/podman.socket "$user/sockets.target.wants/podman.socket"
    chroot "$root" chown -R dev:dev /home/dev/.config
    printf 'kernel.unprivileged_userns_clone=1\nuser.max_user_namespaces=28633\nkernel.apparmor_restrict_unprivileged_userns=0\n' \
        >"$root/etc/sysctl.d/50-userns.conf"
    # The other engines' unix sockets, on TCP.
    proxy "$root" 2376 /run/user/1000/docker.sock
    proxy "$root" 2377 /run/podman/podman.sock
    proxy "$root" 2378 /run/user/1000/podman/podman.sock
}

proxy() {
    local root=$1 port=$2 path=$3
    printf '[Socket]\nListenStream=0.0.0.0:%s\n[Install]\nWantedBy=sockets.target\n' "$port" >"$root/etc/systemd/system/engine-$port.socket"
    printf '[Service]\nExecStart=/usr/lib/systemd/systemd-socket-proxyd --connections-max=1024 %s\n' "$path" >"$root/etc/systemd/system/engine-$port.service"
    chroot "$root" systemctl enable -q "engine-$port.socket" 2>/dev/null
}

start() {
    [ -f "$GUEST/disk.img" ] || { say "no image: run '$0 build' first"; exit 1; }
    if [ -f "$GUEST/pid" ] && kill -0 "$(cat "$GUEST/pid")" 2>/dev/null; then say "already running"; exit 1; fi
    local began accel=(-accel tcg,thread=multi -cpu max) forwards="" step
    began=$(date +%s.%N)
    [ -w /dev/kvm ] && [ ! -d /sys/module/kvm_pvm ] && [ -z "${TCG:-}" ] && accel=(-accel kvm -cpu host)
    [ "${accel[1]}" = kvm ] || { say "no usable KVM: emulating (slow; smoke only)"; TRIES=${TRIES:-1200}; }
    for step in "0 2375" "1 2376" "2 2377" "3 2378" "9 22"; do
        forwards="$forwards,hostfwd=tcp:127.0.0.1:$((PORT + ${step% *}))-:${step#* }"
    done
    $NICE qemu-system-x86_64 -M q35 "${accel[@]}" -smp "$CPUS" -m "$MEMORY" -nodefaults -no-user-config -no-reboot \
        -display none -serial "file:$GUEST/console.log" -kernel "$GUEST/vmlinuz" -initrd "$GUEST/initrd.img" \
        -append "root=/dev/vda rw console=ttyS0 quiet systemd.show_status=0 mitigations=off" \
        -drive "file=$GUEST/disk.img,format=raw,if=none,id=d,cache=unsafe,discard=unmap" -device virtio-blk-pci,drive=d \
        -netdev "user,id=n,restrict=on$forwards" -device virtio-net-pci,netdev=n -device virtio-rng-pci \
        -monitor "unix:$GUEST/monitor,server,nowait" -pidfile "$GUEST/pid" </dev/null >"$GUEST/qemu.log" 2>&1 &
    local tries=${TRIES:-240} i
    for ((i = 0; i < tries; i++)); do
        if answers "$PORT"; then
            say "up after $(awk "BEGIN{print $(date +%s.%N) - $began}") s, pid $(cat "$GUEST/pid")"
            for step in 0 1 2 3; do echo "tcp://127.0.0.1:$((PORT + step))"; done
            return
        fi
        if grep -qs 'KVM internal error' "$GUEST/qemu.log"; then break; fi
        if [ $i -gt 10 ] && ! kill -0 "$(cat "$GUEST/pid" 2>/dev/null)" 2>/dev/null; then break; fi
        sleep 0.5
    done
    if grep -qs 'KVM internal error' "$GUEST/qemu.log"; then
        say "KVM cannot run this kernel here (kvm_pvm takes only kernels made for it): booting again by emulation"
        kill "$(cat "$GUEST/pid")"; sleep 1; rm -f "$GUEST/pid"
        TCG=1 TRIES=1200 start
        return
    fi
    say "dockerd in the guest does not answer:"; tail -n 20 -- "$GUEST/qemu.log" "$GUEST/console.log" >&2; exit 1
}

answers() { # one GET /_ping
    timeout 2 bash -c "exec 3<>/dev/tcp/127.0.0.1/$1 && printf 'GET /_ping HTTP/1.0\r\n\r\n' >&3 && grep -q OK <&3" 2>/dev/null
}

guest_shell() {
    ssh -q -i "$GUEST/key" -p $((PORT + 9)) -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o ConnectTimeout=10 \
        root@127.0.0.1 "$@"
}

stop() {
    local pid
    pid=$(cat "$GUEST/pid" 2>/dev/null) || { say "not running"; return; }
    timeout 10 bash -c "$(declare -f guest_shell); GUEST=$GUEST PORT=$PORT guest_shell poweroff" 2>/dev/null || true
    for _ in $(seq 40); do kill -0 "$pid" 2>/dev/null || { rm -f "$GUEST/pid"; say "stopped"; return; }; sleep 0.5; done
    kill "$pid" 2>/dev/null || true
    sleep 1
    kill -9 "$pid" 2>/dev/null || true
    rm -f "$GUEST/pid"
    say "stopped (killed)"
}

case "${1:-}" in
    build) build ;;
    start) start ;;
    all) [ -f "$GUEST/disk.img" ] || build; start ;;
    shell) shift; guest_shell "$@" ;;
    stop) stop ;;
    *) sed -n '2,20p' "$0"; exit 2 ;;
esac
