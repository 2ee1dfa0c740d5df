/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a packet is measured against: the slot of one medium in one direction. Gate, policing,
 * marking and counters, read and written by the kernel's program (enforce.bpf.c), by the relay's
 * workers and by the control thread at the same time, each field by itself and without a lock. The
 * memory is a BPF array that all three share, or plain memory where there is no such level.
 *
 * This file is compiled for the kernel as well: fixed widths, no library. */
#include <stdbool.h>
#include <stdint.h>

enum qos_direction { QOS_UPLINK, QOS_DOWNLINK }; /* uplink = endpoint → WMCF */

#define QOS_MARK_DSCP 0x03fu
#define QOS_MARK_SET 0x100u  /* write the DSCP of `mark` */
#define QOS_MARK_COPY 0x200u /* the DSCP that the packet came with; that of `mark` without one */

enum qos_gated { QOS_GATED_NOT, QOS_GATED_NEW, QOS_GATED_TOLD };

struct qos_slot {
    /* control writes, the packet path reads */
    uint32_t open;      /* the gate */
    uint32_t mark;      /* 0 = leave it, or QOS_MARK_… and a DSCP */
    uint64_t sustained; /* policing: octets/s << 32 | octets of burst; 0 = not policed */
    uint64_t peak;      /* octets/s << 32 | µs of tolerance; 0 = none */
    /* the packet path */
    uint64_t sustained_at, peak_at; /* theoretical arrival times, ns of CLOCK_MONOTONIC */
    uint64_t gated; /* enum qos_gated, since the gate closed: NEW by whoever drops, TOLD by whoever
                     * raises the event; a word that the kernel can compare and swap */
    /* octets are those of IP datagrams, packets those of segments */
    uint64_t packets __attribute__((aligned(64)));
    uint64_t octets;
    uint64_t gate_discarded, policing_discarded, marked;
    uint64_t spare[3];
} __attribute__((aligned(64)));

/* The verdict on a packet. */
enum qos_verdict { QOS_PASS, QOS_GATED, QOS_POLICED };

/* One writer is not certain: workers, and the kernel on several processors, count on one slot. */
static inline void qos_count(uint64_t *counter, uint64_t amount)
{
    __sync_fetch_and_add(counter, amount);
}
