/* SPDX-License-Identifier: Apache-2.0 */
/* What the WSF hears of a mesh. A turn of the loop may fill a slot, empty it and fill it again, and
 * a departure changes slots of everybody: what counts is how a slot looks when the turn is over,
 * against what was told last, in one notify per termination, some times a second at most. */
#include "base/loop.h"
#include "wmcf/mesh.h"

#define TELL_INTERVAL_US INT64_C(200000)

void mesh_tell_soon(struct mesh *mesh)
{
    gint64 due = mesh->told_at + TELL_INTERVAL_US, now = loop_now();
    loop_timer_start(mesh->tell_timer, now < due ? (guint)((due - now) / 1000 + 1) : 0);
}

json_t *topology_source_json(const struct termination_media *media)
{
    const struct mesh_stream *shown = mesh_shown_in(media);
    if (!media->source)
        return NULL;
    if (!shown || shown->of->termination == media->source)
        return json_pack("{s:s, s:s}", "terminationId", media->source->id, "mid",
                         media->source_mid);
    return json_pack("{s:s, s:s, s:s}", "terminationId", shown->of->termination->id, "mid",
                     shown->mid, "by", media->source->id);
}

static void tell_sources(const struct mesh *mesh, struct termination *to)
{
    json_t *sources = json_array();
    for (guint i = 0; i < to->medias->len; i++) {
        struct termination_media *media = g_ptr_array_index(to->medias, i);
        if (!mesh_selects(mesh, media->kind))
            continue;
        json_t *source = topology_source_json(media);
        bool same = source == media->source_told || json_equal(source, media->source_told);
        if (same && !media->source_told_else) {
            json_decref(source);
            continue;
        }
        json_t *item = json_pack("{s:s}", "mid", media->mid);
        if (source)
            json_object_set(item, "source", source);
        json_array_append_new(sources, item);
        json_decref(media->source_told);
        media->source_told = source;
        media->source_told_else = false;
    }
    if (json_array_size(sources))
        event_notify(to, EVENT_SOURCE_CHANGED, NULL, json_pack("{s:o}", "sources", sources));
    else
        json_decref(sources);
}

void mesh_tell_now(void *data)
{
    struct mesh *mesh = data;
    mesh->told_at = loop_now();
    for (guint i = 0; i < mesh->members->len; i++) {
        struct mesh_member *member = g_ptr_array_index(mesh->members, i);
        tell_sources(mesh, member->termination);
        if (member->to_tell_speaker && speakers_leader(mesh->speakers))
            mesh_tell_speaker(mesh, member->termination);
        member->to_tell_speaker = false;
    }
}

static json_t *speaker_json(const struct mesh *mesh)
{
    const struct mesh_stream *stream = speakers_leader(mesh->speakers);
    return stream ? json_pack("{s:s, s:s}", "terminationId", stream->of->termination->id, "mid",
                              stream->mid)
                  : NULL;
}

void mesh_tell_speaker(const struct mesh *mesh, struct termination *to)
{
    json_t *speaker = speaker_json(mesh);
    event_notify(to, EVENT_ACTIVE_SPEAKER, NULL, speaker ? speaker : json_object());
}

void mesh_add_json(const struct mesh *mesh, json_t *object)
{
    json_t *speaker = speaker_json(mesh);
    json_object_set_new(
        object, "mesh",
        json_pack("{s:i, s:i}", "lastN", (int)mesh->last_n, "loudestN", (int)mesh->loudest_n));
    json_t *media = json_array();
    for (enum sdp_kind kind = SDP_AUDIO; kind <= SDP_VIDEO; kind++)
        if (mesh_selects(mesh, kind))
            json_array_append_new(media, json_string(sdp_kind_name(kind)));
    if (json_array_size(media) < 2)
        json_object_set(json_object_get(object, "mesh"), "media", media);
    json_decref(media);
    if (speaker)
        json_object_set_new(object, "activeSpeaker", speaker);
}
