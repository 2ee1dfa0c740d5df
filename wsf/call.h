/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The anchored call between clients of this network (protocol, last paragraph of B): what happens
 * when somebody asks, answers, hangs up, is lost or comes back, and when a media centre speaks.
 *
 *   call.c          the course of a call, from the first termination to the open gates
 *   call-end.c      how branches and calls end, the call record
 *   call-client.c   requests to endpoints; what is said again after a resumption
 *   call-media.c    requests to the media centre, one step each
 *
 * A session that has ended stays valid until the present dispatch is over.
 * Threads: control. */
#include "base/log.h"
#include "wsf/wsf.h"

struct call_request {
    const char *media_session_id; /* made for the caller */
    const struct endpoint *caller;
    const char *called; /* normalised identity */
    const char *asserted_caller;
    const GPtrArray *endpoints;    /* struct endpoint to ring, at least one */
    struct offer_template *wanted; /* stolen */
    const json_t *user_data;       /* or NULL */
    const char *wmcf;
    guint policy;
};

/* --- call.c --------------------------------------------------------------------------------------
 */

void call_start(struct wsf *wsf, const struct call_request *request);
/* A called endpoint rings; `user_data` (borrowed, may be NULL) goes to the caller. */
void call_alerting(struct wsf *wsf, struct leg *leg, const json_t *user_data);
/* An answer to our offer. Consumes the transaction (NULL when the answer came in a response). */
void call_answer(struct wsf *wsf, struct leg *leg, const char *sdp, const json_t *user_data,
                 struct link_transaction *transaction);
/* The endpoint refuses our outstanding offer, which ends an initial session or its branch.
 * `invitation`: it has refused the msetup itself, so there is no session to end for it. */
void call_refused(struct wsf *wsf, struct leg *leg, const GError *error, bool invitation);
/* Opens the gates when both sides are negotiated and connected. */
void call_check_connected(struct wsf *wsf, struct session *session);
/* Ends what has waited too long; returns the next deadline or -1. */
gint64 call_tick(struct wsf *wsf, gint64 now);

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
/* Tells something beside an offer; `members` is stolen. Not sent while the endpoint is lost. */
void leg_send_update(struct wsf *wsf, struct leg *leg, json_t *members);
/* Ends the leg towards its endpoint, now and, until it has acknowledged, again when it is back. */
void leg_send_disconnect(struct wsf *wsf, struct leg *leg, enum disc_cause cause,
                         const GError *error, const json_t *user_data);
/* mediaSessions of the auth response. Transfer full. */
json_t *client_media_sessions(struct wsf *wsf, const struct endpoint *endpoint);
/* The endpoint is back on a new connection: says again what is open. */
void client_resumed(struct wsf *wsf, struct endpoint *endpoint);
/* The connection is lost, the registration lives on. */
void client_lost(struct wsf *wsf, const struct endpoint *endpoint);
/* The registration is over. */
void client_removed(struct wsf *wsf, struct endpoint *endpoint, enum registrar_removal removal);

/* --- call-media.c --------------------------------------------------------------------------------
 */

/* One request to the media centre on behalf of a leg. The session may have ended when the response
 * comes: then `session` and `leg` are NULL. The step is the receiver's until it returns. */
struct media_step {
    struct wsf *wsf;
    struct session *session;
    struct leg *leg;
    struct link_transaction *transaction; /* to be answered by the receiver, or NULL */
    json_t *user_data;
    /* private */
    char *session_id, *wmcf;
    guint leg_index;
    bool new_context;
    void (*done)(struct media_step *step, const struct link_response *response);
};
typedef void (*media_fn)(struct media_step *step, const struct link_response *response);

/* A termination that offers `wanted` to the leg's endpoint. */
void media_add(struct wsf *wsf, struct leg *leg, const struct offer_template *wanted, media_fn done,
               const json_t *user_data);
/* The endpoint's answer, with `routes` (stolen, may be NULL). Takes the transaction. */
void media_answer(struct wsf *wsf, struct leg *leg, const char *sdp, json_t *routes, media_fn done,
                  struct link_transaction *transaction, const json_t *user_data);
void media_gate(struct wsf *wsf, struct leg *leg, const char *flow_status, media_fn done);
void media_subtract(struct wsf *wsf, struct leg *leg);
/* The routes between caller and winner for what both have accepted. Transfer full. */
json_t *media_routes(const struct session *session);

/* --- notify.c ------------------------------------------------------------------------------------
 */

/* Callbacks of the pool; user = struct wsf. */
extern const struct wmcf_link_ops notify_wmcf_ops;

static inline struct log_ids session_ids(const struct session *session)
{
    return (struct log_ids){.session = session->id, .context = session->context_id};
}
