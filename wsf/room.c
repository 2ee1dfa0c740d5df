/* SPDX-License-Identifier: Apache-2.0 */
/* The life of conferences. The first participant's `add` makes the context; who comes while that is
 * on its way waits for it, and if it fails the next one tries. Nothing of a room is stored: every
 * session's record names the context, and from those the room is put together after a restart. */
#define LOG_CATEGORY "room"
#include "wsf/room.h"

#include "base/ids.h"
#include "wsf/call.h"
#include "wsf/transcoding.h"

#include <string.h>

struct room_table {
    struct room_rules *rules;
    GHashTable *rooms;  /* called → struct room, owned */
    GHashTable *warned; /* names of media centres whose mixers were found too small */
};

/* --- table ---------------------------------------------------------------------------------------
 */

static void stay_free(void *data)
{
    struct room_stay *stay = data;
    g_hash_table_unref(stay->sources);
    json_decref(stay->told);
    g_free(stay->told_speaker);
    g_free(stay);
}

static void room_free(void *data)
{
    struct room *room = data;
    loop_timer_free(room->timer);
    room_mix_free(room);
    g_queue_clear(&room->waiting);
    g_ptr_array_unref(room->stays);
    g_free(room->called);
    g_free(room->wmcf);
    g_free(room->context_id);
    g_free(room->speaker);
    g_free(room);
}

struct room_table *room_table_new(const struct conf *conf, GError **error)
{
    struct room_rules *rules = room_rules_new(conf, error);
    if (!rules)
        return NULL;
    struct room_table *table = g_new0(struct room_table, 1);
    table->rules = rules;
    table->rooms = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, room_free);
    table->warned = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return table;
}

void room_table_free(struct room_table *table)
{
    if (!table)
        return;
    g_hash_table_unref(table->rooms);
    g_hash_table_unref(table->warned);
    room_rules_free(table->rules);
    g_free(table);
}

static const struct room_rule *rule_in(const struct room_rules *rules, const char *called)
{
    g_autofree char *resource = g_strndup(called, strcspn(called, "@"));
    return room_rules_find(rules, resource);
}

bool room_table_reload(struct room_table *table, const struct conf *conf, GError **error)
{
    struct room_rules *former = table->rules, *rules = room_rules_new(conf, error);
    GHashTableIter iter;
    gpointer value;
    if (!rules)
        return false;
    g_hash_table_iter_init(&iter, table->rooms);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        struct room *room = value;
        room->rule = rule_in(rules, room->called);
        room_changed(room); /* names may be shown or not from now on */
    }
    table->rules = rules;
    room_rules_free(former);
    return true;
}

const struct room_rules *room_table_rules(const struct room_table *table)
{
    return table->rules;
}

guint room_table_count(const struct room_table *table)
{
    return g_hash_table_size(table->rooms);
}

guint room_table_participants(const struct room_table *table)
{
    GHashTableIter iter;
    gpointer value;
    guint n = 0;
    g_hash_table_iter_init(&iter, table->rooms);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        n += ((struct room *)value)->stays->len;
    return n;
}

void room_table_check_mixers(const struct wsf *wsf, const char *wmcf)
{
    const GPtrArray *rules = room_rules_all(wsf->rooms->rules);
    guint mixable = wmcf_pool_members(wsf->pool, wmcf);
    const struct log_ids ids = {.link = wmcf};
    for (guint i = 0; i < rules->len && mixable; i++) {
        const struct room_rule *rule = g_ptr_array_index(rules, i);
        if (!rule->mix || rule->capacity <= mixable ||
            !g_hash_table_add(wsf->rooms->warned, g_strdup(wmcf)))
            continue;
        log_warning(&ids,
                    "[%s] has %u places, but the media centre mixes %u participants at most: more "
                    "are refused; raise its limits.pipeline_members, or say a smaller capacity",
                    rule->section, rule->capacity, mixable);
    }
}

bool room_table_knows(const struct room_table *table, const char *resource)
{
    return room_rules_find(table->rules, resource) != NULL;
}

static struct room *find(const struct wsf *wsf, const char *called)
{
    return g_hash_table_lookup(wsf->rooms->rooms, called);
}

static const struct room_rule *rule_of(const struct wsf *wsf, const char *called)
{
    return rule_in(wsf->rooms->rules, called);
}

static struct log_ids room_ids(const struct room *room)
{
    return (struct log_ids){.context = room->context_id, .link = room->wmcf};
}

/* --- coming --------------------------------------------------------------------------------------
 */

static guint rooms_of(const struct wsf *wsf, const struct room_rule *rule)
{
    GHashTableIter iter;
    gpointer value;
    guint n = 0;
    g_hash_table_iter_init(&iter, wsf->rooms->rooms);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        n += ((struct room *)value)->rule == rule;
    return n;
}

bool room_admit(const struct wsf *wsf, const char *called, const struct policy_caller *from,
                const char **ret_wmcf, GError **error)
{
    const struct room_rule *rule = rule_of(wsf, called);
    const struct room *room = find(wsf, called);
    if (!rule) {
        problem_set_param(error, PROBLEM_RESOURCE_NOT_FOUND, "/resourceId",
                          "this room does not exist here");
        return false;
    }
    if (!room_rule_permits(rule, from, room != NULL, error))
        return false;
    if (!room && rooms_of(wsf, rule) >= rule->rooms_max) {
        problem_set_retry(error, PROBLEM_RESOURCES_UNAVAILABLE, 10,
                          "there are as many rooms as are possible at the moment");
        return false;
    }
    if (room && room->wmcf)
        *ret_wmcf = room->wmcf;
    guint mixable = room && room->mixes ? wmcf_pool_members(wsf->pool, room->wmcf) : 0;
    return room_rule_has_place(rule, room ? room->stays->len : 0, mixable, error);
}

static struct room *room_new(struct wsf *wsf, const struct session *session)
{
    struct room *room = g_new0(struct room, 1);
    room->wsf = wsf;
    room->called = g_strdup(session->called);
    room->rule = rule_of(wsf, session->called);
    room->mixes = room->rule && room->rule->mix;
    room->wmcf = g_strdup(session->wmcf);
    room->stays = g_ptr_array_new_with_free_func(stay_free);
    room->opened_at = loop_now();
    g_hash_table_insert(wsf->rooms->rooms, room->called, room);
    return room;
}

static void take_in(struct room *room, struct session *session)
{
    struct room_stay *stay = g_new0(struct room_stay, 1);
    stay->room = room;
    stay->session = session;
    stay->sources = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_ptr_array_add(room->stays, stay);
    session->stay = stay;
}

void room_enter(struct wsf *wsf, struct session *session)
{
    struct room *room = find(wsf, session->called);
    if (!room)
        room = room_new(wsf, session);
    take_in(room, session);
    session->participant_id = id_uuid();
    session_changed(session);
}

bool room_restore(struct wsf *wsf, struct session *session)
{
    struct room *room = find(wsf, session->called);
    bool agrees = session->context_id && session->participant_id &&
                  (!room || (g_strcmp0(room->wmcf, session->wmcf) == 0 &&
                             g_strcmp0(room->context_id, session->context_id) == 0));
    if (!agrees)
        return false;
    if (!room) {
        room = room_new(wsf, session);
        room->context_id = g_strdup(session->context_id);
    }
    take_in(room, session);
    room_changed(room);
    return true;
}

bool room_stay_is_present(const struct room_stay *stay)
{
    return leg_is_established(stay->session->caller);
}

struct room_stay *room_find_termination(const struct room *room, const char *termination_id)
{
    for (guint i = 0; i < room->stays->len; i++) {
        struct room_stay *stay = g_ptr_array_index(room->stays, i);
        if (g_strcmp0(stay->session->caller->termination_id, termination_id) == 0)
            return stay;
    }
    return NULL;
}

/* --- the context ---------------------------------------------------------------------------------
 */

bool room_wait(struct media_step *step)
{
    struct session *session = step->session;
    struct room *room = session->stay->room;
    if (room->context_id && !session->context_id)
        session_set_context(room->wsf->sessions, session, room->context_id);
    if (room->context_id)
        return false;
    if (!room->opener)
        room->opener = session;
    if (room->opener == session)
        return false;
    g_queue_push_tail(&room->waiting, step);
    return true;
}

static void try_again(void *data)
{
    struct media_step *step = data;
    struct session *session = session_table_find(step->wsf->sessions, step->session_id);
    /* An end in the meantime is seen by whoever gets the step. */
    if (session && session->stay && session->phase != CALL_ENDED)
        media_offer(step, NULL);
    else
        media_step_finish(step, NULL, NULL);
}

static void let_wait_no_longer(struct room *room)
{
    struct media_step *step;
    while ((step = g_queue_pop_head(&room->waiting)))
        loop_post("room", try_again, step);
}

void room_opened(struct session *session)
{
    struct room *room = session->stay->room;
    if (room->context_id)
        return;
    room->opener = NULL;
    room->context_id = g_strdup(session->context_id);
    g_free(room->wmcf);
    room->wmcf = g_strdup(session->wmcf);
    for (guint i = 0; i < room->stays->len; i++) {
        struct session *other = ((struct room_stay *)g_ptr_array_index(room->stays, i))->session;
        if (other->context_id || g_strcmp0(other->wmcf, room->wmcf) == 0)
            continue;
        g_free(other->wmcf); /* the policy was held elsewhere */
        other->wmcf = g_strdup(room->wmcf);
        session_changed(other);
    }
    struct log_ids ids = room_ids(room);
    log_info(&ids, "%s is open", room->called);
    let_wait_no_longer(room);
}

/* --- leaving -------------------------------------------------------------------------------------
 */

static void close_room(struct room *room)
{
    struct wsf *wsf = room->wsf;
    struct log_ids ids = room_ids(room);
    if (room->context_id) {
        wmcf_pool_release(wsf->pool, room->wmcf, room->context_id);
        context_pipelines_forget(wsf->pipelines, room->wmcf, room->context_id);
        transcoding_forget(wsf->transcoding, room->wmcf, room->context_id);
        room_mix_end(room);
        log_info(&ids, "%s is closed after %.1f s", room->called,
                 (double)(loop_now() - room->opened_at) / G_USEC_PER_SEC);
    }
    let_wait_no_longer(room);
    g_hash_table_remove(wsf->rooms->rooms, room->called);
}

void room_leave(struct wsf *wsf, struct session *session)
{
    struct room *room = session->stay->room;
    struct room_stay *stay = g_steal_pointer(&session->stay);
    if (room->opener == session)
        room->opener = NULL;
    if (room->stays->len > 1)
        media_release(wsf, session->caller);
    g_ptr_array_remove(room->stays, stay);
    if (room->stays->len == 0) {
        close_room(room);
        return;
    }
    if (!room->opener && !room->context_id)
        let_wait_no_longer(room); /* the first of them is the next to try */
    room_mix_follow(room);
    room_changed(room);
}
