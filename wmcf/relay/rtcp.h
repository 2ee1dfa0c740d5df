/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* RTCP in clear: reading what endpoints send and writing what we send (RFC 3550 6, RFC 4585,
 * RFC 5104, RFC 5506). Pure. Threads: any. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RTCP_BLOCKS_MAX 31

struct rtcp_sender_info {
    uint64_t ntp;
    uint32_t timestamp, packets, octets;
};
struct rtcp_block {
    uint32_t ssrc;
    uint8_t fraction_lost;
    int32_t lost; /* 24 bits signed */
    uint32_t highest, jitter, last_report, delay;
};

struct rtcp_handler {
    void (*sender_report)(void *user, uint32_t ssrc, const struct rtcp_sender_info *info);
    void (*block)(void *user, const struct rtcp_block *block);
    void (*nack)(void *user, uint32_t media, uint16_t sequence);
    void (*key_frame)(void *user, uint32_t media); /* PLI or FIR */
};
/* Calls the handler for what it knows in a compound or reduced-size packet and passes over the
 * rest. False at the first thing that cannot be; what came before it has been handled. */
bool rtcp_parse(const uint8_t *data, size_t length, const struct rtcp_handler *handler, void *user);

/* Packets are appended until `max`; each function returns false and writes nothing when its packet
 * does not fit. */
struct rtcp_writer {
    uint8_t *data;
    size_t length, max;
};
bool rtcp_write_sr(struct rtcp_writer *writer, uint32_t ssrc, const struct rtcp_sender_info *info,
                   const struct rtcp_block *blocks, unsigned n);
bool rtcp_write_rr(struct rtcp_writer *writer, uint32_t ssrc, const struct rtcp_block *blocks,
                   unsigned n);
bool rtcp_write_sdes(struct rtcp_writer *writer, uint32_t ssrc, const char *cname);
/* Rising sequence numbers; *ret_n tells how many fitted. */
bool rtcp_write_nack(struct rtcp_writer *writer, uint32_t sender, uint32_t media,
                     const uint16_t *sequences, unsigned n, unsigned *ret_n);
bool rtcp_write_pli(struct rtcp_writer *writer, uint32_t sender, uint32_t media);

/* Middle 32 bits of an NTP timestamp. */
static inline uint32_t rtcp_compact_ntp(uint64_t ntp)
{
    return (uint32_t)(ntp >> 16);
}
