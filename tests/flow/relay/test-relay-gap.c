/* SPDX-License-Identifier: Apache-2.0 */
/* Packets that the relay never sees, because the kernel drops them at a gate or in excess: here
 * they are protected by the sender and not sent, and counted in the slot as the kernel would. */
#include "base/loop.h"
#include "tests/flow/relay/scene.h"

#include <string.h>

enum { RR = 201, RTPFB = 205, PSFB = 206 };
#define SILENCE_MS 1100 /* after which a roll-over may have been missed */

static void withhold(struct scene *scene, uint64_t *counter, guint n)
{
    uint8_t protected[ENDPOINT_MAX];
    for (guint i = 0; i < n; i++) {
        struct rtp_out rtp = scene_rtp(scene->sequence++, scene->timestamp, delta_payload);
        scene->timestamp += 3000;
        endpoint_protect_rtp(scene->from, &rtp, protected);
    }
    if (counter)
        __atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

static void check_continuous(struct endpoint *endpoint)
{
    for (guint i = 1; i < endpoint->rtp.length; i++) {
        struct packet_in *before = g_queue_peek_nth(&endpoint->rtp, i - 1);
        struct packet_in *packet = g_queue_peek_nth(&endpoint->rtp, i);
        g_assert_cmpuint((uint16_t)(rtp_sequence(packet) - rtp_sequence(before)), ==, 1);
        g_assert_cmpint((int32_t)(rtp_timestamp(packet) - rtp_timestamp(before)), >, 0);
    }
}

/* The next receiver report that the publisher gets: nothing lost. */
static void expect_no_loss(struct scene *scene)
{
    for (guint tries = 0; tries < 1000; tries++) {
        for (struct packet_in *packet; (packet = g_queue_pop_head(&scene->from->rtcp));) {
            bool report = packet->data[1] == RR && (packet->data[0] & 0x1f) == 1;
            if (report) /* fraction and cumulative number (RFC 3550 6.4.1) */
                g_assert_cmpmem(packet->data + 12, 4, "\0\0\0\0", 4);
            g_free(packet);
            if (report)
                return;
        }
        scene_wait(scene, NULL, NULL, 5);
    }
    g_assert_not_reached();
}

static void open_gate(struct scene *scene, struct qos_slot *slot, bool told)
{
    if (told)
        relay_leg_gate_opened(scene->from->leg, "0");
    __atomic_store_n(&slot->open, 1, __ATOMIC_RELAXED);
}

/* `n` packets withheld at the gate, of which the slot tells, or the control thread, or both. */
static void check_reopened(guint n, bool counted, bool told)
{
    struct scene scene;
    struct qos_slot slot = {.open = 1};
    scene_begin(&scene, NULL, 1, &slot, NULL);
    scene_publish(&scene, 5, true);
    g_assert_true(scene_wait_rtp(&scene, scene.to[0], 5));
    __atomic_store_n(&slot.open, 0, __ATOMIC_RELAXED);
    withhold(&scene, counted ? &slot.gate_discarded : NULL, n);
    if (n > 0x7fff)
        scene_wait(&scene, NULL, NULL, SILENCE_MS);
    open_gate(&scene, &slot, told);
    endpoint_take_rtcp(scene.from, RR, -1);
    scene_publish(&scene, 5, false); /* no subscriber can begin with them */
    scene_publish(&scene, 5, true);
    g_assert_true(scene_wait_rtp(&scene, scene.to[0], 10));
    g_assert_cmpuint(scene.to[0]->rtp.length, ==, 10);
    check_continuous(scene.to[0]);
    expect_no_loss(&scene);
    struct relay_leg_stats stats = endpoint_stats(scene.from);
    g_assert_cmpuint(stats.medias[0].lost_in, ==, 0);
    g_assert_cmpuint(stats.medias[0].nack_sent, ==, 0);
    g_assert_cmpuint(stats.srtp_failed + stats.replayed, ==, 0);
    if (n > 0x7fff) /* else the one at the beginning may be too recent */
        g_assert_cmpuint(stats.medias[0].pli_sent, >=, 1);
    /* a loss afterwards is one, and is asked for */
    withhold(&scene, NULL, 1);
    scene_publish(&scene, 1, false);
    for (guint i = 0; i < 1000 && endpoint_stats(scene.from).medias[0].nack_sent == 0; i++)
        scene_wait(&scene, NULL, NULL, 5);
    g_assert_cmpuint(endpoint_stats(scene.from).medias[0].lost_in, ==, 1);
    scene_end(&scene);
}

static void test_reopened(void)
{
    check_reopened(100, true, false);
    check_reopened(100, false, true);
    check_reopened(1000, true, true);
}

/* So many that the roll-over counter cannot be guessed: the sequence number has gone on by more
 * than half its range, wrapped once, twice. */
static void test_roll_over(void)
{
    check_reopened(40000, true, true);
    check_reopened(70000, true, true);
    check_reopened(65536 * 2 + 40000, true, true);
}

/* The gate was closed from the beginning, and what was sent meanwhile has wrapped. */
static void test_first_packets(void)
{
    struct scene scene;
    struct qos_slot slot = {0};
    scene_begin(&scene, NULL, 1, &slot, NULL);
    withhold(&scene, &slot.gate_discarded, 65536 + 50000);
    scene_wait(&scene, NULL, NULL, SILENCE_MS);
    open_gate(&scene, &slot, true);
    scene_publish(&scene, 5, true);
    g_assert_true(scene_wait_rtp(&scene, scene.to[0], 5));
    g_assert_cmpuint(endpoint_stats(scene.from).medias[0].lost_in, ==, 0);
    scene_end(&scene);
}

/* Forged packets use the tries up, but only for a while. */
static void test_search_has_a_budget(void)
{
    struct scene scene;
    uint8_t forged[ENDPOINT_MAX];
    scene_begin(&scene, NULL, 1, NULL, NULL);
    scene_publish(&scene, 5, true);
    g_assert_true(scene_wait_rtp(&scene, scene.to[0], 5));
    withhold(&scene, NULL, 70000);
    struct rtp_out rtp = scene_rtp(scene.sequence, scene.timestamp, delta_payload);
    size_t length = endpoint_protect_rtp(scene.from, &rtp, forged);
    forged[length - 1] ^= 1;
    scene_wait(&scene, NULL, NULL, SILENCE_MS);
    for (guint i = 0; i < 5000; i++) {
        endpoint_send_raw(scene.from, forged, length);
        if (i % 50 == 0)
            scene_wait(&scene, NULL, NULL, 1);
    }
    for (guint i = 0; i < 100 && scene.to[0]->rtp.length < 6; i++) {
        scene_publish(&scene, 1, true);
        scene_wait(&scene, NULL, NULL, 50);
    }
    g_assert_cmpuint(scene.to[0]->rtp.length, >=, 6);
    struct relay_leg_stats stats = endpoint_stats(scene.from);
    g_assert_cmpuint(stats.srtp_failed + stats.replayed, >=, 4000);
    scene_end(&scene);
}

/* --- policing --------------------------------------------------------------------------------- */

static uint64_t policed(struct qos_slot *slot)
{
    return __atomic_load_n(&slot->policing_discarded, __ATOMIC_RELAXED);
}

/* What is in excess is lost, for the sender too, but not asked for; told at once, then at most
 * every so often. */
static void test_excess(void)
{
    struct relay_config config = {.discard_report_ms = 60000};
    struct scene scene;
    struct qos_slot slot = {.open = 1, .sustained = UINT64_C(1) << 32 | 58 * 3};
    scene_begin(&scene, &config, 1, &slot, NULL);
    scene_publish(&scene, 20, true); /* three fit, and then one a minute */
    WAIT_UNTIL(scene.from, policed(&slot) == 17);
    g_assert_true(scene_wait_rtp(&scene, scene.to[0], 3));
    WAIT_UNTIL(scene.from, scene.from->discard_events == 1);
    g_assert_cmpuint(scene.from->discards[QOS_UPLINK], ==, 17);
    g_assert_cmpstr(scene.from->last_mid, ==, "0");
    __atomic_store_n(&slot.sustained, 0, __ATOMIC_RELAXED);
    scene_publish(&scene, 5, false);
    g_assert_true(scene_wait_rtp(&scene, scene.to[0], 8));
    scene_wait(&scene, NULL, NULL, 100);
    struct relay_leg_stats stats = endpoint_stats(scene.from);
    g_assert_cmpuint(stats.medias[0].nack_sent, ==, 0);
    g_assert_cmpuint(stats.medias[0].lost_in, ==, 17);
    /* the kernel drops: told after the interval, which is not over */
    withhold(&scene, &slot.policing_discarded, 10);
    scene_publish(&scene, 5, false);
    g_assert_true(scene_wait_rtp(&scene, scene.to[0], 13));
    scene_wait(&scene, NULL, NULL, 1500);
    g_assert_cmpuint(scene.from->discard_events, ==, 1);
    g_assert_cmpuint(endpoint_stats(scene.from).medias[0].nack_sent, ==, 0);
    g_assert_cmpuint(scene.from->gated[QOS_UPLINK], ==, 0);
    scene_end(&scene);
}

/* Every event tells what has come since the last one; a gate where the kernel drops is told too. */
static void test_events(void)
{
    struct relay_config config = {.discard_report_ms = 1};
    struct scene scene;
    struct qos_slot slot = {.open = 1};
    scene_begin(&scene, &config, 1, &slot, NULL);
    for (guint i = 1; i <= 2; i++) {
        __atomic_fetch_add(&slot.policing_discarded, i * 100, __ATOMIC_RELAXED);
        WAIT_UNTIL(scene.from, scene.from->discards[QOS_UPLINK] == policed(&slot));
        g_assert_cmpuint(scene.from->discard_events, ==, i);
    }
    __atomic_store_n(&slot.gated, QOS_GATED_NEW, __ATOMIC_RELAXED);
    WAIT_UNTIL(scene.from, scene.from->gated[QOS_UPLINK] == 1);
    g_assert_cmpint(__atomic_load_n(&slot.gated, __ATOMIC_RELAXED), ==, QOS_GATED_TOLD);
    scene_end(&scene);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    loop_init(1000);
    g_test_add_func("/relay-gap/reopened", test_reopened);
    g_test_add_func("/relay-gap/roll-over", test_roll_over);
    g_test_add_func("/relay-gap/first-packets", test_first_packets);
    g_test_add_func("/relay-gap/search-has-a-budget", test_search_has_a_budget);
    g_test_add_func("/relay-gap/excess", test_excess);
    g_test_add_func("/relay-gap/events", test_events);
    return g_test_run();
}
