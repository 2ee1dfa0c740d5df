/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A termination of the kind pipeline (protocol B): in place of an endpoint there is a media
 * resource, whose packets go into the relay as a publisher's. It has no description and no
 * transport; in the context it is a source as any other.
 *
 * States: connecting (it starts) → connected (it plays), and failed. Threads: control. */
#include "wmcf/pipeline-inputs.h"
#include "wmcf/pipeline-members.h"

struct pipeline_termination;
struct pipeline_share;

/* Once: the termination plays, or `error` tells why it does not. Without `termination` it has been
 * released meanwhile; with both the receiver releases it. */
typedef void (*pipeline_started_fn)(struct termination *termination, const GError *error,
                                    void *user);

#define PIPELINE_WANTED_MAX 16
#define PIPELINE_INPUTS_WANTED_MAX (PIPELINE_INPUTS_MAX + MEDIA_RESOURCE_MEMBERS_MAX)

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
    /* Of single inputs and of members of a repeated one, which may have no source. */
    struct pipeline_input_wanted inputs[PIPELINE_INPUTS_WANTED_MAX];
    guint n_inputs;
    bool stands_in;               /* in a mesh: for who cannot take its first input */
    const char *share;            /* the pipeline is one for all who name it so; NULL = its own */
    struct pipeline_share *hosts; /* pipeline-share.c: whose host it is to be; NULL else */
};

/* Puts a termination into the context and starts its pipeline. RESOURCE_NOT_FOUND, INVALID_MESSAGE
 * (under /pipeline/parameters), WMCF_ERROR or RESOURCES_UNAVAILABLE at once; what comes later comes
 * by `done`, later. Transfer none; NULL: nothing was made. */
struct termination *pipeline_termination_add(struct context *context,
                                             const struct pipeline_wanted *wanted,
                                             pipeline_started_fn done, void *user, GError **error);

/* What `modify` wants of a running one. */
struct pipeline_change {
    struct pipeline_argument arguments[PIPELINE_TEMPLATE_PARAMETERS_MAX]; /* borrowed */
    guint n_arguments;
    bool has_pause, pause;
    double seek; /* s; < 0: stay */
};
/* Once, later: it is done, or `error` tells why not. */
typedef void (*pipeline_changed_fn)(const GError *error, void *user);
/* INVALID_MESSAGE (a value, a position behind the end) or INVALID_STATE (it is live, does not play
 * or is being changed) at once, or `done`. */
bool pipeline_termination_change(struct pipeline_termination *pipeline,
                                 const struct pipeline_change *change, pipeline_changed_fn done,
                                 void *user, GError **error);

/* Members of its repeated input come, go or get another source: array of struct
 * pipeline_member_wish, which get names. INVALID_MESSAGE under /inputs, TERMINATION_NOT_FOUND,
 * RESOURCES_UNAVAILABLE or INVALID_STATE at once and nothing done, or `done`, perhaps before this
 * returns. */
bool pipeline_termination_change_members(struct pipeline_termination *pipeline, GArray *wishes,
                                         pipeline_members_fn done, void *user, GError **error);

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
/* Its graph for graphviz; NULL while there is none. Transfer full. */
char *pipeline_termination_dot(const struct pipeline_termination *pipeline);
/* What its medium `mid` is sent as; NULL when there is no such medium. Static. */
const char *pipeline_termination_codec(const struct pipeline_termination *pipeline,
                                       const char *mid);
/* The same as the relay's format. Interned. */
const char *pipeline_termination_format(const struct pipeline_termination *pipeline,
                                        const char *mid);
/* Whether what it gives is for those in a mesh who cannot take its first input; *ret: that input,
 * as long as somebody gives it, else NULL. */
bool pipeline_termination_stands_in(const struct pipeline_termination *pipeline,
                                    const struct termination_media **ret);
/* As pipeline_input_takes(). */
bool pipeline_termination_takes(const struct pipeline_termination *pipeline, const char *name,
                                const struct termination *from, const char *mid,
                                const char *pointer, GError **error);
/* Whose leg gives its medium `mid`, and by which name there: itself, or the host of what it shares;
 * NULL when there is no such medium. Borrowed. */
struct termination *pipeline_termination_source(struct termination *termination, const char *mid,
                                                const char **ret_mid);
