#!/usr/bin/env bash
# Whole pipelines on this machine: the table of docs/benchmarks.md, and the detection pipeline against bare ONNX Runtime.
# Nothing else should run meanwhile. BENCH_SECONDS, BENCH_RUNS: of each measurement, and how many.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/features.sh
page=docs/benchmarks.md
table=$(mktemp)
trap 'rm -f "$table"' EXIT
reidctl bench --runs "${BENCH_RUNS:-3}" --seconds "${BENCH_SECONDS:-3}" --size 640x360,1280x720,1920x1080 --people 3,13 \
    --cameras 1,4,16 | tee "$table"
{ echo; echo "The detection pipeline against bare ONNX Runtime, alternately, medians:"; echo; } >> "$table"
cargo bench --locked "${gstreamer_features[@]}" --bench pipeline 2>/dev/null | sed 's/^/    /' | sed "s|$PWD/||" | tee -a "$table"
awk -v table="$table" '
    /^<!-- begin: make bench -->$/ { print; print ""; while ((getline line < table) > 0) print line; print ""; skipping = 1 }
    /^<!-- end: make bench -->$/ { skipping = 0 }
    !skipping && !/^<!-- begin: make bench -->$/ { print }' "$page" > "$page.draft"
mv "$page.draft" "$page"
echo "written into $page"
