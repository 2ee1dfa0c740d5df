/* SPDX-License-Identifier: Apache-2.0 */
/* Application methods within a room. `view` of the own realm is for the media centre: it tells how
 * large a participant shows its pictures, and nothing of it is kept here. Everything else is an
 * application's own and goes to all others that are there, once, with the sender's participantId;
 * the answers of many are no answer, so none is waited for. */
#define LOG_CATEGORY "room"
#include "wsf-link/json-read.h"
#include "wsf/admission.h"
#include "wsf/call.h"
#include "wsf/room.h"

#include <string.h>

#define VIEW "view."
#define VIEW_RATE 4 /* 1/s of one participant; pages say it when a picture changes its size */
#define VIEW_PIXELS_MAX 16384

/* --- view ----------------------------------------------------------------------------------------
 */

struct viewing {
    struct link_transaction *txn;
    char *media_session_id;
};

static void on_response(const struct link_response *response, void *user)
{
    struct viewing *viewing = user;
    json_t *members = json_pack("{s:s}", "mediaSessionId", viewing->media_session_id);
    if (response->success) {
        link_succeed(viewing->txn, members);
    } else {
        /* It may have been told of an m-line that is not there any more, or that carries nobody. */
        g_autoptr(GError) error = NULL;
        bool of_views = problem_status(response->error->code) < 500;
        problem_set_param(&error, problem_code(response->error),
                          of_views ? "/userData/views" : NULL, "%s", response->error->message);
        link_fail(viewing->txn, error, members);
    }
    g_free(viewing->media_session_id);
    g_free(viewing);
}

static bool refuse_view(GError **error, size_t i, const char *member, const char *sentence)
{
    g_autofree char *pointer = g_strdup_printf("/userData/views/%zu/%s", i, member);
    problem_set_param(error, PROBLEM_INVALID_MESSAGE, pointer, "%s", sentence);
    return false;
}

static bool read_view(const struct leg *leg, const json_t *view, size_t i, json_t *layers,
                      GError **error)
{
    g_autofree char *base = g_strdup_printf("/userData/views/%zu", i);
    const char *mid = NULL;
    gint64 width = 0, height = 0;
    if (!json_is_object(view))
        return refuse_view(error, i, "mid", "a view is an object with mid, width and height");
    if (!json_read_string(view, base, "mid", JSON_REQUIRED, OFFER_MAX_MID, &mid, error) ||
        !json_read_integer(view, base, "width", JSON_REQUIRED, 0, VIEW_PIXELS_MAX, &width, error) ||
        !json_read_integer(view, base, "height", JSON_REQUIRED, 0, VIEW_PIXELS_MAX, &height, error))
        return false;
    const struct offer_media *media = offer_template_media(leg->told, mid);
    if (!media || media->kind != MEDIA_VIDEO || !(media->direction & MEDIA_SENDONLY))
        return refuse_view(error, i, "mid", "there is no picture in an m-line of this mid");
    json_array_append_new(layers, json_pack("{s:s, s:I, s:I}", "mid", mid, "width",
                                            (json_int_t)width, "height", (json_int_t)height));
    return true;
}

static json_t *read_views(const struct leg *leg, const json_t *user_data, GError **error)
{
    const json_t *views = NULL;
    json_auto_t *layers = json_array();
    if (!json_is_object(user_data)) {
        problem_set_param(error, PROBLEM_MISSING_PARAMETER, "/userData",
                          "view takes views: a list of mid, width and height");
        return NULL;
    }
    if (!json_read_array(user_data, "/userData", "views", JSON_REQUIRED, OFFER_MAX_MEDIAS, &views,
                         error))
        return NULL;
    for (size_t i = 0; i < json_array_size(views); i++)
        if (!read_view(leg, json_array_get(views, i), i, layers, error))
            return NULL;
    return json_incref(layers);
}

static bool view(struct wsf *wsf, struct leg *leg, struct link_transaction *txn,
                 const json_t *user_data, GError **error)
{
    const struct session *session = leg->session;
    json_t *layers = admission_party_rate(wsf, leg, "view", VIEW_RATE, error)
                         ? read_views(leg, user_data, error)
                         : NULL;
    if (!layers)
        return false;
    if (json_array_size(layers) == 0) {
        json_decref(layers);
        link_succeed(txn, json_pack("{s:s}", "mediaSessionId", leg->media_session_id));
        return true;
    }
    struct viewing *viewing = g_new(struct viewing, 1);
    *viewing = (struct viewing){txn, g_strdup(leg->media_session_id)};
    wmcf_pool_request(wsf->pool, session->wmcf, "modify",
                      json_pack("{s:s, s:s, s:o}", "contextId", session->context_id,
                                "terminationId", leg->termination_id, "preferredLayer", layers),
                      on_response, viewing);
    return true;
}

/* --- to all others -------------------------------------------------------------------------------
 */

static void pass(const struct room_stay *from, const struct room_stay *to, const char *method,
                 const json_t *user_data)
{
    const struct leg *leg = to->session->caller;
    struct link *link = leg_link(to->room->wsf, leg);
    if (!link || link_is_behind(link) || !room_stay_is_present(to))
        return; /* what was said while somebody was away is not said again */
    json_t *members = json_pack("{s:s, s:s}", "mediaSessionId", leg->media_session_id,
                                "participantId", from->session->participant_id);
    if (user_data)
        json_object_set_new(members, "userData", json_deep_copy(user_data));
    link_request(link, method, members, 0, NULL, NULL);
}

static bool pass_to_all(struct wsf *wsf, struct leg *leg, struct link_transaction *txn,
                        const json_t *user_data, GError **error)
{
    const struct room_stay *stay = leg->session->stay;
    const struct room *room = stay->room;
    guint rate = room->rule ? room->rule->messages_rate : 0;
    if (rate == 0) {
        problem_set(error, PROBLEM_APP_METHOD_UNKNOWN, "this room passes on no such methods");
        return false;
    }
    if (!admission_party_rate(wsf, leg, "message", rate, error))
        return false;
    for (guint i = 0; i < room->stays->len; i++) {
        const struct room_stay *other = g_ptr_array_index(room->stays, i);
        if (other != stay)
            pass(stay, other, link_transaction_method(txn), user_data);
    }
    link_succeed(txn, json_pack("{s:s}", "mediaSessionId", leg->media_session_id));
    return true;
}

bool room_request(struct wsf *wsf, struct leg *leg, struct link_transaction *txn,
                  const json_t *user_data, GError **error)
{
    const char *method = link_transaction_method(txn);
    if (!leg_is_established(leg)) {
        problem_set(error, PROBLEM_INVALID_STATE, "you do not take part in the room yet");
        return false;
    }
    return (g_str_has_prefix(method, VIEW) &&
                    g_ascii_strcasecmp(method + strlen(VIEW), wsf->realm) == 0
                ? view
                : pass_to_all)(wsf, leg, txn, user_data, error);
}
