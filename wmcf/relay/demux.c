/* SPDX-License-Identifier: Apache-2.0 */
/* The first look at a datagram. Strict where it is cheap: what cannot be a whole message of its
 * class is malformed here, so that random octets cost three comparisons and no table lookup. */
#include "wmcf/relay/demux.h"

#include <stdbool.h>

static bool is_stun(const uint8_t *data, size_t length)
{
    /* RFC 8489 5: 20 octets of header, length a multiple of 4, magic cookie. */
    return length >= 20 && data[4] == 0x21 && data[5] == 0x12 && data[6] == 0xa4 &&
           data[7] == 0x42 && (data[3] & 3) == 0 && (size_t)(data[2] << 8 | data[3]) + 20 == length;
}

enum demux_kind demux_classify(const uint8_t *data, size_t length)
{
    if (length < 12)
        return DEMUX_MALFORMED;
    uint8_t first = data[0];
    if (first < 4)
        return is_stun(data, length) ? DEMUX_STUN : DEMUX_MALFORMED;
    if (first >= 20 && first <= 63)
        return length >= 13 ? DEMUX_DTLS : DEMUX_MALFORMED; /* RFC 6347 4.1: record header */
    if (first >= 128 && first <= 191) {
        uint8_t type = data[1] & 0x7f;
        return type >= 64 && type <= 95 ? DEMUX_RTCP : DEMUX_RTP; /* RFC 5761 4 */
    }
    return DEMUX_MALFORMED;
}
