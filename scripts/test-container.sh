#!/usr/bin/env bash
# Runs the steps of the Containerfile in bare Debian 13 folders, without a container engine: needs root and debootstrap.
#
#   scripts/test-container.sh [FILE.deb]
#
# Builds the package in one folder (with the Rust of this machine), installs it in another, and runs a pipeline there. With FILE.deb the
# first half is left out. The folders are removed at the end, once nothing is mounted in them.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
die() { printf '[container] %s\n' "$*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || die "needs root, for debootstrap, mount and chroot"
command -v debootstrap >/dev/null || die "needs debootstrap: apt-get install debootstrap"
archive=${DEBIAN_ARCHIVE:-http://deb.debian.org/debian}
cargo_home=${CARGO_HOME:-$HOME/.cargo}
rustup_home=${RUSTUP_HOME:-$HOME/.rustup}
work=$root/target/container
mkdir -p "$work"

mounted=()
finish() {
    local i
    for ((i = ${#mounted[@]} - 1; i >= 0; i--)); do umount "${mounted[i]}"; done
    if grep -qF " $work/" /proc/mounts; then die "something is still mounted in $work: it stays"; fi
    rm -rf --one-file-system "$work/build" "$work/run"
}
trap finish EXIT

bare() { # a folder with Debian 13 and nothing else
    local folder=$1
    if [ ! -e "$folder/etc/debian_version" ]; then
        debootstrap --variant=minbase trixie "$folder" "$archive" >/dev/null
        # No services in here.
        printf '#!/bin/sh\nexit 101\n' >"$folder/usr/sbin/policy-rc.d" && chmod 755 "$folder/usr/sbin/policy-rc.d"
    fi
    cp -L /etc/resolv.conf "$folder/etc/resolv.conf"
    bind "$folder" proc /proc
    bind "$folder" /dev /dev
}
bind() { # folder, what, where
    mkdir -p "$1$3"
    if [ "$2" = proc ]; then mount -t proc proc "$1$3"; else mount --bind "$2" "$1$3"; fi
    mounted+=("$1$3")
}
inside() { # folder, command
    local folder=$1
    shift
    chroot "$folder" /usr/bin/env -i HOME=/root LC_ALL=C.UTF-8 CARGO_HOME="$cargo_home" RUSTUP_HOME="$rustup_home" \
        PATH="$cargo_home/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" "$@"
}

package=${1:-}
if [ -z "$package" ]; then
    bare "$work/build"
    bind "$work/build" "$cargo_home" "$cargo_home"
    bind "$work/build" "$rustup_home" "$rustup_home"
    # As COPY takes it: what is committed, and no more.
    mkdir -p "$work/build/source"
    git archive HEAD | tar -x -C "$work/build/source"
    inside "$work/build" /source/scripts/container.sh build
    package=$(echo "$work"/build/source/target/debian/*.deb)
fi
bare "$work/run"
cp scripts/container.sh "$package" "$work/run/tmp/"
inside "$work/run" /tmp/container.sh install "/tmp/$(basename "$package")"
lines=$(inside "$work/run" gst-launch-1.0 -q reidtestsrc num-buffers=50 ! reidbin ! reidpublish ! fakesink | wc -l)
[ "$lines" -gt 10 ] || die "the pipeline wrote $lines lines of JSON"
echo "[container] installed from nothing: $(inside "$work/run" reidctl --version), $lines lines of JSON"
