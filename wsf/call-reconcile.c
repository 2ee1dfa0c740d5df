/* SPDX-License-Identifier: Apache-2.0 */
/* A call after its control link was away. A media centre does not queue events for a link that is
 * gone, so the first look afterwards asks for the state of every call's terminations and tells the
 * call what it has missed, as the events that would have told it. An offer that is outstanding
 * there and nowhere else is withdrawn. */
#define LOG_CATEGORY "call"
#include "wsf/call.h"
#include "wsf/room.h"

#include <string.h>

struct look {
    struct wsf *wsf;
    char *wmcf, *context_id;
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
    const json_t *pipeline = json_object_get(termination, "pipeline");
    bool ended = g_strcmp0(json_string_value(json_object_get(pipeline, "state")), "ended") == 0;
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
    } else if (ended) {
        notify_event(wsf, leg, "endOfStream", NULL);
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

/* Somebody's `add` to the room is not answered yet: it may be listed before, where candidates are
 * gathered first. */
static bool is_awaited(const struct room *room)
{
    for (guint i = 0; room && i < room->stays->len; i++) {
        const struct session *session =
            ((struct room_stay *)g_ptr_array_index(room->stays, i))->session;
        if (session->phase != CALL_ENDED && leg_is_live(session->caller) &&
            !session->caller->termination_id)
            return true;
    }
    return false;
}

/* In a room a termination of nobody is one whose `add` has not been heard; everywhere else it goes
 * with its context. */
static void release_strangers(struct wsf *wsf, const struct look *look, const GPtrArray *sessions,
                              const json_t *terminations)
{
    size_t i;
    json_t *item;
    json_array_foreach((json_t *)terminations, i, item)
    {
        const char *id = json_string_value(json_object_get(item, "terminationId"));
        bool known = false;
        for (guint s = 0; s < sessions->len && !known; s++) {
            const struct session *session = g_ptr_array_index(sessions, s);
            known = !session->stay || session_leg_of_termination(session, id);
        }
        if (!known && id && !context_pipelines_is_pipeline(item))
            wmcf_pool_subtract(wsf->pool, look->wmcf, look->context_id, id);
    }
}

static bool is_legs(const char *termination_id, const void *user)
{
    const GPtrArray *sessions = user;
    for (guint i = 0; i < sessions->len; i++)
        if (session_leg_of_termination(g_ptr_array_index(sessions, i), termination_id))
            return true;
    return false;
}

static void look_at_room(struct wsf *wsf, struct session *session, const json_t *terminations)
{
    struct leg *leg = session->caller;
    if (session->phase == CALL_ENDED || !session->stay || !leg->termination_id)
        return;
    const json_t *termination = find_termination(terminations, leg->termination_id);
    room_note_medias(leg, json_object_get(termination, "medias"));
    room_count_slots(wsf, leg);
}

/* Whose context it is, while somebody is there; NULL: no room's. */
static struct room *room_of(const GPtrArray *sessions)
{
    for (guint i = 0; i < sessions->len; i++) {
        const struct session *session = g_ptr_array_index(sessions, i);
        if (session->phase != CALL_ENDED && session->stay)
            return session->stay->room;
    }
    return NULL;
}

static void on_state(const struct link_response *response, void *user)
{
    struct look *look = user;
    struct wsf *wsf = look->wsf;
    g_autoptr(GPtrArray) sessions =
        session_table_in_context(wsf->sessions, look->wmcf, look->context_id);
    const json_t *terminations =
        response->success ? json_object_get(response->message, "terminations") : NULL;
    for (guint i = 0; json_is_array(terminations) && i < sessions->len; i++) {
        struct session *session = g_ptr_array_index(sessions, i);
        if (session->phase != CALL_ENDED)
            compare(wsf, session, terminations);
        look_at_room(wsf, session, terminations);
    }
    struct room *room = response->success ? room_of(sessions) : NULL;
    if (room)
        room_mix_note(room, response->message);
    if (sessions->len > 0 && !is_awaited(room))
        release_strangers(wsf, look, sessions, terminations);
    if (sessions->len > 0 && json_is_array(terminations))
        context_pipelines_compare(wsf->pipelines, look->wmcf, look->context_id, terminations,
                                  is_legs, sessions);
    room = response->success ? room_of(sessions) : NULL;
    if (room)
        room_note_speaker(room, json_object_get(response->message, "activeSpeaker"));
    g_free(look->wmcf);
    g_free(look->context_id);
    g_free(look);
}

void call_reconcile(struct wsf *wsf, const char *wmcf, const char *context_id)
{
    struct look *look = g_new(struct look, 1);
    *look = (struct look){wsf, g_strdup(wmcf), g_strdup(context_id)};
    json_t *members = json_pack("{s:s, s:[s]}", "contextId", context_id, "what", "state");
    wmcf_pool_request(wsf->pool, wmcf, "audit", members, on_state, look);
}
