/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Authentication as a whole: which kinds are configured, the pool of threads for password hashes,
 * the counters of failures. The `auth` method (methods/auth.c) speaks the protocol, this knows the
 * answer. Threads: control. */
#include "base/conf.h"

#include <glib.h>
#include <stdbool.h>

struct auth;

struct auth *auth_new(const struct conf *conf, GError **error);
/* Ends the threads; who still waits is told "not good" before it returns. */
void auth_free(struct auth *auth);
/* Reads the files again; on failure what was good stays in use. */
bool auth_reload(struct auth *auth, GError **error);

/* True when this identity has a password here; tokens and certificates may name others. */
bool auth_knows(const struct auth *auth, const char *webrtc_id);
bool auth_has_basic(const struct auth *auth);
bool auth_has_bearer(const struct auth *auth);

typedef void (*auth_fn)(bool good, void *user);
/* Checks in the pool; done from the loop. RESOURCES_UNAVAILABLE with retryAfter when too many wait:
 * then done is not called. */
bool auth_check_basic(struct auth *auth, const char *webrtc_id, const char *password, auth_fn done,
                      void *user, GError **error);
/* At once. *ret_lifetime: seconds until the token ends. */
bool auth_check_bearer(struct auth *auth, const char *authorization, const char *webrtc_id,
                       gint64 *ret_lifetime, GError **error);

/* TOO_MANY_REQUESTS with retryAfter when this identity or address must wait. */
bool auth_admit(struct auth *auth, const char *webrtc_id, const char *address, GError **error);
/* Counts; returns the seconds to tell as retryAfter, or 0. */
guint auth_failed(struct auth *auth, const char *webrtc_id, const char *address);
void auth_succeeded(struct auth *auth, const char *webrtc_id);
