/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Received packets in clear, from a pool per worker: no malloc per packet. Threads: the worker. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACKET_PAYLOAD_MAX 1500

struct packet {
    struct packet *next; /* free list, or the stream's packets of this batch */
    uint32_t refs;
    uint8_t size_class;
    uint8_t pt;
    bool marker, padding;
    bool key_frame;      /* one begins here */
    bool entry;          /* a subscriber can begin here: a key frame, or no codec that has them */
    int16_t audio_level; /* the extension's octet, -1 = none */
    int8_t dscp;         /* it came with, from who may choose; -1 = none */
    uint16_t length;
    uint32_t timestamp, clock_rate;
    uint64_t index;     /* SRTP index: the extended sequence number */
    uint32_t epoch;     /* of the stream: numbering goes on within one */
    int64_t arrival;    /* monotonic µs */
    const char *format; /* interned */
    uint8_t payload[];
};

struct packet_pool;
/* `octets_max` bounds what the pool ever takes from the system. */
struct packet_pool *packet_pool_new(size_t octets_max);
/* Every packet has been given back. */
void packet_pool_free(struct packet_pool *pool);
/* A packet with room for `length` octets and one reference; NULL at the limit or for a length above
 * PACKET_PAYLOAD_MAX. Fields other than refs are not initialised. */
struct packet *packet_pool_take(struct packet_pool *pool, size_t length);
static inline struct packet *packet_ref(struct packet *packet)
{
    packet->refs++;
    return packet;
}
void packet_unref(struct packet_pool *pool, struct packet *packet);
size_t packet_pool_in_use(const struct packet_pool *pool);
