#!/bin/bash
# A second Docker engine beside the one that runs, to try the runner on: its own folder, socket, network off, nothing shared.
#
#   second_engine.sh start [plain|userns|tls]   starts it in the background, prints what to set (DOCKER_HOST and such)
#   second_engine.sh stop                       ends it, by its pid
#
# plain    on a unix socket and on tcp://127.0.0.1:$PORT
# userns   the same, containers in a user namespace (--userns-remap=default)
# tls      tcp://127.0.0.1:$PORT asks for TLS, by an authority made here with openssl; the client's certificates in $ENGINE/tls
#
# Each has the runtimes runc, crun (Debian: crun) and runsc (Debian: runsc), where they are installed. crun refuses a host that
# has version 1 and 2 of control groups at once, so version 2 is hidden from this engine. Needs root, dockerd and, for tls, openssl.
set -euo pipefail
ENGINE=${ENGINE:-${TMPDIR:-/tmp}/second_engine}
PORT=${PORT:-23761}

certificates() {
    mkdir -p "$ENGINE/tls"
    cd "$ENGINE/tls"
    openssl req -x509 -newkey rsa:2048 -nodes -keyout ca-key.pem -out ca.pem -days 2 -subj /CN=second-engine 2>/dev/null
    local side
    for side in server client; do
        openssl req -newkey rsa:2048 -nodes -keyout $side-key.pem -out $side.csr -subj /CN=$side 2>/dev/null
        printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=%sAuth\n' $side >extensions
        openssl x509 -req -in $side.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -out $side.pem -days 2 -extfile extensions 2>/dev/null
    done
    cp client.pem cert.pem
    cp client-key.pem key.pem
    cd - >/dev/null
}

# An engine without a network removes the first engine's bridge as it starts, which then builds no image with a network.
give_back_bridge() {
    if [ -n "$1" ] && [ ! -e /sys/class/net/docker0 ]; then
        ip link add docker0 type bridge
        ip address add "$1" dev docker0
        ip link set docker0 up
    fi
}

start() {
    local kind=${1:-plain} more=() runtimes=() bridge
    bridge=$(ip -oneline -4 address show dev docker0 2>/dev/null | awk '{print $4}')
    mkdir -p "$ENGINE"
    case $kind in
        plain) ;;
        userns) more=(--userns-remap=default) ;;
        tls)
            certificates
            more=(--tlsverify --tlscacert="$ENGINE/tls/ca.pem" --tlscert="$ENGINE/tls/server.pem" --tlskey="$ENGINE/tls/server-key.pem")
            ;;
        *) sed -n '2,14p' "$0"; exit 2 ;;
    esac
    command -v crun >/dev/null && runtimes+=(--add-runtime "crun=$(command -v crun)")
    if command -v runsc >/dev/null; then
        printf '#!/bin/sh\nexec %s --network=none --platform=ptrace "$@"\n' "$(command -v runsc)" >"$ENGINE/runsc"
        chmod +x "$ENGINE/runsc"
        runtimes+=(--add-runtime "runsc=$ENGINE/runsc")
    fi
    echo '{}' >"$ENGINE/daemon.json"
    setsid unshare --mount bash -c 'mount --make-rprivate /; umount /sys/fs/cgroup/unified 2>/dev/null; exec "$@"' - \
        dockerd --config-file "$ENGINE/daemon.json" --data-root "$ENGINE/data" --exec-root "$ENGINE/exec" --pidfile "$ENGINE/pid" \
        --bridge=none --iptables=false --ip-forward=false --ip-masq=false --cgroup-parent=/second_engine \
        -H "unix://$ENGINE/socket" -H "tcp://127.0.0.1:$PORT" "${runtimes[@]}" "${more[@]}" </dev/null >"$ENGINE/log" 2>&1 &
    local i
    for ((i = 0; i < 120; i++)); do
        if grep -q 'API listen on 127' "$ENGINE/log"; then
            give_back_bridge "$bridge"
            [ "$kind" = tls ] && echo "export DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH=$ENGINE/tls"
            echo "export DOCKER_HOST=tcp://127.0.0.1:$PORT    # or unix://$ENGINE/socket"
            return
        fi
        sleep 0.5
    done
    tail -n 5 -- "$ENGINE/log" >&2
    exit 1
}

stop() {
    kill "$(cat "$ENGINE/pid")"
}

case "${1:-}" in
    start) start "${2:-}" ;;
    stop) stop ;;
    *) sed -n '2,14p' "$0"; exit 2 ;;
esac
