/* SPDX-License-Identifier: Apache-2.0 */
/* Two positions that only grow, the head by the writer and the tail by the reader, each on a cache
 * line of its own. Both sides keep a copy of what they last saw of the other, so that the shared
 * lines are touched once per batch and not once per record. Records lie in one piece: what is left
 * at the end of the memory is passed over. */
#include "wmcf/relay/worker-ring.h"

#include <glib.h>
#include <stdatomic.h>
#include <stdlib.h>

#define LINE 64
#define ALIGNMENT 8

struct record_head {
    uint32_t octets; /* with the head */
    uint32_t length; /* of what follows; PASS_OVER = nothing */
};
#define PASS_OVER UINT32_MAX

struct worker_ring {
    uint8_t *octets;
    size_t size;
    struct {
        _Alignas(LINE) uint64_t head; /* of what is put */
        uint64_t tail;                /* as last seen */
    } writer;
    struct {
        _Alignas(LINE) uint64_t tail; /* of what is read */
        uint64_t head;                /* as last seen */
    } reader;
    _Alignas(LINE) _Atomic uint64_t head; /* published */
    _Alignas(LINE) _Atomic uint64_t tail; /* released */
};

struct worker_ring *worker_ring_new(size_t octets)
{
    struct worker_ring *ring = g_aligned_alloc0(1, sizeof *ring, LINE);
    ring->size = WORKER_RING_MIN;
    while (ring->size < octets)
        ring->size *= 2;
    ring->octets = g_aligned_alloc(1, ring->size, LINE);
    return ring;
}

void worker_ring_free(struct worker_ring *ring)
{
    if (!ring)
        return;
    g_aligned_free(ring->octets);
    g_aligned_free(ring);
}

size_t worker_ring_size(const struct worker_ring *ring)
{
    return ring->size;
}

static struct record_head *at(struct worker_ring *ring, uint64_t position)
{
    return (struct record_head *)(ring->octets + (position & (ring->size - 1)));
}

/* --- the writer ------------------------------------------------------------------------------- */

static bool has_room(struct worker_ring *ring, size_t octets)
{
    if (ring->writer.head + octets - ring->writer.tail <= ring->size)
        return true;
    ring->writer.tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
    return ring->writer.head + octets - ring->writer.tail <= ring->size;
}

void *worker_ring_put(struct worker_ring *ring, size_t length)
{
    size_t octets = sizeof(struct record_head) + (length + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    size_t left = ring->size - (ring->writer.head & (ring->size - 1));
    size_t passed = octets > left ? left : 0;
    if (length > ring->size / 4 || !has_room(ring, passed + octets))
        return NULL;
    if (passed) {
        *at(ring, ring->writer.head) =
            (struct record_head){.octets = (uint32_t)passed, .length = PASS_OVER};
        ring->writer.head += passed;
    }
    struct record_head *head = at(ring, ring->writer.head);
    *head = (struct record_head){.octets = (uint32_t)octets, .length = (uint32_t)length};
    ring->writer.head += octets;
    return head + 1;
}

void worker_ring_publish(struct worker_ring *ring)
{
    atomic_store_explicit(&ring->head, ring->writer.head, memory_order_seq_cst);
}

size_t worker_ring_room(struct worker_ring *ring)
{
    ring->writer.tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
    return ring->size - (size_t)(ring->writer.head - ring->writer.tail);
}

/* --- the reader ------------------------------------------------------------------------------- */

bool worker_ring_pending(const struct worker_ring *ring)
{
    return atomic_load_explicit(&ring->head, memory_order_seq_cst) != ring->reader.tail;
}

bool worker_ring_begin(struct worker_ring *ring)
{
    ring->reader.head = atomic_load_explicit(&ring->head, memory_order_acquire);
    return ring->reader.head != ring->reader.tail;
}

const void *worker_ring_next(struct worker_ring *ring, size_t *ret_length)
{
    while (ring->reader.tail != ring->reader.head) {
        const struct record_head *head = at(ring, ring->reader.tail);
        ring->reader.tail += head->octets;
        if (head->length == PASS_OVER)
            continue;
        *ret_length = head->length;
        return head + 1;
    }
    return NULL;
}

void worker_ring_release(struct worker_ring *ring)
{
    atomic_store_explicit(&ring->tail, ring->reader.tail, memory_order_release);
}
