/* SPDX-License-Identifier: Apache-2.0 */
/* A copy of what a leg receives and sends: whole, in order, in the clear; what its reader is too
 * slow for is counted and nobody else's loss; it ends with the leg, and no sooner than it is let
 * go. */
#include "base/loop.h"
#include "tests/flow/relay/scene.h"

#include <string.h>

#define PACKETS 50

/* Reads what is there; checks that media go on without a hole. */
static guint take(struct relay_capture *capture, bool sent, const char *mid, guint16 *sequence)
{
    const struct relay_captured *packet;
    guint n = 0;
    while ((packet = relay_capture_next(capture))) {
        g_assert_cmpint(packet->sent, ==, packet->rtcp ? packet->sent : sent);
        if (packet->rtcp)
            continue;
        guint16 number = (guint16)(packet->data[2] << 8 | packet->data[3]);
        g_assert_cmpstr(packet->mid, ==, mid);
        g_assert_cmpuint(packet->pt, ==, VIDEO_PT);
        g_assert_nonnull(packet->format);
        g_assert_cmpuint(packet->from.ss_family, ==, packet->to.ss_family);
        g_assert_cmpuint(packet->from.ss_family, !=, 0);
        g_assert_cmpuint(packet->kept, ==, packet->length);
        g_assert_cmpmem(packet->data + packet->length - sizeof delta_payload, sizeof delta_payload,
                        delta_payload, sizeof delta_payload);
        if (*sequence)
            g_assert_cmpuint(number, ==, (guint16)(*sequence + 1));
        *sequence = number;
        n++;
    }
    return n;
}

static void test_both_sides(void)
{
    struct relay_config config = {0};
    struct scene scene;
    const struct relay_capture_config all = {.buffer = 1 << 20};
    const struct relay_capture_config other = {.buffer = 1 << 20, .mid = "other"};
    guint16 in = 0, out = 0, none = 0;
    scene_begin(&scene, &config, 2, NULL, NULL);
    scene_publish(&scene, 1, true);
    g_assert_true(scene_wait_rtp(&scene, scene.to[1], 1));
    struct relay_capture *captures[] = {relay_leg_capture(scene.from->leg, &all),
                                        relay_leg_capture(scene.to[0]->leg, &all),
                                        relay_leg_capture(scene.to[1]->leg, &other)};
    g_assert_null(relay_leg_capture(scene.from->leg, &all)); /* one at a time */
    for (guint i = 0; i < 2; i++)
        endpoint_stats(scene.to[i]);
    endpoint_stats(scene.from);
    scene_publish(&scene, PACKETS, false);
    g_assert_true(scene_wait_rtp(&scene, scene.to[0], PACKETS + 1));
    g_assert_true(scene_wait_rtp(&scene, scene.to[1], PACKETS + 1));
    g_assert_cmpuint(take(captures[0], false, "0", &in), ==, PACKETS);
    g_assert_cmpuint(take(captures[1], true, "v", &out), ==, PACKETS);
    g_assert_cmpuint(take(captures[2], true, "v", &none), ==, 0);
    for (guint i = 0; i < G_N_ELEMENTS(captures); i++) {
        g_assert_cmpuint(relay_capture_overrun(captures[i]), ==, 0);
        g_assert_false(relay_capture_ended(captures[i]));
    }
    /* Stopped, and begun anew; the other ones end with their legs. */
    relay_capture_stop(captures[0]);
    endpoint_stats(scene.from);
    g_assert_true(relay_capture_ended(captures[0]));
    scene_publish(&scene, 1, false);
    g_assert_true(scene_wait_rtp(&scene, scene.to[0], PACKETS + 2));
    g_assert_cmpuint(take(captures[0], false, "0", &in), ==, 0);
    relay_capture_free(captures[0]);
    captures[0] = relay_leg_capture(scene.from->leg, &all);
    g_assert_nonnull(captures[0]);
    relay_capture_free(captures[1]); /* while it is under way */
    scene_end(&scene);
    g_assert_true(relay_capture_ended(captures[0]));
    g_assert_true(relay_capture_ended(captures[2]));
    relay_capture_free(captures[0]);
    relay_capture_free(captures[2]);
}

/* Nobody reads: the ring is full, the call goes on. */
static void test_overrun(void)
{
    struct relay_config config = {0};
    struct scene scene;
    const struct relay_capture_config small = {.buffer = 1, .snap = 14};
    scene_begin(&scene, &config, 1, NULL, NULL);
    struct relay_capture *capture = relay_leg_capture(scene.to[0]->leg, &small);
    scene_publish(&scene, 1, true);
    guint published = 1;
    while (relay_capture_overrun(capture) == 0) {
        scene_publish(&scene, PACKETS, false);
        published += PACKETS;
        g_assert_true(scene_wait_rtp(&scene, scene.to[0], published));
    }
    guint n = 0;
    const struct relay_captured *packet;
    while ((packet = relay_capture_next(capture))) {
        if (packet->rtcp)
            continue;
        g_assert_cmpuint(packet->kept, ==, 14);
        g_assert_cmpuint(packet->length, >, 14);
        n++;
    }
    g_assert_cmpuint(n, >, 0);
    g_assert_cmpuint(n + relay_capture_overrun(capture), >=, published);
    /* There is room again. */
    scene_publish(&scene, 1, false);
    g_assert_true(scene_wait_rtp(&scene, scene.to[0], published + 1));
    g_assert_nonnull(relay_capture_next(capture));
    scene_end(&scene);
    relay_capture_free(capture);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    loop_init(1000);
    g_test_add_func("/relay/capture/both-sides", test_both_sides);
    g_test_add_func("/relay/capture/overrun", test_overrun);
    return g_test_run();
}
