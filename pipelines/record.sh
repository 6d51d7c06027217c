#!/usr/bin/env bash
# Records one camera with annotations, and the people as JSON lines.   record.sh [INPUT [OUT.mp4 [OUT.jsonl]]]
. "$(dirname "$0")/common.sh"
source_of "${1:-}" 0 1
identify lobby camera
mp4 "${2:-out/annotated.mp4}"
exec gst-launch-1.0 -e "${source[@]}" ! "${identify[@]}" ! reidpublish "location=${3:-out/annotated.jsonl}" ! reidoverlay ! "${mp4[@]}"
