/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* `mediaPath` "pipeline" of a peer connection (protocol B): what its endpoint sends goes through a
 * filter before others get it. The leg is anchored as any other; what changes is where the routes
 * from it begin. The filter is made anew when a negotiation has changed what goes in, and may come
 * and go while the call lasts.
 * Threads: control. */
#include "wmcf/pipeline-termination.h"

struct media_path;

/* What is asked for; borrowed from the message. */
struct media_path_wanted {
    bool said, relay; /* `mediaPath` is there; it is "relay" */
    const char *template_name;
    bool bypass; /* `onFailure`: media go by a filter that has failed; else the leg fails with it */
    struct pipeline_argument arguments[PIPELINE_TEMPLATE_PARAMETERS_MAX];
    guint n_arguments;
};
/* `mediaPath`, and what goes with it of `pipeline`. */
bool media_path_read(const json_t *message, struct media_path_wanted *ret, GError **error);

/* RESOURCE_NOT_FOUND, INVALID_MESSAGE (no filter; under /pipeline/parameters) or WMCF_ERROR.
 * Nothing is changed before media_path_set(). Transfer full. */
struct media_path *media_path_new(struct termination *termination,
                                  const struct media_path_wanted *wanted, GError **error);
void media_path_free(struct media_path *path); /* NULL allowed */
static inline void media_path_clear(struct media_path **path)
{
    media_path_free(*path);
}
#define media_path_autoptr __attribute__((cleanup(media_path_clear))) struct media_path *

/* The path is the termination's from now on, in place of the one before; NULL: straight again. */
void media_path_set(struct termination *termination, struct media_path *path);
/* The relay has been told of what is negotiated. Nothing happens where there is no path. */
void media_path_update(struct termination *termination);
/* Where others get medium `mid` from: the leg, its filter, or NULL while that is not ready. */
struct relay_leg *media_path_leg(const struct termination *termination, const char *mid);

/* Other values; `done` may be told before this returns. Errors as pipeline_termination_change(). */
bool media_path_change(struct media_path *path, const struct pipeline_argument *arguments, guint n,
                       pipeline_changed_fn done, void *user, GError **error);
/* `mediaPath` and `filter` into `object`; nothing without a path. */
void media_path_add_json(const struct termination *termination, json_t *object);
char *media_path_dot(const struct media_path *path); /* transfer full; NULL = nothing runs */
