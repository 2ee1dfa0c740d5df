/* SPDX-License-Identifier: Apache-2.0 */
/* A leg and what it gets, without its thread and without a network: what changes while media flow,
 * at moments that a test with sockets could hardly choose. */
#include "wmcf/relay/layering.h"
#include "wmcf/relay/leg.h"
#include "wmcf/relay/packet-describe.h"
#include "wmcf/relay/vp8-descriptor.h"
#include "wmcf/relay/vp9-descriptor.h"
#include "wmcf/relay/worker.h"

#include <glib.h>
#include <string.h>

static const char *vp8, *vp9;

struct scene {
    struct worker *worker;
    struct worker_leg *from, *to;
    _Atomic unsigned pending;
    uint64_t index; /* of the last packet */
};

static void on_event(void *user, struct event *event)
{
    event_free(event);
}

static struct relay_media media(const char *mid, bool receive, uint32_t local_ssrc)
{
    struct relay_media ret = {
        .kind = RELAY_VIDEO, .receive = receive, .send = !receive, .local_ssrc = local_ssrc};
    struct relay_codec *codecs = receive ? ret.recv_codecs : ret.send_codecs;
    g_strlcpy(ret.mid, mid, sizeof ret.mid);
    codecs[0] = (struct relay_codec){.pt = 96, .clock_rate = 90000, .format = vp8};
    codecs[1] = (struct relay_codec){.pt = 98, .clock_rate = 90000, .format = vp9};
    *(receive ? &ret.n_recv_codecs : &ret.n_send_codecs) = 2;
    return ret;
}

/* Two videos of one leg, the first of which another one gets. */
static void begin(struct scene *scene)
{
    static const struct worker_limits limits = {.stun_rate_unknown = 10,
                                                .streams_max = 16,
                                                .buffer_octets = 1 << 20,
                                                .ice_pairs_max = 4,
                                                .ice_checks_max = 4};
    struct encoding_board *none[2] = {NULL, NULL};
    const struct relay_media published[] = {media("a", true, 1), media("b", true, 2)};
    const struct relay_media got = media("v", false, 777);
    *scene = (struct scene){.worker = worker_new(0, &limits, on_event, NULL), .index = 1000};
    scene->from =
        worker_leg_new(scene->worker, NULL, &scene->pending, "from", "secret", false, "from", NULL);
    scene->to =
        worker_leg_new(scene->worker, NULL, &scene->pending, "to", "secret", false, "to", NULL);
    worker_leg_set_medias(scene->from, published, none, 2, 0);
    worker_leg_set_medias(scene->to, &got, none, 1, 0);
    media_line_route(&scene->from->lines[0]->in, scene->to->lines[0]);
}

static void end(struct scene *scene)
{
    worker_leg_free(scene->to);
    worker_leg_free(scene->from);
    worker_free(scene->worker);
}

static struct subscription *gets(struct scene *scene)
{
    return &scene->to->lines[0]->out;
}

static struct packet *packet_new(struct scene *scene, const char *format, const uint8_t *payload,
                                 size_t length, uint32_t timestamp)
{
    struct packet *packet = g_malloc0(sizeof *packet + PACKET_PAYLOAD_MAX);
    struct picture_sizes sizes = {0};
    memcpy(packet->payload, payload, length);
    packet->length = (uint16_t)length;
    packet->timestamp = timestamp;
    packet->clock_rate = 90000;
    packet->format = format;
    packet->note = -1;
    packet->index = ++scene->index;
    packet->arrival = (int64_t)(packet->index * 10000);
    packet_describe_video(packet, key_frame_codec_of_format(format), length, &sizes);
    return packet;
}

static struct packet *vp8_new(struct scene *scene, uint16_t picture, uint8_t temporal, bool key,
                              uint32_t timestamp)
{
    const uint8_t payload[] = {0x90,
                               0xe0,
                               (uint8_t)(0x80 | picture >> 8),
                               (uint8_t)picture,
                               (uint8_t)picture,
                               (uint8_t)(temporal << 6 | 0x20),
                               key ? 0 : 1,
                               0};
    return packet_new(scene, vp8, payload, sizeof payload, timestamp);
}

/* As the router does. NULL: it does not go. */
static const uint8_t *forward(struct scene *scene, const struct packet *packet, uint8_t *copy,
                              uint16_t *ret_sequence)
{
    struct subscription *subscription = gets(scene);
    struct rtp_fields fields;
    uint64_t index;
    bool marker = false;
    stream_measure(subscription->source, packet);
    int pt = subscription_payload_type(subscription, packet->format);
    g_assert_cmpint(pt, >=, 0);
    if (subscription_judge(subscription, packet) != SUBSCRIPTION_TAKES)
        return NULL;
    if (subscription->layering && !layering_take(subscription, packet, &marker)) {
        subscription_skip(subscription, packet);
        return NULL;
    }
    subscription_rewrite(subscription, packet, (uint8_t)pt, &fields, &index);
    *ret_sequence = fields.sequence;
    return layering_payload(subscription, packet, copy);
}

/* The picture that the subscriber gets; -1 = none. */
static int forward_vp8(struct scene *scene, uint16_t picture, uint8_t temporal, bool key,
                       uint32_t timestamp, uint16_t *sequence)
{
    uint8_t copy[PACKET_PAYLOAD_MAX];
    struct vp8_descriptor got;
    g_autofree struct packet *packet = vp8_new(scene, picture, temporal, key, timestamp);
    const uint8_t *payload = forward(scene, packet, copy, sequence);
    if (!payload)
        return -1;
    g_assert_true(vp8_descriptor_parse(payload, packet->length, &got));
    return got.picture;
}

/* Layers are left out of video that was forwarded as a whole for a while: whatever its numbers are,
 * what is left is one video without holes. */
static void test_join(void)
{
    static const struct {
        uint16_t picture;
        uint32_t timestamp;
    } beginnings[] = {{20000, 0x90000000u}, {5, 7}, {0x7ff0, 0xffff0000u}};
    for (guint b = 0; b < G_N_ELEMENTS(beginnings); b++) {
        const struct layer least = {.temporal = 0}, all = {.temporal = 3};
        struct scene scene;
        uint16_t sequence, before = 0;
        int last = -1;
        begin(&scene);
        for (unsigned i = 0; i < 200; i++) {
            uint16_t picture = (uint16_t)(beginnings[b].picture + i) & 0x7fff;
            uint32_t timestamp = beginnings[b].timestamp + i * 3000;
            uint8_t temporal = i % 2;
            int got = forward_vp8(&scene, picture, temporal, i == 0, timestamp, &sequence);
            if (i == 13) /* in the midst of a picture, which stays whole */
                subscription_select(gets(&scene), &least, 0);
            if (i == 101)
                subscription_select(gets(&scene), &all, 0);
            int rest = forward_vp8(&scene, picture, temporal, false, timestamp, &sequence);
            g_assert_cmpint(rest, ==, got);
            g_assert_cmpint(got >= 0, ==, temporal == 0 || i <= 13 || i > 101);
            if (got < 0)
                continue;
            if (last >= 0) {
                g_assert_cmpint(got, ==, (last + 1) & 0x7fff);
                g_assert_cmpuint((uint16_t)(sequence - before), ==, 2);
            }
            last = got;
            before = sequence;
        }
        end(&scene);
    }
}

/* The publisher goes over to another codec on the same SSRC: its payload is not read as that of the
 * one before. */
static void test_codec(void)
{
    const struct layer least = {.temporal = 0};
    uint8_t copy[PACKET_PAYLOAD_MAX];
    struct scene scene;
    uint16_t sequence;
    int last = -1;
    begin(&scene);
    for (uint16_t i = 0; i < 20; i++) {
        int got = forward_vp8(&scene, i, i % 2, i == 0, i * 3000u, &sequence);
        last = got >= 0 ? got : last;
        if (i == 5)
            subscription_select(gets(&scene), &least, 0);
    }
    g_assert_cmpint(last, <, 18);
    for (uint16_t i = 0; i < 4; i++) {
        const uint8_t payload[] = {
            (uint8_t)(0xac | (i ? 0x40 : 0)), 0x81, (uint8_t)i, 0x00, 9, 0x82, 0x49, 0x83, 0x42};
        struct vp9_descriptor got;
        g_autofree struct packet *packet =
            packet_new(&scene, vp9, payload, sizeof payload, (20u + i) * 3000u);
        const uint8_t *sent = forward(&scene, packet, copy, &sequence);
        g_assert_nonnull(sent);
        g_assert_true(vp9_descriptor_parse(sent, packet->length, &got));
        g_assert_cmpint(got.picture, ==, last + 1 + i);
        g_assert_cmpint(sent[0], ==, payload[0]);
        g_assert_cmpmem(sent + 5, packet->length - 5u, payload + 5, sizeof payload - 5);
    }
    end(&scene);
}

/* What bandwidth has paused is one video; the next one that is routed there begins. */
static void test_route(void)
{
    struct scene scene;
    struct layer layer;
    uint16_t sequence;
    begin(&scene);
    g_assert_cmpint(forward_vp8(&scene, 1, 0, true, 0, &sequence), ==, 1);
    g_assert_true(subscription_layer(gets(&scene), &layer));
    subscription_select(gets(&scene), NULL, 0);
    g_assert_false(subscription_layer(gets(&scene), &layer));
    media_line_route(&scene.from->lines[1]->in, scene.to->lines[0]);
    g_assert_cmpint(forward_vp8(&scene, 7, 0, true, 0, &sequence), >=, 0);
    g_assert_true(subscription_layer(gets(&scene), &layer));
    end(&scene);
}

/* A packet of the SSRC, as if it were authentic. */
static void receive(struct scene *scene, struct source *source, uint64_t index, int64_t now,
                    bool repaired)
{
    static const uint8_t payload[] = {0x10, 0x01, 0, 0};
    struct packet *packet = packet_pool_take(scene->worker->pool, sizeof payload);
    struct rtp_header header = {.pt = 96, .ssrc = source->ssrc, .sequence = (uint16_t)index};
    struct arrival arrival = {.now = now, .dscp = -1, .judged = true, .repaired = repaired};
    memcpy(packet->payload, payload, sizeof payload);
    packet->length = sizeof payload;
    packet->index = index;
    g_assert_true(worker_leg_take(source, packet, &header, 100, &arrival));
    router_run(scene->worker);
}

/* The sender has gone over to another SSRC, of which a frame comes now and then. What repairs the
 * former one does not bring it back. */
static void test_repair(void)
{
    struct scene scene;
    begin(&scene);
    struct stream *stream = &scene.from->lines[0]->in;
    struct source *former = worker_leg_add_source(scene.from, 1111, stream);
    receive(&scene, former, 10, 1000000, false);
    receive(&scene, former, 12, 1010000, false);
    struct source *present = worker_leg_add_source(scene.from, 2222, stream);
    receive(&scene, present, 50, 1200000, false);
    g_assert_true(stream->active == present);
    uint32_t epoch = stream->epoch;
    receive(&scene, former, 11, 1400000, true);
    receive(&scene, present, 51, 1450000, false);
    g_assert_true(stream->active == present);
    g_assert_cmpuint(stream->epoch, ==, epoch);
    end(&scene);
}

/* With new keys, and with a new SSRC, numbers begin with roll-over counter 0 (RFC 3711 3.3.1): also
 * when the last one before was the last one of a round. */
static void test_round(void)
{
    const struct relay_srtp_keys keys = {.profile = RELAY_SRTP_AEAD_AES_128_GCM,
                                         .local_key = {1},
                                         .key_length = 16,
                                         .salt_length = 12};
    struct encoding_board *none[1] = {NULL};
    for (uint64_t last = 0x1fffd; last <= 0x20001; last++) {
        struct scene scene;
        begin(&scene);
        struct subscription *subscription = gets(&scene);
        subscription->last_index = last;
        worker_leg_set_keys(scene.to, &keys, 0);
        g_assert_cmpuint(subscription->last_index, ==, last);
        g_assert_cmpuint(last + 1 - subscription->index_base, <, 0x10000);
        subscription->last_index = last + 0x10000;
        const struct relay_media got = media("v", false, 778);
        worker_leg_set_medias(scene.to, &got, none, 1, 0);
        g_assert_cmpuint(last + 0x10001 - subscription->index_base, <, 0x10000);
        end(&scene);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    vp8 = g_intern_static_string("video/VP8/90000");
    vp9 = g_intern_static_string("video/VP9/90000");
    g_test_add_func("/worker-leg/join", test_join);
    g_test_add_func("/worker-leg/codec", test_codec);
    g_test_add_func("/worker-leg/route", test_route);
    g_test_add_func("/worker-leg/repair", test_repair);
    g_test_add_func("/worker-leg/round", test_round);
    return g_test_run();
}
