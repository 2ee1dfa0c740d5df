/* SPDX-License-Identifier: Apache-2.0 */
/* `mupdate` of an endpoint: its offers and wishes, its answer to our offer or refusal of it,
 * candidates, that it rings, and data for the far end. What cannot be done is refused with a
 * sentence and changes nothing. */
#define LOG_CATEGORY "mupdate"
#include "wsf-link/json-read.h"
#include "wsf/call.h"
#include "wsf/methods/methods.h"
#include "wsf/recording.h"
#include "wsf/room-news.h"

#include <string.h>

struct update {
    const char *offer, *answer, *pre_offer, *resource_id;
    const json_t *problem;
    const char *offer_id;
    const char *state;
    const json_t *user_data;
    const json_t *room_news; /* {} when there is none */
    const json_t *candidates;
    bool end_of_candidates;
};

static bool read_sdp(struct client *client, const json_t *message, const char *name,
                     const char **ret, GError **error)
{
    return json_read_string(message, "", name, JSON_OPTIONAL,
                            conf_int(client->wsf->conf, "call", "sdp_max"), ret, error);
}

static bool check_members(const json_t *message, const struct update *update, GError **error)
{
    guint exclusive = !!update->offer + !!update->answer + !!update->pre_offer +
                      !!update->resource_id + !!update->problem;
    enum session_state state;
    if (exclusive > 1) {
        problem_set(error, PROBLEM_INVALID_MESSAGE,
                    "at most one of sdpOffer, sdpAnswer, preOfferDescription, resourceId and "
                    "problemDetails may be said at once");
        return false;
    }
    if (update->state && !session_state_parse(update->state, &state)) {
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, "/mediaSessionState",
                          "this is not the name of a state");
        return false;
    }
    return true;
}

/* Their form only: whoever uses them reads them. */
static bool read_candidates(struct client *client, const json_t *message, struct update *update,
                            GError **error)
{
    size_t max = conf_int(client->wsf->conf, "call", "candidates_max"), i;
    json_t *item;
    if (!json_read_array(message, "", "candidates", JSON_OPTIONAL, max, &update->candidates,
                         error) ||
        !json_read_boolean(message, "", "endOfCandidates", JSON_OPTIONAL,
                           &update->end_of_candidates, error))
        return false;
    json_array_foreach((json_t *)update->candidates, i, item)
    {
        const char *text = NULL;
        g_autofree char *base = g_strdup_printf("/candidates/%zu", i);
        if (!json_is_object(item)) {
            problem_set_param(error, PROBLEM_INVALID_MESSAGE, base,
                              "a candidate is an object with the member candidate");
            return false;
        }
        if (!json_read_string(item, base, "candidate", JSON_REQUIRED, 1024, &text, error) ||
            !json_read_string(item, base, "sdpMid", JSON_OPTIONAL, 16, &text, error) ||
            !json_read_string(item, base, "usernameFragment", JSON_OPTIONAL, 256, &text, error))
            return false;
    }
    return true;
}

static bool read_update(struct client *client, const json_t *message, struct update *update,
                        GError **error)
{
    return read_sdp(client, message, "sdpOffer", &update->offer, error) &&
           read_sdp(client, message, "sdpAnswer", &update->answer, error) &&
           read_sdp(client, message, "preOfferDescription", &update->pre_offer, error) &&
           json_read_string(message, "", "resourceId", JSON_OPTIONAL, 320, &update->resource_id,
                            error) &&
           json_read_object(message, "", "problemDetails", JSON_OPTIONAL, &update->problem,
                            error) &&
           json_read_string(message, "", "offerId", JSON_OPTIONAL, 64, &update->offer_id, error) &&
           json_read_string(message, "", "mediaSessionState", JSON_OPTIONAL, 32, &update->state,
                            error) &&
           method_user_data(client, message, &update->user_data, error) &&
           read_candidates(client, message, update, error) && check_members(message, update, error);
}

static void refuse_offer(struct client *client, struct leg *leg, const struct update *update,
                         struct link_transaction *txn)
{
    const char *cause = json_string_value(json_object_get(update->problem, "cause"));
    const char *detail = json_string_value(json_object_get(update->problem, "detail"));
    int code = cause ? problem_from_cause(cause) : -1;
    g_autoptr(GError) refusal = NULL;
    problem_set(&refusal, code >= 0 ? code : PROBLEM_SDP_NOT_ACCEPTABLE, "%.200s",
                detail ? detail : "the endpoint has refused the offer");
    leg_succeed(leg, txn, NULL);
    call_refused(client->wsf, leg, refusal, false);
}

/* The rest only informs: the endpoint rings, or has data for the far end. */
static void inform(struct client *client, struct leg *leg, const struct update *update,
                   const json_t *message)
{
    struct leg *far = leg_far(leg);
    const json_t *recording = json_object_get(message, "recording");
    bool alerting = g_strcmp0(update->state, "alerting") == 0;
    json_t *news = json_copy((json_t *)update->room_news);
    if (json_is_boolean(recording) && endpoint_is_wsf(client_endpoint(client)))
        recording_heard(client->wsf, leg, json_is_true(recording));
    if (far && json_object_size(news) > 0)
        leg_keep_room_news(far, news);
    if (!alerting && far && update->user_data)
        json_object_set(news, "userData", (json_t *)update->user_data);
    if (alerting && !leg->caller)
        call_alerting(client->wsf, leg, update->user_data);
    else if (far && json_object_size(news) > 0)
        leg_send_update(client->wsf, far, json_deep_copy(news));
    json_decref(news);
}

/* The caller may become another one of its identities; a server tells who has been reached. */
static bool read_identities(struct client *client, struct leg *leg, const json_t *message,
                            GError **error)
{
    struct caller_id id = {0};
    if (!leg->caller && !identity_terminating(client->wsf, leg, message, error))
        return false;
    if (!json_object_get(message, "preferredOriginatingId"))
        return true;
    bool good = identity_originating(client->wsf, client_endpoint(client), message, &id, error);
    if (good && leg->caller) {
        struct session *session = leg->session;
        g_free(session->asserted_caller);
        g_free(session->caller_authority);
        g_free(session->preferred_caller);
        session->asserted_caller = g_steal_pointer(&id.asserted);
        session->caller_authority = g_steal_pointer(&id.authority);
        session->preferred_caller = g_steal_pointer(&id.preferred);
        session_changed(session);
    }
    caller_id_finish(&id);
    return good;
}

/* What the message says beside candidates. Consumes the transaction. */
static void handle_update(struct client *client, struct leg *leg, const struct update *update,
                          struct link_transaction *txn)
{
    GError *error = NULL;
    bool of_offer = update->answer || update->problem;
    if (of_offer && !leg_check_answer(leg, update->offer_id, &error)) {
        g_autofree char *offer_id = g_strdup(update->offer_id); /* the answer ends the message */
        bool answer = update->answer != NULL;
        method_fail(client, txn, error, leg->media_session_id);
        if (answer)
            call_update_late_answer(client->wsf, leg, offer_id);
    } else if (update->offer) {
        call_update_offer(client->wsf, leg, update->offer, update->offer_id, update->user_data,
                          txn);
    } else if (update->pre_offer) {
        call_update_wish(client->wsf, leg, update->pre_offer, update->user_data, txn);
    } else if (update->resource_id) {
        call_update_resource(client->wsf, leg, update->resource_id, update->user_data, txn);
    } else if (update->answer) {
        call_answer(client->wsf, leg, update->answer, update->user_data, txn);
    } else if (update->problem) {
        refuse_offer(client, leg, update, txn);
    } else {
        inform(client, leg, update, link_transaction_message(txn));
        leg_succeed(leg, txn, NULL);
    }
}

void handle_mupdate(struct client *client, struct link_transaction *txn)
{
    const json_t *message = link_transaction_message(txn);
    struct update update = {0};
    GError *error = NULL;
    struct leg *leg = method_leg(client, message, &error);
    const char *id = json_string_value(json_object_get(message, "mediaSessionId"));
    /* Who is in a room of another network, and who speaks there, is for our side's client: mids are
     * the same on both legs. Only a signalling function has rooms. */
    json_auto_t *news = leg && endpoint_is_wsf(client_endpoint(client))
                            ? room_news_read(message, &error)
                            : json_object();
    update.room_news = news;
    if (!leg || !news || !read_update(client, message, &update, &error) ||
        !read_identities(client, leg, message, &error)) {
        method_fail(client, txn, error, id);
        return;
    }
    if (!leg->acknowledged) {
        leg->acknowledged = true;
        session_changed(leg->session);
    }
    bool alone = !update.offer && !update.answer && !update.pre_offer && !update.problem &&
                 !update.resource_id;
    if (!update.candidates && !update.end_of_candidates) {
        handle_update(client, leg, &update, txn);
    } else if (alone) {
        inform(client, leg, &update, message);
        call_candidates(client->wsf, leg, update.candidates, update.end_of_candidates, txn);
    } else {
        /* They belong to the description beside them; the message is gone with its response. */
        json_auto_t *candidates = json_incref((json_t *)update.candidates);
        handle_update(client, leg, &update, txn);
        if (leg_is_live(leg))
            call_candidates(client->wsf, leg, candidates, update.end_of_candidates, NULL);
    }
}
