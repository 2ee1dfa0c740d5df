/* SPDX-License-Identifier: Apache-2.0 */
/* Owns a thread and its queue of jobs. POSIX locks and not GLib's queue, because the thread
 * sanitizer sees through these and can then judge everything that is handed from thread to thread
 * here. */
#include "pipelines/worker.h"

#include "base/problem.h"

#include <pthread.h>
#include <time.h>

struct job {
    struct job *next;
    void (*fn)(void *data);
    void *data;
};

struct worker {
    pthread_t thread;
    gint64 (*turn)(void); /* RO after start */
    pthread_mutex_t lock;
    pthread_cond_t posted;
    struct job *first, **last; /* lock */
    bool leaving;              /* lock */
};

/* The next job, or NULL at the deadline; *ret_over when there will be none. */
static struct job *take(struct worker *worker, gint64 deadline, bool *ret_over)
{
    struct job *job;

    pthread_mutex_lock(&worker->lock);
    while (!worker->first && !worker->leaving) {
        struct timespec until = {.tv_sec = deadline / G_USEC_PER_SEC,
                                 .tv_nsec = deadline % G_USEC_PER_SEC * 1000};

        if (deadline < 0)
            pthread_cond_wait(&worker->posted, &worker->lock);
        else if (pthread_cond_timedwait(&worker->posted, &worker->lock, &until) != 0)
            break;
    }
    job = worker->first;
    if (job) {
        worker->first = job->next;
        if (!worker->first)
            worker->last = &worker->first;
    }
    *ret_over = !job && worker->leaving;
    pthread_mutex_unlock(&worker->lock);
    return job;
}

static void *run(void *data)
{
    struct worker *worker = data;
    bool over = false;

    while (!over) {
        gint64 deadline = worker->turn ? worker->turn() : -1;
        struct job *job = take(worker, deadline, &over);

        if (job)
            job->fn(job->data);
        g_free(job);
    }
    return NULL;
}

struct worker *worker_new(const char *name, gint64 (*turn)(void), GError **error)
{
    struct worker *worker = g_new0(struct worker, 1);
    pthread_condattr_t attributes;

    worker->turn = turn;
    worker->last = &worker->first;
    pthread_mutex_init(&worker->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC); /* g_get_monotonic_time()'s */
    pthread_cond_init(&worker->posted, &attributes);
    pthread_condattr_destroy(&attributes);
    if (pthread_create(&worker->thread, NULL, run, worker) != 0) {
        problem_set(error, PROBLEM_RESOURCES_UNAVAILABLE,
                    "cannot start the thread \"%s\": the limit of tasks is reached", name);
        pthread_cond_destroy(&worker->posted);
        pthread_mutex_destroy(&worker->lock);
        g_free(worker);
        return NULL;
    }
    pthread_setname_np(worker->thread, name);
    return worker;
}

void worker_free(struct worker *worker)
{
    if (!worker)
        return;
    pthread_mutex_lock(&worker->lock);
    worker->leaving = true;
    pthread_cond_signal(&worker->posted);
    pthread_mutex_unlock(&worker->lock);
    pthread_join(worker->thread, NULL);
    pthread_cond_destroy(&worker->posted);
    pthread_mutex_destroy(&worker->lock);
    g_free(worker);
}

void worker_post(struct worker *worker, void (*fn)(void *data), void *data)
{
    struct job *job = g_new(struct job, 1);

    *job = (struct job){.fn = fn, .data = data};
    pthread_mutex_lock(&worker->lock);
    *worker->last = job;
    worker->last = &job->next;
    pthread_cond_signal(&worker->posted);
    pthread_mutex_unlock(&worker->lock);
}

bool worker_is_current(const struct worker *worker)
{
    return pthread_equal(pthread_self(), worker->thread);
}
