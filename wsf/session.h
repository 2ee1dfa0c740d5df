/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Media sessions of a back-to-back user agent (protocol A6): one session per call, with a caller
 * leg and one branch per called endpoint. Every leg is a media session of its own towards its
 * endpoint: own mediaSessionId, own state, own offer/answer.
 *
 * This file is state and rules only: it sends nothing and waits for nothing; call.c acts. Time is a
 * parameter, in microseconds of any monotonic clock; 0 means "not set" in every deadline.
 *
 * Threads: control. */
#include "wsf/offer-template.h"
#include "wsf/quality.h"

#include "base/problem.h"

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>

/* --- states --------------------------------------------------------------------------------------
 */

enum session_state { /* mediaSessionState of one leg */
                     SESSION_INITIATING,
                     SESSION_PROCEEDING,
                     SESSION_ALERTING,
                     SESSION_ESTABLISHED,
                     SESSION_MODIFYING,
                     SESSION_TERMINATED,
                     SESSION_STATE_COUNT,
};
const char *session_state_name(enum session_state state); /* as on the wire */
bool session_state_parse(const char *text, enum session_state *ret);
bool session_state_may_follow(enum session_state from, enum session_state to);

enum call_phase {                 /* of the call as a whole */
                  CALL_PREPARING, /* the first termination is being made */
                  CALL_RINGING,   /* branches are offered or wait for their endpoint */
                  CALL_ANSWERED,  /* an answer is being applied; a refused one leads back to ringing
                                   */
                  CALL_CONNECTING, /* the caller's side is negotiated and both endpoints connect */
                  CALL_ACTIVE,     /* the gates are open */
                  CALL_ENDED,
                  CALL_PHASE_COUNT,
};
const char *call_phase_name(enum call_phase phase);
bool call_phase_may_follow(enum call_phase from, enum call_phase to);

/* Both machines as a graphviz graph. Transfer full. */
char *session_print_fsm(void);

/* Causes of mdisc. */
#define DISC_CAUSES(X)                                                                             \
    X(NORMAL)                                                                                      \
    X(BUSY)                                                                                        \
    X(DECLINED)                                                                                    \
    X(NO_ANSWER)                                                                                   \
    X(ANSWERED_ELSEWHERE)                                                                          \
    X(MEDIA_FAILURE)                                                                               \
    X(QOS_LOST)                                                                                    \
    X(REGISTRATION_EXPIRED)                                                                        \
    X(OPERATOR)                                                                                    \
    X(PEER_LOST)                                                                                   \
    X(PROTOCOL_ERROR)
enum disc_cause {
#define DISC_CAUSE(name) DISC_##name,
    DISC_CAUSES(DISC_CAUSE)
#undef DISC_CAUSE
        DISC_CAUSE_COUNT
};
extern const char *const disc_cause_names[]; /* NULL-terminated, index = enum */
const char *disc_cause_name(enum disc_cause cause);

/* --- objects -------------------------------------------------------------------------------------
 */

struct session;
struct session_table;
struct leg_media;   /* call-media.h: how a leg's descriptions are made; set once, "name" tells which
                     */
struct call_change; /* call-update.h: the modification in progress */
struct room_stay;   /* room.h: a participant's place in a conference */
struct link_transaction;

/* What the network owes a leg: an offer of its own, as soon as nothing is in progress and both the
 * endpoint and the media centre can be reached. */
enum leg_need {
    LEG_NEEDS_NOTHING,
    LEG_NEEDS_OFFER,   /* its sides may disagree about the media: `told` is offered anew */
    LEG_NEEDS_RESTART, /* … with new ICE credentials: its path is gone */
};

enum offer_side { OFFER_NONE, OFFER_OURS, OFFER_PEERS }; /* whose offer is outstanding on a leg */

/* The number of no endpoint: of a leg whose registration has not come back after a restart. */
#define SESSION_NO_ENDPOINT G_MAXUINT64

/* One side of a call. Fields marked [durable] make the leg again after a restart; the others belong
 * to a step in progress, and what is in progress is rolled back then (A6: an outstanding offer is
 * withdrawn, a new one made). A record names the endpoint by webrtc_id and instanceId, since
 * numbers are of one process. */
struct leg {
    struct session *session; /* up */
    guint serial;            /* unique in the process: a late step does not find a successor */
    guint index;             /* [durable] 0 = caller, then the branches; stable */
    bool caller;             /* [durable] index == 0 */
    char *media_session_id;  /* [durable] */
    char *called;            /* what its msetup asks for; NULL: the session's `called` */
    char *webrtc_id;         /* [durable] of a local resource its resourceId */
    char *asserted;          /* [durable] who has been reached, as the far side is told, or NULL */
    char *authority;         /* [durable] who has verified that, or NULL */
    guint64 endpoint;        /* number in the registrar; 0: a local resource, nobody signals */
    const struct leg_media *media; /* [durable by name] */
    char *resource;                /* [durable] "media/test" of a local resource, else NULL */
    enum session_state state;      /* [durable] */
    bool acknowledged;       /* [durable] the endpoint has answered our msetup, or asked itself */
    bool answer_in_progress; /* its answer is at the media centre */

    enum offer_side offer; /* [durable] */
    guint offer_number;    /* [durable] "offerId" of ours is its decimal text */
    char *offer_sdp;       /* ours, until the endpoint has it */
    guint withdrawn; /* number of the offer that we have taken back last, 0 = none: an answer to
                        it that was on its way is followed by a new offer */
    gint64 offer_deadline; /* the endpoint itself must answer by then */
    char *peer_offer;      /* OFFER_PEERS: the endpoint's own, until it is answered or refused */
    char *peer_offer_id;   /* … its offerId or NULL, echoed */
    char *our_answer;      /* … and our answer to it, until the endpoint has acknowledged it */

    char *termination_id;        /* [durable] */
    struct offer_template *told; /* [durable] our side's last description, from our side's view:
                                    what the endpoint was offered, or answered */
    struct offer_template *negotiated; /* [durable] what is in force, from the endpoint's view; NULL
                                          before the first answer */
    char *last_answer; /* the endpoint's last answer as it came, only where descriptions pass */
    json_t *held_candidates; /* … and its candidates, until it is the one that has answered */
    bool held_end;
    bool trickles;      /* its last description may be followed by candidates */
    gsize n_candidates; /* that have followed it */
    bool ice_connected, dtls_connected, gate_open; /* [durable] */
    bool without_policy;     /* no media centre can hold its policing and marking; gates alone */
    struct quality *quality; /* [durable in its policy] what holds of gates, policing and marking */
    bool settled; /* [durable] the first negotiation is complete: what fails now changes nothing */
    enum leg_need need; /* [durable] */
    bool restarted;     /* since `failure` ICE has been restarted; no second time */
    bool unheard; /* [durable] a request to the media centre was not answered: its negotiation may
                     have an offer outstanding */
    bool told_recording;     /* … that the conversation is recorded */
    bool says_recording;     /* another WSF: … that it records */
    json_t *room_news;       /* what another WSF has told last of a room there; or NULL */
    const char *failure;     /* what its media have come to, static; NULL = they are well */
    gint64 failure_deadline; /* until then the endpoint itself may say why */

    enum disc_cause end_cause; /* why a branch ended, when terminated */
    GError *end_error;
};

struct session {
    struct session_table *table; /* up */
    char *id;                    /* [durable] the caller's mediaSessionId */
    enum call_phase phase;       /* [durable] */
    struct leg *caller;          /* [durable] owned */
    GPtrArray *branches;         /* [durable] struct leg, owned */
    struct leg *winner;          /* [durable by index] one of the branches, or NULL */
    char *called;                /* [durable] normalised resourceId */
    char *subject;               /* [durable] whom limits and policy count as the caller */
    char *asserted_caller;       /* [durable] */
    char *caller_authority;      /* [durable] who has verified that, or NULL */
    char *preferred_caller;      /* [durable] what the caller asked to be, or NULL; told to WSFs */
    bool converts;               /* called endpoints are offered what could be converted, too */
    guint hop_limit;             /* [durable] told to the next WSF */
    char *pre_offer;             /* the caller's preOfferDescription as it came, or NULL */
    json_t *user_data;           /* [durable] the caller's, or NULL */
    struct offer_template *wanted; /* [durable] what the caller would like */

    char *wmcf;       /* [durable] name of the media centre; NULL in direct media */
    char *context_id; /* [durable] NULL until the first termination exists */
    guint policy;     /* row of the policy table that permitted it [durable by its name] */
    bool gates_asked; /* [durable] */

    struct link_transaction *setup; /* the caller's msetup while its response waits for a
                                       description, else NULL */
    bool setup_refused;             /* … and it was a refusal: the caller has no session */
    struct call_change *change;     /* the modification in progress, owned by call-update.c */
    struct room_stay *stay;         /* the conference it is a part of, owned by room.c, or NULL */
    char *participant_id;           /* [durable] the caller's name there */

    gint64 change_deadline; /* an endpoint must answer our offer in a call by then */
    gint64 retry_deadline;  /* what a leg needs is tried again then */
    gint64 no_answer_deadline, connect_deadline; /* [durable as time left] */
    gint64 created_at, answered_at, active_at;   /* [durable as time gone] */
    gint64 created_wall;                         /* [durable] µs since 1970, for the call record */
};

/* What a session or leg tells when it changes: for logs and metrics. */
struct session_ops {
    void (*leg_changed)(const struct leg *leg, enum session_state from, const char *reason,
                        void *user);
    void (*phase_changed)(const struct session *session, enum call_phase from, const char *reason,
                          void *user);
    /* A durable field has changed, be it with a state or not. May be NULL. */
    void (*changed)(const struct session *session, void *user);
};

/* --- table ---------------------------------------------------------------------------------------
 */

struct session_table *session_table_new(guint sessions_max, guint per_identity,
                                        const struct session_ops *ops, void *user);
void session_table_free(struct session_table *table);
guint session_table_count(const struct session_table *table);
/* Calls of an identity as caller or called. */
guint session_table_count_identity(const struct session_table *table, const char *webrtc_id);
/* Whose calls are counted before one more begins. */
struct session_limits {
    const char *caller, *called;  /* NULL: no single person, not counted */
    guint per_caller, per_called; /* 0: the table's own */
};
/* RESOURCES_UNAVAILABLE or USER_BUSY when one more call of these two is over a limit. */
bool session_table_admit(const struct session_table *table, const struct session_limits *limits,
                         GError **error);
struct session *session_table_find(const struct session_table *table, const char *session_id);
struct leg *session_table_leg(const struct session_table *table, const char *media_session_id);
/* A session of this context; the sessions of a conference share one. */
struct session *session_table_context(const struct session_table *table, const char *wmcf,
                                      const char *context_id);
/* All of them: struct session (borrowed), container owned, may be empty. */
GPtrArray *session_table_in_context(const struct session_table *table, const char *wmcf,
                                    const char *context_id);
/* Copies, so that the caller may end what it visits: struct session (borrowed), container owned. */
GPtrArray *session_table_all(const struct session_table *table);
/* struct leg of an endpoint (borrowed), container owned. */
GPtrArray *session_table_legs_of(const struct session_table *table, guint64 endpoint);

/* A new session in CALL_PREPARING with its caller leg. Owned by the table. */
struct session *session_new(struct session_table *table, const char *media_session_id,
                            const char *caller, guint64 endpoint, const char *called, gint64 now);
void session_free(struct session_table *table, struct session *session);
/* The caller as limits count it, when it is not the endpoint itself: a server speaks for many. */
void session_set_subject(struct session_table *table, struct session *session, const char *subject);
struct leg *session_add_branch(struct session_table *table, struct session *session,
                               const char *webrtc_id, guint64 endpoint);
/* The same for a branch of the process' former life, with its own mediaSessionId. */
struct leg *session_restore_branch(struct session_table *table, struct session *session,
                                   const char *media_session_id, const char *webrtc_id,
                                   guint64 endpoint);
void session_set_context(struct session_table *table, struct session *session,
                         const char *context_id);
/* Whoever changes a durable field directly says so. */
void session_changed(const struct session *session);
/* The same in the place of a branch that has ended, when there is one: a call whose resource
 * changes often does not grow. */
struct leg *session_reuse_branch(struct session_table *table, struct session *session,
                                 const char *webrtc_id, guint64 endpoint);
/* Another resource is the called one from now on. */
void session_set_called(struct session_table *table, struct session *session, const char *called);
/* Gives a leg whose msetup was void a new mediaSessionId (UUID). */
void leg_renew_id(struct session_table *table, struct leg *leg);

/* --- rules ---------------------------------------------------------------------------------------
 */

/* The only setters. A transition that the table does not know is a programming error. The same
 * state again is no change. */
void leg_set_state(struct session_table *table, struct leg *leg, enum session_state state,
                   const char *reason);
void session_set_phase(struct session_table *table, struct session *session, enum call_phase phase,
                       const char *reason);

struct leg *session_leg(const struct session *session, guint index);
struct leg *session_leg_of_termination(const struct session *session, const char *termination_id);
/* Established or being modified: both sides may change it. */
bool leg_is_established(const struct leg *leg);
/* Its path is there and encrypted: nothing that it sends or gets from now on is lost. */
bool leg_is_connected(const struct leg *leg);
/* The other side of an answered call: caller ↔ winner; NULL before. */
struct leg *leg_far(const struct leg *leg);
/* Branches that are not terminated. */
guint session_live_branches(const struct session *session);
bool leg_is_live(const struct leg *leg);

/* Keeps what our side's description says and what has come of it; both are stolen, NULL = as it
 * was. */
void leg_set_negotiated(struct leg *leg, struct offer_template *told,
                        struct offer_template *negotiated);
/* The endpoint's own offer (a copy is kept), with its offerId or NULL. The caller has seen to it
 * that none is outstanding. */
void leg_take_offer(struct leg *leg, const char *sdp, const char *offer_id);
/* Our answer to it, for the endpoint; and the endpoint's answer to ours, kept where descriptions
 * pass. Copies. */
void leg_keep_our_answer(struct leg *leg, const char *sdp);
void leg_keep_last_answer(struct leg *leg, const char *sdp);
/* Members of an mupdate about a room of another network, for an endpoint that is away when they
 * come; later ones take the place of those of before. */
void leg_keep_room_news(struct leg *leg, const json_t *news);
/* Our offer goes out. OFFER_GLARE when another one is outstanding. */
bool leg_offer(struct leg *leg, const char *sdp, gint64 deadline, GError **error);
/* An answer of the endpoint arrives: INVALID_STATE when no offer of ours is outstanding or offer_id
 * (may be NULL) is another one. */
bool leg_check_answer(const struct leg *leg, const char *offer_id, GError **error);
/* The outstanding offer is answered, refused or withdrawn. */
void leg_offer_done(struct leg *leg);
/* Text for "offerId". Transfer full. */
char *leg_offer_id(const struct leg *leg);
/* "none", "local" or "remote" from the endpoint's view, for the auth response. */
const char *leg_offer_pending(const struct leg *leg);

enum session_timeout {
    SESSION_NO_TIMEOUT,
    SESSION_NO_ANSWER,
    SESSION_OFFER,
    SESSION_CONNECT,
    SESSION_FAILURE,
    SESSION_CHANGE,
    SESSION_RETRY,
};
/* The deadline that is over at `now` (*ret_leg for the one of a leg), and when to look again (-1
 * never). */
enum session_timeout session_due(const struct session *session, gint64 now, struct leg **ret_leg,
                                 gint64 *ret_next);
