/* SPDX-License-Identifier: Apache-2.0 */
/* What the participants of a room are told: who is there and in which of their own m-lines, and who
 * speaks. Everybody's list is another one, since slots differ; it is made for all of them once some
 * moment after the first change, and sent to those for whom it has changed. So a burst of people
 * costs each of them a few messages, whatever the order in which the media centre reports. */
#define LOG_CATEGORY "room"
#include "wsf/call-transcode.h"
#include "wsf/call.h"
#include "wsf/codec-text.h"
#include "wsf/room.h"

#include <string.h>

#define GATHER_MS 30    /* after the first change: what belongs together comes together */
#define INTERVAL_MS 200 /* between two messages to one participant at least … */
#define INTERVAL_PER_PARTICIPANT_MS 10 /* … of a large room: everybody is told of everybody */

/* --- what is known -------------------------------------------------------------------------------
 */

static void note_source(struct room_stay *stay, const json_t *media)
{
    const char *mid = json_string_value(json_object_get(media, "mid"));
    const char *source =
        json_string_value(json_object_get(json_object_get(media, "source"), "terminationId"));
    if (!mid)
        return;
    if (source)
        g_hash_table_insert(stay->sources, g_strdup(mid), g_strdup(source));
    else
        g_hash_table_remove(stay->sources, mid);
}

static void note_sources(struct leg *leg, const json_t *medias)
{
    struct room_stay *stay = leg->session->stay;
    size_t i;
    json_t *media;
    if (!stay || !leg->caller || !json_is_array(medias))
        return;
    json_array_foreach((json_t *)medias, i, media) note_source(stay, media);
    room_changed(stay->room);
}

void room_note_medias(struct leg *leg, const json_t *medias)
{
    note_sources(leg, medias);
}

void room_note_sources(struct leg *leg, const json_t *details)
{
    note_sources(leg, json_object_get(details, "sources"));
}

void room_note_speaker(struct room *room, const json_t *details)
{
    const char *speaker = json_string_value(json_object_get(details, "terminationId"));
    if (g_strcmp0(speaker, room->speaker) == 0)
        return;
    g_free(room->speaker);
    room->speaker = g_strdup(speaker);
    room_changed(room);
}

bool room_event(struct wsf *wsf, struct leg *leg, const char *event, const json_t *details)
{
    if (strcmp(event, "negotiationNeeded") == 0)
        room_needs_slots(wsf, leg, details);
    else if (strcmp(event, "sourceChanged") == 0)
        room_note_sources(leg, details);
    else if (strcmp(event, "activeSpeaker") == 0)
        room_note_speaker(leg->session->stay->room, details);
    else
        return false;
    return true;
}

/* --- what is told --------------------------------------------------------------------------------
 */

/* terminationId → the receiver's m-lines that carry it now, in their order. */
static GHashTable *places_of(const struct room_stay *receiver)
{
    const struct offer_template *told = receiver->session->caller->told;
    GHashTable *places =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)json_decref);
    for (guint i = 0; told && i < told->medias->len; i++) {
        const struct offer_media *media = g_ptr_array_index(told->medias, i);
        char *source = g_hash_table_lookup(receiver->sources, media->mid);
        json_t *mids = source ? g_hash_table_lookup(places, source) : NULL;
        if (source && !mids)
            g_hash_table_insert(places, source, mids = json_array());
        if (source)
            json_array_append_new(mids, json_string(media->mid));
    }
    return places;
}

/* What all are told of a participant; the mids are each receiver's own. */
static json_t *entry_of(const struct room_stay *stay)
{
    const struct room *room = stay->room;
    const struct session *session = stay->session;
    json_t *entry = json_pack("{s:s, s:[]}", "participantId", session->participant_id, "mids");
    if (room->rule && room->rule->show_identities && session->asserted_caller)
        json_object_set_new(entry, "displayName", json_string(session->asserted_caller));
    return entry;
}

/* Most of a large room is in no m-line of the receiver: those entries are shared by all lists. */
static json_t *list_for(const struct room_stay *receiver, json_t *const *entries)
{
    const struct room *room = receiver->room;
    g_autoptr(GHashTable) places = places_of(receiver);
    json_t *list = json_array();
    for (guint i = 0; i < room->stays->len; i++) {
        const struct room_stay *stay = g_ptr_array_index(room->stays, i);
        const char *termination_id = stay->session->caller->termination_id;
        json_t *mids = termination_id ? g_hash_table_lookup(places, termination_id) : NULL;
        if (stay == receiver || !entries[i])
            continue;
        const char *unseen = room_unseen(stay, receiver);
        json_t *entry = mids || unseen ? json_copy(entries[i]) : json_incref(entries[i]);
        if (mids)
            json_object_set(entry, "mids", mids);
        g_autofree char *codec = unseen ? codec_text_name(unseen) : NULL;
        if (codec)
            json_object_set_new(entry, "noPicture", json_string(codec));
        json_array_append_new(list, entry);
    }
    return list;
}

/* "" when nobody speaks. Borrowed. */
static const char *speaker_of(const struct room *room)
{
    const struct room_stay *stay =
        room->speaker ? room_find_termination(room, room->speaker) : NULL;
    return stay && room_stay_is_present(stay) ? stay->session->participant_id : "";
}

static void tell(struct room_stay *stay, json_t *const *entries)
{
    struct room *room = stay->room;
    struct leg *leg = stay->session->caller;
    if (!room_stay_is_present(stay) || !leg_link(room->wsf, leg))
        return; /* it hears all when it is back */
    json_auto_t *list = list_for(stay, entries);
    const char *speaker = speaker_of(room);
    json_t *members = json_object();
    if (!stay->told) /* by which it knows that it is the active speaker itself */
        json_object_set_new(members, "participantId", json_string(stay->session->participant_id));
    if (!stay->told || !json_equal(list, stay->told))
        json_object_set(members, "participants", list);
    if (g_strcmp0(speaker, stay->told_speaker) != 0 && (stay->told_speaker || *speaker))
        json_object_set_new(members, "activeSpeaker", json_string(speaker));
    if (json_object_size(members) == 0) {
        json_decref(members);
        return;
    }
    json_decref(stay->told);
    stay->told = json_incref(list);
    g_free(stay->told_speaker);
    stay->told_speaker = g_strdup(speaker);
    leg_send_update(room->wsf, leg, members);
}

static void tell_all(struct room *room)
{
    g_autofree json_t **entries = g_new0(json_t *, room->stays->len);
    for (guint i = 0; i < room->stays->len; i++) {
        const struct room_stay *stay = g_ptr_array_index(room->stays, i);
        entries[i] = room_stay_is_present(stay) ? entry_of(stay) : NULL;
    }
    for (guint i = 0; i < room->stays->len; i++)
        tell(g_ptr_array_index(room->stays, i), entries);
    for (guint i = 0; i < room->stays->len; i++)
        json_decref(entries[i]);
}

static void on_timer(void *data)
{
    struct room *room = data;
    room->telling = false;
    room->told_at = loop_now();
    tell_all(room);
    room_transcode_follow(room);
    room_mix_follow(room);
    for (guint i = 0; i < room->stays->len; i++) {
        struct leg *leg = ((struct room_stay *)g_ptr_array_index(room->stays, i))->session->caller;
        if (room_lacks_slots(leg)) /* it was not settled when they were asked for */
            call_network_need(room->wsf, leg, LEG_NEEDS_NOTHING);
    }
}

void room_changed(struct room *room)
{
    if (!room->timer)
        room->timer = loop_timer_new("room", on_timer, room);
    if (room->telling)
        return;
    room->telling = true;
    gint64 interval = MAX(INTERVAL_MS, (gint64)room->stays->len * INTERVAL_PER_PARTICIPANT_MS);
    gint64 wait = interval - (loop_now() - room->told_at) / 1000;
    loop_timer_start(room->timer, room->told_at && wait > GATHER_MS ? (guint)wait : GATHER_MS);
}

void room_tell_again(struct leg *leg)
{
    struct room_stay *stay = leg->session->stay;
    if (!stay)
        return;
    g_clear_pointer(&stay->told, json_decref);
    g_clear_pointer(&stay->told_speaker, g_free);
    room_changed(stay->room);
}
