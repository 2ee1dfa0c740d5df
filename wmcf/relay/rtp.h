/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* RTP headers (RFC 3550 5.1) and header extensions (RFC 8285). Pure functions. Threads: any. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RTP_HEADER_LENGTH 12
#define RTP_EXTENSIONS_MAX 48 /* octets of the extension block we write */

struct rtp_header {
    uint8_t pt;
    bool marker, padding;
    uint16_t sequence;
    uint32_t timestamp, ssrc;
    uint16_t profile;          /* of the extension block; 0 = none */
    const uint8_t *extensions; /* its elements; borrowed from the packet */
    uint16_t extensions_length;
    uint16_t length; /* octets before the payload */
};

/* False when the packet is no version 2 RTP or its header does not fit into `length`. */
bool rtp_header_parse(const uint8_t *packet, size_t length, struct rtp_header *ret);
/* The element `id` (1..255) in either form; NULL when there is none. */
const uint8_t *rtp_extension_find(const struct rtp_header *header, uint8_t id, size_t *ret_length);

/* The extension block that one subscription writes into every packet: built once, only the *note*
 * changes, an extension of one octet: audio level (RFC 6464) or video orientation (3GPP TS 26.114
 * 7.4.5). */
struct rtp_extension_block {
    uint8_t octets[RTP_EXTENSIONS_MAX];
    uint8_t length;
    uint8_t note_at, note_length; /* the whole element of the note; length 0 = none */
    uint8_t note_element[3];
    uint8_t used;    /* octets before the padding */
    uint8_t wide_at; /* where the transport-wide number goes; 0 = none */
    bool ciphered;   /* Cryptex was negotiated (RFC 9335) */
};
/* Ids of 0 leave an element out. */
void rtp_extension_block_build(struct rtp_extension_block *block, uint8_t mid_id, const char *mid,
                               uint8_t note_id);
/* Room for a transport-wide sequence number; the sender of the packet writes it. `id` 0 = none. */
void rtp_extension_block_add_wide(struct rtp_extension_block *block, uint8_t id);

struct rtp_fields {
    uint8_t pt;
    bool marker, padding;
    uint16_t sequence;
    uint32_t timestamp, ssrc;
};
/* Writes fixed header and extension block; `note` < 0: the packet has none. Returns
 * the octets written, at most RTP_HEADER_LENGTH + RTP_EXTENSIONS_MAX. */
size_t rtp_header_write(uint8_t *out, const struct rtp_fields *fields,
                        const struct rtp_extension_block *block, int note);

struct rtp_element {    /* of an extension block, of one packet alone */
    uint8_t id, length; /* length 0 = none */
    const uint8_t *data;
};
#define RTP_ELEMENT_MAX (2 + 255 + RTP_EXTENSIONS_MAX) /* octets that one can add to a header */
/* Adds the element to the header of `length` octets that rtp_header_write() has written. What does
 * not fit into the one-byte form takes the block into the two-byte form, which has to be allowed
 * (RFC 8285 4.1.2). *wide_at is where the transport-wide number goes, in the block. Returns the
 * header's length. */
size_t rtp_header_append(uint8_t *out, size_t length, const struct rtp_extension_block *block,
                         const struct rtp_element *element, size_t *wide_at);
/* By how much an element of `length` octets makes the header longer, at most; 0 of none. */
static inline size_t rtp_element_cost(const struct rtp_extension_block *block, size_t length)
{
    return length == 0 ? 0 : length > 16 ? length + 9 + block->length / 2u : length + 9;
}
