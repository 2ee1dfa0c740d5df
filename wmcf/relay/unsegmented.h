/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Destinations that runs (UDP_SEGMENT) cannot be sent to, for a while. Part of a send batch.
 * Threads: the worker. */
#include "wmcf/relay/address.h"

#include <stdbool.h>
#include <stdint.h>

#define UNSEGMENTED_RETRY_US 10000000 /* interfaces and routes change */
#define UNSEGMENTED_SETS 16
#define UNSEGMENTED_WAYS 4

struct unsegmented {
    int64_t latest;    /* the last of all to expire, 0 = nothing is held */
    int64_t all_until; /* there were more than can be held */
    struct unsegmented_entry {
        uint8_t host[16];
        int64_t until;
    } entries[UNSEGMENTED_SETS][UNSEGMENTED_WAYS];
};

/* Remembers the host of `to`, whatever the port: it is the route that refuses. */
void unsegmented_add(struct unsegmented *table, const union socket_address *to, int64_t now);
bool unsegmented_has(const struct unsegmented *table, const union socket_address *to, int64_t now);
/* Whether any has to be asked for; false again when all have expired. */
static inline bool unsegmented_any(const struct unsegmented *table)
{
    return table->latest != 0;
}
/* Before unsegmented_has() in a batch. */
static inline void unsegmented_expire(struct unsegmented *table, int64_t now)
{
    if (now >= table->latest)
        table->latest = 0;
}
