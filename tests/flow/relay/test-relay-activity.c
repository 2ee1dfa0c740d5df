/* SPDX-License-Identifier: Apache-2.0 */
/* Speech on its way from a packet's level to the control thread: whoever asked hears of it, and of
 * what passed the gate alone. What counts as speech is in the unit test. */
#include "base/loop.h"
#include "tests/flow/relay/scene.h"

#define QUIET 90
#define SPEECH 20
#define PACKET_MS 10

struct talk {
    struct scene scene;
    struct endpoint *from;
    struct relay_media media;
    struct qos_slot slot;
};

static void begin(struct talk *talk)
{
    struct relay_config config = {0};
    *talk = (struct talk){.media = scene_audio("a", true, false, 10)};
    talk->scene.relay = test_relay_new(&config);
    talk->from = talk->scene.from = endpoint_new(talk->scene.relay, 1);
    __atomic_store_n(&talk->slot.open, 1, __ATOMIC_RELAXED);
    talk->media.slot[QOS_UPLINK] = &talk->slot;
    endpoint_connect(talk->from);
    endpoint_set_keys(talk->from);
    relay_leg_set_medias(talk->from->leg, &talk->media, 1);
    endpoint_stats(talk->from);
}

static void packets(struct talk *talk, guint n, int level)
{
    for (guint i = 0; i < n; i++) {
        struct rtp_out rtp =
            scene_rtp(talk->scene.sequence++, talk->scene.timestamp, delta_payload);
        talk->scene.timestamp += 48 * PACKET_MS;
        rtp.pt = AUDIO_PT;
        rtp.mid = "a";
        rtp.mid_id = MID_ID;
        rtp.level = level;
        rtp.level_id = LEVEL_ID;
        endpoint_send_rtp(talk->from, &rtp);
        scene_wait(&talk->scene, NULL, NULL, PACKET_MS);
    }
}

#define SAY_UNTIL(talk, level, condition)                                                          \
    do {                                                                                           \
        for (guint tries_ = 0; tries_ < 1000 && !(condition); tries_++)                            \
            packets((talk), 1, (level));                                                           \
        g_assert_true(condition);                                                                  \
    } while (0)

static void test_speech(void)
{
    struct talk talk;
    begin(&talk);
    packets(&talk, 20, SPEECH);
    g_assert_cmpuint(talk.from->activities, ==, 0); /* nobody has asked */
    relay_leg_watch_activity(talk.from->leg, "a", true);
    relay_leg_watch_activity(talk.from->leg, "a", true);
    relay_leg_watch_activity(talk.from->leg, "nobody's", true);
    packets(&talk, 20, QUIET);
    packets(&talk, 20, -1);
    g_assert_cmpuint(talk.from->activities, ==, 0);
    packets(&talk, 1, SPEECH);
    SAY_UNTIL(&talk, SPEECH, talk.from->activity.loud);
    g_assert_cmpstr(talk.from->last_mid, ==, "a");
    SAY_UNTIL(&talk, SPEECH, talk.from->activity.share > RELAY_ACTIVITY_FULL / 2);
    g_assert_cmpuint(talk.from->activity.strength, >, 0);
    SAY_UNTIL(&talk, QUIET, !talk.from->activity.loud);
    guint told = talk.from->activities;
    packets(&talk, 40, QUIET);
    g_assert_cmpuint(talk.from->activities, ==, told);
    relay_leg_watch_activity(talk.from->leg, "a", false);
    endpoint_stats(talk.from);
    packets(&talk, 20, SPEECH);
    g_assert_cmpuint(talk.from->activities, ==, told);
    scene_end(&talk.scene);
}

/* What the gate holds back is not said. */
static void test_gate(void)
{
    struct talk talk;
    begin(&talk);
    relay_leg_watch_activity(talk.from->leg, "a", true);
    __atomic_store_n(&talk.slot.open, 0, __ATOMIC_RELAXED);
    packets(&talk, 20, SPEECH);
    g_assert_cmpuint(talk.from->activities, ==, 0);
    relay_leg_gate_opened(talk.from->leg, "a");
    __atomic_store_n(&talk.slot.open, 1, __ATOMIC_RELAXED);
    SAY_UNTIL(&talk, SPEECH, talk.from->activity.loud);
    scene_end(&talk.scene);
}

/* It lasts through changes of the medium, ends with it, and may be asked of the next one. */
static void test_medium_goes(void)
{
    struct talk talk;
    begin(&talk);
    relay_leg_watch_activity(talk.from->leg, "a", true);
    relay_leg_set_medias(talk.from->leg, &talk.media, 1);
    SAY_UNTIL(&talk, SPEECH, talk.from->activity.loud);
    relay_leg_set_medias(talk.from->leg, NULL, 0);
    relay_leg_set_medias(talk.from->leg, &talk.media, 1);
    endpoint_stats(talk.from);
    guint told = talk.from->activities;
    packets(&talk, 40, SPEECH);
    g_assert_cmpuint(talk.from->activities, ==, told);
    relay_leg_watch_activity(talk.from->leg, "a", true);
    SAY_UNTIL(&talk, SPEECH, talk.from->activities > told);
    scene_end(&talk.scene); /* while it listens */
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    loop_init(1000);
    g_test_add_func("/relay-activity/speech", test_speech);
    g_test_add_func("/relay-activity/gate", test_gate);
    g_test_add_func("/relay-activity/medium-goes", test_medium_goes);
    return g_test_run();
}
