/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Who of several voices leads the conversation. Pure: voices are opaque keys, time is told, so it
 * is tested in virtual time. Threads: control. */
#include "wmcf/relay/relay.h"

#define SPEAKERS_HOLD_US INT64_C(500000)      /* between two changes at least */
#define SPEAKERS_SILENCE_US INT64_C(10000000) /* of the leader: then nobody leads */
#define SPEAKERS_LOOK_US INT64_C(200000)      /* speakers_decide() so often, while restless */

struct speakers;

struct speakers *speakers_new(void);
void speakers_free(struct speakers *speakers);
/* Does nothing for one that is there. */
void speakers_add(struct speakers *speakers, const void *voice);
/* The leader's departure leaves nobody leading, until the next decision. */
void speakers_remove(struct speakers *speakers, const void *voice);
/* What the relay has told of a voice. True: sound begins. */
bool speakers_report(struct speakers *speakers, const void *voice,
                     const struct relay_activity *activity, gint64 now);
/* True: another one leads, or nobody. */
bool speakers_decide(struct speakers *speakers, gint64 now);
/* NULL = nobody. */
const void *speakers_leader(const struct speakers *speakers);
/* Something may change without a report. */
bool speakers_restless(const struct speakers *speakers, gint64 now);

struct speakers_look { /* at one voice, now */
    bool loud;
    gint64 loud_at; /* last; 0 = never */
    guint32 share, strength;
};
struct speakers_look speakers_look(const struct speakers *speakers, const void *voice, gint64 now);
