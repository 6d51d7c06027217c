#!/usr/bin/env bash
# rustfmt, and clippy with warnings denied for default, all and no features.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo fmt --check
cargo clippy --locked --all-targets -- -D warnings
cargo clippy --locked --all-targets --no-default-features -- -D warnings
if pkg-config --atleast-version=1.24 gstreamer-1.0; then
    cargo clippy --locked --all-targets --all-features -- -D warnings
else
    # clippy links nothing, so the bindings of newer versions can be checked without the libraries
    echo "[lint] GStreamer $(pkg-config --modversion gstreamer-1.0): checking the bindings of newer versions without their libraries"
    export SYSTEM_DEPS_GSTREAMER_1_0_NO_PKG_CONFIG=1 SYSTEM_DEPS_GSTREAMER_1_0_LIB=gstreamer-1.0
    export SYSTEM_DEPS_GSTREAMER_BASE_1_0_NO_PKG_CONFIG=1 SYSTEM_DEPS_GSTREAMER_BASE_1_0_LIB=gstbase-1.0
    export SYSTEM_DEPS_GSTREAMER_VIDEO_1_0_NO_PKG_CONFIG=1 SYSTEM_DEPS_GSTREAMER_VIDEO_1_0_LIB=gstvideo-1.0
    export SYSTEM_DEPS_GSTREAMER_CHECK_1_0_NO_PKG_CONFIG=1 SYSTEM_DEPS_GSTREAMER_CHECK_1_0_LIB=gstcheck-1.0
    export SYSTEM_DEPS_GSTREAMER_ANALYTICS_1_0_NO_PKG_CONFIG=1 SYSTEM_DEPS_GSTREAMER_ANALYTICS_1_0_LIB=gstanalytics-1.0
    cargo clippy --locked --lib --bins --all-features --target-dir target/all-features -- -D warnings
fi
