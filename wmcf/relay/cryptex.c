/* SPDX-License-Identifier: Apache-2.0 */
/* CSRCs and extension elements are two pieces on the wire, with the word that tells of the elements
 * between them. Moving that word makes them one with the payload, so that the transforms need to
 * know nothing of Cryptex, but that HMAC is told in which order the octets really came. */
#include "wmcf/relay/cryptex.h"

#include <string.h>

void cryptex_gather(uint8_t *packet, size_t csrcs)
{
    uint8_t word[CRYPTEX_WORD];
    memcpy(word, packet + RTP_HEADER_LENGTH + csrcs, CRYPTEX_WORD);
    memmove(packet + CRYPTEX_CLEAR, packet + RTP_HEADER_LENGTH, csrcs);
    memcpy(packet + RTP_HEADER_LENGTH, word, CRYPTEX_WORD);
}

void cryptex_restore(uint8_t *packet, struct rtp_header *header, const uint8_t *clear)
{
    size_t csrcs = cryptex_csrcs(header);
    uint8_t *word = packet + RTP_HEADER_LENGTH + csrcs;
    memmove(word, packet + RTP_HEADER_LENGTH, CRYPTEX_WORD);
    memcpy(packet + RTP_HEADER_LENGTH, clear, csrcs);
    memcpy(word + CRYPTEX_WORD, clear + csrcs, header->extensions_length);
    header->profile = header->profile == 0xc0de ? 0xbede : 0x1000; /* RFC 8285 4.2, 4.3 */
    word[0] = (uint8_t)(header->profile >> 8);
    word[1] = (uint8_t)header->profile;
}
