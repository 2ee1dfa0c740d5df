/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the DTLS thread and its timers, a sequence sorted by deadline. A GLib main context would
 * walk over one source per handshaking leg at each turn; this needs no descriptor and costs a tree
 * step per timer. One thread does some 2000 handshakes a second; when that is too few, legs can be
 * spread over several by their number. */
#include "pipelines/dtls-thread.h"

#include "pipelines/job-thread.h"

static struct {
    struct job_thread *worker;
    GSequence *timers; /* DTLS thread: borrowed struct dtls_timer, by deadline */
} dtls;

static int compare_timers(const void *a, const void *b, void *unused)
{
    const struct dtls_timer *first = a, *second = b;

    return first->deadline < second->deadline ? -1 : first->deadline > second->deadline;
}

static gint64 run_timers(void)
{
    gint64 now = g_get_monotonic_time();

    while (!g_sequence_is_empty(dtls.timers)) {
        GSequenceIter *first = g_sequence_get_begin_iter(dtls.timers);
        struct dtls_timer *timer = g_sequence_get(first);

        if (timer->deadline > now)
            return timer->deadline;
        g_sequence_remove(first);
        timer->position = NULL;
        timer->fn(timer->data, now);
    }
    return -1;
}

bool dtls_thread_start(GError **error)
{
    dtls.timers = g_sequence_new(NULL);
    dtls.worker = job_thread_new("dtls", run_timers, error);
    if (!dtls.worker)
        g_clear_pointer(&dtls.timers, g_sequence_free);
    return dtls.worker != NULL;
}

void dtls_thread_stop(void)
{
    if (!dtls.worker)
        return;
    job_thread_free(dtls.worker); /* its last jobs still post */
    dtls.worker = NULL;
    g_assert(g_sequence_is_empty(dtls.timers));
    g_clear_pointer(&dtls.timers, g_sequence_free);
}

bool dtls_thread_is_current(void)
{
    return job_thread_is_current(dtls.worker);
}

void dtls_thread_post(void (*fn)(void *data), void *data)
{
    job_thread_post(dtls.worker, fn, data);
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
