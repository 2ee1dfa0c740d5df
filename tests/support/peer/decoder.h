/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A decoder without pictures: it takes frames in order, waits for what is missing of one for a
 * while, and after a loss shows nothing until a key frame begins. What it says is what a viewer
 * would have seen. Frames end with the marker bit. Time is a parameter. Threads: the group's. */
#include <glib.h>
#include <stdbool.h>

#define PEER_DECODER_WINDOW 4096 /* packets */

struct peer_decoder {
    bool started, broken, waiting_key, at_start;
    guint64 next, highest; /* extended sequence numbers; `next` has not been taken */
    gint64 stuck_us;       /* since when `next` is missing; 0 = it is not */
    guint8 flags[PEER_DECODER_WINDOW];
    guint64 decoded, dropped;   /* frames */
    gint64 last_us, longest_us; /* of the last decoded frame; the longest time between two */
};

/* A packet that is no duplicate. `key`: a key frame begins with it. */
void peer_decoder_input(struct peer_decoder *decoder, gint64 now, guint64 extended, bool marker,
                        bool key);
/* Another run of sequence numbers follows. */
void peer_decoder_begin(struct peer_decoder *decoder);
/* Counters begin anew. */
void peer_decoder_reset(struct peer_decoder *decoder);
