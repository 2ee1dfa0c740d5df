/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A filter that runs in a leg's media path: a local leg of the relay, whose m-lines bear the mids
 * of the leg that they stand in for, and the template's pipeline, which reads what such an m-line
 * is sent and gives back what others get of it.
 *
 * Life: path_pipeline_new() → started, or failed → … → path_pipeline_close(); the rest goes by
 * itself when no thread looks at it any more. Threads: control. */
#include "pipelines/media-resource.h"
#include "wmcf/wmcf.h"

struct path_pipeline;

struct path_medium {
    char mid[SDP_MAX_MID + 1]; /* of the leg */
    enum sdp_kind kind;
    const char *codec;  /* the name as registered; static */
    const char *format; /* what the leg sends; interned */
    const char *input;  /* of the template; interned */
};

struct path_pipeline_ops { /* not after path_pipeline_close() */
    void (*started)(void *user);
    /* Once, the last: it broke, ended, or gives nothing of what it gets. */
    void (*failed)(void *user, const GError *error);
};

/* `group` and `id`: of the leg. Takes the text; the media are copied. RESOURCES_UNAVAILABLE at the
 * limit. */
struct path_pipeline *path_pipeline_new(struct wmcf *wmcf, guint64 group, const char *id,
                                        struct pipeline_text *text,
                                        const struct path_medium *medias, guint n,
                                        const struct path_pipeline_ops *ops, void *user,
                                        GError **error);
/* NULL allowed. */
void path_pipeline_close(struct path_pipeline *pipeline);

bool path_pipeline_started(const struct path_pipeline *pipeline);
/* Where its media come in and go out. Borrowed, until it is closed. */
struct relay_leg *path_pipeline_leg(const struct path_pipeline *pipeline);
/* As media_resource_change(); `base` names the arguments in errors. */
bool path_pipeline_change(struct path_pipeline *pipeline, const struct pipeline_argument *arguments,
                          guint n, const char *base, media_resource_changed_fn done, void *user,
                          GError **error);
/* State and counters into `object`. */
void path_pipeline_add_json(const struct path_pipeline *pipeline, json_t *object);
/* Transfer full; NULL while there is none. */
char *path_pipeline_dot(const struct path_pipeline *pipeline);
