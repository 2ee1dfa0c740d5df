/* SPDX-License-Identifier: Apache-2.0 */
/* A resource's leg has a termination and no endpoint: nobody is offered anything, nobody answers.
 * The pipeline is told which mids its media get, so that the legs of the call agree on them as
 * ever; what the caller cannot receive is left out before anything is offered to it. */
#define LOG_CATEGORY "resource"
#include "wsf/call-resource.h"

#include "wsf/call-transcode.h"
#include "wsf/call.h"
#include "wsf/codec-text.h"
#include "wsf/routing.h"

#include <string.h>

#define MEDIA_PREFIX "media/"

/* --- what the caller can take --------------------------------------------------------------------
 */

static bool is_wanted(const struct offer_media *media)
{
    return !media->rejected && (media->direction & MEDIA_RECVONLY) &&
           media->kind != MEDIA_APPLICATION;
}

static json_t *wanted_medias(const struct offer_template *wanted)
{
    json_t *medias = json_array();
    for (guint i = 0; i < wanted->medias->len; i++) {
        const struct offer_media *media = g_ptr_array_index(wanted->medias, i);
        if (is_wanted(media))
            json_array_append_new(medias, json_pack("{s:s, s:s}", "mid", media->mid, "mediaType",
                                                    media_kind_name(media->kind)));
    }
    return medias;
}

/* Of the codecs that the pipeline gives, those that the caller named; it takes all when it named
 * none. */
static GPtrArray *common_codecs(const json_t *given, const GPtrArray *named)
{
    GPtrArray *codecs = g_ptr_array_new_with_free_func(g_free);
    for (size_t i = 0; i < json_array_size(given); i++) {
        const char *codec = json_string_value(json_array_get(given, i));
        bool common = codec && (!named || named->len == 0);
        for (guint n = 0; codec && named && n < named->len && !common; n++)
            common = codec_text_fits(codec, g_ptr_array_index(named, n));
        if (common)
            g_ptr_array_add(codecs, g_strdup(codec));
    }
    return codecs;
}

static const json_t *media_of(const json_t *medias, const char *mid)
{
    for (size_t i = 0; i < json_array_size(medias); i++) {
        const json_t *media = json_array_get(medias, i);
        if (g_strcmp0(json_string_value(json_object_get(media, "mid")), mid) == 0)
            return media;
    }
    return NULL;
}

static void convert(const struct offer_media *wanted, const json_t *given, GPtrArray *codecs,
                    const struct transcode_skills *skills)
{
    struct offer_media sent = {.kind = wanted->kind, .direction = MEDIA_SENDONLY};
    if (codecs->len > 0 || !skills)
        return;
    sent.codecs = common_codecs(given, NULL);
    if (transcode_target(&sent, wanted, skills))
        g_ptr_array_extend_and_steal(codecs, g_steal_pointer(&sent.codecs));
    g_clear_pointer(&sent.codecs, g_ptr_array_unref);
}

/* What is sent to the caller: from the pipeline's view, for it is the winner. */
static struct offer_template *given_of(const struct offer_template *wanted, const json_t *medias,
                                       const struct transcode_skills *skills, GError **error)
{
    struct offer_template *given = offer_template_copy(wanted);
    for (guint i = given->medias->len; i > 0; i--) {
        struct offer_media *media = g_ptr_array_index(given->medias, i - 1);
        const json_t *told = is_wanted(media) ? media_of(medias, media->mid) : NULL;
        GPtrArray *codecs = common_codecs(json_object_get(told, "codecs"), media->codecs);
        convert(media, json_object_get(told, "codecs"), codecs, skills);
        if (codecs->len == 0) {
            g_ptr_array_unref(codecs);
            g_ptr_array_remove_index(given->medias, i - 1);
            continue;
        }
        g_clear_pointer(&media->codecs, g_ptr_array_unref);
        media->codecs = codecs;
        media->direction = MEDIA_SENDONLY;
    }
    if (given->medias->len > 0)
        return given;
    problem_set(error, PROBLEM_SDP_NOT_ACCEPTABLE,
                "the resource gives no codec that the client can receive");
    offer_template_free(given);
    return NULL;
}

/* --- the pipeline --------------------------------------------------------------------------------
 */

static void on_added(const struct link_response *response, void *user)
{
    struct media_step *step = user;
    g_autoptr(GError) error = NULL;
    media_step_added(step, response);
    struct session *session = session_table_find(step->wsf->sessions, step->session_id);
    if (response->success && session && session->phase != CALL_ENDED) {
        struct leg *leg = session_leg(session, step->leg_index);
        struct offer_template *given =
            given_of(session->wanted, json_object_get(response->message, "medias"),
                     call_transcode_spare(step->wsf, session), &error);
        if (given) {
            leg_set_negotiated(leg, NULL, given);
            leg->ice_connected = leg->dtls_connected = true; /* nothing lies between the two */
        }
    }
    if (!response->success)
        pipeline_problem(&error, "the resource", response->error);
    media_step_finish(step, NULL, error ? error : response->error);
}

/* The section that a resource's name stands for. Transfer none; NULL: none any more. */
static const char *section_of(const struct conf *conf, const char *resource)
{
    const char *const *sections = conf_instances(conf, "resource*");
    for (; *sections; sections++) {
        g_autofree char *name = routing_resource_name(conf, *sections);
        if (g_strcmp0(name, resource) == 0)
            return *sections;
    }
    return NULL;
}

bool resource_has_control(const struct conf *conf, const char *resource)
{
    const char *section = section_of(conf, resource);
    return section && conf_bool(conf, section, "control") && !conf_bool(conf, section, "shared");
}

static json_t *pipeline_of(const struct conf *conf, const char *resource,
                           const struct offer_template *wanted, GError **error)
{
    const char *section = section_of(conf, resource);
    if (!section || !g_str_has_prefix(resource, MEDIA_PREFIX)) {
        problem_set_param(error, PROBLEM_RESOURCE_NOT_FOUND, "/resourceId",
                          "this resource does not exist here");
        return NULL;
    }
    const char *template = conf_string(conf, section, "template");
    json_t *pipeline = json_pack(
        "{s:s, s:o, s:o}", "template", template ? template : resource + strlen(MEDIA_PREFIX),
        "parameters", pipeline_parameters(conf_list(conf, section, "parameters")), "medias",
        wanted_medias(wanted));
    if (conf_bool(conf, section, "shared"))
        json_object_set_new(pipeline, "share", json_string(resource));
    return pipeline;
}

static void no_description(struct media_step *step)
{
    GError *error = NULL;
    problem_set(&error, PROBLEM_INVALID_STATE, "a media resource has no descriptions");
    media_step_finish_later(step, NULL, error);
}

static void resource_offer(struct media_step *step, const struct media_offer *offer)
{
    const struct leg *leg = step->leg;
    GError *error = NULL;
    if (leg->termination_id) { /* it gives what it gives, whatever is wanted of it later */
        media_step_finish_later(step, NULL, NULL);
        return;
    }
    json_t *pipeline = pipeline_of(step->wsf->conf, leg->resource, offer->wanted, &error);
    if (!pipeline) {
        media_step_finish_later(step, NULL, error);
        return;
    }
    json_t *members = json_pack("{s:o, s:[s, s]}", "pipeline", pipeline, "events", "endOfStream",
                                "resourceFailure");
    step->new_context = leg->session->context_id == NULL;
    if (step->new_context) {
        json_object_set_new(members, "topology", json_string("explicit"));
        json_object_set_new(members, "appData", json_pack("{s:s}", "session", leg->session->id));
    } else {
        json_object_set_new(members, "contextId", json_string(leg->session->context_id));
    }
    wmcf_pool_request(step->wsf->pool, step->wmcf, "add", members, on_added, step);
}

static void resource_accept(struct media_step *step, const char *answer, json_t *routes)
{
    json_decref(routes);
    no_description(step);
}

static void resource_answer(struct media_step *step, const struct media_question *question)
{
    no_description(step);
}

static void resource_rollback(struct media_step *step)
{
    media_step_finish_later(step, NULL, NULL);
}

static void resource_set(struct media_step *step, json_t *routes, json_t *policy)
{
    media_anchored.set(step, routes, policy);
}

static void resource_candidates(struct media_step *step, const json_t *candidates, bool end)
{
    no_description(step);
}

static void resource_release(struct wsf *wsf, struct leg *leg)
{
    media_anchored.release(wsf, leg);
}

const struct leg_media media_resource = {
    .name = "resource",
    .offer = resource_offer,
    .accept = resource_accept,
    .answer = resource_answer,
    .rollback = resource_rollback,
    .set = resource_set,
    .candidates = resource_candidates,
    .release = resource_release,
};

bool resource_check(const struct conf *conf, GError **error)
{
    const char *const *sections = conf_instances(conf, "resource*");
    for (; sections && *sections; sections++)
        if (!pipeline_parameters_check(conf, *sections, "parameters", error))
            return false;
    return true;
}
