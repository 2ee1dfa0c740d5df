/* SPDX-License-Identifier: Apache-2.0 */
/* The program in the kernel, run over hand-made packets: what it finds, what it leaves alone, and
 * what it makes of the packets it knows. Wants root, or CAP_BPF and CAP_NET_ADMIN. */
#include "qos/bpf-call.h"
#include "qos/enforce.h"
#include "qos/qos.h"
#include "tests/unit/qos/frames.h"

#include <arpa/inet.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MARK (1u << 23)
#define US 1 /* 10.0.0.1, fd00::1 */
#define PEER 2
#define TRANSPORT 3u
#define AUDIO 4u /* slots of uplink; + 1 = downlink */
#define VIDEO 6u
#define DATA 8u
#define SSRC_AUDIO 0x1111u
#define SSRC_VIDEO 0x2222u

static struct enforce *enforce;

/* --- a transport ------------------------------------------------------------------------------ */

static struct enforce_address address(bool ipv6, bool with_remote)
{
    struct enforce_address key = {.ports = htons(FRAME_PORT)};
    inet_pton(AF_INET6, ipv6 ? "fd00::1" : "::ffff:10.0.0.1", key.local);
    if (with_remote) {
        inet_pton(AF_INET6, ipv6 ? "fd00::2" : "::ffff:10.0.0.2", key.remote);
        key.ports |= (uint64_t)htons(FRAME_PEER) << 16;
    }
    return key;
}

static void hold(const struct enforce_address *key)
{
    g_assert_true(bpf_map_put(enforce->maps[ENFORCE_addresses], key, &(uint32_t){TRANSPORT}));
}

static void let_go(const struct enforce_address *key)
{
    bpf_map_remove(enforce->maps[ENFORCE_addresses], key);
}

static void hold_ssrc(enum qos_direction direction, uint32_t ssrc, uint32_t slot)
{
    uint64_t key = enforce_source(TRANSPORT, direction, htonl(ssrc));
    g_assert_true(bpf_map_put(enforce->maps[ENFORCE_sources], &key, &slot));
}

/* Audio, video and data of one 5-tuple, every gate open. */
static struct enforce_transport *fresh(void)
{
    memset(enforce->slots, 0, enforce->limits.slots * sizeof *enforce->slots);
    memset(enforce->totals, 0, sizeof *enforce->totals);
    memset(&enforce->transports[TRANSPORT], 0, sizeof *enforce->transports);
    for (int ipv6 = 0; ipv6 < 2; ipv6++) {
        struct enforce_address pair = address(ipv6, true), local = address(ipv6, false);
        hold(&pair);
        let_go(&local);
    }
    for (enum qos_direction d = QOS_UPLINK; d <= QOS_DOWNLINK; d++) {
        hold_ssrc(d, SSRC_AUDIO, AUDIO + d);
        hold_ssrc(d, SSRC_VIDEO, VIDEO + d);
        enforce->slots[AUDIO + d].open = enforce->slots[VIDEO + d].open = 1;
        enforce->slots[DATA + d].open = 1;
        enforce->transports[TRANSPORT].open[d] = 3;
        enforce->transports[TRANSPORT].data[d] = DATA + d + 1;
    }
    enforce->ports[FRAME_PORT] = 1;
    return &enforce->transports[TRANSPORT];
}

static void shut(enum qos_direction direction)
{
    enforce->slots[AUDIO + direction].open = enforce->slots[VIDEO + direction].open = 0;
    enforce->slots[DATA + direction].open = 0;
    enforce->transports[TRANSPORT].open[direction] = 0;
}

/* --- packets ---------------------------------------------------------------------------------- */

static struct frame bare(bool ipv6, enum qos_direction direction)
{
    uint8_t from = direction == QOS_UPLINK ? PEER : US, to = direction == QOS_UPLINK ? US : PEER;
    return ipv6 ? frame_ipv6(from, to, NULL, 0) : frame_ipv4(from, to, NULL, 0);
}

static void fill(struct frame *frame, enum qos_direction direction, const void *content,
                 size_t length)
{
    bool up = direction == QOS_UPLINK;
    frame_udp(frame, up ? FRAME_PEER : FRAME_PORT, up ? FRAME_PORT : FRAME_PEER, content, length);
}

static struct frame rtp(bool ipv6, enum qos_direction direction, uint32_t ssrc, size_t length)
{
    uint8_t packet[2048];
    struct frame frame = bare(ipv6, direction);
    rtp_write(packet, length, ssrc, 96);
    fill(&frame, direction, packet, length);
    return frame;
}

static struct outcome run(enum qos_direction direction, const struct frame *frame)
{
    return frame_run(enforce->programs[ENFORCE_ETHERNET][direction], frame, 1);
}

static void assert_unjudged(const struct frame *frame)
{
    struct outcome outcome = run(QOS_UPLINK, frame);
    g_assert_false(outcome.is_dropped);
    g_assert_cmphex(outcome.mark, ==, frame->mark);
}

static void assert_judged(const struct frame *frame)
{
    struct outcome outcome = run(QOS_UPLINK, frame);
    g_assert_false(outcome.is_dropped);
    g_assert_cmphex(outcome.mark, ==, frame->mark | MARK);
}

static void assert_dropped(enum qos_direction direction, const struct frame *frame)
{
    g_assert_true(run(direction, frame).is_dropped);
}

/* --- what is found ---------------------------------------------------------------------------- */

static void test_judges(void)
{
    for (int ipv6 = 0; ipv6 < 2; ipv6++) {
        fresh();
        struct frame frame = rtp(ipv6, QOS_UPLINK, SSRC_VIDEO, 200);
        frame.mark = 0x5; /* other bits are others' */
        assert_judged(&frame);
        const struct qos_slot *slot = &enforce->slots[VIDEO];
        g_assert_cmpuint(slot->packets, ==, 1);
        g_assert_cmpuint(slot->octets, ==, frame.length - FRAME_LINK);
        g_assert_cmpuint(enforce->slots[AUDIO].packets, ==, 0);
        /* A second interface of the same packet. */
        frame.mark |= MARK;
        assert_judged(&frame);
        g_assert_cmpuint(slot->packets, ==, 1);
    }
}

static void test_foreign(void)
{
    fresh();
    shut(QOS_UPLINK);
    uint8_t packet[200];
    rtp_write(packet, sizeof packet, SSRC_AUDIO, 96);
    for (int ipv6 = 0; ipv6 < 2; ipv6++) {
        struct frame frame = bare(ipv6, QOS_UPLINK);
        frame_udp(&frame, FRAME_PEER, FRAME_PORT + 1, packet, sizeof packet);
        assert_unjudged(&frame);
        frame_udp(&frame, FRAME_PEER + 1, FRAME_PORT, packet, sizeof packet); /* another peer */
        assert_unjudged(&frame);
        frame_udp(&frame, FRAME_PEER, FRAME_PORT, packet, sizeof packet);
        frame.octets[frame.ip + (ipv6 ? 6 : 9)] = IPPROTO_TCP;
        assert_unjudged(&frame);
        frame.octets[frame.ip + (ipv6 ? 6 : 9)] = IPPROTO_UDP;
        frame.octets[13] = 0x06; /* ARP */
        frame.octets[12] = 0x08;
        assert_unjudged(&frame);
        frame = rtp(ipv6, QOS_UPLINK, SSRC_AUDIO, 200);
        assert_dropped(QOS_UPLINK, &frame);
        enforce->ports[FRAME_PORT] = 0;
        assert_unjudged(&frame);
        enforce->ports[FRAME_PORT] = 1;
        /* The version in the header is not that of the frame. */
        frame.octets[frame.ip] ^= 0x10;
        assert_unjudged(&frame);
    }
}

static void test_options(void)
{
    fresh();
    uint8_t packet[100], options[40] = {1, 1, 1, 1};
    rtp_write(packet, sizeof packet, SSRC_AUDIO, 96);
    for (size_t n = 4; n <= sizeof options; n += 4) {
        struct frame frame = frame_ipv4(PEER, US, options, n);
        fill(&frame, QOS_UPLINK, packet, sizeof packet);
        assert_judged(&frame);
        g_assert_cmpuint(enforce->slots[AUDIO].packets, ==, n / 4);
    }
    struct frame frame = rtp(false, QOS_UPLINK, SSRC_AUDIO, 100);
    frame.octets[frame.ip] = 0x44; /* shorter than a header */
    assert_unjudged(&frame);
}

static void test_extensions(void)
{
    static const uint8_t one_each[] = {0, 43, 60, 51};
    uint8_t packet[100], many[9];
    rtp_write(packet, sizeof packet, SSRC_AUDIO, 96);
    memset(many, 60, sizeof many);
    fresh();
    shut(QOS_UPLINK);
    for (size_t i = 0; i < sizeof one_each; i++) {
        struct frame frame = frame_ipv6(PEER, US, &one_each[i], 1);
        fill(&frame, QOS_UPLINK, packet, sizeof packet);
        assert_dropped(QOS_UPLINK, &frame);
    }
    struct frame frame = frame_ipv6(PEER, US, one_each, sizeof one_each);
    fill(&frame, QOS_UPLINK, packet, sizeof packet);
    assert_dropped(QOS_UPLINK, &frame);
    /* A longer one: 24 octets. */
    frame = frame_ipv6(PEER, US, many, 3);
    frame.octets[frame.ip + 40] = IPPROTO_UDP;
    frame.octets[frame.ip + 41] = 2;
    fill(&frame, QOS_UPLINK, packet, sizeof packet);
    assert_dropped(QOS_UPLINK, &frame);
    frame = frame_ipv6(PEER, US, many, 8);
    fill(&frame, QOS_UPLINK, packet, sizeof packet);
    assert_dropped(QOS_UPLINK, &frame);
    /* More than are walked, and what nobody knows: the relay's. */
    frame = frame_ipv6(PEER, US, many, 9);
    fill(&frame, QOS_UPLINK, packet, sizeof packet);
    assert_unjudged(&frame);
    frame = frame_ipv6(PEER, US, (uint8_t[]){135}, 1);
    fill(&frame, QOS_UPLINK, packet, sizeof packet);
    assert_unjudged(&frame);
}

static void test_fragments(void)
{
    fresh();
    shut(QOS_UPLINK);
    struct frame frame = rtp(false, QOS_UPLINK, SSRC_AUDIO, 200);
    frame.octets[frame.ip + 6] = 0x40; /* DF */
    assert_dropped(QOS_UPLINK, &frame);
    frame.octets[frame.ip + 6] = 0x20; /* the first one */
    assert_unjudged(&frame);
    frame.octets[frame.ip + 6] = 0;
    frame.octets[frame.ip + 7] = 10; /* a later one */
    assert_unjudged(&frame);
    uint8_t packet[100];
    rtp_write(packet, sizeof packet, SSRC_AUDIO, 96);
    frame = frame_ipv6(PEER, US, (uint8_t[]){44}, 1);
    fill(&frame, QOS_UPLINK, packet, sizeof packet);
    assert_unjudged(&frame);
    frame = frame_ipv6(PEER, US, (uint8_t[]){0, 44, 60}, 3);
    fill(&frame, QOS_UPLINK, packet, sizeof packet);
    assert_unjudged(&frame);
}

static void test_port_only(void)
{
    for (int ipv6 = 0; ipv6 < 2; ipv6++) {
        fresh();
        struct enforce_address pair = address(ipv6, true), local = address(ipv6, false);
        let_go(&pair);
        struct frame frame = rtp(ipv6, QOS_UPLINK, SSRC_AUDIO, 100);
        assert_unjudged(&frame);
        hold(&local);
        assert_judged(&frame);
        let_go(&local);
    }
}

/* --- what it is ------------------------------------------------------------------------------- */

static void test_kinds(void)
{
    uint8_t packet[100];
    memset(packet, 0, sizeof packet);
    for (unsigned closed = 0; closed < 2; closed++)
        for (unsigned first = 0; first < 256; first++) {
            fresh();
            if (closed) {
                shut(QOS_UPLINK);
                shut(QOS_DOWNLINK);
            }
            struct frame frame = bare(false, QOS_UPLINK);
            packet[0] = first;
            fill(&frame, QOS_UPLINK, packet, sizeof packet);
            bool is_media = (first >= 128 && first <= 191) || first == 23;
            g_assert_cmpint(run(QOS_UPLINK, &frame).is_dropped, ==, closed && is_media);
        }
}

static void test_rtcp(void)
{
    for (unsigned type = 0; type < 256; type++) {
        struct enforce_transport *transport = fresh();
        uint8_t packet[100];
        rtp_write(packet, sizeof packet, SSRC_AUDIO, type);
        struct frame frame = bare(true, QOS_UPLINK);
        fill(&frame, QOS_UPLINK, packet, sizeof packet);
        bool is_rtcp = type >= 192 && type <= 223;
        g_assert_cmphex(run(QOS_UPLINK, &frame).mark, ==, is_rtcp ? 0 : MARK);
        if (!is_rtcp)
            continue;
        shut(QOS_UPLINK); /* the other direction needs it still */
        assert_unjudged(&frame);
        shut(QOS_DOWNLINK);
        assert_dropped(QOS_UPLINK, &frame);
        g_assert_cmpuint(transport->unattributed, ==, 1);
        g_assert_cmpuint(enforce->totals->unknown_discarded, ==, 1);
        g_assert_cmpuint(enforce->slots[AUDIO].gate_discarded, ==, 0);
    }
}

static void test_data(void)
{
    struct enforce_transport *transport = fresh();
    uint8_t record[80] = {23, 0xfe, 0xfd};
    struct frame frame = bare(false, QOS_UPLINK);
    fill(&frame, QOS_UPLINK, record, sizeof record);
    assert_judged(&frame);
    g_assert_cmpuint(enforce->slots[DATA].packets, ==, 1);
    enforce->slots[DATA].open = 0;
    assert_dropped(QOS_UPLINK, &frame);
    g_assert_cmpuint(enforce->slots[DATA].gate_discarded, ==, 1);
    record[0] = 22; /* a handshake */
    fill(&frame, QOS_UPLINK, record, sizeof record);
    assert_unjudged(&frame);
    /* No data channel: the relay's affair. */
    shut(QOS_UPLINK);
    transport->data[QOS_UPLINK] = 0;
    record[0] = 23;
    fill(&frame, QOS_UPLINK, record, sizeof record);
    assert_unjudged(&frame);
}

/* --- gate, SSRC, policing --------------------------------------------------------------------- */

static void test_gate(void)
{
    fresh();
    struct frame audio = rtp(false, QOS_UPLINK, SSRC_AUDIO, 100);
    struct frame video = rtp(true, QOS_UPLINK, SSRC_VIDEO, 1100);
    enforce->slots[VIDEO].open = 0;
    for (int i = 0; i < 1000; i++)
        assert_dropped(QOS_UPLINK, &video);
    assert_judged(&audio);
    g_assert_cmpuint(enforce->slots[VIDEO].gate_discarded, ==, 1000);
    g_assert_cmpuint(enforce->slots[VIDEO].packets, ==, 0);
    g_assert_cmpuint(enforce->slots[VIDEO].gated, ==, QOS_GATED_NEW);
    g_assert_true(qos_slot_newly_gated(&enforce->slots[VIDEO]));
    assert_dropped(QOS_UPLINK, &video);
    g_assert_false(qos_slot_newly_gated(&enforce->slots[VIDEO]));
    g_assert_cmpuint(enforce->totals->gate_discarded, ==, 1001);
}

static void test_unknown_ssrc(void)
{
    struct enforce_transport *transport = fresh();
    struct frame frame = rtp(false, QOS_UPLINK, 0x3333, 100);
    assert_unjudged(&frame);
    transport->open[QOS_UPLINK] = 1;
    assert_unjudged(&frame);
    shut(QOS_UPLINK);
    assert_dropped(QOS_UPLINK, &frame);
    g_assert_cmpuint(transport->unattributed, ==, 1);
    g_assert_cmpuint(enforce->totals->unknown_discarded, ==, 1);
    /* The one medium of its transport may have any. */
    transport->only[QOS_UPLINK] = VIDEO + 1;
    assert_dropped(QOS_UPLINK, &frame);
    g_assert_cmpuint(enforce->slots[VIDEO].gate_discarded, ==, 1);
    enforce->slots[VIDEO].open = 1;
    assert_judged(&frame);
    g_assert_cmpuint(enforce->slots[VIDEO].packets, ==, 1);
}

static void test_burst(void)
{
    fresh();
    struct qos_slot *slot = &enforce->slots[AUDIO];
    struct frame frame = rtp(false, QOS_UPLINK, SSRC_AUDIO, 172); /* 200 octets of IP */
    slot->sustained = 1ull << 32 | 5099;
    for (int i = 0; i < 100; i++) {
        struct outcome outcome = run(QOS_UPLINK, &frame);
        g_assert_cmpint(outcome.is_dropped, ==, i >= 25);
        g_assert_cmphex(outcome.mark, ==, i >= 25 ? 0 : MARK);
    }
    g_assert_cmpuint(slot->packets, ==, 25);
    g_assert_cmpuint(slot->octets, ==, 5000);
    g_assert_cmpuint(slot->policing_discarded, ==, 75);
    g_assert_cmpuint(enforce->totals->policing_discarded, ==, 75);
    g_assert_cmpuint(slot->gated, ==, QOS_GATED_NOT);
    /* Rate 0: nothing. */
    slot->sustained = 5000;
    slot->sustained_at = 0;
    assert_dropped(QOS_UPLINK, &frame);
}

static void test_peak(void)
{
    fresh();
    struct qos_slot *slot = &enforce->slots[AUDIO];
    struct frame frame = rtp(false, QOS_UPLINK, SSRC_AUDIO, 172);
    /* 200 octets take 2 s; 9 s of tolerance: the sixth packet would come 10 s early. */
    slot->sustained = (uint64_t)G_MAXUINT32 << 32 | G_MAXUINT32;
    slot->peak = 100ull << 32 | 9000000;
    for (int i = 0; i < 20; i++)
        g_assert_cmpint(run(QOS_UPLINK, &frame).is_dropped, ==, i >= 5);
    g_assert_cmpuint(slot->policing_discarded, ==, 15);
}

/* --- runs ------------------------------------------------------------------------------------- */

static struct frame rtp_run(enum qos_direction direction, const uint32_t *ssrcs, size_t n,
                            size_t size, size_t last)
{
    uint8_t content[3000];
    struct frame frame = bare(false, direction);
    for (size_t i = 0; i < n; i++)
        rtp_write(&content[i * size], i == n - 1 ? last : size, ssrcs[i], 96);
    fill(&frame, direction, content, (n - 1) * size + last);
    frame.segment_size = size;
    frame.segments = n;
    return frame;
}

static struct frame audio_run(size_t n, size_t size, size_t last)
{
    uint32_t ssrcs[80];
    for (size_t i = 0; i < n; i++)
        ssrcs[i] = SSRC_AUDIO;
    return rtp_run(QOS_UPLINK, ssrcs, n, size, last);
}

static void test_run(void)
{
    fresh();
    struct qos_slot *slot = &enforce->slots[AUDIO];
    uint64_t packets = 0, octets = 0;
    for (size_t n = 2; n <= 64; n++) {
        struct frame frame = audio_run(n, 40, 30);
        assert_judged(&frame);
        packets += n;
        octets += (n - 1) * (40 + 28) + 30 + 28;
        g_assert_cmpuint(slot->packets, ==, packets);
        g_assert_cmpuint(slot->octets, ==, octets);
    }
    slot->open = 0;
    struct frame frame = audio_run(10, 40, 40);
    assert_dropped(QOS_UPLINK, &frame);
    g_assert_cmpuint(slot->gate_discarded, ==, 10);
    /* More than are looked at: the relay's. */
    frame = audio_run(65, 40, 40);
    assert_unjudged(&frame);
}

static void test_run_policed(void)
{
    fresh();
    struct qos_slot *slot = &enforce->slots[AUDIO];
    struct frame frame = audio_run(10, 172, 172);
    slot->sustained = 1ull << 32 | 2000;
    assert_judged(&frame); /* fits exactly */
    assert_dropped(QOS_UPLINK, &frame);
    g_assert_cmpuint(slot->policing_discarded, ==, 10);
    slot->sustained = 1ull << 32 | 2199; /* one does not fit */
    assert_dropped(QOS_UPLINK, &frame);
    slot->sustained = 1ull << 32 | 2201; /* one does: which, the relay tells */
    assert_unjudged(&frame);
    g_assert_cmpuint(slot->packets, ==, 10);
    /* A bucket smaller than a run. */
    slot->sustained = 1ull << 32 | 300;
    slot->sustained_at = 0;
    assert_unjudged(&frame);
    /* Peak: each of the segments has to conform. */
    slot->sustained = (uint64_t)G_MAXUINT32 << 32 | G_MAXUINT32;
    slot->sustained_at = 0;
    slot->peak = 100ull << 32 | 17000000;
    assert_unjudged(&frame); /* the last comes 18 s early */
    slot->peak = 100ull << 32 | 18000000;
    assert_judged(&frame);
    assert_dropped(QOS_UPLINK, &frame);
}

static void test_run_mixed(void)
{
    struct enforce_transport *transport = fresh();
    uint32_t ssrcs[20];
    for (size_t odd = 1; odd < G_N_ELEMENTS(ssrcs); odd++) {
        for (size_t i = 0; i < G_N_ELEMENTS(ssrcs); i++)
            ssrcs[i] = i == odd ? SSRC_VIDEO : SSRC_AUDIO;
        struct frame frame = rtp_run(QOS_UPLINK, ssrcs, G_N_ELEMENTS(ssrcs), 100, 100);
        assert_unjudged(&frame);
        /* The one medium of its transport. */
        transport->only[QOS_UPLINK] = AUDIO + 1;
        assert_judged(&frame);
        transport->only[QOS_UPLINK] = 0;
    }
    /* Something else among them is never dropped with them. */
    static const uint8_t others[][2] = {{0x80, 200}, {0x00, 0x01}, {22, 0xfe}, {23, 0xfe}};
    transport->only[QOS_UPLINK] = AUDIO + 1;
    shut(QOS_UPLINK);
    shut(QOS_DOWNLINK);
    for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
        for (size_t odd = 1; odd < 20; odd++) {
            struct frame frame = audio_run(20, 100, 100);
            memcpy(&frame.octets[frame.content + odd * 100], others[i], 2);
            assert_unjudged(&frame);
        }
    struct frame frame = audio_run(20, 100, 100);
    assert_dropped(QOS_UPLINK, &frame);
    /* A last segment too short for RTP. */
    frame = audio_run(20, 100, 11);
    assert_unjudged(&frame);
}

/* --- egress ----------------------------------------------------------------------------------- */

static void test_marking(void)
{
    struct enforce_transport *transport = fresh();
    struct qos_slot *slot = &enforce->slots[VIDEO + QOS_DOWNLINK];
    uint64_t marked = 0;
    for (int ipv6 = 0; ipv6 < 2; ipv6++)
        for (unsigned from = 0; from < 256; from += 5)
            for (unsigned dscp = 0; dscp < 64; dscp++) {
                struct frame frame = rtp(ipv6, QOS_DOWNLINK, SSRC_VIDEO, 100);
                frame_set_traffic_class(&frame, from);
                frame.octets[frame.ip + 1] |= ipv6 ? 0x0a : 0; /* a flow label */
                frame.octets[frame.ip + 2] = ipv6 ? 0xbc : frame.octets[frame.ip + 2];
                if (!ipv6)
                    frame_seal_ipv4(&frame);
                slot->mark = QOS_MARK_SET | dscp;
                struct outcome outcome = run(QOS_DOWNLINK, &frame);
                g_assert_false(outcome.is_dropped);
                /* What is expected: the same frame but for the six bits. */
                frame_set_traffic_class(&frame, dscp << 2 | (from & 3));
                if (!ipv6)
                    frame_seal_ipv4(&frame);
                g_assert_cmpmem(outcome.octets, outcome.length, frame.octets, frame.length);
                g_assert_cmpuint(slot->marked, ==, ++marked);
            }
    /* Left alone. */
    struct frame frame = rtp(false, QOS_DOWNLINK, SSRC_VIDEO, 100);
    const uint32_t alone[] = {0, QOS_MARK_COPY | 46, 46};
    for (size_t i = 0; i < G_N_ELEMENTS(alone); i++) {
        slot->mark = alone[i];
        struct outcome outcome = run(QOS_DOWNLINK, &frame);
        g_assert_cmpmem(outcome.octets, outcome.length, frame.octets, frame.length);
    }
    g_assert_cmpuint(slot->marked, ==, marked);
    g_assert_cmpuint(slot->packets, ==, 0); /* the relay counts those */
    g_assert_cmpuint(transport->unattributed, ==, 0);
}

static void test_marking_run(void)
{
    fresh();
    struct qos_slot *slot = &enforce->slots[AUDIO + QOS_DOWNLINK];
    uint32_t ssrcs[10];
    for (size_t i = 0; i < G_N_ELEMENTS(ssrcs); i++)
        ssrcs[i] = SSRC_AUDIO;
    struct frame frame = rtp_run(QOS_DOWNLINK, ssrcs, G_N_ELEMENTS(ssrcs), 100, 60);
    slot->mark = QOS_MARK_SET | 46;
    struct outcome outcome = run(QOS_DOWNLINK, &frame);
    g_assert_cmpuint(outcome.octets[frame.ip + 1], ==, 46 << 2);
    g_assert_cmpuint(slot->marked, ==, 10);
    slot->open = 0;
    assert_dropped(QOS_DOWNLINK, &frame);
    g_assert_cmpuint(slot->gate_discarded, ==, 10);
}

static void test_egress_gate(void)
{
    struct enforce_transport *transport = fresh();
    struct frame audio = rtp(true, QOS_DOWNLINK, SSRC_AUDIO, 100);
    struct frame unknown = rtp(true, QOS_DOWNLINK, 0x3333, 100);
    enforce->slots[AUDIO + QOS_DOWNLINK].open = 0;
    assert_dropped(QOS_DOWNLINK, &audio);
    g_assert_cmpuint(enforce->slots[AUDIO + QOS_DOWNLINK].gate_discarded, ==, 1);
    g_assert_false(run(QOS_DOWNLINK, &unknown).is_dropped);
    shut(QOS_DOWNLINK);
    assert_dropped(QOS_DOWNLINK, &unknown);
    g_assert_cmpuint(transport->unattributed, ==, 1);
    g_assert_cmpuint(enforce->slots[AUDIO].gate_discarded, ==, 0);
}

/* A fragment of a datagram of ours: octets from `offset` (a multiple of 8) of what follows IP. */
static struct frame fragment(const struct frame *whole, uint16_t id, size_t offset, size_t length,
                             bool more)
{
    bool ipv6 = whole->octets[whole->ip] >> 4 == 6;
    struct frame frame =
        ipv6 ? frame_ipv6(US, PEER, (uint8_t[]){44}, 1) : frame_ipv4(US, PEER, NULL, 0);
    uint8_t *ip = &frame.octets[frame.ip];
    uint16_t where = offset | more;
    if (ipv6) {
        ip[4] = (8 + length) >> 8;
        ip[5] = 8 + length;
        memcpy(&ip[42], (uint8_t[]){where >> 8, where, 0, 0, id >> 8, id}, 6);
    } else {
        where = offset / 8 | (more ? 0x2000 : 0);
        memcpy(&ip[4], (uint8_t[]){id >> 8, id, where >> 8, where}, 4);
        ip[2] = (20 + length) >> 8;
        ip[3] = 20 + length;
        frame_seal_ipv4(&frame);
    }
    memcpy(&frame.octets[frame.udp], &whole->octets[whole->udp + offset], length);
    frame.length = frame.udp + length;
    return frame;
}

static bool is_marked(const struct outcome *outcome)
{
    const uint8_t *ip = &outcome->octets[FRAME_LINK];
    return (ip[0] >> 4 == 4 ? ip[1] >> 2 : (ip[0] & 15) << 2 | ip[1] >> 6) == 46;
}

static void test_egress_fragments(void)
{
    for (int ipv6 = 0; ipv6 < 2; ipv6++) {
        fresh();
        struct qos_slot *slot = &enforce->slots[AUDIO + QOS_DOWNLINK];
        struct frame whole = rtp(ipv6, QOS_DOWNLINK, SSRC_AUDIO, 2000 - 8);
        struct frame parts[] = {fragment(&whole, 7, 0, 1000, true),
                                fragment(&whole, 7, 1000, 992, true),
                                fragment(&whole, 7, 1992, 8, false)};
        struct frame other = fragment(&whole, 8, 1000, 992, true);
        slot->mark = QOS_MARK_SET | 46;
        for (size_t i = 0; i < G_N_ELEMENTS(parts); i++) {
            struct outcome alien = run(QOS_DOWNLINK, &other);
            g_assert_false(is_marked(&alien));
            struct outcome outcome = run(QOS_DOWNLINK, &parts[i]);
            g_assert_false(outcome.is_dropped);
            g_assert_true(is_marked(&outcome));
        }
        g_assert_cmpuint(slot->marked, ==, 1);
        struct outcome late = run(QOS_DOWNLINK, &parts[2]); /* its datagram is over */
        g_assert_false(is_marked(&late));
        slot->open = 0;
        for (size_t i = 0; i < G_N_ELEMENTS(parts); i++)
            assert_dropped(QOS_DOWNLINK, &parts[i]);
        g_assert_cmpuint(slot->gate_discarded, ==, 1);
        slot->open = 1;
        slot->mark = 0;
        for (size_t i = 0; i < G_N_ELEMENTS(parts); i++) {
            struct outcome outcome = run(QOS_DOWNLINK, &parts[i]);
            g_assert_cmpmem(outcome.octets, outcome.length, parts[i].octets, parts[i].length);
        }
    }
}

/* --- garbage ---------------------------------------------------------------------------------- */

/* Whatever is cut off or changed, what passes a closed gate passes unjudged and never counts. */
static void test_garbage(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(4);
    static const uint8_t extensions[] = {0, 43, 60, 51};
    uint8_t packet[60];
    rtp_write(packet, sizeof packet, SSRC_AUDIO, 96);
    fresh();
    shut(QOS_UPLINK);
    shut(QOS_DOWNLINK);
    struct frame frames[] = {
        rtp(false, QOS_UPLINK, SSRC_AUDIO, 60),
        rtp(true, QOS_UPLINK, SSRC_AUDIO, 60),
        frame_ipv6(PEER, US, extensions, sizeof extensions),
        audio_run(10, 60, 20),
    };
    fill(&frames[2], QOS_UPLINK, packet, sizeof packet);
    for (size_t i = 0; i < G_N_ELEMENTS(frames); i++) {
        size_t header = frames[i].octets[frames[i].ip] >> 4 == 4 ? 20 : 40; /* test runs want it */
        for (size_t length = FRAME_LINK + header; length < frames[i].length; length++) {
            struct frame cut = frames[i];
            cut.length = length;
            g_assert_cmphex(run(QOS_UPLINK, &cut).mark, ==, 0);
            run(QOS_DOWNLINK, &cut);
        }
        for (int times = 0; times < 2000; times++) {
            struct frame broken = frames[i];
            for (int n = g_rand_int_range(rand, 1, 6); n > 0; n--)
                broken.octets[g_rand_int_range(rand, 12, broken.length)] = g_rand_int(rand);
            broken.segment_size = g_rand_int_range(rand, 0, 2) ? g_rand_int_range(rand, 0, 200) : 0;
            g_assert_cmphex(run(QOS_UPLINK, &broken).mark, ==, 0);
            run(QOS_DOWNLINK, &broken);
        }
    }
    for (uint32_t i = 0; i < enforce->limits.slots; i++) {
        g_assert_cmpuint(enforce->slots[i].packets, ==, 0);
        g_assert_cmpuint(enforce->slots[i].marked, ==, 0);
    }
}

/* --- several processors ----------------------------------------------------------------------- */

#define THREADS 4
#define PACKETS 20000

static gpointer flood(gpointer data)
{
    frame_run(enforce->programs[ENFORCE_ETHERNET][QOS_UPLINK], data, PACKETS);
    return NULL;
}

static void flood_all(struct frame *frame)
{
    GThread *threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        threads[i] = g_thread_new(NULL, flood, frame);
    for (int i = 0; i < THREADS; i++)
        g_thread_join(threads[i]);
}

static void test_counters(void)
{
    fresh();
    struct qos_slot *slot = &enforce->slots[AUDIO];
    struct frame frame = rtp(false, QOS_UPLINK, SSRC_AUDIO, 172);
    /* The mark stays on the packet that is run again, which would be judged but once. */
    slot->open = 0;
    flood_all(&frame);
    g_assert_cmpuint(slot->gate_discarded, ==, THREADS * PACKETS);
    slot->open = 1;
    slot->sustained = 1ull << 32 | 100;
    flood_all(&frame);
    g_assert_cmpuint(slot->policing_discarded, ==, THREADS * PACKETS);
    g_assert_cmpuint(enforce->totals->policing_discarded, ==, THREADS * PACKETS);
    g_assert_cmpuint(slot->packets, ==, 0);
}

/* --- privileges ------------------------------------------------------------------------------- */

/* Loads in a process with these capabilities alone; NULL = it worked, else what it says. */
static char *load_with(uint64_t capabilities)
{
    int ends[2];
    g_assert_cmpint(pipe(ends), ==, 0);
    pid_t child = fork();
    if (child == 0) {
        struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct set[2] = {
            {.effective = (uint32_t)capabilities, .permitted = (uint32_t)capabilities},
            {.effective = capabilities >> 32, .permitted = capabilities >> 32}};
        g_autoptr(GError) error = NULL;
        struct enforce_limits limits = {.transports = 8, .addresses = 8, .sources = 8, .slots = 16};
        if (syscall(SYS_capset, &header, set) < 0)
            _exit(1);
        struct enforce *own = enforce_new(&limits, MARK, &error);
        const char *text = own ? "" : error->message;
        _exit(write(ends[1], text, strlen(text) + 1) < 0);
    }
    char text[1024] = "it has died";
    close(ends[1]);
    g_assert_cmpint(read(ends[0], text, sizeof text - 1), >, 0);
    close(ends[0]);
    waitpid(child, NULL, 0);
    return *text ? g_strdup(text) : NULL;
}

static void test_privileges(void)
{
    g_autofree char *enough = load_with(1ull << CAP_NET_ADMIN | 1ull << CAP_BPF);
    g_assert_cmpstr(enough, ==, NULL);
    g_autofree char *none = load_with(0);
    if (none) /* a kernel may let everybody make maps */
        g_assert_nonnull(strstr(none, "CAP_BPF"));
    g_autofree char *half = load_with(1ull << CAP_BPF);
    g_assert_nonnull(half);
    g_assert_nonnull(strstr(half, "CAP_NET_ADMIN"));
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } tests[] = {
        {"judges", test_judges},
        {"foreign", test_foreign},
        {"options", test_options},
        {"extensions", test_extensions},
        {"fragments", test_fragments},
        {"port-only", test_port_only},
        {"kinds", test_kinds},
        {"rtcp", test_rtcp},
        {"data", test_data},
        {"gate", test_gate},
        {"unknown-ssrc", test_unknown_ssrc},
        {"burst", test_burst},
        {"peak", test_peak},
        {"run", test_run},
        {"run-policed", test_run_policed},
        {"run-mixed", test_run_mixed},
        {"marking", test_marking},
        {"marking-run", test_marking_run},
        {"egress-gate", test_egress_gate},
        {"egress-fragments", test_egress_fragments},
        {"garbage", test_garbage},
        {"counters", test_counters},
        {"privileges", test_privileges},
    };
    g_test_init(&argc, &argv, NULL);
    struct enforce_limits limits = {.transports = 8, .addresses = 64, .sources = 64, .slots = 16};
    g_autoptr(GError) error = NULL;
    enforce = enforce_new(&limits, MARK, &error);
    if (!enforce) {
        if (geteuid() == 0)
            g_error("%s", error->message);
        g_print("1..0 # SKIP %s\n", error->message);
        return 0;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *path = g_strconcat("/enforce/", tests[i].name, NULL);
        g_test_add_func(path, tests[i].run);
    }
    int status = g_test_run();
    enforce_free(enforce);
    return status;
}
