/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Hand-made Ethernet frames, and what a program says of them (BPF_PROG_TEST_RUN). */
#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_LINK 14
#define FRAME_PORT 40000 /* ours */
#define FRAME_PEER 50000

struct frame {
    uint8_t octets[3072];
    size_t length;
    size_t ip, udp, content;               /* where they begin */
    uint32_t mark, segment_size, segments; /* of the skb */
};

/* What goes before UDP, to be filled with frame_ipv4 or frame_ipv6; addresses end in `from`, `to`:
 * 10.0.0.x or fd00::x. */
struct frame frame_ipv4(uint8_t from, uint8_t to, const void *options, size_t n_options);
/* `extensions`: the numbers of the headers that follow, each of 8 octets but 51, of 12; 0 as the
 * first one is hop by hop. */
struct frame frame_ipv6(uint8_t from, uint8_t to, const uint8_t *extensions, size_t n);
void frame_set_traffic_class(struct frame *frame, uint8_t octet);
/* UDP with that content; completes lengths and the checksum of IPv4. */
void frame_udp(struct frame *frame, uint16_t from, uint16_t to, const void *content, size_t length);
/* Checksum of the IPv4 header: 0 = right. */
uint16_t frame_ipv4_checksum(const struct frame *frame);
void frame_seal_ipv4(struct frame *frame);

/* An RTP packet of so many octets. */
void rtp_write(uint8_t *to, size_t length, uint32_t ssrc, uint8_t payload_type);

struct outcome {
    bool is_dropped;
    uint32_t mark;
    uint32_t ns;
    uint8_t octets[3072];
    size_t length;
};
/* Once, or `repeat` times. */
struct outcome frame_run(int program, const struct frame *frame, uint32_t repeat);
