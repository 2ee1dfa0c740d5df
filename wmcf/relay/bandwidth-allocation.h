/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Divides what a leg can receive among its videos: audio first, then the lowest layer of every
 * video, then one step after the other in turn. Down at once, up after a while and with a margin.
 * Rates are bits/s on the wire. Pure. Threads: any. */
#include "wmcf/relay/layers.h"

struct allocation_video { /* zeroed = new; the owner fills in the first part each time */
    struct layer layers[LAYERS_MAX];
    unsigned n;
    uint32_t ceiling; /* policing; 0 = none */
    bool told;        /* the owner has acted on a choice */
    uint32_t pixels;  /* asked for; larger ones take their steps first */
    /* --- the allocation's */
    bool begun, running; /* running: `chosen` is sent, else it is paused */
    struct layer chosen;
    unsigned choice;      /* index of it in layers */
    int64_t higher_since; /* more has been possible; 0 = it is not */
    int64_t raised_at, hold;
    int64_t lacking_since; /* not even its lowest layer fits; 0 = it does */
    bool changed;          /* by the last call */
};

struct allocation_budget {
    uint32_t estimate;
    uint32_t reserved;   /* for audio and what else is not video */
    bool proven;         /* the estimate is a measured bound: else no video pauses for it, */
    int64_t pause_after; /* … and none that runs before it has been too little for so long, µs */
};

/* Chooses for each of the n videos, by their order: the last ones pause first. Returns what all
 * would take in their highest layers, `reserved` included: worth probing for. */
uint32_t bandwidth_allocate(struct allocation_video *videos, unsigned n,
                            const struct allocation_budget *budget, int64_t now);
/* bits/s of what was chosen for the video; 0 = paused. */
uint32_t allocation_video_target(const struct allocation_video *video);
