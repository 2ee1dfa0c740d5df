/* SPDX-License-Identifier: Apache-2.0 */
/* One octet of flags per packet in a ring. What the next packet is waited for decides about a whole
 * chain of frames, so only the front moves: over packets that are there, or, when patience is over,
 * over the hole, which breaks its frame and all that follow it. */
#include "tests/support/peer/decoder.h"

#include <string.h>

#define PATIENCE_US 1000000 /* browsers give up a frame after one to three seconds */

enum { HERE = 1, MARKER = 2, KEY = 4 };

static guint8 *slot(struct peer_decoder *decoder, guint64 extended)
{
    return &decoder->flags[extended % PEER_DECODER_WINDOW];
}

static void show(struct peer_decoder *decoder, gint64 now)
{
    decoder->decoded++;
    if (decoder->last_us)
        decoder->longest_us = MAX(decoder->longest_us, now - decoder->last_us);
    decoder->last_us = now;
}

static void end_frame(struct peer_decoder *decoder, gint64 now)
{
    if (decoder->broken)
        decoder->waiting_key = true;
    if (decoder->broken || decoder->waiting_key)
        decoder->dropped++;
    else
        show(decoder, now);
    decoder->broken = false;
    decoder->at_start = true;
}

/* The next packet, or its absence. */
static void step(struct peer_decoder *decoder, gint64 now)
{
    guint8 *flags = slot(decoder, decoder->next++);
    guint8 packet = *flags;
    *flags = 0;
    if (!(packet & HERE)) {
        decoder->broken = true;
        decoder->at_start = false;
        return;
    }
    if (packet & KEY) {
        /* After a hole nobody knows where the frame before ended; here one begins. */
        if (!decoder->at_start)
            decoder->dropped++;
        decoder->broken = decoder->waiting_key = false;
    }
    decoder->at_start = false;
    if (packet & MARKER)
        end_frame(decoder, now);
}

static void run(struct peer_decoder *decoder, gint64 now)
{
    while (decoder->next <= decoder->highest) {
        bool here = *slot(decoder, decoder->next) & HERE;
        if (!here && !decoder->stuck_us)
            decoder->stuck_us = now;
        if (!here && now - decoder->stuck_us < PATIENCE_US &&
            decoder->highest - decoder->next < PEER_DECODER_WINDOW - 1)
            return;
        step(decoder, now);
        if (here)
            decoder->stuck_us = 0;
    }
    decoder->stuck_us = 0;
}

void peer_decoder_begin(struct peer_decoder *decoder)
{
    decoder->started = false;
    decoder->stuck_us = 0;
    memset(decoder->flags, 0, sizeof decoder->flags);
}

void peer_decoder_input(struct peer_decoder *decoder, gint64 now, guint64 extended, bool marker,
                        bool key)
{
    if (!decoder->started) {
        decoder->started = decoder->at_start = decoder->waiting_key = true;
        decoder->broken = false;
        decoder->next = decoder->highest = extended;
    }
    if (extended < decoder->next) /* too late */
        return;
    while (extended - decoder->next >= PEER_DECODER_WINDOW)
        step(decoder, now);
    decoder->highest = MAX(decoder->highest, extended);
    *slot(decoder, extended) = (guint8)(HERE | (marker ? MARKER : 0) | (key ? KEY : 0));
    run(decoder, now);
}

void peer_decoder_reset(struct peer_decoder *decoder)
{
    decoder->decoded = decoder->dropped = 0;
    decoder->last_us = decoder->longest_us = 0;
}
