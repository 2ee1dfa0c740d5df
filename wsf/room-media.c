/* SPDX-License-Identifier: Apache-2.0 */
/* What a participant is offered. Its own media come first, as its pre-offer has them; each of them
 * that may receive is a slot for somebody else as well, and further slots follow for as many as are
 * there already, so that a newcomer sees all with its first negotiation. Later the media centre
 * says where slots are missing. Slots are never taken away: an empty one costs a line of SDP, to
 * take it away costs a negotiation. */
#define LOG_CATEGORY "room"
#include "wsf/room.h"

#include "wsf/call.h"

#include <string.h>

/* Protocol B: a media centre has so many slots of a kind for one endpoint, unless it asks for more.
 */
#define SLOTS_AT_START 16

static const enum media_kind kinds[] = {MEDIA_AUDIO, MEDIA_VIDEO};

/* --- templates -----------------------------------------------------------------------------------
 */

/* A medium of the kind that can be sent to the participant, for its codecs. Views are ours. */
static const struct offer_media *slot_of(const struct offer_template *offer, enum media_kind kind)
{
    for (guint i = 0; i < offer->medias->len; i++) {
        const struct offer_media *media = g_ptr_array_index(offer->medias, i);
        if (media->kind == kind && !media->rejected && (media->direction & MEDIA_SENDONLY))
            return media;
    }
    return NULL;
}

static void fill_slots(struct offer_template *offer, enum media_kind kind, guint wanted)
{
    const struct offer_media *like = slot_of(offer, kind);
    guint have = offer_template_count(offer, kind, MEDIA_SENDONLY);
    while (like && have++ < wanted && offer->medias->len < OFFER_MAX_MEDIAS)
        offer_template_add(offer, kind, MEDIA_SENDONLY, like->codecs);
}

static guint most_of(const struct room *room, enum media_kind kind)
{
    guint limit = !room->rule           ? 0
                  : kind == MEDIA_AUDIO ? room->rule->loudest_n
                                        : room->rule->last_n;
    return limit ? MIN(limit, SLOTS_AT_START) : SLOTS_AT_START;
}

/* Streams of a kind that the others give. */
static guint streams_for(const struct room_stay *stay, enum media_kind kind)
{
    const GPtrArray *stays = stay->room->stays;
    guint n = 0;
    if (kind == MEDIA_AUDIO && stay->room->mixes)
        return 0; /* its own m-line brings it the sum */
    for (guint i = 0; i < stays->len; i++) {
        const struct room_stay *other = g_ptr_array_index(stays, i);
        const struct offer_template *given = other->session->caller->negotiated;
        if (other != stay && room_stay_is_present(other) && given)
            n += offer_template_count(given, kind, MEDIA_SENDONLY);
    }
    return MIN(n, most_of(stay->room, kind));
}

/* The room's side of what a participant wants, without slots that it has not named. */
static struct offer_template *taken_of(const struct offer_template *wanted)
{
    struct offer_template *given = offer_template_mirror(wanted);
    offer_template_drop(given, MEDIA_APPLICATION);
    return given;
}

static struct offer_template *given_at_start(const struct room_stay *stay)
{
    struct offer_template *given = taken_of(stay->session->wanted);
    for (size_t k = 0; k < G_N_ELEMENTS(kinds); k++)
        fill_slots(given, kinds[k], streams_for(stay, kinds[k]));
    return given;
}

void room_follow(struct leg *room_leg, const struct offer_template *wanted)
{
    leg_set_negotiated(room_leg, NULL, taken_of(wanted));
}

void room_keep_slots(struct offer_template *wanted, const struct offer_template *told)
{
    offer_template_auto *of_participant = offer_template_mirror(told);
    for (guint i = 0; i < of_participant->medias->len; i++) {
        const struct offer_media *media = g_ptr_array_index(of_participant->medias, i);
        if (!offer_template_media(wanted, media->mid) && (media->direction & MEDIA_RECVONLY))
            offer_template_append(wanted, media, MEDIA_RECVONLY);
    }
}

void room_add_slots(const struct leg *leg, struct offer_template *offer)
{
    const struct room_stay *stay = leg->session->stay;
    for (size_t k = 0; k < G_N_ELEMENTS(kinds); k++)
        fill_slots(offer, kinds[k], stay->slots[k]);
}

/* --- missing slots -------------------------------------------------------------------------------
 */

/* A participant that has refused slots is not asked again: it cannot, or does not want more. */
static bool takes_more(const struct leg *leg, enum media_kind kind)
{
    guint told = offer_template_count(leg->told, kind, MEDIA_SENDONLY);
    return told > 0 && offer_template_count(leg->negotiated, kind, MEDIA_RECVONLY) >= told;
}

bool room_lacks_slots(const struct leg *leg)
{
    const struct room_stay *stay = leg->session->stay;
    for (size_t k = 0; stay && leg->told && leg->negotiated && k < G_N_ELEMENTS(kinds); k++)
        if (stay->slots[k] > offer_template_count(leg->told, kinds[k], MEDIA_SENDONLY) &&
            takes_more(leg, kinds[k]))
            return true;
    return false;
}

void room_give_up_slots(const struct leg *leg)
{
    struct room_stay *stay = leg->session->stay;
    for (size_t k = 0; k < G_N_ELEMENTS(kinds); k++)
        stay->slots[k] = 0;
}

/* The event comes with the answer that the participant has just given, perhaps before the media
 * centre's response to it: what is wanted is kept, and looked at when nothing is in progress. */
void room_needs_slots(struct wsf *wsf, struct leg *leg, const json_t *details)
{
    const json_t *medias = json_object_get(json_object_get(details, "offerTemplate"), "medias");
    struct room_stay *stay = leg->session->stay;
    size_t i;
    json_t *media;
    if (!leg->told)
        return;
    for (size_t k = 0; k < G_N_ELEMENTS(kinds); k++) {
        guint wanted = offer_template_count(leg->told, kinds[k], MEDIA_SENDONLY);
        json_array_foreach((json_t *)medias, i, media)
        {
            const char *type = json_string_value(json_object_get(media, "mediaType"));
            bool more = !json_object_get(media, "mid");
            wanted += more && g_strcmp0(type, media_kind_name(kinds[k])) == 0;
        }
        stay->slots[k] = MIN(wanted, OFFER_MAX_MEDIAS);
    }
    call_network_need(wsf, leg, LEG_NEEDS_NOTHING);
}

void room_count_slots(struct wsf *wsf, struct leg *leg)
{
    struct room_stay *stay = leg->session->stay;
    for (size_t k = 0; k < G_N_ELEMENTS(kinds); k++)
        stay->slots[k] = MAX(stay->slots[k], streams_for(stay, kinds[k]));
    call_network_need(wsf, leg, LEG_NEEDS_NOTHING);
}

/* --- members of requests -------------------------------------------------------------------------
 */

void room_put_context(const struct session *session, json_t *members)
{
    const struct room_rule *rule = session->stay->room->rule;
    json_t *mesh = json_object();
    if (rule && rule->last_n)
        json_object_set_new(mesh, "lastN", json_integer(rule->last_n));
    if (session->stay->room->mixes)
        json_object_set_new(mesh, "media", json_pack("[s]", "video"));
    else if (rule && rule->loudest_n)
        json_object_set_new(mesh, "loudestN", json_integer(rule->loudest_n));
    json_object_set_new(members, "topology", json_string("mesh"));
    if (json_object_size(mesh))
        json_object_set(members, "mesh", mesh);
    json_decref(mesh);
    json_object_set_new(members, "appData",
                        json_pack("{s:s}", "room", session->stay->room->called));
}

void room_put_simulcast(const struct leg *leg, json_t *template)
{
    const struct room_stay *stay = leg->session->stay;
    size_t i;
    json_t *media;
    if (!stay || !stay->room->rule || !stay->room->rule->simulcast)
        return;
    json_array_foreach(json_object_get(template, "medias"), i, media)
    {
        const char *type = json_string_value(json_object_get(media, "mediaType"));
        const char *direction = json_string_value(json_object_get(media, "direction"));
        bool from_it =
            g_strcmp0(direction, "sendrecv") == 0 || g_strcmp0(direction, "recvonly") == 0;
        if (g_strcmp0(type, "video") == 0 && from_it)
            json_object_set_new(media, "simulcast", json_true());
    }
}

/* --- the room's leg ------------------------------------------------------------------------------
 */

static void no_description(struct media_step *step)
{
    GError *error = NULL;
    problem_set(&error, PROBLEM_INVALID_STATE, "a room has no descriptions");
    media_step_finish_later(step, NULL, error);
}

static void room_offer(struct media_step *step, const struct media_offer *offer)
{
    struct leg *leg = step->leg;
    if (!step->session->stay) { /* it has ended at this moment */
        no_description(step);
        return;
    }
    if (room_wait(step))
        return;
    leg_set_negotiated(leg, NULL, given_at_start(step->session->stay));
    leg->ice_connected = leg->dtls_connected = true; /* nothing lies between the two */
    media_step_finish_later(step, NULL, NULL);
}

static void room_accept(struct media_step *step, const char *answer, json_t *routes)
{
    json_decref(routes);
    no_description(step);
}

static void room_answer(struct media_step *step, const struct media_question *question)
{
    no_description(step);
}

static void room_rollback(struct media_step *step)
{
    media_step_finish_later(step, NULL, NULL);
}

static void room_set(struct media_step *step, json_t *routes, json_t *policy)
{
    json_decref(routes);
    json_decref(policy);
    media_step_finish_later(step, NULL, NULL);
}

static void room_candidates(struct media_step *step, const json_t *candidates, bool end)
{
    no_description(step);
}

static void room_release(struct wsf *wsf, struct leg *leg)
{
}

const struct leg_media media_room = {
    .name = "room",
    .offer = room_offer,
    .accept = room_accept,
    .answer = room_answer,
    .rollback = room_rollback,
    .set = room_set,
    .candidates = room_candidates,
    .release = room_release,
};
