#!/usr/bin/env bash
# Criterion benchmarks and the whole detection pipeline against bare ONNX Runtime. Arguments go to cargo bench.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/features.sh
cargo bench --locked "${gstreamer_features[@]}" "$@"
