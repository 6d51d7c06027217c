#!/usr/bin/env bash
# Prints what a shell needs so that plain gst-launch-1.0 finds the plugin of this checkout:
#   eval "$(make -s env)"
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/ort-library.sh
root=$PWD
quote() { printf "export %s='%s'\n" "$1" "${2//\'/\'\\\'\'}"; }
quote GST_PLUGIN_PATH "$root/target/gst-plugin${GST_PLUGIN_PATH:+:$GST_PLUGIN_PATH}"
quote PATH "$root/target/release:$PATH"
quote GST_REID_MODELS "${GST_REID_MODELS:-$root/models}"
library=${ORT_DYLIB_PATH:-$(fetched_onnxruntime)}
[ -z "$library" ] || quote ORT_DYLIB_PATH "$library"
