#!/usr/bin/env bash
# Makes sure that a Docker engine answers; prints the variables that name it, for `eval`. All else goes to stderr.
#
#   eval "$(tests/containers/engine.sh FOLDER)"      uses the engine there is, else starts one under FOLDER
#   tests/containers/engine.sh --stop FOLDER         stops the one that was started there
#
# Starting one needs root and Debian (docker.io, mmdebstrap). It adds no firewall rule: containers see each other and the machine,
# and nothing outside. Where no image can be pulled the base image is made from Debian's packages, with this machine's certificates.
set -euo pipefail

BASE=debian:bookworm-slim
# The newest that `go install` builds, and the first with all that docker-compose.yml says.
COMPOSE=github.com/docker/compose/v2/cmd@v2.28.1

say() {
    printf 'engine: %s\n' "$*" >&2
}

if [ "$1" = --stop ]; then
    folder=$(realpath -m "$2")
    if [ -s "$folder/dockerd.pid" ] && kill "$(cat "$folder/dockerd.pid")" 2>/dev/null; then
        say "stopped"
    fi
    exit 0
fi
folder=$(realpath -m "$1")
mkdir -p "$folder/config/cli-plugins"

if ! docker info >/dev/null 2>&1; then
    export DOCKER_HOST="unix://$folder/docker.sock" DOCKER_CONFIG="$folder/config"
    echo "export DOCKER_HOST=$DOCKER_HOST DOCKER_CONFIG=$DOCKER_CONFIG"
fi
if ! docker info >/dev/null 2>&1; then
    if ! command -v dockerd >/dev/null || ! command -v mmdebstrap >/dev/null; then
        [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || { say "no Docker engine answers; start one"; exit 1; }
        say "installing docker.io mmdebstrap"
        { apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install docker.io mmdebstrap; } \
            >"$folder/apt.log" 2>&1 || { tail -n 15 "$folder/apt.log" >&2; exit 1; }
    fi
    # What a killed engine leaves behind stops the next one.
    rm -f "$folder/dockerd.pid" "$folder/exec/containerd/containerd.pid"
    setsid nohup dockerd --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false --data-root "$folder/data" \
        --exec-root "$folder/exec" --pidfile "$folder/dockerd.pid" -H "$DOCKER_HOST" >"$folder/dockerd.log" 2>&1 </dev/null &
    for _ in $(seq 300); do
        docker info >/dev/null 2>&1 && break
        sleep 0.2
    done
    docker info >/dev/null 2>&1 || { tail -n 5 "$folder/dockerd.log" >&2; exit 1; }
    say "started"
fi

if ! docker compose version >/dev/null 2>&1; then
    plugins=${DOCKER_CONFIG:-$HOME/.docker}/cli-plugins
    mkdir -p "$plugins"
    command -v go >/dev/null || { say "docker compose is missing: install it, or Go to build it"; exit 1; }
    say "building docker compose, once"
    GOBIN="$plugins" go install "$COMPOSE" >"$folder/compose.log" 2>&1 || { tail -n 15 "$folder/compose.log" >&2; exit 1; }
    mv "$plugins/cmd" "$plugins/docker-compose"
fi

if ! docker image inspect $BASE >/dev/null 2>&1 && ! docker pull -q $BASE >/dev/null 2>&1; then
    say "making $BASE from Debian's packages"
    # As the official one: without manuals, translations and lists of packages.
    mmdebstrap --quiet --variant=minbase --include=ca-certificates --aptopt='APT::Install-Recommends "false"' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-include=/usr/share/doc/*/copyright' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/info/*' \
        --customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/* "$1"/var/log/*' \
        --customize-hook='cp -L /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/ca-certificates.crt"' bookworm - |
        docker import - $BASE >/dev/null
fi
