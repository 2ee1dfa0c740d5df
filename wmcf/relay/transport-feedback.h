/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Transport-wide congestion control: which packets of a transport arrived, and when
 * (draft-holmer-rmcat-transport-wide-cc-extensions-01; RTPFB with FMT 15). The octets here are the
 * packet's FCI, behind the SSRCs. Pure. Threads: any. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRANSPORT_FEEDBACK_FORMAT 15
#define TRANSPORT_FEEDBACK_PACKETS_MAX 4096 /* that one feedback packet may speak of */
#define TRANSPORT_TICK_US 250

/* --- reading ---------------------------------------------------------------------------------- */

struct transport_feedback { /* a reader; the fields before the line for the caller */
    uint16_t base;          /* first sequence number */
    uint16_t count;
    uint8_t number;     /* of the feedback packet: gaps tell of lost ones */
    uint32_t reference; /* 24 bits, of 64 ms each: where the clock of the arrivals begins */
    /* --- */
    const uint8_t *chunk, *delta; /* the next ones; borrowed from the packet */
    uint16_t at, symbols;         /* packets told; symbols of the chunk that are left */
    uint16_t bits;                /* of the chunk */
    int32_t ticks;                /* arrival of the last received packet since the reference */
};
struct transport_arrival {
    uint16_t sequence;
    bool received;
    int32_t ticks; /* since the reference, of TRANSPORT_TICK_US each; received ones */
};
/* Checks the whole: false when chunks or deltas lack octets, a symbol is reserved or more packets
 * than allowed are told; then nothing is read. */
bool transport_feedback_begin(struct transport_feedback *reader, const uint8_t *fci, size_t length);
/* The next packet, by rising sequence numbers; false behind the last one. */
bool transport_feedback_next(struct transport_feedback *reader, struct transport_arrival *ret);

/* --- collecting and writing ------------------------------------------------------------------- */

#define TRANSPORT_ARRIVALS 512 /* remembered; a power of two */

struct transport_arrivals { /* zeroed = empty */
    bool started;
    uint8_t number;                  /* of the next feedback packet */
    uint16_t received;               /* since the last feedback */
    int64_t first;                   /* first one to be told; extended sequence numbers */
    int64_t highest;                 /* received */
    uint32_t at[TRANSPORT_ARRIVALS]; /* ticks + 1; 0 = not received */
};
/* A packet has come. Known ones and those too late to be told are passed over. */
void transport_arrivals_add(struct transport_arrivals *arrivals, uint16_t sequence, int64_t now);
/* Holes are taken for received, each together with the packet behind it: what is missing was
 * withheld here. */
void transport_arrivals_fill(struct transport_arrivals *arrivals);
/* How many packets, lost ones too, the next feedback would speak of. */
unsigned transport_arrivals_pending(const struct transport_arrivals *arrivals);
/* Writes the FCI of as much as fits into `max` octets (padded to whole words), and does not tell it
 * again. 0 = nothing to tell; called until then. */
size_t transport_arrivals_write(struct transport_arrivals *arrivals, uint8_t *out, size_t max);
