/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The records of a DTLS datagram, as far as they show in clear (RFC 6347 4.1). Pure functions.
 * Threads: any. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether a record of this type carries application data. What is neither change_cipher_spec, alert
 * nor handshake counts as such: nothing unknown passes a gate. */
static inline bool dtls_is_data(uint8_t type)
{
    return type < 20 || type > 22; /* RFC 5246 6.2.1 */
}

/* Whether one of the records carries application data. Octets behind the last whole record are
 * none: a receiver discards them too. */
bool dtls_has_data(const uint8_t *datagram, size_t length);
/* Takes the application data out and moves the other records together. Returns the octets left, 0 =
 * nothing else was in it. */
size_t dtls_strip_data(uint8_t *datagram, size_t length);
