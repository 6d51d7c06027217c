#!/usr/bin/env bash
# The tests: unit, property, Harness, models, pipelines and README commands. With arguments, those of one `cargo test`.
set -euo pipefail
cd "$(dirname "$0")/.."
eval "$(scripts/env.sh)"
. scripts/features.sh
# A warning of GLib or GStreamer in a test is a fault of ours.
export G_DEBUG=fatal-warnings
# Tests load the plugin that they were built with, never one that is installed.
unset GST_PLUGIN_PATH
export GST_REGISTRY="$PWD/target/test-registry.bin"
# Pipelines load the plugin's library and run reidctl, which only a build puts into their places.
cargo build --locked --workspace "${gstreamer_features[@]}" --lib --bins --examples
if [ $# -gt 0 ]; then exec cargo test --locked "${gstreamer_features[@]}" "$@"; fi
cargo test --locked --workspace "${gstreamer_features[@]}" --lib --bins --tests --examples --no-fail-fast
cargo test --locked --workspace "${gstreamer_features[@]}" --doc
