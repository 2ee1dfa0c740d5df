/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* From a template's text to a GStreamer pipeline. Threads: any; may block. */
#include "pipelines/media-resource.h"

struct media_sinks {
    guint n;
    GstElement *elements[MEDIA_RESOURCE_MEDIA_MAX]; /* owned */
    struct wmcf_sink_medium media[MEDIA_RESOURCE_MEDIA_MAX];
};
void media_sinks_clear(struct media_sinks *sinks);

/* The pipeline, in NULL, and its sinks sorted by mid. Transfer full; NULL and WMCF_ERROR in
 * GStreamer's words with the template's file and line. */
GstElement *media_pipeline_make(const char *id, const struct pipeline_text *text,
                                struct media_sinks *ret_sinks, GError **error);
