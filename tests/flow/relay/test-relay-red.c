/* SPDX-License-Identifier: Apache-2.0 */
/* Redundant audio (RFC 2198): whole for who has it, the primary block alone for who has not; and
 * key frames from who takes FIR only. */
#include "base/loop.h"
#include "tests/flow/relay/scene.h"

#include <string.h>

#define RED_PT 63
#define OTHER_PT 100
enum { PSFB = 206, FIR = 4, PLI = 1 };

static const uint8_t redundant[] =
    {0x80 | AUDIO_PT, 0, 0, 3, AUDIO_PT, 'o', 'l', 'd', 'n', 'e', 'w'},
                     broken[] = {0x80 | AUDIO_PT, 0, 0, 9, AUDIO_PT, 'o', 'l', 'd'};

/* Opus with `pt`, and redundant audio. */
static struct relay_media audio(const char *mid, bool receive, uint32_t ssrc, uint8_t pt, bool red)
{
    struct relay_media media = scene_audio(mid, receive, !receive, ssrc);
    media.recv_codecs[0].pt = media.send_codecs[0].pt = pt;
    media.recv_codecs[0].nack = media.send_codecs[0].nack = true;
    if (red) {
        media.recv_codecs[1] = media.recv_codecs[0];
        media.recv_codecs[1].pt = RED_PT;
        media.recv_codecs[1].format = g_intern_static_string("audio/red/48000/2");
        media.send_codecs[1] = media.recv_codecs[1];
        media.n_recv_codecs = media.n_send_codecs = 2;
    }
    return media;
}

static void publish(struct scene *scene, uint8_t pt, const uint8_t *payload, size_t length)
{
    struct rtp_out rtp = scene_rtp(scene->sequence++, scene->timestamp, payload);
    scene->timestamp += 960;
    rtp.pt = pt;
    rtp.payload_length = length;
    endpoint_send_rtp(scene->from, &rtp);
}

static void expect(struct endpoint *to, guint n, uint8_t pt, const void *payload, size_t length)
{
    const struct packet_in *packet = g_queue_peek_nth(&to->rtp, n);
    size_t head = 12 + 4 + 4; /* MID, place for a level */
    g_assert_cmpuint(packet->data[1] & 0x7f, ==, pt);
    g_assert_cmpmem(packet->data + head, packet->length - head, payload, length);
    if (n)
        g_assert_cmpuint(
            (uint16_t)(rtp_sequence(packet) - rtp_sequence(g_queue_peek_nth(&to->rtp, n - 1))), ==,
            1);
}

static void test_views(void)
{
    struct scene scene;
    scene_begin(&scene, NULL, 3, NULL, NULL);
    struct relay_media from = audio("0", true, 1000, AUDIO_PT, true);
    relay_leg_set_medias(scene.from->leg, &from, 1);
    struct relay_media to[] = {audio("v", false, SUBSCRIBED_SSRC(0), AUDIO_PT, true),
                               audio("v", false, SUBSCRIBED_SSRC(1), AUDIO_PT, false),
                               audio("v", false, SUBSCRIBED_SSRC(2), OTHER_PT, true)};
    for (guint i = 0; i < 3; i++) {
        relay_leg_set_medias(scene.to[i]->leg, &to[i], 1);
        relay_route(scene.from->leg, "0", scene.to[i]->leg, "v");
    }
    endpoint_stats(scene.from);
    publish(&scene, AUDIO_PT, redundant + 8, 3);
    publish(&scene, RED_PT, redundant, sizeof redundant);
    guint64 before = test_relay_totals(scene.relay).malformed;
    publish(&scene, RED_PT, broken, sizeof broken);
    publish(&scene, RED_PT, redundant, 0);
    WAIT_UNTIL(scene.from, test_relay_totals(scene.relay).malformed == before + 2);
    scene.sequence = (uint16_t)(scene.sequence - 2); /* as if they had not been */
    for (guint i = 0; i < 3; i++)
        g_assert_true(scene_wait_rtp(&scene, scene.to[i], 2));
    for (guint i = 0; i < 3; i++)
        expect(scene.to[i], 0, i == 2 ? OTHER_PT : AUDIO_PT, "new", 3);
    expect(scene.to[0], 1, RED_PT, redundant, sizeof redundant);
    expect(scene.to[1], 1, AUDIO_PT, "new", 3);
    expect(scene.to[2], 1, OTHER_PT, "new", 3); /* the payload type inside is another there */
    g_assert_cmpuint(endpoint_stats(scene.to[1]).medias[0].no_codec, ==, 0);
    scene_end(&scene);
}

/* Until a key frame comes, each with a number of its own; PLI goes first where both are there. */
static void check_requests(bool pli)
{
    struct relay_config config = {.pli_interval_ms = 50};
    struct scene scene;
    scene_begin(&scene, &config, 1, NULL, NULL);
    struct relay_media from = scene_video("0", true, false, 1000);
    from.recv_codecs[0].pli = pli;
    from.recv_codecs[0].fir = true;
    relay_leg_set_medias(scene.from->leg, &from, 1);
    scene_publish(&scene, 1, false);
    guint seen = 0;
    uint8_t numbers[3];
    for (guint tries = 0; tries < 1000 && seen < 3; tries++) {
        scene_wait(&scene, NULL, NULL, 5);
        for (struct packet_in *packet; (packet = g_queue_pop_head(&scene.from->rtcp));) {
            const uint8_t *p = packet->data;
            if (p[1] == PSFB && seen < 3) {
                g_assert_cmpuint(p[0] & 0x1f, ==, pli ? PLI : FIR);
                g_assert_cmpmem(p + (pli ? 8 : 12), 4, "\x11\x11\x11\x11", 4);
                numbers[seen] = pli ? (uint8_t)seen : p[16];
                seen++;
            }
            g_free(packet);
        }
    }
    g_assert_cmpuint(seen, ==, 3);
    for (guint i = 1; i < 3; i++)
        g_assert_cmpuint((uint8_t)(numbers[i] - numbers[i - 1]), ==, 1);
    scene_publish(&scene, 1, true);
    g_assert_true(scene_wait_rtp(&scene, scene.to[0], 1));
    endpoint_take_rtcp(scene.from, PSFB, -1);
    scene_wait(&scene, NULL, NULL, 200); /* no more now */
    g_assert_cmpuint(endpoint_take_rtcp(scene.from, PSFB, -1), ==, 0);
    scene_end(&scene);
}

static void test_fir(void)
{
    check_requests(false);
    check_requests(true);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    loop_init(1000);
    g_test_add_func("/relay-red/views", test_views);
    g_test_add_func("/relay-red/fir", test_fir);
    return g_test_run();
}
