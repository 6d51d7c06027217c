#!/usr/bin/env bash
# One camera on the screen.   one-camera.sh [INPUT]
. "$(dirname "$0")/common.sh"
screen
source_of "${1:-}" 0 1
identify lobby camera
exec gst-launch-1.0 -e "${source[@]}" ! "${identify[@]}" ! reidoverlay ! videoconvert ! "${sink[@]}"
