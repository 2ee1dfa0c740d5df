/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A step of a termination's offer/answer exchange, in two halves: worked out and checked, then
 * taken. Between them nothing has changed, so that what else a message asks for can be read against
 * the m-lines that the step will leave, and a fault anywhere drops the whole.
 * Threads: control. Errors: INVALID_STATE, INVALID_SDP, SDP_NOT_ACCEPTABLE, INVALID_MESSAGE. */
#include "wmcf/termination.h"

struct negotiation;

/* One at a time per termination. Transfer full; NULL and *error. */

/* An offer of ours. `wanted` NULL: the m-lines as they are. `restart`: new ICE credentials. */
struct negotiation *negotiation_offer(struct termination *termination,
                                      const struct sdp_template *wanted, bool restart,
                                      GError **error);
/* The answer to our outstanding offer. A refused one leaves the offer outstanding. */
struct negotiation *negotiation_accept(struct termination *termination, const char *sdp,
                                       GError **error);
/* The peer's offer; answered at once. Its new ICE credentials get new ones of ours. */
struct negotiation *negotiation_answer(struct termination *termination, const char *sdp,
                                       const struct sdp_template *wanted, GError **error);
/* Withdraws the outstanding offer; INVALID_STATE when there is none. */
struct negotiation *negotiation_rollback(struct termination *termination, GError **error);

/* Our description, NULL where the step makes none. Borrowed. */
const char *negotiation_sdp(const struct negotiation *negotiation);
/* The endpoint's description that will be in force; NULL before there is one. Borrowed. */
const struct sdp_description *negotiation_remote(const struct negotiation *negotiation);
/* Takes the step; it is to be freed then. False and *error when webrtcbin refuses to start; the
 * termination is of no use then. */
bool negotiation_commit(struct negotiation *negotiation, GError **error);
/* Before the commit: as if it had never been. NULL allowed. */
void negotiation_free(struct negotiation *negotiation);
static inline void negotiation_clear(struct negotiation **negotiation)
{
    negotiation_free(*negotiation);
}
#define negotiation_autoptr __attribute__((cleanup(negotiation_clear))) struct negotiation *

/* --- negotiation-transport.c -------------------------------------------------------------------
 */
struct local_candidates { /* of our media addresses */
    struct sdp_candidate list[SDP_MAX_CANDIDATES];
    char text[SDP_MAX_CANDIDATES][46];
    char foundations[SDP_MAX_CANDIDATES][4];
    gsize n;
};
/* Our side of the transport; points into `candidates` and the termination. */
struct sdp_local negotiation_local(const struct termination *termination,
                                   struct local_candidates *candidates);
/* Whether the endpoint's description means an ICE restart (RFC 8839 4.4.1.1.1). */
bool negotiation_restarts(const struct termination *termination,
                          const struct sdp_description *remote);
/* Certificate and DTLS roles stay for the life of a termination. */
bool negotiation_same_peer(const struct termination *termination,
                           const struct sdp_description *remote, GError **error);
/* Tells the relay of the endpoint's side that is in force, and of candidates that came early. */
void negotiation_connect_ice(struct termination *termination, bool we_offered);

/* --- negotiation-medias.c ----------------------------------------------------------------------
 */
/* The medias that `local` means: those there are where mid and place agree, new ones elsewhere.
 * Borrowed elements; new ones are in `*ret_fresh`. Transfer full; NULL and ENFORCEMENT_UNAVAILABLE
 * when one of them cannot be enforced. */
GPtrArray *negotiation_propose_medias(const struct termination *termination,
                                      const struct sdp_description *local, GPtrArray **ret_fresh,
                                      GError **error);
/* They are the termination's now; what is gone is let go of, after the relay has. */
void negotiation_take_medias(struct termination *termination, GPtrArray *medias);
void termination_media_free(struct termination_media *media);
/* Tells the relay of the medias in force, and of the routes that lead to and from them. */
void negotiation_configure_relay(struct termination *termination);
