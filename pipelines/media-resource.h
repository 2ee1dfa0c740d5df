/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A media resource: a running pipeline made of a template, whose wmcfsink elements hand RTP to
 * whoever asked for it. A template may contain elements that block, so a pipeline is built and
 * started on a thread of its own, and stopped on another one.
 *
 * Life: media_resource_new() → started, or failed → … → media_resource_close() → stopped →
 * media_resource_free().
 *
 * Threads: control, but for what is said. */
#include "pipelines/template.h"
#include "pipelines/wmcf-sink.h"

#define MEDIA_RESOURCE_MEDIA_MAX 16

struct media_resource;

struct media_resource_ops {
    /* Every medium has its first packet. Once. */
    void (*started)(void *user);
    /* It did not start in time, or broke: WMCF_ERROR in GStreamer's own words. Once, the last but
     * `stopped`; the pipeline goes down by itself. */
    void (*failed)(void *user, const GError *error);
    /* The end of the stream, at all sinks. Once. */
    void (*ended)(void *user);
    /* After media_resource_close(): no thread of the pipeline is left. Once, the last. */
    void (*stopped)(void *user);
    /* RTP of the n-th medium. On the pipeline's streaming threads, until `stopped`; from the start
     * on, also before `started`. */
    void (*packets)(void *user, guint medium, const struct wmcf_sink_packet *packets, guint n);
};

struct media_resource_config {
    const char *id;             /* of the pipeline, for GStreamer's log; copied */
    struct pipeline_text *text; /* taken */
    guint start_timeout_ms;
    const struct media_resource_ops *ops; /* by reference */
    void *user;
};

enum media_resource_state {
    MEDIA_RESOURCE_STARTING,
    MEDIA_RESOURCE_PLAYING,
    MEDIA_RESOURCE_ENDED, /* end of stream */
    MEDIA_RESOURCE_FAILED,
    MEDIA_RESOURCE_CLOSED,
};
const char *media_resource_state_name(enum media_resource_state state); /* "starting" */

/* Transfer full; RESOURCES_UNAVAILABLE when no thread can be had. Takes the text in any case. */
struct media_resource *media_resource_new(const struct media_resource_config *config,
                                          GError **error);
enum media_resource_state media_resource_get_state(const struct media_resource *resource);
/* The media in the order of their mids; valid from `started` on. */
guint media_resource_media_count(const struct media_resource *resource);
const struct wmcf_sink_medium *media_resource_medium(const struct media_resource *resource,
                                                     guint index);
void media_resource_stats(const struct media_resource *resource, guint index,
                          struct wmcf_sink_stats *ret);
/* From request to the first packet of all media, µs; 0 before. */
gint64 media_resource_start_time(const struct media_resource *resource);
/* Any thread, from `started` to media_resource_free(); only sets a flag. */
void media_resource_request_key_frame(struct media_resource *resource, guint index);
/* No callback but `stopped` after this. */
void media_resource_close(struct media_resource *resource);
/* After `stopped`. NULL allowed. */
void media_resource_free(struct media_resource *resource);
/* Resources whose pipeline is not yet gone. For limits and tests. */
guint media_resources_count(void);

/* Whether GStreamer can make the pipeline; it is not started. Loads the plug-ins it needs, so that
 * later ones start sooner. Blocks for that time. */
bool media_resource_try(const struct pipeline_text *text, GError **error);
