/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What waits of one input of a mixer: samples at their places in time, a bounded span of them.
 * A place is a number of frames since the beginning of time. Threads: one at a time. */
#include <glib.h>
#include <stdbool.h>

struct mix_input {
    gint16 *ring;
    guint channels, frames_max;
    gint64 first, end;     /* what is there: [first, end) */
    gint64 taken;          /* up to here it is mixed */
    gint64 shift;          /* by so much later than its time it is mixed, for it comes too late */
    gint64 least;          /* how far ahead of its turn it was at least since … */
    guint seen;            /* … so many pieces ago */
    guint64 late, dropped; /* frames that came after their turn, or too early by far */
};

void mix_input_init(struct mix_input *input, guint channels, guint frames_max);
void mix_input_clear(struct mix_input *input);
/* Puts them where they belong. Such as follow by about `tolerance` frames on what is there follow
 * without a seam: clocks of senders differ from ours. What comes after its turn takes the next one,
 * and what follows is as much later, until it has not been needed for some seconds: an input that
 * is always late is heard late, and not never. */
void mix_input_put(struct mix_input *input, gint64 at, const gint16 *samples, guint frames,
                   guint tolerance);
/* The frames at that place and after, silence where there are none; false (and nothing written):
 * there is but silence. Everything before is forgotten. */
bool mix_input_take(struct mix_input *input, gint64 at, guint frames, gint16 *ret);
