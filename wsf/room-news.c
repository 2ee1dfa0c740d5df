/* SPDX-License-Identifier: Apache-2.0 */
#include "wsf/room-news.h"

#include "wsf-link/json-read.h"
#include "base/problem.h"
#include "wsf/offer-template.h"

#define ID_MAX 64
#define NAME_MAX_OCTETS 256
#define CODEC_MAX 32

/* Into `into`, if it is there. */
static bool take_string(const json_t *from, const char *base, const char *name, enum json_need need,
                        size_t max, json_t *into, GError **error)
{
    const char *text = NULL;
    if (!json_read_string(from, base, name, need, max, &text, error))
        return false;
    if (text)
        json_object_set_new(into, name, json_string(text));
    return true;
}

static bool take_mids(const json_t *from, const char *base, json_t *into, GError **error)
{
    const json_t *mids = NULL;
    if (!json_read_array(from, base, "mids", JSON_OPTIONAL, OFFER_MAX_MEDIAS, &mids, error))
        return false;
    json_t *taken = json_array();
    json_object_set_new(into, "mids", taken);
    for (size_t i = 0; i < json_array_size(mids); i++) {
        const json_t *mid = json_array_get(mids, i);
        if (!json_is_string(mid) || json_string_length(mid) > OFFER_MAX_MID) {
            g_autofree char *param = g_strdup_printf("%s/mids/%zu", base, i);
            problem_set_param(error, PROBLEM_INVALID_MESSAGE, param, "this is no mid");
            return false;
        }
        json_array_append(taken, (json_t *)mid);
    }
    return true;
}

static json_t *read_participant(const json_t *item, size_t i, GError **error)
{
    g_autofree char *base = g_strdup_printf("/participants/%zu", i);
    if (!json_is_object(item)) {
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, base,
                          "a participant is an object with the member participantId");
        return NULL;
    }
    json_t *taken = json_object();
    if (take_string(item, base, "participantId", JSON_REQUIRED, ID_MAX, taken, error) &&
        take_string(item, base, "displayName", JSON_OPTIONAL, NAME_MAX_OCTETS, taken, error) &&
        take_string(item, base, "noPicture", JSON_OPTIONAL, CODEC_MAX, taken, error) &&
        take_mids(item, base, taken, error))
        return taken;
    json_decref(taken);
    return NULL;
}

static bool take_participants(const json_t *message, json_t *into, GError **error)
{
    const json_t *participants = NULL;
    if (!json_read_array(message, "", "participants", JSON_OPTIONAL, ROOM_NEWS_PARTICIPANTS,
                         &participants, error))
        return false;
    if (!participants)
        return true;
    json_t *taken = json_array();
    json_object_set_new(into, "participants", taken);
    for (size_t i = 0; i < json_array_size(participants); i++) {
        json_t *one = read_participant(json_array_get(participants, i), i, error);
        if (!one)
            return false;
        json_array_append_new(taken, one);
    }
    return true;
}

json_t *room_news_read(const json_t *message, GError **error)
{
    json_t *news = json_object();
    if (take_string(message, "", "participantId", JSON_OPTIONAL, ID_MAX, news, error) &&
        take_string(message, "", "activeSpeaker", JSON_OPTIONAL, ID_MAX, news, error) &&
        take_participants(message, news, error))
        return news;
    json_decref(news);
    return NULL;
}
