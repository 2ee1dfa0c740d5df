/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The dependency descriptor that came with a packet, kept behind its payload: read, for who
 * chooses layers, and as it came, for who gets it. A *pair* is a spatial and a temporal layer, up
 * to which one of the publisher's decode targets reaches. Threads: the worker. */
#include "wmcf/relay/dependency-descriptor.h"
#include "wmcf/relay/packet-describe.h"

#define PAIR_TEMPORAL 4 /* temporal layers that are told apart; higher ones count as the last */
#define PAIRS (DEPENDENCY_SPATIAL_MAX * PAIR_TEMPORAL)

enum dependency_frame_flags {
    FRAME_KNOWN = 1,     /* what follows is filled in */
    FRAME_STRUCTURE = 2, /* the packet brings one, */
    FRAME_ACTIVE = 4,    /* or tells which decode targets are active */
    FRAME_OPEN = 8,      /* it is predicted from more frames than are listed */
    FRAME_STEPS = 16,    /* whoever decodes a pair can decode those with the same spatial layer and
                          * fewer temporal ones, */
    FRAME_NESTED = 32,   /* and those with fewer spatial ones */
};

struct dependency_frame {
    uint32_t indications;     /* enum dependency_indication, two bits for each pair */
    uint16_t targets, active; /* pairs that are decode targets, and active, by bit */
    uint16_t number;
    uint8_t flags;
    uint8_t n_targets; /* of the structure, which may have several for a pair */
    uint8_t n_differences;
    uint16_t differences[DEPENDENCY_DIFFERENCES_MAX];
};

static inline unsigned dependency_pair(unsigned spatial, unsigned temporal)
{
    return spatial * PAIR_TEMPORAL + (temporal < PAIR_TEMPORAL ? temporal : PAIR_TEMPORAL - 1);
}

static inline enum dependency_indication
dependency_frame_indication(const struct dependency_frame *frame, unsigned pair)
{
    return (enum dependency_indication)(frame->indications >> 2 * pair & 3);
}

/* Octets that packet_add_dependency() needs behind the payload at most. */
static inline size_t packet_dependency_room(size_t descriptor)
{
    return sizeof(struct dependency_frame) + descriptor;
}
/* Puts the descriptor behind the payload, whose length is final, and describes the packet by it:
 * layers, flags, key_frame, entry; its index is known. *structure is that of the stream, NULL
 * before the first one; it is made, or follows what the descriptor tells, and is g_free()d by its
 * owner. Without room nothing happens. */
void packet_add_dependency(struct packet *packet, const uint8_t *descriptor, size_t length,
                           struct dependency_structure **structure,
                           struct picture_sizes *ret_sizes);
/* What was read of it; false: the packet has none, or it could not be understood. */
bool packet_dependency(const struct packet *packet, struct dependency_frame *ret);
/* As it came, packet->descriptor octets; only for a packet that has one. */
static inline const uint8_t *packet_descriptor(const struct packet *packet)
{
    return packet->payload + packet->length + sizeof(struct dependency_frame);
}
/* Octets behind the payload. */
static inline size_t packet_annex(const struct packet *packet)
{
    return packet->descriptor ? sizeof(struct dependency_frame) + packet->descriptor : 0;
}
/* The pairs of the structure that the packet brings, in the order of its decode targets; returns
 * their number, 0 = it brings none. */
unsigned packet_dependency_pairs(const struct packet *packet, uint8_t ret[DEPENDENCY_TARGETS_MAX]);
/* The picture sizes that the packet brings. */
void packet_dependency_sizes(const struct packet *packet, struct picture_sizes *ret);
