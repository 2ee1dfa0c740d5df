/* SPDX-License-Identifier: Apache-2.0 */
/* Members of a repeated input: parts that are put into the pipeline and taken out of it while the
 * rest plays. Each is a bin of its own beside the template's elements, so it can be stopped alone
 * and what breaks in it concerns nobody else. Everything that may wait for a thread of the pipeline
 * is done on a thread of its own, one job after another, so a name and a place can be used again as
 * soon as they are given back. */
#include "base/problem.h"
#include "pipelines/media-resource-parts.h"

struct media_member {
    gatomicrefcount references;
    struct media_resource *resource;
    guint place;
    enum { MEMBER_ADDING, MEMBER_WAITING, MEMBER_PLAYS, MEMBER_LEAVES } state;
    struct pipeline_text *text;
    struct media_member_part part; /* the job's, from its end on ours */
    bool built;
    struct wmcf_sink_medium medium;
    struct loop_timer *timer; /* for the first packet */
    media_resource_changed_fn done;
    void *user;
    GError *error;       /* that came before it was built */
    _Atomic bool broken; /* told once; streaming threads */
    struct {
        guint64 packets;
        gint64 since;
    } seen;
};

struct member_job {
    struct media_member *member; /* owned */
    bool leaves;
    GError *error;
};

static struct media_member *member_ref(struct media_member *member)
{
    g_atomic_ref_count_inc(&member->references);
    return member;
}

/* Control; the last one after its bin is in NULL. */
static void member_unref(struct media_member *member)
{
    if (!g_atomic_ref_count_dec(&member->references))
        return;
    media_member_part_clear(&member->part);
    loop_timer_free(member->timer);
    pipeline_text_free(member->text);
    g_clear_error(&member->error);
    g_free(member);
}

static void job_free(struct member_job *job)
{
    member_unref(job->member);
    g_clear_error(&job->error);
    g_free(job);
}

/* --- jobs ------------------------------------------------------------------------------------- */

static void run_next(struct media_resource *r);
static void fail_member(struct media_member *member, GError *error);

static void tell(struct media_member *member, const GError *error)
{
    media_resource_changed_fn done = g_steal_pointer(&member->done);
    if (done && !member->resource->closing)
        done(member->user, error);
}

static void begin_member(struct media_member *member)
{
    if (member->state != MEMBER_WAITING ||
        (member->part.sink && !wmcf_sink_medium(member->part.sink, &member->medium)))
        return;
    loop_timer_stop(member->timer);
    member->state = MEMBER_PLAYS;
    member->seen.since = loop_now();
    tell(member, NULL);
}

static void on_added(struct member_job *job)
{
    struct media_member *member = job->member;
    struct media_resource *r = member->resource;
    member->built = !job->error;
    if (member->state != MEMBER_ADDING) /* it is to go again */
        return;
    if (job->error || member->error) {
        fail_member(member,
                    job->error ? g_steal_pointer(&job->error) : g_steal_pointer(&member->error));
        return;
    }
    member->state = MEMBER_WAITING;
    loop_timer_start(member->timer, r->start_timeout_ms);
    begin_member(member);
}

static void on_job(void *data)
{
    struct member_job *job = data;
    struct media_resource *r = job->member->resource;
    r->member_busy = false;
    if (!job->leaves)
        on_added(job);
    job_free(job);
    if (r->down_wanted)
        media_resource_take_down(r);
    else if (!r->closing)
        run_next(r);
    media_resource_job_done(r);
}

static void *run_job(void *data)
{
    struct member_job *job = data;
    struct media_resource *r = job->member->resource;
    if (job->leaves)
        media_member_part_remove(&job->member->part);
    else
        media_member_part_add(&job->member->part, r->made, job->member->text, &job->error);
    loop_post("pipeline member", on_job, job);
    return NULL;
}

static void run_next(struct media_resource *r)
{
    struct member_job *job = r->member_busy ? NULL : g_queue_pop_head(&r->member_jobs);
    if (!job)
        return;
    r->member_busy = true;
    atomic_fetch_add(&r->jobs, 1);
    GThread *thread = g_thread_try_new("pipeline-member", run_job, job, NULL);
    if (thread) {
        g_thread_unref(thread);
        return;
    }
    if (job->leaves) /* it has to go; a short while nobody else is served */
        media_member_part_remove(&job->member->part);
    else
        problem_set(&job->error, PROBLEM_RESOURCES_UNAVAILABLE,
                    "no thread to change a pipeline: the limit of tasks is reached");
    loop_post("pipeline member", on_job, job);
}

static void queue_job(struct media_member *member, bool leaves)
{
    struct member_job *job = g_new0(struct member_job, 1);
    job->member = member_ref(member);
    job->leaves = leaves;
    g_queue_push_tail(&member->resource->member_jobs, job);
    run_next(member->resource);
}

/* --- from its part ---------------------------------------------------------------------------- */

struct news {
    struct media_member *member; /* owned */
    GError *error;               /* NULL: the first packet */
};

static void on_news(void *data)
{
    struct news *news = data;
    struct media_member *member = news->member;
    struct media_resource *r = member->resource;
    if (!news->error)
        begin_member(member);
    else if (member->state == MEMBER_ADDING && !member->error)
        member->error = g_steal_pointer(&news->error);
    else if (member->state == MEMBER_WAITING || member->state == MEMBER_PLAYS)
        fail_member(member, g_steal_pointer(&news->error));
    g_clear_error(&news->error);
    g_free(news);
    member_unref(member);
    media_resource_job_done(r);
}

/* Any thread. Takes the error. */
static void post_news(struct media_member *member, GError *error)
{
    struct news *news = g_new0(struct news, 1);
    news->member = member_ref(member);
    news->error = error;
    atomic_fetch_add(&member->resource->jobs, 1);
    loop_post("pipeline member", on_news, news);
}

static void on_first(void *user, guint index)
{
    post_news(user, NULL);
}

/* Who wants a key frame does not know whether the member is there: the sink is asked here. */
static void on_packets(void *user, guint index, const struct wmcf_sink_packet *packets, guint n)
{
    struct media_member *member = user;
    struct media_resource *r = member->resource;
    if (atomic_load_explicit(&r->member_key_frames[index], memory_order_relaxed) &&
        atomic_exchange(&r->member_key_frames[index], false))
        wmcf_sink_request_key_frame(member->part.sink);
    r->ops->member_packets(r->user, index, packets, n);
}

static const struct wmcf_sink_ops sink_ops = {.first = on_first, .packets = on_packets};

struct media_member *media_resource_member_of(GstObject *object)
{
    struct media_member *member = NULL;
    object = gst_object_ref(object);
    while (object && !member) {
        member = g_object_get_data(G_OBJECT(object), MEDIA_MEMBER_DATA);
        GstObject *parent = gst_object_get_parent(object);
        gst_object_unref(object);
        object = parent;
    }
    gst_clear_object(&object);
    return member;
}

const struct pipeline_text *media_member_text(const struct media_member *member)
{
    return member->text;
}

void media_member_broke(struct media_member *member, GError *error)
{
    if (atomic_exchange(&member->broken, true))
        g_error_free(error);
    else
        post_news(member, error);
}

/* --- the face --------------------------------------------------------------------------------- */

/* It goes with the pipeline, whose threads still know it. */
static void keep(struct media_member *member)
{
    struct media_resource *r = member->resource;
    if (!r->members_gone)
        r->members_gone = g_ptr_array_new_with_free_func((GDestroyNotify)member_unref);
    g_ptr_array_add(r->members_gone, member_ref(member));
}

/* Out of its place, and out of the pipeline. */
static void let_go(struct media_member *member)
{
    struct media_resource *r = member->resource;
    r->members[member->place] = NULL;
    member->state = MEMBER_LEAVES;
    loop_timer_stop(member->timer);
    if (!r->closing && r->state != MEDIA_RESOURCE_FAILED)
        queue_job(member, true);
    else
        keep(member);
}

/* Takes the error. */
static void fail_member(struct media_member *member, GError *error)
{
    struct media_resource *r = member->resource;
    guint place = member->place;
    bool waits = member->done;
    member_ref(member);
    let_go(member);
    member_unref(member); /* that of the place */
    if (waits)
        tell(member, error);
    else if (!r->closing)
        r->ops->member_failed(r->user, place, error);
    member_unref(member);
    g_error_free(error);
}

static void on_timeout(void *data)
{
    struct media_member *member = data;
    GError *error = NULL;
    problem_set(&error, PROBLEM_WMCF_ERROR, "no packet came at %s within %u ms", member->part.name,
                member->resource->start_timeout_ms);
    fail_member(member, error);
}

bool media_resource_add_member(struct media_resource *r, guint place, const char *name,
                               struct pipeline_text *text, media_resource_changed_fn done,
                               void *user, GError **error)
{
    g_return_val_if_fail(place < MEDIA_RESOURCE_MEMBERS_MAX && !r->members[place], false);
    if (r->state != MEDIA_RESOURCE_PLAYING || r->closing) {
        problem_set(error, PROBLEM_INVALID_STATE, "the pipeline is %s",
                    media_resource_state_name(r->state));
        pipeline_text_free(text);
        return false;
    }
    struct media_member *member = g_new0(struct media_member, 1);
    g_atomic_ref_count_init(&member->references);
    member->resource = r;
    member->place = place;
    member->text = text;
    member->timer = loop_timer_new("pipeline member", on_timeout, member);
    member->done = done;
    member->user = user;
    member->part.sink_index = place;
    member->part.src_index = r->inputs.n + place;
    member->part.sink_ops = &sink_ops;
    member->part.sink_user = member;
    member->part.src_ops = r->input_ops;
    member->part.src_user = r->user;
    g_strlcpy(member->part.name, name, sizeof member->part.name);
    r->members[place] = member;
    queue_job(member, false);
    return true;
}

void media_resource_remove_member(struct media_resource *r, guint place)
{
    struct media_member *member = r->members[place];
    if (!member)
        return;
    member->done = NULL;
    member_ref(member);
    let_go(member);
    member_unref(member);
    member_unref(member);
}

const struct wmcf_sink_medium *media_resource_member_medium(const struct media_resource *r,
                                                            guint place)
{
    const struct media_member *member = r->members[place];
    return member && member->state == MEMBER_PLAYS && member->part.sink ? &member->medium : NULL;
}

void media_resource_member_stats(const struct media_resource *r, guint place,
                                 struct wmcf_src_stats *ret_in, struct wmcf_sink_stats *ret_out)
{
    const struct media_member *member = r->members[place];
    *ret_in = (struct wmcf_src_stats){0};
    *ret_out = (struct wmcf_sink_stats){.position = -1};
    if (!member || !member->built)
        return;
    wmcf_src_stats(member->part.src, ret_in);
    if (member->part.sink)
        wmcf_sink_stats(member->part.sink, ret_out);
}

void media_resource_request_member_key_frame(struct media_resource *r, guint place)
{
    atomic_store(&r->member_key_frames[place], true);
}

void media_resource_watch_members(struct media_resource *r)
{
    for (guint i = 0; i < MEDIA_RESOURCE_MEMBERS_MAX; i++) {
        struct media_member *member = r->members[i];
        struct wmcf_sink_stats stats;
        if (!member || member->state != MEMBER_PLAYS || !member->part.sink)
            continue;
        wmcf_sink_stats(member->part.sink, &stats);
        if (stats.packets != member->seen.packets || r->paused) {
            member->seen.packets = stats.packets;
            member->seen.since = loop_now();
        } else if (loop_now() - member->seen.since > (gint64)r->stall_timeout_ms * 1000) {
            GError *error = NULL;
            problem_set(&error, PROBLEM_WMCF_ERROR, "no packet has come at %s for %u ms",
                        member->part.name, r->stall_timeout_ms);
            fail_member(member, error);
        }
    }
}

void media_resource_fail_members(struct media_resource *r, const GError *error)
{
    for (guint i = 0; i < MEDIA_RESOURCE_MEMBERS_MAX; i++)
        if (r->members[i])
            tell(r->members[i], error);
}

/* What waits comes to nothing. */
void media_resource_close_members(struct media_resource *r)
{
    struct member_job *job;
    while ((job = g_queue_pop_head(&r->member_jobs))) {
        keep(job->member);
        job_free(job);
    }
    for (guint i = 0; i < MEDIA_RESOURCE_MEMBERS_MAX; i++)
        if (r->members[i])
            loop_timer_stop(r->members[i]->timer);
}

void media_resource_free_members(struct media_resource *r)
{
    media_resource_close_members(r);
    for (guint i = 0; i < MEDIA_RESOURCE_MEMBERS_MAX; i++)
        if (r->members[i])
            member_unref(g_steal_pointer(&r->members[i]));
    g_clear_pointer(&r->members_gone, g_ptr_array_unref);
}
