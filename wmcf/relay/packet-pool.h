/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Received packets in clear, from a pool per worker: no malloc per packet. Threads: the worker. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACKET_PAYLOAD_MAX 1500

enum packet_layer_flags {
    PACKET_FRAME_BEGINS = 1, /* of its spatial layer */
    PACKET_FRAME_ENDS = 2,   /* where its format says so */
    PACKET_UP = 4,           /* a higher temporal layer can begin here */
    PACKET_PREDICTED = 8,    /* from pictures before, where its format says so */
    PACKET_REDUNDANT = 16,   /* audio: copies of former packets in front of it (red.h) */
};

struct packet {          /* one cache line, then the payload */
    struct packet *next; /* free list, or the stream's packets of this batch */
    uint32_t refs;
    uint8_t size_class;
    uint8_t pt;
    bool marker, padding;
    bool key_frame; /* one begins here */
    bool recovered; /* by a retransmission on another SSRC */
    bool entry;     /* a subscriber can begin here: a key frame, or no codec that has them */
    int8_t dscp;    /* it came with, from who may choose; -1 = none */
    int16_t note;   /* the octet of an extension that subscribers get as it came: level of
                     * audio, orientation of video; -1 = none */
    uint16_t length;
    uint32_t timestamp, clock_rate;
    uint64_t index;            /* SRTP index: the extended sequence number */
    uint32_t epoch;            /* of the stream: numbering goes on within one */
    uint8_t spatial, temporal; /* layers that it belongs to */
    uint8_t layer_flags;       /* enum packet_layer_flags */
    uint8_t descriptor;        /* octets of the dependency descriptor (packet-dependency.h) that
                                * lies behind the payload; 0 = none */
    int64_t arrival;           /* monotonic µs */
    const char *format;        /* interned */
    uint8_t payload[];
};
_Static_assert(sizeof(struct packet) == 64, "one cache line");

struct packet_pool;
/* `octets_max` bounds what the pool ever takes from the system. */
struct packet_pool *packet_pool_new(size_t octets_max);
/* Every packet has been given back. */
void packet_pool_free(struct packet_pool *pool);
/* A packet with room for `length` octets and one reference; NULL at the limit or for a length above
 * PACKET_PAYLOAD_MAX. Fields other than refs are not initialised. */
struct packet *packet_pool_take(struct packet_pool *pool, size_t length);
/* The same with room for `more` octets behind it, where a packet can have so many. */
static inline struct packet *packet_pool_take_with(struct packet_pool *pool, size_t length,
                                                   size_t more)
{
    return packet_pool_take(pool, length + more > PACKET_PAYLOAD_MAX && length <= PACKET_PAYLOAD_MAX
                                      ? PACKET_PAYLOAD_MAX
                                      : length + more);
}
/* Octets of payload and what lies behind it that the packet has room for. */
size_t packet_room(const struct packet *packet);
static inline struct packet *packet_ref(struct packet *packet)
{
    packet->refs++;
    return packet;
}
void packet_unref(struct packet_pool *pool, struct packet *packet);
size_t packet_pool_in_use(const struct packet_pool *pool);
/* Does so with its memory if no packet is in use and it is much: who has no leg left calls it. */
void packet_pool_give_back(struct packet_pool *pool);
/* What it has taken from the system. Any thread. */
size_t packet_pool_octets(const struct packet_pool *pool);
