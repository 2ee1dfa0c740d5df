/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What one socket is going to send: packets are written into one arena, neighbours to one
 * destination form a run, runs leave in one sendmmsg() (UDP_SEGMENT for runs of several).
 * Threads: the worker. */
#include "wmcf/relay/socket.h"

#include <stddef.h>

#define SEND_PACKET_MAX 2048
#define SEND_RUN_SEGMENTS 64 /* UDP_MAX_SEGMENTS of the kernels that matter */
#define SEND_DSCP_SEEN 0x40  /* beside a DSCP: the kernel's filter counts what it marks */

struct send_totals { /* grows; the owner reads and clears */
    uint64_t packets, octets, calls, runs, dropped, segmentation_fallbacks;
};

struct send_batch;
/* `socket` is borrowed. */
struct send_batch *send_batch_new(struct media_socket *socket);
void send_batch_free(struct send_batch *batch);

/* Room for one packet of SEND_PACKET_MAX octets; valid until the next call. May flush. */
uint8_t *send_batch_reserve(struct send_batch *batch);
/* The reserved packet is `length` octets for `to`. `failed` (may be NULL) is incremented for every
 * packet of it that the kernel refuses; it must live until the flush. */
void send_batch_commit(struct send_batch *batch, const union socket_address *to, size_t length,
                       uint64_t *failed);
/* The same of a medium: the kernel measures a run by its first segment, so runs hold packets of one
 * `slot` alone (NULL = of none). `dscp` >= 0 is written into them and, without SEND_DSCP_SEEN,
 * counted as marked; the slot must live until the flush. */
void send_batch_commit_media(struct send_batch *batch, const union socket_address *to,
                             size_t length, uint64_t *failed, struct qos_slot *slot, int dscp);
/* Everything out. */
void send_batch_flush(struct send_batch *batch);
struct send_totals *send_batch_totals(struct send_batch *batch);

/* --- for tests: how packets became runs ------------------------------------------------------- */
struct send_run {
    union socket_address to;
    uint8_t *data;
    uint32_t length;  /* all segments */
    uint16_t segment; /* octets of each but the last */
    uint16_t segments;
    int8_t dscp; /* -1 = as the socket has it; or with SEND_DSCP_SEEN */
    bool closed; /* its last segment is shorter: nothing may follow */
    uint64_t *failed;
    struct qos_slot *slot;
};
const struct send_run *send_batch_runs(const struct send_batch *batch, unsigned *ret_n);
