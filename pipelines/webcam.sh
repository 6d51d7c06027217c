#!/usr/bin/env bash
# A camera at this machine to the screen.   webcam.sh [/dev/video0]    Without one the test source stands in, live.
. "$(dirname "$0")/common.sh"
screen
device=${1:-/dev/video0}
if [ -e "$device" ]; then source_of "$device" 0 1; else
    echo "$device is not there: using the test source" >&2
    source=(reidtestsrc is-live=true "num-buffers=$FRAMES")
fi
identify lobby desk
exec gst-launch-1.0 -e "${source[@]}" ! "${identify[@]}" ! reidoverlay ! videoconvert ! "${sink[@]}"
