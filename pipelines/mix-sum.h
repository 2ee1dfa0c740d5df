/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Sums of 16-bit sound, and one out of the sum. Pure: no thread, no allocation. */
#include <glib.h>
#include <stdbool.h>

/* Of one output: how much it is turned down at present. */
struct mix_limiter {
    float gain; /* 1 = not at all */
};
void mix_limiter_init(struct mix_limiter *limiter);

/* sum += in, of n samples. */
void mix_sum_add(gint32 *sum, const gint16 *in, guint n);
/* out = sum - own (NULL: nothing of it is its own). What would be louder than 16 bits hold is
 * turned down as a whole, quickly, and comes back within about half a second; no sample wraps. */
void mix_sum_without(gint16 *out, const gint32 *sum, const gint16 *own, guint n,
                     struct mix_limiter *limiter);
