/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a leg that sends is told about the way to us: transport-wide feedback (transport-cc), or,
 * where its endpoint has nothing better, an estimate of ours (goog-remb). Threads: the worker. */
#include "wmcf/relay/relay.h"
#include "wmcf/relay/rtp.h"

struct leg_arrivals;
struct worker;
struct worker_leg;

/* The m-lines are others: begins or ends collecting. */
void leg_arrivals_configure(struct worker_leg *leg);
/* NULL allowed. */
void leg_arrivals_free(struct worker_leg *leg);
/* An authentic packet has come, `octets` of it on the wire, and was `received` by the kernel then.
 * leg->arrivals is not NULL. */
void leg_arrivals_note(struct worker_leg *leg, const struct rtp_header *header,
                       const struct relay_media *media, unsigned octets, int64_t received);
/* Sends what is due. */
void leg_arrivals_run(struct worker *worker);
