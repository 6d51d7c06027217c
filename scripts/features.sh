# To be sourced: the cargo arguments for what this machine's GStreamer has beyond 1.22, in the array `gstreamer_features`.
# The only place that decides it: with 1.24 and newer people are analytics metas, too.
has_analytics() { pkg-config --exists 'gstreamer-1.0 >= 1.24' 'gstreamer-analytics-1.0 >= 1.24' 2>/dev/null; }
gstreamer_features=()
if has_analytics; then gstreamer_features=(--features gst-plugin-reid/v1_24); fi
