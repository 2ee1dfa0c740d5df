/* SPDX-License-Identifier: Apache-2.0 */
/* The mixer of a room with `mix = audio`: one pipeline whose members are the participants, so that
 * each gets the sum of all others on its own m-line and no slots for their voices. Whenever
 * somebody comes, goes or changes what it sends, the members that there should be are compared with
 * those that there are, and the difference is one request; what happens meanwhile is seen
 * afterwards. A member's name is made from its terminationId, so a mixer that outlives this process
 * is understood by what the media centre tells of it. */
#define LOG_CATEGORY "room"
#include "wsf/room.h"

#include "base/log.h"
#include "base/loop.h"
#include "wsf/context-pipeline.h"

#include <string.h>

#define RETRY_FIRST_MS 1000
#define RETRY_MOST_MS 60000
#define QUIET_US (60 * G_USEC_PER_SEC) /* for so long nothing has failed: it is well */
#define NAME_CHARACTERS 12

struct room_mixer {
    struct room *room;                 /* up */
    struct context_pipeline *pipeline; /* NULL: none yet, or it has failed and waits */
    struct loop_timer *timer;
    guint wait_ms;
    gint64 trouble_at; /* the last one */
    bool runs;
    bool told;   /* in the log, that it does not run */
    bool singly; /* a request for several was refused: who is at fault is found one by one */
    GHashTable *refused; /* names of such, and of whom broke, until the timer */
    GHashTable *members; /* name → struct member, owned: whom the media centre has */
    GPtrArray *asked;    /* struct member, owned: what the request under way makes of them */
};

struct member {
    char *name;
    char *termination_id; /* NULL: of a former life of this process, until it is asked for again */
    char *mid;
    bool sends, hears, leaves;
    bool routed; /* what it is given goes to it */
};

static void member_free(void *data)
{
    struct member *member = data;
    g_free(member->name);
    g_free(member->termination_id);
    g_free(member->mid);
    g_free(member);
}

static struct log_ids ids_of(const struct room *room)
{
    return (struct log_ids){.context = room->context_id, .link = room->wmcf};
}

/* --- whom there should be ------------------------------------------------------------------------
 */

/* The m-line on which it speaks and hears: in such a room it is offered no other of sound. */
static const struct offer_media *sound_of(const struct room_stay *stay)
{
    const struct leg *leg = stay->session->caller;
    if (!room_stay_is_present(stay) || !leg->negotiated || !leg->termination_id)
        return NULL;
    for (guint i = 0; i < leg->negotiated->medias->len; i++) {
        const struct offer_media *media = g_ptr_array_index(leg->negotiated->medias, i);
        if (media->kind == MEDIA_AUDIO && !media->rejected &&
            (media->direction & (MEDIA_SENDONLY | MEDIA_RECVONLY)))
            return media;
    }
    return NULL;
}

static struct member *member_of(const struct room_stay *stay)
{
    const struct offer_media *sound = sound_of(stay);
    if (!sound)
        return NULL;
    struct member *member = g_new0(struct member, 1);
    member->termination_id = g_strdup(stay->session->caller->termination_id);
    member->name = g_compute_checksum_for_string(G_CHECKSUM_SHA256, member->termination_id, -1);
    member->name[NAME_CHARACTERS] = '\0';
    member->mid = g_strdup(sound->mid);
    member->sends = (sound->direction & MEDIA_SENDONLY) != 0;
    member->hears = (sound->direction & MEDIA_RECVONLY) != 0;
    return member;
}

/* name → struct member. Transfer full. */
static GHashTable *wanted_in(const struct room *room)
{
    GHashTable *wanted = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, member_free);
    for (guint i = 0; i < room->stays->len; i++) {
        struct member *member = member_of(g_ptr_array_index(room->stays, i));
        if (member)
            g_hash_table_replace(wanted, member->name, member);
    }
    return wanted;
}

/* --- requests ------------------------------------------------------------------------------------
 */

static void wait_longer(struct room_mixer *mixer)
{
    gint64 now = loop_now();
    if (now - mixer->trouble_at > QUIET_US)
        mixer->wait_ms = 0;
    mixer->trouble_at = now;
    mixer->wait_ms = mixer->wait_ms ? MIN(2 * mixer->wait_ms, RETRY_MOST_MS) : RETRY_FIRST_MS;
    loop_timer_start(mixer->timer, mixer->wait_ms);
}

static bool is_same_source(const struct member *one, const struct member *other)
{
    return one->sends == other->sends &&
           (!one->sends || (g_strcmp0(one->termination_id, other->termination_id) == 0 &&
                            strcmp(one->mid, other->mid) == 0));
}

static void note_asked(struct room_mixer *mixer, const struct member *wanted, bool leaves)
{
    struct member *member = g_new0(struct member, 1);
    *member = *wanted;
    member->name = g_strdup(wanted->name);
    member->termination_id = g_strdup(wanted->termination_id);
    member->mid = g_strdup(wanted->mid);
    member->leaves = leaves;
    g_ptr_array_add(mixer->asked, member);
}

static json_t *input_of(const struct member *member)
{
    return member->sends ? json_pack("{s:s, s:s, s:s}", "input", member->name, "terminationId",
                                     member->termination_id, "mid", member->mid)
                         : json_pack("{s:s}", "input", member->name);
}

/* Who goes, who comes, who changes; those who go make room. */
static json_t *inputs_for(struct room_mixer *mixer, GHashTable *wanted)
{
    json_t *inputs = json_array();
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, mixer->members);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const struct member *known = value;
        if (g_hash_table_contains(wanted, known->name))
            continue;
        if (mixer->singly && json_array_size(inputs) > 0)
            break;
        json_array_append_new(inputs,
                              json_pack("{s:s, s:b}", "input", known->name, "remove", true));
        note_asked(mixer, known, true);
    }
    g_hash_table_iter_init(&iter, wanted);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const struct member *member = value, *known;
        known = g_hash_table_lookup(mixer->members, member->name);
        if (mixer->singly && json_array_size(inputs) > 0)
            break;
        if ((known && is_same_source(known, member)) ||
            g_hash_table_contains(mixer->refused, member->name))
            continue;
        json_array_append_new(inputs, input_of(member));
        note_asked(mixer, member, false);
    }
    return inputs;
}

static json_t *routes_for(struct room_mixer *mixer, GHashTable *wanted)
{
    json_t *routes = json_array();
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, wanted);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const struct member *member = value;
        struct member *known = g_hash_table_lookup(mixer->members, member->name);
        if (!known) /* refused */
            continue;
        if (!member->hears || g_strcmp0(known->mid, member->mid) != 0)
            known->routed = false;
        if (!member->hears || known->routed)
            continue;
        if (mixer->singly && json_array_size(routes) > 0)
            break;
        json_array_append_new(routes, json_pack("{s:{s:s}, s:{s:s, s:s}}", "from", "mid",
                                                member->name, "to", "terminationId",
                                                member->termination_id, "mid", member->mid));
        note_asked(mixer, member, false);
    }
    return routes;
}

static void follow(struct room_mixer *mixer);

static void tell_refusal(struct room_mixer *mixer, const char *what, const GError *error)
{
    struct log_ids ids = ids_of(mixer->room);
    log_warning(&ids, "%s is not mixed as it should be, trying again: %s: %s", mixer->room->called,
                what, error->message);
    wait_longer(mixer);
}

/* All or none of several: the next requests are for one each, and who is refused then waits. */
static void inputs_refused(struct room_mixer *mixer, const GPtrArray *asked, const GError *error)
{
    const struct member *first = g_ptr_array_index(asked, 0);
    mixer->singly = true;
    if (asked->len == 1 && first->leaves) {
        g_hash_table_remove(mixer->members, first->name);
    } else if (asked->len == 1) {
        g_hash_table_add(mixer->refused, g_strdup(first->name));
        tell_refusal(mixer, "a participant's sound", error);
    }
    follow(mixer);
}

static void on_inputs(struct context_pipeline *pipeline, const GError *error, void *user)
{
    struct room_mixer *mixer = user;
    g_autoptr(GPtrArray) asked = g_steal_pointer(&mixer->asked);
    mixer->asked = g_ptr_array_new_with_free_func(member_free);
    if (error) {
        inputs_refused(mixer, asked, error);
        return;
    }
    g_ptr_array_set_free_func(asked, NULL);
    for (guint i = 0; i < asked->len; i++) {
        struct member *member = g_ptr_array_index(asked, i);
        const struct member *known = g_hash_table_lookup(mixer->members, member->name);
        member->routed = known && known->routed && g_strcmp0(known->mid, member->mid) == 0;
        if (member->leaves) {
            g_hash_table_remove(mixer->members, member->name);
            member_free(member);
        } else {
            g_hash_table_replace(mixer->members, member->name, member);
        }
    }
    follow(mixer);
}

/* The same; its part may be gone, so it is put in again as well. */
static void routes_refused(struct room_mixer *mixer, const GPtrArray *asked, const GError *error)
{
    const struct member *first = g_ptr_array_index(asked, 0);
    mixer->singly = true;
    if (asked->len == 1) {
        g_hash_table_remove(mixer->members, first->name);
        g_hash_table_add(mixer->refused, g_strdup(first->name));
        tell_refusal(mixer, "what a participant is given", error);
    }
    follow(mixer);
}

static void on_routes(struct context_pipeline *pipeline, const GError *error, void *user)
{
    struct room_mixer *mixer = user;
    g_autoptr(GPtrArray) asked = g_steal_pointer(&mixer->asked);
    mixer->asked = g_ptr_array_new_with_free_func(member_free);
    if (error) {
        routes_refused(mixer, asked, error);
        return;
    }
    for (guint i = 0; i < asked->len; i++) {
        const struct member *member = g_ptr_array_index(asked, i);
        struct member *known = g_hash_table_lookup(mixer->members, member->name);
        if (!known)
            continue;
        known->routed = true;
        g_free(known->mid);
        known->mid = g_strdup(member->mid);
    }
    mixer->singly = false;
    follow(mixer);
}

static void follow(struct room_mixer *mixer)
{
    if (!mixer->runs || mixer->asked->len > 0)
        return;
    g_autoptr(GHashTable) wanted = wanted_in(mixer->room);
    json_auto_t *inputs = inputs_for(mixer, wanted);
    if (json_array_size(inputs) > 0) {
        context_pipeline_modify(mixer->pipeline, json_pack("{s:O}", "inputs", inputs), on_inputs,
                                mixer);
        return;
    }
    json_auto_t *routes = routes_for(mixer, wanted);
    if (json_array_size(routes) > 0)
        context_pipeline_modify(mixer->pipeline, json_pack("{s:O}", "routes", routes), on_routes,
                                mixer);
}

/* --- the mixer -----------------------------------------------------------------------------------
 */

static void begin(struct room_mixer *mixer)
{
    const struct room *room = mixer->room;
    loop_timer_stop(mixer->timer);
    const struct context_pipeline_config config = {
        .kind = &room_mix_kind,
        .wmcf = room->wmcf,
        .context_id = room->context_id,
        .template = room->rule ? room->rule->mix_template : "mix-audio",
        .parameters = room->rule ? json_deep_copy(room->rule->mix_parameters) : NULL,
        .app_data = json_pack("{s:s}", "room", room->called),
        .user = mixer,
    };
    mixer->pipeline = context_pipeline_add(room->wsf, &config);
}

static void on_timer(void *data)
{
    struct room_mixer *mixer = data;
    g_hash_table_remove_all(mixer->refused);
    if (mixer->pipeline)
        follow(mixer);
    else
        begin(mixer);
}

static struct room_mixer *mixer_new(struct room *room)
{
    struct room_mixer *mixer = g_new0(struct room_mixer, 1);
    mixer->room = room;
    mixer->timer = loop_timer_new("room mix", on_timer, mixer);
    mixer->members = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, member_free);
    mixer->refused = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    mixer->asked = g_ptr_array_new_with_free_func(member_free);
    return mixer;
}

static bool has_members(const struct room *room)
{
    for (guint i = 0; i < room->stays->len; i++)
        if (sound_of(g_ptr_array_index(room->stays, i)))
            return true;
    return false;
}

void room_mix_follow(struct room *room)
{
    if (!room->mixes || !room->context_id ||
        !context_pipelines_are_known(room->wsf->pipelines, room->wmcf, room->context_id))
        return;
    if (!room->mixer && !has_members(room))
        return;
    if (!room->mixer) {
        room->mixer = mixer_new(room);
        begin(room->mixer);
    }
    follow(room->mixer);
}

void room_mix_free(struct room *room)
{
    struct room_mixer *mixer = g_steal_pointer(&room->mixer);
    if (!mixer)
        return;
    loop_timer_free(mixer->timer);
    g_hash_table_unref(mixer->members);
    g_hash_table_unref(mixer->refused);
    g_ptr_array_unref(mixer->asked);
    g_free(mixer);
}

void room_mix_end(struct room *room)
{
    if (room->mixer)
        context_pipeline_end(room->mixer->pipeline);
    room_mix_free(room);
}

/* --- what it tells -------------------------------------------------------------------------------
 */

static void on_added(struct context_pipeline *pipeline)
{
    struct room_mixer *mixer = context_pipeline_user(pipeline);
    struct log_ids ids = ids_of(mixer->room);
    mixer->runs = true;
    mixer->told = false;
    log_info(&ids, "%s is mixed by %s", mixer->room->called,
             context_pipeline_termination(pipeline));
    follow(mixer);
}

/* Nobody is put out of a room whose mixer is gone: pictures and words go on, and there is sound
 * again with the next one. */
static void on_over(struct context_pipeline *pipeline, enum context_pipeline_end end,
                    const GError *error)
{
    struct room_mixer *mixer = context_pipeline_user(pipeline);
    struct log_ids ids = ids_of(mixer->room);
    mixer->pipeline = NULL;
    mixer->runs = mixer->singly = false;
    g_hash_table_remove_all(mixer->members);
    g_ptr_array_set_size(mixer->asked, 0);
    if (!mixer->told && end != CONTEXT_PIPELINE_GONE)
        log_error(&ids, "the mixer of %s has %s, so nobody hears anybody there; trying again: %s",
                  mixer->room->called, end == CONTEXT_PIPELINE_REFUSED ? "not begun" : "ended",
                  error ? error->message : "the pipeline has come to its end");
    mixer->told |= end != CONTEXT_PIPELINE_GONE;
    wait_longer(mixer);
}

/* Its part of the pipeline broke; the others go on, and it comes anew. */
static void on_medium_over(struct context_pipeline *pipeline, const char *mid, const char *reason)
{
    struct room_mixer *mixer = context_pipeline_user(pipeline);
    struct log_ids ids = ids_of(mixer->room);
    const struct member *member = g_hash_table_lookup(mixer->members, mid);
    for (guint i = 0; i < mixer->asked->len; i++) {
        struct member *asked = g_ptr_array_index(mixer->asked, i);
        if (strcmp(asked->name, mid) != 0)
            continue;
        asked->leaves = true; /* whatever the response says of it */
        member = member ? member : asked;
    }
    if (!member)
        return;
    ids.termination = member->termination_id;
    log_warning(&ids, "a participant of %s is not mixed any more, trying again: %s",
                mixer->room->called, reason);
    g_hash_table_remove(mixer->members, mid);
    g_hash_table_add(mixer->refused, g_strdup(mid));
    wait_longer(mixer);
}

/* --- after a restart -----------------------------------------------------------------------------
 */

void room_mix_note(struct room *room, const json_t *context)
{
    const json_t *mesh = json_object_get(context, "mesh"), *media = json_object_get(mesh, "media");
    bool selects = media == NULL;
    for (size_t i = 0; i < json_array_size(media); i++)
        selects |= g_strcmp0(json_string_value(json_array_get(media, i)), "audio") == 0;
    if (mesh && !room->mixer)
        room->mixes = !selects;
}

static void read_members(struct room_mixer *mixer, const json_t *medias)
{
    size_t i;
    json_t *media;
    json_array_foreach((json_t *)medias, i, media)
    {
        const json_t *source = json_object_get(media, "source");
        const char *name = json_string_value(json_object_get(media, "mid"));
        if (!name)
            continue;
        struct member *member = g_new0(struct member, 1);
        member->name = g_strdup(name);
        member->termination_id =
            g_strdup(json_string_value(json_object_get(source, "terminationId")));
        member->mid = g_strdup(json_string_value(json_object_get(source, "mid")));
        member->sends = member->termination_id && member->mid;
        g_hash_table_replace(mixer->members, member->name, member);
    }
}

static struct room *room_in(const struct wsf *wsf, const char *wmcf, const char *context_id)
{
    const struct session *session = session_table_context(wsf->sessions, wmcf, context_id);
    return session && session->stay ? session->stay->room : NULL;
}

static bool on_adopt(struct wsf *wsf, struct context_pipeline *pipeline, const json_t *app_data)
{
    struct room *room =
        room_in(wsf, context_pipeline_wmcf(pipeline), context_pipeline_context(pipeline));
    if (!room || room->mixer)
        return false;
    room->mixes = true; /* whatever the configuration says by now: the context is made for it */
    room->mixer = mixer_new(room);
    room->mixer->pipeline = pipeline;
    room->mixer->runs = true;
    read_members(room->mixer, context_pipeline_medias(pipeline));
    context_pipeline_set_user(pipeline, room->mixer);
    return true;
}

static void on_looked(struct wsf *wsf, const char *wmcf, const char *context_id)
{
    struct room *room = room_in(wsf, wmcf, context_id);
    if (room)
        room_mix_follow(room);
}

const struct context_pipeline_kind room_mix_kind = {
    .name = "mix",
    .added = on_added,
    .over = on_over,
    .medium_over = on_medium_over,
    .adopt = on_adopt,
    .looked = on_looked,
};
