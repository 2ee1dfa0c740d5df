/* SPDX-License-Identifier: Apache-2.0 */
/* A ring addressed by packet index, so that putting and finding are one step. The oldest end is
 * followed by age as packets come in; memory in use is that of the last two seconds, not that of
 * the largest burst. */
#include "wmcf/relay/packet-buffer.h"

#include <glib.h>

struct packet_buffer {
    struct packet_pool *pool;
    int64_t age_max;
    uint64_t oldest, newest; /* indices between which packets may lie */
    unsigned count, mask;
    struct packet *slots[];
};

struct packet_buffer *packet_buffer_new(struct packet_pool *pool, unsigned packets_max,
                                        int64_t age_max)
{
    unsigned size = 16;
    while (size < packets_max && size < 32768)
        size *= 2;
    struct packet_buffer *buffer = g_malloc0(sizeof *buffer + size * sizeof buffer->slots[0]);
    buffer->pool = pool;
    buffer->age_max = age_max;
    buffer->mask = size - 1;
    return buffer;
}

static void drop(struct packet_buffer *buffer, uint64_t index)
{
    struct packet **slot = &buffer->slots[index & buffer->mask];
    if (!*slot)
        return;
    packet_unref(buffer->pool, *slot);
    *slot = NULL;
    buffer->count--;
}

void packet_buffer_clear(struct packet_buffer *buffer)
{
    for (unsigned i = 0; buffer->count; i++)
        drop(buffer, i);
}

void packet_buffer_free(struct packet_buffer *buffer)
{
    if (!buffer)
        return;
    packet_buffer_clear(buffer);
    g_free(buffer);
}

void packet_buffer_expire(struct packet_buffer *buffer, int64_t now)
{
    while (buffer->count) {
        struct packet *packet = buffer->slots[buffer->oldest & buffer->mask];
        if (packet && now - packet->arrival <= buffer->age_max)
            return;
        drop(buffer, buffer->oldest++);
    }
}

void packet_buffer_put(struct packet_buffer *buffer, struct packet *packet)
{
    if (buffer->count == 0) {
        buffer->oldest = buffer->newest = packet->index;
    } else if (packet->index > buffer->newest) {
        if (packet->index - buffer->newest > buffer->mask) {
            packet_buffer_clear(buffer);
            buffer->oldest = packet->index;
        } else {
            while (packet->index - buffer->oldest > buffer->mask)
                drop(buffer, buffer->oldest++);
        }
        buffer->newest = packet->index;
    } else if (packet->index < buffer->oldest) {
        if (buffer->newest - packet->index > buffer->mask)
            return;
        buffer->oldest = packet->index;
    }
    drop(buffer, packet->index);
    buffer->slots[packet->index & buffer->mask] = packet_ref(packet);
    buffer->count++;
    packet_buffer_expire(buffer, packet->arrival);
}

struct packet *packet_buffer_find(struct packet_buffer *buffer, uint64_t index, int64_t now)
{
    struct packet *packet = buffer->slots[index & buffer->mask];
    if (!packet || packet->index != index || now - packet->arrival > buffer->age_max)
        return NULL;
    return packet;
}

unsigned packet_buffer_count(const struct packet_buffer *buffer)
{
    return buffer->count;
}
