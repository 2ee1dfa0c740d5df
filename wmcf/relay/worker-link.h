/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The way from one worker to another: a ring, and how its reader is woken. Made by the control
 * thread when the first stream needs it, kept until the relay ends.
 * Threads: as each part says. */
#include "wmcf/relay/worker-ring.h"

#include <glib.h>
#include <stdatomic.h>

struct worker;

#define WORKER_LINK_APART 64 /* octets: what two threads write shares no cache line */

struct worker_link {
    struct worker_ring *ring;
    struct worker *from, *to;    /* RO */
    struct worker_link *next_in; /* reader: of its list; */
    bool served;                 /* it is in there */
    uint8_t apart[WORKER_LINK_APART];
    struct worker_link *next_dirty; /* writer: with something to publish; */
    bool dirty;                     /* it is in there */
};

struct worker_links { /* part of a worker, and the worker's alone but for `asleep` */
    struct worker_link *in, *dirty;
    GHashTable *feeds, *mirrors; /* by id (stream-mirror.h) */
    uint8_t apart[WORKER_LINK_APART];
    _Atomic bool asleep; /* it may wait for its descriptors: writers wake it */
    uint8_t apart_too[WORKER_LINK_APART];
};

/* Control. */
struct worker_link *worker_link_new(struct worker *from, struct worker *to, size_t ring_octets);
/* Both workers have stopped. */
void worker_link_free(struct worker_link *link);

/* The writer. */
void worker_link_touch(struct worker_link *link);
void worker_links_publish(struct worker *worker);

/* The reader. */
void worker_link_serve(struct worker_link *link);
/* Before it waits: false when there is something to read, then it must not. */
bool worker_links_doze(struct worker *worker);
/* It has waited. */
void worker_links_awake(struct worker *worker);
/* Routes and sends what the others have written. */
void worker_links_read(struct worker *worker);
/* Once a second. */
void worker_links_tick(struct worker *worker);
void worker_links_init(struct worker_links *links);
/* No leg is left; its thread is gone. */
void worker_links_finish(struct worker *worker);
