/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The calls of this network's endpoints and resources (protocol, last paragraph of B): what happens
 * when somebody asks, answers, changes it, hangs up, is lost or comes back, and when a media centre
 * speaks.
 *
 *   call.c          the course of a call, from the first description to the open gates
 *   call-update.c   changes of an answered call: their beginning and the far side's part
 *   call-update-near.c, -undo.c   … the initiator's part, and the way back (call-change.h)
 *   call-network.c  changes that the network begins itself
 *   call-trickle.c  candidates that follow a description
 *   call-end.c      how branches and calls end, the call record
 *   call-client.c   requests to endpoints and responses to theirs
 *   call-resume.c   loss and resumption of an endpoint: what is said again, what is made anew
 *   call-media.c    how descriptions are made (call-media.h)
 *   call-quality.c  gates, policing and marking (call-quality.h)
 *   call-reconcile.c  what was missed while a control link was away
 *
 * A session that has ended stays valid until the present dispatch is over.
 * Threads: control. */
#include "base/log.h"
#include "wsf/call-media.h"
#include "wsf/identity.h"
#include "wsf/wsf.h"

/* Everything borrowed unless it says otherwise; NULL where it says "or". */
struct call_request {
    const char *media_session_id; /* the caller's: made for it, or named by a WSF */
    const struct endpoint *caller;
    const char *called; /* normalised resourceId */
    const struct caller_id *id;
    guint hop_limit;            /* for the next WSF, already decremented */
    const GPtrArray *endpoints; /* struct endpoint to ring, at least one; or NULL with a resource */
    const char *resource;       /* "media/test" of a local resource, or NULL */
    const struct leg_media *media;          /* how the endpoints' descriptions are made */
    const struct leg_media *resource_media; /* … and the resource's, or NULL */
    struct offer_template *wanted;          /* stolen */
    const char *pre_offer;            /* the caller's preOfferDescription as it came, or NULL */
    const char *sdp_offer, *offer_id; /* the caller's own first offer, to be answered, or NULL */
    const json_t *user_data;          /* or NULL */
    const char *wmcf;                 /* NULL: no media centre */
    guint policy;
    struct link_transaction *transaction; /* the msetup, consumed */
};

/* --- call.c --------------------------------------------------------------------------------------
 */

void call_start(struct wsf *wsf, const struct call_request *request);
/* A called endpoint rings; `user_data` (borrowed, may be NULL) goes to the caller. */
void call_alerting(struct wsf *wsf, struct leg *leg, const json_t *user_data);
/* `leg` has given its answer, which is applied: it is the winner, the caller's side follows. For a
 * resource, whose `negotiated` is set when it is made; endpoints come here by call_answer(). */
void call_answered_by(struct wsf *wsf, struct leg *leg, const json_t *user_data);
/* Offers to the caller what the winner has chosen, or answers its own offer with it. */
void call_negotiate_caller(struct wsf *wsf, struct session *session, const json_t *user_data);
/* An answer to our offer. Consumes the transaction (NULL when the answer came in a response). */
void call_answer(struct wsf *wsf, struct leg *leg, const char *sdp, const json_t *user_data,
                 struct link_transaction *transaction);
/* The endpoint refuses our outstanding offer, which ends an initial session or its branch.
 * `invitation`: it has refused the msetup itself, so there is no session to end for it. */
void call_refused(struct wsf *wsf, struct leg *leg, const GError *error, bool invitation);
/* The endpoint has our answer to its own offer. */
void call_answer_heard(struct wsf *wsf, struct leg *leg);
/* … or refuses it, which ends an initial session; in a call the network offers anew (A6). */
void call_answer_refused(struct wsf *wsf, struct leg *leg, const GError *error);
/* Opens the gates when both sides are negotiated and connected. */
void call_check_connected(struct wsf *wsf, struct session *session);
/* Ends what has waited too long; returns the next deadline or -1. */
gint64 call_tick(struct wsf *wsf, gint64 now);

/* --- call-update*.c: changes of an answered call -------------------------------------------------
 */

/* The endpoint's own offer (6.3.2.6.x.3.1), or its wish that the network offers. Consume the
 * transaction; the response comes at once. */
void call_update_offer(struct wsf *wsf, struct leg *leg, const char *sdp, const char *offer_id,
                       const json_t *user_data, struct link_transaction *transaction);
void call_update_wish(struct wsf *wsf, struct leg *leg, const char *pre_offer,
                      const json_t *user_data, struct link_transaction *transaction);
/* The endpoint's answer to, or refusal of, our offer in a call. The first consumes the transaction.
 */
void call_update_answer(struct wsf *wsf, struct leg *leg, const char *sdp, const json_t *user_data,
                        struct link_transaction *transaction);
/* An answer that no offer waits for any more: where it crossed our withdrawal, the endpoint holds
 * it for given, and the network offers what holds. */
void call_update_late_answer(struct wsf *wsf, struct leg *leg, const char *offer_id);
void call_update_refused(struct wsf *wsf, struct leg *leg, const GError *error);
/* The endpoint asks for another media resource (6.3.2.6.x.3.4). Consumes the transaction; the
 * response carries the offer. */
void call_update_resource(struct wsf *wsf, struct leg *leg, const char *resource_id,
                          const json_t *user_data, struct link_transaction *transaction);
/* Whether the leg is to be the new resource of a change in progress. */
bool call_update_is_target(const struct leg *leg);
/* Its answer; false: it is no such leg, and nothing is consumed. */
bool call_update_target_answer(struct wsf *wsf, struct leg *leg, const char *sdp,
                               struct link_transaction *transaction);
/* Its end: the change has failed. */
void call_update_target_over(struct wsf *wsf, struct leg *leg, const GError *error);
/* Nobody has answered our offer in time. */
void call_update_time_out(struct wsf *wsf, struct session *session);
/* The endpoint of a leg is lost, or back; true when a change in progress sees to the leg. */
void call_update_lost(struct wsf *wsf, struct leg *leg);
bool call_update_resumed(struct wsf *wsf, struct leg *leg);
/* What a leg is taken back to when the change in progress is lost with this process; without one,
 * what it is. Borrowed. */
struct leg_former {
    const struct offer_template *told, *negotiated; /* either may be NULL */
    enum leg_need need;
    bool unheard;
};
struct leg_former call_update_former(const struct leg *leg);
/* Rows of the policy table have other numbers from now on. */
void call_update_renumber(struct session *session, const struct policy *former,
                          const struct policy *policy);
/* Forgets the change of a session that ends. */
void call_change_free(struct session *session);

/* --- call-trickle.c ------------------------------------------------------------------------------
 */

/* Candidates of the endpoint (an array, borrowed, may be NULL), `end`: there are no more. Consumes
 * the transaction, which may be NULL. */
void call_candidates(struct wsf *wsf, struct leg *leg, const json_t *candidates, bool end,
                     struct link_transaction *transaction);
/* The endpoint's last description is in force: what has waited for it follows. */
void call_candidates_ready(struct wsf *wsf, struct leg *leg);
/* … has passed to the other endpoint as it is, in direct media: what has waited follows. */
void call_candidates_passed(struct wsf *wsf, struct leg *leg);
/* … is void: so is what has waited. */
void call_candidates_void(struct leg *leg);
/* The endpoint has made a description, which tells whether candidates may follow. */
void leg_note_description(struct leg *leg, const char *sdp);

/* --- call-network.c: what the network begins itself ----------------------------------------------
 */

/* The leg needs an offer of the network; made now or as soon as it can be. LEG_NEEDS_NOTHING only
 * looks whether something waits. */
void call_network_need(struct wsf *wsf, struct leg *leg, enum leg_need need);
void call_network_retry(struct wsf *wsf, struct session *session);
/* A media centre can be reached again. */
void call_network_media_back(struct wsf *wsf, const char *wmcf);
/* A path that has worked is gone: ICE is restarted once, and only if that does not bring it back
 * the call is over. */
void call_path_lost(struct wsf *wsf, struct leg *leg);
/* The sides of a leg have negotiated anew: a path that was gone may come back now. */
void call_path_negotiated(struct wsf *wsf, struct leg *leg);

/* --- call-end.c ----------------------------------------------------------------------------------
 */

/* One branch is over. `by_endpoint`: it has said so itself and gets no mdisc. May end the call. */
void call_branch_end(struct wsf *wsf, struct leg *leg, enum disc_cause cause, const GError *error,
                     bool by_endpoint);
/* The whole call is over; every live leg but `by` (may be NULL) gets an mdisc. */
void call_end(struct wsf *wsf, struct session *session, enum disc_cause cause, const GError *error,
              const struct leg *by, const json_t *user_data);
/* The endpoint's own mdisc. */
void call_hang_up(struct wsf *wsf, struct leg *leg, enum disc_cause cause, const GError *error,
                  const json_t *user_data);
/* What an error of the media centre or a peer means for a call as cause. */
enum disc_cause call_cause_of(const GError *error);

/* --- call-client.c -------------------------------------------------------------------------------
 */

/* The endpoint's connection, or NULL while it is lost. */
struct link *leg_link(const struct wsf *wsf, const struct leg *leg);
/* Offers the session to a called endpoint, now or when it is back. */
void leg_send_setup(struct wsf *wsf, struct leg *leg);
/* Sends our outstanding offer in an mupdate, now or when it is back. */
void leg_send_offer(struct wsf *wsf, struct leg *leg, const json_t *user_data);
/* Sends our answer to the endpoint's own offer (leg->our_answer), in the response to its msetup
 * while that waits, else in an mupdate; the offer is outstanding until it is acknowledged. */
void leg_send_answer(struct wsf *wsf, struct leg *leg, const json_t *user_data);
/* Refuses the endpoint's own offer, or withdraws ours, with the problem; `offer_id` or NULL. */
void leg_send_refusal(struct wsf *wsf, struct leg *leg, const GError *error, const char *offer_id);
/* Tells something beside an offer; `members` is stolen. Not sent while the endpoint is lost. */
void leg_send_update(struct wsf *wsf, struct leg *leg, json_t *members);
/* Ends the leg towards its endpoint, now and, until it has acknowledged, again when it is back. */
void leg_send_disconnect(struct wsf *wsf, struct leg *leg, enum disc_cause cause,
                         const GError *error, const json_t *user_data);
/* The request itself, for an end that is said again; `members` is stolen. */
void endpoint_send_disconnect(struct wsf *wsf, const struct endpoint *endpoint,
                              const char *media_session_id, json_t *members);
/* Responses to an endpoint's request about this leg, with mediaSessionId and mediaSessionState
 * (A6); `members` (more of them) is stolen, NULL = none. A NULL transaction is no request: nothing
 * is sent. Consumes the transaction. */
void leg_succeed(const struct leg *leg, struct link_transaction *transaction, json_t *members);
void leg_fail(const struct leg *leg, struct link_transaction *transaction, const GError *error);
/* The same when the call has ended before the response was ready. */
void leg_fail_gone(struct link_transaction *transaction);

/* --- call-resume.c -------------------------------------------------------------------------------
 */

/* mediaSessions of the auth response. Transfer full. */
json_t *client_media_sessions(struct wsf *wsf, const struct endpoint *endpoint);
/* The endpoint is back on a new connection: says again what is open. */
void client_resumed(struct wsf *wsf, struct endpoint *endpoint);
/* The connection is lost, the registration lives on. */
void client_lost(struct wsf *wsf, const struct endpoint *endpoint);
/* The registration is over. */
void client_removed(struct wsf *wsf, struct endpoint *endpoint, enum registrar_removal removal);

/* --- notify.c ------------------------------------------------------------------------------------
 */

/* Callbacks of the pool; user = struct wsf. */
extern const struct wmcf_link_ops notify_wmcf_ops;
/* An event of a leg's termination, as told by its media centre or found out later. */
void notify_event(struct wsf *wsf, struct leg *leg, const char *event, const json_t *details);

/* --- call-reconcile.c ----------------------------------------------------------------------------
 */

/* Asks the media centre for the state of a context of ours and catches up with what its calls have
 * missed. */
void call_reconcile(struct wsf *wsf, const char *wmcf, const char *context_id);

static inline struct log_ids session_ids(const struct session *session)
{
    return (struct log_ids){.session = session->id, .context = session->context_id};
}
