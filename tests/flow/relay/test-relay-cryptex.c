/* SPDX-License-Identifier: Apache-2.0 */
/* Cryptex (RFC 9335) leg by leg: who has negotiated it gets header extensions ciphered and may send
 * them so or not, the others know nothing of it. The vectors are in the unit test. Run once more
 * with the subscribers in another worker. */
#include "base/loop.h"
#include "tests/flow/relay/scene.h"

#include <string.h>

enum { RTPFB = 205 };
#define RTX_PT 97
#define SUBSCRIBED_RTX 2900u
#define WIDE_ID 6

static void send_nack(struct endpoint *endpoint, uint32_t media, uint16_t sequence)
{
    uint8_t nack[16] = {0x81, RTPFB, 0, 3, 0, 0, 0, 1};
    for (int i = 0; i < 4; i++)
        nack[8 + i] = (uint8_t)(media >> (24 - 8 * i));
    nack[12] = (uint8_t)(sequence >> 8);
    nack[13] = (uint8_t)sequence;
    endpoint_send_rtcp(endpoint, nack, sizeof nack);
}

static const struct packet_in *last_of(struct endpoint *endpoint)
{
    return g_queue_peek_tail(&endpoint->rtp);
}

static void check_elements(const struct packet_in *packet, const void *expected, size_t length)
{
    g_assert_cmphex(packet->data[0], ==, 0x90); /* no CSRCs, whatever came */
    g_assert_cmphex(packet->data[12] << 8 | packet->data[13], ==, 0xbede);
    g_assert_cmpmem(packet->data + 16, packet->data[15] * 4u, expected, length);
}

/* --- two media ---------------------------------------------------------------------------------
 */

/* Two audio m-lines of one payload type: MIDs alone tell them apart. The first goes to a subscriber
 * with Cryptex and to one without. */
static void begin_talk(struct scene *scene, bool publisher)
{
    scene_begin(scene, NULL, 2, NULL, NULL);
    struct relay_media from[2] = {scene_audio("0", true, false, 1000),
                                  scene_audio("1", true, false, 1001)};
    from[0].cryptex = from[1].cryptex = publisher;
    relay_leg_set_medias(scene->from->leg, from, 2);
    for (guint i = 0; i < 2; i++) {
        struct relay_media to = scene_audio("v", false, true, SUBSCRIBED_SSRC(i));
        to.cryptex = i == 0;
        relay_leg_set_medias(scene->to[i]->leg, &to, 1);
        relay_route(scene->from->leg, "0", scene->to[i]->leg, "v");
        endpoint_stats(scene->to[i]);
    }
    endpoint_stats(scene->from);
    endpoint_set_cryptex(scene->to[0], true);
    endpoint_set_cryptex(scene->from, true);
}

static void talk(struct scene *scene, const char *mid, uint32_t ssrc, int level, guint csrcs)
{
    struct rtp_out rtp = scene_rtp(scene->sequence++, scene->timestamp, delta_payload);
    scene->timestamp += 960;
    rtp.pt = AUDIO_PT;
    rtp.ssrc = ssrc;
    rtp.mid = mid;
    rtp.mid_id = MID_ID;
    rtp.level = level;
    rtp.level_id = LEVEL_ID;
    rtp.csrcs = csrcs;
    endpoint_send_rtp(scene->from, &rtp);
}

static void check_talk(struct scene *scene, guint n, uint8_t level)
{
    const uint8_t elements[4] = {MID_ID << 4, 'v', LEVEL_ID << 4, level};
    for (guint i = 0; i < 2; i++) {
        g_assert_true(scene_wait_rtp(scene, scene->to[i], n));
        const struct packet_in *packet = last_of(scene->to[i]);
        g_assert_true(packet->cryptex == (i == 0));
        check_elements(packet, elements, sizeof elements);
        g_assert_cmpmem(packet->data + 20, packet->length - 20, delta_payload,
                        sizeof delta_payload);
    }
}

/* Ciphered and plain packets, with CSRCs and without, in turn. */
static void test_turns(void)
{
    struct scene scene;
    begin_talk(&scene, true);
    for (guint n = 1; n <= 8; n++) {
        endpoint_set_cryptex(scene.from, n % 4 != 3);
        talk(&scene, "0", PUBLISHED_SSRC, (int)(40 + n), n % 2 ? 0 : 3);
        check_talk(&scene, n, (uint8_t)(40 + n));
    }
    struct relay_leg_stats stats = endpoint_stats(scene.from);
    g_assert_cmpuint(stats.medias[0].packets_in, ==, 8);
    g_assert_cmpuint(stats.cryptex_dropped, ==, 0);
    g_assert_cmpuint(stats.srtp_failed, ==, 0);
    scene_end(&scene);
}

/* The MID stands inside: it names the m-line of a new SSRC, and moves one that is known. */
static void test_mid(void)
{
    struct scene scene;
    begin_talk(&scene, true);
    talk(&scene, "1", PUBLISHED_SSRC, 40, 2);
    WAIT_UNTIL(scene.from, endpoint_stats(scene.from).medias[1].packets_in == 1);
    talk(&scene, "0", PUBLISHED_SSRC, 41, 0);
    check_talk(&scene, 1, 41);
    talk(&scene, NULL, 77, 42, 1); /* whose? */
    WAIT_UNTIL(scene.from, endpoint_stats(scene.from).unknown_ssrc_dropped == 1);
    g_assert_cmpuint(endpoint_stats(scene.from).srtp_failed, ==, 0);
    scene_end(&scene);
}

static void test_not_negotiated(void)
{
    struct scene scene;
    begin_talk(&scene, false);
    talk(&scene, "0", PUBLISHED_SSRC, 40, 0);
    WAIT_UNTIL(scene.from, endpoint_stats(scene.from).cryptex_dropped == 1);
    endpoint_set_cryptex(scene.from, false);
    talk(&scene, "0", PUBLISHED_SSRC, 41, 2);
    check_talk(&scene, 1, 41);
    g_assert_cmpuint(endpoint_stats(scene.from).srtp_failed, ==, 0);
    scene_end(&scene);
}

/* Forged, too short for what it tells, too long for a packet: it ends there. */
static void test_malformed(void)
{
    static uint8_t packet[1700] = {0x9f, AUDIO_PT, 0, 1};
    static const size_t lengths[] = {12, 72, 75, 76, 85, 86, 1700};
    struct scene scene;
    begin_talk(&scene, true);
    memcpy(packet + 72, (const uint8_t[]){0xc0, 0xde, 0, 0}, 4);
    for (guint i = 0; i < G_N_ELEMENTS(lengths); i++)
        endpoint_send_raw(scene.from, packet, lengths[i]);
    packet[74] = 0xff;
    endpoint_send_raw(scene.from, packet, sizeof packet);
    talk(&scene, "0", PUBLISHED_SSRC, 41, 15);
    check_talk(&scene, 1, 41);
    struct relay_worker_stats totals = test_relay_totals(scene.relay);
    g_assert_cmpuint(totals.malformed, ==, G_N_ELEMENTS(lengths));
    g_assert_cmpuint(endpoint_stats(scene.from).srtp_failed, ==, 1); /* that of 86 octets */
    scene_end(&scene);
}

/* --- retransmissions ---------------------------------------------------------------------------
 */

static struct relay_media video_to(bool cryptex, bool rtx)
{
    struct relay_media to = scene_video("v", false, true, SUBSCRIBED_SSRC(0));
    to.cryptex = cryptex;
    to.transport_cc_extmap = WIDE_ID;
    to.send_codecs[0].transport_cc = rtx;
    to.send_codecs[0].rtx_pt = rtx ? RTX_PT : 0;
    to.local_rtx_ssrc = rtx ? SUBSCRIBED_RTX : 0;
    return to;
}

static void begin_video(struct scene *scene, bool rtx)
{
    scene_begin(scene, NULL, 1, NULL, NULL);
    struct relay_media to = video_to(true, rtx);
    relay_leg_set_medias(scene->to[0]->leg, &to, 1);
    endpoint_stats(scene->to[0]);
    endpoint_set_cryptex(scene->to[0], true);
}

/* The very same packet; and none that would be another under its index, because what is ciphered of
 * it has changed. */
static void test_repeat(void)
{
    struct scene scene;
    begin_video(&scene, false);
    struct endpoint *to = scene.to[0];
    scene_publish(&scene, 2, true);
    g_assert_true(scene_wait_rtp(&scene, to, 2));
    const struct packet_in *last = last_of(to);
    uint16_t sequence = rtp_sequence(last);
    g_assert_true(last->cryptex);
    send_nack(to, SUBSCRIBED_SSRC(0), sequence);
    g_assert_true(scene_wait_rtp(&scene, to, 3));
    g_assert_cmpuint(last_of(to)->on_wire, ==, last->on_wire);
    struct relay_media plain = video_to(false, false);
    relay_leg_set_medias(to->leg, &plain, 1);
    scene_wait(&scene, NULL, NULL, 30); /* or it would have been repeated too recently */
    send_nack(to, SUBSCRIBED_SSRC(0), sequence);
    WAIT_UNTIL(to, endpoint_stats(to).medias[0].nack_received == 2);
    scene_publish(&scene, 1, false);
    g_assert_true(scene_wait_rtp(&scene, to, 4));
    g_assert_false(last_of(to)->cryptex);
    g_assert_cmpuint(rtp_sequence(last_of(to)), ==, (uint16_t)(sequence + 1));
    scene_end(&scene);
}

/* Transport-wide numbers are counted up inside, over media and retransmissions. */
static void test_wide(void)
{
    struct scene scene;
    begin_video(&scene, true);
    struct endpoint *to = scene.to[0];
    scene_publish(&scene, 3, true);
    g_assert_true(scene_wait_rtp(&scene, to, 3));
    send_nack(to, SUBSCRIBED_SSRC(0), rtp_sequence(last_of(to)));
    g_assert_true(scene_wait_rtp(&scene, to, 4));
    g_assert_cmpuint(rtp_ssrc(last_of(to)), ==, SUBSCRIBED_RTX);
    const GList *first = to->rtp.head;
    const struct packet_in *packet = first->data;
    uint16_t number = (uint16_t)(packet->data[19] << 8 | packet->data[20]);
    for (const GList *i = first; i; i = i->next, number++) {
        const uint8_t elements[8] = {MID_ID << 4, 'v', WIDE_ID << 4 | 1, (uint8_t)(number >> 8),
                                     (uint8_t)number};
        packet = i->data;
        g_assert_true(packet->cryptex);
        check_elements(packet, elements, sizeof elements);
    }
    scene_end(&scene);
}

int main(int argc, char **argv)
{
    loop_init(1000);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/relay-cryptex/turns", test_turns);
    g_test_add_func("/relay-cryptex/mid", test_mid);
    g_test_add_func("/relay-cryptex/not-negotiated", test_not_negotiated);
    g_test_add_func("/relay-cryptex/malformed", test_malformed);
    g_test_add_func("/relay-cryptex/repeat", test_repeat);
    g_test_add_func("/relay-cryptex/wide", test_wide);
    return g_test_run();
}
