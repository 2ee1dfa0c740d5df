/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A termination of the kind pipeline (protocol B): in place of an endpoint there is a media
 * resource, whose packets go into the relay as a publisher's. It has no description and no
 * transport; in the context it is a source as any other.
 *
 * States: connecting (it starts) → connected (it plays), and failed. Threads: control. */
#include "pipelines/template.h"
#include "wmcf/termination.h"

struct pipeline_termination;

/* Once: the termination plays, or `error` tells why it does not. Without `termination` it has been
 * released meanwhile; with both the receiver releases it. */
typedef void (*pipeline_started_fn)(struct termination *termination, const GError *error,
                                    void *user);

#define PIPELINE_WANTED_MAX 16

/* What is asked for. All borrowed. */
struct pipeline_wanted {
    const char *template_name;
    struct pipeline_argument arguments[PIPELINE_TEMPLATE_PARAMETERS_MAX];
    guint n_arguments;
    /* The mids that the pipeline's media get, by type in the order of their own; those that find
     * none are left out. 0: all, by their own names. */
    struct {
        enum sdp_kind kind;
        const char *mid;
    } medias[PIPELINE_WANTED_MAX];
    guint n_medias;
    struct policy_set policies;
};

/* Puts a termination into the context and starts its pipeline. RESOURCE_NOT_FOUND, INVALID_MESSAGE
 * (under /pipeline/parameters), WMCF_ERROR or RESOURCES_UNAVAILABLE at once; what comes later comes
 * by `done`, later. Transfer none; NULL: nothing was made. */
struct termination *pipeline_termination_add(struct context *context,
                                             const struct pipeline_wanted *wanted,
                                             pipeline_started_fn done, void *user, GError **error);

/* --- for termination.c, negotiation.c and audit.c -----------------------------------------------
 */
/* Stops the pipeline; the relay leg is released when no thread can reach it any more. */
void pipeline_termination_close(struct pipeline_termination *pipeline);
void pipeline_termination_free(struct pipeline_termination *pipeline);
json_t *pipeline_termination_medias_json(const struct pipeline_termination *pipeline);
/* Array of struct sdp_negotiated_media as sdp_negotiate() gives it; empty while it starts. */
GArray *pipeline_termination_negotiated(const struct pipeline_termination *pipeline);
/* Template, state and counters. Transfer full. */
json_t *pipeline_termination_json(const struct pipeline_termination *pipeline);
