# Sourced by the scripts beside it: how an input is named and where the picture goes.
#
# An input is a file, a URL (rtsp://, http://), a camera device (/dev/video0), or nothing for the test source.
# FRAMES (300) limits the test source; SINK is what shows the picture (autovideosink, fakesink without a display).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# Without a version --exists asks for GStreamer's own, which plugins outside its tree do not have.
have_plugin() { gst-inspect-1.0 --exists --atleast-version=0.1 reidtrack 2>/dev/null; }
if ! have_plugin; then
    # In a checkout the plugin lies where `make build` has put it.
    [ -x "$here/../scripts/env.sh" ] && eval "$("$here/../scripts/env.sh")"
    have_plugin || {
        echo "GStreamer does not find the plugin 'reid': run 'make build' first, or 'reidctl doctor' for more" >&2
        exit 1
    }
fi

FRAMES=${FRAMES:-300}

# screen: sets the array `sink`, what shows the picture.
screen() {
    if [ -z "${SINK:-}" ]; then
        if [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ]; then SINK=autovideosink; else
            echo "no display: the picture goes nowhere (set SINK to something else)" >&2
            SINK="fakesink sync=true"
        fi
    fi
    read -ra sink <<<"$SINK"
}

# source_of INPUT INDEX COUNT: sets the array `source`, raw video of camera INDEX of COUNT.
source_of() {
    case ${1:-} in
    '') source=(reidtestsrc "camera=$2" "cameras=$3" "num-buffers=$FRAMES") ;;
    rtsp://*) source=(rtspsrc "location=$1" latency=100 ! decodebin ! videoconvert) ;;
    *://*) source=(uridecodebin "uri=$1" ! videoconvert) ;;
    /dev/video*) source=(v4l2src "device=$1" ! decodebin ! videoconvert) ;;
    *)
        [ -r "$1" ] || { echo "$1 is not a readable file" >&2; exit 1; }
        source=(filesrc "location=$1" ! decodebin ! videoconvert)
        ;;
    esac
}

# identify GALLERY CAMERA: sets the array `identify`, the elements that find, describe and recognise people. The queues
# let them work at the same time. TOPOLOGY names a file that says where the cameras are.
identify() {
    identify=(queue ! yolodetect ! queue ! reidembed ! queue ! reidtrack "gallery=$1" "camera=$2")
    [ -z "${TOPOLOGY:-}" ] || identify+=("topology=$TOPOLOGY")
}

# mp4 FILE: sets the array `mp4`, raw video into a file.
mp4() {
    mkdir -p "$(dirname "$1")"
    mp4=(queue ! videoconvert ! x264enc speed-preset=veryfast tune=zerolatency ! h264parse ! mp4mux ! filesink "location=$1")
}
