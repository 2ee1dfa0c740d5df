/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Who is at the other end, as the network vouches for it (protocol A5, A7): asserted identities are
 * set here and never taken from a client; from servers they are taken in the realms that the
 * configuration trusts them with. And how identities appear in logs. Threads: control. */
#include "wsf/wsf.h"

#define IDENTITY_ANONYMOUS "anonymous@anonymous.invalid" /* A7 */

/* Of the originating side of a request. */
struct caller_id {
    char *subject;   /* whom policy and limits count: known to us, never told by this alone */
    char *asserted;  /* assertedOriginatingId for the far side */
    char *preferred; /* preferredOriginatingId for another WSF, or NULL */
    char *authority; /* who has verified `asserted` (a DNS name), or NULL */
};

/* Reads preferredOriginatingId, assertedOriginatingId and identityVerified of a request (msetup,
 * mupdate) of `caller`. NOT_AUTHORIZED for an identity that is not the caller's own, or that a
 * server may not assert and its configuration says "refuse". Finish *ret in every case. */
bool identity_originating(const struct wsf *wsf, const struct endpoint *caller,
                          const json_t *message, struct caller_id *ret, GError **error);
void caller_id_finish(struct caller_id *id);

/* The same for the side that was called, kept in its leg: a client or resource as itself; a server
 * may say in any `message` (a request or response of it, NULL for none) who has been reached. */
bool identity_terminating(const struct wsf *wsf, struct leg *leg, const json_t *message,
                          GError **error);

/* Puts an asserted identity and identityVerified into a message; nothing when it is NULL. */
void identity_put(json_t *members, const char *name, const char *asserted, const char *authority);

/* True when the identity (normalised) belongs to this client: its webrtcId or one of `identities`
 * of its [subscriber "name"]. */
bool identity_is_own(const struct wsf *wsf, const struct endpoint *endpoint, const char *webrtc_id);

/* Reads [log] identities; before the first identity_log(). */
bool identity_log_init(const struct conf *conf, GError **error);
/* The identity as logs may show it: itself, or a keyed hash. Valid until eight further calls. Every
 * line that names a user, resource or peer identity uses it. NULL gives "?". */
const char *identity_log(const char *webrtc_id);
