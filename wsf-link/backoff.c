/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the arithmetic of the reconnect delay. Half of each delay is random, so that the clients of
 * a server that went away do not come back in step; the other half keeps a single unlucky client
 * from hammering. */
#include "wsf-link/backoff.h"

guint backoff_next(struct backoff *backoff, guint max_ms, guint32 random)
{
    guint64 limit = MIN(backoff->max_ms, max_ms ? max_ms : backoff->max_ms);
    guint64 delay = (guint64)backoff->min_ms << MIN(backoff->failures, 30);
    delay = MIN(delay, limit);
    if (backoff->failures < G_MAXUINT)
        backoff->failures++;
    return (guint)(delay - (delay / 2 * random >> 32));
}

void backoff_reset(struct backoff *backoff)
{
    backoff->failures = 0;
}
