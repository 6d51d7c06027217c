#!/usr/bin/python3
"""Reads people out of a running pipeline: ids, names, boxes, vectors and news.   read_people.py [LAUNCH-LINE]

Nothing of this plugin is imported. Ids, names, boxes and vectors are parameters of region-of-interest metas, the ids again in
analytics metas where GStreamer and its introspection data have them (1.24 and newer), news are messages on the bus. The element
whose input is read is called `end` in the launch line. Vectors are there with `add-embeddings=true`; they are biometric data.
"""
import struct
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstVideo", "1.0")
from gi.repository import Gst, GstVideo  # noqa: E402

try:
    gi.require_version("GstAnalytics", "1.0")
    from gi.repository import GstAnalytics
except (ValueError, ImportError):
    GstAnalytics = None

LINE = "reidtestsrc num-buffers=300 ! reidbin track::add-embeddings=true ! fakesink name=end"


def regions(buffer: Gst.Buffer):
    """The regions of interest of a buffer: the plugin numbers them from 1."""
    number = 1
    while (region := GstVideo.buffer_get_video_region_of_interest_meta_id(buffer, number)) is not None:
        yield region
        number += 1


def vector(region: GstVideo.VideoRegionOfInterestMeta) -> tuple[float, ...]:
    """The vector of appearance; empty where there is none."""
    param = region.get_param("embedding")
    if param is None:
        return ()
    data = param.get_value("data_buffer").get_data_as_bytes().get_data()
    return struct.unpack(f"={len(data) // 4}f", data)


def read_regions(buffer: Gst.Buffer) -> None:
    for region in regions(buffer):
        reid = region.get_param("reid")
        if reid is None:
            continue
        _, number = reid.get_int("global_id")
        values = vector(region)
        appearance = f" vector of {len(values)} numbers, length {sum(v * v for v in values):.2f}" if values else ""
        print(
            f"region {buffer.pts / Gst.SECOND:.2f} id {number} name {reid.get_string('label')} camera {reid.get_string('camera')}"
            f" at {region.x},{region.y} {region.w}x{region.h}{appearance}"
        )


def read_analytics(buffer: Gst.Buffer) -> None:
    meta = GstAnalytics.buffer_get_analytics_relation_meta(buffer)
    for entry in meta or ():
        if isinstance(entry, GstAnalytics.TrackingMtd):
            _, number, *_ = entry.get_info()
            print(f"analytics id {number}")


def on_frame(_pad: Gst.Pad, info: Gst.PadProbeInfo) -> Gst.PadProbeReturn:
    buffer = info.get_buffer()
    read_regions(buffer)
    if GstAnalytics is not None:
        read_analytics(buffer)
    return Gst.PadProbeReturn.OK


def main() -> None:
    Gst.init(None)
    pipeline = Gst.parse_launch(sys.argv[1] if len(sys.argv) > 1 else LINE)
    pipeline.get_by_name("end").get_static_pad("sink").add_probe(Gst.PadProbeType.BUFFER, on_frame)
    pipeline.set_state(Gst.State.PLAYING)
    kinds = Gst.MessageType.EOS | Gst.MessageType.ERROR | Gst.MessageType.ELEMENT
    while True:
        message = pipeline.get_bus().timed_pop_filtered(Gst.CLOCK_TIME_NONE, kinds)
        if message.type != Gst.MessageType.ELEMENT:
            break
        news = message.get_structure()
        if news is not None and news.get_name().startswith("reid-identity-"):
            print("message", news.to_string())
    pipeline.set_state(Gst.State.NULL)
    if message.type == Gst.MessageType.ERROR:
        error, details = message.parse_error()
        sys.exit(f"{error.message}\n{details}")


main()
