/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The context of an `add`: one that is there, or a new one with its topology. Threads: control. */
#include "wmcf/context.h"
#include "wmcf/topology.h"

struct add_context {
    const char *id; /* borrowed from the message; NULL = a new one */
    int topology;   /* enum topology, -1 = not said */
    struct mesh_options mesh;
};

/* `contextId`, `topology` and `mesh`. */
bool add_context_read(const json_t *message, struct add_context *ret, GError **error);
/* CONTEXT_NOT_FOUND; INVALID_STATE when it is of another kind; RESOURCES_UNAVAILABLE for a new one.
 * Borrowed. */
struct context *add_context_get(struct wmcf *wmcf, struct link *link,
                                const struct add_context *wanted, GError **error);
