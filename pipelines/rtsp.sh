#!/usr/bin/env bash
# A network camera on the screen with low latency: a full queue drops its oldest frame instead of waiting, so the
# picture never lags behind.   rtsp.sh [rtsp://camera/stream]    Without a URL it starts a camera of its own.
. "$(dirname "$0")/common.sh"
screen
url=${1:-}
if [ -z "$url" ]; then
    url=rtsp://127.0.0.1:${PORT:-8554}/camera
    "$here/rtsp-camera.py" "${PORT:-8554}" &
    camera=$!
    trap 'kill $camera 2>/dev/null' EXIT
    sleep 2
fi
fresh=(queue leaky=downstream max-size-buffers=1 max-size-bytes=0 max-size-time=0)
gst-launch-1.0 -e rtspsrc "location=$url" latency=100 drop-on-latency=true ! decodebin ! videoconvert \
    ! "${fresh[@]}" ! yolodetect ! "${fresh[@]}" ! reidembed ! reidtrack gallery=lobby camera=door \
    ! reidoverlay ! videoconvert ! "${sink[@]}"
