/* SPDX-License-Identifier: Apache-2.0 */
/* Application methods (`method.authority`, 6.3.2.5.x.6): relayed hop by hop, within a media session
 * to the far end of it, outside of one to whom a resourceId names if policy permits; the response
 * comes back the same way. Of a user with several endpoints the one that registered last is asked:
 * a question has one answer. A media resource of this network has no far end: what it knows is
 * answered by call-playback.c; what is said in a room goes to everybody there (room-request.c). */
#define LOG_CATEGORY "application"
#include "wsf-link/json-read.h"
#include "wsf/call-playback.h"
#include "wsf/identity.h"
#include "wsf/methods/methods.h"
#include "wsf/room.h"
#include "wsf/routing.h"

struct relayed {
    struct link_transaction *txn;
    const char *member; /* what the asking side has named: "mediaSessionId" or "resourceId" */
    char *value;
};

static void on_far_response(struct link *link, const struct link_response *response, void *user)
{
    struct relayed *relayed = user;
    json_t *members = json_pack("{s:s}", relayed->member, relayed->value);
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
    g_free(relayed->value);
    g_free(relayed);
}

/* Sends `members` (stolen) on, with the asking side's userData. */
static void relay(struct link *link, struct link_transaction *txn, const char *member,
                  const char *value, json_t *members, const json_t *user_data)
{
    struct relayed *relayed = g_new(struct relayed, 1);
    *relayed = (struct relayed){txn, member, g_strdup(value)};
    if (user_data)
        json_object_set_new(members, "userData", json_deep_copy(user_data));
    link_request(link, link_transaction_method(txn), members, 0, on_far_response, relayed);
}

static void set_away(GError **error)
{
    problem_set_retry(error, PROBLEM_PEER_TIMEOUT, 5, "the far end is not connected at the moment");
}

/* --- within a media session ----------------------------------------------------------------------
 */

static bool relay_in_session(struct client *client, struct link_transaction *txn,
                             const json_t *message, const json_t *user_data, GError **error)
{
    struct leg *near = method_leg(client, message, error);
    struct leg *far = near ? leg_far(near) : NULL;
    if (!near)
        return false;
    if (!far) {
        problem_set(error, PROBLEM_INVALID_STATE, "nobody has answered the call yet");
        return false;
    }
    if (near->session->stay)
        return room_request(client->wsf, near, txn, user_data, error);
    if (far->resource && call_playback_is(client->wsf, link_transaction_method(txn)))
        return call_playback(client->wsf, near, far, txn, user_data, error);
    if (!far->endpoint) {
        problem_set(error, PROBLEM_APP_METHOD_UNKNOWN, "a media resource knows no such methods");
        return false;
    }
    struct link *link = leg_link(client->wsf, far);
    if (!link) {
        set_away(error);
        return false;
    }
    json_t *members = json_pack("{s:s}", "mediaSessionId", far->media_session_id);
    json_t *participant = json_object_get(message, "participantId");
    if (json_is_string(participant) && endpoint_is_wsf(client_endpoint(client)))
        json_object_set(members, "participantId", participant); /* of a room there */
    relay(link, txn, "mediaSessionId", near->media_session_id, members, user_data);
    return true;
}

/* --- outside of one ------------------------------------------------------------------------------
 */

static bool permit(const struct wsf *wsf, const struct endpoint *caller, const struct caller_id *id,
                   const char *resource_id, GError **error)
{
    const struct policy_caller from = {id->subject, caller->kind};
    guint row;
    if (policy_permit(wsf->policy, &from, resource_id, &row, NULL) &&
        policy_application(wsf->policy, row))
        return true;
    problem_set(error, PROBLEM_NOT_AUTHORIZED,
                "application methods are permitted within a media session only");
    return false;
}

static struct endpoint *connected(const struct route *route)
{
    for (guint i = 0; i < route->endpoints->len; i++) {
        struct endpoint *endpoint = g_ptr_array_index(route->endpoints, i);
        if (endpoint->link)
            return endpoint;
    }
    return NULL;
}

static json_t *members_for(const struct endpoint *to, const char *called,
                           const struct caller_id *id, guint hop_limit)
{
    json_t *members = json_pack("{s:s}", "resourceId", called);
    identity_put(members, "assertedOriginatingId", id->asserted, id->authority);
    if (endpoint_is_wsf(to))
        json_object_set_new(members, "hopLimit", json_integer(hop_limit));
    return members;
}

static bool relay_to_resource(struct client *client, struct link_transaction *txn,
                              const json_t *message, const json_t *user_data, GError **error)
{
    const struct wsf *wsf = client->wsf;
    const struct endpoint *caller = client_endpoint(client);
    const char *resource_id = NULL;
    struct caller_id id = {0};
    struct route route = {0};
    guint hop_limit = 0;
    bool good =
        json_read_string(message, "", "resourceId", JSON_REQUIRED, 320, &resource_id, error) &&
        identity_originating(wsf, caller, message, &id, error) &&
        permit(wsf, caller, &id, resource_id, error) &&
        routing_find(wsf, resource_id, caller, &route, error) &&
        routing_hop_limit(wsf, &route, message, caller, &hop_limit, error);
    if (good && route.resource) {
        problem_set(error, PROBLEM_APP_METHOD_UNKNOWN, "a media resource knows no such methods");
        good = false;
    }
    struct endpoint *to = good ? connected(&route) : NULL;
    if (good && !to)
        set_away(error);
    if (to)
        relay(to->link, txn, "resourceId", resource_id,
              members_for(to, route.called, &id, hop_limit), user_data);
    caller_id_finish(&id);
    route_finish(&route);
    return to != NULL;
}

void handle_application(struct client *client, struct link_transaction *txn)
{
    const json_t *message = link_transaction_message(txn), *user_data = NULL;
    const char *id = json_string_value(json_object_get(message, "mediaSessionId"));
    bool in_session = json_object_get(message, "mediaSessionId") != NULL;
    GError *error = NULL;
    if (!method_user_data(client, message, &user_data, &error) ||
        !(in_session ? relay_in_session : relay_to_resource)(client, txn, message, user_data,
                                                             &error))
        method_fail(client, txn, error, id);
}
