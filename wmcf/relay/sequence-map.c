/* SPDX-License-Identifier: Apache-2.0 */
/* A few ranges with an offset each. A run of left-out packets moves the last range instead of
 * adding one; when the ranges are used up the oldest is forgotten, and with it the chance to
 * retransmit what is older, which by then nobody waits for. */
#include "wmcf/relay/sequence-map.h"

#include <string.h>

void sequence_map_begin(struct sequence_map *map, uint64_t in, uint64_t out)
{
    map->n = 1;
    map->highest = in;
    map->ranges[0] = (struct sequence_range){.from = in, .offset = (int64_t)(out - in)};
}

bool sequence_map_forward(struct sequence_map *map, uint64_t in, uint64_t *ret_out)
{
    for (unsigned i = map->n; i-- > 0;) {
        if (in < map->ranges[i].from)
            continue;
        if (in > map->highest)
            map->highest = in;
        *ret_out = in + (uint64_t)map->ranges[i].offset;
        return true;
    }
    return false;
}

void sequence_map_skip(struct sequence_map *map, uint64_t in)
{
    /* One that is late has its place as a hole already. */
    if (map->n == 0 || in <= map->highest)
        return;
    map->highest = in;
    struct sequence_range *last = &map->ranges[map->n - 1];
    int64_t offset = last->offset - 1;
    if (last->from == in && map->n > 1) {
        last->from = in + 1;
        last->offset = offset;
        return;
    }
    if (map->n == SEQUENCE_MAP_RANGES) {
        memmove(&map->ranges[0], &map->ranges[1], sizeof map->ranges - sizeof map->ranges[0]);
        map->n--;
    }
    map->ranges[map->n++] = (struct sequence_range){.from = in + 1, .offset = offset};
}

bool sequence_map_back(const struct sequence_map *map, uint64_t out, uint64_t *ret_in)
{
    for (unsigned i = map->n; i-- > 0;) {
        uint64_t in = out - (uint64_t)map->ranges[i].offset;
        if (in < map->ranges[i].from)
            continue;
        if (in > map->highest)
            return false;
        *ret_in = in;
        return true;
    }
    return false;
}
