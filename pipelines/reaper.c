/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the thread that takes pipelines down, one after the other. One is enough: a leg takes a
 * quarter of a millisecond here, nobody waits for it, and a thousand hang-ups at once should not
 * become a thousand threads' work. When many have gone and no other is waiting, it has malloc give
 * back to the system what they had: their memory lies between that of others, so by itself malloc
 * would keep nearly all of it. */
#include "pipelines/reaper.h"

#include "pipelines/job-thread.h"

#include <malloc.h>
#include <stdatomic.h>

/* It holds malloc's locks while it gives back, 6 ms for the 35 MB of 200 legs. */
#define TRIM_AFTER 64

static struct job_thread *worker;
static _Atomic guint pending;
static guint ended; /* reaper's thread; since memory was given back */

struct corpse {
    void (*end)(void *data);
    void *data;
};

static void end(void *data)
{
    struct corpse *corpse = data;

    corpse->end(corpse->data);
    g_free(corpse);
    ended++;
    if (atomic_load(&pending) == 1 && ended >= TRIM_AFTER) {
        malloc_trim(0);
        ended = 0;
    }
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
