/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One modification of an answered call (6.3.2.6.x.3), for the files call-update*.c and
 * call-network.c alone. At most one per session. It has an initiator, the near leg, and a far leg,
 * which is asked first:
 *
 *   far offer → far wait → far apply → near answer ─────────────────────→ routes → done
 *   (skipped when nothing changes there)  └→ near offer → near wait → near apply ┘
 *
 * A change of the resource makes the new far side in the first steps, which becomes the far leg
 * when the initiator has answered; `former` is the one that plays until then.
 *
 * and from every step there is a way back that leaves the call as it was. What has already changed
 * on a side is brought back by an offer of the network with the former media (leg_need).
 * Threads: control. */
#include "wsf/call.h"

enum change_kind {
    CHANGE_OFFER,    /* the initiator's sdpOffer (x.3.1, x.3.3) */
    CHANGE_WISH,     /* its preOfferDescription: the network offers */
    CHANGE_RESOURCE, /* its resourceId: another far side takes the place of the present (x.3.4) */
    CHANGE_NETWORK,  /* the network's own: ICE restart, or one side brought back */
};

#define CHANGE_STEPS(X)                                                                            \
    X(FAR_OFFER, "far offer")     /* the far side's new offer is being made */                     \
    X(FAR_WAIT, "far wait")       /* its endpoint has it, or is away for a moment */               \
    X(FAR_APPLY, "far apply")     /* its answer is being applied */                                \
    X(NEAR_ANSWER, "near answer") /* our answer to the initiator's offer is being made */          \
    X(NEAR_OFFER, "near offer")                                                                    \
    X(NEAR_WAIT, "near wait")                                                                      \
    X(NEAR_APPLY, "near apply")                                                                    \
    X(ROUTES, "routes") /* routes and gates are being set */                                       \
    X(UNDO, "undo")     /* it has failed, an offer is being rolled back */
enum change_step {
#define CHANGE_STEP(name, text) CHANGE_##name,
    CHANGE_STEPS(CHANGE_STEP)
#undef CHANGE_STEP
        CHANGE_STEP_COUNT
};
const char *change_step_name(enum change_step step);

/* What a leg's descriptions were, to bring it back. */
struct change_memory {
    struct offer_template *told, *negotiated; /* owned */
};

struct call_change {
    guint number; /* unique: a late step finds another one */
    enum change_kind kind;
    enum change_step step;
    bool in_flight;         /* a step is at the media centre; nothing is undone before it is back */
    struct leg *near, *far; /* far NULL: only the near side is concerned */
    struct offer_template *wanted;      /* of the near side, from its view */
    struct offer_template *far_wanted;  /* what the far side is offered */
    struct offer_template *near_wanted; /* what the near side is offered, or NULL */
    struct change_memory near_before, far_before;
    bool far_changed, near_changed; /* an answer has been applied there */
    bool restart_ice;
    bool optional;      /* CHANGE_NETWORK: nothing is wrong when it comes to nothing */
    struct leg *former; /* CHANGE_RESOURCE: the far side that is replaced */
    char *called;       /* … the new resourceId */
    guint policy;       /* … the row that permits it */
    struct link_transaction *request; /* … and the initiator's, until the offer is its response */
    bool near_void;    /* the initiator was lost: its offer does not exist any more */
    json_t *user_data; /* for the far side, then of the far side for the near one */
    GError *doom;      /* it has failed while in flight */
    const struct leg *doomed_by;
    GError *refusal; /* what the initiator hears when all is rolled back: it may try again then */
    /* Glare that the initiator lost: the other's offer, taken when this one is undone. */
    struct leg *next;
    char *next_sdp, *next_offer_id;
    json_t *next_user_data;
};

/* --- call-update.c -------------------------------------------------------------------------------
 */

struct call_change *change_new(struct session *session, enum change_kind kind, struct leg *near);
void change_set_step(struct call_change *change, enum change_step step);
/* A step of this change for a leg: it is in flight until done() has taken it by change_of(). */
struct media_step *change_step_new(struct wsf *wsf, struct call_change *change, struct leg *leg,
                                   media_fn done);
/* The change that a step belongs to, NULL when its call is over. */
struct call_change *change_of(const struct media_step *step);
/* True when the change has failed while the step was in flight; it is undone then. */
bool change_is_doomed(struct wsf *wsf, struct call_change *change);
/* An offer of ours to `leg`, the near or the far side's, is made and sent. */
void change_offer(struct wsf *wsf, struct call_change *change, struct leg *leg);
/* Ends the session's change, whatever it has come to; legs are established again. Begins what waits
 * for it. */
void change_finish(struct wsf *wsf, struct session *session);

/* A session's change as a whole is free to begin for this leg: INVALID_STATE or OFFER_GLARE. */
bool change_may_begin(const struct leg *leg, GError **error);

/* --- call-update-resource.c ----------------------------------------------------------------------
 */

/* The initiator has answered: the new far side is the winner from now on. */
void change_switch(struct wsf *wsf, struct call_change *change);
/* … and the routes lead there: the former one is over. */
void change_switched(struct wsf *wsf, struct call_change *change);
/* The change has failed: the former far side stays, the new one goes. */
void change_switch_back(struct wsf *wsf, struct call_change *change, const GError *error);

/* --- call-update-near.c --------------------------------------------------------------------------
 */

/* The far side is as it is to be: the initiator's side follows. */
void change_settle_near(struct wsf *wsf, struct call_change *change);
/* The initiator's side is settled: routes, gates, the end. */
void change_set_routes(struct wsf *wsf, struct call_change *change);

/* --- call-update-undo.c --------------------------------------------------------------------------
 */

/* The change has failed. The initiator hears `error`, the side that has an offer of ours is told
 * that it is withdrawn unless it is `by`, and all is as before. */
void change_fail(struct wsf *wsf, struct call_change *change, const GError *error,
                 const struct leg *by);
/* … because the media centre refused a step of `leg` or was not heard. */
void change_fail_step(struct wsf *wsf, struct call_change *change, const struct media_step *step);

/* --- call-network.c ------------------------------------------------------------------------------
 */

/* Nothing is in progress: begins what the session's legs need. */
void change_next(struct wsf *wsf, struct session *session);
/* A change of the network has failed. True when that has ended the call. */
bool change_network_failed(struct wsf *wsf, struct call_change *change, const GError *error);
