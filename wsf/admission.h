/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Whether one more call may begin now: calls at a time and attempts per second, of the caller, of
 * the callee and of the server that it came through (protocol A7). Threads: control. */
#include "wsf/routing.h"

struct admission;

/* `kept`: identities whose rate is remembered; the one unused longest is forgotten. */
struct admission *admission_new(guint kept);
void admission_free(struct admission *admission);

struct admission_request {
    const struct endpoint *caller;
    const char *subject; /* whom the call counts for */
    const struct route *route;
    guint row; /* of the policy that permits it */
};
/* Counts an attempt. TOO_MANY_REQUESTS with retryAfter, RESOURCES_UNAVAILABLE or USER_BUSY. */
bool admission_check(struct wsf *wsf, const struct admission_request *request, gint64 now,
                     GError **error);

/* One event of `key` at `rate` per second, a second's worth of them at once; false with the wait in
 * *ret_wait_s. rate 0: not limited. */
bool admission_rate(struct admission *admission, const char *key, guint rate, gint64 now,
                    guint *ret_wait_s);
/* The same for what one party of a call asks for, `what`; false: TOO_MANY_REQUESTS with
 * retryAfter. Not by its endpoint: another network's is that of all its users. */
bool admission_party_rate(struct wsf *wsf, const struct leg *leg, const char *what, guint rate,
                          GError **error);
