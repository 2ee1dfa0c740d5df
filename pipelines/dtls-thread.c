/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the DTLS thread: a queue of jobs and a list of timers sorted by deadline, waited for with
 * one call. A GLib main context would walk over one source per handshaking leg at each turn; this
 * needs no descriptor and costs a tree step per timer. One thread does some 2000 handshakes a
 * second; when that is too few, legs can be spread over several by their number. */
#include "pipelines/dtls-thread.h"

#include "base/problem.h"

struct job {
    void (*fn)(void *data);
    void *data;
};

static struct {
    GThread *thread;
    GAsyncQueue *jobs; /* struct job; one without fn ends the thread */
    GSequence *timers; /* DTLS thread: borrowed struct dtls_timer, by deadline */
} dtls;

static int compare_timers(const void *a, const void *b, void *unused)
{
    const struct dtls_timer *first = a, *second = b;

    return first->deadline < second->deadline ? -1 : first->deadline > second->deadline;
}

/* Calls what is due; returns µs until the next deadline, 0 for none. */
static guint64 run_timers(void)
{
    gint64 now = g_get_monotonic_time();

    while (!g_sequence_is_empty(dtls.timers)) {
        GSequenceIter *first = g_sequence_get_begin_iter(dtls.timers);
        struct dtls_timer *timer = g_sequence_get(first);

        if (timer->deadline > now)
            return (guint64)(timer->deadline - now);
        g_sequence_remove(first);
        timer->position = NULL;
        timer->fn(timer->data, now);
    }
    return 0;
}

static void *run(void *unused)
{
    for (;;) {
        guint64 wait = run_timers();
        struct job *job =
            wait ? g_async_queue_timeout_pop(dtls.jobs, wait) : g_async_queue_pop(dtls.jobs);

        if (!job)
            continue;
        if (!job->fn) {
            g_free(job);
            return NULL;
        }
        job->fn(job->data);
        g_free(job);
    }
}

bool dtls_thread_start(GError **error)
{
    g_autoptr(GError) reason = NULL;

    dtls.jobs = g_async_queue_new();
    dtls.timers = g_sequence_new(NULL);
    dtls.thread = g_thread_try_new("dtls", run, NULL, &reason);
    if (!dtls.thread) {
        problem_set(error, PROBLEM_RESOURCES_UNAVAILABLE, "cannot start the DTLS thread: %s",
                    reason->message);
        g_clear_pointer(&dtls.jobs, g_async_queue_unref);
        g_clear_pointer(&dtls.timers, g_sequence_free);
    }
    return dtls.thread != NULL;
}

void dtls_thread_stop(void)
{
    if (!dtls.thread)
        return;
    dtls_thread_post(NULL, NULL);
    g_thread_join(dtls.thread);
    dtls.thread = NULL;
    g_assert(g_sequence_is_empty(dtls.timers));
    g_clear_pointer(&dtls.jobs, g_async_queue_unref);
    g_clear_pointer(&dtls.timers, g_sequence_free);
}

bool dtls_thread_is_current(void)
{
    return g_thread_self() == dtls.thread;
}

void dtls_thread_post(void (*fn)(void *data), void *data)
{
    struct job *job = g_new(struct job, 1);

    *job = (struct job){.fn = fn, .data = data};
    g_async_queue_push(dtls.jobs, job);
}

void dtls_timer_init(struct dtls_timer *timer, void (*fn)(void *data, gint64 now), void *data)
{
    *timer = (struct dtls_timer){.fn = fn, .data = data};
}

void dtls_timer_set(struct dtls_timer *timer, gint64 deadline)
{
    if (timer->position)
        g_sequence_remove(g_steal_pointer(&timer->position));
    if (deadline < 0)
        return;
    timer->deadline = deadline;
    timer->position = g_sequence_insert_sorted(dtls.timers, timer, compare_timers, NULL);
}
