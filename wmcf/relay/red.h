/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Redundant audio (RFC 2198): a packet holds copies of former ones in front of what it is itself.
 * Pure. Threads: any. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct red_primary {
    uint8_t pt;  /* all the copies have it, too */
    uint16_t at; /* octets of the payload before the block */
};
/* False when the payload is none of that form. */
bool red_find_primary(const uint8_t *payload, size_t length, struct red_primary *ret);

/* Formats as relay_codec has them: redundant audio; and what is inside, always opus (RFC 7587). */
bool red_is_format(const char *format);
bool red_is_primary_format(const char *format);
