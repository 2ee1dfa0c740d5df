/* SPDX-License-Identifier: Apache-2.0 */
/* Who speaks in a mesh. The relay is asked to listen only where the answer matters: some endpoint
 * cannot have all streams, or somebody asked for activeSpeaker. Its reports go to speakers.c; sound
 * that begins changes the voices at once, so that a word is not cut, and a new leader the videos.
 * A timer runs only while there is somebody whose silence would change something. */
#define LOG_CATEGORY "mesh"
#include "base/log.h"
#include "base/loop.h"
#include "base/metrics.h"
#include "wmcf/mesh.h"

#define VOICES_US INT64_C(10000) /* between two choices, however many begin to speak */

static bool is_asked_for(const struct mesh *mesh)
{
    for (guint i = 0; i < mesh->members->len; i++) {
        const struct mesh_member *member = g_ptr_array_index(mesh->members, i);
        if (member->termination->events.bits & (1u << EVENT_ACTIVE_SPEAKER))
            return true;
    }
    return false;
}

static void watch(struct mesh *mesh, struct mesh_stream *stream, bool on)
{
    if (stream->kind != SDP_AUDIO || stream->of->termination->pipeline || stream->watched == on)
        return;
    stream->watched = on;
    relay_leg_watch_activity(stream->of->termination->relay_leg, stream->mid, on);
    if (on) {
        speakers_add(mesh->speakers, stream);
        return;
    }
    mesh->leader_left |= speakers_leader(mesh->speakers) == stream;
    speakers_remove(mesh->speakers, stream);
}

void mesh_speech_forget(struct mesh *mesh, struct mesh_stream *stream)
{
    watch(mesh, stream, false);
}

static const struct mesh_stream *leader(const struct mesh *mesh)
{
    return speakers_leader(mesh->speakers);
}

static void tell_all(const struct mesh *mesh)
{
    static struct metric *changes;
    if (!changes)
        changes = metric_register(METRIC_COUNTER, "speaker_changes", NULL,
                                  "Meshes in which another one, or nobody, speaks.", NULL);
    metric_add(changes, 1, NULL);
    for (guint i = 0; i < mesh->members->len; i++) {
        struct mesh_member *member = g_ptr_array_index(mesh->members, i);
        member->to_tell_speaker = false;
        mesh_tell_speaker(mesh, member->termination);
    }
}

static void decide(struct mesh *mesh)
{
    gint64 now = loop_now();
    bool left = mesh->leader_left;
    mesh->leader_left = false;
    if (speakers_decide(mesh->speakers, now) || left) {
        const struct mesh_stream *stream = leader(mesh);
        struct log_ids ids = {.context = mesh->context->id,
                              .termination = stream ? stream->of->termination->id : NULL};
        log_debug(&ids, "%s", stream ? "speaks" : "nobody speaks");
        if (stream)
            stream->of->led = ++mesh->turns;
        if (stream && mesh->scarce[SDP_VIDEO])
            mesh_reselect(mesh, SDP_VIDEO);
        tell_all(mesh);
    }
    if (mesh->voices_urgent)
        loop_timer_start(mesh->speech_timer, VOICES_US / 1000);
    else if (speakers_restless(mesh->speakers, now))
        loop_timer_start(mesh->speech_timer, SPEAKERS_LOOK_US / 1000);
    else
        loop_timer_stop(mesh->speech_timer);
}

/* A sound that begins is not kept waiting; among those that go on it is looked now and then whether
 * one is clearly stronger. */
static void choose_voices(struct mesh *mesh)
{
    gint64 now = loop_now(), since = now - mesh->voices_at;
    if (!mesh->scarce[SDP_AUDIO] || since < (mesh->voices_urgent ? VOICES_US : SPEAKERS_LOOK_US))
        return;
    mesh->voices_urgent = false;
    mesh->voices_at = now;
    mesh_reselect(mesh, SDP_AUDIO);
}

void mesh_speech_tick(void *data)
{
    choose_voices(data);
    decide(data);
}

void mesh_activity(struct termination *termination, const char *mid,
                   const struct relay_activity *activity)
{
    struct mesh_member *member = termination->mesh_member;
    struct mesh *mesh = member ? termination->context->mesh : NULL;
    if (!mesh || !mesh->listening)
        return;
    for (guint i = 0; i < member->streams->len; i++) {
        const struct mesh_stream *stream = g_ptr_array_index(member->streams, i);
        if (strcmp(stream->mid, mid) != 0)
            continue;
        mesh->voices_urgent |= speakers_report(mesh->speakers, stream, activity, loop_now()) &&
                               mesh->scarce[SDP_AUDIO];
        if (activity->loud)
            choose_voices(mesh);
        decide(mesh);
        return;
    }
}

void mesh_speech_update(struct mesh *mesh)
{
    mesh->listening = mesh->scarce[SDP_AUDIO] || mesh->scarce[SDP_VIDEO] || is_asked_for(mesh);
    for (guint i = 0; i < mesh->members->len; i++) {
        struct mesh_member *member = g_ptr_array_index(mesh->members, i);
        for (guint s = 0; s < member->streams->len; s++)
            watch(mesh, g_ptr_array_index(member->streams, s), mesh->listening);
    }
    if (mesh->leader_left)
        decide(mesh);
}
