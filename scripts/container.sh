#!/usr/bin/env bash
# The steps of the Containerfile, which also run in a bare Debian 13 folder (scripts/test-container.sh).
#
#   scripts/container.sh build              # in a checkout with Rust: the package, in target/debian
#   scripts/container.sh install FILE.deb   # in a bare Debian 13: the package, ONNX Runtime and GStreamer's plugins
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
die() { printf '[container] %s\n' "$*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || die "needs root: it installs packages"

build() {
    cd "$(dirname "$0")/.."
    command -v cargo >/dev/null || die "Rust is missing: the Containerfile begins with an image that has it"
    apt-get update -q >/dev/null
    # dpkg-dev finds the libraries that the package depends on.
    apt-get install -qy --no-install-recommends ca-certificates make dpkg-dev >/dev/null
    make deb
}

install_package() {
    local file
    file=$(realpath "$1")
    [ -f "$file" ] || die "there is no package $1: run the step build first"
    apt-get update -q >/dev/null
    # What the package recommends is what its first pipelines need: ONNX Runtime and GStreamer's plugins. What those recommend is not.
    local recommended
    mapfile -t recommended < <(dpkg-deb -f "$file" Recommends | tr ',' '\n' | awk '{print $1}')
    apt-get install -qy --no-install-recommends "$file" "${recommended[@]}" >/dev/null
    apt-get clean
    rm -rf /var/lib/apt/lists/*
    reidctl doctor
}

case ${1:-} in
build) build ;;
install) [ $# = 2 ] || die "usage: container.sh install FILE.deb"; install_package "$2" ;;
*) die "usage: container.sh build | install FILE.deb" ;;
esac
