#!/bin/sh
# What this machine lacks, installed where that is possible, named where it is not.
#
#   prepare.sh python PYTHON    prints a Python that can make the product's environment
#   prepare.sh triton PYTHON    prints a Python that Triton's stub can embed, or nothing (inference then runs in-process)
#   prepare.sh browser PYTHON   makes sure that the tests find Chromium
#   prepare.sh servers          makes sure that Java, Maven and Go are there: they fetch and run the servers
#   prepare.sh curl             makes sure that the tests find curl, one of the senders they try
#   prepare.sh dicom            makes sure that the tests find DCMTK and dicom3tools, which judge the DICOM objects we make
#
# Packages are installed on Debian and Ubuntu as root only, each named first. Answers go to stdout, all that is said to stderr.
set -eu

say() {
    printf 'prepare: %s\n' "$*" >&2
}

can_install() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null
}

# Installs the packages, or fails after the last lines of what apt said.
install() {
    say "installing $*"
    log=$(mktemp)
    # A mirror that does not answer matters only if the packages then cannot be had.
    DEBIAN_FRONTEND=noninteractive apt-get --quiet update >"$log" 2>&1 || say "apt-get update reported errors"
    if DEBIAN_FRONTEND=noninteractive apt-get --quiet --yes --no-install-recommends install "$@" >>"$log" 2>&1; then
        rm -f "$log"
    else
        tail -n 15 "$log" >&2
        rm -f "$log"
        return 1
    fi
}

# Is $1 a Python of a version that the product runs on?
supported() {
    command -v "$1" >/dev/null && "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null
}

# Can $1 make an environment with pip in it? Debian ships that part of the standard library apart.
makes_environments() {
    "$1" -c 'import ensurepip, venv' 2>/dev/null
}

# Can Triton's stub embed $1? It loads the shared libpython of the same build; the stub for 3.13 carries its own.
embeddable() {
    supported "$1" && "$1" - <<'PYTHON'
import pathlib, sys, sysconfig
library = pathlib.Path(sysconfig.get_config_var("LIBDIR") or "", "libpython%d.%d.so.1.0" % sys.version_info[:2])
sys.exit(not (library.exists() or sys.version_info[:2] == (3, 13)))
PYTHON
}

first_supported() {
    for candidate in "$@"; do
        if supported "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

prepare_python() {
    if ! python=$(first_supported "$1" python3.13 python3.12 python3.11); then
        if ! can_install || ! install python3 python3-venv || ! python=$(first_supported /usr/bin/python3); then
            say "Python 3.11, 3.12 or 3.13 is needed. Install one and name it: make PYTHON=/path/to/python3.12 ..."
            return 1
        fi
    fi
    if ! makes_environments "$python"; then
        package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
        if ! can_install || ! install "$package"; then
            say "$python cannot make environments. On Debian and Ubuntu: apt-get install $package"
            return 1
        fi
    fi
    echo "$python"
}

prepare_triton() {
    case "$(uname -s)-$(uname -m)" in
        Linux-x86_64 | Linux-aarch64) ;;
        *)
            say "there is no Triton server for $(uname -s) $(uname -m) outside a container: inference runs in-process (ONNX Runtime)"
            return
            ;;
    esac
    for python in "$1" /usr/bin/python3; do
        if embeddable "$python"; then
            command -v "$python"
            return
        fi
    done
    packages="python3 libpython3"
    if supported /usr/bin/python3; then
        packages=$(/usr/bin/python3 -c 'import sys; print("libpython%d.%d" % sys.version_info[:2])')
    fi
    # shellcheck disable=SC2086  # one or two words
    if can_install && install $packages && embeddable /usr/bin/python3; then
        echo /usr/bin/python3
        return
    fi
    say "Triton's stub needs a shared libpython (Debian, Ubuntu: apt-get install $packages)."
    say "Until then inference runs in-process (ONNX Runtime), and the summary says so."
}

prepare_browser() {
    for candidate in chromium chromium-browser google-chrome; do
        if command -v "$candidate" >/dev/null; then
            return
        fi
    done
    if "$1" - <<'PYTHON'
import pathlib, sys
from playwright.sync_api import sync_playwright
with sync_playwright() as playwright:
    sys.exit(not pathlib.Path(playwright.chromium.executable_path).exists())
PYTHON
    then
        return
    fi
    # Ubuntu's package named chromium installs a snap, which does not run in containers.
    if can_install && grep -q '^ID=debian' /etc/os-release && install chromium; then
        return
    fi
    if can_install && say "installing Chromium through playwright" && "$1" -m playwright install --with-deps chromium >&2; then
        return
    fi
    say "The portal's browser tests need Chromium: install it, or run: $1 -m playwright install chromium"
}

# Is there a Java that Kafka 4 runs on?
has_java() {
    java=java
    [ -z "${JAVA_HOME-}" ] || java=$JAVA_HOME/bin/java
    version=$("$java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p') || return 1
    [ "${version:-0}" -ge 17 ]
}

prepare_servers() {
    if ! has_java; then
        # Java 17 is what Cassandra 5 is tested on; a distribution without it has a newer one.
        packages=default-jdk-headless
        ! can_install || apt-get --quiet update >/dev/null 2>&1 || true
        if apt-cache show openjdk-17-jdk-headless >/dev/null 2>&1; then
            packages=openjdk-17-jdk-headless
        fi
        if ! can_install || ! install "$packages" || ! has_java; then
            say "The servers need Java 17 (Debian, Ubuntu: apt-get install openjdk-17-jdk-headless)."
        fi
    fi
    if ! command -v mvn >/dev/null && { ! can_install || ! install maven; }; then
        say "Maven fetches the servers (Debian, Ubuntu: apt-get install maven)."
    fi
    if ! command -v go >/dev/null && { ! can_install || ! install golang; }; then
        say "Go builds the S3 server (Debian, Ubuntu: apt-get install golang)."
    fi
}

prepare_curl() {
    if command -v curl >/dev/null || { can_install && install curl; }; then
        return
    fi
    say "The gateway's tests send with curl as well: install it (Debian, Ubuntu: apt-get install curl)"
}

prepare_dicom() {
    packages=""
    { command -v dsrdump && command -v dcmdump; } >/dev/null || packages=dcmtk
    command -v dciodvfy >/dev/null || packages="$packages dicom3tools"
    # shellcheck disable=SC2086  # one or two words
    if [ -z "$packages" ] || { can_install && install $packages; }; then
        return
    fi
    say "The tests of result documents need $packages: install it (Debian, Ubuntu: apt-get install $packages)"
}

case "${1-}" in
    python) prepare_python "$2" ;;
    triton) prepare_triton "$2" ;;
    browser) prepare_browser "$2" ;;
    servers) prepare_servers ;;
    curl) prepare_curl ;;
    dicom) prepare_dicom ;;
    *)
        say "usage: prepare.sh python|triton|browser PYTHON, or prepare.sh servers|curl|dicom"
        exit 2
        ;;
esac
