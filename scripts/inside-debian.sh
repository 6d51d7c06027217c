#!/usr/bin/env bash
# What scripts/test-debian.sh runs inside its folder.
set -euo pipefail
cd "$(dirname "$0")/.."
export DEBIAN_FRONTEND=noninteractive
# Debian has no packages of gst-plugins-rs, whose elements speak ONVIF: two of its plugins are built from crates.io.
upstream=(gst-plugin-analytics@0.15.4 gst-plugin-onvif@0.15.1)
if ! apt-get update -q >/dev/null 2>&1; then
    # The archive of a suite in the making may stand still for longer than its Release file is valid; signatures are checked all the same.
    echo 'Acquire::Check-Valid-Until "false";' >/etc/apt/apt.conf.d/90stale
    apt-get update -q >/dev/null
fi
apt-get install -qy --no-install-recommends ca-certificates gcc libc6-dev pkg-config libcairo2-dev libpango1.0-dev >/dev/null
scripts/setup.sh test
echo "[$SUITE] GStreamer $(pkg-config --modversion gstreamer-1.0)"

build_upstream() { # name@version: its library goes to $plugins
    local name=${1%@*} version=${1#*@} work="$CARGO_TARGET_DIR/upstream"
    mkdir -p "$work/fetch/src" && : >"$work/fetch/src/lib.rs"
    cat >"$work/fetch/Cargo.toml" <<TOML
[package]
name = "fetch"
version = "0.0.0"
edition = "2024"
[dependencies]
$name = "=$version"
[workspace]
TOML
    (cd "$work/fetch" && rm -f Cargo.lock && cargo fetch --quiet)
    cp -r "$CARGO_HOME"/registry/src/*/"$name-$version" "$work/"
    cargo build --locked --lib --manifest-path "$work/$name-$version/Cargo.toml" --target-dir "$work/target"
    cp "$work/target/debug/"libgstrs*.so "$plugins/"
}
plugins="$CARGO_TARGET_DIR/upstream/plugins"
mkdir -p "$plugins"
for one in "${upstream[@]}"; do
    if [ ! -e "$plugins/.$one" ]; then build_upstream "$one" && touch "$plugins/.$one"; fi
done
export GST_REID_UPSTREAM_PLUGINS="$plugins"
scripts/test.sh "$@"
