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

enum offer_side { OFFER_NONE, OFFER_OURS, OFFER_PEERS }; /* whose offer is outstanding on a leg */

struct leg {
    struct session *session; /* up */
    guint index;             /* 0 = caller, then the branches; stable */
    bool caller;
    char *media_session_id;
    char *webrtc_id;
    guint64 endpoint; /* number in the registrar */
    enum session_state state;
    bool acknowledged; /* the endpoint has answered our msetup, or asked for the session itself */
    bool answer_in_progress; /* its answer is at the media centre */

    enum offer_side offer;
    guint offer_number;    /* "offerId" is its decimal text */
    char *offer_sdp;       /* ours, kept for the resumption */
    gint64 offer_deadline; /* the endpoint itself must answer by then */

    char *termination_id;
    struct offer_template *answer; /* media that the endpoint accepted */
    bool ice_connected, gate_open;
    const char *failure;     /* what its media have come to, static; NULL = they are well */
    gint64 failure_deadline; /* until then the endpoint itself may say why */

    enum disc_cause end_cause; /* why a branch ended, when terminated */
    GError *end_error;
};

struct session {
    char *id; /* the caller's mediaSessionId */
    enum call_phase phase;
    struct leg *caller;  /* owned */
    GPtrArray *branches; /* struct leg, owned */
    struct leg *winner;  /* one of the branches, or NULL */
    char *called;        /* normalised resourceId */
    char *asserted_caller;
    json_t *user_data; /* the caller's, or NULL */
    struct offer_template *wanted;

    char *wmcf;       /* name of the media centre */
    char *context_id; /* NULL until the first termination exists */
    guint policy;     /* row of the policy table that permitted it */
    bool gates_asked;

    gint64 no_answer_deadline, connect_deadline;
    gint64 created_at, answered_at, active_at;
    gint64 created_wall; /* µs since 1970, for the call record */
};

/* What a session or leg tells when it changes: for logs and metrics. */
struct session_ops {
    void (*leg_changed)(const struct leg *leg, enum session_state from, const char *reason,
                        void *user);
    void (*phase_changed)(const struct session *session, enum call_phase from, const char *reason,
                          void *user);
};

/* --- table ---------------------------------------------------------------------------------------
 */

struct session_table;

struct session_table *session_table_new(guint sessions_max, guint per_identity,
                                        const struct session_ops *ops, void *user);
void session_table_free(struct session_table *table);
guint session_table_count(const struct session_table *table);
/* Calls of an identity as caller or called. */
guint session_table_count_identity(const struct session_table *table, const char *webrtc_id);
/* RESOURCES_UNAVAILABLE or USER_BUSY when one more call of these two is over a limit. */
bool session_table_admit(const struct session_table *table, const char *caller, const char *called,
                         GError **error);
struct session *session_table_find(const struct session_table *table, const char *session_id);
struct leg *session_table_leg(const struct session_table *table, const char *media_session_id);
struct session *session_table_context(const struct session_table *table, const char *wmcf,
                                      const char *context_id);
/* Copies, so that the caller may end what it visits: struct session (borrowed), container owned. */
GPtrArray *session_table_all(const struct session_table *table);
/* struct leg of an endpoint (borrowed), container owned. */
GPtrArray *session_table_legs_of(const struct session_table *table, guint64 endpoint);

/* A new session in CALL_PREPARING with its caller leg. Owned by the table. */
struct session *session_new(struct session_table *table, const char *media_session_id,
                            const char *caller, guint64 endpoint, const char *called, gint64 now);
void session_free(struct session_table *table, struct session *session);
struct leg *session_add_branch(struct session_table *table, struct session *session,
                               const char *webrtc_id, guint64 endpoint);
void session_set_context(struct session_table *table, struct session *session,
                         const char *context_id);
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
/* The other side of an answered call: caller ↔ winner; NULL before. */
struct leg *leg_far(const struct leg *leg);
/* Branches that are not terminated. */
guint session_live_branches(const struct session *session);
bool leg_is_live(const struct leg *leg);

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
};
/* The deadline that is over at `now` (*ret_leg for the one of a leg), and when to look again (-1
 * never). */
enum session_timeout session_due(const struct session *session, gint64 now, struct leg **ret_leg,
                                 gint64 *ret_next);
