/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A context (H.248): terminations whose media may be connected, owned by the identity of a WSF.
 * Threads: control. */
#include "wmcf/wmcf.h"

enum topology { TOPOLOGY_EXPLICIT, TOPOLOGY_MESH };
extern const char *const topology_names[]; /* NULL-terminated, by enum topology */

struct mesh;         /* mesh.h */
struct mesh_options; /* topology.h */

struct context {
    struct wmcf *wmcf;
    char *id;
    char *owner;    /* webrtcId of the WSF */
    char *instance; /* instanceId of the link that last touched it: its events go there */
    guint64 group;  /* the relay's group */
    enum topology topology;
    struct mesh *mesh;        /* NULL = explicit */
    GHashTable *terminations; /* terminationId → struct termination, owned */
    GPtrArray *order;         /* struct termination in order of joining, borrowed */
    json_t *app_data;         /* of the `add` that opened it; opaque, NULL = none */
    gint64 created;           /* monotonic µs */
    guint64 events_sent;      /* `sequence` of notify */
};

/* RESOURCES_UNAVAILABLE at the limit. `mesh`: what is said of one, or NULL. Owned by the table of
 * the wmcf. */
struct context *context_new(struct wmcf *wmcf, const char *owner, enum topology topology,
                            const struct mesh_options *mesh, GError **error);
/* Releases every termination and frees the context. */
void context_free(struct context *context);
/* CONTEXT_NOT_FOUND when there is none or it belongs to another WSF. Borrowed. */
struct context *context_find(struct wmcf *wmcf, const char *id, const char *owner, GError **error);
struct termination *context_termination(struct context *context, const char *id, GError **error);
