/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Pipelines that the WSF keeps in a context of its own: one pipeline termination (protocol B) that
 * belongs to a call or room and is no party of it, such as a recorder, a mixer, a transcoder. Who
 * wants one, its owner, is a `struct context_pipeline_kind` with callbacks and says what it is to
 * take and to give; this file sees to the requests, to what comes too late, and to what is left
 * over.
 *
 * Life. context_pipeline_add() gives a handle at once, which is valid until over() has returned or
 * the owner has called context_pipeline_end(). Of added() and over() the first comes at most once,
 * the second at most once and last; neither from inside of a call of the owner's. After
 * context_pipeline_end() none comes any more.
 *
 * The context. Whoever gives a context back says so by context_pipelines_forget(); everything in it
 * is over then (CONTEXT_PIPELINE_GONE). That it is lost otherwise ends its calls, and so comes to
 * the same.
 *
 * Restart and loss. Nothing is stored: the media centre keeps a termination's appData, where the
 * kind's name and the owner's own members stand. When a control link is up again (after a loss, a
 * kill -9 of this process, a media centre that did not answer) what a context holds is compared:
 * what this process does not know is offered to its kind by adopt(), which takes it over or lets it
 * be subtracted; what has ended meanwhile is told by over(). An owner begins nothing in a context
 * that has not been looked at, or there would be two: context_pipelines_are_known(); looked() tells
 * when it has. A restart of the media centre ends all its calls, and their pipelines with them.
 *
 * Drain of this WSF or of the media centre: calls go on to their end, and so do their pipelines; a
 * media centre that drains takes further ones in contexts that it has.
 *
 * Threads: control. */
#include "base/conf.h"

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>

struct wsf;
struct context_pipeline;
struct context_pipelines;

/* How one has come to its end. In each case but REFUSED, where there is none, and GONE, its
 * termination is subtracted after over(). */
enum context_pipeline_end {
    CONTEXT_PIPELINE_REFUSED, /* it was not made: the media centre's problem */
    CONTEXT_PIPELINE_ENDED,   /* it has given all it has (endOfStream); no error */
    CONTEXT_PIPELINE_FAILED,  /* resourceFailure: WMCF_ERROR with GStreamer's words */
    CONTEXT_PIPELINE_GONE,    /* it is not there any more, with or without its context */
};
const char *context_pipeline_end_name(enum context_pipeline_end end); /* "refused" … */

struct context_pipeline_kind {
    const char *name; /* "record": in appData, metrics */
    /* It runs, and its `routes` are set. May be NULL. */
    void (*added)(struct context_pipeline *pipeline);
    /* The error is borrowed, NULL for ENDED. The owner logs it if somebody shall know: nobody else
     * does. It may add another one here. */
    void (*over)(struct context_pipeline *pipeline, enum context_pipeline_end end,
                 const GError *error);
    /* Of one medium or member only (resourceFailure with `mid`): the pipeline goes on. NULL here:
     * it is as if all of it had failed. The texts are borrowed. */
    void (*medium_over)(struct context_pipeline *pipeline, const char *mid, const char *reason);
    /* One of this kind that the process does not know; app_data is what its owner gave it. True: it
     * is the owner's from now on (context_pipeline_set_user()), as if added() had come. False, or
     * NULL here: it is subtracted. */
    bool (*adopt)(struct wsf *wsf, struct context_pipeline *pipeline, const json_t *app_data);
    /* The context has been looked at, and what there was is adopted. May be NULL. */
    void (*looked)(struct wsf *wsf, const char *wmcf, const char *context_id);
};

/* What is to be made. Texts are borrowed; JSON is stolen, also on failure, and may be NULL. */
struct context_pipeline_config {
    const struct context_pipeline_kind *kind;
    const char *wmcf, *context_id; /* the context must be there */
    const char *template;
    json_t *parameters; /* object: name → value */
    json_t *inputs;     /* [{terminationId, mid, input?}] of terminations of the context */
    json_t *medias;     /* [{mid, mediaType}]: names of what it gives; NULL: the template's */
    /* [{from, to}] of protocol B, set as soon as it runs. An end without terminationId is the
     * pipeline's own. */
    json_t *routes;
    bool stands_in;   /* in a mesh: for who cannot take its input, and for nobody else */
    json_t *app_data; /* object: what adopt() needs to know it again; small */
    void *user;
};

/* --- one -----------------------------------------------------------------------------------------
 */

/* The handle is borrowed. */
struct context_pipeline *context_pipeline_add(struct wsf *wsf,
                                              const struct context_pipeline_config *config);
/* It is no longer wanted: subtracted, now or when its `add` is answered. What it writes is
 * completed. NULL is allowed. */
void context_pipeline_end(struct context_pipeline *pipeline);

/* What has come of a modification; the error is borrowed, NULL: done. Not called once the pipeline
 * is over. */
typedef void (*context_pipeline_fn)(struct context_pipeline *pipeline, const GError *error,
                                    void *user);
/* `modify` with these members (stolen): "inputs", "pipeline" with parameters, "routes", "seek" and
 * so on; contextId and terminationId are added, and in routes an end without terminationId is the
 * pipeline's own. They are sent in order, one after the other, the first when it runs. `done` may
 * be NULL. */
void context_pipeline_modify(struct context_pipeline *pipeline, json_t *members,
                             context_pipeline_fn done, void *user);

struct wsf *context_pipeline_wsf(const struct context_pipeline *pipeline);
/* NULL until added(). Borrowed. */
const char *context_pipeline_termination(const struct context_pipeline *pipeline);
const char *context_pipeline_wmcf(const struct context_pipeline *pipeline);
const char *context_pipeline_context(const struct context_pipeline *pipeline);
/* `medias` as the media centre has told them last, NULL until added(). Borrowed. */
const json_t *context_pipeline_medias(const struct context_pipeline *pipeline);
void *context_pipeline_user(const struct context_pipeline *pipeline);
void context_pipeline_set_user(struct context_pipeline *pipeline, void *user);

/* --- all of them ---------------------------------------------------------------------------------
 */

/* `kinds`: NULL-terminated, static. Transfer full. */
struct context_pipelines *context_pipelines_new(struct wsf *wsf,
                                                const struct context_pipeline_kind *const *kinds);
/* Tells nobody: the process ends, and what runs goes on. */
void context_pipelines_free(struct context_pipelines *pipelines);

/* A context of the process' former life: nothing is begun in it until it has been looked at. */
void context_pipelines_expect(struct context_pipelines *pipelines, const char *wmcf,
                              const char *context_id);
bool context_pipelines_are_known(const struct context_pipelines *pipelines, const char *wmcf,
                                 const char *context_id);
/* `terminations` of an audit of the context. `is_legs` tells which are parties of its calls. */
void context_pipelines_compare(struct context_pipelines *pipelines, const char *wmcf,
                               const char *context_id, const json_t *terminations,
                               bool (*is_legs)(const char *termination_id, const void *user),
                               const void *user);
/* Whether an element of `terminations` is a pipeline: context_pipelines_compare() sees to it. */
bool context_pipelines_is_pipeline(const json_t *termination);
/* The context is given back or lost. */
void context_pipelines_forget(struct context_pipelines *pipelines, const char *wmcf,
                              const char *context_id);
/* An event of a termination, `mid` NULL if it names none; false: it is none of these. */
bool context_pipelines_event(struct context_pipelines *pipelines, const char *wmcf,
                             const char *context_id, const char *termination_id, const char *event,
                             const char *mid, const json_t *details);

/* --- requests of pipelines, also for who keeps its termination itself (call-resource.c) ----------
 */

/* "name=value" of a configuration list as `parameters`: what JSON takes for a number or a boolean
 * is one, anything else a text. NULL gives an empty object. Transfer full. */
json_t *pipeline_parameters(const char *const *list);
/* Whether each of them is name=value; *error names section and key. */
bool pipeline_parameters_check(const struct conf *conf, const char *section, const char *key,
                               GError **error);
/* The media centre's error as the parties of a call hear it: what it does not like of a pipeline is
 * the operator's fault and not theirs (WMCF_ERROR). "`what` cannot be made: …". */
void pipeline_problem(GError **error, const char *what, const GError *cause);
