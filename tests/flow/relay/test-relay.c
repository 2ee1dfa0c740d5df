/* SPDX-License-Identifier: Apache-2.0 */
/* Media through the relay, from outside: real sockets on loopback, a real worker thread, endpoints
 * that share no code with it. */
#include "base/loop.h"
#include "tests/flow/relay/scene.h"

#include <string.h>

enum { SR = 200, RR = 201, RTPFB = 205, PSFB = 206 };

static void check_continuous(struct endpoint *endpoint)
{
    for (guint i = 1; i < endpoint->rtp.length; i++) {
        struct packet_in *before = g_queue_peek_nth(&endpoint->rtp, i - 1);
        struct packet_in *packet = g_queue_peek_nth(&endpoint->rtp, i);
        g_assert_cmpuint((uint16_t)(rtp_sequence(packet) - rtp_sequence(before)), ==, 1);
        g_assert_cmpint((int32_t)(rtp_timestamp(packet) - rtp_timestamp(before)), >, 0);
    }
}

static void forget_rtp(struct endpoint *endpoint)
{
    g_queue_clear_full(&endpoint->rtp, g_free);
}

struct rtcp_expected {
    struct endpoint *endpoint;
    guint n;
};

static bool have_rtcp(void *user)
{
    struct rtcp_expected *expected = user;
    return expected->endpoint->rtcp.length >= expected->n;
}

/* Until the relay has seen so many packets of the publisher. */
static void wait_packets_in(struct scene *scene, uint64_t n)
{
    for (guint i = 0; i < 500; i++) {
        struct relay_leg_stats stats = endpoint_stats(scene->from);
        uint64_t in = 0;
        for (guint m = 0; m < stats.n_medias; m++)
            in += stats.medias[m].packets_in;
        if (in >= n)
            return;
        scene_wait(scene, NULL, NULL, 5);
    }
    g_assert_not_reached();
}

static void test_one_to_one(void)
{
    struct scene scene;
    scene_begin(&scene, NULL, 1, NULL, NULL);
    scene_publish(&scene, 10, true);
    g_assert_true(scene_wait_rtp(&scene, scene.to[0], 10));
    g_assert_cmpuint(scene.to[0]->undecryptable, ==, 0);
    g_assert_cmpuint(scene.from->first_media, ==, 1);
    g_assert_cmpstr(scene.from->last_mid, ==, "0");
    check_continuous(scene.to[0]);
    for (guint i = 0; i < 10; i++) {
        struct packet_in *packet = g_queue_peek_nth(&scene.to[0]->rtp, i);
        g_assert_cmpuint(rtp_ssrc(packet), ==, SUBSCRIBED_SSRC(0));
        /* mid of the subscriber: one-byte form, id 3, one character */
        g_assert_cmpmem(packet->data + 12, 8, "\xbe\xde\x00\x01\x30v\x00\x00", 8);
        g_assert_cmpmem(packet->data + 20, packet->length - 20, i ? delta_payload : key_payload,
                        sizeof key_payload);
    }
    struct relay_leg_stats stats = endpoint_stats(scene.from);
    g_assert_true(stats.ice_connected);
    g_assert_true(stats.srtp);
    g_assert_cmpuint(stats.n_medias, ==, 1);
    g_assert_cmpuint(stats.medias[0].packets_in, ==, 10);
    g_assert_cmpuint(stats.medias[0].key_frames, ==, 1);
    g_assert_cmpuint(stats.medias[0].ssrc_in, ==, PUBLISHED_SSRC);
    g_assert_cmpuint(stats.medias[0].lost_in, ==, 0);
    stats = endpoint_stats(scene.to[0]);
    g_assert_cmpuint(stats.medias[0].packets_out, ==, 10);
    g_assert_cmpuint(stats.medias[0].ssrc_out, ==, SUBSCRIBED_SSRC(0));
    scene_end(&scene);
}

static void test_one_to_many(void)
{
    struct scene scene;
    scene_begin(&scene, NULL, 8, NULL, NULL);
    scene_publish(&scene, 20, true);
    for (guint i = 0; i < 8; i++) {
        g_assert_true(scene_wait_rtp(&scene, scene.to[i], 20));
        check_continuous(scene.to[i]);
        g_assert_cmpuint(rtp_ssrc(scene.to[i]->rtp.head->data), ==, SUBSCRIBED_SSRC(i));
    }
    struct relay_worker_stats stats = test_relay_totals(scene.relay);
    g_assert_cmpuint(stats.legs, ==, 9);
    g_assert_cmpuint(stats.packets_out, >=, 160);
    g_assert_cmpuint(stats.malformed, ==, 0);
    scene_end(&scene);
}

/* What the operator compares: packets, the messages they were in, the calls for those. */
static void check_counters(const struct relay *relay)
{
    struct relay_worker_stats stats;
    uint64_t measured = 0;
    relay_worker_stats(relay, 0, &stats);
    g_assert_cmpuint(stats.packets_in, >=, stats.runs_in);
    g_assert_cmpuint(stats.runs_in, >=, stats.receive_batches);
    g_assert_cmpuint(stats.receive_batches, >, 0);
    g_assert_cmpuint(stats.packets_out, >, stats.runs_out);
    g_assert_cmpuint(stats.runs_out, >=, stats.send_calls);
    g_assert_cmpuint(stats.send_calls, >, 0);
    g_assert_cmpuint(stats.wakeups, >, 0);
    g_assert_cmpuint(stats.cpu, >, 0);
    for (unsigned i = 0; i <= RELAY_TRANSIT_BOUNDS; i++)
        measured += stats.transit[i];
    g_assert_cmpuint(measured, >, 0);
    g_assert_cmpuint(measured, <=, stats.receive_batches);
    g_assert_cmpuint(stats.transit_sum, >, 0);
}

/* Large packets leave as runs: the same octets, fewer calls. */
static void test_bursts(void)
{
    struct scene scene;
    uint8_t payload[1180], protected[ENDPOINT_MAX];
    scene_begin(&scene, NULL, 2, NULL, NULL);
    memset(payload, 7, sizeof payload);
    memcpy(payload, key_payload, sizeof key_payload);
    for (guint i = 0; i < 400; i++) {
        struct rtp_out rtp = scene_rtp((uint16_t)i, i / 8 * 3000, payload);
        rtp.payload_length = i % 8 == 7 ? 700 : sizeof payload;
        payload[1] = i == 0 ? 0 : 1;
        size_t length = endpoint_protect_rtp(scene.from, &rtp, protected);
        endpoint_send_raw(scene.from, protected, length);
        if (i % 40 == 39)
            scene_wait(&scene, NULL, NULL, 2);
    }
    for (guint i = 0; i < 2; i++) {
        g_assert_true(scene_wait_rtp(&scene, scene.to[i], 400));
        g_assert_cmpuint(scene.to[i]->undecryptable, ==, 0);
    }
    check_counters(scene.relay);
    scene_end(&scene);
}

static void test_audio(void)
{
    struct relay_config config = {0};
    struct relay *relay = test_relay_new(&config);
    struct endpoint *a = endpoint_new(relay, 5), *b = endpoint_new(relay, 5);
    struct relay_media from = scene_audio("a", true, true, 10),
                       to = scene_audio("b", true, true, 20);
    struct scene scene = {.relay = relay, .from = a, .to = {b}, .n = 1};
    to.send_codecs[0].pt = 63; /* other numbers on the other leg */
    to.audio_level_extmap = 14;
    to.mid_extmap = 0;
    endpoint_connect(a);
    endpoint_connect(b);
    endpoint_set_keys(a);
    endpoint_set_keys(b);
    relay_leg_set_medias(a->leg, &from, 1);
    relay_leg_set_medias(b->leg, &to, 1);
    relay_route(a->leg, "a", b->leg, "b");
    relay_route(b->leg, "b", a->leg, "a");
    endpoint_stats(a);
    for (uint16_t i = 0; i < 20; i++) {
        struct rtp_out rtp = scene_rtp(i, i * 960u, key_payload);
        rtp.pt = AUDIO_PT;
        rtp.mid = "a";
        rtp.mid_id = MID_ID;
        rtp.level = i == 10 ? -1 : 100 + i;
        rtp.level_id = LEVEL_ID;
        if (i == 5)
            rtp.pt = 13; /* comfort noise, not negotiated: left out without a hole */
        endpoint_send_rtp(a, &rtp);
    }
    g_assert_true(scene_wait_rtp(&scene, b, 19));
    for (guint i = 0; i < 19; i++) {
        struct packet_in *packet = g_queue_peek_nth(&b->rtp, i);
        uint8_t level = (uint8_t)(100 + i + (i >= 5));
        g_assert_cmpuint(packet->data[1] & 0x7f, ==, 63);
        if (level == 110)
            g_assert_cmpmem(packet->data + 16, 4, "\0\0\0\0", 4);
        else
            g_assert_cmpmem(packet->data + 16, 4, ((uint8_t[]){0xe0, level, 0, 0}), 4);
    }
    scene_end(&scene);
}

/* A subscriber that comes later begins with a key frame, and one is asked for at once. */
static void test_late_subscriber(void)
{
    struct scene scene;
    scene_begin(&scene, NULL, 2, NULL, NULL);
    relay_route(NULL, NULL, scene.to[1]->leg, "v");
    endpoint_stats(scene.to[1]);
    scene_publish(&scene, 10, true);
    g_assert_true(scene_wait_rtp(&scene, scene.to[0], 10));
    scene_wait(&scene, NULL, NULL, 50);
    endpoint_take_rtcp(scene.from, PSFB, 1);
    g_assert_cmpuint(scene.to[1]->rtp.length, ==, 0);
    relay_route(scene.from->leg, "0", scene.to[1]->leg, "v");
    endpoint_stats(scene.to[1]);
    scene_publish(&scene, 5, false);
    g_assert_true(scene_wait_rtp(&scene, scene.to[0], 15));
    scene_wait(&scene, NULL, NULL, 600);
    g_assert_cmpuint(scene.to[1]->rtp.length, ==, 0);
    g_assert_cmpuint(endpoint_take_rtcp(scene.from, PSFB, 1), >=, 1);
    scene_publish(&scene, 5, true);
    g_assert_true(scene_wait_rtp(&scene, scene.to[1], 5));
    check_continuous(scene.to[0]);
    check_continuous(scene.to[1]);
    scene_end(&scene);
}

/* Another source behind the same m-line: numbers and timestamps go on. */
static void test_change_of_source(void)
{
    struct scene scene;
    struct relay_media from = scene_video("0", true, false, 1000);
    scene_begin(&scene, NULL, 1, NULL, NULL);
    struct endpoint *other = endpoint_new(scene.relay, 1);
    endpoint_connect(other);
    endpoint_set_keys(other);
    relay_leg_set_medias(other->leg, &from, 1);
    scene_publish(&scene, 5, true);
    g_assert_true(scene_wait_rtp(&scene, scene.to[0], 5));
    relay_route(other->leg, "0", scene.to[0]->leg, "v");
    endpoint_stats(other);
    for (uint16_t i = 0; i < 5; i++) {
        struct rtp_out rtp =
            scene_rtp((uint16_t)(500 + i), 77 + i * 3000u, i ? delta_payload : key_payload);
        rtp.ssrc = 0x22222222;
        endpoint_send_rtp(other, &rtp);
    }
    g_assert_true(scene_wait_rtp(&scene, scene.to[0], 10));
    /* the first publisher begins anew with another SSRC */
    relay_route(scene.from->leg, "0", scene.to[0]->leg, "v");
    endpoint_stats(scene.from);
    scene_wait(&scene, NULL, NULL, 120);
    for (uint16_t i = 0; i < 5; i++) {
        struct rtp_out rtp =
            scene_rtp((uint16_t)(9000 + i), i * 3000u, i ? delta_payload : key_payload);
        rtp.ssrc = 0x33333333;
        endpoint_send_rtp(scene.from, &rtp);
    }
    g_assert_true(scene_wait_rtp(&scene, scene.to[0], 15));
    check_continuous(scene.to[0]);
    g_assert_cmpuint(endpoint_stats(scene.from).medias[0].ssrc_in, ==, 0x33333333);
    endpoint_free(other);
    scene_end(&scene);
}

/* --- gates ------------------------------------------------------------------------------------ */

static bool is_gated(void *user)
{
    struct endpoint *endpoint = user;
    return endpoint->gated[0] + endpoint->gated[1] > 0;
}

static void test_uplink_gate(void)
{
    struct scene scene;
    struct qos_slot slot = {0};
    scene_begin(&scene, NULL, 1, &slot, NULL);
    scene_publish(&scene, 5, true);
    g_assert_true(scene_wait(&scene, is_gated, scene.from, 3000));
    WAIT_UNTIL(scene.from, atomic_load(&slot.gate_discarded) == 5);
    g_assert_cmpuint(scene.from->gated[QOS_UPLINK], ==, 1);
    g_assert_cmpstr(scene.from->last_mid, ==, "0");
    g_assert_cmpuint(scene.from->first_media, ==, 0);
    __atomic_store_n(&slot.open, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&slot.gated, QOS_GATED_NOT, __ATOMIC_RELAXED);
    relay_leg_request_key_frame(scene.from->leg, "0"); /* no source yet: asked when it comes */
    scene_publish(&scene, 5, true);
    g_assert_true(scene_wait_rtp(&scene, scene.to[0], 5));
    __atomic_store_n(&slot.open, 0, __ATOMIC_RELAXED);
    scene_publish(&scene, 5, false);
    WAIT_UNTIL(scene.from, atomic_load(&slot.gate_discarded) == 10);
    __atomic_store_n(&slot.open, 1, __ATOMIC_RELAXED);
    scene_publish(&scene, 3, false); /* no key frame yet: not forwarded, asked for */
    guint requests = 0;
    WAIT_UNTIL(scene.from, (requests += endpoint_take_rtcp(scene.from, PSFB, 1)) > 0);
    scene_publish(&scene, 5, true);
    g_assert_true(scene_wait_rtp(&scene, scene.to[0], 10));
    check_continuous(scene.to[0]);
    g_assert_cmpuint(scene.to[0]->rtp.length, ==, 10);
    g_assert_cmpuint(atomic_load(&slot.gate_discarded), ==, 10);
    /* IP datagram length: 20 + 8 + 12 + 8 + 10 octets */
    g_assert_cmpuint(atomic_load(&slot.octets), ==, atomic_load(&slot.packets) * 58);
    scene_end(&scene);
}

static void test_downlink_gate(void)
{
    struct scene scene;
    struct qos_slot slot = {0};
    scene_begin(&scene, NULL, 1, NULL, &slot);
    scene_publish(&scene, 5, true);
    g_assert_true(scene_wait(&scene, is_gated, scene.to[0], 3000));
    WAIT_UNTIL(scene.to[0], atomic_load(&slot.gate_discarded) == 5);
    g_assert_cmpuint(scene.to[0]->gated[QOS_DOWNLINK], ==, 1);
    g_assert_cmpuint(scene.from->first_media, ==, 1);
    __atomic_store_n(&slot.open, 1, __ATOMIC_RELAXED);
    scene_publish(&scene, 2, false);
    scene_publish(&scene, 4, true);
    g_assert_true(scene_wait_rtp(&scene, scene.to[0], 4));
    g_assert_cmpuint(atomic_load(&slot.gate_discarded), ==, 5);
    g_assert_cmpuint(atomic_load(&slot.packets), ==, 4);
    /* header, extension, payload, tag, UDP, IPv4 */
    g_assert_cmpuint(atomic_load(&slot.octets), ==, 4 * (12 + 8 + 8 + 10 + 28));
    scene_end(&scene);
}

/* --- RTCP ------------------------------------------------------------------------------------- */

/* What is missing is asked for, what comes again is forwarded in its place. */
static void test_nack_to_publisher(void)
{
    struct scene scene;
    scene_begin(&scene, NULL, 1, NULL, NULL);
    scene_publish(&scene, 3, true);
    g_assert_true(scene_wait_rtp(&scene, scene.to[0], 3));
    uint8_t lost[2][ENDPOINT_MAX];
    size_t lengths[2];
    for (guint i = 0; i < 2; i++) {
        struct rtp_out rtp = scene_rtp(scene.sequence++, scene.timestamp, delta_payload);
        lengths[i] = endpoint_protect_rtp(scene.from, &rtp, lost[i]);
    }
    endpoint_take_rtcp(scene.from, RTPFB, 1);
    uint16_t first_lost = (uint16_t)(scene.sequence - 2);
    scene_publish(&scene, 1, false);
    g_assert_true(scene_wait(&scene, have_rtcp, &(struct rtcp_expected){scene.from, 1}, 3000));
    struct packet_in *packet = g_queue_peek_head(&scene.from->rtcp);
    g_assert_cmpuint(packet->data[0] & 0x1f, ==, 1);
    g_assert_cmpuint(packet->data[1], ==, RTPFB); /* reduced size */
    g_assert_cmpmem(packet->data + 8, 4, "\x11\x11\x11\x11", 4);
    g_assert_cmpuint(packet->data[12] << 8 | packet->data[13], ==, first_lost);
    g_assert_cmpuint(packet->data[14] << 8 | packet->data[15], ==, 1);
    for (guint i = 0; i < 2; i++)
        endpoint_send_raw(scene.from, lost[i], lengths[i]);
    g_assert_true(scene_wait_rtp(&scene, scene.to[0], 6));
    struct packet_in *fourth = g_queue_peek_nth(&scene.to[0]->rtp, 3);
    struct packet_in *fifth = g_queue_peek_nth(&scene.to[0]->rtp, 4);
    g_assert_cmpuint((uint16_t)(rtp_sequence(fourth) - rtp_sequence(fifth)), ==, 2);
    struct relay_leg_stats stats = endpoint_stats(scene.from);
    g_assert_cmpuint(stats.medias[0].nack_sent, >=, 2);
    g_assert_cmpuint(stats.medias[0].retransmitted_in, ==, 2);
    g_assert_cmpuint(stats.medias[0].lost_in, ==, 0);
    scene_end(&scene);
}

static void send_nack(struct endpoint *endpoint, uint32_t media, uint16_t sequence, uint16_t bits)
{
    uint8_t nack[16] = {0x81, RTPFB, 0, 3, 0, 0, 0, 1};
    for (int i = 0; i < 4; i++)
        nack[8 + i] = (uint8_t)(media >> (24 - 8 * i));
    nack[12] = (uint8_t)(sequence >> 8);
    nack[13] = (uint8_t)sequence;
    nack[14] = (uint8_t)(bits >> 8);
    nack[15] = (uint8_t)bits;
    endpoint_send_rtcp(endpoint, nack, sizeof nack);
}

static void test_nack_from_subscriber(void)
{
    struct scene scene;
    scene_begin(&scene, NULL, 2, NULL, NULL);
    scene_publish(&scene, 20, true);
    g_assert_true(scene_wait_rtp(&scene, scene.to[0], 20));
    /* For the oracle they would be replays: a receiver that lost them has no such memory. */
    srtp_dealloc(scene.to[0]->in);
    scene.to[0]->in = endpoint_session(&scene.to[0]->keys);
    struct packet_in *wanted = g_queue_peek_nth(&scene.to[0]->rtp, 12);
    struct packet_in first = *wanted;
    uint16_t sequence = rtp_sequence(wanted);
    send_nack(scene.to[0], SUBSCRIBED_SSRC(0), sequence, 1);
    send_nack(scene.to[0], SUBSCRIBED_SSRC(0), sequence, 1);                    /* too soon again */
    send_nack(scene.to[0], SUBSCRIBED_SSRC(0), (uint16_t)(sequence + 1000), 0); /* never sent */
    send_nack(scene.to[0], SUBSCRIBED_SSRC(1), sequence, 0);                    /* not its own */
    g_assert_true(scene_wait_rtp(&scene, scene.to[0], 22));
    struct packet_in *again = g_queue_peek_nth(&scene.to[0]->rtp, 20);
    g_assert_cmpmem(again->data, again->length, first.data, first.length);
    scene_wait(&scene, NULL, NULL, 30);
    g_assert_cmpuint(scene.to[0]->rtp.length, ==, 22);
    struct relay_leg_stats stats = endpoint_stats(scene.to[0]);
    g_assert_cmpuint(stats.medias[0].nack_received, ==, 5);
    g_assert_cmpuint(stats.medias[0].retransmitted_out, ==, 2);
    /* all holes at once: bounded */
    for (guint i = 0; i < 40; i++)
        send_nack(scene.to[0], SUBSCRIBED_SSRC(0), (uint16_t)(sequence - 12), 0xffff);
    scene_wait(&scene, NULL, NULL, 30);
    g_assert_cmpuint(scene.to[0]->rtp.length, <=, 22 + 17);
    scene_end(&scene);
}

static void send_pli(struct endpoint *endpoint, uint32_t media)
{
    uint8_t pli[12] = {0x81, PSFB, 0, 2, 0, 0, 0, 1};
    for (int i = 0; i < 4; i++)
        pli[8 + i] = (uint8_t)(media >> (24 - 8 * i));
    endpoint_send_rtcp(endpoint, pli, sizeof pli);
}

static void test_pli_throttle(void)
{
    struct relay_config config = {.pli_interval_ms = 300};
    struct scene scene;
    scene_begin(&scene, &config, 4, NULL, NULL);
    scene_publish(&scene, 5, true);
    g_assert_true(scene_wait_rtp(&scene, scene.to[3], 5));
    scene_wait(&scene, NULL, NULL, 400);
    endpoint_take_rtcp(scene.from, PSFB, 1);
    /* 200 requests of four subscribers within 400 ms: two leave, more where it takes longer */
    gint64 began = g_get_monotonic_time();
    for (guint i = 0; i < 50; i++) {
        for (guint k = 0; k < 4; k++)
            send_pli(scene.to[k], SUBSCRIBED_SSRC(k));
        scene_wait(&scene, NULL, NULL, 8);
    }
    for (guint k = 0; k < 4; k++)
        WAIT_UNTIL(scene.to[k], endpoint_stats(scene.to[k]).medias[0].pli_received == 50);
    guint n = endpoint_take_rtcp(scene.from, PSFB, 1);
    g_assert_cmpuint(n, >=, 1);
    g_assert_cmpuint(n, <=, 2 + (g_get_monotonic_time() - began) / 300000);
    uint64_t key_frames = endpoint_stats(scene.from).medias[0].key_frames;
    scene_publish(&scene, 1, true);
    WAIT_UNTIL(scene.from, endpoint_stats(scene.from).medias[0].key_frames > key_frames);
    scene_wait(&scene, NULL, NULL, 50);
    endpoint_take_rtcp(scene.from, PSFB, 1);
    scene_wait(&scene, NULL, NULL, 700); /* the key frame has come: silence */
    g_assert_cmpuint(endpoint_take_rtcp(scene.from, PSFB, 1), ==, 0);
    scene_end(&scene);
}

static const uint8_t *find_rtcp(const struct packet_in *packet, uint8_t type)
{
    for (size_t at = 0; at + 4 <= packet->length;) {
        const uint8_t *p = packet->data + at;
        if (p[1] == type)
            return p;
        at += ((size_t)(p[2] << 8 | p[3]) + 1) * 4;
    }
    return NULL;
}

static uint32_t read32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* A receiver report counts when the publisher's own was before it. */
static const uint8_t *wait_report(struct scene *scene, struct endpoint *endpoint, uint8_t type)
{
    for (guint i = 0; i < 300; i++) {
        for (GList *at = endpoint->rtcp.head; at; at = at->next) {
            const uint8_t *found = find_rtcp(at->data, type);
            if (found && (type != RR || (found[0] & 0x1f && read32(found + 24))))
                return found;
        }
        scene_publish(scene, 1, false);
        scene_wait(scene, NULL, NULL, 10);
    }
    return NULL;
}

/* The publisher hears what we received, the subscriber gets the publisher's clock. */
static void test_reports(void)
{
    struct scene scene;
    scene_begin(&scene, NULL, 1, NULL, NULL);
    scene_publish(&scene, 3, true);
    scene.sequence += 3; /* lost */
    scene_publish(&scene, 2, false);
    /* the publisher's clock: NTP 1000 s is its timestamp 90000 */
    uint8_t report[28] = {0x80, SR,   0, 6, 0x11, 0x11, 0x11, 0x11, 0,    0,
                          0x03, 0xe8, 0, 0, 0,    0,    0,    1,    0x5f, 0x90};
    endpoint_send_rtcp(scene.from, report, sizeof report);
    const uint8_t *rr = wait_report(&scene, scene.from, RR);
    g_assert_nonnull(rr);
    g_assert_cmpuint(read32(rr + 8), ==, PUBLISHED_SSRC);
    g_assert_cmpuint(read32(rr + 12) & 0xffffff, ==, 3);
    g_assert_cmpuint(read32(rr + 24), ==, 0x03e80000); /* LSR */
    const uint8_t *sr = wait_report(&scene, scene.to[0], SR);
    g_assert_nonnull(sr);
    g_assert_cmpuint(read32(sr + 4), ==, SUBSCRIBED_SSRC(0));
    /* Its timestamp: 90000, moved by the subscription's offset and by the time since. */
    struct packet_in *first = scene.to[0]->rtp.head->data;
    uint32_t offset = rtp_timestamp(first) - 0xffff0000u;
    g_assert_cmpuint(read32(sr + 16) - (90000 + offset), <, 5 * 90000);
    g_assert_cmpuint(read32(sr + 20), >=, 5);
    /* round trip: the subscriber reports on that report */
    uint8_t rr_back[32] = {0x81, RR, 0, 7, 0, 0, 0, 1};
    for (int i = 0; i < 4; i++)
        rr_back[8 + i] = (uint8_t)(SUBSCRIBED_SSRC(0) >> (24 - 8 * i));
    rr_back[12] = 64; /* a quarter lost */
    rr_back[15] = 9;
    memcpy(rr_back + 24, sr + 10, 4);
    endpoint_send_rtcp(scene.to[0], rr_back, sizeof rr_back);
    WAIT_UNTIL(scene.to[0], endpoint_stats(scene.to[0]).medias[0].round_trip_us > 0);
    struct relay_leg_stats stats = endpoint_stats(scene.to[0]);
    g_assert_cmpuint(stats.medias[0].fraction_lost_remote, ==, 64);
    g_assert_cmpint(stats.medias[0].lost_remote, ==, 9);
    g_assert_cmpuint(stats.medias[0].round_trip_us, <, 5000000);
    scene_end(&scene);
}

/* A changed set of m-lines keeps what goes on. */
static void test_change_of_medias(void)
{
    struct scene scene;
    scene_begin(&scene, NULL, 1, NULL, NULL);
    scene_publish(&scene, 5, true);
    g_assert_true(scene_wait_rtp(&scene, scene.to[0], 5));
    struct relay_media from[2] = {scene_audio("1", true, false, 1001),
                                  scene_video("0", true, false, 1000)};
    struct relay_media to[2] = {scene_video("v", false, true, SUBSCRIBED_SSRC(0)),
                                scene_audio("w", false, true, 3000)};
    relay_leg_set_medias(scene.from->leg, from, 2);
    relay_leg_set_medias(scene.to[0]->leg, to, 2);
    endpoint_stats(scene.from);
    scene_publish(&scene, 5, false);
    g_assert_true(scene_wait_rtp(&scene, scene.to[0], 10));
    check_continuous(scene.to[0]);
    g_assert_cmpuint(endpoint_stats(scene.from).n_medias, ==, 2);
    /* not sent any more, then sent again: goes on with a key frame */
    to[0].send = false;
    relay_leg_set_medias(scene.to[0]->leg, to, 2);
    endpoint_stats(scene.to[0]);
    scene_publish(&scene, 5, true);
    to[0].send = true;
    wait_packets_in(&scene, 15);
    relay_leg_set_medias(scene.to[0]->leg, to, 2);
    endpoint_stats(scene.to[0]);
    scene_publish(&scene, 2, false);
    scene_publish(&scene, 5, true);
    g_assert_true(scene_wait_rtp(&scene, scene.to[0], 15));
    check_continuous(scene.to[0]);
    wait_packets_in(&scene, 22);
    /* gone: its packets belong to nobody */
    relay_leg_set_medias(scene.from->leg, from, 1);
    endpoint_stats(scene.from);
    uint64_t sent = endpoint_stats(scene.to[0]).medias[0].packets_out;
    WAIT_UNTIL(scene.to[0], scene.to[0]->rtp.length == sent);
    forget_rtp(scene.to[0]);
    scene_publish(&scene, 5, true);
    WAIT_UNTIL(scene.from, endpoint_stats(scene.from).unknown_ssrc_dropped == 5);
    g_assert_cmpuint(scene.to[0]->rtp.length, ==, 0);
    scene_end(&scene);
}

/* An SSRC that is used again goes on where it stopped, or one keystream would serve twice. */
static void test_ssrc_comes_back(void)
{
    struct scene scene;
    scene_begin(&scene, NULL, 1, NULL, NULL);
    struct relay_media to = scene_video("v", false, true, SUBSCRIBED_SSRC(0));
    static const uint32_t ssrcs[] = {SUBSCRIBED_SSRC(0), 9001, SUBSCRIBED_SSRC(0), 9001};
    g_autoptr(GHashTable) seen = g_hash_table_new(g_direct_hash, g_direct_equal);
    for (guint round = 0; round < G_N_ELEMENTS(ssrcs); round++) {
        to.local_ssrc = ssrcs[round];
        if (round == 2) /* by way of an m-line that was gone meanwhile */
            relay_leg_set_medias(scene.to[0]->leg, NULL, 0);
        relay_leg_set_medias(scene.to[0]->leg, &to, 1);
        relay_route(scene.from->leg, "0", scene.to[0]->leg, "v");
        endpoint_stats(scene.to[0]);
        scene_publish(&scene, 5, true);
        g_assert_true(scene_wait_rtp(&scene, scene.to[0], 5));
        for (guint i = 0; i < 5; i++) {
            g_autofree struct packet_in *packet = g_queue_pop_head(&scene.to[0]->rtp);
            g_assert_cmpuint(rtp_ssrc(packet), ==, ssrcs[round]);
            guint32 id = rtp_ssrc(packet) << 16 | rtp_sequence(packet);
            g_assert_true(g_hash_table_add(seen, GUINT_TO_POINTER(id)));
        }
    }
    g_assert_cmpuint(scene.to[0]->undecryptable, ==, 0);
    scene_end(&scene);
}

/* A payload type that was not negotiated goes nowhere and leaves no hole. */
static void test_foreign_payload(void)
{
    struct scene scene;
    scene_begin(&scene, NULL, 1, NULL, NULL);
    scene_publish(&scene, 3, true);
    for (guint i = 0; i < 3; i++) {
        struct rtp_out rtp = scene_rtp(scene.sequence++, scene.timestamp, delta_payload);
        rtp.pt = 97;
        endpoint_send_rtp(scene.from, &rtp);
    }
    struct rtp_out other = scene_rtp(5, 5, delta_payload); /* on an SSRC of its own */
    other.pt = 97;
    other.ssrc = 0x4444;
    endpoint_send_rtp(scene.from, &other);
    scene_publish(&scene, 3, false);
    g_assert_true(scene_wait_rtp(&scene, scene.to[0], 6));
    check_continuous(scene.to[0]);
    struct relay_leg_stats stats = endpoint_stats(scene.to[0]);
    g_assert_cmpuint(stats.medias[0].no_codec, ==, 3);
    stats = endpoint_stats(scene.from);
    g_assert_cmpuint(stats.medias[0].nack_sent, ==, 0);
    g_assert_cmpuint(stats.medias[0].ssrc_in, ==, PUBLISHED_SSRC);
    scene_end(&scene);
}

static void test_inactivity(void)
{
    struct relay_config config = {.inactivity_ms = 300};
    struct scene scene;
    scene_begin(&scene, &config, 1, NULL, NULL);
    scene_publish(&scene, 5, true);
    WAIT_UNTIL(scene.from, scene.from->inactivity == 1);
    scene_wait(&scene, NULL, NULL, 1500); /* told once */
    g_assert_cmpuint(scene.from->inactivity, ==, 1);
    g_assert_cmpuint(scene.to[0]->inactivity, ==, 0);
    scene_publish(&scene, 5, true);
    WAIT_UNTIL(scene.from, scene.from->inactivity == 2);
    scene_end(&scene);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    loop_init(1000);
    g_test_add_func("/relay/one-to-one", test_one_to_one);
    g_test_add_func("/relay/one-to-many", test_one_to_many);
    g_test_add_func("/relay/bursts", test_bursts);
    g_test_add_func("/relay/audio", test_audio);
    g_test_add_func("/relay/late-subscriber", test_late_subscriber);
    g_test_add_func("/relay/change-of-source", test_change_of_source);
    g_test_add_func("/relay/uplink-gate", test_uplink_gate);
    g_test_add_func("/relay/downlink-gate", test_downlink_gate);
    g_test_add_func("/relay/nack-to-publisher", test_nack_to_publisher);
    g_test_add_func("/relay/nack-from-subscriber", test_nack_from_subscriber);
    g_test_add_func("/relay/pli-throttle", test_pli_throttle);
    g_test_add_func("/relay/reports", test_reports);
    g_test_add_func("/relay/change-of-medias", test_change_of_medias);
    g_test_add_func("/relay/ssrc-comes-back", test_ssrc_comes_back);
    g_test_add_func("/relay/foreign-payload", test_foreign_payload);
    g_test_add_func("/relay/inactivity", test_inactivity);
    return g_test_run();
}
