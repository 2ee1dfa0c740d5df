/* SPDX-License-Identifier: Apache-2.0 */
/* A batch costs its writer one store and one load of the reader's flag, and the system call that
 * wakes it only when it may be waiting. Either the reader, having said that it sleeps, finds what
 * was published, or the writer, having published, finds that it sleeps: all four accesses are
 * sequentially consistent. */
#include "wmcf/relay/worker-link.h"

#include "wmcf/relay/stream-mirror.h"
#include "wmcf/relay/worker.h"

#include <errno.h>
#include <unistd.h>

#define RECORDS_PER_RUN 512 /* before they are routed: what a full receive batch brings */

struct worker_link *worker_link_new(struct worker *from, struct worker *to, size_t ring_octets)
{
    struct worker_link *link = g_new0(struct worker_link, 1);
    link->ring = worker_ring_new(ring_octets);
    link->from = from;
    link->to = to;
    return link;
}

void worker_link_free(struct worker_link *link)
{
    if (!link)
        return;
    worker_ring_free(link->ring);
    g_free(link);
}

/* --- the writer ------------------------------------------------------------------------------- */

void worker_link_touch(struct worker_link *link)
{
    if (link->dirty)
        return;
    link->dirty = true;
    link->next_dirty = link->from->links.dirty;
    link->from->links.dirty = link;
}

void worker_links_publish(struct worker *worker)
{
    static const uint64_t one = 1;
    while (worker->links.dirty) {
        struct worker_link *link = worker->links.dirty;
        worker->links.dirty = link->next_dirty;
        link->dirty = false;
        worker_ring_publish(link->ring);
        if (atomic_load_explicit(&link->to->links.asleep, memory_order_seq_cst) &&
            atomic_exchange_explicit(&link->to->links.asleep, false, memory_order_seq_cst) &&
            write(link->to->wake, &one, sizeof one) < 0)
            g_assert(errno == EAGAIN); /* the counter is full: it is awake */
    }
}

/* --- the reader ------------------------------------------------------------------------------- */

void worker_link_serve(struct worker_link *link)
{
    if (link->served)
        return;
    link->served = true;
    link->next_in = link->to->links.in;
    link->to->links.in = link;
}

bool worker_links_doze(struct worker *worker)
{
    if (!worker->links.in)
        return true;
    atomic_store_explicit(&worker->links.asleep, true, memory_order_seq_cst);
    for (struct worker_link *link = worker->links.in; link; link = link->next_in) {
        if (worker_ring_pending(link->ring))
            return false;
    }
    return true;
}

void worker_links_awake(struct worker *worker)
{
    if (worker->links.in)
        atomic_store_explicit(&worker->links.asleep, false, memory_order_relaxed);
}

static void read_link(struct worker *worker, struct worker_link *link)
{
    const void *record;
    size_t length;
    unsigned n = 0;
    worker->now = g_get_monotonic_time();
    while ((record = worker_ring_next(link->ring, &length))) {
        stream_mirrors_take(worker, record);
        if (++n % RECORDS_PER_RUN == 0) {
            worker_ring_release(link->ring);
            worker_after_batch(worker);
        }
    }
    worker_ring_release(link->ring);
    worker_after_batch(worker);
}

void worker_links_read(struct worker *worker)
{
    for (struct worker_link *link = worker->links.in; link; link = link->next_in) {
        if (!worker_ring_begin(link->ring))
            continue;
        /* The mirrors were made before anything was written for them. */
        if (command_queue_pending(&worker->commands))
            worker_run_commands(worker);
        read_link(worker, link);
    }
}

void worker_links_tick(struct worker *worker)
{
    stream_mirrors_expire(worker);
}

/* --- both ------------------------------------------------------------------------------------- */

void worker_links_init(struct worker_links *links)
{
    links->feeds = g_hash_table_new(g_direct_hash, g_direct_equal);
    links->mirrors = g_hash_table_new(g_direct_hash, g_direct_equal);
}

void worker_links_finish(struct worker *worker)
{
    stream_mirrors_end(worker);
    mirror_feeds_end(worker);
    g_hash_table_destroy(worker->links.mirrors);
    g_hash_table_destroy(worker->links.feeds);
}
