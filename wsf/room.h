/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Conferences (protocol A6 "Rooms"). A participant is an ordinary session: its caller leg is
 * anchored as in any call, and in place of the far leg stands the room, a leg without endpoint and
 * without termination. All sessions of a room share one context, a mesh, and what this file adds is
 * what they have in common: who comes in, the context, who is told of whom.
 *
 *   room.c          coming, the context, leaving
 *   room-rules.c    who may (room-rules.h)
 *   room-media.c    what a participant is offered: its own media and slots for the others'
 *   room-tell.c     what participants hear of each other, and what the media centre tells
 *   room-mix.c      the mixer of its sound, where the rule asks for one
 *   room-request.c  application methods: how large pictures are shown, messages to all
 *
 * A room ends with its last participant. Threads: control. */
#include "wsf/call-media.h"
#include "wsf/room-rules.h"

struct context_pipeline_kind;
struct room_mixer;
struct room_table;

struct room {
    struct wsf *wsf;              /* up */
    char *called;                 /* "room/hall@example.org" */
    const struct room_rule *rule; /* NULL: restored, and not configured any more */
    char *wmcf;                   /* where it is, or will be when the context is made */
    char *context_id;             /* NULL until then */
    struct session *opener;       /* whose first termination makes it, or NULL */
    GQueue waiting;               /* struct media_step of others, until the context is there */
    GPtrArray *stays;             /* struct room_stay, owned */
    gint64 opened_at;
    bool mixes;               /* its sound, from its opening to its end */
    struct room_mixer *mixer; /* NULL: none, or nobody is there to be heard */
    /* room-tell.c */
    struct loop_timer *timer;
    bool telling; /* it runs */
    gint64 told_at;
    char *speaker; /* terminationId, or NULL: nobody speaks */
};

/* One participant. */
struct room_stay {
    struct room *room;       /* up */
    struct session *session; /* sideways, ends after this */
    guint slots[2];          /* audio, video: m-lines towards it that the media centre asks for */
    GHashTable *sources;     /* mid of such an m-line → terminationId of whom it carries now */
    json_t *told;            /* the participants that it was told of last, or NULL */
    char *told_speaker;      /* participantId, "" for nobody; NULL: it was told nothing of that */
};

/* NULL and *error when the rules cannot be read. Transfer full. */
struct room_table *room_table_new(const struct conf *conf, GError **error);
void room_table_free(struct room_table *table);
/* Other rules from now on, also for rooms that are open; who is in stays in. The former ones stay
 * when these cannot be read. */
bool room_table_reload(struct room_table *table, const struct conf *conf, GError **error);
/* Borrowed, until the next reload. */
const struct room_rules *room_table_rules(const struct room_table *table);
guint room_table_count(const struct room_table *table);
guint room_table_participants(const struct room_table *table);
/* A media centre has told its limits: the log says once if rooms that mix are larger than these. */
void room_table_check_mixers(const struct wsf *wsf, const char *wmcf);
/* Whether there may be a room of this name, "room/hall". */
bool room_table_knows(const struct room_table *table, const char *resource);

/* --- room.c --------------------------------------------------------------------------------------
 */

/* Whether the caller may come into the room now. *ret_wmcf: the media centre that it is on,
 * borrowed; untouched when it has none yet. As room_rule_permits() and room_rule_has_place(). */
bool room_admit(const struct wsf *wsf, const char *called, const struct policy_caller *from,
                const char **ret_wmcf, GError **error);
/* Counts the session, whose `called` is a room that has admitted it, among its participants. */
void room_enter(struct wsf *wsf, struct session *session);
/* The same for a session of the process' former life; false when it has no place there. */
bool room_restore(struct wsf *wsf, struct session *session);
/* Its session has ended: its termination is given back, with the last one the room. */
void room_leave(struct wsf *wsf, struct session *session);
/* Its session's first termination has made the context. */
void room_opened(struct session *session);
/* Takes the step of a room leg's offer until the context is there; false when it is, or when this
 * session is the one that makes it. */
bool room_wait(struct media_step *step);
/* Participants that take part: their first negotiation is complete. */
bool room_stay_is_present(const struct room_stay *stay);
/* The participant of a termination, or NULL. */
struct room_stay *room_find_termination(const struct room *room, const char *termination_id);
/* The codec of the first one's picture if the other one cannot be shown it: it does not know it,
 * and the network does not convert it. Borrowed; NULL: it can, or there is none. */
const char *room_unseen(const struct room_stay *from, const struct room_stay *to);

/* --- room-media.c --------------------------------------------------------------------------------
 */

/* How the descriptions of the room's leg are made: there are none. Its "offer" waits for the
 * context, and the leg's `negotiated` is what the room gives and takes of what was wanted. */
extern const struct leg_media media_room;

/* The participant changes what it sends and receives: the room takes what it may. */
void room_follow(struct leg *room_leg, const struct offer_template *wanted);
/* A wish names a participant's own media: the slots of `told` that it does not name stay. */
void room_keep_slots(struct offer_template *wanted, const struct offer_template *told);
/* Adds the slots that the media centre has asked for to what a participant is offered. */
void room_add_slots(const struct leg *leg, struct offer_template *offer);
/* Members of the `add` that makes the context. */
void room_put_context(const struct session *session, json_t *members);
/* What is asked of a description towards a participant beyond its template's text. */
void room_put_simulcast(const struct leg *leg, json_t *template);
/* Whether it is to be offered more m-lines than it has, and has not refused the last ones. */
bool room_lacks_slots(const struct leg *leg);
/* It does without, until the media centre asks again. */
void room_give_up_slots(const struct leg *leg);
/* negotiationNeeded: the participant is offered more m-lines as soon as it can be. */
void room_needs_slots(struct wsf *wsf, struct leg *leg, const json_t *details);
/* After a restart, or when the control link was away: what was asked for meanwhile. */
void room_count_slots(struct wsf *wsf, struct leg *leg);

/* negotiationNeeded, sourceChanged, activeSpeaker; false: another event. */
bool room_event(struct wsf *wsf, struct leg *leg, const char *event, const json_t *details);

/* --- room-tell.c ---------------------------------------------------------------------------------
 */

/* Something that participants are told has changed: they hear of it soon, together with what else
 * changes until then. */
void room_changed(struct room *room);
/* What the media centre says of the m-lines of a participant: `medias` of protocol B, sourceChanged
 * and activeSpeaker. */
void room_note_medias(struct leg *leg, const json_t *medias);
void room_note_sources(struct leg *leg, const json_t *details);
void room_note_speaker(struct room *room, const json_t *details);
/* The participant is back: it hears all again. */
void room_tell_again(struct leg *leg);

/* --- room-mix.c ----------------------------------------------------------------------------------
 */

/* Somebody takes part from now on, not any more, or with other media: the mixer is to have whom
 * there is. Nothing in a room that is not mixed. */
void room_mix_follow(struct room *room);
/* What the media centre tells of the room's context: one that was made without a mixer stays so,
 * and the other way round, whatever the configuration says by now. */
void room_mix_note(struct room *room, const json_t *context);
/* The room is closed; after context_pipelines_forget(). */
void room_mix_end(struct room *room);
/* The process ends; the mixer goes on, and the next one takes it over. */
void room_mix_free(struct room *room);
extern const struct context_pipeline_kind room_mix_kind;

/* --- room-request.c ------------------------------------------------------------------------------
 */

/* An application method of a participant: `view` of the own realm, or one for all others. True: the
 * transaction is taken. INVALID_STATE before it takes part, INVALID_MESSAGE for a view of nothing,
 * TOO_MANY_REQUESTS, APP_METHOD_UNKNOWN where the operator does not let methods pass. */
bool room_request(struct wsf *wsf, struct leg *leg, struct link_transaction *txn,
                  const json_t *user_data, GError **error);
