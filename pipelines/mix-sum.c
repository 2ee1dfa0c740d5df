/* SPDX-License-Identifier: Apache-2.0 */
/* The sum is made once in 32 bits, which 65 000 loud inputs do not fill, and each output is that
 * less its own: N additions and N subtractions where a mixer per output has N times N. Plain loops
 * that the compiler makes vectors of. Cutting off what is too loud sounds harsh, so a block above
 * the limit is turned down; that is looked at only in such blocks and for a while after. */
#include "pipelines/mix-sum.h"

#define ATTACK 96     /* samples over which the gain goes down */
#define RELEASE 1.03f /* and by how much it comes back in a block */
#define LIMIT 32767

void mix_limiter_init(struct mix_limiter *limiter)
{
    limiter->gain = 1;
}

void mix_sum_add(gint32 *restrict sum, const gint16 *restrict in, guint n)
{
    for (guint i = 0; i < n; i++)
        sum[i] += in[i];
}

static gint16 saturate(gint32 value)
{
    return (gint16)CLAMP(value, -LIMIT - 1, LIMIT);
}

static gint32 peak_of(const gint32 *restrict sum, const gint16 *restrict own, guint n)
{
    gint32 low = 0, high = 0;
    for (guint i = 0; i < n; i++) {
        gint32 value = sum[i] - (own ? own[i] : 0);
        low = MIN(low, value);
        high = MAX(high, value);
    }
    return MAX(high, -low);
}

static void turn_down(gint16 *out, const gint32 *sum, const gint16 *own, guint n, float from,
                      float to)
{
    guint ramp = MIN(n, ATTACK);
    for (guint i = 0; i < n; i++) {
        float gain = i < ramp ? from + (to - from) * (float)(i + 1) / (float)ramp : to;
        out[i] = saturate((gint32)((float)(sum[i] - (own ? own[i] : 0)) * gain));
    }
}

void mix_sum_without(gint16 *restrict out, const gint32 *restrict sum, const gint16 *restrict own,
                     guint n, struct mix_limiter *limiter)
{
    gint32 peak = peak_of(sum, own, n);
    float wanted = peak > LIMIT ? (float)LIMIT / (float)peak : 1;
    float before = limiter->gain;
    limiter->gain = MIN(wanted, before * RELEASE);
    if (before < 1 || limiter->gain < 1) {
        turn_down(out, sum, own, n, before, limiter->gain);
    } else if (own) {
        for (guint i = 0; i < n; i++)
            out[i] = (gint16)(sum[i] - own[i]);
    } else {
        for (guint i = 0; i < n; i++)
            out[i] = (gint16)sum[i];
    }
}
