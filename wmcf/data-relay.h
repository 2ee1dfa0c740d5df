/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Data channels from leg to leg: a channel that an endpoint opens gets its twin, of the same label,
 * protocol, order and reliability, at the termination to which a route leads, and messages and the
 * end of one are those of the other. A route carries one way, so an answer needs the route back.
 *
 * Threads: control. */
#include "wmcf/termination.h"

/* The negotiation has left an m-line of data channels in force (`peer`: the endpoint's), or none
 * (NULL). A new mid begins anew. */
void data_relay_set(struct termination *termination, const char *mid, const struct sdp_media *peer);
/* Routes of the context have changed: channels find their twins, or lose them. */
void data_relay_update(struct context *context);
/* Before the leg closes. */
void data_relay_free(struct data_relay *relay);

/* For struct pl_leg_ops; `user` is the termination. */
void data_relay_opened(void *user, guint channel, const struct pl_channel *what);
void data_relay_ready(void *user, guint channel);
void data_relay_message(void *user, guint channel, GBytes *message, bool text);
void data_relay_drained(void *user, guint channel);
void data_relay_closed(void *user, guint channel, const char *reason);
void data_relay_failed(void *user, const char *reason);

struct data_relay_counters {
    guint64 messages, octets;
};
struct data_relay_stats {
    guint channels;                     /* open now */
    guint64 opened;                     /* ever, by either side */
    struct data_relay_counters in, out; /* from the endpoint, to the endpoint */
    guint64 dropped;                    /* messages for which there was no route, or no room */
};
/* False when this is no m-line of data channels, or no longer. */
bool data_relay_stats(const struct termination *termination, const char *mid,
                      struct data_relay_stats *ret);
/* One sentence: SCTP is over; or NULL. Borrowed. */
const char *data_relay_failure(const struct termination *termination);
