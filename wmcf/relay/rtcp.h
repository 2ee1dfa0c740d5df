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
    /* FCI of transport-wide feedback, not looked at (transport-feedback.h); borrowed */
    void (*transport_feedback)(void *user, const uint8_t *fci, size_t length);
    void (*remb)(void *user, uint64_t rate); /* bits/s */
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
/* `number` rises with every new request (RFC 5104 4.3.1.1). */
bool rtcp_write_fir(struct rtcp_writer *writer, uint32_t sender, uint32_t media, uint8_t number);
/* Transport-wide feedback (transport-feedback.h): its FCI, of whole words. */
bool rtcp_write_transport_feedback(struct rtcp_writer *writer, uint32_t sender, uint32_t media,
                                   const uint8_t *fci, size_t length);
/* The most that the sender of these streams shall send, bits/s
 * (draft-alvestrand-rmcat-remb-03 2.2). */
#define RTCP_REMB_SSRCS_MAX 16
bool rtcp_write_remb(struct rtcp_writer *writer, uint32_t sender, uint64_t rate,
                     const uint32_t *ssrcs, unsigned n);

/* Microseconds since 1900. */
static inline int64_t rtcp_ntp_to_us(uint64_t ntp)
{
    return (int64_t)(ntp >> 32) * 1000000 + (int64_t)((ntp & 0xffffffffu) * 1000000u >> 32);
}
/* Middle 32 bits of an NTP timestamp. */
static inline uint32_t rtcp_compact_ntp(uint64_t ntp)
{
    return (uint32_t)(ntp >> 16);
}
