/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A histogram of times in µs with buckets of 1/16 relative width. Threads: any, no sharing. */
#include <stdint.h>

#define HISTOGRAM_BUCKETS 512
struct histogram {
    uint64_t count, max;
    uint32_t buckets[HISTOGRAM_BUCKETS];
};
void histogram_add(struct histogram *histogram, uint64_t value);
void histogram_merge(struct histogram *into, const struct histogram *from);
/* Upper bound of the bucket that holds the q-quantile (0..1); 0 when empty. */
uint64_t histogram_quantile(const struct histogram *histogram, double q);
