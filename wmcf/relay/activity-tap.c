/* SPDX-License-Identifier: Apache-2.0 */
/* A tap, so that a stream that nobody asked about pays nothing for it, and so that only what has
 * passed its gate counts as spoken. A batch makes one event at most, and a stream some five a
 * second, while there is sound in it. */
#include "wmcf/relay/activity-tap.h"

#include "wmcf/relay/audio-activity.h"
#include "wmcf/relay/stream-tap.h"
#include "wmcf/relay/worker.h"

struct activity_tap {
    struct stream_tap tap; /* first */
    struct audio_activity activity;
};

static void on_packets(struct stream_tap *tap, struct stream *stream, const struct packet *first)
{
    struct activity_tap *self = (struct activity_tap *)tap;
    bool tell = false;
    for (const struct packet *packet = first; packet; packet = packet->next) {
        if (packet->format)
            tell |= audio_activity_take(&self->activity, packet->note, packet->arrival);
    }
    if (!tell)
        return;
    struct relay_activity report;
    audio_activity_report(&self->activity, &report);
    worker_raise_activity(stream->line->leg, stream->line->media.mid, &report);
}

static void on_ended(struct stream_tap *tap)
{
    g_free(tap);
}

static const struct stream_tap_ops ops = {.packets = on_packets, .ended = on_ended};

void activity_tap_watch(struct stream *stream, bool watch)
{
    struct stream_tap *tap = stream->taps;
    while (tap && tap->ops != &ops)
        tap = tap->next;
    if (tap && !watch) {
        stream_tap_remove(stream, tap);
        on_ended(tap);
    } else if (!tap && watch) {
        struct activity_tap *self = g_new0(struct activity_tap, 1);
        self->tap.ops = &ops;
        audio_activity_init(&self->activity);
        stream_tap_add(stream, &self->tap);
    }
}
