/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Where a resourceId leads (protocol A5). The realm decides: the own realm's registered users
 * or local resources, the realm of a connected content provider or of another operator's WSF.
 * Threads: control. */
#include "wsf/wsf.h"

enum route_kind {
    ROUTE_USER,     /* registered here: every endpoint of the identity rings */
    ROUTE_RESOURCE, /* a local resource: the media centre is the far end */
    ROUTE_SERVER,   /* the realm of a connected content provider or WSF: one endpoint, its link */
};

struct route {
    enum route_kind kind;
    char *called;         /* the resourceId, realm in lower case */
    char *resource;       /* ROUTE_RESOURCE: "media/test" */
    GPtrArray *endpoints; /* struct endpoint to ring, borrowed; empty for a resource */
};

/* RESOURCE_NOT_FOUND when no way leads there, USER_NOT_REGISTERED when nobody would ring. The
 * caller's own endpoint never rings. On success and failure *ret may be finished. */
bool routing_find(const struct wsf *wsf, const char *resource_id, const struct endpoint *caller,
                  struct route *ret, GError **error);
void route_finish(struct route *route);
