/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What an endpoint of a mesh gets: which streams of one media type, and in which of its slots.
 * Pure: streams and their owners are opaque. Threads: control. */
#include <glib.h>
#include <stdbool.h>

struct mesh_candidate {
    const void *stream, *owner;
    bool always; /* a pipeline's: goes before all others and is not counted */
    /* How it is to be heard; nothing of a video. */
    bool loud;
    gint64 loud_at; /* last; 0 = never */
    guint32 share, strength;
};

struct mesh_slot {
    const void *stream; /* shown in it; in and out; NULL = nothing */
    bool preferred;     /* filled before others */
};

enum mesh_rule {
    MESH_BY_RANK,  /* the first ones of the candidates */
    MESH_BY_VOICE, /* those who are loud, and then those who are there already */
};

struct mesh_wish {
    enum mesh_rule rule;
    const struct mesh_candidate *candidates; /* by rank: he who comes first is wanted first */
    guint n_candidates;
    const void *self; /* never gets what is its own */
    guint limit;      /* of those that are counted */
    guint slots_max;  /* of all */
};

struct mesh_result {
    guint missing; /* slots that would be filled if they were there */
    bool scarce;   /* there is more than it gets */
};

/* Chooses and places: what stays keeps its slot, what leaves makes room, nothing is moved. */
struct mesh_result mesh_select(const struct mesh_wish *wish, struct mesh_slot *slots, guint n);
