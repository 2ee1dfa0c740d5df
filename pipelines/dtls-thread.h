/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The one thread on which all handshakes, records and retransmission timers of DTLS run, and where
 * webrtcbin is told of ICE: 0.5 ms of public-key work per handshake is too much for the control
 * thread and for a packet thread alike.
 *
 * Threads: dtls_thread_post() any; start and stop control; timers the DTLS thread. */
#include <glib.h>
#include <stdbool.h>

bool dtls_thread_start(GError **error);
/* Runs what is posted, then joins. No timer may be armed any more. */
void dtls_thread_stop(void);
bool dtls_thread_is_current(void);
/* Runs fn(data) soon on the DTLS thread, in the order of posting. fn owns data. */
void dtls_thread_post(void (*fn)(void *data), void *data);

/* Embedded in what it wakes. */
struct dtls_timer {
    gint64 deadline; /* monotonic µs */
    void (*fn)(void *data, gint64 now);
    void *data;
    GSequenceIter *position; /* NULL = not armed */
};
void dtls_timer_init(struct dtls_timer *timer, void (*fn)(void *data, gint64 now), void *data);
/* Moves it when it is armed already; a deadline below 0 disarms it. One-shot. */
void dtls_timer_set(struct dtls_timer *timer, gint64 deadline);
