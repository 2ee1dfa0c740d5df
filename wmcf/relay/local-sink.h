/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A leg without a network: a subscriber inside the process. What its m-lines are sent goes in clear
 * into a ring, an *outlet* for each, from which a thread of a pipeline reads. The face for that
 * thread is relay.h.
 * Threads: as each function says. */
#include "wmcf/relay/local-source.h"

struct subscription;

/* Control. RESOURCES_UNAVAILABLE when there is no descriptor for them. */
bool local_outlets_open(struct local_outlets *ret, const struct relay_local_config *config,
                        GError **error);
void local_outlets_close(struct local_outlets *outlets);

/* The worker: what the batch brought for a subscription of a local leg. */
void local_sink_forward(struct subscription *subscription, struct stream *stream);
/* The worker: the reader of the n-th medium needs a key frame. */
void local_outlet_wants_key_frame(struct worker_leg *leg, unsigned medium);
