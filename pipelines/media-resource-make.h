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

struct media_inputs {
    guint n;
    GstElement *elements[PIPELINE_INPUTS_MAX]; /* owned */
    struct wmcf_src_medium media[PIPELINE_INPUTS_MAX];
};
void media_inputs_clear(struct media_inputs *inputs);

#define MEDIA_MEMBER_DATA "wmcf-member" /* of a member's bins */

/* A member of a repeated input as a part of a running pipeline. */
struct media_member_part {
    char name[SDP_MAX_MID + 1];
    guint src_index, sink_index; /* of its wmcfsrc and its wmcfsink, with: */
    const struct wmcf_src_ops *src_ops;
    void *src_user;
    const struct wmcf_sink_ops *sink_ops;
    void *sink_user; /* and MEDIA_MEMBER_DATA of the bins */
    /* All owned, NULL before media_member_part_add(): */
    GstElement *host;
    GPtrArray *bins;        /* GstElement, in the host; none any more when it was taken out */
    GstElement *src, *sink; /* sink NULL: it gives nothing */
    GPtrArray *links;       /* GstPad of the pipeline's elements that lead there */
};
/* Builds it and lets it run as the pipeline does. What waits in its input is thrown away. False and
 * WMCF_ERROR: nothing of it is left in the pipeline. */
bool media_member_part_add(struct media_member_part *part, GstElement *pipeline,
                           const struct pipeline_text *text, GError **error);
/* Stops it and takes it out. */
void media_member_part_remove(struct media_member_part *part);
void media_member_part_clear(struct media_member_part *part);

/* The pipeline, in NULL, its sinks sorted by mid, and its inputs in the order of
 * pipeline_text_inputs(). Transfer full; NULL and WMCF_ERROR in GStreamer's words with the
 * template's file and line. */
GstElement *media_pipeline_make(const char *id, const struct pipeline_text *text,
                                struct media_sinks *ret_sinks, struct media_inputs *ret_inputs,
                                GError **error);
