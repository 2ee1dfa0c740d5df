/* SPDX-License-Identifier: Apache-2.0 */
/* A subscriber without a network: what a leg publishes is read in this process as one unbroken
 * stream in clear; the wish for a key frame, the clock, a reader that is behind, and the end. */
#include "base/loop.h"
#include "tests/flow/relay/scene.h"
#include "wmcf/relay/rtp.h"

#include <poll.h>
#include <string.h>

enum { SR = 200, PSFB = 206 };
#define PACKETS_MAX 4096

struct outlet {
    struct scene scene;
    struct relay_leg *leg;
    struct relay_local *local;
    unsigned released;
    /* The reader's: */
    guint n, clocks;
    struct {
        uint16_t sequence;
        uint32_t timestamp, ssrc;
        uint8_t payload[8];
        size_t length;
    } packets[PACKETS_MAX];
    uint32_t clock_timestamp;
    int64_t clock_at;
};

static void on_released(void *user)
{
    ((struct outlet *)user)->released++;
}

static void on_key_frame(void *user, guint medium)
{
}

static const struct relay_leg_ops ops = {.released = on_released};
static const struct relay_local_ops local_ops = {.key_frame = on_key_frame};

static void on_packet(void *to, const uint8_t *rtp, size_t length, int64_t arrival)
{
    struct outlet *outlet = to;
    struct rtp_header header;
    g_assert_true(rtp_header_parse(rtp, length, &header));
    g_assert_cmpuint(outlet->n, <, PACKETS_MAX);
    g_assert_cmpuint(length - header.length, >=, 8);
    outlet->packets[outlet->n].sequence = header.sequence;
    outlet->packets[outlet->n].timestamp = header.timestamp;
    outlet->packets[outlet->n].ssrc = header.ssrc;
    outlet->packets[outlet->n].length = length - header.length;
    memcpy(outlet->packets[outlet->n++].payload, rtp + header.length, 8);
    gint64 since = g_get_monotonic_time() - arrival;
    g_assert_cmpint(ABS(since), <, 60 * G_USEC_PER_SEC);
}

static void on_clock(void *to, uint32_t timestamp, int64_t at)
{
    struct outlet *outlet = to;
    outlet->clocks++;
    outlet->clock_timestamp = timestamp;
    outlet->clock_at = at;
}

static const struct relay_local_reader reader = {.packet = on_packet, .clock = on_clock};

/* Until there are n packets, sleeping in between as a pipeline does. */
static void read_packets(struct outlet *outlet, guint n)
{
    struct pollfd fd = {.fd = relay_local_descriptor(outlet->local, 0), .events = POLLIN};
    while (outlet->n < n) {
        if (relay_local_read(outlet->local, 0, &reader, outlet) == 0)
            g_assert_cmpint(poll(&fd, 1, 20000), ==, 1);
    }
}

static void begin(struct outlet *outlet, guint buffer)
{
    struct relay_config config = {.video_buffer_ms = 2000, .pli_interval_ms = 50};
    memset(outlet, 0, sizeof *outlet);
    scene_begin(&outlet->scene, &config, 1, NULL, NULL);
    const struct relay_local_config with = {.ops = &local_ops,
                                            .user = outlet,
                                            .queue_packets = 16,
                                            .outlets = 1,
                                            .outlet_buffer = buffer};
    const struct relay_leg_config leg = {
        .group = 1, .name = "recorder", .ops = &ops, .user = outlet, .local = &with};
    g_autoptr(GError) error = NULL;
    outlet->leg = relay_leg_new(outlet->scene.relay, &leg, &error);
    g_assert_no_error(error);
    outlet->local = relay_leg_local(outlet->leg);
    struct relay_media media = scene_video("in", false, true, 4000);
    relay_leg_set_medias(outlet->leg, &media, 1);
    relay_route(outlet->scene.from->leg, "0", outlet->leg, "in");
    endpoint_stats(outlet->scene.from);
}

static void end(struct outlet *outlet)
{
    relay_leg_release(outlet->leg);
    WAIT_UNTIL(outlet->scene.from, outlet->released == 1);
    scene_end(&outlet->scene);
}

static void check_continuous(const struct outlet *outlet, guint from)
{
    for (guint i = from + 1; i < outlet->n; i++) {
        g_assert_cmpuint((uint16_t)(outlet->packets[i].sequence - outlet->packets[i - 1].sequence),
                         ==, 1);
        g_assert_cmpuint(outlet->packets[i].ssrc, ==, 4000);
        g_assert_cmpuint(outlet->packets[i].length, ==, 8);
    }
}

static void test_stream(void)
{
    struct outlet outlet;
    begin(&outlet, 0);
    scene_publish(&outlet.scene, 60, true);
    scene_wait_rtp(&outlet.scene, outlet.scene.to[0],
                   60); /* a subscriber beside it gets the same */
    read_packets(&outlet, 60);
    check_continuous(&outlet, 0);
    g_assert_cmpmem(outlet.packets[0].payload, 8, key_payload, 8);
    g_assert_cmpmem(outlet.packets[59].payload, 8, delta_payload, 8);
    g_assert_cmpuint(relay_local_overrun(outlet.local, 0), ==, 0);
    end(&outlet);
}

static gpointer read_many(gpointer data)
{
    read_packets(data, 2000);
    return NULL;
}

/* Reader and worker at work at the same time. */
static void test_reader_of_its_own(void)
{
    struct outlet outlet;
    begin(&outlet, 1024 * 1024);
    GThread *thread = g_thread_new("reader", read_many, &outlet);
    for (guint i = 0; i < 100; i++) {
        scene_publish(&outlet.scene, 20, i == 0);
        g_assert_true(scene_wait_rtp(&outlet.scene, outlet.scene.to[0], (i + 1) * 20));
    }
    g_thread_join(thread);
    check_continuous(&outlet, 0);
    end(&outlet);
}

static bool asked(void *user)
{
    struct outlet *outlet = user;
    return endpoint_take_rtcp(outlet->scene.from, PSFB, 1) > 0;
}

static void test_key_frame(void)
{
    struct outlet outlet;
    begin(&outlet, 0);
    scene_publish(&outlet.scene, 5, true);
    read_packets(&outlet, 5);
    scene_publish(&outlet.scene, 1, false);
    endpoint_take_rtcp(outlet.scene.from, PSFB, 1);
    relay_local_want_key_frame(outlet.local, 0);
    relay_local_want_key_frame(outlet.local, 7); /* there is none */
    g_assert_true(scene_wait(&outlet.scene, asked, &outlet, 5000));
    end(&outlet);
}

/* What does not fit is lost, and after it nothing but a key frame. */
static void test_reader_behind(void)
{
    struct outlet outlet;
    begin(&outlet, 8192);
    scene_publish(&outlet.scene, 400, true);
    g_assert_true(scene_wait_rtp(&outlet.scene, outlet.scene.to[0], 400));
    guint64 lost = relay_local_overrun(outlet.local, 0);
    g_assert_cmpuint(lost, >, 0);
    while (relay_local_read(outlet.local, 0, &reader, &outlet))
        ;
    guint kept = outlet.n;
    g_assert_cmpuint(kept, >, 50);
    scene_publish(&outlet.scene, 20, false);
    g_assert_true(scene_wait_rtp(&outlet.scene, outlet.scene.to[0], 420));
    g_assert_cmpuint(relay_local_read(outlet.local, 0, &reader, &outlet), ==, 0);
    scene_publish(&outlet.scene, 20, true);
    read_packets(&outlet, kept + 20);
    g_assert_cmpmem(outlet.packets[kept].payload, 8, key_payload, 8);
    check_continuous(&outlet, kept);
    /* Before it a hole, for a depayloader to see. */
    g_assert_cmpuint((uint16_t)(outlet.packets[kept].sequence - outlet.packets[kept - 1].sequence),
                     ==, 2);
    end(&outlet);
}

static void send_report(struct outlet *outlet, uint32_t timestamp)
{
    uint8_t report[28] = {0x80, SR, 0, 6};
    const uint64_t ntp = UINT64_C(0x0123456700000000); /* the publisher's own clock: any */
    for (guint i = 0; i < 4; i++) {
        report[4 + i] = (uint8_t)(PUBLISHED_SSRC >> (24 - 8 * i));
        report[8 + i] = (uint8_t)(ntp >> (56 - 8 * i));
        report[16 + i] = (uint8_t)(timestamp >> (24 - 8 * i));
    }
    endpoint_send_rtcp(outlet->scene.from, report, sizeof report);
    endpoint_stats(outlet->scene.from);
}

/* What the publisher reports becomes an instant of our own clock. */
static void test_clock(void)
{
    struct outlet outlet;
    begin(&outlet, 0);
    uint32_t first = outlet.scene.timestamp;
    scene_publish(&outlet.scene, 5, true);
    read_packets(&outlet, 5);
    g_assert_cmpuint(outlet.clocks, ==, 0);
    int64_t before = g_get_monotonic_time();
    send_report(&outlet, first + 900000); /* it is 10 s after the first packet, it says */
    int64_t after = g_get_monotonic_time();
    scene_publish(&outlet.scene, 1, false);
    while (outlet.clocks == 0)
        read_packets(&outlet, outlet.n + (outlet.n < 6));
    uint32_t since = outlet.clock_timestamp - outlet.packets[0].timestamp - 900000;
    int64_t reported = outlet.clock_at - (int64_t)(int32_t)since * 100 / 9;
    g_assert_cmpint(reported, >=, before - 1000);
    g_assert_cmpint(reported, <=, after + 1000);
    end(&outlet);
}

/* A thread of the pipeline reads until it is stopped; then the leg goes, with packets on their way.
 */
static void test_release(void)
{
    for (guint i = 0; i < 20; i++) {
        struct outlet outlet;
        begin(&outlet, 0);
        scene_publish(&outlet.scene, 50, true);
        relay_local_want_key_frame(outlet.local, 0);
        end(&outlet);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    loop_init(5000);
    g_test_add_func("/relay-outlet/stream", test_stream);
    g_test_add_func("/relay-outlet/reader-of-its-own", test_reader_of_its_own);
    g_test_add_func("/relay-outlet/key-frame", test_key_frame);
    g_test_add_func("/relay-outlet/reader-behind", test_reader_behind);
    g_test_add_func("/relay-outlet/clock", test_clock);
    g_test_add_func("/relay-outlet/release", test_release);
    return g_test_run();
}
