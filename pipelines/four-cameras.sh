#!/usr/bin/env bash
# Four cameras in a mosaic that share a gallery.   four-cameras.sh [A [B [C [D [OUT.mp4]]]]]
. "$(dirname "$0")/common.sh"
mp4 "${5:-out/four-cameras.mp4}"
view=(reidoverlay ! videoconvert ! videoscale add-borders=true ! video/x-raw,width=640,height=480,pixel-aspect-ratio=1/1 ! queue)
line=(compositor name=mix background=black
    sink_1::xpos=640 sink_2::ypos=480 sink_3::xpos=640 sink_3::ypos=480 ! "${mp4[@]}")
for i in 0 1 2 3; do
    source_of "${@:i+1:1}" "$i" 4
    identify lobby "cam$i"
    line+=("${source[@]}" ! "${identify[@]}" ! "${view[@]}" ! "mix.sink_$i")
done
exec gst-launch-1.0 -e "${line[@]}"
