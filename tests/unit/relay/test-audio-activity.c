/* SPDX-License-Identifier: Apache-2.0 */
/* Speech from levels, in virtual time: what begins and ends it, and what is none. */
#include "wmcf/relay/audio-activity.h"

#include <glib.h>

#define MS INT64_C(1000)
#define SPEECH 25 /* -dBov */
#define QUIET 70  /* a room */
#define MUTED 127
#define NONE (-1) /* a packet without level */

struct voice {
    struct audio_activity activity;
    int64_t now;
    unsigned told, begun, ended;
};

static void begin(struct voice *voice)
{
    *voice = (struct voice){.now = 1000 * MS};
    audio_activity_init(&voice->activity);
}

static void packet(struct voice *voice, int level, int64_t after)
{
    bool was = voice->activity.loud;
    voice->now += after;
    bool told = audio_activity_take(&voice->activity, level, voice->now);
    voice->told += told;
    voice->begun += !was && voice->activity.loud;
    voice->ended += was && !voice->activity.loud;
    g_assert_true(told || was == voice->activity.loud); /* every change is told */
}

static void say(struct voice *voice, int level, int64_t time)
{
    for (int64_t t = 0; t < time; t += 20 * MS)
        packet(voice, level, 20 * MS);
}

static struct relay_activity report(const struct voice *voice)
{
    struct relay_activity report;
    audio_activity_report(&voice->activity, &report);
    return report;
}

static guint per_cent(uint32_t value)
{
    g_assert_cmpuint(value, <=, RELAY_ACTIVITY_FULL);
    return (guint)((uint64_t)value * 100 / RELAY_ACTIVITY_FULL);
}

static void test_first_packet(void)
{
    struct voice voice;
    begin(&voice);
    say(&voice, QUIET, 2000 * MS);
    g_assert_cmpuint(voice.told, ==, 0);
    packet(&voice, SPEECH, 20 * MS);
    g_assert_cmpuint(voice.told, ==, 1);
    g_assert_true(report(&voice).loud);
    g_assert_cmpuint(per_cent(report(&voice).share), <, 10);
}

static void test_speech_and_pauses(void)
{
    struct voice voice;
    begin(&voice);
    for (unsigned word = 0; word < 20; word++) {
        say(&voice, SPEECH + (int)word % 7, 360 * MS);
        say(&voice, QUIET, 140 * MS);
    }
    g_assert_cmpuint(voice.begun, ==, 1);
    g_assert_cmpuint(voice.ended, ==, 0);
    g_assert_cmpuint(per_cent(report(&voice).share), >, 50);
    g_assert_cmpuint(per_cent(report(&voice).strength), >, 40);
    /* Ten seconds, five reports each. */
    g_assert_cmpuint(voice.told, >=, 40);
    g_assert_cmpuint(voice.told, <=, 51);
    say(&voice, QUIET, 600 * MS);
    g_assert_cmpuint(voice.ended, ==, 1);
    unsigned told = voice.told;
    say(&voice, QUIET, 5000 * MS);
    g_assert_cmpuint(voice.told, ==, told);
    g_assert_cmpuint(per_cent(report(&voice).share), ==, 0);
}

static void test_cough(void)
{
    struct voice voice;
    begin(&voice);
    say(&voice, QUIET, 1000 * MS);
    say(&voice, 10, 240 * MS);
    /* It is heard at once, and it is no speech. */
    g_assert_true(report(&voice).loud);
    g_assert_cmpuint(per_cent(report(&voice).share), <, 45);
    say(&voice, QUIET, 1000 * MS);
    g_assert_false(report(&voice).loud);
    g_assert_cmpuint(per_cent(report(&voice).share), <, 10);
}

/* Opus with DTX: in silence a packet each 400 ms, or none. */
static void test_gaps(void)
{
    struct voice voice;
    begin(&voice);
    say(&voice, SPEECH, 3000 * MS);
    guint before = per_cent(report(&voice).share);
    g_assert_cmpuint(before, >, 90);
    for (unsigned i = 0; i < 3; i++)
        packet(&voice, QUIET, 400 * MS);
    g_assert_cmpuint(voice.ended, ==, 1);
    g_assert_cmpuint(per_cent(report(&voice).share), <, 20);
    /* The first word after the gap does not claim the gap. */
    packet(&voice, SPEECH, 10000 * MS);
    g_assert_cmpuint(per_cent(report(&voice).share), <, 15);
    g_assert_true(report(&voice).loud);
}

/* A burst after jitter counts as the time it stands for. */
static void test_bunched(void)
{
    struct voice voice;
    begin(&voice);
    for (unsigned i = 0; i < 50; i++) {
        packet(&voice, SPEECH, 60 * MS);
        packet(&voice, SPEECH, 0);
        packet(&voice, SPEECH, 0);
    }
    g_assert_cmpuint(per_cent(report(&voice).share), >, 90);
    g_assert_cmpuint(voice.told, <=, 16);
}

static void test_no_level(void)
{
    struct voice voice;
    begin(&voice);
    say(&voice, NONE, 5000 * MS);
    say(&voice, MUTED, 5000 * MS);
    g_assert_cmpuint(voice.told, ==, 0);
    g_assert_cmpuint(report(&voice).share, ==, 0);
    /* 128 levels with the voice flag, which says nothing. */
    say(&voice, 0x80 | MUTED, 1000 * MS);
    g_assert_cmpuint(voice.told, ==, 0);
}

/* A fan becomes noise; whoever speaks before it is heard all the same. */
static void test_noise(void)
{
    struct voice voice;
    begin(&voice);
    say(&voice, 48, 15000 * MS);
    g_assert_cmpuint(voice.begun, ==, 1);
    g_assert_cmpuint(voice.ended, ==, 1);
    say(&voice, MUTED, 10000 * MS); /* and is still noise after a pause of the microphone */
    say(&voice, 48, 2000 * MS);
    g_assert_cmpuint(voice.begun, ==, 1);
    packet(&voice, SPEECH, 20 * MS);
    g_assert_cmpuint(voice.begun, ==, 2);
    /* What is really loud never becomes noise. */
    begin(&voice);
    say(&voice, 20, 120000 * MS);
    g_assert_cmpuint(voice.ended, ==, 0);
    g_assert_true(report(&voice).loud);
}

static void test_age(void)
{
    struct voice voice;
    begin(&voice);
    say(&voice, SPEECH, 3000 * MS);
    struct relay_activity aged = report(&voice);
    audio_activity_age(&aged, AUDIO_REPORT_US);
    g_assert_true(aged.loud); /* the next report is due only now */
    g_assert_cmpuint(aged.share, ==, report(&voice).share);
    audio_activity_age(&aged, 1000 * MS);
    g_assert_false(aged.loud);
    g_assert_cmpuint(per_cent(aged.share), <, 20);
    audio_activity_age(&aged, INT64_MAX / 4);
    g_assert_cmpuint(aged.share, ==, 0);
    g_assert_cmpuint(aged.strength, ==, 0);
}

/* No peer can make it tell more often, whatever it sends. */
static void test_flicker(void)
{
    struct voice voice;
    begin(&voice);
    for (unsigned i = 0; i < 10000; i++)
        packet(&voice, i % 2 ? 0 : 127, 1 * MS);
    g_assert_cmpuint(voice.told, <=, 51);
    begin(&voice);
    for (unsigned i = 0; i < 20; i++) {
        packet(&voice, 0, 10 * MS);
        packet(&voice, NONE, 510 * MS);
    }
    g_assert_cmpuint(voice.told, <=, 40);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/audio-activity/first-packet", test_first_packet);
    g_test_add_func("/audio-activity/speech-and-pauses", test_speech_and_pauses);
    g_test_add_func("/audio-activity/cough", test_cough);
    g_test_add_func("/audio-activity/gaps", test_gaps);
    g_test_add_func("/audio-activity/bunched", test_bunched);
    g_test_add_func("/audio-activity/no-level", test_no_level);
    g_test_add_func("/audio-activity/noise", test_noise);
    g_test_add_func("/audio-activity/age", test_age);
    g_test_add_func("/audio-activity/flicker", test_flicker);
    return g_test_run();
}
