/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A controller: the authenticated identity of a WSF and its links. Its contexts outlive its links
 * for the disconnection time to live. Threads: control. */
#include "wmcf/wmcf.h"

struct controller {
    struct wmcf *wmcf;
    char *identity;   /* webrtcId */
    GPtrArray *links; /* struct controller_link, owned; the newest last */
    struct loop_timer *ttl_timer;
};

extern const struct link_ops controller_link_ops; /* user = struct wmcf */
extern const struct link_protocol controller_protocol;

/* Binds a link that has authenticated; one of the same instanceId is superseded (4409). */
void controller_attach(struct wmcf *wmcf, struct link *link, const char *identity,
                       const char *instance);
void controller_free(struct controller *controller);
/* The identity and the instance that a link has authenticated as, or NULL. */
const char *controller_link_identity(const struct link *link);
const char *controller_link_instance(const struct link *link);
/* The link for events of a context, or NULL while there is none. */
struct link *controller_link_for(struct wmcf *wmcf, const char *identity, const char *instance);
/* Sends to every link of every controller. `make` gives a fresh object each time. */
void controllers_broadcast(struct wmcf *wmcf, const char *method,
                           json_t *(*make)(const struct wmcf *wmcf));
/* Starts the closing handshake (1001) of every link. */
void controllers_close(struct wmcf *wmcf);
