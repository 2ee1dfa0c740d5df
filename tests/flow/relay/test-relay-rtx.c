/* SPDX-License-Identifier: Apache-2.0 */
/* Retransmissions on an SSRC of their own (RFC 4588), from the publisher and to the subscriber. */
#include "base/loop.h"
#include "tests/flow/relay/scene.h"

#include <string.h>

enum { RTPFB = 205, PSFB = 206 };
#define RTX_PT 97
#define PUBLISHED_RTX 0x11111199u
#define SUBSCRIBED_RTX 2900u

/* The relay's worker gives a hole up after eight questions, 20 ms or more from each other, by a
 * clock that nobody stops. Where this thread, or that one, has stood for nearly as long, the repair
 * may have come too late for good reason, and what was to be seen is tried again. */
#define GIVES_UP_US 150000

struct rtx_scene {
    struct scene scene;
    uint16_t sequence; /* of the publisher's RTX stream */
};

static void set_publisher(struct scene *scene, bool announced)
{
    struct relay_media media = scene_video("0", true, false, 1000);
    media.recv_codecs[0].rtx_pt = RTX_PT;
    if (announced) {
        media.remote_ssrcs[0] = PUBLISHED_SSRC;
        media.remote_rtx_ssrcs[0] = PUBLISHED_RTX;
        media.n_remote_ssrcs = 1;
    }
    relay_leg_set_medias(scene->from->leg, &media, 1);
}

static void set_subscriber(struct scene *scene, guint i, uint32_t ssrc)
{
    struct relay_media media = scene_video("v", false, true, SUBSCRIBED_SSRC(i));
    media.send_codecs[0].rtx_pt = ssrc ? RTX_PT : 0;
    media.local_rtx_ssrc = ssrc;
    relay_leg_set_medias(scene->to[i]->leg, &media, 1);
}

static void begin(struct rtx_scene *rtx, bool announced)
{
    memset(rtx, 0, sizeof *rtx);
    scene_begin(&rtx->scene, NULL, 1, NULL, NULL);
    set_publisher(&rtx->scene, announced);
    rtx->sequence = 65534;
}

/* The next packet of the publisher gets lost; returns its number. */
static uint16_t lose(struct rtx_scene *rtx)
{
    uint8_t protected[ENDPOINT_MAX];
    struct scene *scene = &rtx->scene;
    struct rtp_out rtp = scene_rtp(scene->sequence++, scene->timestamp, delta_payload);
    endpoint_protect_rtp(scene->from, &rtp, protected);
    scene->timestamp += 3000;
    return rtp.sequence;
}

/* `payload` is all of it: original sequence number, original payload, padding. */
static void send_rtx(struct rtx_scene *rtx, uint32_t timestamp, const void *payload, size_t length,
                     bool padding)
{
    struct rtp_out rtp = scene_rtp(rtx->sequence++, timestamp, payload);
    rtp.payload_length = length;
    rtp.pt = RTX_PT;
    rtp.ssrc = PUBLISHED_RTX;
    rtp.padding = padding;
    endpoint_send_rtp(rtx->scene.from, &rtp);
}

static void repair(struct rtx_scene *rtx, uint16_t sequence, guint padding)
{
    uint8_t payload[2 + sizeof delta_payload + 8] = {(uint8_t)(sequence >> 8), (uint8_t)sequence};
    memcpy(payload + 2, delta_payload, sizeof delta_payload);
    if (padding)
        payload[2 + sizeof delta_payload + padding - 1] = (uint8_t)padding;
    uint32_t timestamp = rtx->scene.timestamp - (uint16_t)(rtx->scene.sequence - sequence) * 3000u;
    send_rtx(rtx, timestamp, payload, 2 + sizeof delta_payload + padding, padding > 0);
}

static struct relay_media_stats received(struct rtx_scene *rtx)
{
    return endpoint_stats(rtx->scene.from).medias[0];
}

static uint64_t malformed(struct rtx_scene *rtx)
{
    endpoint_stats(rtx->scene.from); /* what was sent before has been looked at */
    return test_relay_totals(rtx->scene.relay).malformed;
}

/* Everything in order and with the payload it had, from the first one that came. */
static void check_complete(struct rtx_scene *rtx, guint n)
{
    struct endpoint *to = rtx->scene.to[0];
    bool there[64] = {false};
    g_assert_true(scene_wait_rtp(&rtx->scene, to, n));
    struct packet_in *first = g_queue_peek_head(&to->rtp);
    g_assert_cmpuint(to->rtp.length, ==, n);
    for (guint i = 0; i < n; i++) {
        struct packet_in *packet = g_queue_peek_nth(&to->rtp, i);
        uint16_t at = (uint16_t)(rtp_sequence(packet) - rtp_sequence(first));
        g_assert_cmpuint(at, <, n);
        g_assert_false(there[at]);
        there[at] = true;
        g_assert_cmpuint(rtp_ssrc(packet), ==, SUBSCRIBED_SSRC(0));
        g_assert_cmpuint(packet->data[1] & 0x7f, ==, VIDEO_PT);
        g_assert_cmpuint(rtp_timestamp(packet) - rtp_timestamp(first), ==, at * 3000u);
        g_assert_cmpmem(packet->data + packet->length - 8, 8, at ? delta_payload : key_payload, 8);
    }
}

/* false: too late for the relay. */
static bool try_repairs(bool announced)
{
    struct rtx_scene rtx;
    begin(&rtx, announced);
    scene_publish(&rtx.scene, 3, true);
    uint16_t first = lose(&rtx), second = lose(&rtx);
    int64_t since = g_get_monotonic_time();
    scene_publish(&rtx.scene, 3, false);
    g_assert_true(scene_wait_rtp(&rtx.scene, rtx.scene.to[0], 6));
    WAIT_UNTIL(rtx.scene.from, received(&rtx).nack_sent >= 2);
    repair(&rtx, second, 0);
    repair(&rtx, first, 5);
    bool gave_up = received(&rtx).pli_sent > 0; /* both have been looked at */
    if (gave_up && g_get_monotonic_time() - since >= GIVES_UP_US) {
        scene_end(&rtx.scene);
        return false;
    }
    check_complete(&rtx, 8);
    repair(&rtx, first, 0); /* asked for twice, and a probe: nothing is missing any more */
    repair(&rtx, (uint16_t)(first - 2), 0);
    scene_publish(&rtx.scene, 1, false);
    check_complete(&rtx, 9);
    struct relay_media_stats stats = received(&rtx);
    g_assert_cmpuint(stats.retransmitted_in, ==, 2);
    g_assert_cmpuint(stats.rtx_redundant_in, ==, 2);
    g_assert_cmpuint(stats.rtx_unknown_in, ==, 0);
    g_assert_cmpuint(stats.lost_in, ==, 2); /* by the network */
    g_assert_cmpuint(stats.packets_in, ==, 9);
    g_assert_cmpuint(stats.pli_sent, ==, 0);
    scene_end(&rtx.scene);
    return true;
}

static void test_repairs(void)
{
    while (!try_repairs(true))
        continue;
}

/* Without announced SSRCs the outstanding request tells what is repaired (RFC 4588 5.3). */
static void test_association_by_request(void)
{
    while (!try_repairs(false))
        continue;
}

static void test_what_repairs_nothing(void)
{
    static const uint8_t padding[3] = {0, 0, 3}, too_much[3] = {0, 0, 4}, none[3] = {0, 0, 0};
    struct rtx_scene rtx;
    begin(&rtx, true);
    repair(&rtx, 7, 0); /* before there is an original */
    WAIT_UNTIL(rtx.scene.from, received(&rtx).rtx_unknown_in == 1);
    scene_publish(&rtx.scene, 2, true);
    g_assert_true(scene_wait_rtp(&rtx.scene, rtx.scene.to[0], 2));
    uint64_t before = malformed(&rtx);
    send_rtx(&rtx, 0, padding, sizeof padding, true);
    repair(&rtx, rtx.scene.sequence, 0);                     /* not sent yet: no hole */
    repair(&rtx, (uint16_t)(rtx.scene.sequence + 30000), 0); /* far ahead */
    repair(&rtx, (uint16_t)(rtx.scene.sequence - 30000), 0); /* long ago */
    WAIT_UNTIL(rtx.scene.from, received(&rtx).rtx_redundant_in == 3);
    g_assert_cmpuint(received(&rtx).rtx_padding_in, ==, 1);
    g_assert_cmpuint(malformed(&rtx) - before, ==, 0);
    send_rtx(&rtx, 0, padding, 1, false); /* no room for an original sequence number */
    send_rtx(&rtx, 0, padding, 0, true);  /* no padding to look at */
    send_rtx(&rtx, 0, padding, 0, false);
    send_rtx(&rtx, 0, too_much, sizeof too_much, true);
    send_rtx(&rtx, 0, none, sizeof none, true);
    WAIT_UNTIL(rtx.scene.from, malformed(&rtx) - before == 4);
    /* The stream goes on, in its own numbers. */
    scene_publish(&rtx.scene, 3, false);
    check_complete(&rtx, 5);
    scene_end(&rtx.scene);
}

/* One packet of an encoding, or of its retransmissions, that names it. */
static void send_encoding(struct rtx_scene *rtx, uint32_t ssrc, uint8_t pt, uint16_t sequence,
                          uint8_t element, char rid, const void *payload, size_t length)
{
    const uint8_t elements[] = {(uint8_t)(element << 4), (uint8_t)rid};
    struct rtp_out rtp = scene_rtp(sequence, 90000, payload);
    rtp.payload_length = length;
    rtp.pt = pt;
    rtp.ssrc = ssrc;
    rtp.elements = elements;
    rtp.elements_length = element ? 2 : 0;
    endpoint_send_rtp(rtx->scene.from, &rtp);
}

/* Encodings of a simulcast: the repaired rid tells which one (RFC 8852 3.2), in the first packet.
 * The same numbers are missing in both. */
static bool try_encodings(void)
{
    enum { LOW = 1, HIGH = 2, RID = 7, REPAIRED = 8 };
    struct rtx_scene rtx;
    uint8_t repair_3[2 + sizeof delta_payload] = {0, 3};
    memcpy(repair_3 + 2, delta_payload, sizeof delta_payload);
    begin(&rtx, false);
    struct relay_media media = scene_video("0", true, false, 1000);
    media.recv_codecs[0].rtx_pt = RTX_PT;
    media.rid_extmap = RID;
    media.repaired_rid_extmap = REPAIRED;
    media.n_rids = 2;
    media.rids[0][0] = 'l';
    media.rids[1][0] = 'h';
    relay_leg_set_medias(rtx.scene.from->leg, &media, 1);
    int64_t since = g_get_monotonic_time();
    for (uint16_t sequence = 1; sequence <= 5; sequence++) {
        const uint8_t *payload = sequence == 1 ? key_payload : delta_payload;
        if (sequence == 3 || sequence == 4)
            continue;
        send_encoding(&rtx, LOW, VIDEO_PT, sequence, RID, 'l', payload, sizeof key_payload);
        send_encoding(&rtx, HIGH, VIDEO_PT, sequence, RID, 'h', payload, sizeof key_payload);
    }
    WAIT_UNTIL(rtx.scene.from, received(&rtx).nack_sent >= 4);
    guint before = rtx.scene.to[0]->rtp.length;
    send_encoding(&rtx, HIGH + 10, RTX_PT, 1, REPAIRED, 'h', repair_3, sizeof repair_3);
    repair_3[1] = 4;
    send_encoding(&rtx, HIGH + 10, RTX_PT, 2, 0, 0, repair_3, sizeof repair_3);
    received(&rtx);
    send_encoding(&rtx, LOW + 10, RTX_PT, 9, REPAIRED, 'l', repair_3, sizeof repair_3);
    send_encoding(&rtx, LOW + 10, RTX_PT, 10, REPAIRED, 'l', repair_3, sizeof repair_3);
    bool gave_up = received(&rtx).retransmitted_in < 3;
    if (gave_up && g_get_monotonic_time() - since >= GIVES_UP_US) {
        scene_end(&rtx.scene);
        return false;
    }
    WAIT_UNTIL(rtx.scene.from, received(&rtx).rtx_redundant_in == 1);
    g_assert_cmpuint(received(&rtx).retransmitted_in, ==, 3);
    g_assert_cmpuint(received(&rtx).rtx_unknown_in, ==, 0);
    /* Both of the encoding that the subscriber gets, or one, have come to it, and nothing twice. */
    g_assert_cmpuint(rtx.scene.to[0]->rtp.length - before, <=, 2);
    g_assert_cmpuint(rtx.scene.to[0]->undecryptable, ==, 0);
    scene_end(&rtx.scene);
    return true;
}

static void test_encodings(void)
{
    while (!try_encodings())
        continue;
}

/* --- to the subscriber ------------------------------------------------------------------------ */

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

/* A retransmission of `original`, number `after` + 1 of its stream. */
static void check_rtx(const struct packet_in *packet, const struct packet_in *original,
                      uint32_t ssrc)
{
    size_t head = 12 + 4 + 4; /* with MID */
    uint16_t sequence = rtp_sequence(original);
    g_assert_cmpuint(rtp_ssrc(packet), ==, ssrc);
    g_assert_cmpuint(packet->data[1] & 0x7f, ==, RTX_PT);
    g_assert_cmpuint(packet->data[1] & 0x80, ==, original->data[1] & 0x80);
    g_assert_cmpuint(rtp_timestamp(packet), ==, rtp_timestamp(original));
    g_assert_cmpuint(packet->length, ==, original->length + 2);
    g_assert_cmpuint(packet->data[head] << 8 | packet->data[head + 1], ==, sequence);
    g_assert_cmpmem(packet->data + head + 2, packet->length - head - 2, original->data + head,
                    original->length - head);
}

static void test_answers(void)
{
    struct scene scene;
    scene_begin(&scene, NULL, 1, NULL, NULL);
    struct endpoint *to = scene.to[0];
    set_subscriber(&scene, 0, SUBSCRIBED_RTX);
    scene_publish(&scene, 20, true);
    g_assert_true(scene_wait_rtp(&scene, to, 20));
    struct packet_in *first = g_queue_peek_head(&to->rtp);
    send_nack(to, SUBSCRIBED_SSRC(0), rtp_sequence(first), 1 << 3);
    send_nack(to, SUBSCRIBED_SSRC(0), rtp_sequence(first), 0); /* too soon again */
    send_nack(to, SUBSCRIBED_RTX, 1, 0);                       /* they are not repeated */
    g_assert_true(scene_wait_rtp(&scene, to, 22));
    struct packet_in *one = g_queue_peek_nth(&to->rtp, 20), *two = g_queue_peek_nth(&to->rtp, 21);
    check_rtx(one, first, SUBSCRIBED_RTX);
    check_rtx(two, g_queue_peek_nth(&to->rtp, 4), SUBSCRIBED_RTX);
    g_assert_cmpuint((uint16_t)(rtp_sequence(two) - rtp_sequence(one)), ==, 1);
    struct relay_media_stats stats = endpoint_stats(to).medias[0];
    g_assert_cmpuint(stats.retransmitted_out, ==, 2);
    g_assert_cmpuint(stats.packets_out, ==, 22);
    g_assert_cmpuint(stats.rtx_ssrc_out, ==, SUBSCRIBED_RTX);
    g_assert_cmpuint(stats.retransmitted_octets_out, ==, one->length + two->length + 20);
    g_assert_cmpuint(to->rtp.length, ==, 22);

    /* Without RTX: the packet itself, but none of before the change, when it could have looked
     * otherwise. */
    set_subscriber(&scene, 0, 0);
    send_nack(to, SUBSCRIBED_SSRC(0), rtp_sequence(first), 0);
    scene_publish(&scene, 1, false);
    g_assert_true(scene_wait_rtp(&scene, to, 23));
    g_assert_cmpuint(endpoint_stats(to).medias[0].retransmitted_out, ==, 2);
    struct packet_in *last = g_queue_peek_tail(&to->rtp);
    g_assert_cmpuint(rtp_ssrc(last), ==, SUBSCRIBED_SSRC(0));

    /* With it again: the numbering goes on, the keys are the same. */
    set_subscriber(&scene, 0, SUBSCRIBED_RTX);
    send_nack(to, SUBSCRIBED_SSRC(0), rtp_sequence(last), 0);
    g_assert_true(scene_wait_rtp(&scene, to, 24));
    struct packet_in *three = g_queue_peek_tail(&to->rtp);
    check_rtx(three, last, SUBSCRIBED_RTX);
    g_assert_cmpuint((uint16_t)(rtp_sequence(three) - rtp_sequence(two)), ==, 1);
    scene_end(&scene);
}

/* New keys begin with roll-over counter 0, also where the RTX stream's number had rolled over. */
static void test_rekey(void)
{
    struct scene scene;
    scene_begin(&scene, NULL, 1, NULL, NULL);
    struct endpoint *to = scene.to[0];
    set_subscriber(&scene, 0, SUBSCRIBED_RTX);
    scene_publish(&scene, 3, true);
    g_assert_true(scene_wait_rtp(&scene, to, 3));
    send_nack(to, SUBSCRIBED_SSRC(0), rtp_sequence(g_queue_peek_head(&to->rtp)), 0);
    g_assert_true(scene_wait_rtp(&scene, to, 4));
    endpoint_rekey(to);
    scene_publish(&scene, 3, true);
    g_assert_true(scene_wait_rtp(&scene, to, 7));
    send_nack(to, SUBSCRIBED_SSRC(0), rtp_sequence(g_queue_peek_nth(&to->rtp, 5)), 0);
    g_assert_true(scene_wait_rtp(&scene, to, 8));
    check_rtx(g_queue_peek_tail(&to->rtp), g_queue_peek_nth(&to->rtp, 5), SUBSCRIBED_RTX);
    g_assert_cmpuint(to->undecryptable, ==, 0);
    scene_end(&scene);
}

int main(int argc, char **argv)
{
    loop_init(1000);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/relay-rtx/repairs", test_repairs);
    g_test_add_func("/relay-rtx/association-by-request", test_association_by_request);
    g_test_add_func("/relay-rtx/what-repairs-nothing", test_what_repairs_nothing);
    g_test_add_func("/relay-rtx/encodings", test_encodings);
    g_test_add_func("/relay-rtx/answers", test_answers);
    g_test_add_func("/relay-rtx/rekey", test_rekey);
    return g_test_run();
}
