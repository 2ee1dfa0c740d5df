/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* When to send for a moment faster than the estimate, and how fast: at the beginning, as long as it
 * succeeds, after a deep fall, and now and then while there is more to send than the estimate
 * allows. Pure. Threads: any. */
#include <stdbool.h>
#include <stdint.h>

struct probe_result;

struct probe_order {
    uint8_t id;    /* 1..255 */
    uint32_t rate; /* bits/s */
    unsigned octets;
};

struct prober { /* zeroed = at the beginning */
    uint8_t id; /* of the last cluster */
    uint32_t rate;
    unsigned begun; /* clusters of the beginning */
    int64_t ordered_at, settled_at, fell_at;
    uint32_t settled, before_fall;
    int64_t interval;
    int64_t length; /* µs of a cluster */
    bool waiting;   /* for the result of the last one */
};

/* The next cluster, if one is due. `estimate` now; `wanted`: what would be sent if it could be,
 * bits/s; `probed`: the estimator's last result. */
bool prober_next(struct prober *prober, uint32_t estimate, uint32_t wanted,
                 const struct probe_result *probed, int64_t now, struct probe_order *ret);
