/* SPDX-License-Identifier: Apache-2.0 */
/* Who speaks is decided by how much of the last half second was speech, with a wide hysteresis: a
 * cough is not enough to begin, a pause between sentences not enough to end. The leader stays while
 * he speaks, whoever joins in; only a voice that is clearly stronger over seconds takes over from
 * one that goes on, so that a television in the background does not lead for ever. When he has
 * ended, the strongest of those who speak follows at once. In silence the last one goes on leading:
 * a picture that goes away between two sentences would be worse than one that stays too long. */
#include "wmcf/speakers.h"

#include "wmcf/relay/audio-activity.h"

#define SPEAKS_FROM (RELAY_ACTIVITY_FULL / 2)
#define SPEAKS_UNTIL (RELAY_ACTIVITY_FULL / 5)

struct voice {
    const void *key;
    struct relay_activity told;
    gint64 told_at;
    gint64 loud_at; /* 0 = never */
    bool speaks;
};

struct speakers {
    GArray *voices; /* struct voice */
    const void *leader;
    gint64 changed_at; /* 0 = never */
};

struct speakers *speakers_new(void)
{
    struct speakers *speakers = g_new0(struct speakers, 1);
    speakers->voices = g_array_new(FALSE, TRUE, sizeof(struct voice));
    return speakers;
}

void speakers_free(struct speakers *speakers)
{
    if (!speakers)
        return;
    g_array_unref(speakers->voices);
    g_free(speakers);
}

static struct voice *voice_at(const struct speakers *speakers, guint i)
{
    return &g_array_index(speakers->voices, struct voice, i);
}

static struct voice *find(const struct speakers *speakers, const void *key)
{
    for (guint i = 0; i < speakers->voices->len; i++) {
        if (voice_at(speakers, i)->key == key)
            return voice_at(speakers, i);
    }
    return NULL;
}

void speakers_add(struct speakers *speakers, const void *key)
{
    struct voice voice = {.key = key};
    if (!find(speakers, key))
        g_array_append_val(speakers->voices, voice);
}

void speakers_remove(struct speakers *speakers, const void *key)
{
    struct voice *voice = find(speakers, key);
    if (!voice)
        return;
    if (speakers->leader == key)
        speakers->leader = NULL;
    g_array_remove_index(speakers->voices,
                         (guint)(voice - &g_array_index(speakers->voices, struct voice, 0)));
}

static struct relay_activity look_at(const struct voice *voice, gint64 now)
{
    struct relay_activity activity = voice->told;
    audio_activity_age(&activity, now - voice->told_at);
    return activity;
}

bool speakers_report(struct speakers *speakers, const void *key,
                     const struct relay_activity *activity, gint64 now)
{
    struct voice *voice = find(speakers, key);
    if (!voice)
        return false;
    bool was = look_at(voice, now).loud;
    voice->told = *activity;
    voice->told_at = now;
    if (activity->loud)
        voice->loud_at = now;
    return activity->loud && !was;
}

static bool exceeds_clearly(const struct relay_activity *a, const struct relay_activity *b)
{
    return a->share >= SPEAKS_FROM && a->strength > b->strength + b->strength / 2;
}

/* Who should lead; `leader` goes on unless there is a reason. */
static const struct voice *judge(const struct speakers *speakers, const struct voice *leader,
                                 gint64 now)
{
    const struct voice *best = NULL;
    struct relay_activity most = {0};
    for (guint i = 0; i < speakers->voices->len; i++) {
        const struct voice *voice = voice_at(speakers, i);
        struct relay_activity activity = look_at(voice, now);
        if (voice == leader || !voice->speaks || (best && activity.strength <= most.strength))
            continue;
        best = voice;
        most = activity;
    }
    if (!leader)
        return best;
    struct relay_activity of_leader = look_at(leader, now);
    if (best && (!leader->speaks || exceeds_clearly(&most, &of_leader)))
        return best;
    return now - leader->loud_at > SPEAKERS_SILENCE_US && !of_leader.loud ? NULL : leader;
}

bool speakers_decide(struct speakers *speakers, gint64 now)
{
    for (guint i = 0; i < speakers->voices->len; i++) {
        struct voice *voice = voice_at(speakers, i);
        guint32 share = look_at(voice, now).share;
        voice->speaks = share >= (voice->speaks ? SPEAKS_UNTIL : SPEAKS_FROM);
    }
    const struct voice *leader = find(speakers, speakers->leader);
    if (leader && speakers->changed_at && now - speakers->changed_at < SPEAKERS_HOLD_US)
        return false;
    const struct voice *next = judge(speakers, leader, now);
    if (next == leader)
        return false;
    speakers->leader = next ? next->key : NULL;
    speakers->changed_at = now;
    return true;
}

const void *speakers_leader(const struct speakers *speakers)
{
    return speakers->leader;
}

bool speakers_restless(const struct speakers *speakers, gint64 now)
{
    for (guint i = 0; i < speakers->voices->len; i++) {
        const struct voice *voice = voice_at(speakers, i);
        if (voice->speaks || look_at(voice, now).loud)
            return true;
    }
    return speakers->leader != NULL;
}

struct speakers_look speakers_look(const struct speakers *speakers, const void *key, gint64 now)
{
    const struct voice *voice = find(speakers, key);
    if (!voice)
        return (struct speakers_look){0};
    struct relay_activity activity = look_at(voice, now);
    return (struct speakers_look){.loud = activity.loud,
                                  .loud_at = voice->loud_at,
                                  .share = activity.share,
                                  .strength = activity.strength};
}
