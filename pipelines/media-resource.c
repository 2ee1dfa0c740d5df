/* SPDX-License-Identifier: Apache-2.0 */
/* Owns a template's pipeline. What GStreamer says comes by the bus's synchronous handler and is
 * posted, so nothing has to poll a bus; the first error tells, the rest follow from it. A pipeline
 * that hangs in a state change keeps its own thread and nobody else's. */
#include "base/problem.h"
#include "pipelines/media-resource-parts.h"
#include "pipelines/reaper.h"

#include <string.h>

static _Atomic guint resources;

static const char *const state_names[] = {
    [MEDIA_RESOURCE_STARTING] = "starting", [MEDIA_RESOURCE_PLAYING] = "playing",
    [MEDIA_RESOURCE_ENDED] = "ended",       [MEDIA_RESOURCE_FAILED] = "failed",
    [MEDIA_RESOURCE_CLOSED] = "closed",
};

#define TO(state) (1u << MEDIA_RESOURCE_##state)
static const unsigned transitions[] = {
    [MEDIA_RESOURCE_STARTING] = TO(PLAYING) | TO(FAILED) | TO(CLOSED),
    [MEDIA_RESOURCE_PLAYING] = TO(ENDED) | TO(FAILED) | TO(CLOSED),
    [MEDIA_RESOURCE_ENDED] = TO(PLAYING) | TO(FAILED) | TO(CLOSED),
    [MEDIA_RESOURCE_FAILED] = TO(CLOSED),
    [MEDIA_RESOURCE_CLOSED] = 0,
};

const char *media_resource_state_name(enum media_resource_state state)
{
    g_return_val_if_fail(state < G_N_ELEMENTS(state_names), "");
    return state_names[state];
}

bool media_resource_set_state(struct media_resource *r, enum media_resource_state state)
{
    if (!(transitions[r->state] & (1u << state)))
        return false;
    r->state = state;
    if (state != MEDIA_RESOURCE_STARTING)
        loop_timer_stop(r->start_timer);
    if (state != MEDIA_RESOURCE_PLAYING && r->stall_timer) {
        loop_timer_stop(r->stall_timer);
        loop_timer_stop(r->repeat_timer);
    }
    return true;
}

/* --- the end ---------------------------------------------------------------------------------- */

/* The last of all is told when nobody looks at it any more. */
static void tell_stopped(struct media_resource *r)
{
    if (r->closing && r->down && r->jobs == 0 && !r->told) {
        r->told = true;
        r->ops->stopped(r->user);
    }
}

static void on_down(void *data)
{
    struct media_resource *r = data;
    r->down = true;
    atomic_fetch_sub(&resources, 1);
    tell_stopped(r);
}

void media_resource_job_done(struct media_resource *r)
{
    r->jobs--;
    tell_stopped(r);
}

/* A file that ends before its first packet would be a header that no player takes. */
static void discard_unheard(struct media_resource *r)
{
    struct wmcf_src_stats stats = {0};
    for (guint i = 0; i < r->inputs.n && stats.packets == 0; i++)
        wmcf_src_stats(r->inputs.elements[i], &stats);
    if (r->inputs.n > 0 && stats.packets == 0)
        pipeline_text_discard_files(r->text);
}

/* Blocks. */
static void reap(void *data)
{
    struct media_resource *r = data;
    if (r->ending) {
        gst_element_set_state(r->ending, GST_STATE_NULL);
        gst_clear_object(&r->ending);
        discard_unheard(r);
    }
    loop_post("pipeline down", on_down, r);
}

static void *end(void *data)
{
    reap(data);
    return NULL;
}

/* As soon as it is built, on a thread of its own: what hangs while it stops holds up nobody else,
 * and least of all the legs, which the reaper takes down. A change that is under way is not waited
 * for: it may hang, and this may be what lets it go. It looks at `taken` before it goes on. */
void media_resource_take_down(struct media_resource *r)
{
    r->down_wanted = true;
    if (!r->built || r->taken || r->member_busy)
        return;
    r->ending = g_steal_pointer(&r->pipeline); /* from now on nobody else looks at it */
    atomic_store(&r->taken, true);
    GThread *thread = g_thread_try_new("pipeline-end", end, r, NULL);
    if (thread) {
        g_thread_unref(thread);
    } else {
        reaper_expect();
        reaper_take(reap, r);
    }
}

/* What it writes is whole, or has had its time. */
static void on_finished(void *data)
{
    struct media_resource *r = data;
    loop_timer_stop(r->finish_timer);
    media_resource_take_down(r);
}

void media_resource_fail(struct media_resource *r, GError *error)
{
    if (r->closing && r->finish_timer)
        on_finished(r);
    if (!r->closing && media_resource_set_state(r, MEDIA_RESOURCE_FAILED)) {
        media_resource_fail_members(r, error);
        media_resource_close_members(r);
        media_resource_take_down(r);
        if (!r->closing) /* by one of them */
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
    media_resource_fail(report->resource, report->error);
    g_free(report);
}

static void on_end(void *data)
{
    struct media_resource *r = data;
    if (r->finish_timer)
        on_finished(r);
    if (r->closing || r->state != MEDIA_RESOURCE_PLAYING)
        return;
    if (pipeline_text_repeats(r->text) && media_resource_repeat(r))
        return;
    media_resource_set_state(r, MEDIA_RESOURCE_ENDED);
    r->ops->ended(r->user);
}

void media_resource_begin(struct media_resource *r)
{
    /* It may be quicker than the news that it is built, which is on its way from another thread. */
    if (r->closing || !r->built || r->state != MEDIA_RESOURCE_STARTING ||
        atomic_load(&r->waiting) > 0 || !r->looked)
        return;
    for (guint i = 0; i < r->sinks.n && !r->patient; i++)
        if (!wmcf_sink_is_absent(r->sinks.elements[i]) &&
            !wmcf_sink_medium(r->sinks.elements[i], &r->sinks.media[i]))
            return;
    r->started = g_get_monotonic_time();
    media_resource_set_state(r, MEDIA_RESOURCE_PLAYING);
    media_resource_watch(r);
    r->ops->started(r->user);
}

/* The first line of a debug text names function and file, and so do others that pass on what an
 * inner element has said; what remains is the reason, on one line. */
static void append_reason(GString *out, const char *debug)
{
    g_auto(GStrv) lines = g_strsplit(debug ? debug : "", "\n", -1);
    for (guint i = 1; lines[0] && lines[i]; i++) {
        g_strstrip(lines[i]);
        if (*lines[i] && !g_str_has_prefix(lines[i], "../") && !strstr(out->str, lines[i]))
            g_string_append_printf(out, " %s", lines[i]);
    }
}

/* The template's line of an element, or of what it is a part of. Transfer full, or NULL. */
static char *line_of(const struct pipeline_text *text, GstObject *object)
{
    char *where = NULL;
    object = gst_object_ref(object);
    while (object && !where) {
        GstElementFactory *factory =
            GST_IS_ELEMENT(object) ? gst_element_get_factory(GST_ELEMENT(object)) : NULL;
        if (factory)
            where = pipeline_text_find(text, GST_OBJECT_NAME(factory));
        GstObject *parent = gst_object_get_parent(object);
        gst_object_unref(object);
        object = parent;
    }
    gst_clear_object(&object);
    return where;
}

static void report_error(struct media_resource *r, GstMessage *message)
{
    g_autoptr(GError) cause = NULL;
    g_autofree char *debug = NULL;
    struct media_member *member = media_resource_member_of(message->src);
    if (!member && atomic_exchange(&r->broken, true))
        return;
    gst_message_parse_error(message, &cause, &debug);
    g_autoptr(GString) reason = g_string_new(cause->message);
    append_reason(reason, debug);
    g_autofree char *where = line_of(member ? media_member_text(member) : r->text, message->src);
    GError *error = NULL;
    problem_set(&error, PROBLEM_WMCF_ERROR, "%s%s%s: %s", where ? where : "", where ? ": " : "",
                GST_OBJECT_NAME(message->src), reason->str);
    if (member) {
        media_member_broke(member, error);
        return;
    }
    struct report *report = g_new0(struct report, 1);
    report->resource = r;
    report->error = error;
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
    else if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_DURATION_CHANGED)
        media_resource_look(r);
    else if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_EOS && !atomic_exchange(&r->at_end, true))
        loop_post("pipeline end", on_end, r);
    else if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_LATENCY)
        gst_element_call_async(r->made, recalculate_latency, NULL, NULL);
    gst_message_unref(message);
    return GST_BUS_DROP;
}

/* What a filter gives is taken for what it was given. */
static void check_filter(struct media_resource *r, guint index)
{
    struct wmcf_sink_medium medium;
    char mid[SDP_MAX_MID + 1];
    if (!pipeline_text_filters(r->text) || !wmcf_sink_medium(r->sinks.elements[index], &medium))
        return;
    for (guint i = 0; i < r->inputs.n; i++) {
        wmcf_src_mid(r->inputs.elements[i], mid, sizeof mid);
        if (strcmp(mid, medium.mid) != 0 || strcmp(medium.codec, r->inputs.media[i].codec) == 0 ||
            atomic_exchange(&r->broken, true))
            continue;
        struct report *report = g_new0(struct report, 1);
        report->resource = r;
        problem_set(&report->error, PROBLEM_WMCF_ERROR,
                    "the filter gives %s at %s, where %s comes in", medium.codec, mid,
                    r->inputs.media[i].codec);
        loop_post("pipeline error", on_error, report);
    }
}

static void on_first(void *user, guint index)
{
    struct media_resource *r = user;
    check_filter(r, index);
    if (r->patient)
        return;
    if (atomic_fetch_sub(&r->waiting, 1) == 1)
        media_resource_look(r);
}

/* What of it the source does not have. */
static void on_absent(void *user, guint n)
{
    struct media_resource *r = user;
    if (n < r->sinks.n) {
        if (atomic_fetch_sub(&r->waiting, n) == n)
            media_resource_look(r);
    } else if (!atomic_exchange(&r->broken, true)) {
        struct report *report = g_new0(struct report, 1);
        report->resource = r;
        problem_set(&report->error, PROBLEM_WMCF_ERROR,
                    "what is to be played has no stream that the template takes");
        loop_post("pipeline error", on_error, report);
    }
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
    GError *error;
};

static void on_built(void *data)
{
    struct built *built = data;
    struct media_resource *r = built->resource;
    r->built = true;
    r->pipeline = built->pipeline;
    if (built->error)
        media_resource_fail(r, built->error);
    if (r->closing || r->state == MEDIA_RESOURCE_FAILED)
        media_resource_take_down(r);
    else
        media_resource_begin(r);
    g_free(built);
}

/* A thread of its own. */
static void *make(void *data)
{
    struct media_resource *r = data;
    struct built *built = g_new0(struct built, 1);
    built->resource = r;
    built->pipeline = media_pipeline_make(r->id, r->text, &r->sinks, &r->inputs, &built->error);
    if (built->pipeline) {
        GstBus *bus = gst_element_get_bus(built->pipeline);
        gst_bus_set_sync_handler(bus, on_message, r, NULL);
        gst_object_unref(bus);
        r->made = built->pipeline;
        atomic_store(&r->waiting, r->patient ? 0 : r->sinks.n);
        for (guint i = 0; i < r->sinks.n; i++)
            wmcf_sink_attach(r->sinks.elements[i], i, &sink_ops, r);
        for (guint i = 0; i < r->inputs.n && r->input_ops; i++)
            wmcf_src_attach(r->inputs.elements[i], i, &r->inputs.media[i], r->input_ops, r->user);
        r->branches = media_branches_watch(built->pipeline, &r->sinks, on_absent, r);
        /* What refuses says why on the bus, before this returns. */
        if (gst_element_set_state(built->pipeline, GST_STATE_PLAYING) == GST_STATE_CHANGE_FAILURE &&
            !atomic_exchange(&r->broken, true))
            problem_set(&built->error, PROBLEM_WMCF_ERROR, "the pipeline does not start");
        if (r->sinks.n == 0 || r->patient) /* no packet tells that it runs */
            media_resource_look(r);
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
        if (wmcf_sink_is_absent(r->sinks.elements[i]) ||
            wmcf_sink_medium(r->sinks.elements[i], &medium))
            continue;
        wmcf_sink_mid(r->sinks.elements[i], mid, sizeof mid);
        g_string_append_printf(missing, "%s%s", missing->len ? ", " : " at ", mid);
    }
    problem_set(&error, PROBLEM_WMCF_ERROR, "no packet came%s within %u ms of the start",
                missing->str, r->start_timeout_ms);
    media_resource_fail(r, error);
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
    r->stall_timeout_ms = config->stall_timeout_ms;
    r->finish_timeout_ms = config->finish_timeout_ms;
    r->patient = config->patient;
    r->input_ops = config->inputs;
    g_queue_init(&r->member_jobs);
    r->duration = r->sought = -1;
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

/* A file that is being written wants its end: what comes in ends, and the end of the stream is
 * waited for. */
static bool finish(struct media_resource *r)
{
    if (r->state != MEDIA_RESOURCE_PLAYING || r->sinks.n || !r->inputs.n || !r->finish_timeout_ms)
        return false;
    r->finish_timer = loop_timer_new("pipeline finish", on_finished, r);
    loop_timer_start(r->finish_timer, r->finish_timeout_ms);
    for (guint i = 0; i < r->inputs.n; i++)
        wmcf_src_end(r->inputs.elements[i]);
    return true;
}

void media_resource_close(struct media_resource *r)
{
    g_return_if_fail(!r->closing);
    bool finishing = finish(r);
    r->closing = true;
    media_resource_close_members(r);
    media_resource_set_state(r, MEDIA_RESOURCE_CLOSED);
    if (finishing) {
        ; /* on_finished() */
    } else if (!r->down) {
        media_resource_take_down(r);
    } else if (r->jobs == 0) {
        r->told = true;
        loop_post("pipeline down", (loop_fn)r->ops->stopped, r->user);
    }
}

void media_resource_free(struct media_resource *r)
{
    if (!r)
        return;
    media_branches_free(r->branches);
    media_resource_free_members(r);
    media_sinks_clear(&r->sinks);
    media_inputs_clear(&r->inputs);
    loop_timer_free(r->finish_timer);
    loop_timer_free(r->start_timer);
    loop_timer_free(r->stall_timer);
    loop_timer_free(r->repeat_timer);
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

void media_resource_input_stats(const struct media_resource *r, guint index,
                                struct wmcf_src_stats *ret)
{
    *ret = (struct wmcf_src_stats){0};
    if (r->built && index < r->inputs.n)
        wmcf_src_stats(r->inputs.elements[index], ret);
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
