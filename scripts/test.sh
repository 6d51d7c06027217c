#!/usr/bin/env bash
# The tests: unit, property, Harness, models, pipelines and README commands.
set -euo pipefail
cd "$(dirname "$0")/.."
eval "$(scripts/env.sh)"
# A warning of GLib or GStreamer in a test is a fault of ours.
export G_DEBUG=fatal-warnings
# Tests load the plugin that they were built with, never one that is installed.
unset GST_PLUGIN_PATH
export GST_REGISTRY="$PWD/target/test-registry.bin"
# Pipelines load the plugin's library and run reidctl, which only a build puts into their places.
cargo build --locked --workspace --lib --bins --examples
cargo test --locked --workspace --lib --bins --tests --examples --no-fail-fast
cargo test --locked --workspace --doc
