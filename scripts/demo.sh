#!/usr/bin/env bash
# The demo: two cameras side by side, the same person with the same number and colour. CAM0 and CAM1 name real inputs.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p out
rm -f out/demo.mp4 out/demo.jsonl out/cam0.jsonl out/cam1.jsonl
echo "Running pipelines/two-cameras.sh '${CAM0:-}' '${CAM1:-}' out/demo.mp4 out"
FRAMES=${FRAMES:-900} pipelines/two-cameras.sh "${CAM0:-}" "${CAM1:-}" out/demo.mp4 out
reidctl report out/cam0.jsonl out/cam1.jsonl --merged out/demo.jsonl --min-frames 10
ls -l out/demo.mp4 out/demo.jsonl
