/* SPDX-License-Identifier: Apache-2.0 */
/* Header extensions that go from publisher to subscribers: under the id of each leg, with the
 * repetitions of a packet as with the packet, and not at all to who has not negotiated them. Run
 * once more with the subscribers in another worker. */
#include "base/loop.h"
#include "tests/flow/relay/scene.h"
#include "tests/support/dependency-writer.h"
#include "wmcf/relay/dependency-descriptor.h"
#include "wmcf/relay/rtp.h"

#include <string.h>

enum { RTPFB = 205, PSFB = 206, PLI = 1 };
#define ORIENTATION_ID 9
#define RTX_PT 97
#define SUBSCRIBED_RTX 2900u

static void send_nack(struct endpoint *endpoint, uint32_t media, uint16_t sequence)
{
    uint8_t nack[16] = {0x81, RTPFB, 0, 3, 0, 0, 0, 1};
    for (int i = 0; i < 4; i++)
        nack[8 + i] = (uint8_t)(media >> (24 - 8 * i));
    nack[12] = (uint8_t)(sequence >> 8);
    nack[13] = (uint8_t)sequence;
    endpoint_send_rtcp(endpoint, nack, sizeof nack);
}

/* For the oracle the packet itself would be a replay: who lost it has no such memory. */
static void forget(struct endpoint *endpoint)
{
    srtp_dealloc(endpoint->in);
    endpoint->in = endpoint_session(&endpoint->keys);
}

/* The elements of the extension block, without its header. */
static const uint8_t *elements_of(const struct packet_in *packet, size_t *ret_length)
{
    *ret_length = packet->data[0] & 0x10 ? packet->data[15] * 4u : 0;
    return packet->data + 16;
}

/* --- orientation ------------------------------------------------------------------------------ */

/* Three subscribers: with RTX, with repetitions of the packet itself, without the extension. */
static void begin_turned(struct scene *scene)
{
    static const uint8_t ids[] = {1, 14, 0};
    scene_begin(scene, NULL, 3, NULL, NULL);
    struct relay_media from = scene_video("0", true, false, 1000);
    from.orientation_extmap = ORIENTATION_ID;
    relay_leg_set_medias(scene->from->leg, &from, 1);
    for (guint i = 0; i < 3; i++) {
        struct relay_media to = scene_video("v", false, true, SUBSCRIBED_SSRC(i));
        to.orientation_extmap = ids[i];
        to.send_codecs[0].rtx_pt = i == 0 ? RTX_PT : 0;
        to.local_rtx_ssrc = i == 0 ? SUBSCRIBED_RTX : 0;
        relay_leg_set_medias(scene->to[i]->leg, &to, 1);
        endpoint_stats(scene->to[i]);
    }
    endpoint_stats(scene->from);
}

/* A picture of which the third packet tells the orientation. */
static void publish_turned(struct scene *scene, uint8_t orientation)
{
    const uint8_t elements[] = {ORIENTATION_ID << 4, orientation};
    for (guint i = 0; i < 3; i++) {
        struct rtp_out rtp =
            scene_rtp(scene->sequence++, scene->timestamp, i == 0 ? key_payload : delta_payload);
        rtp.elements = elements;
        rtp.elements_length = i == 2 ? sizeof elements : 0;
        rtp.marker = i == 2;
        endpoint_send_rtp(scene->from, &rtp);
    }
    scene->timestamp += 3000;
}

static void check_elements(const struct packet_in *packet, const uint8_t *expected, size_t n)
{
    size_t length;
    const uint8_t *elements = elements_of(packet, &length);
    g_assert_cmpmem(elements, length, expected, n);
}

static void test_orientation(void)
{
    static const uint8_t with[2][4] = {{0x30, 'v', 0x10, 0x0b}, {0x30, 'v', 0xe0, 0x0b}};
    static const uint8_t without[4] = {0x30, 'v', 0, 0};
    struct scene scene;
    begin_turned(&scene);
    publish_turned(&scene, 0x0b); /* the camera at the back, turned by 270° */
    for (guint i = 0; i < 3; i++) {
        g_assert_true(scene_wait_rtp(&scene, scene.to[i], 3));
        const struct packet_in *first = g_queue_peek_head(&scene.to[i]->rtp),
                               *last = g_queue_peek_tail(&scene.to[i]->rtp);
        check_elements(first, without, 4);
        check_elements(last, i == 2 ? without : with[i], 4);
    }
    for (guint i = 0; i < 2; i++) {
        const struct packet_in *last = g_queue_peek_tail(&scene.to[i]->rtp);
        forget(scene.to[i]);
        send_nack(scene.to[i], SUBSCRIBED_SSRC(i), rtp_sequence(last));
        g_assert_true(scene_wait_rtp(&scene, scene.to[i], 4));
        const struct packet_in *again = g_queue_peek_tail(&scene.to[i]->rtp);
        check_elements(again, with[i], 4);
        g_assert_cmpuint(rtp_ssrc(again), ==, i == 0 ? SUBSCRIBED_RTX : SUBSCRIBED_SSRC(i));
        if (i == 1) /* the very same */
            g_assert_cmpmem(again->data, again->length, last->data, last->length);
    }
    scene_end(&scene);
}

/* An element that is no octet is none. */
static void test_malformed(void)
{
    static const uint8_t elements[] = {ORIENTATION_ID << 4 | 1, 1, 2};
    static const uint8_t without[4] = {0x30, 'v', 0, 0};
    struct scene scene;
    begin_turned(&scene);
    struct rtp_out rtp = scene_rtp(scene.sequence++, scene.timestamp, key_payload);
    rtp.elements = elements;
    rtp.elements_length = sizeof elements;
    endpoint_send_rtp(scene.from, &rtp);
    g_assert_true(scene_wait_rtp(&scene, scene.to[0], 1));
    check_elements(g_queue_peek_head(&scene.to[0]->rtp), without, sizeof without);
    scene_end(&scene);
}

/* --- the dependency descriptor ---------------------------------------------------------------- */

#define DESCRIPTOR_ID 8
#define SUBSCRIBED_ID 2
#define AV1_PT 45

/* Two packets of each frame; the number of the frame stands in the payload. */
struct av1 {
    struct scene scene;
    const struct dependency_pattern *pattern;
    unsigned n; /* frames since the key frame */
    uint16_t number;
    uint32_t ssrc;
};

static struct relay_media av1_video(const char *mid, bool receive, bool send, uint32_t ssrc,
                                    uint8_t id)
{
    struct relay_media media = scene_video(mid, receive, send, ssrc);
    media.recv_codecs[0].format = media.send_codecs[0].format =
        g_intern_static_string("video/AV1/90000;profile=0");
    media.recv_codecs[0].pt = AV1_PT;
    media.send_codecs[0].rtx_pt = RTX_PT;
    media.dependency_extmap = id;
    return media;
}

static void set_av1_subscriber(struct av1 *av1, guint i, uint8_t id, bool rtx)
{
    struct relay_media to = av1_video("v", false, true, SUBSCRIBED_SSRC(i), id);
    to.local_rtx_ssrc = rtx ? SUBSCRIBED_RTX : 0;
    to.send_codecs[0].rtx_pt = rtx ? RTX_PT : 0;
    relay_leg_set_medias(av1->scene.to[i]->leg, &to, 1);
    endpoint_stats(av1->scene.to[i]);
}

static void begin_av1(struct av1 *av1, const struct dependency_pattern *pattern, guint n)
{
    *av1 = (struct av1){.pattern = pattern, .number = 65500, .ssrc = PUBLISHED_SSRC};
    scene_begin(&av1->scene, NULL, n, NULL, NULL);
    struct relay_media from = av1_video("0", true, false, 1000, DESCRIPTOR_ID);
    relay_leg_set_medias(av1->scene.from->leg, &from, 1);
    for (guint i = 0; i < n; i++)
        set_av1_subscriber(av1, i, SUBSCRIBED_ID, true);
    endpoint_stats(av1->scene.from);
}

static void send_av1(struct av1 *av1, uint8_t template, unsigned flags, bool marker)
{
    struct scene *scene = &av1->scene;
    uint8_t elements[2 + 255];
    /* The aggregation header, N where a sequence begins (AV1 RTP 4.4). */
    bool begins = flags & DESCRIPTOR_BEGINS, key = flags & DESCRIPTOR_STRUCTURE;
    const uint8_t payload[8] = {key ? 0x18 : begins ? 0x10 : 0x90, (uint8_t)av1->number};
    size_t length = dependency_write(av1->pattern, template, av1->number, flags, elements + 2);
    struct rtp_out rtp = scene_rtp(scene->sequence++, scene->timestamp, payload);
    rtp.pt = AV1_PT;
    rtp.ssrc = av1->ssrc;
    rtp.marker = marker;
    rtp.two_byte = length > 16;
    elements[0] = DESCRIPTOR_ID;
    elements[1] = rtp.two_byte ? (uint8_t)length : (uint8_t)(DESCRIPTOR_ID << 4 | (length - 1));
    rtp.elements = rtp.two_byte ? elements : elements + 1;
    rtp.elements_length = length + (rtp.two_byte ? 2 : 1);
    endpoint_send_rtp(scene->from, &rtp);
}

/* One picture, of all spatial layers. */
static void publish_av1(struct av1 *av1, bool key)
{
    if (key)
        av1->n = 0;
    for (unsigned s = 0; s < av1->pattern->spatial_layers; s++) {
        uint8_t template;
        pattern_frame(av1->pattern, av1->n, &template);
        bool last = s + 1 == av1->pattern->spatial_layers;
        unsigned structure = key && s == 0 ? DESCRIPTOR_STRUCTURE : 0;
        send_av1(av1, template, DESCRIPTOR_BEGINS | structure, false);
        send_av1(av1, template, DESCRIPTOR_ENDS, last);
        av1->n++;
        av1->number++;
    }
    av1->scene.timestamp += 3000;
}

/* What a subscriber has received: everything it reads is read as its decoder would. */
struct viewer {
    struct dependency_structure structure;
    bool has_structure;
    uint32_t active;
    int64_t frame; /* the last one, unwrapped; -1 = none */
    uint32_t timestamp;
    unsigned frames[2]; /* of each spatial layer, since the last look */
    unsigned pictures;  /* with a marker */
};

static const uint8_t *descriptor_of(const struct packet_in *packet, uint8_t id, size_t *ret_length)
{
    struct rtp_header header;
    g_assert_true(rtp_header_parse(packet->data, packet->length, &header));
    const uint8_t *mid = rtp_extension_find(&header, MID_ID, ret_length);
    g_assert_true(id == MID_ID || (mid && *ret_length == 1 && *mid == 'v'));
    return rtp_extension_find(&header, id, ret_length);
}

/* Takes what has come; in order, without a hole, each frame known by its numbers. */
static void view(struct endpoint *endpoint, struct viewer *viewer, uint8_t id)
{
    struct packet_in *packet;
    memset(viewer->frames, 0, sizeof viewer->frames);
    viewer->pictures = 0;
    while ((packet = g_queue_pop_head(&endpoint->rtp))) {
        struct dependency_descriptor descriptor;
        struct dependency_structure own;
        size_t length;
        const uint8_t *octets = descriptor_of(packet, id, &length);
        g_assert_nonnull(octets);
        g_assert_true(dependency_descriptor_parse(
            octets, length, viewer->has_structure ? &viewer->structure : NULL, &descriptor, &own));
        if (descriptor.has_structure)
            viewer->structure = own;
        viewer->has_structure |= descriptor.has_structure;
        if (descriptor.has_active)
            viewer->active = descriptor.active;
        int16_t ahead = (int16_t)(descriptor.frame - (uint16_t)viewer->frame);
        if (viewer->frame >= 0 && descriptor.begins)
            g_assert_cmpint(ahead, >, 0);
        viewer->frame = viewer->frame < 0 ? descriptor.frame : viewer->frame + ahead;
        viewer->frames[descriptor.spatial] += descriptor.begins;
        viewer->pictures += packet->data[1] >> 7;
        g_free(packet);
    }
    g_assert_cmpuint(endpoint->undecryptable, ==, 0);
}

static void prefer(struct endpoint *to, int spatial, int temporal)
{
    struct relay_layer_preference preference = {.spatial = spatial, .temporal = temporal};
    relay_leg_prefer_layer(to->leg, "v", &preference);
    endpoint_stats(to);
}

struct expected_frame {
    struct endpoint *endpoint;
    uint8_t number; /* in the payload, of the publisher */
};

static bool has_frame(void *user)
{
    struct expected_frame *expected = user;
    const struct packet_in *last = g_queue_peek_tail(&expected->endpoint->rtp);
    struct rtp_header header;
    return last && rtp_header_parse(last->data, last->length, &header) &&
           last->data[header.length + 1] == expected->number && header.marker;
}

/* n pictures, of which the last one, or its lower layer, comes to all; waits until it is there. */
static void run_av1(struct av1 *av1, guint n, bool key, const bool *low)
{
    for (guint i = 0; i < n; i++)
        publish_av1(av1, key && i == 0);
    for (guint i = 0; i < av1->scene.n; i++) {
        struct expected_frame expected = {av1->scene.to[i],
                                          (uint8_t)(av1->number - (low && low[i] ? 2 : 1))};
        g_assert_true(scene_wait(&av1->scene, has_frame, &expected, 5000));
    }
}

static void test_descriptor(void)
{
    struct av1 av1;
    struct viewer viewers[2] = {{.frame = -1}, {.frame = -1}};
    begin_av1(&av1, &pattern_l2t2, 3);
    set_av1_subscriber(&av1, 1, 14, false);
    set_av1_subscriber(&av1, 2, 0, true);
    run_av1(&av1, 41, true, NULL);
    struct packet_in first = *(struct packet_in *)g_queue_peek_head(&av1.scene.to[0]->rtp),
                     other = *(struct packet_in *)g_queue_peek_nth(&av1.scene.to[1]->rtp, 40);
    for (GList *i = av1.scene.to[2]->rtp.head; i; i = i->next) {
        size_t length;
        g_assert_null(descriptor_of(i->data, DESCRIPTOR_ID, &length));
        g_assert_null(descriptor_of(i->data, 14, &length));
    }
    g_assert_cmpuint(av1.scene.to[2]->rtp.length, ==, 41 * 4);
    for (guint i = 0; i < 2; i++) {
        view(av1.scene.to[i], &viewers[i], i == 0 ? SUBSCRIBED_ID : 14);
        g_assert_cmpuint(viewers[i].frames[0], ==, 41);
        g_assert_cmpuint(viewers[i].frames[1], ==, 41);
        g_assert_cmpuint(viewers[i].pictures, ==, 41);
        g_assert_cmpuint(viewers[i].active, ==, 15);
        g_assert_cmpuint(viewers[i].structure.widths[1], ==, 640);
    }
    /* Once more: with RTX what the packet had, without the packet itself. */
    size_t length, length_again;
    send_nack(av1.scene.to[0], SUBSCRIBED_SSRC(0), rtp_sequence(&first));
    g_assert_true(scene_wait_rtp(&av1.scene, av1.scene.to[0], 1));
    const uint8_t *descriptor = descriptor_of(&first, SUBSCRIBED_ID, &length);
    const uint8_t *again =
        descriptor_of(g_queue_peek_head(&av1.scene.to[0]->rtp), SUBSCRIBED_ID, &length_again);
    g_assert_cmpuint(length, >, 20);
    g_assert_cmpmem(again, length_again, descriptor, length);
    forget(av1.scene.to[1]);
    send_nack(av1.scene.to[1], SUBSCRIBED_SSRC(1), rtp_sequence(&other));
    g_assert_true(scene_wait_rtp(&av1.scene, av1.scene.to[1], 1));
    const struct packet_in *repeated = g_queue_peek_head(&av1.scene.to[1]->rtp);
    g_assert_cmpmem(repeated->data, repeated->length, other.data, other.length);
    scene_end(&av1.scene);
}

static void test_layers(void)
{
    struct av1 av1;
    struct viewer low = {.frame = -1}, high = {.frame = -1};
    guint asked = 0;
    begin_av1(&av1, &pattern_l2t2, 2);
    prefer(av1.scene.to[0], 0, 0);
    run_av1(&av1, 9, true, (bool[]){true, false});
    view(av1.scene.to[0], &low, SUBSCRIBED_ID);
    view(av1.scene.to[1], &high, SUBSCRIBED_ID);
    g_assert_cmpuint(low.frames[0], ==, 5);
    g_assert_cmpuint(low.frames[1], ==, 0);
    g_assert_cmpuint(low.pictures, ==, 5);
    g_assert_cmpuint(low.active, ==, 1);
    g_assert_cmpuint(high.frames[1], ==, 9);
    g_assert_cmpuint(high.active, ==, 15);
    /* More pictures by themselves, */
    endpoint_take_rtcp(av1.scene.from, PSFB, PLI);
    prefer(av1.scene.to[0], 0, 1);
    run_av1(&av1, 6, false, (bool[]){true, false});
    view(av1.scene.to[0], &low, SUBSCRIBED_ID);
    view(av1.scene.to[1], &high, SUBSCRIBED_ID);
    g_assert_cmpuint(low.frames[0], ==, 5); /* the first one is no switch to them */
    g_assert_cmpuint(low.active, ==, 3);
    g_assert_cmpuint(endpoint_take_rtcp(av1.scene.from, PSFB, PLI), ==, 0);
    /* larger ones with a key frame, which is asked for; */
    prefer(av1.scene.to[0], -1, -1);
    run_av1(&av1, 2, false, (bool[]){true, false});
    WAIT_UNTIL(av1.scene.from, (asked += endpoint_take_rtcp(av1.scene.from, PSFB, PLI)) > 0);
    run_av1(&av1, 3, true, NULL);
    view(av1.scene.to[0], &low, SUBSCRIBED_ID);
    view(av1.scene.to[1], &high, SUBSCRIBED_ID);
    g_assert_cmpuint(low.frames[0], ==, 5);
    g_assert_cmpuint(low.frames[1], ==, 3);
    g_assert_cmpuint(low.pictures, ==, 5);
    g_assert_cmpuint(low.active, ==, 15);
    /* less of both at once. */
    prefer(av1.scene.to[0], 0, 0);
    run_av1(&av1, 2, false, (bool[]){true, false});
    view(av1.scene.to[0], &low, SUBSCRIBED_ID);
    view(av1.scene.to[1], &high, SUBSCRIBED_ID);
    g_assert_cmpuint(low.frames[0], ==, 1);
    g_assert_cmpuint(low.frames[1], ==, 0);
    g_assert_cmpuint(high.frames[1], ==, 2);
    scene_end(&av1.scene);
}

/* The publisher begins anew, with other numbers; no subscriber notices. */
static void test_another_source(void)
{
    struct av1 av1;
    struct viewer viewer = {.frame = -1};
    begin_av1(&av1, &pattern_l1t3, 1);
    run_av1(&av1, 5, true, NULL);
    scene_wait(&av1.scene, NULL, NULL, 150); /* until another SSRC may take over */
    av1.ssrc = PUBLISHED_SSRC + 1;
    av1.number = 12345;
    run_av1(&av1, 5, true, NULL);
    view(av1.scene.to[0], &viewer, SUBSCRIBED_ID);
    g_assert_cmpuint(viewer.frames[0], ==, 10);
    g_assert_cmpint(viewer.frame, ==, 65500 + 9);
    scene_end(&av1.scene);
}

int main(int argc, char **argv)
{
    loop_init(1000);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/relay-extensions/orientation", test_orientation);
    g_test_add_func("/relay-extensions/malformed", test_malformed);
    g_test_add_func("/relay-extensions/descriptor", test_descriptor);
    g_test_add_func("/relay-extensions/layers", test_layers);
    g_test_add_func("/relay-extensions/another-source", test_another_source);
    return g_test_run();
}
