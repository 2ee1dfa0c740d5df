/* SPDX-License-Identifier: Apache-2.0 */
/* Scenes keep the tests short: each says only what is special about it. */
#include "tests/flow/relay/scene.h"

#include <string.h>

const uint8_t key_payload[8] = {0x10, 0x00, 0x9d, 0x01, 0x2a, 1, 2, 3}; /* S=1, P=0 */
const uint8_t delta_payload[8] = {0x10, 0x01, 9, 9, 9, 9, 9, 9};

struct relay_media scene_video(const char *mid, bool receive, bool send, uint32_t local_ssrc)
{
    struct relay_media media = {.kind = RELAY_VIDEO,
                                .receive = receive,
                                .send = send,
                                .mid_extmap = MID_ID,
                                .n_recv_codecs = 1,
                                .n_send_codecs = 1,
                                .local_ssrc = local_ssrc,
                                .rtcp_rsize = true};
    g_strlcpy(media.mid, mid, sizeof media.mid);
    media.recv_codecs[0] = media.send_codecs[0] =
        (struct relay_codec){.pt = VIDEO_PT,
                             .clock_rate = 90000,
                             .format = g_intern_static_string("video/VP8/90000"),
                             .nack = true,
                             .pli = true};
    return media;
}

struct relay_media scene_audio(const char *mid, bool receive, bool send, uint32_t local_ssrc)
{
    struct relay_media media = scene_video(mid, receive, send, local_ssrc);
    media.kind = RELAY_AUDIO;
    media.audio_level_extmap = LEVEL_ID;
    media.recv_codecs[0] = media.send_codecs[0] =
        (struct relay_codec){.pt = AUDIO_PT,
                             .clock_rate = 48000,
                             .format = g_intern_static_string("audio/opus/48000/2")};
    return media;
}

bool scene_wait(struct scene *scene, bool (*done)(void *user), void *user, guint ms)
{
    struct endpoint *all[SUBSCRIBERS_MAX + 2] = {scene->from};
    for (guint i = 0; i < scene->n; i++)
        all[i + 1] = scene->to[i];
    return endpoints_wait(all, done, user, ms);
}

struct expected {
    struct endpoint *endpoint;
    guint n;
};

static bool have_rtp(void *user)
{
    struct expected *expected = user;
    return expected->endpoint->rtp.length >= expected->n;
}

bool scene_wait_rtp(struct scene *scene, struct endpoint *endpoint, guint n)
{
    return scene_wait(scene, have_rtp, &(struct expected){endpoint, n}, 5000);
}

struct answer {
    struct relay_leg_stats stats;
    bool there;
};

static void on_stats(const struct relay_leg_stats *stats, void *user)
{
    struct answer *answer = user;
    g_assert_nonnull(stats);
    answer->stats = *stats;
    answer->there = true;
}

static bool have_stats(void *user)
{
    return ((struct answer *)user)->there;
}

struct relay_leg_stats endpoint_stats(struct endpoint *endpoint)
{
    struct answer answer = {.there = false};
    relay_leg_stats(endpoint->leg, on_stats, &answer);
    g_assert_true(endpoints_wait((struct endpoint *[]){endpoint, NULL}, have_stats, &answer, 5000));
    return answer.stats;
}

void scene_begin(struct scene *scene, struct relay_config *config, guint n, struct qos_slot *uplink,
                 struct qos_slot *downlink)
{
    struct relay_config defaults = {0};
    struct relay_media from = scene_video("0", true, false, 1000);
    *scene = (struct scene){.n = n, .sequence = 65530, .timestamp = 0xffff0000};
    scene->relay = test_relay_new(config ? config : &defaults);
    scene->from = endpoint_new(scene->relay, 1);
    endpoint_connect(scene->from);
    endpoint_set_keys(scene->from);
    from.slot[QOS_UPLINK] = uplink;
    relay_leg_set_medias(scene->from->leg, &from, 1);
    for (guint i = 0; i < n; i++) {
        struct relay_media to = scene_video("v", false, true, SUBSCRIBED_SSRC(i));
        scene->to[i] = endpoint_new(scene->relay, 1);
        endpoint_connect(scene->to[i]);
        endpoint_set_keys(scene->to[i]);
        to.slot[QOS_DOWNLINK] = downlink;
        relay_leg_set_medias(scene->to[i]->leg, &to, 1);
        relay_route(scene->from->leg, "0", scene->to[i]->leg, "v");
    }
    endpoint_stats(scene->from);
}

void scene_end(struct scene *scene)
{
    for (guint i = 0; i < scene->n; i++)
        endpoint_free(scene->to[i]);
    endpoint_free(scene->from);
    relay_free(scene->relay);
}

struct rtp_out scene_rtp(uint16_t sequence, uint32_t timestamp, const uint8_t *payload)
{
    return (struct rtp_out){.pt = VIDEO_PT,
                            .sequence = sequence,
                            .timestamp = timestamp,
                            .ssrc = PUBLISHED_SSRC,
                            .level = -1,
                            .payload = payload,
                            .payload_length = sizeof key_payload};
}

void scene_publish(struct scene *scene, guint n, bool key)
{
    for (guint i = 0; i < n; i++) {
        struct rtp_out rtp = scene_rtp(scene->sequence++, scene->timestamp,
                                       key && i == 0 ? key_payload : delta_payload);
        endpoint_send_rtp(scene->from, &rtp);
        scene->timestamp += 3000;
    }
}

uint16_t rtp_sequence(const struct packet_in *packet)
{
    return (uint16_t)(packet->data[2] << 8 | packet->data[3]);
}

static uint32_t read32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

uint32_t rtp_timestamp(const struct packet_in *packet)
{
    return read32(packet->data + 4);
}

uint32_t rtp_ssrc(const struct packet_in *packet)
{
    return read32(packet->data + 8);
}

guint endpoint_take_rtcp(struct endpoint *endpoint, uint8_t type, int format)
{
    guint n = 0;
    for (struct packet_in *packet; (packet = g_queue_pop_head(&endpoint->rtcp));) {
        for (size_t at = 0; at + 4 <= packet->length;) {
            const uint8_t *p = packet->data + at;
            n += p[1] == type && (format < 0 || (p[0] & 0x1f) == format);
            at += ((size_t)(p[2] << 8 | p[3]) + 1) * 4;
        }
        g_free(packet);
    }
    return n;
}
