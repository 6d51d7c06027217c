#!/usr/bin/env bash
# rustfmt, the documentation, and clippy with warnings denied for default, all, no and single features, for every package.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo fmt --all --check
cargo clippy --locked --workspace --all-targets -- -D warnings
RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --workspace
cargo clippy --locked --workspace --all-targets --no-default-features -- -D warnings
for feature in sqlite postgres mqtt; do
    cargo clippy --locked --lib --no-default-features --features "$feature" -- -D warnings
done
. scripts/features.sh
if has_analytics; then
    cargo clippy --locked --workspace --all-targets --all-features -- -D warnings
else
    # clippy links nothing, so the bindings of newer versions can be checked without the libraries
    echo "[lint] GStreamer $(pkg-config --modversion gstreamer-1.0): checking the bindings of newer versions without their libraries"
    export SYSTEM_DEPS_GSTREAMER_1_0_NO_PKG_CONFIG=1 SYSTEM_DEPS_GSTREAMER_1_0_LIB=gstreamer-1.0
    export SYSTEM_DEPS_GSTREAMER_BASE_1_0_NO_PKG_CONFIG=1 SYSTEM_DEPS_GSTREAMER_BASE_1_0_LIB=gstbase-1.0
    export SYSTEM_DEPS_GSTREAMER_VIDEO_1_0_NO_PKG_CONFIG=1 SYSTEM_DEPS_GSTREAMER_VIDEO_1_0_LIB=gstvideo-1.0
    export SYSTEM_DEPS_GSTREAMER_CHECK_1_0_NO_PKG_CONFIG=1 SYSTEM_DEPS_GSTREAMER_CHECK_1_0_LIB=gstcheck-1.0
    export SYSTEM_DEPS_GSTREAMER_ANALYTICS_1_0_NO_PKG_CONFIG=1 SYSTEM_DEPS_GSTREAMER_ANALYTICS_1_0_LIB=gstanalytics-1.0
    cargo clippy --locked --workspace --lib --bins --all-features --target-dir target/all-features -- -D warnings
fi
