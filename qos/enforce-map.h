/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the program in the kernel (enforce.bpf.c) and the level that loads it (enforce.c) share: the
 * maps and what is in them.
 *
 * This file is compiled for the kernel as well: fixed widths, no library. */
#include "qos/slot.h"

/* Name, type, key, value. Arrays are mapped into our memory too and change by plain stores; how
 * many elements they have is said at run time. The kernel keeps values in multiples of 8 octets. */
#define ENFORCE_MAPS(MAP)                                                                          \
    MAP(ports, ARRAY, uint32_t, uint64_t)                      /* by port: how often it is ours */ \
    MAP(addresses, HASH, struct enforce_address, uint32_t)     /* index into `transports` */       \
    MAP(transports, ARRAY, uint32_t, struct enforce_transport) /* by index */                      \
    MAP(sources, HASH, uint64_t, uint32_t)                     /* index into `slots` */            \
    MAP(slots, ARRAY, uint32_t, struct qos_slot)               /* a flow's two are neighbours */   \
    MAP(fragments, LRU_HASH, struct enforce_fragment, uint64_t) /* mark, or ENFORCE_DROP */        \
    MAP(totals, ARRAY, uint32_t, struct enforce_totals)         /* of index 0 */

/* What the loader writes into the instructions. */
#define ENFORCE_CONSTANTS(CONSTANT)                                                                \
    CONSTANT(judged_mark) /* the bit of skb->mark */                                               \
    CONSTANT(link_header) /* octets before the IP header */

/* The symbols that are open in the instructions. */
enum enforce_symbol {
#define MAP(name, type, key, value) ENFORCE_##name,
#define CONSTANT(name) ENFORCE_##name,
    ENFORCE_MAPS(MAP) ENFORCE_MAP_COUNT,
    ENFORCE_BEFORE_CONSTANTS = ENFORCE_MAP_COUNT - 1,
    ENFORCE_CONSTANTS(CONSTANT) ENFORCE_SYMBOL_COUNT
#undef MAP
#undef CONSTANT
};

/* A 5-tuple as on the wire, IPv4 mapped into IPv6 (RFC 4291 2.5.5.2). Remote address and port 0:
 * all that comes to the local ones. */
struct enforce_address {
    uint64_t local[2], remote[2];
    uint64_t ports; /* remote << 16 | local, each as on the wire */
};

/* A key of `sources`: the SSRC as on the wire. */
static inline uint64_t enforce_source(uint32_t transport, enum qos_direction direction,
                                      uint32_t ssrc)
{
    return (uint64_t)ssrc << 32 | transport << 1 | direction;
}

/* A datagram of ours that was too large and leaves in fragments, of which only the first has ports
 * and SSRC. What was found for it holds for the rest. */
struct enforce_fragment {
    uint64_t source[2], destination[2];
    uint64_t id; /* as on the wire */
};
#define ENFORCE_DROP 0x80000000u
#define ENFORCE_FRAGMENTS 4096 /* datagrams of which some are still to come */

/* A slot is told by its index + 1, 0 = none. */
struct enforce_transport {
    uint32_t open[2]; /* media whose gate is open, by enum qos_direction */
    uint32_t only[2]; /* the slot of the one RTP medium, when it is one */
    uint32_t data[2]; /* the slot of the data channels */
    uint64_t unattributed;
    uint64_t unused[4];
};

struct enforce_totals {
    uint64_t gate_discarded, policing_discarded, unknown_discarded;
    uint64_t unused[5];
};

#define ENFORCE_SEGMENTS 64 /* of a run are looked at (UDP_GRO_CNT_MAX) */
