/* SPDX-License-Identifier: Apache-2.0 */
/* Only the masks of spatial layers are read: a sender that has no bandwidth for an encoding leaves
 * it out in the next picture of the others, long before its silence would tell. Bitrates and sizes
 * are told as well, but what is measured (layer-meter.c) is true for every sender. */
#include "wmcf/relay/layers-allocation.h"

#define MASK 0xf /* of spatial layers, of one encoding */

bool layers_allocation_read(const uint8_t *data, size_t length, unsigned *ret_active)
{
    if (length == 0)
        return false;
    unsigned n = (data[0] >> 4 & 3) + 1, shared = data[0] & MASK;
    *ret_active = 0;
    if (shared) {
        *ret_active = (1u << n) - 1;
        return true;
    }
    if (length == 1) /* nothing is sent */
        return data[0] == 0;
    if (length < 1 + (n + 1) / 2)
        return false;
    for (unsigned i = 0; i < n; i++) {
        unsigned pair = data[1 + i / 2];
        if ((i % 2 ? pair : pair >> 4) & MASK)
            *ret_active |= 1u << i;
    }
    return true;
}
