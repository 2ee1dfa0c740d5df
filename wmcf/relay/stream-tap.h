/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Looks at what a stream's subscribers get, packet by packet in clear, without being one: for a
 * mirror in another worker, or for a pipeline. A stream without taps pays one pointer test per
 * batch. Threads: the worker of the stream. */
#include "wmcf/relay/packet-pool.h"

struct stream;
struct stream_tap;

struct stream_tap_ops {
    /* What the batch brought, in the order of arrival; `first` is linked by `next` and borrowed for
     * the call (keep one with packet_ref()). Packets of one epoch are numbered on by `index`; those
     * without `format` have a payload type that was not negotiated: they have a number and no use.
     * Never blocks; must not add or remove taps. May call stream_want_key_frame(). */
    void (*packets)(struct stream_tap *tap, struct stream *stream, const struct packet *first);
    /* The stream is going. The tap has been taken out; its memory is its owner's. */
    void (*ended)(struct stream_tap *tap);
};

struct stream_tap { /* first in what taps */
    struct stream_tap *next;
    const struct stream_tap_ops *ops;
};

/* Borrowed until removed or ended. Whoever needs a picture to begin with asks for a key frame. */
void stream_tap_add(struct stream *stream, struct stream_tap *tap);
/* Does nothing when it is not there. */
void stream_tap_remove(struct stream *stream, struct stream_tap *tap);
/* For the stream: shows the batch, and ends all. */
void stream_taps_run(struct stream *stream);
void stream_taps_end(struct stream *stream);
