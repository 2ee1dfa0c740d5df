/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a datagram is, by its first octets (RFC 7983, RFC 5761). Threads: any. */
#include <stddef.h>
#include <stdint.h>

enum demux_kind { DEMUX_MALFORMED, DEMUX_STUN, DEMUX_DTLS, DEMUX_RTP, DEMUX_RTCP };
enum demux_kind demux_classify(const uint8_t *data, size_t length);
