#!/usr/bin/python3
"""An application in Python: prints the people in the picture, from a pad probe.   identities.py [FILE]

The identities are read from the region-of-interest metas that every binding of GStreamer can see.
"""
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstVideo", "1.0")
from gi.repository import Gst, GstVideo  # noqa: E402

Gst.init(None)
source = f'filesrc location="{sys.argv[1]}" ! decodebin ! videoconvert' if len(sys.argv) > 1 else "reidtestsrc num-buffers=300"
pipeline = Gst.parse_launch(
    f"{source} ! queue ! yolodetect ! queue ! reidembed ! queue ! reidtrack gallery=lobby camera=door ! fakesink name=end"
)


def regions(buffer: Gst.Buffer):
    """The regions of interest of a buffer: the plugin numbers them from 1."""
    number = 1
    while (region := GstVideo.buffer_get_video_region_of_interest_meta_id(buffer, number)) is not None:
        yield region
        number += 1


def on_frame(_pad: Gst.Pad, info: Gst.PadProbeInfo) -> Gst.PadProbeReturn:
    """Prints a line for each frame with somebody in it."""
    buffer = info.get_buffer()
    people = []
    for region in regions(buffer):
        reid = region.get_param("reid")
        if reid is not None:
            people.append(f"{reid.get_string('label')} at {region.x},{region.y} {region.w}x{region.h}")
    if people:
        print(f"{buffer.pts / Gst.SECOND:7.2f} s  " + "; ".join(people))
    return Gst.PadProbeReturn.OK


pipeline.get_by_name("end").get_static_pad("sink").add_probe(Gst.PadProbeType.BUFFER, on_frame)
pipeline.set_state(Gst.State.PLAYING)
message = pipeline.get_bus().timed_pop_filtered(Gst.CLOCK_TIME_NONE, Gst.MessageType.EOS | Gst.MessageType.ERROR)
pipeline.set_state(Gst.State.NULL)
if message.type == Gst.MessageType.ERROR:
    error, details = message.parse_error()
    sys.exit(f"{error.message}\n{details}")
