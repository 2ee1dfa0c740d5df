/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Maps packet indices of a source to those of one subscription: continuous over packets that were
 * left out on purpose, with holes where the source itself has holes. Both are extended (48 bits).
 * Threads: the worker. */
#include <stdbool.h>
#include <stdint.h>

#define SEQUENCE_MAP_RANGES 48

struct sequence_range {
    uint64_t from; /* first source index it holds for */
    int64_t offset;
};
struct sequence_map {
    unsigned n;       /* of ranges, rising; 0 = not begun */
    uint64_t highest; /* source index */
    struct sequence_range ranges[SEQUENCE_MAP_RANGES];
};

/* The source's packet `in` becomes `out`; nothing older maps from now on. */
void sequence_map_begin(struct sequence_map *map, uint64_t in, uint64_t out);
/* False when the packet belongs before the beginning. */
bool sequence_map_forward(struct sequence_map *map, uint64_t in, uint64_t *ret_out);
/* The packet is left out: the next one follows without a hole. */
void sequence_map_skip(struct sequence_map *map, uint64_t in);
/* Source index of something that was sent. */
bool sequence_map_back(const struct sequence_map *map, uint64_t out, uint64_t *ret_in);
