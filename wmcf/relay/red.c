/* SPDX-License-Identifier: Apache-2.0 */
/* Only headers are read: four octets for a copy, one for the primary block, which takes what the
 * copies leave (RFC 2198 3). A length that reaches behind the end makes the packet worthless. */
#include "wmcf/relay/red.h"

#include <string.h>

bool red_find_primary(const uint8_t *payload, size_t length, struct red_primary *ret)
{
    size_t at = 0, copies = 0;
    for (; at < length && payload[at] & 0x80; at += 4) {
        if (at + 4 >= length || (payload[at] & 0x7f) != (payload[0] & 0x7f))
            return false;
        copies += (size_t)(payload[at + 2] & 3) << 8 | payload[at + 3];
    }
    if (at >= length || (payload[at] & 0x7f) != (payload[0] & 0x7f) || at + 1 + copies > length)
        return false;
    *ret = (struct red_primary){.pt = payload[at], .at = (uint16_t)(at + 1 + copies)};
    return true;
}

bool red_is_format(const char *format)
{
    return strncmp(format, "audio/red/", strlen("audio/red/")) == 0;
}

bool red_is_primary_format(const char *format)
{
    return strcmp(format, "audio/opus/48000/2") == 0;
}
