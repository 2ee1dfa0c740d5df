/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What an encoding of a video carries, measured where it is received: octets per layer, picture
 * sizes, and whether it is being sent at all. The meters of a simulcast m-line stand on one
 * *board*, which the workers of all its subscribers read, so that they can choose an encoding that
 * does not come to them yet.
 * Threads: layer_meter_packet() and _tick() the worker that receives; reading any. */
#include "wmcf/relay/packet-dependency.h"
#include "wmcf/relay/relay.h"

#include <stdatomic.h>

#define SPATIAL_LAYERS 4
#define TEMPORAL_LAYERS 4
#define METER_FRAMES 4

struct layer_meter {
    int64_t window;                                   /* began then, 0 = never */
    uint32_t octets[SPATIAL_LAYERS][TEMPORAL_LAYERS]; /* in it */
    int64_t frames[METER_FRAMES];                     /* arrivals of the last ones, a ring */
    unsigned frame;
    bool measured;      /* a window has been closed */
    uint32_t timestamp; /* of the last frame */
    int64_t last_packet;

    /* read by any thread: */
    _Atomic bool alive;                                     /* it is being sent */
    _Atomic bool whole;                                     /* rates are of decode targets */
    _Atomic uint32_t rate[SPATIAL_LAYERS][TEMPORAL_LAYERS]; /* bits/s, of each alone, or … */
    _Atomic uint32_t size[SPATIAL_LAYERS];                  /* width << 16 | height; 0 = unknown */
};

struct encoding_board {
    _Atomic unsigned refs;
    _Atomic uint32_t version; /* changes when something does that a choice depends on */
    unsigned n;
    char rids[RELAY_ENCODINGS_MAX][RELAY_RID_MAX + 1]; /* RO */
    struct layer_meter meters[RELAY_ENCODINGS_MAX];
};

/* One packet of the encoding. True: it is sent again after a silence, or for the first time. */
bool layer_meter_packet(struct layer_meter *meter, const struct packet *packet);
/* Closes a window that is over, so that what is not sent any more has a rate of 0. */
void layer_meter_tick(struct layer_meter *meter, int64_t now);
/* Sizes of n spatial layers, 0 = not told. True: one has changed. */
bool layer_meter_sizes(struct layer_meter *meter, const uint32_t *sizes, unsigned n);
/* Of the picture up to a spatial layer; 0 = not known. */
uint32_t layer_meter_size(const struct layer_meter *meter, unsigned spatial);
/* Of a layer with all below it. */
uint32_t layer_meter_rate(const struct layer_meter *meter, unsigned spatial, unsigned temporal);
/* Arrival of the METER_FRAMES-th frame before the present moment; 0 = there were not so many. */
static inline int64_t layer_meter_oldest_frame(const struct layer_meter *meter)
{
    return meter->frames[meter->frame];
}

/* Rids of a medium with simulcast, one reference. */
struct encoding_board *encoding_board_new(const struct relay_media *media);
struct encoding_board *encoding_board_ref(struct encoding_board *board);
void encoding_board_unref(struct encoding_board *board);
/* Something that a choice depends on. */
static inline void encoding_board_changed(struct encoding_board *board)
{
    atomic_fetch_add_explicit(&board->version, 1, memory_order_release);
}
/* Whether it is a board of these rids; NULL is one of a medium without simulcast. */
bool encoding_board_serves(const struct encoding_board *board, const struct relay_media *media);
