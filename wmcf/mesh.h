/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a context of topology "mesh" knows of its terminations: what each one sends, where it can
 * receive, who leads the conversation. Threads: control.
 *
 * topology-mesh.c  members and slots     mesh-speech.c  who speaks     mesh-tell.c  events
 * mesh-select.h and speakers.h decide; these act. */
#include "wmcf/speakers.h"
#include "wmcf/topology.h"

struct mesh_stream { /* what an endpoint sends on one m-line, as long as it does */
    struct mesh_member *of;
    enum sdp_kind kind;
    char mid[SDP_MAX_MID + 1];
    const char *format; /* of video: what is sent, as far as it was agreed; interned, or NULL */
    bool watched;
    bool there; /* while members are gone over */
};

#define MESH_FORMATS_MAX 16

struct mesh_place { /* an m-line on which an endpoint can receive */
    enum sdp_kind kind;
    char mid[SDP_MAX_MID + 1];
    const char *formats[MESH_FORMATS_MAX]; /* of video: what can be taken there; interned */
    guint n_formats;
    bool both; /* it also sends on it */
};

struct mesh_member {
    struct termination *termination;
    GPtrArray *streams;   /* struct mesh_stream, owned, by m-line */
    GArray *places;       /* struct mesh_place, by m-line */
    guint64 led;          /* turn at which he last led; 0 = never */
    guint slots_asked[2]; /* by enum sdp_kind: how many in all negotiationNeeded has said; or 0 */
    bool to_tell_speaker; /* he has just joined */
    bool stands_in;       /* a pipeline whose stream is for who cannot take another one */
};

struct mesh {
    struct context *context;
    guint last_n, loudest_n; /* in force */
    guint slots_max;
    int kinds;          /* bits by enum sdp_kind */
    GPtrArray *members; /* struct mesh_member, owned, in order of joining */
    struct speakers *speakers;
    guint64 turns;  /* of leading */
    bool scarce[2]; /* by enum sdp_kind: some endpoint cannot have all */
    bool listening; /* somebody needs to know who speaks */
    bool leader_left;
    bool stand_ins;            /* some member stands in */
    bool voices_urgent;        /* a sound has begun, and there was a choice of voices just now */
    gint64 voices_at, told_at; /* of the last choice, the last sourceChanged */
    struct loop_timer *speech_timer, *tell_timer;
};

/* --- topology-mesh.c --------------------------------------------------------------------------
 */
/* Chooses and routes anew what depends on who speaks. */
void mesh_reselect(struct mesh *mesh, enum sdp_kind kind);
/* Whose stream this is: of one that stands in, the one that it stands for; NULL: it has none. */
const struct mesh_stream *mesh_stream_shown(const struct mesh_stream *stream);
/* … of what a medium of an endpoint gets. */
const struct mesh_stream *mesh_shown_in(const struct termination_media *media);
/* --- mesh-speech.c ----------------------------------------------------------------------------
 */
/* Begins or ends to listen as members, events and slots want it. */
void mesh_speech_update(struct mesh *mesh);
void mesh_speech_forget(struct mesh *mesh, struct mesh_stream *stream);
void mesh_speech_tick(void *mesh);
/* --- mesh-tell.c ------------------------------------------------------------------------------
 */
/* A slot may have changed, or who speaks for one member: told soon, together. */
void mesh_tell_soon(struct mesh *mesh);
void mesh_tell_now(void *mesh);
void mesh_tell_speaker(const struct mesh *mesh, struct termination *to);
