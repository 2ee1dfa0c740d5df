/* SPDX-License-Identifier: Apache-2.0 */
/* Encodings of one video: which one a subscriber gets, and that it sees one unbroken stream through
 * every change. Run once more with the subscribers in another worker, where the encodings cross
 * only while somebody needs them. */
#include "base/loop.h"
#include "tests/flow/relay/scene.h"

#include <string.h>

enum { PSFB = 206, PLI = 1 };
#define ENCODINGS 3
#define RID_ID 7
#define ALLOCATION_ID 9
#define ENCODING_SSRC(i) (0x1000u + (i))
#define PAYLOAD_AT 20 /* behind header and the subscriber's MID */
#define FRAME_TICKS 3000

static const char *const rids[ENCODINGS] = {"l", "m", "h"};

struct show {
    struct scene scene;
    uint16_t sequence[ENCODINGS];
    uint32_t offset[ENCODINGS]; /* of their RTP clocks */
    unsigned frame;
    bool named[ENCODINGS]; /* its rid has been sent */
    uint8_t told;          /* with every packet: which encodings are sent; 0 = nothing */
};

static struct relay_media publisher(void)
{
    struct relay_media media = scene_video("0", true, false, 1000);
    media.rid_extmap = RID_ID;
    media.allocation_extmap = ALLOCATION_ID;
    media.n_rids = ENCODINGS;
    for (unsigned i = 0; i < ENCODINGS; i++)
        g_strlcpy(media.rids[i], rids[i], sizeof media.rids[i]);
    return media;
}

static void begin(struct show *show, guint n)
{
    struct relay_media media = publisher();
    *show = (struct show){.frame = 1};
    scene_begin(&show->scene, NULL, n, NULL, NULL);
    for (unsigned i = 0; i < ENCODINGS; i++) {
        show->sequence[i] = (uint16_t)(100 + 20000 * i);
        show->offset[i] = 1000000u * i;
    }
    relay_leg_set_medias(show->scene.from->leg, &media, 1);
    endpoint_stats(show->scene.from);
    endpoint_stats(show->scene.to[0]);
}

static void send_packet(struct show *show, unsigned encoding, bool key)
{
    uint8_t payload[8], elements[4] = {RID_ID << 4, (uint8_t)rids[encoding][0]};
    memcpy(payload, key ? key_payload : delta_payload, sizeof payload);
    payload[6] = (uint8_t)encoding;
    payload[7] = (uint8_t)show->frame;
    struct rtp_out rtp = scene_rtp(show->sequence[encoding]++,
                                   show->frame * FRAME_TICKS + show->offset[encoding], payload);
    rtp.ssrc = ENCODING_SSRC(encoding);
    rtp.marker = true;
    if (!show->named[encoding]) {
        rtp.elements = elements;
        rtp.elements_length = 2;
    }
    if (show->told) {
        elements[rtp.elements_length] = ALLOCATION_ID << 4;
        elements[rtp.elements_length + 1] = show->told;
        rtp.elements = elements;
        rtp.elements_length += 2;
    }
    show->named[encoding] = true;
    endpoint_send_rtp(show->scene.from, &rtp);
}

/* One frame of the encodings in `sent`; those in `keys` as key frames. */
static void publish(struct show *show, unsigned sent, unsigned keys)
{
    for (unsigned i = 0; i < ENCODINGS; i++) {
        if (sent & 1u << i)
            send_packet(show, i, keys & 1u << i);
    }
    show->frame++;
}

static unsigned encoding_of(const struct packet_in *packet)
{
    return packet->data[PAYLOAD_AT + 6];
}

/* What it has received is one stream. */
static void check_unbroken(struct endpoint *endpoint)
{
    const struct packet_in *before = NULL;
    for (GList *i = endpoint->rtp.head; i; i = i->next) {
        const struct packet_in *packet = i->data;
        if (before) {
            g_assert_cmpuint((uint16_t)(rtp_sequence(packet) - rtp_sequence(before)), ==, 1);
            g_assert_cmpint((int32_t)(rtp_timestamp(packet) - rtp_timestamp(before)), >, 0);
            g_assert_cmpuint(rtp_ssrc(packet), ==, rtp_ssrc(before));
            if (encoding_of(packet) != encoding_of(before))
                g_assert_cmpuint(packet->data[PAYLOAD_AT + 1] & 1, ==, 0); /* a key frame */
        }
        before = packet;
    }
    g_assert_cmpuint(endpoint->undecryptable, ==, 0);
}

static int last_encoding(struct endpoint *endpoint)
{
    const struct packet_in *last = g_queue_peek_tail(&endpoint->rtp);
    return last ? (int)encoding_of(last) : -1;
}

/* Encodings that the publisher has been asked for key frames of, by bit; takes the requests away.
 */
static unsigned asked(struct show *show)
{
    unsigned ret = 0;
    struct packet_in *packet;
    while ((packet = g_queue_pop_head(&show->scene.from->rtcp))) {
        for (size_t at = 0; at + 12 <= packet->length;) {
            const uint8_t *p = packet->data + at;
            if (p[1] == PSFB && (p[0] & 0x1f) == PLI) {
                unsigned n = p[11];
                g_assert_cmpuint(n, <, ENCODINGS);
                ret |= 1u << n;
            }
            at += 4u * ((size_t)(p[2] << 8 | p[3]) + 1);
        }
        g_free(packet);
    }
    return ret;
}

/* A publisher as it is: a frame every 10 ms of the encodings in `sent`, key frames where they are
 * asked for; until the subscriber has `want` of them last. */
static void run_until(struct show *show, unsigned sent, struct endpoint *to, int want)
{
    for (guint i = 0; i < 1000; i++) {
        publish(show, sent, asked(show) & sent);
        scene_wait(&show->scene, NULL, NULL, 10);
        if (last_encoding(to) == want)
            break;
    }
    g_assert_cmpint(last_encoding(to), ==, want);
    check_unbroken(to);
}

static void run_for(struct show *show, unsigned sent, guint frames)
{
    for (guint i = 0; i < frames; i++) {
        publish(show, sent, asked(show) & sent);
        scene_wait(&show->scene, NULL, NULL, 10);
    }
}

static void prefer(struct endpoint *to, const char *rid)
{
    struct relay_layer_preference preference = {.spatial = -1, .temporal = -1};
    g_strlcpy(preference.rid, rid, sizeof preference.rid);
    relay_leg_prefer_layer(to->leg, "v", &preference);
}

/* What the operator sees of it. */
static void check_statistics(struct show *show, struct endpoint *to, const char *rid,
                             enum relay_limitation limitation)
{
    struct relay_leg_stats from = endpoint_stats(show->scene.from), stats = endpoint_stats(to);
    uint64_t packets = 0;
    g_assert_cmpuint(from.medias[0].n_encodings, ==, ENCODINGS);
    for (unsigned i = 0; i < ENCODINGS; i++) {
        g_assert_cmpstr(from.medias[0].encodings[i].rid, ==, rids[i]);
        g_assert_cmpuint(from.medias[0].encodings[i].packets_in, >, 0);
        packets += from.medias[0].encodings[i].packets_in;
    }
    g_assert_cmpuint(from.medias[0].packets_in, ==, packets);
    g_assert_true(stats.medias[0].layered);
    g_assert_cmpstr(stats.medias[0].layer.rid, ==, rid);
    g_assert_cmpint(stats.medias[0].limitation, ==, limitation);
}

/* --- which one -------------------------------------------------------------------------------- */

static void test_best(void)
{
    struct show show;
    begin(&show, 2);
    publish(&show, 7, 7);
    run_until(&show, 7, show.scene.to[0], 2);
    run_until(&show, 7, show.scene.to[1], 2);
    prefer(show.scene.to[0], "l");
    run_until(&show, 7, show.scene.to[0], 0);
    prefer(show.scene.to[0], "m");
    run_until(&show, 7, show.scene.to[0], 1);
    check_statistics(&show, show.scene.to[0], "m", RELAY_LIMITED_OTHER);
    check_statistics(&show, show.scene.to[1], "h", RELAY_LIMITED_NOT);
    g_assert_cmpint(last_encoding(show.scene.to[1]), ==, 2); /* the other has the top throughout */
    relay_leg_prefer_layer(show.scene.to[0]->leg, "v", NULL);
    run_until(&show, 7, show.scene.to[0], 2);
    check_unbroken(show.scene.to[1]);
    scene_end(&show.scene);
}

/* The publisher stops encodings and starts them again, without a word. */
static void test_silence(void)
{
    struct show show;
    begin(&show, 1);
    publish(&show, 7, 7);
    run_until(&show, 7, show.scene.to[0], 2);
    run_until(&show, 3, show.scene.to[0], 1);
    run_until(&show, 1, show.scene.to[0], 0);
    run_until(&show, 7, show.scene.to[0], 2);
    /* When nothing at all is sent, nothing is concluded. */
    scene_wait(&show.scene, NULL, NULL, 500);
    g_assert_cmpuint(asked(&show), ==, 0);
    run_for(&show, 7, 5);
    g_assert_cmpint(last_encoding(show.scene.to[0]), ==, 2);
    check_unbroken(show.scene.to[0]);
    scene_end(&show.scene);
}

/* An encoding that sends no key frame is not waited for in vain: what there is goes on. */
/* A publisher that says what it sends need not be waited for: the next picture is enough. */
static void test_told(void)
{
    struct show show;
    begin(&show, 1);
    show.told = 0x21; /* three, of one spatial layer each */
    run_until(&show, 7, show.scene.to[0], 2);
    asked(&show);
    show.told = 0x11; /* the first two */
    publish(&show, 3, 0);
    unsigned wanted = 0;
    for (guint i = 0; i < 1000 && !wanted; i++) {
        scene_wait(&show.scene, NULL, NULL, 5);
        wanted = asked(&show);
    }
    g_assert_cmpuint(wanted, ==, 2);
    run_until(&show, 3, show.scene.to[0], 1);
    show.told = 0x21;
    run_until(&show, 7, show.scene.to[0], 2);
    scene_end(&show.scene);
}

static void test_no_key_frame(void)
{
    struct show show;
    begin(&show, 1);
    publish(&show, 7, 7);
    run_until(&show, 7, show.scene.to[0], 2);
    g_queue_clear_full(&show.scene.to[0]->rtp, g_free);
    asked(&show);
    prefer(show.scene.to[0], "l");
    unsigned wanted = 0;
    for (guint i = 0; i < 100; i++) {
        publish(&show, 7, 0);
        scene_wait(&show.scene, NULL, NULL, 10);
        wanted |= asked(&show);
    }
    g_assert_cmpuint(wanted, ==, 1);
    g_assert_cmpint(last_encoding(show.scene.to[0]), ==, 2);
    g_assert_cmpuint(show.scene.to[0]->rtp.length, >=, 90);
    check_unbroken(show.scene.to[0]);
    run_until(&show, 7, show.scene.to[0], 0);
    scene_end(&show.scene);
}

/* --- renegotiation ---------------------------------------------------------------------------- */

/* Simulcast comes, changes and goes while there are routes. */
static void test_renegotiation(void)
{
    struct show show;
    begin(&show, 2);
    publish(&show, 7, 7);
    run_until(&show, 7, show.scene.to[0], 2);
    struct relay_media media = publisher();
    media.n_rids = 2;
    relay_leg_set_medias(show.scene.from->leg, &media, 1);
    endpoint_stats(show.scene.from);
    run_until(&show, 3, show.scene.to[0], 1);
    run_until(&show, 3, show.scene.to[1], 1);
    media.n_rids = 0;
    relay_leg_set_medias(show.scene.from->leg, &media, 1);
    endpoint_stats(show.scene.from);
    run_until(&show, 4, show.scene.to[0], 2);
    media = publisher();
    relay_leg_set_medias(show.scene.from->leg, &media, 1);
    endpoint_stats(show.scene.from);
    memset(show.named, 0, sizeof show.named);
    run_until(&show, 3, show.scene.to[0], 1);
    run_until(&show, 7, show.scene.to[1], 2);
    /* The same again changes nothing. */
    relay_leg_set_medias(show.scene.from->leg, &media, 1);
    run_for(&show, 7, 5);
    g_assert_cmpint(last_encoding(show.scene.to[1]), ==, 2);
    check_unbroken(show.scene.to[0]);
    check_unbroken(show.scene.to[1]);
    scene_end(&show.scene);
}

/* Subscribers go while they wait for an encoding, the publisher while others do. */
static void test_releases(void)
{
    struct show show;
    begin(&show, 3);
    publish(&show, 7, 7);
    for (guint i = 0; i < 3; i++)
        run_until(&show, 7, show.scene.to[i], 2);
    prefer(show.scene.to[0], "l");
    prefer(show.scene.to[1], "m");
    for (guint i = 0; i < 5; i++)
        publish(&show, 7, 0);
    endpoint_stats(show.scene.to[0]);
    endpoint_release(show.scene.to[0]);
    relay_route(NULL, NULL, show.scene.to[1]->leg, "v");
    publish(&show, 7, 0);
    relay_route(show.scene.from->leg, "0", show.scene.to[1]->leg, "v");
    run_until(&show, 7, show.scene.to[1], 1); /* what was preferred stays so */
    prefer(show.scene.to[2], "l");
    publish(&show, 7, 0);
    endpoint_stats(show.scene.to[2]);
    endpoint_release(show.scene.from);
    scene_wait(&show.scene, NULL, NULL, 50);
    scene_end(&show.scene);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    loop_init(1000);
    g_test_add_func("/relay-simulcast/best", test_best);
    g_test_add_func("/relay-simulcast/silence", test_silence);
    g_test_add_func("/relay-simulcast/told", test_told);
    g_test_add_func("/relay-simulcast/no-key-frame", test_no_key_frame);
    g_test_add_func("/relay-simulcast/renegotiation", test_renegotiation);
    g_test_add_func("/relay-simulcast/releases", test_releases);
    return g_test_run();
}
