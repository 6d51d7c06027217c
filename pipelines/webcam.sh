#!/usr/bin/env bash
# A local camera on the screen.   webcam.sh [/dev/video0]    Without one it uses the test source, live.
. "$(dirname "$0")/common.sh"
screen
device=${1:-/dev/video0}
if [ -e "$device" ]; then source_of "$device" 0 1; else
    echo "$device is not there: using the test source" >&2
    source=(reidtestsrc is-live=true "num-buffers=$FRAMES")
fi
identify lobby desk
exec gst-launch-1.0 -e "${source[@]}" ! "${identify[@]}" ! reidoverlay ! videoconvert ! "${sink[@]}"
