/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Where a resourceId leads (protocol A5). The realm decides: the own realm's registered users
 * today; local resources, content providers and other operators would be further kinds of route.
 * Threads: control. */
#include "wsf/wsf.h"

struct route {
    char *called;         /* the identity, normalised */
    GPtrArray *endpoints; /* struct endpoint to ring, borrowed, at least one */
};

/* RESOURCE_NOT_FOUND when no way leads there, USER_NOT_REGISTERED when nobody would ring. The
 * caller's own endpoint never rings. On success and failure *ret may be finished. */
bool routing_find(const struct wsf *wsf, const char *resource_id, const struct endpoint *caller,
                  struct route *ret, GError **error);
void route_finish(struct route *route);
