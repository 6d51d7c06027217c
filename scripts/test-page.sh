#!/usr/bin/env bash
# Walks through the page of `reidctl run` with Chromium: tests/page/walk.js. Screenshots go to out/page/.
#
#   scripts/test-page.sh          builds, installs the two npm packages of tests/page/ if they are missing, walks
#   CHROMIUM=/path/to/chromium    another browser
set -euo pipefail
cd "$(dirname "$0")/.."
skip() { printf 'skipped: %s\n' "$*"; exit 0; }
export CHROMIUM=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || true)}
[ -x "$CHROMIUM" ] || skip "Chromium is missing: install the package chromium, or set CHROMIUM"
command -v node >/dev/null || skip "Node.js is missing: install the packages nodejs and npm"
[ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ] || skip "Node.js is older than 20, which Playwright needs"
if [ ! -d tests/page/node_modules/axe-core ] || [ ! -d tests/page/node_modules/playwright-core ]; then
    command -v npm >/dev/null || skip "npm is missing: install the package npm"
    printf '[test-page] installing playwright-core (drives Chromium) and axe-core (finds faults of accessibility) into tests/page/node_modules\n'
    npm ci --prefix tests/page --ignore-scripts --no-audit --no-fund || skip "the npm packages could not be had"
fi
eval "$(scripts/env.sh)"
. scripts/features.sh
# The elements are part of reidctl; none that is installed is to be looked at.
unset GST_PLUGIN_PATH
export GST_REGISTRY="$PWD/target/test-registry.bin" G_DEBUG=fatal-warnings
cargo build --locked --workspace "${gstreamer_features[@]}" --lib --bins
export EMBEDDER="$PWD/models/reid-compact.onnx"
exec node tests/page/walk.js target/debug/reidctl out/page
