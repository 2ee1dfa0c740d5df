/* SPDX-License-Identifier: Apache-2.0 */
/* The elements as a plug-in of GStreamer, so that templates can be tried without the media centre.
 * Where the process has them already, it is the media centre itself, and keeps its own. */
#include "pipelines/wmcf-mix.h"
#include "pipelines/wmcf-sink.h"
#include "pipelines/wmcf-src.h"

#define PACKAGE "wmcf"

static gboolean init(GstPlugin *plugin)
{
    if (g_type_from_name("WmcfSink") || g_type_from_name("WmcfSrc"))
        return TRUE;
    return gst_element_register(plugin, WMCF_MIX_NAME, GST_RANK_NONE, WMCF_TYPE_MIX) &&
           gst_element_register(plugin, WMCF_SINK_NAME, GST_RANK_NONE, WMCF_TYPE_SINK) &&
           gst_element_register(plugin, WMCF_SRC_NAME, GST_RANK_NONE, WMCF_TYPE_SRC);
}

GST_PLUGIN_DEFINE(GST_VERSION_MAJOR, GST_VERSION_MINOR, wmcf,
                  "RTP into and out of the media centre", init, WMCF_VERSION, "Apache 2.0", "wmcf",
                  "the WMCF project")
