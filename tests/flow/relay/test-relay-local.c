/* SPDX-License-Identifier: Apache-2.0 */
/* A publisher without a network: packets pushed by threads of this process reach real sockets as
 * one unbroken stream; what comes back, what does not fit, and the end. */
#include "base/loop.h"
#include "tests/flow/relay/scene.h"
#include "wmcf/relay/rtp.h"

#include <string.h>

enum { SR = 200, RTPFB = 205, PSFB = 206 };
#define SOURCE_SSRC 0x77777777u

struct local {
    struct relay *relay;
    struct relay_leg *leg;
    struct relay_local *way_in;
    struct endpoint *to;
    _Atomic unsigned key_frames[2]; /* asked for, by medium */
    unsigned first_media, inactivity, released;
    uint16_t sequence;
    uint32_t timestamp;
};

static void on_key_frame(void *user, guint medium)
{
    struct local *local = user;
    local->key_frames[medium]++;
}

static void on_first_media(void *user, const char *mid)
{
    ((struct local *)user)->first_media++;
}

static void on_inactivity(void *user, const char *mid)
{
    ((struct local *)user)->inactivity++;
}

static void on_released(void *user)
{
    ((struct local *)user)->released++;
}

static const struct relay_leg_ops ops = {
    .first_media = on_first_media,
    .media_inactivity = on_inactivity,
    .released = on_released,
};
static const struct relay_local_ops local_ops = {.key_frame = on_key_frame};

static void begin(struct local *local, struct relay_config *config, guint queue)
{
    struct relay_config defaults = {.video_buffer_ms = 2000, .pli_interval_ms = 50};
    *local = (struct local){.sequence = 65530, .timestamp = 0xffff0000};
    local->relay = test_relay_new(config ? config : &defaults);
    const struct relay_local_config with = {&local_ops, local, queue};
    const struct relay_leg_config leg = {
        .group = 1, .name = "local", .ops = &ops, .user = local, .local = &with};
    g_autoptr(GError) error = NULL;
    local->leg = relay_leg_new(local->relay, &leg, &error);
    g_assert_no_error(error);
    local->way_in = relay_leg_local(local->leg);
    struct relay_media medias[] = {scene_audio("a", true, false, 0),
                                   scene_video("p", true, false, 0)};
    medias[1].recv_codecs[0].nack = false;
    relay_leg_set_medias(local->leg, medias, 2);
    local->to = endpoint_new(local->relay, 1);
    endpoint_connect(local->to);
    endpoint_set_keys(local->to);
    struct relay_media sent[] = {scene_audio("0", false, true, 2000),
                                 scene_video("1", false, true, 2001)};
    relay_leg_set_medias(local->to->leg, sent, 2);
    relay_route(local->leg, "a", local->to->leg, "0");
    relay_route(local->leg, "p", local->to->leg, "1");
    endpoint_stats(local->to);
}

static void end(struct local *local)
{
    relay_leg_release(local->leg);
    WAIT_UNTIL(local->to, local->released == 1);
    endpoint_free(local->to);
    relay_free(local->relay);
}

/* n packets of one frame each in one burst; the first is a key frame if `key`. */
static void push(struct local *local, guint medium, guint n, bool key, int64_t at)
{
    struct rtp_extension_block none = {0};
    g_autofree struct relay_local_packet *packets = g_new0(struct relay_local_packet, n);
    g_autofree uint8_t *data = g_malloc(n * 32);
    for (guint i = 0; i < n; i++) {
        uint8_t *packet = data + i * 32;
        const struct rtp_fields fields = {.pt = medium ? VIDEO_PT : AUDIO_PT,
                                          .marker = true,
                                          .sequence = local->sequence++,
                                          .timestamp = local->timestamp += 3600,
                                          .ssrc = SOURCE_SSRC + medium};
        size_t header = rtp_header_write(packet, &fields, &none, -1);
        memcpy(packet + header, key && i == 0 ? key_payload : delta_payload, 8);
        packets[i] = (struct relay_local_packet){packet, header + 8, at};
    }
    relay_local_push(local->way_in, medium, packets, n);
}

static void check_continuous(struct endpoint *endpoint)
{
    for (guint i = 1; i < endpoint->rtp.length; i++) {
        struct packet_in *before = g_queue_peek_nth(&endpoint->rtp, i - 1);
        struct packet_in *packet = g_queue_peek_nth(&endpoint->rtp, i);
        g_assert_cmpuint((uint16_t)(rtp_sequence(packet) - rtp_sequence(before)), ==, 1);
        g_assert_cmpuint(rtp_ssrc(packet), ==, 2001);
    }
}

static void test_stream(void)
{
    struct local local;
    begin(&local, NULL, 512);
    push(&local, 1, 40, true, g_get_monotonic_time());
    WAIT_UNTIL(local.to, local.to->rtp.length == 40);
    check_continuous(local.to);
    WAIT_UNTIL(local.to, local.first_media == 1);
    g_assert_cmpuint(relay_local_dropped(local.way_in), ==, 0);
    g_assert_cmpuint(relay_local_refused(local.way_in), ==, 0);
    struct relay_leg_stats stats = endpoint_stats(local.to);
    g_assert_cmpuint(stats.medias[1].packets_out, ==, 40);
    end(&local);
}

/* Another SSRC is another beginning; the subscriber sees one stream. */
static void test_new_ssrc(void)
{
    struct local local;
    struct rtp_extension_block none = {0};
    begin(&local, NULL, 512);
    push(&local, 1, 3, true, g_get_monotonic_time());
    for (uint16_t i = 0; i < 3; i++) {
        uint8_t packet[32];
        const struct rtp_fields fields = {
            .pt = VIDEO_PT, .sequence = (uint16_t)(9 + i), .timestamp = 5, .ssrc = 42};
        size_t header = rtp_header_write(packet, &fields, &none, -1);
        memcpy(packet + header, i ? delta_payload : key_payload, 8);
        relay_local_push(local.way_in, 1, &(struct relay_local_packet){packet, header + 8, 1}, 1);
    }
    WAIT_UNTIL(local.to, local.to->rtp.length == 6);
    check_continuous(local.to);
    end(&local);
}

static void test_key_frame(void)
{
    struct local local;
    begin(&local, NULL, 512);
    /* The routes have asked; nobody was there to answer. */
    push(&local, 1, 2, false, g_get_monotonic_time());
    WAIT_UNTIL(local.to, local.key_frames[1] >= 1);
    g_assert_cmpuint(local.to->rtp.length, ==, 0);
    push(&local, 1, 2, true, g_get_monotonic_time());
    WAIT_UNTIL(local.to, local.to->rtp.length == 2);
    unsigned asked = local.key_frames[1];
    const uint8_t pli[] = {0x81, PSFB, 0, 2, 0, 0, 0, 1, 0, 0, 2001 >> 8, 2001 & 0xff};
    endpoint_send_rtcp(local.to, pli, sizeof pli);
    WAIT_UNTIL(local.to, local.key_frames[1] > asked);
    g_assert_cmpuint(local.key_frames[0], ==, 0);
    end(&local);
}

static void test_repair(void)
{
    struct local local;
    begin(&local, NULL, 512);
    push(&local, 1, 20, true, g_get_monotonic_time());
    WAIT_UNTIL(local.to, local.to->rtp.length == 20);
    uint16_t sequence = rtp_sequence(g_queue_peek_nth(&local.to->rtp, 7));
    const uint8_t nack[] = {0x81,
                            RTPFB,
                            0,
                            3,
                            0,
                            0,
                            0,
                            1,
                            0,
                            0,
                            2001 >> 8,
                            2001 & 0xff,
                            (uint8_t)(sequence >> 8),
                            (uint8_t)sequence,
                            0,
                            0};
    endpoint_send_rtcp(local.to, nack, sizeof nack);
    /* libsrtp has seen it and takes it for a replay. */
    WAIT_UNTIL(local.to, local.to->undecryptable == 1);
    g_assert_cmpuint(endpoint_stats(local.to).medias[1].retransmitted_out, ==, 1);
    end(&local);
}

/* Sender reports tell when a timestamp is due: sound and picture of one source stay in step though
 * their packets come when they come. */
static void test_reports(void)
{
    struct local local;
    begin(&local, NULL, 512);
    int64_t now = g_get_monotonic_time();
    push(&local, 0, 1, false, now);
    push(&local, 1, 1, true, now - 200000);
    WAIT_UNTIL(local.to, local.to->rtp.length == 2);
    guint32 sent[2] = {0};
    for (guint i = 0; i < 2; i++) {
        struct packet_in *packet = g_queue_peek_nth(&local.to->rtp, i);
        sent[rtp_ssrc(packet) - 2000] = rtp_timestamp(packet);
    }
    guint32 told[2] = {0};
    guint64 ntp[2] = {0};
    for (guint tries = 0; tries < 1000 && !(ntp[0] && ntp[1]); tries++) {
        endpoints_wait((struct endpoint *[]){local.to, NULL}, NULL, NULL, 5);
        struct packet_in *in;
        while ((in = g_queue_pop_head(&local.to->rtcp))) {
            for (gsize at = 0; at + 28 <= in->length;
                 at += 4 * ((gsize)(in->data[at + 2] << 8 | in->data[at + 3]) + 1)) {
                const uint8_t *p = in->data + at;
                if (p[1] != SR || p[7] > (2001 & 0xff))
                    continue;
                guint n = p[7] - (2000 & 0xff);
                memcpy(&ntp[n], p + 8, 8);
                ntp[n] = GUINT64_FROM_BE(ntp[n]);
                memcpy(&told[n], p + 16, 4);
                told[n] = GUINT32_FROM_BE(told[n]);
            }
            g_free(in);
        }
    }
    /* NTP time at which each of the two packets was due, in µs */
    double due[2];
    static const double rate[] = {48000, 90000};
    for (guint n = 0; n < 2; n++) {
        g_assert_cmpuint(ntp[n], !=, 0);
        due[n] = (double)ntp[n] / 4294.967296 - (double)(gint32)(told[n] - sent[n]) / rate[n] * 1e6;
    }
    g_test_message("the picture was due %.3f ms before the sound", (due[0] - due[1]) / 1e3);
    g_assert_cmpfloat(ABS(due[0] - due[1] - 200000), <, 1000);
    end(&local);
}

static void test_overload(void)
{
    struct local local;
    begin(&local, NULL, 100);
    push(&local, 1, 1000, true, g_get_monotonic_time());
    push(&local, 1, 1000, false, g_get_monotonic_time());
    guint64 dropped = relay_local_dropped(local.way_in);
    g_assert_cmpuint(dropped, >, 0);
    WAIT_UNTIL(local.to, local.to->rtp.length == 2000 - dropped);
    /* It has recovered. */
    push(&local, 1, 50, false, g_get_monotonic_time());
    WAIT_UNTIL(local.to, local.to->rtp.length == 2050 - dropped);
    g_assert_cmpuint(relay_local_dropped(local.way_in), ==, dropped);
    end(&local);
}

static void test_refused(void)
{
    struct local local;
    uint8_t garbage[4000] = {0};
    begin(&local, NULL, 100);
    const struct relay_local_packet packets[] = {
        {garbage, 0, 0},
        {garbage, 5, 0},
        {garbage, 100, 0},
        {(const uint8_t *)"\x90", 1, 0},
        {garbage, sizeof garbage, 0},
    };
    for (guint round = 0; round < 100; round++) /* their places come back */
        relay_local_push(local.way_in, 1, packets, G_N_ELEMENTS(packets));
    WAIT_UNTIL(local.to, relay_local_refused(local.way_in) + relay_local_dropped(local.way_in) ==
                             100 * G_N_ELEMENTS(packets));
    relay_local_push(local.way_in, 7, packets, 1); /* no such medium: nobody's */
    push(&local, 1, 5, true, g_get_monotonic_time());
    WAIT_UNTIL(local.to, local.to->rtp.length == 5);
    end(&local);
}

static void test_silence(void)
{
    struct relay_config config = {.inactivity_ms = 100, .pli_interval_ms = 500};
    struct local local;
    begin(&local, &config, 100);
    WAIT_UNTIL(local.to, local.inactivity == 2);
    end(&local);
}

/* --- threads ---------------------------------------------------------------------------------- */

struct pusher {
    struct local local; /* numbering of its own */
    guint medium;
    _Atomic bool stop;
};

static void *push_on(void *data)
{
    struct pusher *pusher = data;
    while (!pusher->stop) {
        push(&pusher->local, pusher->medium, 10, true, g_get_monotonic_time());
        g_usleep(500);
    }
    return NULL;
}

static void test_threads(void)
{
    struct local local;
    begin(&local, NULL, 64);
    struct pusher pushers[2];
    GThread *threads[2];
    for (guint i = 0; i < 2; i++) {
        /* Not a copy of the whole: the worker counts in it already. */
        pushers[i] = (struct pusher){.local = {.way_in = local.way_in,
                                               .sequence = local.sequence,
                                               .timestamp = local.timestamp},
                                     .medium = i};
        threads[i] = g_thread_new("pusher", push_on, &pushers[i]);
    }
    struct relay_media again[] = {scene_audio("a", true, false, 0),
                                  scene_video("p", true, false, 0)};
    for (guint i = 0; i < 20; i++) {
        relay_leg_set_medias(local.leg, again, i % 3);
        relay_route(local.leg, "p", local.to->leg, "1");
        endpoint_stats(local.to);
    }
    relay_leg_set_medias(local.leg, again, 2);
    relay_route(local.leg, "p", local.to->leg, "1");
    guint before = local.to->rtp.length;
    WAIT_UNTIL(local.to, local.to->rtp.length > before + 200);
    for (guint i = 0; i < 2; i++) {
        pushers[i].stop = true;
        g_thread_join(threads[i]);
    }
    end(&local);
}

/* Released with packets on their way. */
static void test_release(void)
{
    for (guint i = 0; i < 20; i++) {
        struct local local;
        begin(&local, NULL, 512);
        push(&local, 1, 500, true, g_get_monotonic_time());
        end(&local);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    loop_init(5000);
    g_test_add_func("/relay-local/stream", test_stream);
    g_test_add_func("/relay-local/new-ssrc", test_new_ssrc);
    g_test_add_func("/relay-local/key-frame", test_key_frame);
    g_test_add_func("/relay-local/repair", test_repair);
    g_test_add_func("/relay-local/reports", test_reports);
    g_test_add_func("/relay-local/overload", test_overload);
    g_test_add_func("/relay-local/refused", test_refused);
    g_test_add_func("/relay-local/silence", test_silence);
    g_test_add_func("/relay-local/threads", test_threads);
    g_test_add_func("/relay-local/release", test_release);
    return g_test_run();
}
