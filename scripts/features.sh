# To be sourced: the cargo arguments for what this machine's GStreamer has beyond 1.22, in the array `gstreamer_features`.
# The only place that decides it: with 1.24 and newer people are analytics metas, too; with 1.28 and newer vectors as well.
has_gstreamer() { pkg-config --exists "gstreamer-1.0 >= $1" "gstreamer-analytics-1.0 >= $1" 2>/dev/null; }
has_analytics() { has_gstreamer 1.24; }
gstreamer_features=()
for version in 1.28 1.26 1.24; do
    if has_gstreamer "$version"; then
        gstreamer_features=(--features "gst-plugin-reid/v${version/./_}")
        break
    fi
done
