/* SPDX-License-Identifier: Apache-2.0 */
/* Frames octet by octet, so that what a test says of a header stands in the test. Checksums of UDP
 * stay 0: nothing looks at them here. */
#include "tests/unit/qos/frames.h"

#include <arpa/inet.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static void put16(uint8_t *to, uint16_t value)
{
    to[0] = value >> 8;
    to[1] = value;
}

static void begin(struct frame *frame, uint16_t type)
{
    memset(frame, 0, sizeof *frame);
    memcpy(frame->octets, "\x02\0\0\0\0\x01\x02\0\0\0\0\x02", 12);
    put16(&frame->octets[12], type);
    frame->ip = FRAME_LINK;
}

struct frame frame_ipv4(uint8_t from, uint8_t to, const void *options, size_t n_options)
{
    struct frame frame;
    begin(&frame, 0x0800);
    uint8_t *ip = &frame.octets[frame.ip];
    ip[0] = 0x45 + n_options / 4;
    ip[8] = 64;
    ip[9] = IPPROTO_UDP;
    memcpy(&ip[12], (uint8_t[]){10, 0, 0, from, 10, 0, 0, to}, 8);
    if (n_options)
        memcpy(&ip[20], options, n_options);
    frame.udp = frame.ip + 20 + n_options;
    return frame;
}

struct frame frame_ipv6(uint8_t from, uint8_t to, const uint8_t *extensions, size_t n)
{
    struct frame frame;
    begin(&frame, 0x86dd);
    uint8_t *ip = &frame.octets[frame.ip];
    ip[0] = 0x60;
    ip[7] = 64;
    ip[8] = ip[24] = 0xfd;
    ip[23] = from;
    ip[39] = to;
    uint8_t *next = &ip[6];
    frame.udp = frame.ip + 40;
    for (size_t i = 0; i < n; i++) {
        uint8_t *header = &frame.octets[frame.udp];
        *next = extensions[i];
        next = &header[0];
        header[1] = extensions[i] == IPPROTO_AH ? 1 : 0; /* 12 octets; 8 */
        frame.udp += extensions[i] == IPPROTO_AH ? 12 : 8;
    }
    *next = IPPROTO_UDP;
    return frame;
}

void frame_set_traffic_class(struct frame *frame, uint8_t octet)
{
    uint8_t *ip = &frame->octets[frame->ip];
    if (ip[0] >> 4 == 4) {
        ip[1] = octet;
    } else {
        ip[0] = 0x60 | octet >> 4;
        ip[1] = (ip[1] & 15) | (uint8_t)(octet << 4);
    }
}

uint16_t frame_ipv4_checksum(const struct frame *frame)
{
    const uint8_t *ip = &frame->octets[frame->ip];
    uint32_t sum = 0;
    for (size_t i = 0; i < (ip[0] & 15u) * 4; i += 2)
        sum += ip[i] << 8 | ip[i + 1];
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return ~sum;
}

void frame_seal_ipv4(struct frame *frame)
{
    uint8_t *ip = &frame->octets[frame->ip];
    put16(&ip[10], 0);
    put16(&ip[10], frame_ipv4_checksum(frame));
}

void frame_udp(struct frame *frame, uint16_t from, uint16_t to, const void *content, size_t length)
{
    uint8_t *ip = &frame->octets[frame->ip], *udp = &frame->octets[frame->udp];
    frame->content = frame->udp + 8;
    frame->length = frame->content + length;
    g_assert_cmpuint(frame->length, <=, sizeof frame->octets);
    put16(&udp[0], from);
    put16(&udp[2], to);
    put16(&udp[4], 8 + length);
    memcpy(&udp[8], content, length);
    if (ip[0] >> 4 == 4) {
        put16(&ip[2], frame->length - frame->ip);
        frame_seal_ipv4(frame);
    } else {
        put16(&ip[4], frame->length - frame->ip - 40);
    }
}

void rtp_write(uint8_t *to, size_t length, uint32_t ssrc, uint8_t payload_type)
{
    memset(to, 0xaa, length);
    uint32_t wire = htonl(ssrc);
    to[0] = 0x80;
    to[1] = payload_type;
    memcpy(&to[8], &wire, sizeof wire);
}

struct outcome frame_run(int program, const struct frame *frame, uint32_t repeat)
{
    struct outcome outcome = {0};
    struct __sk_buff context = {
        .mark = frame->mark, .gso_size = frame->segment_size, .gso_segs = frame->segments};
    union bpf_attr attr = {.test = {
                               .prog_fd = program,
                               .data_in = (uintptr_t)frame->octets,
                               .data_size_in = frame->length,
                               .data_out = (uintptr_t)outcome.octets,
                               .data_size_out = sizeof outcome.octets,
                               .ctx_in = (uintptr_t)&context,
                               .ctx_size_in = sizeof context,
                               .ctx_out = (uintptr_t)&context,
                               .ctx_size_out = sizeof context,
                               .repeat = repeat,
                           }};
    long done = syscall(SYS_bpf, BPF_PROG_TEST_RUN, &attr, sizeof attr);
    if (done < 0)
        g_error("BPF_PROG_TEST_RUN of %zu octets: %m", frame->length);
    g_assert_true(attr.test.retval == (uint32_t)TC_ACT_UNSPEC || attr.test.retval == TC_ACT_SHOT);
    outcome.is_dropped = attr.test.retval == TC_ACT_SHOT;
    outcome.mark = context.mark;
    outcome.ns = attr.test.duration;
    outcome.length = attr.test.data_size_out;
    return outcome;
}
