/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the SCTP thread. One is enough: a packet takes some 10 µs here, that is 800 Mb/s, and data
 * channels carry little beside media. */
#include "pipelines/sctp-thread.h"

#include "pipelines/job-thread.h"

static struct job_thread *worker;

bool sctp_thread_start(GError **error)
{
    worker = job_thread_new("sctp", NULL, error);
    return worker != NULL;
}

static struct {
    GMutex lock;
    GCond cond;
    bool reached;
} mark;

static void reach_mark(void *unused)
{
    g_mutex_lock(&mark.lock);
    mark.reached = true;
    g_cond_signal(&mark.cond);
    g_mutex_unlock(&mark.lock);
}

void sctp_thread_flush(void)
{
    mark.reached = false;
    sctp_thread_post(reach_mark, NULL);
    g_mutex_lock(&mark.lock);
    while (!mark.reached)
        g_cond_wait(&mark.cond, &mark.lock);
    g_mutex_unlock(&mark.lock);
}

void sctp_thread_stop(void)
{
    job_thread_free(worker);
    worker = NULL;
}

void sctp_thread_post(void (*fn)(void *data), void *data)
{
    job_thread_post(worker, fn, data);
}
