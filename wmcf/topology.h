/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Who hears and sees whom in a context. Threads: control. */
#include "wmcf/termination.h"

/* --- topology-explicit.c: `routes` of modify ----------------------------------------------------
 */
struct route {
    struct termination *from, *to;
    char from_mid[SDP_MAX_MID + 1];
    struct termination_media *to_media;
};
/* Reads `routes` (absent: none) against the context; nothing is set. Array of struct route. */
GArray *routes_read(struct context *context, const json_t *message, GError **error);
void routes_apply(GArray *routes);

/* --- topology-mesh.c -----------------------------------------------------------------------------
 */
/* Fills free slots of every joined termination; raises negotiationNeeded where none is free. Called
 * after an answer was applied and after a termination left. */
void mesh_update(struct context *context);
