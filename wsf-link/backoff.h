/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Jittered, doubling back-off between attempts to connect (A1). Pure. Threads: any. */
#include <glib.h>

struct backoff {
    guint min_ms, max_ms;
    guint failures; /* attempts in a row that did not last */
};

/* How long to wait before the next attempt, and counts it; `random` is uniform over 32 bits. The
 * delay lies between half and the whole of min * 2^failures, never above max. */
guint backoff_next(struct backoff *backoff, guint max_ms, guint32 random);
/* The connection lasted: begin again. */
void backoff_reset(struct backoff *backoff);
