/* SPDX-License-Identifier: Apache-2.0 */
/* Two sizes, because a second of audio needs a quarter of the octets of a video frame: small for
 * audio, large for a full datagram. Memory comes in slabs and stays with the worker, so that the
 * thousandth call finds what the first one used; when there is nothing left that needs packets,
 * what a large conference has left behind goes back to the system. Slabs are mapped, for then they
 * go at once, and none of them holds up malloc's heap. */
#include "wmcf/relay/packet-pool.h"

#include <glib.h>
#include <stdatomic.h>
#include <sys/mman.h>

#define SMALL_PAYLOAD 320
#define SLAB_OCTETS (128u * 1024u)
#define CLASSES 2
#define KEPT_OCTETS (4u << 20) /* calls one after the other need not map anew */

struct slab {
    struct slab *next;
};

struct size_class {
    size_t payload, stride;
    struct packet *free;
};

struct packet_pool {
    struct size_class classes[CLASSES];
    struct slab *slabs;
    _Atomic size_t octets; /* written by the worker */
    size_t octets_max, in_use;
};

size_t packet_pool_octets(const struct packet_pool *pool)
{
    return atomic_load_explicit(&pool->octets, memory_order_relaxed);
}

struct packet_pool *packet_pool_new(size_t octets_max)
{
    struct packet_pool *pool = g_new0(struct packet_pool, 1);
    pool->octets_max = octets_max;
    pool->classes[0].payload = SMALL_PAYLOAD;
    pool->classes[1].payload = PACKET_PAYLOAD_MAX;
    for (int i = 0; i < CLASSES; i++)
        pool->classes[i].stride = (sizeof(struct packet) + pool->classes[i].payload + 63) / 64 * 64;
    return pool;
}

static void drop_slabs(struct packet_pool *pool)
{
    while (pool->slabs) {
        struct slab *slab = pool->slabs;
        pool->slabs = slab->next;
        munmap(slab, SLAB_OCTETS);
    }
    for (int i = 0; i < CLASSES; i++)
        pool->classes[i].free = NULL;
    atomic_store_explicit(&pool->octets, 0, memory_order_relaxed);
}

void packet_pool_free(struct packet_pool *pool)
{
    if (!pool)
        return;
    g_assert(pool->in_use == 0);
    drop_slabs(pool);
    g_free(pool);
}

void packet_pool_give_back(struct packet_pool *pool)
{
    if (pool->in_use == 0 && packet_pool_octets(pool) > KEPT_OCTETS)
        drop_slabs(pool);
}

static bool add_slab(struct packet_pool *pool, struct size_class *class)
{
    size_t octets = packet_pool_octets(pool) + SLAB_OCTETS;
    if (octets > pool->octets_max)
        return false;
    struct slab *slab =
        mmap(NULL, SLAB_OCTETS, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (slab == MAP_FAILED)
        return false;
    slab->next = pool->slabs;
    pool->slabs = slab;
    atomic_store_explicit(&pool->octets, octets, memory_order_relaxed);
    for (size_t at = 64; at + class->stride <= SLAB_OCTETS; at += class->stride) {
        struct packet *packet = (struct packet *)((uint8_t *)slab + at);
        packet->size_class = (uint8_t)(class - pool->classes);
        packet->next = class->free;
        class->free = packet;
    }
    return true;
}

struct packet *packet_pool_take(struct packet_pool *pool, size_t length)
{
    if (length > PACKET_PAYLOAD_MAX)
        return NULL;
    struct size_class *class = &pool->classes[length > SMALL_PAYLOAD];
    if (!class->free && !add_slab(pool, class))
        return NULL;
    struct packet *packet = class->free;
    class->free = packet->next;
    packet->next = NULL;
    packet->refs = 1;
    pool->in_use++;
    return packet;
}

size_t packet_room(const struct packet *packet)
{
    return packet->size_class ? PACKET_PAYLOAD_MAX : SMALL_PAYLOAD;
}

void packet_unref(struct packet_pool *pool, struct packet *packet)
{
    if (--packet->refs)
        return;
    struct size_class *class = &pool->classes[packet->size_class];
    packet->next = class->free;
    class->free = packet;
    pool->in_use--;
}

size_t packet_pool_in_use(const struct packet_pool *pool)
{
    return pool->in_use;
}
