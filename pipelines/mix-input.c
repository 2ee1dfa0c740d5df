/* SPDX-License-Identifier: Apache-2.0 */
/* A ring that is addressed by time: sample n stands at n modulo the length, so late packets, holes
 * and silence need no list. What is further ahead than the ring is long is dropped and counted;
 * nobody ever waits. */
#include "pipelines/mix-input.h"

#include <string.h>

#define LOOK 250 /* pieces: five seconds of 20 ms */

void mix_input_init(struct mix_input *input, guint channels, guint frames_max)
{
    *input = (struct mix_input){.channels = channels, .frames_max = frames_max};
    input->ring = g_new0(gint16, (gsize)channels * frames_max);
}

void mix_input_clear(struct mix_input *input)
{
    g_clear_pointer(&input->ring, g_free);
}

/* `samples` NULL: silence. */
static void write_at(struct mix_input *input, gint64 at, const gint16 *samples, guint frames)
{
    while (frames) {
        guint place = (guint)(at % input->frames_max);
        guint some = MIN(frames, input->frames_max - place);
        gsize octets = (gsize)some * input->channels * sizeof *samples;
        gint16 *to = input->ring + (gsize)place * input->channels;
        if (samples)
            memcpy(to, samples, octets);
        else
            memset(to, 0, octets);
        samples = samples ? samples + (gsize)some * input->channels : NULL;
        at += some;
        frames -= some;
    }
}

/* Not so late as it was: what waits for longer than it must is skipped. */
static void come_back(struct mix_input *input, gint64 ahead, guint spare)
{
    input->least = input->seen++ ? MIN(input->least, ahead) : ahead;
    if (input->seen < LOOK)
        return;
    if (input->shift > 0 && input->least > spare)
        input->shift -= MIN(input->shift, input->least - spare);
    input->seen = 0;
}

void mix_input_put(struct mix_input *input, gint64 at, const gint16 *samples, guint frames,
                   guint tolerance)
{
    at += input->shift;
    come_back(input, at - input->taken, tolerance);
    if (at + frames <= input->taken) {
        input->late += frames;
        input->shift += input->taken - at;
        at = input->taken;
        input->seen = 0;
    }
    if (input->shift > 0 && at + frames > input->taken + input->frames_max) {
        gint64 back = MIN(input->shift, at - input->taken - tolerance);
        input->shift -= back;
        at -= back;
    }
    if (input->end > input->taken && ABS(at - input->end) <= tolerance)
        at = input->end;
    if (at < input->taken) {
        guint gone = (guint)MIN(input->taken - at, frames);
        input->late += gone;
        samples += (gsize)gone * input->channels;
        frames -= gone;
        at += gone;
    }
    if (at + frames > input->taken + input->frames_max) {
        input->dropped += frames;
        return;
    }
    if (frames == 0)
        return;
    if (input->end <= input->taken)
        input->first = input->end = at;
    if (at > input->end)
        write_at(input, input->end, NULL, (guint)(at - input->end));
    if (at + frames < input->first)
        write_at(input, at + frames, NULL, (guint)(input->first - at - frames));
    write_at(input, at, samples, frames);
    input->first = MIN(input->first, at);
    input->end = MAX(input->end, at + frames);
}

bool mix_input_take(struct mix_input *input, gint64 at, guint frames, gint16 *ret)
{
    gint64 from = MAX(at, input->first), to = MIN(at + frames, input->end);
    gint16 any = 0;
    input->taken = MAX(input->taken, at + frames);
    if (from >= to)
        return false;
    for (gint64 i = from; i < to;) {
        guint place = (guint)(i % input->frames_max);
        guint some = (guint)MIN(to - i, input->frames_max - place);
        const gint16 *source = input->ring + (gsize)place * input->channels;
        gint16 *into = ret + (gsize)(i - at) * input->channels;
        for (gsize s = 0; s < (gsize)some * input->channels; s++) {
            into[s] = source[s];
            any |= source[s];
        }
        i += some;
    }
    memset(ret, 0, (gsize)(from - at) * input->channels * sizeof *ret);
    memset(ret + (gsize)(to - at) * input->channels, 0,
           (gsize)(at + frames - to) * input->channels * sizeof *ret);
    input->first = MAX(input->first, MIN(to, input->end));
    return any != 0;
}
