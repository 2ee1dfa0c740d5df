/* SPDX-License-Identifier: Apache-2.0 */
/* A datagram may hold several records; each tells type and length in 13 octets that are never
 * encrypted. So a gate can hold application data back and let the alert or the retransmitted flight
 * beside it pass, without knowing any key. */
#include "wmcf/relay/dtls-records.h"

#include <string.h>

#define HEADER 13 /* RFC 6347 4.1: type, version, epoch, sequence number, length */

/* Octets of the record at the beginning; 0 = it is not whole. */
static size_t record_length(const uint8_t *data, size_t left)
{
    if (left < HEADER)
        return 0;
    size_t length = HEADER + ((size_t)data[11] << 8 | data[12]);
    return length <= left ? length : 0;
}

bool dtls_has_data(const uint8_t *datagram, size_t length)
{
    size_t record;
    for (size_t at = 0; (record = record_length(datagram + at, length - at)); at += record) {
        if (dtls_is_data(datagram[at]))
            return true;
    }
    return false;
}

size_t dtls_strip_data(uint8_t *datagram, size_t length)
{
    size_t record, kept = 0;
    for (size_t at = 0; (record = record_length(datagram + at, length - at)); at += record) {
        if (dtls_is_data(datagram[at]))
            continue;
        memmove(datagram + kept, datagram + at, record);
        kept += record;
    }
    return kept;
}
