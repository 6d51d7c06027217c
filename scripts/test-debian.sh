#!/usr/bin/env bash
# The tests in a folder with a newer Debian than this machine's: newer versions of GStreamer, and upstream's elements that they have.
#
#   [SUITE=trixie|forky] [DEBIAN_FOLDER=/folder] scripts/test-debian.sh [--test analytics …]
#
# trixie is Debian 13 with GStreamer 1.26 (the default), forky the next one, with 1.28. Makes the folder
# (target/debian-SUITE/root) with debootstrap and binds the checkout and Rust into it: needs root. Arguments are those of one
# `cargo test`, instead of everything. Safe to run again. NEVER delete the folder while something is mounted in it; the mounts go when
# this ends.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
suite=${SUITE:-trixie}
folder=${DEBIAN_FOLDER:-$root/target/debian-$suite/root}
cargo_home=${CARGO_HOME:-$HOME/.cargo}
rustup_home=${RUSTUP_HOME:-$HOME/.rustup}
die() { printf '[%s] %s\n' "$suite" "$*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || die "needs root, for debootstrap, mount and chroot"
command -v debootstrap >/dev/null || die "needs debootstrap: apt-get install debootstrap"

archive=${DEBIAN_ARCHIVE:-http://deb.debian.org/debian}
if [ ! -e "$folder/etc/debian_version" ]; then
    mkdir -p "$folder"
    # An older debootstrap does not know the newest suite, which is made like all others.
    script=()
    if [ ! -e "/usr/share/debootstrap/scripts/$suite" ]; then script=(/usr/share/debootstrap/scripts/sid); fi
    debootstrap --variant=minbase "$suite" "$folder" "$archive" "${script[@]}"
    # No services in here.
    printf '#!/bin/sh\nexit 101\n' >"$folder/usr/sbin/policy-rc.d" && chmod 755 "$folder/usr/sbin/policy-rc.d"
fi

mounts=("$root" "$cargo_home" "$rustup_home")
if [ -d "$root/../shared" ]; then mounts+=("$(cd "$root/../shared" && pwd)"); fi
mounted=()
unmount() {
    local i
    for ((i = ${#mounted[@]} - 1; i >= 0; i--)); do umount "${mounted[i]}"; done
}
trap unmount EXIT
bind() { # what, where; what others have mounted stays theirs
    if mountpoint -q "$folder$2"; then return; fi
    mkdir -p "$folder$2"
    if [ "$1" = proc ]; then mount -t proc proc "$folder$2"; else mount --bind "$1" "$folder$2"; fi
    mounted+=("$folder$2")
}
bind proc /proc
bind /dev /dev
for m in "${mounts[@]}"; do bind "$m" "$m"; done
cp -L /etc/resolv.conf "$folder/etc/resolv.conf"

chroot "$folder" /usr/bin/env HOME=/root SUITE="$suite" CARGO_HOME="$cargo_home" RUSTUP_HOME="$rustup_home" \
    CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/target/debian-$suite/build}" \
    PATH="$cargo_home/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
    "$root/scripts/inside-debian.sh" "$@"
