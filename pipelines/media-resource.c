/* SPDX-License-Identifier: Apache-2.0 */
/* Owns a template's pipeline. What GStreamer says comes by the bus's synchronous handler and is
 * posted, so nothing has to poll a bus; the first error tells, the rest follow from it. A pipeline
 * that hangs in a state change keeps its own thread and nobody else's. */
#include "pipelines/media-resource.h"

#include "base/loop.h"
#include "base/problem.h"
#include "pipelines/media-resource-make.h"
#include "pipelines/reaper.h"

#include <stdatomic.h>
#include <string.h>

static _Atomic guint resources;

struct media_resource {
    char *id;
    const struct media_resource_ops *ops;
    void *user;
    enum media_resource_state state;
    struct pipeline_text *text;
    struct loop_timer *start_timer;
    guint start_timeout_ms;
    gint64 asked, started; /* monotonic µs */

    GstElement *made;            /* borrowed: for its own threads */
    GstElement *pipeline;        /* from `built` until it is taken down */
    struct media_sinks sinks;    /* from `built` to the end */
    bool built, taken, down;     /* the making is over; being taken down; gone */
    bool closing;                /* `stopped` is to be told */
    _Atomic guint waiting;       /* sinks without a packet; streaming threads */
    _Atomic bool broken, at_end; /* told once; streaming threads */
};

static const char *const state_names[] = {
    [MEDIA_RESOURCE_STARTING] = "starting", [MEDIA_RESOURCE_PLAYING] = "playing",
    [MEDIA_RESOURCE_ENDED] = "ended",       [MEDIA_RESOURCE_FAILED] = "failed",
    [MEDIA_RESOURCE_CLOSED] = "closed",
};

#define TO(state) (1u << MEDIA_RESOURCE_##state)
static const unsigned transitions[] = {
    [MEDIA_RESOURCE_STARTING] = TO(PLAYING) | TO(FAILED) | TO(CLOSED),
    [MEDIA_RESOURCE_PLAYING] = TO(ENDED) | TO(FAILED) | TO(CLOSED),
    [MEDIA_RESOURCE_ENDED] = TO(FAILED) | TO(CLOSED),
    [MEDIA_RESOURCE_FAILED] = TO(CLOSED),
    [MEDIA_RESOURCE_CLOSED] = 0,
};

const char *media_resource_state_name(enum media_resource_state state)
{
    g_return_val_if_fail(state < G_N_ELEMENTS(state_names), "");
    return state_names[state];
}

static bool set_state(struct media_resource *r, enum media_resource_state state)
{
    if (!(transitions[r->state] & (1u << state)))
        return false;
    r->state = state;
    if (state != MEDIA_RESOURCE_STARTING)
        loop_timer_stop(r->start_timer);
    return true;
}

/* --- the end ---------------------------------------------------------------------------------- */

static void on_down(void *data)
{
    struct media_resource *r = data;
    r->down = true;
    atomic_fetch_sub(&resources, 1);
    if (r->closing)
        r->ops->stopped(r->user);
}

/* Blocks. */
static void reap(void *data)
{
    struct media_resource *r = data;
    if (r->pipeline) {
        gst_element_set_state(r->pipeline, GST_STATE_NULL);
        gst_clear_object(&r->pipeline);
    }
    loop_post("pipeline down", on_down, r);
}

static void *end(void *data)
{
    reap(data);
    return NULL;
}

/* As soon as it is built, on a thread of its own: what hangs while it stops holds up nobody else,
 * and least of all the legs, which the reaper takes down. */
static void take_down(struct media_resource *r)
{
    if (!r->built || r->taken)
        return;
    r->taken = true;
    GThread *thread = g_thread_try_new("pipeline-end", end, r, NULL);
    if (thread) {
        g_thread_unref(thread);
    } else {
        reaper_expect();
        reaper_take(reap, r);
    }
}

/* Takes the error. */
static void fail(struct media_resource *r, GError *error)
{
    if (!r->closing && set_state(r, MEDIA_RESOURCE_FAILED)) {
        take_down(r);
        r->ops->failed(r->user, error);
    }
    g_error_free(error);
}

/* --- from the pipeline ------------------------------------------------------------------------ */

struct report {
    struct media_resource *resource;
    GError *error;
};

static void on_error(void *data)
{
    struct report *report = data;
    fail(report->resource, report->error);
    g_free(report);
}

static void on_end(void *data)
{
    struct media_resource *r = data;
    if (!r->closing && set_state(r, MEDIA_RESOURCE_ENDED))
        r->ops->ended(r->user);
}

static void on_first_packets(void *data)
{
    struct media_resource *r = data;
    /* It may be quicker than the news that it is built, which is on its way from another thread. */
    if (r->closing || !r->built || r->state != MEDIA_RESOURCE_STARTING)
        return;
    for (guint i = 0; i < r->sinks.n; i++)
        if (!wmcf_sink_medium(r->sinks.elements[i], &r->sinks.media[i]))
            return;
    r->started = g_get_monotonic_time();
    set_state(r, MEDIA_RESOURCE_PLAYING);
    r->ops->started(r->user);
}

static void report_error(struct media_resource *r, GstMessage *message)
{
    g_autoptr(GError) cause = NULL;
    g_autofree char *debug = NULL;
    if (atomic_exchange(&r->broken, true))
        return;
    gst_message_parse_error(message, &cause, &debug);
    struct report *report = g_new0(struct report, 1);
    report->resource = r;
    /* The first line of the debug text names function and file; what follows is the reason. */
    const char *more = debug ? strchr(debug, '\n') : NULL;
    problem_set(&report->error, PROBLEM_WMCF_ERROR, "%s: %s%s%s", GST_OBJECT_NAME(message->src),
                cause->message, more ? " " : "", more ? more + 1 : "");
    loop_post("pipeline error", on_error, report);
}

/* Takes the lock of state changes, which whoever stops the pipeline may hold while it waits for the
 * thread that told of the new latency: so on one of GStreamer's own pool. */
static void recalculate_latency(GstElement *pipeline, gpointer user)
{
    gst_bin_recalculate_latency(GST_BIN(pipeline));
}

/* On any thread of the pipeline. */
static GstBusSyncReply on_message(GstBus *bus, GstMessage *message, gpointer user)
{
    struct media_resource *r = user;
    if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR)
        report_error(r, message);
    else if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_EOS && !atomic_exchange(&r->at_end, true))
        loop_post("pipeline end", on_end, r);
    else if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_LATENCY)
        gst_element_call_async(r->made, recalculate_latency, NULL, NULL);
    gst_message_unref(message);
    return GST_BUS_DROP;
}

static void on_first(void *user, guint index)
{
    struct media_resource *r = user;
    if (atomic_fetch_sub(&r->waiting, 1) == 1)
        loop_post("pipeline started", on_first_packets, r);
}

static void on_packets(void *user, guint index, const struct wmcf_sink_packet *packets, guint n)
{
    struct media_resource *r = user;
    r->ops->packets(r->user, index, packets, n);
}

static const struct wmcf_sink_ops sink_ops = {.first = on_first, .packets = on_packets};

/* --- the beginning ---------------------------------------------------------------------------- */

struct built { /* from the making thread */
    struct media_resource *resource;
    GstElement *pipeline;
    struct media_sinks sinks;
    GError *error;
};

static void on_built(void *data)
{
    struct built *built = data;
    struct media_resource *r = built->resource;
    r->built = true;
    r->pipeline = built->pipeline;
    r->sinks = built->sinks;
    if (built->error)
        fail(r, built->error);
    if (r->closing || r->state == MEDIA_RESOURCE_FAILED)
        take_down(r);
    else if (atomic_load(&r->waiting) == 0)
        on_first_packets(r);
    g_free(built);
}

/* A thread of its own. */
static void *make(void *data)
{
    struct media_resource *r = data;
    struct built *built = g_new0(struct built, 1);
    built->resource = r;
    built->pipeline = media_pipeline_make(r->id, r->text, &built->sinks, &built->error);
    if (built->pipeline) {
        GstBus *bus = gst_element_get_bus(built->pipeline);
        gst_bus_set_sync_handler(bus, on_message, r, NULL);
        gst_object_unref(bus);
        r->made = built->pipeline;
        atomic_store(&r->waiting, built->sinks.n);
        for (guint i = 0; i < built->sinks.n; i++)
            wmcf_sink_attach(built->sinks.elements[i], i, &sink_ops, r);
        /* What refuses says why on the bus, before this returns. */
        if (gst_element_set_state(built->pipeline, GST_STATE_PLAYING) == GST_STATE_CHANGE_FAILURE &&
            !atomic_exchange(&r->broken, true))
            problem_set(&built->error, PROBLEM_WMCF_ERROR, "the pipeline does not start");
    }
    loop_post("pipeline built", on_built, built);
    return NULL;
}

static void on_start_timeout(void *data)
{
    struct media_resource *r = data;
    GError *error = NULL;
    g_autoptr(GString) missing = g_string_new(NULL);
    for (guint i = 0; r->built && i < r->sinks.n; i++) {
        struct wmcf_sink_medium medium;
        char mid[SDP_MAX_MID + 1];
        if (wmcf_sink_medium(r->sinks.elements[i], &medium))
            continue;
        wmcf_sink_mid(r->sinks.elements[i], mid, sizeof mid);
        g_string_append_printf(missing, "%s%s", missing->len ? ", " : " at ", mid);
    }
    problem_set(&error, PROBLEM_WMCF_ERROR, "no packet came%s within %u ms of the start",
                missing->str, r->start_timeout_ms);
    fail(r, error);
}

struct media_resource *media_resource_new(const struct media_resource_config *config,
                                          GError **error)
{
    struct media_resource *r = g_new0(struct media_resource, 1);
    r->id = g_strdup(config->id);
    r->ops = config->ops;
    r->user = config->user;
    r->text = config->text;
    r->start_timeout_ms = config->start_timeout_ms;
    r->asked = g_get_monotonic_time();
    r->start_timer = loop_timer_new("pipeline start", on_start_timeout, r);
    g_autoptr(GError) cause = NULL;
    GThread *thread = g_thread_try_new("pipeline-make", make, r, &cause);
    if (!thread) {
        problem_set(error, PROBLEM_RESOURCES_UNAVAILABLE,
                    "no thread for another pipeline: the limit of tasks is reached");
        media_resource_free(r);
        return NULL;
    }
    g_thread_unref(thread);
    atomic_fetch_add(&resources, 1);
    loop_timer_start(r->start_timer, r->start_timeout_ms);
    return r;
}

void media_resource_close(struct media_resource *r)
{
    g_return_if_fail(!r->closing);
    r->closing = true;
    set_state(r, MEDIA_RESOURCE_CLOSED);
    if (r->down)
        loop_post("pipeline down", (loop_fn)r->ops->stopped, r->user);
    else
        take_down(r);
}

void media_resource_free(struct media_resource *r)
{
    if (!r)
        return;
    media_sinks_clear(&r->sinks);
    loop_timer_free(r->start_timer);
    pipeline_text_free(r->text);
    g_free(r->id);
    g_free(r);
}

/* --- looking ---------------------------------------------------------------------------------- */

enum media_resource_state media_resource_get_state(const struct media_resource *r)
{
    return r->state;
}

guint media_resource_media_count(const struct media_resource *r)
{
    return r->started ? r->sinks.n : 0;
}

const struct wmcf_sink_medium *media_resource_medium(const struct media_resource *r, guint index)
{
    g_return_val_if_fail(index < r->sinks.n, NULL);
    return &r->sinks.media[index];
}

void media_resource_stats(const struct media_resource *r, guint index, struct wmcf_sink_stats *ret)
{
    g_return_if_fail(index < r->sinks.n);
    wmcf_sink_stats(r->sinks.elements[index], ret);
}

gint64 media_resource_start_time(const struct media_resource *r)
{
    return r->started ? r->started - r->asked : 0;
}

void media_resource_request_key_frame(struct media_resource *r, guint index)
{
    if (index < r->sinks.n)
        wmcf_sink_request_key_frame(r->sinks.elements[index]);
}

guint media_resources_count(void)
{
    return atomic_load(&resources);
}
