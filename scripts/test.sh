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
# The pipelines load the plugin's library, which only a build puts into its place.
cargo build --locked --lib --bins --examples
cargo test --locked --lib --bins --tests --examples --no-fail-fast
cargo test --locked --doc
