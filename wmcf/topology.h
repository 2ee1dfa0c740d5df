/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Who hears and sees whom in a context. Threads: control. */
#include "wmcf/termination.h"

struct mesh; /* mesh.h */

/* --- topology-explicit.c: `routes` of modify ----------------------------------------------------
 */
struct route {
    struct termination *from, *to;
    char from_mid[SDP_MAX_MID + 1];
    struct termination_media *to_media;
};
/* Reads `routes` (absent: none) against the context; nothing is set. In a mesh only those of media
 * that it does not select. Array of struct route. */
GArray *routes_read(struct context *context, const json_t *message, GError **error);
void routes_apply(GArray *routes);

/* --- topology-mesh.c -----------------------------------------------------------------------------
 */
struct mesh_options { /* `mesh` of an add; -1 = not said */
    int last_n, loudest_n;
    int kinds; /* bits by enum sdp_kind: what it selects; the rest is filled by routes */
};
/* INVALID_MESSAGE when it is wrong. Absent: nothing is said. */
bool mesh_options_read(const json_t *message, struct mesh_options *ret, GError **error);
/* Whether they are those of the mesh; what is not said is. */
bool mesh_options_match(const struct mesh *mesh, const struct mesh_options *options);
struct mesh *mesh_new(struct context *context, const struct mesh_options *options);
void mesh_free(struct mesh *mesh);
/* Whether it fills m-lines of this kind; where it does not, `routes` do. */
bool mesh_selects(const struct mesh *mesh, enum sdp_kind kind);
/* Chooses for every joined termination what it gets; raises negotiationNeeded where a slot is
 * missing. Called after an answer was applied, when a termination has left and when the events that
 * are wanted have changed. Does nothing where there is no mesh. */
void mesh_update(struct context *context);
/* The stream that a medium gets, for the WSF; NULL: nothing. In a mesh, of a pipeline that stands
 * in for another stream that one, with the pipeline as "by". Transfer full. */
json_t *topology_source_json(const struct termination_media *media);
/* The termination leaves: to be told before it goes. */
void mesh_forget(struct termination *termination);
/* From the relay: speech in what a termination sends. */
void mesh_activity(struct termination *termination, const char *mid,
                   const struct relay_activity *activity);
/* `mesh` and `activeSpeaker` of the context's audit into `object`. */
void mesh_add_json(const struct mesh *mesh, json_t *object);
/* Meshes that have a member, for metrics. */
guint mesh_count(void);
