/* SPDX-License-Identifier: Apache-2.0 */
/* Mesh: everybody gets everybody else, or as many of them as it may have: those who spoke last, and
 * the loudest. An endpoint's receivable m-lines are slots; which stream is in which slot is decided
 * in mesh-select.c, a change is a route of the relay and nothing that the endpoint would have to
 * negotiate. Only where slots are missing negotiationNeeded is raised, with a template that has
 * them: what is there in the same order, then recvonly (for the endpoint) m-lines. */
#include "wmcf/topology.h"

#include "base/loop.h"
#include "base/metrics.h"
#include "base/problem.h"
#include "wmcf/mesh-select.h"
#include "wmcf/mesh.h"
#include "wmcf/pipeline-termination.h"
#include "wsf-link/json-read.h"

#include <string.h>

#define NEGOTIATION_INTERVAL_MS 200
#define REPEAT_INTERVAL_MS 5000 /* of the same */
#define SLOTS_MAX 32            /* of limits.max_slots */

static guint n_meshes; /* with members */

/* --- options -----------------------------------------------------------------------------------
 */

static bool read_kinds(const json_t *object, int *ret, GError **error)
{
    const json_t *array = NULL;
    if (!json_read_array(object, "/mesh", "media", JSON_OPTIONAL, 2, &array, error))
        return false;
    for (size_t i = 0; i < json_array_size(array); i++) {
        enum sdp_kind kind = SDP_APPLICATION;
        const char *name = json_string_value(json_array_get(array, i));
        bool known = name && sdp_kind_parse(name, &kind) && kind <= SDP_VIDEO;
        if (!known || (i && *ret & (1 << kind))) {
            problem_set_param(error, PROBLEM_INVALID_MESSAGE, "/mesh/media",
                              "media is \"audio\", \"video\" or both");
            return false;
        }
        *ret = (i ? *ret : 0) | 1 << kind;
    }
    if (array && json_array_size(array) == 0)
        *ret = 0;
    return true;
}

bool mesh_options_read(const json_t *message, struct mesh_options *ret, GError **error)
{
    const json_t *object = NULL;
    gint64 last_n = -1, loudest_n = -1;
    int kinds = -1;
    *ret = (struct mesh_options){-1, -1, -1};
    if (!json_read_object(message, "", "mesh", JSON_OPTIONAL, &object, error))
        return false;
    if (!object)
        return true;
    if (!json_read_integer(object, "/mesh", "lastN", JSON_OPTIONAL, 0, SLOTS_MAX, &last_n, error) ||
        !json_read_integer(object, "/mesh", "loudestN", JSON_OPTIONAL, 0, SLOTS_MAX, &loudest_n,
                           error) ||
        !read_kinds(object, &kinds, error))
        return false;
    *ret = (struct mesh_options){(int)last_n, (int)loudest_n, kinds};
    return true;
}

static guint in_force(int said, guint slots_max)
{
    return said < 0 ? slots_max : MIN((guint)said, slots_max);
}

bool mesh_options_match(const struct mesh *mesh, const struct mesh_options *options)
{
    return (options->kinds < 0 || (mesh && options->kinds == mesh->kinds)) &&
           (options->last_n < 0 || in_force(options->last_n, mesh->slots_max) == mesh->last_n) &&
           (options->loudest_n < 0 ||
            in_force(options->loudest_n, mesh->slots_max) == mesh->loudest_n);
}

bool mesh_selects(const struct mesh *mesh, enum sdp_kind kind)
{
    return kind <= SDP_VIDEO && mesh->kinds & (1 << kind);
}

/* --- members -----------------------------------------------------------------------------------
 */

static void stream_free(struct mesh *mesh, struct mesh_stream *stream)
{
    mesh_speech_forget(mesh, stream);
    g_free(stream);
}

static struct mesh_stream *find_stream(const struct mesh_member *member, const char *mid)
{
    for (guint i = 0; i < member->streams->len; i++) {
        struct mesh_stream *stream = g_ptr_array_index(member->streams, i);
        if (strcmp(stream->mid, mid) == 0)
            return stream;
    }
    return NULL;
}

/* What an endpoint has agreed on first is what it sends. */
static const char *format_sent(const struct termination *t, const struct sdp_negotiated_media *m)
{
    if (t->pipeline)
        return pipeline_termination_format(t->pipeline, m->mid);
    return m->recv_codecs && m->recv_codecs->len
               ? g_array_index(m->recv_codecs, struct sdp_codec, 0).format
               : NULL;
}

static void take_stream(struct mesh_member *member, const struct sdp_negotiated_media *m)
{
    struct mesh_stream *stream = find_stream(member, m->mid);
    if (!stream) {
        stream = g_new0(struct mesh_stream, 1);
        stream->of = member;
        stream->kind = m->kind;
        g_strlcpy(stream->mid, m->mid, sizeof stream->mid);
        g_ptr_array_add(member->streams, stream);
    }
    stream->there = stream->kind == m->kind;
    stream->format = m->kind == SDP_VIDEO ? format_sent(member->termination, m) : NULL;
}

static void take_place(struct mesh_member *member, const struct sdp_negotiated_media *m)
{
    struct mesh_place place = {.kind = m->kind, .both = m->direction == SDP_SENDRECV};
    g_strlcpy(place.mid, m->mid, sizeof place.mid);
    for (guint i = 0; m->kind == SDP_VIDEO && m->send_codecs && i < m->send_codecs->len &&
                      place.n_formats < MESH_FORMATS_MAX;
         i++)
        place.formats[place.n_formats++] =
            g_array_index(m->send_codecs, struct sdp_codec, i).format;
    g_array_append_val(member->places, place);
}

/* What is negotiated now; streams that go on stay the same objects. */
static void refresh(struct mesh *mesh, struct mesh_member *member)
{
    g_autoptr(GArray) negotiated = termination_negotiated(member->termination);
    const struct termination_media *instead_of;
    member->stands_in = member->termination->pipeline &&
                        pipeline_termination_stands_in(member->termination->pipeline, &instead_of);
    mesh->stand_ins |= member->stands_in;
    g_array_set_size(member->places, 0);
    for (guint i = 0; i < member->streams->len; i++)
        ((struct mesh_stream *)g_ptr_array_index(member->streams, i))->there = false;
    for (guint i = 0; negotiated && i < negotiated->len; i++) {
        const struct sdp_negotiated_media *m =
            &g_array_index(negotiated, struct sdp_negotiated_media, i);
        if (m->kind != SDP_AUDIO && m->kind != SDP_VIDEO)
            continue;
        if (m->direction & SDP_RECVONLY)
            take_stream(member, m);
        if (m->direction & SDP_SENDONLY && !member->termination->pipeline)
            take_place(member, m);
    }
    for (guint i = member->streams->len; i-- > 0;) {
        struct mesh_stream *stream = g_ptr_array_index(member->streams, i);
        if (stream->there)
            continue;
        g_ptr_array_remove_index(member->streams, i);
        stream_free(mesh, stream);
    }
}

static void member_free(struct mesh *mesh, struct mesh_member *member)
{
    member->termination->mesh_member = NULL;
    while (member->streams->len)
        stream_free(mesh, g_ptr_array_steal_index(member->streams, member->streams->len - 1));
    g_ptr_array_unref(member->streams);
    g_array_unref(member->places);
    g_free(member);
}

static void join(struct mesh *mesh, struct termination *termination)
{
    struct mesh_member *member = g_new0(struct mesh_member, 1);
    member->termination = termination;
    member->streams = g_ptr_array_new();
    member->places = g_array_new(FALSE, FALSE, sizeof(struct mesh_place));
    member->to_tell_speaker = true;
    termination->mesh_member = member;
    n_meshes += mesh->members->len == 0;
    g_ptr_array_add(mesh->members, member);
    mesh_tell_soon(mesh);
}

void mesh_forget(struct termination *termination)
{
    struct mesh_member *member = termination->mesh_member;
    if (!member)
        return;
    struct mesh *mesh = termination->context->mesh;
    mesh_tell_soon(mesh);
    g_ptr_array_remove(mesh->members, member);
    n_meshes -= mesh->members->len == 0;
    member_free(mesh, member);
}

/* --- what there is to choose from --------------------------------------------------------------
 */

static void add_candidates(const struct mesh *mesh, const struct mesh_member *member,
                           enum sdp_kind kind, gint64 now, GArray *candidates)
{
    /* Whose path is lost would be a picture that stands still. */
    if (termination_is_gone(member->termination) || member->stands_in)
        return;
    for (guint i = 0; i < member->streams->len; i++) {
        const struct mesh_stream *stream = g_ptr_array_index(member->streams, i);
        if (stream->kind != kind)
            continue;
        struct mesh_candidate candidate = {
            .stream = stream, .owner = member, .always = member->termination->pipeline != NULL};
        if (kind == SDP_AUDIO && mesh->listening) {
            struct speakers_look look = speakers_look(mesh->speakers, stream, now);
            candidate.loud = look.loud;
            candidate.loud_at = look.loud_at;
            candidate.share = look.share;
            candidate.strength = look.strength;
        }
        g_array_append_val(candidates, candidate);
    }
}

static int by_turn(const void *a, const void *b)
{
    const struct mesh_member *one = *(struct mesh_member *const *)a;
    const struct mesh_member *other = *(struct mesh_member *const *)b;
    return one->led > other->led ? -1 : one->led < other->led;
}

/* Voices in order of joining, videos of those who led last before. */
static GArray *candidates_of(const struct mesh *mesh, enum sdp_kind kind)
{
    GArray *candidates = g_array_new(FALSE, FALSE, sizeof(struct mesh_candidate));
    g_autoptr(GPtrArray) members = g_ptr_array_copy(mesh->members, NULL, NULL);
    gint64 now = loop_now();
    if (kind == SDP_VIDEO)
        g_ptr_array_sort(members, by_turn); /* stable: a merge sort */
    for (guint i = 0; i < members->len; i++)
        add_candidates(mesh, g_ptr_array_index(members, i), kind, now, candidates);
    return candidates;
}

/* --- slots -------------------------------------------------------------------------------------
 */

static const struct mesh_place *place_of(const struct mesh_member *member, const char *mid)
{
    for (guint i = 0; i < member->places->len; i++) {
        const struct mesh_place *place = &g_array_index(member->places, struct mesh_place, i);
        if (strcmp(place->mid, mid) == 0)
            return place;
    }
    return NULL;
}

const struct mesh_stream *mesh_stream_shown(const struct mesh_stream *stream)
{
    const struct termination_media *input = NULL;
    if (!stream || !stream->of->stands_in)
        return stream;
    pipeline_termination_stands_in(stream->of->termination->pipeline, &input);
    const struct mesh_member *of = input ? input->source->mesh_member : NULL;
    return of ? find_stream(of, input->source_mid) : NULL;
}

static const struct mesh_stream *stream_in(const struct termination_media *media)
{
    const struct mesh_member *from = media->source ? media->source->mesh_member : NULL;
    return from ? find_stream(from, media->source_mid) : NULL;
}

const struct mesh_stream *mesh_shown_in(const struct termination_media *media)
{
    return mesh_stream_shown(stream_in(media));
}

static bool takes(const struct mesh_place *place, const struct mesh_stream *stream)
{
    for (guint i = 0; i < place->n_formats; i++)
        if (place->formats[i] == stream->format)
            return true;
    return false;
}

/* What is to be sent to see this stream: itself, unless it cannot be taken there and another one
 * stands in for it that can. */
static const struct mesh_stream *stream_for(const struct mesh *mesh,
                                            const struct mesh_stream *stream,
                                            const struct mesh_place *place)
{
    if (!mesh->stand_ins || !stream || !stream->format || !place || takes(place, stream))
        return stream;
    for (guint i = 0; i < mesh->members->len; i++) {
        const struct mesh_member *member = g_ptr_array_index(mesh->members, i);
        for (guint s = 0; member->stands_in && s < member->streams->len; s++) {
            const struct mesh_stream *other = g_ptr_array_index(member->streams, s);
            if (mesh_stream_shown(other) == stream && takes(place, other))
                return other;
        }
    }
    return stream;
}

static void show(struct mesh *mesh, struct termination *to, struct termination_media *media,
                 const struct mesh_stream *stream)
{
    static struct metric *changes;
    if (stream == stream_in(media) && !stream == !media->source)
        return;
    if (!changes)
        changes = metric_register(METRIC_COUNTER, "mesh_slot_changes", NULL,
                                  "Slots of meshes that got another source, or none.", "type");
    metric_add(changes, 1, (const char *const[]){sdp_kind_name(media->kind)});
    termination_connect_media(to, media, stream ? stream->of->termination : NULL,
                              stream ? stream->mid : NULL);
    mesh_tell_soon(mesh);
}

/* Returns how many slots are missing. */
static guint select_for(struct mesh *mesh, struct mesh_member *member, enum sdp_kind kind,
                        const GArray *candidates)
{
    struct termination *to = member->termination;
    struct mesh_slot slots[RELAY_MEDIAS_MAX];
    struct termination_media *medias[RELAY_MEDIAS_MAX];
    guint n = 0;
    for (guint i = 0; i < to->medias->len; i++) {
        struct termination_media *media = g_ptr_array_index(to->medias, i);
        const struct mesh_place *place = place_of(member, media->mid);
        if (media->kind != kind)
            continue;
        if (!place) { /* it cannot receive there now */
            show(mesh, to, media, NULL);
            continue;
        }
        if (n == G_N_ELEMENTS(slots))
            break;
        medias[n] = media;
        slots[n++] = (struct mesh_slot){.stream = mesh_shown_in(media), .preferred = place->both};
    }
    struct mesh_wish wish = {
        .rule = kind == SDP_VIDEO ? MESH_BY_RANK : MESH_BY_VOICE,
        .candidates = (const struct mesh_candidate *)(const void *)candidates->data,
        .n_candidates = candidates->len,
        .self = member,
        .limit = kind == SDP_VIDEO ? mesh->last_n : mesh->loudest_n,
        .slots_max = mesh->slots_max,
    };
    struct mesh_result result = mesh_select(&wish, slots, n);
    mesh->scarce[kind] |= result.scarce;
    for (guint i = 0; i < n; i++)
        show(mesh, to, medias[i],
             stream_for(mesh, slots[i].stream, place_of(member, medias[i]->mid)));
    return result.missing;
}

void mesh_reselect(struct mesh *mesh, enum sdp_kind kind)
{
    if (!mesh_selects(mesh, kind))
        return;
    g_autoptr(GArray) candidates = candidates_of(mesh, kind);
    for (guint i = 0; i < mesh->members->len; i++) {
        struct mesh_member *member = g_ptr_array_index(mesh->members, i);
        if (!member->termination->pipeline)
            select_for(mesh, member, kind, candidates);
    }
}

/* --- more slots --------------------------------------------------------------------------------
 */

static guint count_kind(const struct termination *t, enum sdp_kind kind)
{
    guint n = 0;
    for (guint i = 0; i < t->medias->len; i++)
        n += ((struct termination_media *)g_ptr_array_index(t->medias, i))->kind == kind;
    return n;
}

static json_t *wanted_template(struct termination *to, const guint missing[2], guint limit)
{
    json_t *medias = json_array();
    json_t *present = termination_medias_json(to);
    size_t i;
    json_t *item;
    json_array_foreach(present, i, item)
    {
        json_t *media = json_object();
        static const char *const keys[] = {"mid", "mediaType", "direction", "codecs", "simulcast"};
        for (size_t k = 0; k < G_N_ELEMENTS(keys); k++)
            json_object_set(media, keys[k], json_object_get(item, keys[k]));
        json_array_append_new(medias, media);
    }
    json_decref(present);
    for (enum sdp_kind kind = SDP_AUDIO; kind <= SDP_VIDEO; kind++) {
        guint have = count_kind(to, kind);
        for (guint n = 0; n < missing[kind] && have < limit; n++, have++)
            json_array_append_new(medias, json_pack("{s:s, s:s}", "mediaType", sdp_kind_name(kind),
                                                    "direction", "sendonly"));
    }
    return json_pack("{s:o, s:b}", "medias", medias, "bundle", 1);
}

static guint count_places(const struct mesh_member *member, enum sdp_kind kind)
{
    guint n = 0;
    for (guint i = 0; i < member->places->len; i++)
        n += g_array_index(member->places, struct mesh_place, i).kind == kind;
    return n;
}

static bool can_grow(const struct mesh *mesh, const struct termination *t, const guint missing[2])
{
    return (missing[SDP_AUDIO] && count_kind(t, SDP_AUDIO) < mesh->slots_max) ||
           (missing[SDP_VIDEO] && count_kind(t, SDP_VIDEO) < mesh->slots_max);
}

/* A controller that is slow has been told: the same is said again only if something has happened
 * since and seconds have passed, for an endpoint that could not be asked just then. */
static void ask_for_slots(const struct mesh *mesh, struct mesh_member *member,
                          const guint missing[2])
{
    struct termination *to = member->termination;
    guint wanted[2];
    if (!can_grow(mesh, to, missing) || !(to->events.bits & (1u << EVENT_NEGOTIATION_NEEDED))) {
        memset(member->slots_asked, 0, sizeof member->slots_asked);
        return;
    }
    if (to->pending_local)
        return;
    for (enum sdp_kind kind = SDP_AUDIO; kind <= SDP_VIDEO; kind++)
        wanted[kind] = count_places(member, kind) + missing[kind];
    bool same = memcmp(wanted, member->slots_asked, sizeof wanted) == 0;
    gint64 now = loop_now();
    gint64 next =
        to->negotiation_asked + (same ? REPEAT_INTERVAL_MS : NEGOTIATION_INTERVAL_MS) * 1000;
    if (to->negotiation_asked && now < next) {
        loop_timer_start(to->mesh_timer, (next - now) / 1000 + 1);
        return;
    }
    to->negotiation_asked = now;
    memcpy(member->slots_asked, wanted, sizeof wanted);
    event_notify(
        to, EVENT_NEGOTIATION_NEEDED, NULL,
        json_pack("{s:o}", "offerTemplate", wanted_template(to, missing, mesh->slots_max)));
}

/* --- life --------------------------------------------------------------------------------------
 */

struct mesh *mesh_new(struct context *context, const struct mesh_options *options)
{
    struct mesh *mesh = g_new0(struct mesh, 1);
    mesh->context = context;
    mesh->slots_max = conf_int(context->wmcf->conf, "limits", "max_slots");
    mesh->last_n = in_force(options ? options->last_n : -1, mesh->slots_max);
    mesh->loudest_n = in_force(options ? options->loudest_n : -1, mesh->slots_max);
    mesh->kinds = options && options->kinds >= 0 ? options->kinds : 1 << SDP_AUDIO | 1 << SDP_VIDEO;
    mesh->members = g_ptr_array_new();
    mesh->speakers = speakers_new();
    mesh->speech_timer = loop_timer_new("mesh speech", mesh_speech_tick, mesh);
    mesh->tell_timer = loop_timer_new("mesh sources", mesh_tell_now, mesh);
    return mesh;
}

void mesh_free(struct mesh *mesh)
{
    if (!mesh)
        return;
    loop_timer_free(mesh->speech_timer);
    loop_timer_free(mesh->tell_timer);
    n_meshes -= mesh->members->len != 0;
    for (guint i = 0; i < mesh->members->len; i++)
        member_free(mesh, g_ptr_array_index(mesh->members, i));
    g_ptr_array_unref(mesh->members);
    speakers_free(mesh->speakers);
    g_free(mesh);
}

void mesh_update(struct context *context)
{
    struct mesh *mesh = context->mesh;
    if (!mesh)
        return;
    mesh->stand_ins = false;
    for (guint i = 0; i < context->order->len; i++) {
        struct termination *t = g_ptr_array_index(context->order, i);
        if (t->joined && !t->mesh_member)
            join(mesh, t);
        if (t->mesh_member)
            refresh(mesh, t->mesh_member);
    }
    mesh->scarce[SDP_AUDIO] = mesh->scarce[SDP_VIDEO] = false;
    g_autoptr(GArray) voices = candidates_of(mesh, SDP_AUDIO);
    g_autoptr(GArray) videos = candidates_of(mesh, SDP_VIDEO);
    for (guint i = 0; i < mesh->members->len; i++) {
        struct mesh_member *member = g_ptr_array_index(mesh->members, i);
        guint missing[2];
        if (member->termination->pipeline)
            continue;
        missing[SDP_AUDIO] =
            mesh_selects(mesh, SDP_AUDIO) ? select_for(mesh, member, SDP_AUDIO, voices) : 0;
        missing[SDP_VIDEO] =
            mesh_selects(mesh, SDP_VIDEO) ? select_for(mesh, member, SDP_VIDEO, videos) : 0;
        ask_for_slots(mesh, member, missing);
    }
    mesh_speech_update(mesh);
    mesh_tell_soon(mesh);
}

guint mesh_count(void)
{
    return n_meshes;
}
