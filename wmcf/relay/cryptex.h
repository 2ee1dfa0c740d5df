/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Header extensions and CSRCs that are ciphered with the payload (Cryptex, RFC 9335): what is done
 * to a packet around the transform. What we send has no CSRCs. Pure functions. Threads: any. */
#include "wmcf/relay/rtp.h"

#define CRYPTEX_WORD 4 /* of the extension block: profile and length */
/* Octets that stay in the clear, once they stand together. */
#define CRYPTEX_CLEAR (RTP_HEADER_LENGTH + CRYPTEX_WORD)

/* RFC 9335 5: 0xC0DE for one-byte elements, 0xC2DE for two-byte ones. */
static inline bool cryptex_is_profile(uint16_t profile)
{
    return (profile & 0xfdff) == 0xc0de;
}

/* A packet to be sent, with an extension block of RFC 8285, in the clear yet: says that it is
 * ciphered. */
static inline void cryptex_mark(uint8_t *packet)
{
    packet[RTP_HEADER_LENGTH] = packet[RTP_HEADER_LENGTH] == 0xbe ? 0xc0 : 0xc2;
    packet[RTP_HEADER_LENGTH + 1] = 0xde;
}

/* Octets of CSRCs in a packet with an extension block. */
static inline size_t cryptex_csrcs(const struct rtp_header *header)
{
    return header->length - CRYPTEX_CLEAR - header->extensions_length;
}

/* Moves the word of the extension block in front of the CSRCs: all that is ciphered is one piece
 * behind it, CSRCs first (RFC 9335 6.1). */
void cryptex_gather(uint8_t *packet, size_t csrcs);
/* The header as it would be without Cryptex: CSRCs and elements out of `clear`, the deciphered
 * piece, in their places, and the block with its name of RFC 8285. */
void cryptex_restore(uint8_t *packet, struct rtp_header *header, const uint8_t *clear);
