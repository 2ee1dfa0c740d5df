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

void sctp_thread_stop(void)
{
    job_thread_free(worker);
    worker = NULL;
}

void sctp_thread_post(void (*fn)(void *data), void *data)
{
    job_thread_post(worker, fn, data);
}
