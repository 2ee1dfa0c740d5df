/* SPDX-License-Identifier: Apache-2.0 */
/* Conversations in virtual time, from packets to who leads: the relay's measure of speech and the
 * decision together, since neither is worth anything alone. */
#include "wmcf/relay/audio-activity.h"
#include "wmcf/speakers.h"

#include <glib.h>

#define MS INT64_C(1000)
#define PEOPLE 4
#define QUIET 75

struct talk {
    struct speakers *speakers;
    struct audio_activity people[PEOPLE];
    int level[PEOPLE]; /* -dBov of what each one says now; 0 = nothing, -1 = sends nothing at all */
    gint64 now, decided_at, changed_at;
    guint changes;
};

static void begin(struct talk *talk)
{
    *talk = (struct talk){.speakers = speakers_new(), .now = 1000 * MS};
    for (guint i = 0; i < PEOPLE; i++) {
        audio_activity_init(&talk->people[i]);
        speakers_add(talk->speakers, &talk->people[i]);
    }
}

static void end(struct talk *talk)
{
    speakers_free(talk->speakers);
}

static int leader(const struct talk *talk)
{
    const struct audio_activity *leader = speakers_leader(talk->speakers);
    return leader ? (int)(leader - talk->people) : -1;
}

static void decide(struct talk *talk)
{
    talk->decided_at = talk->now;
    if (!speakers_decide(talk->speakers, talk->now))
        return;
    talk->changes++;
    talk->changed_at = talk->now;
}

/* As the control thread has it: decides with each report, and by its timer while restless. */
static void pass(struct talk *talk, gint64 time)
{
    for (gint64 until = talk->now + time; talk->now < until;) {
        talk->now += 20 * MS;
        for (guint i = 0; i < PEOPLE; i++) {
            struct relay_activity report;
            /* Words of 400 ms with pauses of 100. */
            bool word = talk->now % (500 * MS) < 400 * MS;
            int level = talk->level[i] && word ? talk->level[i] : QUIET;
            if (talk->level[i] < 0 || !audio_activity_take(&talk->people[i], level, talk->now))
                continue;
            audio_activity_report(&talk->people[i], &report);
            speakers_report(talk->speakers, &talk->people[i], &report, talk->now);
            decide(talk);
        }
        if (talk->now - talk->decided_at >= SPEAKERS_LOOK_US &&
            speakers_restless(talk->speakers, talk->now))
            decide(talk);
    }
}

static void test_one_after_another(void)
{
    struct talk talk;
    begin(&talk);
    pass(&talk, 2000 * MS);
    g_assert_cmpint(leader(&talk), ==, -1);
    g_assert_false(speakers_restless(talk.speakers, talk.now));
    for (int i = 0; i < PEOPLE; i++) {
        talk.level[i] = 25 + 4 * i;
        pass(&talk, 1200 * MS);
        g_assert_cmpint(leader(&talk), ==, i);
        pass(&talk, 4000 * MS);
        talk.level[i] = 0;
        pass(&talk, 200 * MS);
    }
    g_assert_cmpuint(talk.changes, ==, PEOPLE);
    end(&talk);
}

/* The last one stays for the pause, not for ever. */
static void test_silence(void)
{
    struct talk talk;
    begin(&talk);
    talk.level[2] = 30;
    pass(&talk, 3000 * MS);
    talk.level[2] = 0;
    pass(&talk, SPEAKERS_SILENCE_US - 1000 * MS);
    g_assert_cmpint(leader(&talk), ==, 2);
    pass(&talk, 3000 * MS);
    g_assert_cmpint(leader(&talk), ==, -1);
    g_assert_cmpuint(talk.changes, ==, 2);
    g_assert_false(speakers_restless(talk.speakers, talk.now));
    end(&talk);
}

static void test_cough(void)
{
    struct talk talk;
    begin(&talk);
    talk.level[0] = 30;
    pass(&talk, 3000 * MS);
    for (guint i = 0; i < 5; i++) {
        talk.now -= talk.now % (500 * MS);
        talk.level[1] = 5;
        pass(&talk, 260 * MS);
        talk.level[1] = 0;
        pass(&talk, 2000 * MS);
    }
    talk.level[0] = 0;
    pass(&talk, 2000 * MS);
    talk.level[3] = 5;
    pass(&talk, 260 * MS); /* nor when nobody speaks */
    talk.level[3] = 0;
    pass(&talk, 1000 * MS);
    g_assert_cmpint(leader(&talk), ==, 0);
    g_assert_cmpuint(talk.changes, ==, 1);
    end(&talk);
}

/* Who joins in does not take over, who goes on alone does, soon. */
static void test_both(void)
{
    struct talk talk;
    begin(&talk);
    talk.level[0] = 28;
    pass(&talk, 5000 * MS);
    talk.level[1] = 26;
    pass(&talk, 8000 * MS);
    g_assert_cmpint(leader(&talk), ==, 0);
    talk.level[0] = 0;
    gint64 fell_silent = talk.now;
    pass(&talk, 2000 * MS);
    g_assert_cmpint(leader(&talk), ==, 1);
    g_assert_cmpint(talk.changed_at - fell_silent, <, 1200 * MS);
    g_assert_cmpuint(talk.changes, ==, 2);
    end(&talk);
}

/* A television in the background does not lead when somebody speaks up. */
static void test_background(void)
{
    struct talk talk;
    begin(&talk);
    talk.level[0] = 44;
    pass(&talk, 3000 * MS);
    g_assert_cmpint(leader(&talk), ==, 0);
    talk.level[1] = 22;
    pass(&talk, 5000 * MS);
    g_assert_cmpint(leader(&talk), ==, 1);
    pass(&talk, 20000 * MS);
    g_assert_cmpuint(talk.changes, ==, 2);
    end(&talk);
}

/* Packets cease in the midst of a word: nothing is told, and it counts as silence. */
static void test_gone(void)
{
    struct talk talk;
    begin(&talk);
    talk.level[0] = 25;
    pass(&talk, 3000 * MS);
    talk.level[0] = -1;
    talk.level[1] = 35;
    pass(&talk, 3000 * MS);
    g_assert_cmpint(leader(&talk), ==, 1);
    talk.level[1] = -1;
    pass(&talk, SPEAKERS_SILENCE_US + 2000 * MS);
    g_assert_cmpint(leader(&talk), ==, -1);
    end(&talk);
}

static void test_leaves(void)
{
    struct talk talk;
    begin(&talk);
    talk.level[0] = talk.level[1] = 25;
    pass(&talk, 3000 * MS);
    int first = leader(&talk);
    g_assert_cmpint(first, >=, 0);
    speakers_remove(talk.speakers, &talk.people[first]);
    speakers_remove(talk.speakers, &talk.people[first]);
    g_assert_null(speakers_leader(talk.speakers));
    g_assert_true(speakers_decide(talk.speakers, talk.now)); /* at once */
    g_assert_cmpint(leader(&talk), ==, 1 - first);
    struct relay_activity late = {.loud = true};
    g_assert_false(speakers_report(talk.speakers, &talk.people[first], &late, talk.now));
    g_assert_false(speakers_look(talk.speakers, &talk.people[first], talk.now).loud);
    end(&talk);
}

/* Nobody makes the leader change more often than that, whatever is reported. */
static void test_rate(void)
{
    struct talk talk;
    begin(&talk);
    for (guint i = 0; i < 1000; i++) {
        struct relay_activity all = {
            .loud = true, .share = RELAY_ACTIVITY_FULL, .strength = 100 * (i + 1)};
        struct relay_activity none = {0};
        talk.now += 10 * MS;
        speakers_report(talk.speakers, &talk.people[i % PEOPLE], &all, talk.now);
        speakers_report(talk.speakers, &talk.people[(i + 1) % PEOPLE], &none, talk.now);
        decide(&talk);
    }
    g_assert_cmpuint(talk.changes, <=, 10000 * MS / SPEAKERS_HOLD_US + 1);
    end(&talk);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/speakers/one-after-another", test_one_after_another);
    g_test_add_func("/speakers/silence", test_silence);
    g_test_add_func("/speakers/cough", test_cough);
    g_test_add_func("/speakers/both", test_both);
    g_test_add_func("/speakers/background", test_background);
    g_test_add_func("/speakers/gone", test_gone);
    g_test_add_func("/speakers/leaves", test_leaves);
    g_test_add_func("/speakers/rate", test_rate);
    return g_test_run();
}
