/* SPDX-License-Identifier: Apache-2.0 */
/* What a call says to endpoints. A connection may go at any moment, so nothing is taken as said
 * before it has been acknowledged: on a loss every unanswered request is void, and call-resume.c
 * says again what matters. */
#define LOG_CATEGORY "call"
#include "wsf/call-direct.h"
#include "wsf/call.h"

#include <string.h>

/* Identifies the leg of a request and the connection that it went out on. */
struct saying {
    struct wsf *wsf;
    char *media_session_id;
    guint64 link;
    bool setup, answer;
    guint offer_number;
};

static struct saying *saying_new(struct wsf *wsf, const struct leg *leg, const struct link *link)
{
    struct saying *saying = g_new0(struct saying, 1);
    saying->wsf = wsf;
    saying->media_session_id = g_strdup(leg->media_session_id);
    saying->link = link_number(link);
    saying->offer_number = leg->offer_number;
    return saying;
}

static void saying_free(struct saying *saying)
{
    g_free(saying->media_session_id);
    g_free(saying);
}

struct link *leg_link(const struct wsf *wsf, const struct leg *leg)
{
    const struct endpoint *endpoint = registrar_endpoint(wsf->registrar, leg->endpoint);
    return endpoint ? endpoint->link : NULL;
}

/* The leg while its offer is still the one that the saying was about, and open. */
static struct leg *saying_leg(const struct saying *saying)
{
    struct leg *leg = session_table_leg(saying->wsf->sessions, saying->media_session_id);
    bool open = leg && leg_is_live(leg) && leg->offer == OFFER_OURS && !leg->answer_in_progress;
    return open && leg->offer_number == saying->offer_number ? leg : NULL;
}

/* No response: when the connection went with it the request is void and the resumption speaks. */
static void on_silence(void *data)
{
    struct saying *saying = data;
    struct leg *leg = saying->answer
                          ? session_table_leg(saying->wsf->sessions, saying->media_session_id)
                          : saying_leg(saying);
    struct link *link = leg ? leg_link(saying->wsf, leg) : NULL;
    bool heard = leg && saying->setup && leg->acknowledged;
    if (link && link_number(link) == saying->link && !heard) {
        g_autoptr(GError) error = NULL;
        problem_set(&error, PROBLEM_PEER_TIMEOUT, "an endpoint did not respond in time");
        if (!saying->answer)
            call_refused(saying->wsf, leg, error, false);
        else if (leg->our_answer)
            call_answer_refused(saying->wsf, leg, error);
    }
    saying_free(saying);
}

/* A response cannot be refused: an identity that is not taken is left out. */
static void note_identity(struct wsf *wsf, struct leg *leg, const json_t *message)
{
    struct log_ids ids = session_ids(leg->session);
    g_autoptr(GError) error = NULL;
    if (!leg->caller && !identity_terminating(wsf, leg, message, &error))
        log_info(&ids, "asserted identity not taken: %s", error->message);
}

/* A3: it says success and requires what nobody has said; the session ends with PROTOCOL_ERROR. */
static bool breaks_extensions(const struct link_response *response)
{
    return !response->success && json_is_true(json_object_get(response->message, "success")) &&
           problem_code(response->error) == PROBLEM_EXTENSION_NOT_SUPPORTED;
}

static void on_offer_response(struct link *link, const struct link_response *response, void *user)
{
    struct saying *saying = user;
    struct leg *leg = saying_leg(saying);
    if (!response->message) {
        loop_post("endpoint silent", on_silence, saying);
        return;
    }
    if (leg && leg_is_established(leg) && breaks_extensions(response)) {
        call_end(saying->wsf, leg->session, DISC_PROTOCOL_ERROR, response->error, NULL, NULL);
    } else if (leg && !response->success) {
        /* A3: one that says success and requires what nobody has said still thinks it is invited.
         */
        bool declined = !json_is_true(json_object_get(response->message, "success"));
        call_refused(saying->wsf, leg, response->error, saying->setup && declined);
    } else if (leg) {
        const json_t *message = response->message;
        const char *answer = json_string_value(json_object_get(message, "sdpAnswer"));
        const char *state = json_string_value(json_object_get(message, "mediaSessionState"));
        leg->acknowledged = true;
        note_identity(saying->wsf, leg, message);
        session_changed(leg->session);
        if (saying->setup && leg->state == SESSION_INITIATING)
            leg_set_state(saying->wsf->sessions, leg, SESSION_PROCEEDING, "acknowledged");
        if (saying->setup && g_strcmp0(state, "alerting") == 0)
            call_alerting(saying->wsf, leg, json_object_get(message, "userData"));
        if (answer)
            call_answer(saying->wsf, leg, answer, json_object_get(message, "userData"), NULL);
    }
    saying_free(saying);
}

/* What only another signalling function is told (6.3.2.6.x.2.3). */
static void add_wsf_members(json_t *members, const struct session *session)
{
    json_object_set_new(members, "hopLimit", json_integer(session->hop_limit));
    if (session->preferred_caller)
        json_object_set_new(members, "preferredOriginatingId",
                            json_string(session->preferred_caller));
    if (session->pre_offer)
        json_object_set_new(members, "preOfferDescription", json_string(session->pre_offer));
}

void leg_send_setup(struct wsf *wsf, struct leg *leg)
{
    struct session *session = leg->session;
    const struct endpoint *endpoint = registrar_endpoint(wsf->registrar, leg->endpoint);
    struct link *link = leg_link(wsf, leg);
    if (!link)
        return; /* within its time to live: client_resumed() */
    g_autofree char *offer_id = leg_offer_id(leg);
    json_t *members = json_pack(
        "{s:s, s:s, s:s, s:s, s:s}", "resourceId", leg->called ? leg->called : session->called,
        "mediaSessionId", leg->media_session_id, "mediaSessionState",
        session_state_name(leg->state), "sdpOffer", leg->offer_sdp, "offerId", offer_id);
    identity_put(members, "assertedOriginatingId", session->asserted_caller,
                 session->caller_authority);
    if (session->user_data)
        json_object_set(members, "userData", session->user_data);
    if (endpoint_is_wsf(endpoint))
        add_wsf_members(members, session);
    if (leg->media == &media_direct)
        json_object_set_new(members, "supportedExtension", direct_extensions());
    struct saying *saying = saying_new(wsf, leg, link);
    saying->setup = true;
    link_request(link, "msetup", members, 0, on_offer_response, saying);
}

static void add_far_identity(json_t *members, const struct leg *leg)
{
    const struct leg *winner = leg->session->winner;
    if (leg->caller && winner)
        identity_put(members, "assertedTerminatingId", winner->asserted, winner->authority);
}

/* The response to the caller's msetup, when it still waits. */
static bool respond_setup(const struct leg *leg, json_t *members)
{
    struct session *session = leg->session;
    if (!leg->caller || !session->setup)
        return false;
    leg_succeed(leg, g_steal_pointer(&session->setup), members);
    return true;
}

void leg_send_offer(struct wsf *wsf, struct leg *leg, const json_t *user_data)
{
    struct link *link = leg_link(wsf, leg);
    if (!link)
        return;
    /* A person who is being called has the no-answer time; all other answers are a machine's. */
    if (leg->caller && !leg_is_established(leg))
        leg->offer_deadline =
            loop_now() + conf_int(wsf->conf, "call", "offer_time") * G_USEC_PER_SEC;
    wsf_schedule_sessions(wsf);
    g_autofree char *offer_id = leg_offer_id(leg);
    json_t *members = json_pack("{s:s, s:s}", "sdpOffer", leg->offer_sdp, "offerId", offer_id);
    add_far_identity(members, leg);
    if (user_data)
        json_object_set_new(members, "userData", json_deep_copy(user_data));
    if (respond_setup(leg, members))
        return;
    json_object_set_new(members, "mediaSessionId", json_string(leg->media_session_id));
    json_object_set_new(members, "mediaSessionState", json_string(session_state_name(leg->state)));
    link_request(link, "mupdate", members, 0, on_offer_response, saying_new(wsf, leg, link));
}

/* Our answer is acknowledged, refused, or void with its connection: then the resumption speaks. */
static void on_answer_response(struct link *link, const struct link_response *response, void *user)
{
    struct saying *saying = user;
    struct leg *leg = session_table_leg(saying->wsf->sessions, saying->media_session_id);
    if (leg && leg_is_live(leg) && leg->our_answer && response->message) {
        leg_offer_done(leg);
        if (breaks_extensions(response))
            call_end(saying->wsf, leg->session, DISC_PROTOCOL_ERROR, response->error, NULL, NULL);
        else if (!response->success)
            call_answer_refused(saying->wsf, leg, response->error);
        else
            call_answer_heard(saying->wsf, leg);
    } else if (!response->message) {
        saying->answer = true;
        loop_post("endpoint silent", on_silence, saying);
        return;
    }
    saying_free(saying);
}

void leg_send_answer(struct wsf *wsf, struct leg *leg, const json_t *user_data)
{
    struct link *link = leg_link(wsf, leg);
    if (!link)
        return;
    json_t *members = json_pack("{s:s}", "sdpAnswer", leg->our_answer);
    if (leg->peer_offer_id)
        json_object_set_new(members, "offerId", json_string(leg->peer_offer_id));
    add_far_identity(members, leg);
    if (user_data)
        json_object_set_new(members, "userData", json_deep_copy(user_data));
    if (respond_setup(leg, members)) {
        leg_offer_done(leg);
        leg->settled = true;
        return;
    }
    json_object_set_new(members, "mediaSessionId", json_string(leg->media_session_id));
    json_object_set_new(members, "mediaSessionState", json_string(session_state_name(leg->state)));
    link_request(link, "mupdate", members, 0, on_answer_response, saying_new(wsf, leg, link));
}

void leg_send_refusal(struct wsf *wsf, struct leg *leg, const GError *error, const char *offer_id)
{
    json_t *members = json_pack("{s:o, s:s}", "problemDetails", problem_json(error),
                                "mediaSessionState", session_state_name(leg->state));
    if (offer_id)
        json_object_set_new(members, "offerId", json_string(offer_id));
    if (problem_retry_after(error))
        json_object_set_new(members, "retryAfter", json_integer(problem_retry_after(error)));
    leg_send_update(wsf, leg, members);
}

void leg_send_update(struct wsf *wsf, struct leg *leg, json_t *members)
{
    struct link *link = leg_link(wsf, leg);
    json_object_set_new(members, "mediaSessionId", json_string(leg->media_session_id));
    if (link)
        link_request(link, "mupdate", members, 0, NULL, NULL);
    else
        json_decref(members);
}

/* --- responses -----------------------------------------------------------------------------------
 */

void leg_succeed(const struct leg *leg, struct link_transaction *transaction, json_t *members)
{
    if (!transaction) {
        json_decref(members);
        return;
    }
    json_t *all = json_pack("{s:s, s:s}", "mediaSessionId", leg->media_session_id,
                            "mediaSessionState", session_state_name(leg->state));
    if (members)
        json_object_update(all, members);
    json_decref(members);
    link_succeed(transaction, all);
}

void leg_fail(const struct leg *leg, struct link_transaction *transaction, const GError *error)
{
    if (transaction)
        link_fail(transaction, error,
                  json_pack("{s:s, s:s}", "mediaSessionId", leg->media_session_id,
                            "mediaSessionState", session_state_name(leg->state)));
}

void leg_fail_gone(struct link_transaction *transaction)
{
    g_autoptr(GError) error = NULL;
    problem_set(&error, PROBLEM_MEDIA_SESSION_GONE, "the call has ended meanwhile");
    if (transaction)
        link_fail(transaction, error, NULL);
}

/* --- ends ----------------------------------------------------------------------------------------
 */

struct ending {
    struct wsf *wsf;
    guint64 endpoint;
    char *media_session_id;
};

static void on_disconnected(struct link *link, const struct link_response *response, void *user)
{
    struct ending *ending = user;
    struct endpoint *endpoint = registrar_endpoint(ending->wsf->registrar, ending->endpoint);
    /* A refusal acknowledges as well: the endpoint does not have the session. */
    if (endpoint && response->message)
        endpoint_acknowledge_ended(endpoint, ending->media_session_id);
    g_free(ending->media_session_id);
    g_free(ending);
}

void endpoint_send_disconnect(struct wsf *wsf, const struct endpoint *endpoint,
                              const char *media_session_id, json_t *members)
{
    struct ending *ending = g_new(struct ending, 1);
    *ending = (struct ending){wsf, endpoint->number, g_strdup(media_session_id)};
    link_request(endpoint->link, "mdisc", members, 0, on_disconnected, ending);
}

void leg_send_disconnect(struct wsf *wsf, struct leg *leg, enum disc_cause cause,
                         const GError *error, const json_t *user_data)
{
    struct endpoint *endpoint = registrar_endpoint(wsf->registrar, leg->endpoint);
    bool invited = leg->caller || leg->offer_number > 0;
    if (!endpoint || !invited || (!endpoint->link && !leg->acknowledged))
        return; /* the endpoint knows nothing of the session */
    json_t *members = json_pack("{s:s, s:s, s:s}", "mediaSessionId", leg->media_session_id, "cause",
                                disc_cause_name(cause), "mediaSessionState",
                                session_state_name(SESSION_TERMINATED));
    if (error)
        json_object_set_new(members, "problemDetails", problem_json(error));
    if (user_data)
        json_object_set_new(members, "userData", json_deep_copy(user_data));
    endpoint_add_ended(endpoint, leg->media_session_id, disc_cause_name(cause),
                       json_incref(members));
    if (endpoint->link)
        endpoint_send_disconnect(wsf, endpoint, leg->media_session_id, json_deep_copy(members));
    json_decref(members);
}
