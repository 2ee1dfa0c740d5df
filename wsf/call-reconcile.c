/* SPDX-License-Identifier: Apache-2.0 */
/* A call after its control link was away. A media centre does not queue events for a link that is
 * gone, so the first look afterwards asks for the state of every call's terminations and tells the
 * call what it has missed, as the events that would have told it. An offer that is outstanding
 * there and nowhere else is withdrawn. */
#define LOG_CATEGORY "call"
#include "wsf/call.h"

#include <string.h>

struct look {
    struct wsf *wsf;
    char *session_id;
};

static const json_t *find_termination(const json_t *terminations, const char *termination_id)
{
    size_t i;
    json_t *item;
    json_array_foreach(terminations, i, item)
    {
        const char *id = json_string_value(json_object_get(item, "terminationId"));
        if (g_strcmp0(id, termination_id) == 0)
            return item;
    }
    return NULL;
}

static void on_withdrawn(struct media_step *step)
{
}

static void compare_leg(struct wsf *wsf, struct leg *leg, const json_t *termination)
{
    const char *state = json_string_value(json_object_get(termination, "state"));
    const json_t *ice = json_object_get(termination, "ice");
    const json_t *dtls = json_object_get(termination, "dtls");
    bool offering = json_is_true(json_object_get(termination, "offerPending"));
    if (!termination) {
        json_auto_t *details = json_pack("{s:s}", "reason", "the termination is gone");
        notify_event(wsf, leg, "resourceFailure", details);
    } else if (g_strcmp0(state, "failed") == 0) {
        json_auto_t *details = json_object();
        json_t *failure = json_object_get(termination, "failure");
        if (failure)
            json_object_set(details, "reason", failure);
        notify_event(wsf, leg, "dtlsFailed", details);
    } else if (g_strcmp0(state, "disconnected") == 0) {
        notify_event(wsf, leg, "consentExpired", NULL);
    } else {
        if (!leg->ice_connected && json_is_true(json_object_get(ice, "connected")))
            notify_event(wsf, leg, "iceConnected", NULL);
        if (!leg->dtls_connected && json_is_true(json_object_get(dtls, "connected")))
            notify_event(wsf, leg, "dtlsConnected", NULL);
    }
    if (offering && leg->offer != OFFER_OURS && !leg->session->change)
        media_rollback(media_step_new(wsf, leg, on_withdrawn));
}

static void compare(struct wsf *wsf, struct session *session, const json_t *terminations)
{
    for (guint i = 0; i <= session->branches->len && session->phase != CALL_ENDED; i++) {
        struct leg *leg = session_leg(session, i);
        if (leg_is_live(leg) && leg->termination_id)
            compare_leg(wsf, leg, find_termination(terminations, leg->termination_id));
    }
}

static void on_state(const struct link_response *response, void *user)
{
    struct look *look = user;
    struct session *session = session_table_find(look->wsf->sessions, look->session_id);
    const json_t *terminations =
        response->success ? json_object_get(response->message, "terminations") : NULL;
    if (session && session->phase != CALL_ENDED && json_is_array(terminations))
        compare(look->wsf, session, terminations);
    g_free(look->session_id);
    g_free(look);
}

void call_reconcile(struct wsf *wsf, struct session *session)
{
    struct look *look = g_new(struct look, 1);
    *look = (struct look){wsf, g_strdup(session->id)};
    json_t *members = json_pack("{s:s, s:[s]}", "contextId", session->context_id, "what", "state");
    wmcf_pool_request(wsf->pool, session->wmcf, "audit", members, on_state, look);
}
