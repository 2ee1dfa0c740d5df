/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The size of H264's pictures, from the sequence parameter set (ITU-T H.264 7.3.2.1.1) in a packet
 * of RFC 6184. Pure; nothing beyond `length` is read. Threads: any. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The first one in the payload, which a single unit (5.6) or one of an aggregation (5.7.1) may be:
 * what is shown, cropped. False: there is none, or it cannot be read. */
bool h264_find_size(const uint8_t *payload, size_t length, uint16_t *ret_width,
                    uint16_t *ret_height);
