/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a sender says of its own encodings: the header extension video-layers-allocation00. Pure.
 * Threads: any. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LAYERS_ALLOCATION_STREAMS 4

/* Which encodings of a simulcast, a bit each in the order of the description, are being sent from
 * this packet on. False: the extension is broken. */
bool layers_allocation_read(const uint8_t *data, size_t length, unsigned *ret_active);
