/* SPDX-License-Identifier: Apache-2.0 */
/* Latency histogram: sixteen linear buckets per power of two, so that a quantile is right within
 * six per cent over the whole range for 2 KB, whatever the number of samples. */
#include "tests/support/peer/histogram.h"

#include <glib.h>

static unsigned bucket_of(uint64_t value)
{
    if (value < 16)
        return (unsigned)value;
    unsigned exponent = 63 - (unsigned)__builtin_clzll(value);
    unsigned bucket = (exponent - 3) * 16 + (unsigned)((value >> (exponent - 4)) & 15);
    return MIN(bucket, HISTOGRAM_BUCKETS - 1);
}

static uint64_t bucket_end(unsigned bucket)
{
    if (bucket < 16)
        return bucket;
    unsigned exponent = bucket / 16 + 3;
    return ((uint64_t)1 << exponent) + ((uint64_t)(bucket % 16 + 1) << (exponent - 4)) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t value)
{
    histogram->count++;
    histogram->max = MAX(histogram->max, value);
    histogram->buckets[bucket_of(value)]++;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    into->count += from->count;
    into->max = MAX(into->max, from->max);
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        into->buckets[i] += from->buckets[i];
}

uint64_t histogram_quantile(const struct histogram *histogram, double q)
{
    if (!histogram->count)
        return 0;
    uint64_t rank = (uint64_t)(q * (double)(histogram->count - 1)), seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen > rank)
            return MIN(bucket_end(i), histogram->max);
    }
    return histogram->max;
}
