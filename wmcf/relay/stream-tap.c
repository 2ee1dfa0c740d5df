/* SPDX-License-Identifier: Apache-2.0 */
/* A list per stream. Taps are served before the subscribers, so that another worker encrypts its
 * share while this one encrypts its own. */
#include "wmcf/relay/stream-tap.h"

#include "wmcf/relay/stream.h"

void stream_tap_add(struct stream *stream, struct stream_tap *tap)
{
    tap->next = stream->taps;
    stream->taps = tap;
}

void stream_tap_remove(struct stream *stream, struct stream_tap *tap)
{
    struct stream_tap **at = &stream->taps;
    while (*at && *at != tap)
        at = &(*at)->next;
    if (!*at)
        return;
    *at = tap->next;
    tap->next = NULL;
}

void stream_taps_run(struct stream *stream)
{
    for (struct stream_tap *tap = stream->taps; tap; tap = tap->next)
        tap->ops->packets(tap, stream, stream->first);
}

void stream_taps_end(struct stream *stream)
{
    while (stream->taps) {
        struct stream_tap *tap = stream->taps;
        stream->taps = tap->next;
        tap->next = NULL;
        tap->ops->ended(tap);
    }
}
