/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* How the descriptions of a leg are made. The course of a call (call.c, call-update.c) is the same
 * whether media are anchored in a media centre, pass directly from client to client, or come from a
 * resource; it asks for offers and answers by the functions below, and what differs stands behind
 * `struct leg_media`, one per way.
 *
 * Every request is a step: it names its session and leg by id, so that what comes back for a call
 * that has ended meanwhile finds nothing. `done` is called exactly once, from the loop.
 *
 * Threads: control. */
#include "wsf/wsf.h"

struct media_step;
typedef void (*media_fn)(struct media_step *step);

struct media_step {
    struct wsf *wsf;
    struct session *session; /* NULL in done(): the call has ended meanwhile */
    struct leg *leg;         /* NULL as well */
    /* What has come of it, for done(). Borrowed. */
    const GError *error; /* NULL: done as asked */
    const char *sdp;     /* the offer or answer that was asked for */
    bool unheard;        /* … and whether it was done is not known: nobody has answered */
    /* The asker's own; freed or, the transaction, to be answered by done(). */
    struct link_transaction *transaction;
    json_t *user_data;
    guint number; /* anything that tells the asker whether it still cares */
    /* private */
    char *session_id, *wmcf;
    guint leg_index, leg_serial;
    bool new_context, is_add;
    const char *sdp_member;
    /* Of a request with a policy, to ask again: elsewhere, or without what cannot be held. */
    const char *method;
    json_t *members, *policy;
    GPtrArray *refused_by; /* media centres that could not hold it */
    media_fn done;
};

/* What is to be offered to a leg's endpoint. All borrowed. */
struct media_offer {
    const struct offer_template *wanted; /* complete, by mid, from our side's view */
    const char *source; /* the far side's own description, where descriptions pass as they are */
    bool restart_ice;   /* new ICE credentials */
};

/* The endpoint's own offer that is to be answered. All borrowed. */
struct media_question {
    const char *sdp;
    const struct offer_template *limit; /* what our answer may accept, from our side's view */
    const char *source; /* the far side's own answer, where descriptions pass as they are */
};

/* One way. A function gets a step whose session and leg are set, does its part and sees to it that
 * media_step_finish() is called later, never from inside of it. A leg that has no termination yet
 * gets one by its first offer or answer. What is stolen is stolen also on failure. */
struct leg_media {
    const char *name;         /* also in the records of the store */
    bool passes_descriptions; /* an endpoint gets what the far endpoint said: nothing can be changed
                                 on one side alone */
    void (*offer)(struct media_step *step, const struct media_offer *offer);
    void (*accept)(struct media_step *step, const char *answer, json_t *routes /* stolen */);
    void (*answer)(struct media_step *step, const struct media_question *question);
    /* Withdraws our outstanding offer. That there is none is no error. */
    void (*rollback)(struct media_step *step);
    /* `routes` and `policy` (mediaPolicy of protocol B) are stolen, either may be NULL. */
    void (*set)(struct media_step *step, json_t *routes, json_t *policy);
    void (*candidates)(struct media_step *step, const json_t *candidates, bool end);
    /* The leg is over, the call goes on. */
    void (*release)(struct wsf *wsf, struct leg *leg);
};

extern const struct leg_media media_anchored; /* call-media.c: in a media centre */

/* The ways by name, for the store; NULL for a name that is none. */
const struct leg_media *leg_media_by_name(const char *name);

/* --- asking --------------------------------------------------------------------------------------
 */

/* A step on behalf of a leg; set transaction, user_data (owned) and number before it is given away
 * to one of the functions below. */
struct media_step *media_step_new(struct wsf *wsf, struct leg *leg, media_fn done);
void media_offer(struct media_step *step, const struct media_offer *offer);
void media_accept(struct media_step *step, const char *answer, json_t *routes);
void media_answer(struct media_step *step, const struct media_question *question);
void media_rollback(struct media_step *step);
void media_set(struct media_step *step, json_t *routes, json_t *policy);
void media_candidates(struct media_step *step, const json_t *candidates, bool end);
void media_release(struct wsf *wsf, struct leg *leg);

/* For the ways: keeps what an `add` has made, the ids of context and termination; what has come too
 * late is released. */
void media_step_added(struct media_step *step, const struct link_response *response);
/* For the ways: calls done() with the outcome and frees the step. From the loop. */
void media_step_finish(struct media_step *step, const char *sdp, const GError *error);
/* The same in the next round of the loop: a way never finishes a step from inside. *error: transfer
 * full. */
void media_step_finish_later(struct media_step *step, const char *sdp, GError *error);

/* The routes between two legs for what is in force on both, but for what is converted in between;
 * NULL in a room, whose context knows them by itself. Transfer full. */
json_t *media_routes(const struct wsf *wsf, const struct leg *a, const struct leg *b);
/* The gates and limits of a leg once both sides are connected, by the policy of its call, to take
 * the place of those in force (call-quality.c). Transfer full. */
json_t *media_policy(const struct wsf *wsf, const struct leg *leg);
/* Takes out of what somebody would like what the policy of the call does not permit.
 * NOT_AUTHORIZED when nothing is left. */
bool media_permit(const struct wsf *wsf, const struct session *session,
                  struct offer_template *wanted, GError **error);
