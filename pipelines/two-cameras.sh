#!/usr/bin/env bash
# Two cameras that share a gallery, side by side in one file: a person has the same id and colour in both.
#   two-cameras.sh [INPUT_A [INPUT_B [OUT.mp4 [FOLDER_FOR_JSON]]]]
. "$(dirname "$0")/common.sh"
out=${3:-out/two-cameras.mp4}
# The cameras of the test source see two rooms. TOPOLOGY names the topology file of yours.
[ -n "${1:-}${2:-}" ] || TOPOLOGY=${TOPOLOGY:-$here/two-rooms.toml}
json=${4:-$(dirname "$out")}
mkdir -p "$json"
mp4 "$out"
view=(reidoverlay ! videoconvert ! videoscale add-borders=true ! video/x-raw,width=640,height=480,pixel-aspect-ratio=1/1 ! queue)
line=(compositor name=mix background=black sink_0::xpos=0 sink_1::xpos=640 ! "${mp4[@]}")
for i in 0 1; do
    source_of "${@:i+1:1}" "$i" 2
    identify lobby "cam$i"
    line+=("${source[@]}" ! "${identify[@]}" ! reidpublish "location=$json/cam$i.jsonl" ! "${view[@]}" ! "mix.sink_$i")
done
exec gst-launch-1.0 -e "${line[@]}"
