/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the one thread of all traversal agents: a GLib main loop, since libnice wants a main context
 * for its sockets and timers. */
#include "base/loop.h"
#include "pipelines/traversal-agent.h"

#include <stdatomic.h>

#define ENDING_MS 1000

static struct {
    GThread *thread; /* NULL before the first agent */
    GMainContext *context;
    GMainLoop *loop;
    guint agents;        /* the thread's */
    bool ending;         /* the thread's */
    _Atomic guint calls; /* posted and not done yet */
} own;

static void *run(void *data)
{
    g_main_context_push_thread_default(own.context);
    g_main_loop_run(own.loop);
    /* What was posted before the end, and nothing else: what libnice has left, of an agent that is
     * still to be closed, may be ready for ever. */
    while (atomic_load(&own.calls) > 0 && g_main_context_iteration(own.context, FALSE))
        ;
    g_main_context_pop_thread_default(own.context);
    return NULL;
}

static void start(void)
{
    own.context = g_main_context_new();
    own.loop = g_main_loop_new(own.context, FALSE);
    own.thread = g_thread_new("traversal", run, NULL);
}

struct call {
    void (*fn)(struct traversal_job *job);
    struct traversal_job *job;
};

static gboolean on_call(void *data)
{
    struct call *call = data;
    call->fn(call->job);
    atomic_fetch_sub(&own.calls, 1);
    return G_SOURCE_REMOVE;
}

static void call_free(void *data)
{
    struct call *call = data;
    struct traversal_job *job = call->job;
    g_free(job->ufrag);
    g_free(job->pwd);
    g_free(job->local_ufrag);
    g_free(job->local_pwd);
    sdp_candidate_clear(&job->candidate);
    g_free(job);
    g_free(call);
}

void traversal_post(void (*fn)(struct traversal_job *job), struct traversal_job *job)
{
    loop_assert();
    if (!own.thread)
        start();
    struct call *call = g_new(struct call, 1);
    *call = (struct call){fn, job};
    atomic_fetch_add(&own.calls, 1);
    /* Not g_main_context_invoke(), which would run it here before the thread has begun. */
    GSource *source = g_idle_source_new();
    g_source_set_priority(source, G_PRIORITY_DEFAULT);
    g_source_set_callback(source, on_call, call, call_free);
    g_source_attach(source, own.context);
    g_source_unref(source);
}

GMainContext *traversal_context(void)
{
    return own.context;
}

static gboolean quit(void *data)
{
    g_main_loop_quit(own.loop);
    return G_SOURCE_REMOVE;
}

static void attach(GSource *source, GSourceFunc fn)
{
    g_source_set_priority(source, G_PRIORITY_DEFAULT);
    g_source_set_callback(source, fn, NULL, NULL);
    g_source_attach(source, own.context);
    g_source_unref(source);
}

void traversal_thread_count(int change)
{
    own.agents += (guint)change;
    if (own.ending && !own.agents)
        g_main_loop_quit(own.loop);
}

static gboolean end(void *data)
{
    own.ending = true;
    if (own.agents)
        attach(g_timeout_source_new(ENDING_MS), quit);
    else
        g_main_loop_quit(own.loop);
    return G_SOURCE_REMOVE;
}

void traversal_thread_stop(void)
{
    if (!own.thread)
        return;
    /* By a job, which comes after those that are posted, and after the loop has begun. */
    attach(g_idle_source_new(), end);
    g_thread_join(own.thread);
    g_clear_pointer(&own.loop, g_main_loop_unref);
    g_clear_pointer(&own.context, g_main_context_unref);
    own.thread = NULL;
    own.ending = false;
}
