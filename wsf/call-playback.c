/* SPDX-License-Identifier: Apache-2.0 */
/* What a viewer may do with a running resource goes to the media centre as `modify` of its
 * pipeline, and the mere question as `audit`; nothing of it is kept here, since the pipeline knows.
 */
#define LOG_CATEGORY "resource"
#include "wsf/call-playback.h"

#include "wsf-link/json-read.h"
#include "wsf/admission.h"
#include "wsf/call-resource.h"

#include <string.h>

#define METHOD "playback."
#define RATE 10 /* 1/s of one viewer; who draws the bar asks often */

bool call_playback_is(const struct wsf *wsf, const char *method)
{
    return g_str_has_prefix(method, METHOD) &&
           g_ascii_strcasecmp(method + strlen(METHOD), wsf->realm) == 0;
}

struct asking {
    struct link_transaction *txn;
    char *media_session_id;
};

/* The same members for everybody, whatever else the media centre tells of its pipeline. */
static json_t *told_of(const json_t *pipeline)
{
    static const char *const names[] = {"position", "duration", "seekable", "paused"};
    json_t *told = json_object();
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        json_t *value = json_object_get(pipeline, names[i]);
        if (value)
            json_object_set(told, names[i], value);
    }
    return told;
}

static const json_t *pipeline_of(const json_t *message)
{
    const json_t *one = json_array_get(json_object_get(message, "terminations"), 0);
    return json_object_get(one ? one : message, "pipeline");
}

static void on_response(const struct link_response *response, void *user)
{
    struct asking *asking = user;
    json_t *members = json_pack("{s:s}", "mediaSessionId", asking->media_session_id);
    if (response->success) {
        json_object_set_new(members, "userData", told_of(pipeline_of(response->message)));
        link_succeed(asking->txn, members);
    } else {
        g_autoptr(GError) error = NULL;
        bool of_seek = g_strcmp0(problem_param(response->error), "/seek") == 0;
        problem_set_param(&error, problem_code(response->error), of_seek ? "/userData/seek" : NULL,
                          "%s", response->error->message);
        link_fail(asking->txn, error, members);
    }
    g_free(asking->media_session_id);
    g_free(asking);
}

/* *ret: the members of `modify`, NULL when nothing is to change. */
static bool read_wish(const json_t *user_data, json_t **ret, GError **error)
{
    const json_t *seek = json_object_get(user_data, "seek");
    const json_t *pause = json_object_get(user_data, "pause");
    const char *wrong = NULL;
    if (user_data && !json_is_object(user_data))
        wrong = "/userData";
    else if (seek && (!json_is_number(seek) || json_number_value(seek) < 0))
        wrong = "/userData/seek";
    else if (pause && !json_is_boolean(pause))
        wrong = "/userData/pause";
    if (wrong) {
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, wrong,
                          "playback takes seek, in seconds from the beginning, and pause, true or "
                          "false");
        return false;
    }
    *ret = seek || pause ? json_object() : NULL;
    if (seek)
        json_object_set(*ret, "seek", (json_t *)seek);
    if (pause)
        json_object_set(*ret, "pause", (json_t *)pause);
    return true;
}

bool call_playback(struct wsf *wsf, const struct leg *near, const struct leg *resource,
                   struct link_transaction *txn, const json_t *user_data, GError **error)
{
    const struct session *session = near->session;
    json_t *members = NULL;
    if (!admission_party_rate(wsf, near, "playback", RATE, error) ||
        !read_wish(user_data, &members, error))
        return false;
    if (members && !resource_has_control(wsf->conf, resource->resource)) {
        problem_set(error, PROBLEM_NOT_AUTHORIZED,
                    "this resource is not halted or sought by its viewers");
        json_decref(members);
        return false;
    }
    if (!session->context_id || !resource->termination_id) {
        problem_set(error, PROBLEM_INVALID_STATE, "the resource does not play");
        json_decref(members);
        return false;
    }
    const char *method = members ? "modify" : "audit";
    if (!members)
        members = json_object();
    json_object_set_new(members, "contextId", json_string(session->context_id));
    json_object_set_new(members, "terminationId", json_string(resource->termination_id));
    struct asking *asking = g_new(struct asking, 1);
    *asking = (struct asking){txn, g_strdup(near->media_session_id)};
    wmcf_pool_request(wsf->pool, session->wmcf, method, members, on_response, asking);
    return true;
}
