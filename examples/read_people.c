/* Reads people out of a running pipeline in C, without a header or library of this plugin: ids, names, boxes and vectors from
 * region-of-interest metas, the same ids from analytics metas where GStreamer has them (1.24 and newer), news from the bus.
 *
 *   gcc examples/read_people.c -o read_people $(pkg-config --cflags --libs gstreamer-video-1.0)
 *   gcc -DWITH_ANALYTICS examples/read_people.c -o read_people \
 *       $(pkg-config --cflags --libs gstreamer-video-1.0 gstreamer-analytics-1.0)
 *   ./read_people "reidtestsrc num-buffers=300 ! reidbin track::add-embeddings=true ! fakesink name=end"
 *
 * The launch line names the element whose input is read `end`. */
#include <gst/gst.h>
#include <gst/video/video.h>
#ifdef WITH_ANALYTICS
#include <gst/analytics/analytics.h>
#endif

/* The vector of appearance, which is there with add-embeddings=true: numbers of the length 1 when taken together. Biometric data. */
static const gfloat *
embedding_of (GstVideoRegionOfInterestMeta * region, gsize * length)
{
  GstStructure *param = gst_video_region_of_interest_meta_get_param (region, "embedding");
  const GValue *data = param ? gst_structure_get_value (param, "data_buffer") : NULL;

  *length = 0;
  if (!data || !G_VALUE_HOLDS_VARIANT (data))
    return NULL;
  gsize bytes = 0;
  const gfloat *values = g_variant_get_fixed_array (g_value_get_variant (data), &bytes, 1);
  *length = bytes / sizeof (gfloat);
  return values;
}

static void
read_region (GstVideoRegionOfInterestMeta * region, GstClockTime time)
{
  GstStructure *reid = gst_video_region_of_interest_meta_get_param (region, "reid");
  gint id = 0;

  /* Regions of others, and people who carry no id yet. */
  if (!reid || !gst_structure_get_int (reid, "global_id", &id))
    return;
  g_print ("region %" GST_TIME_FORMAT " id %d name %s camera %s at %u,%u %ux%u", GST_TIME_ARGS (time), id,
      gst_structure_get_string (reid, "label"), gst_structure_get_string (reid, "camera"),
      region->x, region->y, region->w, region->h);
  gsize length;
  const gfloat *values = embedding_of (region, &length);
  gdouble sum = 0;
  for (gsize i = 0; i < length; i++)
    sum += values[i] * values[i];
  if (length > 0)
    g_print (" vector of %" G_GSIZE_FORMAT " numbers, length %.2f", length, sum);
  g_print ("\n");
}

#ifdef WITH_ANALYTICS
static void
read_analytics (GstBuffer * buffer)
{
  GstAnalyticsRelationMeta *meta = gst_buffer_get_analytics_relation_meta (buffer);
  gpointer state = NULL;
  GstAnalyticsMtd found;

  while (meta && gst_analytics_relation_meta_iterate (meta, &state, gst_analytics_od_mtd_get_mtd_type (), &found)) {
    gint x, y, w, h;
    gfloat confidence;
    guint64 id;
    GstClockTime first, last;
    gboolean lost;
    gpointer related = NULL;
    GstAnalyticsTrackingMtd tracking;

    gst_analytics_od_mtd_get_location ((GstAnalyticsODMtd *) & found, &x, &y, &w, &h, &confidence);
    while (gst_analytics_relation_meta_get_direct_related (meta, found.id, GST_ANALYTICS_REL_TYPE_RELATE_TO,
            gst_analytics_tracking_mtd_get_mtd_type (), &related, (GstAnalyticsMtd *) & tracking)) {
      gst_analytics_tracking_mtd_get_info (&tracking, &id, &first, &last, &lost);
      g_print ("analytics id %" G_GUINT64_FORMAT " at %d,%d %dx%d confidence %.2f\n", id, x, y, w, h, confidence);
    }
  }
}
#endif

static GstPadProbeReturn
on_buffer (GstPad * pad, GstPadProbeInfo * info, gpointer data)
{
  GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER (info);
  gpointer state = NULL;
  GstMeta *meta;

  while ((meta = gst_buffer_iterate_meta_filtered (buffer, &state, GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE)))
    read_region ((GstVideoRegionOfInterestMeta *) meta, GST_BUFFER_PTS (buffer));
#ifdef WITH_ANALYTICS
  read_analytics (buffer);
#endif
  return GST_PAD_PROBE_OK;
}

/* reid-identity-new, -matched, -merged, -split, -corrected, -lost, -left. */
static void
read_message (GstMessage * message)
{
  const GstStructure *news = gst_message_get_structure (message);

  if (news && g_str_has_prefix (gst_structure_get_name (news), "reid-identity-")) {
    gchar *text = gst_structure_to_string (news);
    g_print ("message %s\n", text);
    g_free (text);
  }
}

int
main (int argc, char **argv)
{
  GError *error = NULL;
  gboolean runs = TRUE;
  int code = 0;

  gst_init (&argc, &argv);
  if (argc != 2) {
    g_printerr ("usage: %s LAUNCH-LINE\n", argv[0]);
    return 2;
  }
  GstElement *pipeline = gst_parse_launch (argv[1], &error);
  if (error) {
    g_printerr ("%s\n", error->message);
    return 1;
  }
  GstElement *end = gst_bin_get_by_name (GST_BIN (pipeline), "end");
  if (!end) {
    g_printerr ("no element of the launch line has name=end\n");
    return 1;
  }
  GstPad *pad = gst_element_get_static_pad (end, "sink");
  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, on_buffer, NULL, NULL);
  gst_object_unref (pad);
  gst_object_unref (end);

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  GstBus *bus = gst_element_get_bus (pipeline);
  while (runs) {
    GstMessage *message = gst_bus_timed_pop_filtered (bus, GST_CLOCK_TIME_NONE,
        GST_MESSAGE_EOS | GST_MESSAGE_ERROR | GST_MESSAGE_ELEMENT);
    switch (GST_MESSAGE_TYPE (message)) {
      case GST_MESSAGE_ELEMENT:
        read_message (message);
        break;
      case GST_MESSAGE_ERROR:
        gst_message_parse_error (message, &error, NULL);
        g_printerr ("%s\n", error->message);
        g_error_free (error);
        code = 1;
        runs = FALSE;
        break;
      default:
        runs = FALSE;
    }
    gst_message_unref (message);
  }
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (bus);
  gst_object_unref (pipeline);
  return code;
}
