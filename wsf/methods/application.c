/* SPDX-License-Identifier: Apache-2.0 */
/* Application methods (`method.authority`): relayed hop by hop to the far end of a call, and its
 * response back. Outside a call they would need a permit that no policy here gives. */
#define LOG_CATEGORY "application"
#include "wsf-link/json-read.h"
#include "wsf/call.h"
#include "wsf/methods/methods.h"

struct relayed {
    struct link_transaction *txn;
    char *media_session_id; /* of the asking side */
};

static void on_far_response(struct link *link, const struct link_response *response, void *user)
{
    struct relayed *relayed = user;
    json_t *members = json_pack("{s:s}", "mediaSessionId", relayed->media_session_id);
    json_t *user_data = json_object_get(response->message, "userData");
    if (user_data)
        json_object_set(members, "userData", user_data);
    if (response->success) {
        link_succeed(relayed->txn, members);
    } else if (problem_code(response->error) == PROBLEM_METHOD_NOT_SUPPORTED) {
        g_autoptr(GError) error = NULL;
        problem_set(&error, PROBLEM_APP_METHOD_UNKNOWN, "the far end does not know this method");
        link_fail(relayed->txn, error, members);
    } else {
        link_fail(relayed->txn, response->error, members);
    }
    g_free(relayed->media_session_id);
    g_free(relayed);
}

static struct leg *far_end(struct client *client, const json_t *message, struct leg **ret_near,
                           GError **error)
{
    if (!json_object_get(message, "mediaSessionId")) {
        problem_set(error, PROBLEM_NOT_AUTHORIZED,
                    "application methods are permitted within a media session only");
        return NULL;
    }
    struct leg *near = method_leg(client, message, error);
    if (!near)
        return NULL;
    struct leg *far = leg_far(near);
    *ret_near = near;
    if (!far)
        problem_set(error, PROBLEM_INVALID_STATE, "nobody has answered the call yet");
    return far;
}

void handle_application(struct client *client, struct link_transaction *txn)
{
    const json_t *message = link_transaction_message(txn), *user_data = NULL;
    const char *id = json_string_value(json_object_get(message, "mediaSessionId"));
    struct leg *near = NULL;
    GError *error = NULL;
    struct leg *far = far_end(client, message, &near, &error);
    struct link *link = far ? leg_link(client->wsf, far) : NULL;
    if (far && !link)
        problem_set_retry(&error, PROBLEM_PEER_TIMEOUT, 5,
                          "the far end is not connected at the moment");
    if (!link || !method_user_data(client, message, &user_data, &error)) {
        method_fail(client, txn, error, id);
        return;
    }
    struct relayed *relayed = g_new(struct relayed, 1);
    *relayed = (struct relayed){txn, g_strdup(near->media_session_id)};
    json_t *members = json_pack("{s:s}", "mediaSessionId", far->media_session_id);
    if (user_data)
        json_object_set_new(members, "userData", json_deep_copy(user_data));
    link_request(link, link_transaction_method(txn), members, 0, on_far_response, relayed);
}
