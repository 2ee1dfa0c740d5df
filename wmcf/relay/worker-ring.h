/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Records of octets from one thread to another: lock-free, one writer, one reader, bounded.
 * Threads: the writer's functions by one thread, the reader's by one; new and free by who knows
 * that neither is at work. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct worker_ring;
/* `octets` is rounded up to a power of two, at least WORKER_RING_MIN; memory is taken as it is
 * used for the first time. */
#define WORKER_RING_MIN 8192u
struct worker_ring *worker_ring_new(size_t octets);
void worker_ring_free(struct worker_ring *ring);
size_t worker_ring_size(const struct worker_ring *ring);

/* The writer: room for a record of `length` octets (at most a quarter of the ring), aligned to 8,
 * to be filled before worker_ring_publish(). NULL: the ring is full. */
void *worker_ring_put(struct worker_ring *ring, size_t length);
/* The reader sees what has been put. Sequentially consistent with worker_ring_pending(). */
void worker_ring_publish(struct worker_ring *ring);
/* Octets that are free at least. */
size_t worker_ring_room(struct worker_ring *ring);

/* The reader: whether there is something, now. */
bool worker_ring_pending(const struct worker_ring *ring);
/* Looks at what has been published until now. False: nothing. */
bool worker_ring_begin(struct worker_ring *ring);
/* The next record of that; NULL at the end. Valid until worker_ring_release(). */
const void *worker_ring_next(struct worker_ring *ring, size_t *ret_length);
/* Gives back the room of all that next() has returned. */
void worker_ring_release(struct worker_ring *ring);
