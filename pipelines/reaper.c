/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the thread that takes pipelines down, one after the other. One is enough: a leg takes a
 * millisecond here, nobody waits for it, and a thousand hang-ups at once should not become a
 * thousand threads' work. */
#include "pipelines/reaper.h"

#include "pipelines/job-thread.h"

#include <stdatomic.h>

static struct job_thread *worker;
static _Atomic guint pending;

struct corpse {
    void (*end)(void *data);
    void *data;
};

static void end(void *data)
{
    struct corpse *corpse = data;

    corpse->end(corpse->data);
    g_free(corpse);
    atomic_fetch_sub(&pending, 1);
}

bool reaper_start(GError **error)
{
    worker = job_thread_new("reaper", NULL, error);
    return worker != NULL;
}

void reaper_stop(void)
{
    job_thread_free(worker);
    worker = NULL;
}

void reaper_expect(void)
{
    atomic_fetch_add(&pending, 1);
}

void reaper_take(void (*fn)(void *data), void *data)
{
    struct corpse *corpse = g_new(struct corpse, 1);

    *corpse = (struct corpse){.end = fn, .data = data};
    job_thread_post(worker, end, corpse);
}

guint reaper_pending(void)
{
    return atomic_load(&pending);
}
