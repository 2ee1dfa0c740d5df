/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The transactions of one connection (A2) in both directions: which ids the peer has used, what was
 * answered, and when a request of ours is sent again or given up. Pure: time in microseconds is a
 * parameter. Threads: any, one at a time. */
#include <glib.h>
#include <stdbool.h>

#define TRANSACTION_STORE_MAX 256            /* responses kept for replay */
#define TRANSACTION_STORE_OCTETS (64 * 1024) /* … together */
#define TRANSACTION_STORE_AGE (60 * G_USEC_PER_SEC)
#define TRANSACTION_WINDOW 1024 /* ids below the highest one that may still come out of order */
#define TRANSACTION_ID_LIMIT (G_GUINT64_CONSTANT(1) << 53) /* our own ids stay below */

/* --- the peer's requests ------------------------------------------------------------------- */

enum transaction_verdict {
    TRANSACTION_NEW,         /* seen for the first time: now in progress */
    TRANSACTION_IN_PROGRESS, /* a retransmission: say nothing */
    TRANSACTION_REPLAY,      /* a retransmission: send the stored response again */
    TRANSACTION_REUSED,      /* an older duplicate: 409 */
    TRANSACTION_PARITY,      /* an id of ours: 400 */
};
const char *transaction_verdict_name(enum transaction_verdict verdict);

struct transaction_peer {
    guint parity; /* of the peer's ids: 0 client side, 1 server side */
    bool any;
    guint64 highest;                         /* index (id / 2) of the highest id */
    guint64 window[TRANSACTION_WINDOW / 64]; /* ring of bits: index used */
    GHashTable *progress;                    /* guint64 id, owned */
    GHashTable *by_id;                       /* id → struct stored */
    GQueue stored;                           /* struct stored, oldest first */
    gsize stored_octets;
};
void transaction_peer_init(struct transaction_peer *peer, guint parity);
void transaction_peer_finish(struct transaction_peer *peer);
/* *ret_response (REPLAY only) is borrowed until the next call. */
enum transaction_verdict transaction_peer_request(struct transaction_peer *peer, guint64 id,
                                                  gint64 now, GBytes **ret_response);
/* Ends the progress of `id` and keeps the response if it fits. */
void transaction_peer_answered(struct transaction_peer *peer, guint64 id, GBytes *response,
                               gint64 now);
guint transaction_peer_in_progress(const struct transaction_peer *peer);

/* --- our own requests ---------------------------------------------------------------------- */

struct transaction_call {
    guint64 id;
    GBytes *text;         /* owned: what is sent again */
    gint64 retransmit_at; /* 0: done or not wanted */
    gint64 deadline;
};
enum transaction_due { TRANSACTION_WAIT, TRANSACTION_RETRANSMIT, TRANSACTION_EXPIRED };

/* The next id of our own parity; false when they are used up. */
bool transaction_next_id(guint64 *next, guint64 *ret_id);
/* Starts the timers: one retransmission at half of the time. `text` is referenced. */
void transaction_call_start(struct transaction_call *call, guint64 id, GBytes *text, gint64 now,
                            gint64 timeout);
/* What is due at `now`; *ret_next is when to ask again (WAIT and RETRANSMIT). */
enum transaction_due transaction_call_tick(struct transaction_call *call, gint64 now,
                                           gint64 *ret_next);
void transaction_call_finish(struct transaction_call *call);
