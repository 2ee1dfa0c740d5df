/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Bearer tokens (RFC 6750): JWTs (RFC 7519) signed with RS256 or ES256, checked against a JWK set
 * (RFC 7517). Threads: control. */
#include <glib.h>
#include <stdbool.h>

struct auth_bearer;

/* What a token must say; NULL members are not checked. */
struct bearer_rules {
    const char *issuer, *audience;
    guint clock_skew_s;
};

/* Transfer full; NULL and INVALID_MESSAGE when the file is no JWK set or has no usable key. Keys
 * other than RSA of 2048 bits or more and EC P-256 are skipped. */
struct auth_bearer *auth_bearer_load(const char *file, GError **error);
void auth_bearer_free(struct auth_bearer *bearer);
guint auth_bearer_count(const struct auth_bearer *bearer);
/* Checks "Bearer <token>" at `now_unix` seconds for the identity; *ret_expires is its exp. The
 * reason of a refusal is for the log only: AUTHENTICATION_FAILED in every case. */
bool auth_bearer_check(const struct auth_bearer *bearer, const char *authorization,
                       const struct bearer_rules *rules, const char *webrtc_id, gint64 now_unix,
                       gint64 *ret_expires, GError **error);
