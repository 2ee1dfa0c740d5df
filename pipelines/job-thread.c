/* SPDX-License-Identifier: Apache-2.0 */
/* Owns a thread and its queue of jobs. POSIX locks and not GLib's queue, because the thread
 * sanitizer sees through these and can then judge everything that is handed from thread to thread
 * here. */
#include "pipelines/job-thread.h"

#include "base/problem.h"

#include <pthread.h>
#include <time.h>

struct job {
    struct job *next;
    void (*fn)(void *data);
    void *data;
};

struct job_thread {
    pthread_t thread;
    gint64 (*turn)(void); /* RO after start */
    pthread_mutex_t lock;
    pthread_cond_t posted;
    struct job *first, **last; /* lock */
    bool leaving;              /* lock */
};

/* The next job, or NULL at the deadline; *ret_over when there will be none. */
static struct job *take(struct job_thread *thread, gint64 deadline, bool *ret_over)
{
    struct job *job;

    pthread_mutex_lock(&thread->lock);
    while (!thread->first && !thread->leaving) {
        struct timespec until = {.tv_sec = deadline / G_USEC_PER_SEC,
                                 .tv_nsec = deadline % G_USEC_PER_SEC * 1000};

        if (deadline < 0)
            pthread_cond_wait(&thread->posted, &thread->lock);
        else if (pthread_cond_timedwait(&thread->posted, &thread->lock, &until) != 0)
            break;
    }
    job = thread->first;
    if (job) {
        thread->first = job->next;
        if (!thread->first)
            thread->last = &thread->first;
    }
    *ret_over = !job && thread->leaving;
    pthread_mutex_unlock(&thread->lock);
    return job;
}

static void *run(void *data)
{
    struct job_thread *thread = data;
    bool over = false;

    while (!over) {
        gint64 deadline = thread->turn ? thread->turn() : -1;
        struct job *job = take(thread, deadline, &over);

        if (job)
            job->fn(job->data);
        g_free(job);
    }
    return NULL;
}

struct job_thread *job_thread_new(const char *name, gint64 (*turn)(void), GError **error)
{
    struct job_thread *thread = g_new0(struct job_thread, 1);
    pthread_condattr_t attributes;

    thread->turn = turn;
    thread->last = &thread->first;
    pthread_mutex_init(&thread->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC); /* g_get_monotonic_time()'s */
    pthread_cond_init(&thread->posted, &attributes);
    pthread_condattr_destroy(&attributes);
    if (pthread_create(&thread->thread, NULL, run, thread) != 0) {
        problem_set(error, PROBLEM_RESOURCES_UNAVAILABLE,
                    "cannot start the thread \"%s\": the limit of tasks is reached", name);
        pthread_cond_destroy(&thread->posted);
        pthread_mutex_destroy(&thread->lock);
        g_free(thread);
        return NULL;
    }
    pthread_setname_np(thread->thread, name);
    return thread;
}

void job_thread_free(struct job_thread *thread)
{
    if (!thread)
        return;
    pthread_mutex_lock(&thread->lock);
    thread->leaving = true;
    pthread_cond_signal(&thread->posted);
    pthread_mutex_unlock(&thread->lock);
    pthread_join(thread->thread, NULL);
    pthread_cond_destroy(&thread->posted);
    pthread_mutex_destroy(&thread->lock);
    g_free(thread);
}

void job_thread_post(struct job_thread *thread, void (*fn)(void *data), void *data)
{
    struct job *job = g_new(struct job, 1);

    *job = (struct job){.fn = fn, .data = data};
    pthread_mutex_lock(&thread->lock);
    *thread->last = job;
    thread->last = &job->next;
    pthread_cond_signal(&thread->posted);
    pthread_mutex_unlock(&thread->lock);
}

bool job_thread_is_current(const struct job_thread *thread)
{
    return pthread_equal(pthread_self(), thread->thread);
}
