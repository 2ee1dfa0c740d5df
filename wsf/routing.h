/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Where a resourceId leads (protocol A5). The realm decides: the own realm's registered users
 * or local resources, the realm of a connected content provider or of another operator's WSF.
 * Threads: control. */
#include "wsf/wsf.h"

enum route_kind {
    ROUTE_USER,     /* registered here: every endpoint of the identity rings */
    ROUTE_RESOURCE, /* a local resource: the media centre is the far end */
    ROUTE_ROOM,     /* a conference: so it is, with everybody who is there */
    ROUTE_SERVER,   /* a content provider or WSF; several of the own realm, who may know the user */
};

struct route {
    enum route_kind kind;
    char *called;         /* the resourceId, realm in lower case */
    char *resource;       /* ROUTE_RESOURCE: "media/test", ROUTE_ROOM: "room/hall" */
    GPtrArray *endpoints; /* struct endpoint to ring, borrowed; empty for these two */
};

/* RESOURCE_NOT_FOUND when no way leads there, USER_NOT_REGISTERED when nobody would ring,
 * PEER_WSF_ERROR when the way is down. The caller's own endpoint never rings, and what came from
 * another server never goes back to it. On success and failure *ret may be finished. */
bool routing_find(const struct wsf *wsf, const char *resource_id, const struct endpoint *caller,
                  struct route *ret, GError **error);
/* hopLimit of `message`, an msetup of `caller` (protocol A2): *ret_hop_limit is what goes out when
 * the route leads to another WSF. PEER_WSF_ERROR when it is used up, INVALID_MESSAGE when it is
 * none. */
bool routing_hop_limit(const struct wsf *wsf, const struct route *route, const json_t *message,
                       const struct endpoint *caller, guint *ret_hop_limit, GError **error);
/* "media/test" of a section [resource "…"]. Transfer full. */
char *routing_resource_name(const struct conf *conf, const char *section);
void route_finish(struct route *route);
