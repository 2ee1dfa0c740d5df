/* SPDX-License-Identifier: Apache-2.0 */
/* What happens to a resource while it plays: pause, seek, other values, its repetition, and that it
 * falls silent. Whatever asks GStreamer something may wait for a thread of the pipeline, so it is
 * done on a thread of its own; a resource does one change at a time, and is not freed before. */
#include "base/problem.h"
#include "pipelines/media-resource-parts.h"

#include <gst/base/gstbasesink.h>
#include <string.h>

#define REPEAT_US G_USEC_PER_SEC /* least time between two begins */

/* --- how long, how far ------------------------------------------------------------------------ */

struct look {
    struct media_resource *resource;
    gint64 duration;
    bool can_seek;
};

static void on_looked(void *data)
{
    struct look *look = data;
    struct media_resource *r = look->resource;
    r->duration = look->duration;
    r->can_seek = look->can_seek;
    r->looked = true;
    media_resource_begin(r);
    media_resource_job_done(r);
    g_free(look);
}

static void look(GstElement *pipeline, gpointer user)
{
    struct media_resource *r = user;
    struct look *told = g_new0(struct look, 1);
    GstQuery *query = gst_query_new_seeking(GST_FORMAT_TIME);
    gboolean can_seek = FALSE, live = FALSE;
    told->resource = r;
    atomic_store(&r->looking, false);
    if (gst_element_query(pipeline, query))
        gst_query_parse_seeking(query, NULL, &can_seek, NULL, NULL);
    gst_query_unref(query);
    for (guint i = 0; i < r->sinks.n && !live; i++)
        if (!wmcf_sink_is_absent(r->sinks.elements[i]))
            gst_base_sink_query_latency(GST_BASE_SINK(r->sinks.elements[i]), NULL, &live, NULL,
                                        NULL);
    told->can_seek = can_seek && !live; /* test sources say so of themselves, too */
    if (!gst_element_query_duration(pipeline, GST_FORMAT_TIME, &told->duration))
        told->duration = -1;
    loop_post("pipeline looked at", on_looked, told);
}

void media_resource_look(struct media_resource *r)
{
    if (atomic_exchange(&r->looking, true))
        return;
    atomic_fetch_add(&r->jobs, 1);
    gst_element_call_async(r->made, look, r, NULL);
}

void media_resource_times(const struct media_resource *r, struct media_resource_times *ret)
{
    *ret = (struct media_resource_times){
        .position = -1, .duration = r->duration, .can_seek = r->can_seek, .paused = r->paused};
    for (guint i = 0; r->started && i < r->sinks.n; i++) {
        struct wmcf_sink_stats stats;
        wmcf_sink_stats(r->sinks.elements[i], &stats);
        ret->position = MAX(ret->position, stats.position);
    }
    if (r->started && ret->position < 0)
        ret->position = r->sought;
}

/* --- silence ---------------------------------------------------------------------------------- */

/* Whether something was there to be made something of: a source may be silent for long. */
static bool is_fed(struct media_resource *r)
{
    guint64 packets = 0;
    for (guint i = 0; i < r->inputs.n; i++) {
        struct wmcf_src_stats stats;
        media_resource_input_stats(r, i, &stats);
        packets += stats.packets;
    }
    bool fed = r->inputs.n == 0 || packets != r->taken_packets;
    r->taken_packets = packets;
    return fed;
}

static void on_stall_tick(void *data)
{
    struct media_resource *r = data;
    bool fed = is_fed(r);
    for (guint i = 0; i < r->sinks.n; i++) {
        struct wmcf_sink_stats stats;
        wmcf_sink_stats(r->sinks.elements[i], &stats);
        if (stats.packets != r->seen[i].packets || stats.ended || r->paused || r->changing ||
            !fed || wmcf_sink_is_absent(r->sinks.elements[i])) {
            r->seen[i].packets = stats.packets;
            r->seen[i].since = loop_now();
        } else if (loop_now() - r->seen[i].since > (gint64)r->stall_timeout_ms * 1000) {
            GError *error = NULL;
            problem_set(&error, PROBLEM_WMCF_ERROR, "no packet has come at %s for %u ms",
                        r->sinks.media[i].mid, r->stall_timeout_ms);
            media_resource_fail(r, error);
            return;
        }
    }
    media_resource_watch_members(r);
}

static void on_repeat_timer(void *data)
{
    media_resource_repeat(data);
}

void media_resource_watch(struct media_resource *r)
{
    if (!r->stall_timer) {
        r->stall_timer = loop_timer_new("pipeline stall", on_stall_tick, r);
        r->repeat_timer = loop_timer_new("pipeline repeat", on_repeat_timer, r);
        r->began = loop_now();
    }
    for (guint i = 0; i < r->sinks.n; i++)
        r->seen[i].since = loop_now();
    if (r->stall_timeout_ms)
        loop_timer_start_repeating(r->stall_timer, MAX(r->stall_timeout_ms / 4, 50));
}

/* --- changes ---------------------------------------------------------------------------------- */

struct job {
    struct media_resource *resource;
    GstElement *pipeline; /* owned */
    struct media_resource_change change;
    bool was_ended;
    media_resource_changed_fn done;
    void *user;
    GError *error;
};

static void job_free(struct job *job)
{
    gst_object_unref(job->pipeline);
    g_clear_pointer(&job->change.settings, g_array_unref);
    g_clear_error(&job->error);
    g_free(job);
}

static void on_job(void *data)
{
    struct job *job = data;
    struct media_resource *r = job->resource;
    r->changing = false;
    if (!r->closing) {
        if (!job->error && job->change.run != MEDIA_RESOURCE_KEEP)
            r->paused = job->change.run == MEDIA_RESOURCE_PAUSE;
        if (!job->error && job->change.position >= 0)
            r->sought = job->change.position;
        if (job->error && job->was_ended)
            media_resource_set_state(r, MEDIA_RESOURCE_ENDED);
        job->done(job->user, job->error);
    }
    media_resource_job_done(r);
    job_free(job);
}

/* None has the name if the template's `when` has left it out, and each member has one. */
static void set_everywhere(GstElement *pipeline, const struct pipeline_setting *setting)
{
    GstIterator *iterator = gst_bin_iterate_recurse(GST_BIN(pipeline));
    GValue value = G_VALUE_INIT;
    GstIteratorResult step;
    while ((step = gst_iterator_next(iterator, &value)) == GST_ITERATOR_OK ||
           step == GST_ITERATOR_RESYNC) {
        if (step == GST_ITERATOR_RESYNC) { /* to set it once more does no harm */
            gst_iterator_resync(iterator);
            continue;
        }
        GstElement *element = g_value_get_object(&value);
        if (strcmp(GST_OBJECT_NAME(element), setting->element) == 0 &&
            g_object_class_find_property(G_OBJECT_GET_CLASS(element), setting->property))
            gst_util_set_object_arg(G_OBJECT(element), setting->property, setting->value);
        g_value_reset(&value);
    }
    g_value_unset(&value);
    gst_iterator_free(iterator);
}

static void apply_settings(struct job *job)
{
    GArray *settings = job->change.settings;
    for (guint i = 0; settings && i < settings->len; i++) {
        set_everywhere(job->pipeline, &g_array_index(settings, struct pipeline_setting, i));
    }
}

static void seek_and_run(struct job *job)
{
    if (job->change.position >= 0 &&
        !gst_element_seek_simple(job->pipeline, GST_FORMAT_TIME,
                                 GST_SEEK_FLAG_FLUSH | GST_SEEK_FLAG_ACCURATE,
                                 job->change.position))
        problem_set(&job->error, PROBLEM_WMCF_ERROR, "the pipeline refuses to seek");
    else if (job->change.run != MEDIA_RESOURCE_KEEP &&
             gst_element_set_state(job->pipeline, job->change.run == MEDIA_RESOURCE_PAUSE
                                                      ? GST_STATE_PAUSED
                                                      : GST_STATE_PLAYING) ==
                 GST_STATE_CHANGE_FAILURE)
        problem_set(&job->error, PROBLEM_WMCF_ERROR, "the pipeline refuses to %s",
                    job->change.run == MEDIA_RESOURCE_PAUSE ? "pause" : "go on");
}

/* What is taken down meanwhile must not come to life again behind that. GStreamer's own lock of
 * state changes, which a seek holds anyway, puts one before the other: whoever takes the pipeline
 * down says so first and then waits for it in gst_element_set_state(). */
static void seek_and_run_unless_taken(struct job *job)
{
    GST_STATE_LOCK(job->pipeline);
    if (!atomic_load(&job->resource->taken))
        seek_and_run(job);
    else
        problem_set(&job->error, PROBLEM_WMCF_ERROR, "the pipeline was taken down meanwhile");
    GST_STATE_UNLOCK(job->pipeline);
}

static void *run_job(void *data)
{
    struct job *job = data;
    apply_settings(job);
    if (job->change.position >= 0 || job->change.run != MEDIA_RESOURCE_KEEP)
        seek_and_run_unless_taken(job);
    loop_post("pipeline changed", on_job, job);
    return NULL;
}

/* Takes the settings. */
static bool start_job(struct media_resource *r, const struct media_resource_change *change,
                      media_resource_changed_fn done, void *user, GError **error)
{
    struct job *job = g_new0(struct job, 1);
    job->resource = r;
    job->pipeline = gst_object_ref(r->pipeline);
    job->change = *change;
    job->done = done;
    job->user = user;
    if (change->position >= 0) {
        job->was_ended = media_resource_set_state(r, MEDIA_RESOURCE_PLAYING);
        atomic_store(&r->at_end, false); /* before: the end may come at once */
        if (job->was_ended)
            media_resource_watch(r);
        r->began = loop_now();
    }
    GThread *thread = g_thread_try_new("pipeline-change", run_job, job, NULL);
    if (!thread) {
        problem_set(error, PROBLEM_RESOURCES_UNAVAILABLE,
                    "no thread to change a pipeline: the limit of tasks is reached");
        if (job->was_ended)
            media_resource_set_state(r, MEDIA_RESOURCE_ENDED);
        job_free(job);
        return false;
    }
    g_thread_unref(thread);
    if (change->settings)
        pipeline_text_remember(r->text, change->settings);
    r->changing = true;
    atomic_fetch_add(&r->jobs, 1);
    return true;
}

static bool check_change(const struct media_resource *r, const struct media_resource_change *change,
                         GError **error)
{
    if (r->state != MEDIA_RESOURCE_PLAYING && r->state != MEDIA_RESOURCE_ENDED)
        problem_set(error, PROBLEM_INVALID_STATE, "the pipeline is %s",
                    media_resource_state_name(r->state));
    else if (r->changing)
        problem_set(error, PROBLEM_INVALID_STATE, "another change of the pipeline is under way");
    else if (change->run == MEDIA_RESOURCE_PAUSE && r->state == MEDIA_RESOURCE_ENDED &&
             change->position < 0)
        problem_set(error, PROBLEM_INVALID_STATE,
                    "the pipeline has ended: there is nothing to pause");
    else if (change->position >= 0 && !r->can_seek)
        problem_set_param(error, PROBLEM_INVALID_STATE, "/seek",
                          "what the pipeline plays is live or has no index: it cannot be sought");
    else if (change->position >= 0 && r->duration >= 0 && change->position > r->duration)
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, "/seek", "it is %.3f s long",
                          (double)r->duration / 1e9);
    else
        return true;
    return false;
}

bool media_resource_change(struct media_resource *r, struct media_resource_change *change,
                           media_resource_changed_fn done, void *user, GError **error)
{
    if (check_change(r, change, error))
        return start_job(r, change, done, user, error);
    g_clear_pointer(&change->settings, g_array_unref);
    return false;
}

/* --- repetition ------------------------------------------------------------------------------- */

static void on_repeated(void *user, const GError *error)
{
    struct media_resource *r = user;
    if (error)
        media_resource_fail(r, g_error_copy(error));
}

bool media_resource_repeat(struct media_resource *r)
{
    struct media_resource_change change = {.position = 0};
    gint64 since = loop_now() - r->began;
    if (!r->can_seek || r->state != MEDIA_RESOURCE_PLAYING)
        return false;
    if (r->changing || since < REPEAT_US) /* a file of one frame is not read all the time */
        loop_timer_start(r->repeat_timer,
                         r->changing ? 20 : (guint)((REPEAT_US - since) / 1000) + 1);
    else if (atomic_load(&r->at_end))
        return start_job(r, &change, on_repeated, r, NULL);
    return true;
}

/* --- looking ---------------------------------------------------------------------------------- */

/* Without the values of properties: an element that hangs holds the locks that guard them. */
char *media_resource_dot(const struct media_resource *r)
{
    return r->pipeline ? gst_debug_bin_to_dot_data(GST_BIN(r->pipeline),
                                                   GST_DEBUG_GRAPH_SHOW_MEDIA_TYPE |
                                                       GST_DEBUG_GRAPH_SHOW_CAPS_DETAILS |
                                                       GST_DEBUG_GRAPH_SHOW_NON_DEFAULT_PARAMS |
                                                       GST_DEBUG_GRAPH_SHOW_STATES)
                       : NULL;
}
