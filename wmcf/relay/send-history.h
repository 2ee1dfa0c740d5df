/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What was sent under which transport-wide sequence number, until its feedback comes. Pure.
 * Threads: the worker. */
#include "wmcf/relay/bandwidth-estimator.h"
#include "wmcf/relay/transport-feedback.h"

struct send_history;
/* Remembers the last `packets` at most (rounded up to a power of two, at most 32768), fewer while
 * feedback comes sooner. `first`: the number of its first packet. */
struct send_history *send_history_new(unsigned packets, uint16_t first);
/* The number of the next packet. */
uint16_t send_history_next(const struct send_history *history);
void send_history_free(struct send_history *history);
/* A packet of `octets` on the wire leaves; its sequence number. */
uint16_t send_history_add(struct send_history *history, int64_t now, unsigned octets,
                          uint8_t probe);
/* What the FCI of a feedback packet says anew, at most `max` results in the order of sending; what
 * it repeats, and packets that are forgotten, are left out. *ret_broken: it is no feedback. */
size_t send_history_results(struct send_history *history, const uint8_t *fci, size_t length,
                            int64_t now, struct packet_result *ret, size_t max, bool *ret_broken);
/* Octets of packets without feedback yet, of those sent after the last one that had some. */
uint64_t send_history_outstanding(const struct send_history *history);
/* When the oldest of those was sent; 0 = there is none. */
int64_t send_history_waits_since(const struct send_history *history, int64_t now);
