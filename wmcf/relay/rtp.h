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

/* The extension block that one subscription writes into every packet: built once, only the audio
 * level changes. */
struct rtp_extension_block {
    uint8_t octets[RTP_EXTENSIONS_MAX];
    uint8_t length;
    uint8_t level_at, level_length; /* the whole element of the audio level; length 0 = none */
    uint8_t level_element[3];
};
/* Ids of 0 leave an element out. */
void rtp_extension_block_build(struct rtp_extension_block *block, uint8_t mid_id, const char *mid,
                               uint8_t level_id);

struct rtp_fields {
    uint8_t pt;
    bool marker, padding;
    uint16_t sequence;
    uint32_t timestamp, ssrc;
};
/* Writes fixed header and extension block; `level` < 0: the packet has no audio level. Returns the
 * octets written, at most RTP_HEADER_LENGTH + RTP_EXTENSIONS_MAX. */
size_t rtp_header_write(uint8_t *out, const struct rtp_fields *fields,
                        const struct rtp_extension_block *block, int level);
