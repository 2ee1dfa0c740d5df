/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A media resource: a running pipeline made of a template, whose wmcfsink elements hand RTP to
 * whoever asked for it, and whose wmcfsrc elements get RTP from there. A template may contain
 * elements that block, so a pipeline is built and started on a thread of its own, and stopped on
 * another one.
 *
 * Life: media_resource_new() → started, or failed → … → media_resource_close() → stopped →
 * media_resource_free().
 *
 * Threads: control, but for what is said. */
#include "pipelines/template.h"
#include "pipelines/wmcf-sink.h"
#include "pipelines/wmcf-src.h"

#define MEDIA_RESOURCE_MEDIA_MAX 16
#define MEDIA_RESOURCE_MEMBERS_MAX 32 /* of a repeated input at a time */

struct media_resource;

struct media_resource_ops {
    /* Every medium has its first packet; what only takes media runs, and so does a filter that is
     * `patient`. Once. */
    void (*started)(void *user);
    /* It did not start in time, broke or stalled: WMCF_ERROR in GStreamer's own words. Once, the
     * last but `stopped`; the pipeline goes down by itself. */
    void (*failed)(void *user, const GError *error);
    /* The end of the stream, at all sinks; again when a seek has led back from there. Not of a
     * template that repeats. */
    void (*ended)(void *user);
    /* After media_resource_close(): no thread of the pipeline is left. Once, the last. */
    void (*stopped)(void *user);
    /* RTP of the n-th medium. On the pipeline's streaming threads, until `stopped`; from the start
     * on, also before `started`. */
    void (*packets)(void *user, guint medium, const struct wmcf_sink_packet *packets, guint n);
    /* What the member in `place` gives. As `packets`. NULL without a repeated input, as is: */
    void (*member_packets)(void *user, guint place, const struct wmcf_sink_packet *packets,
                           guint n);
    /* It alone has broken or stalled, and is gone. */
    void (*member_failed)(void *user, guint place, const GError *error);
};

struct media_resource_config {
    const char *id;             /* of the pipeline, for GStreamer's log; copied */
    struct pipeline_text *text; /* taken */
    guint start_timeout_ms;
    guint stall_timeout_ms;  /* a medium silent for so long while it plays has failed; 0 = never */
    bool patient;            /* of a filter: it has started before anything comes */
    guint finish_timeout_ms; /* what only takes media may take so long to end a file */
    const struct wmcf_src_ops *inputs; /* by reference; with `user`. May be NULL without inputs */
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
/* The media in the order of their mids; valid from `started` on. One that the source does not have
 * has no format. */
guint media_resource_media_count(const struct media_resource *resource);
const struct wmcf_sink_medium *media_resource_medium(const struct media_resource *resource,
                                                     guint index);
/* What it takes, in the order of pipeline_text_inputs(); of a text that is the same any time. */
void media_resource_input_stats(const struct media_resource *resource, guint index,
                                struct wmcf_src_stats *ret);
void media_resource_stats(const struct media_resource *resource, guint index,
                          struct wmcf_sink_stats *ret);
/* From request to the first packet of all media, µs; 0 before. */
gint64 media_resource_start_time(const struct media_resource *resource);
/* Any thread, from `started` to media_resource_free(); only sets a flag. */
void media_resource_request_key_frame(struct media_resource *resource, guint index);

/* --- while it plays --------------------------------------------------------------------------- */

struct media_resource_times {
    gint64 position; /* of what was given last, ns; -1 = nothing yet */
    gint64 duration; /* ns; -1 = without end, or not known */
    bool can_seek, paused;
};
void media_resource_times(const struct media_resource *resource, struct media_resource_times *ret);

struct media_resource_change {
    GArray *settings; /* of pipeline_text_change() of its text; taken, or NULL */
    enum { MEDIA_RESOURCE_KEEP, MEDIA_RESOURCE_PAUSE, MEDIA_RESOURCE_RESUME } run;
    gint64 position; /* ns; -1 = no seek */
};
/* `error` is NULL when it is done. On the loop, later; not after media_resource_close(). */
typedef void (*media_resource_changed_fn)(void *user, const GError *error);
/* In this order: settings, seek, pause. At once INVALID_STATE when it does not play, another change
 * is under way or what it plays cannot be sought, INVALID_MESSAGE when the position is beyond the
 * end; then `done` tells, WMCF_ERROR when GStreamer refuses. */
bool media_resource_change(struct media_resource *resource, struct media_resource_change *change,
                           media_resource_changed_fn done, void *user, GError **error);

/* --- members of a repeated input -------------------------------------------------------------- */

/* Puts a member into the pipeline, at a place (below MEDIA_RESOURCE_MEMBERS_MAX) that is free; it
 * reads as input n + place, n the number of those that are not repeated. `text`, taken in any case,
 * is pipeline_text_member()'s, and `name` the member's. `done`: the first packet of what it gives
 * has come, or it takes and gives nothing; or WMCF_ERROR, then the place is free again. At once
 * INVALID_STATE when the pipeline does not play. */
bool media_resource_add_member(struct media_resource *resource, guint place, const char *name,
                               struct pipeline_text *text, media_resource_changed_fn done,
                               void *user, GError **error);
/* Takes it out; nothing of it is told any more. The place is free at once. */
void media_resource_remove_member(struct media_resource *resource, guint place);
/* What it gives; NULL: nothing, or not yet. Borrowed while it is there. */
const struct wmcf_sink_medium *media_resource_member_medium(const struct media_resource *resource,
                                                            guint place);
void media_resource_member_stats(const struct media_resource *resource, guint place,
                                 struct wmcf_src_stats *ret_in, struct wmcf_sink_stats *ret_out);
/* As media_resource_request_key_frame(); of a place without a member it does nothing. */
void media_resource_request_member_key_frame(struct media_resource *resource, guint place);

/* The graph of its elements, states and caps, in the language of graphviz. Transfer full; NULL when
 * there is none. */
char *media_resource_dot(const struct media_resource *resource);

/* No callback but `stopped` after this. */
void media_resource_close(struct media_resource *resource);
/* After `stopped`. NULL allowed. */
void media_resource_free(struct media_resource *resource);
/* Resources whose pipeline is not yet gone. For limits and tests. */
guint media_resources_count(void);

/* Whether GStreamer can make the pipeline; it is not started. Loads the plug-ins it needs, so that
 * later ones start sooner. Blocks for that time. */
bool media_resource_try(const struct pipeline_text *text, GError **error);
/* Runs a pipeline that needs nobody (gst-launch syntax) to its end; WMCF_ERROR in GStreamer's
 * words. Blocks. */
bool media_pipeline_run_once(const char *description, GError **error);
