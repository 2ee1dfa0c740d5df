/* SPDX-License-Identifier: Apache-2.0 */
/* Two sizes, because a second of audio needs a quarter of the octets of a video frame: small for
 * audio, large for a full datagram. Memory comes in slabs and stays with the worker, so that the
 * thousandth call finds what the first one used. */
#include "wmcf/relay/packet-pool.h"

#include <glib.h>

#define SMALL_PAYLOAD 320
#define SLAB_OCTETS (128u * 1024u)
#define CLASSES 2

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
    size_t octets, octets_max, in_use;
};

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

void packet_pool_free(struct packet_pool *pool)
{
    if (!pool)
        return;
    g_assert(pool->in_use == 0);
    while (pool->slabs) {
        struct slab *slab = pool->slabs;
        pool->slabs = slab->next;
        g_free(slab);
    }
    g_free(pool);
}

static bool add_slab(struct packet_pool *pool, struct size_class *class)
{
    if (pool->octets + SLAB_OCTETS > pool->octets_max)
        return false;
    struct slab *slab = g_malloc(SLAB_OCTETS);
    slab->next = pool->slabs;
    pool->slabs = slab;
    pool->octets += SLAB_OCTETS;
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
