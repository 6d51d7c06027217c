#!/usr/bin/env bash
# One camera into two files: original and annotated.   record-both.sh [INPUT [ORIGINAL.mp4 [ANNOTATED.mp4]]]
. "$(dirname "$0")/common.sh"
source_of "${1:-}" 0 1
identify lobby camera
mp4 "${2:-out/original.mp4}"
original=("${mp4[@]}")
mp4 "${3:-out/annotated.mp4}"
exec gst-launch-1.0 -e "${source[@]}" ! tee name=t \
    t. ! "${original[@]}" \
    t. ! "${identify[@]}" ! reidoverlay ! "${mp4[@]}"
