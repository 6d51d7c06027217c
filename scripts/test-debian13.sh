#!/usr/bin/env bash
# The tests in a Debian 13 folder, with GStreamer 1.26: analytics metas, and the elements of upstream's that read them.
#
#   [DEBIAN13=/folder] scripts/test-debian13.sh [--test analytics …]
#
# Makes the folder (target/debian13/root) with debootstrap and binds the checkout and Rust into it: needs root. Arguments are those of
# one `cargo test`, instead of everything. Safe to run again. NEVER delete the folder while something is mounted
# in it; the mounts go when this ends.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
folder=${DEBIAN13:-$root/target/debian13/root}
cargo_home=${CARGO_HOME:-$HOME/.cargo}
rustup_home=${RUSTUP_HOME:-$HOME/.rustup}
die() { printf '[debian13] %s\n' "$*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || die "needs root, for debootstrap, mount and chroot"
command -v debootstrap >/dev/null || die "needs debootstrap: apt-get install debootstrap"

archive=${DEBIAN_ARCHIVE:-http://deb.debian.org/debian}
if [ ! -e "$folder/etc/debian_version" ]; then
    mkdir -p "$folder"
    debootstrap --variant=minbase trixie "$folder" "$archive"
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

chroot "$folder" /usr/bin/env HOME=/root CARGO_HOME="$cargo_home" RUSTUP_HOME="$rustup_home" \
    CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/target/debian13/build}" \
    PATH="$cargo_home/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
    "$root/scripts/inside-debian13.sh" "$@"
