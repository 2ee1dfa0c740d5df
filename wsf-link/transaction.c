/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the rules of transaction ids. The peer's ids need unbounded memory to be checked exactly, so
 * they are kept in three bounded steps: what is in progress, the last responses, and a window of
 * bits below the highest id. An id below the window counts as used; a peer that counts as A2 says
 * never notices, one that sends its ids a little out of order is served too. */
#include "wsf-link/transaction.h"

#include <string.h>

struct stored {
    guint64 id;
    GBytes *response;
    gint64 at;
};

const char *transaction_verdict_name(enum transaction_verdict verdict)
{
    static const char *const names[] = {"new", "in progress", "replay", "reused", "parity"};
    return names[verdict];
}

static void stored_free(gpointer data)
{
    struct stored *stored = data;
    g_bytes_unref(stored->response);
    g_free(stored);
}

void transaction_peer_init(struct transaction_peer *peer, guint parity)
{
    *peer = (struct transaction_peer){.parity = parity};
    peer->progress = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    peer->by_id = g_hash_table_new(g_int64_hash, g_int64_equal);
    g_queue_init(&peer->stored);
}

void transaction_peer_finish(struct transaction_peer *peer)
{
    g_clear_pointer(&peer->progress, g_hash_table_destroy);
    g_clear_pointer(&peer->by_id, g_hash_table_destroy);
    g_queue_clear_full(&peer->stored, stored_free);
    peer->stored_octets = 0;
}

static void drop_oldest(struct transaction_peer *peer)
{
    struct stored *stored = g_queue_pop_head(&peer->stored);
    peer->stored_octets -= g_bytes_get_size(stored->response);
    g_hash_table_remove(peer->by_id, &stored->id);
    stored_free(stored);
}

static void drop_aged(struct transaction_peer *peer, gint64 now)
{
    struct stored *oldest;
    while ((oldest = g_queue_peek_head(&peer->stored)) && now - oldest->at >= TRANSACTION_STORE_AGE)
        drop_oldest(peer);
}

/* Marks the index as used; false when it was, or is too old to know. */
static bool take_index(struct transaction_peer *peer, guint64 index)
{
    if (!peer->any || index > peer->highest) {
        guint64 step = peer->any ? index - peer->highest : TRANSACTION_WINDOW;
        if (step >= TRANSACTION_WINDOW) {
            memset(peer->window, 0, sizeof peer->window);
        } else {
            for (guint64 i = peer->highest + 1; i <= index; i++)
                peer->window[i % TRANSACTION_WINDOW / 64] &= ~(G_GUINT64_CONSTANT(1) << (i % 64));
        }
        peer->any = true;
        peer->highest = index;
    } else if (peer->highest - index >= TRANSACTION_WINDOW) {
        return false;
    }
    guint64 *word = &peer->window[index % TRANSACTION_WINDOW / 64];
    guint64 bit = G_GUINT64_CONSTANT(1) << (index % 64);
    if (*word & bit)
        return false;
    *word |= bit;
    return true;
}

enum transaction_verdict transaction_peer_request(struct transaction_peer *peer, guint64 id,
                                                  gint64 now, GBytes **ret_response)
{
    if ((id & 1) != peer->parity)
        return TRANSACTION_PARITY;
    drop_aged(peer, now);
    if (g_hash_table_contains(peer->progress, &id))
        return TRANSACTION_IN_PROGRESS;
    struct stored *stored = g_hash_table_lookup(peer->by_id, &id);
    if (stored) {
        *ret_response = stored->response;
        return TRANSACTION_REPLAY;
    }
    if (!take_index(peer, id / 2))
        return TRANSACTION_REUSED;
    g_hash_table_add(peer->progress, g_memdup2(&id, sizeof id));
    return TRANSACTION_NEW;
}

void transaction_peer_answered(struct transaction_peer *peer, guint64 id, GBytes *response,
                               gint64 now)
{
    g_hash_table_remove(peer->progress, &id);
    gsize size = g_bytes_get_size(response);
    if (size > TRANSACTION_STORE_OCTETS)
        return;
    drop_aged(peer, now);
    while (g_queue_get_length(&peer->stored) >= TRANSACTION_STORE_MAX ||
           peer->stored_octets + size > TRANSACTION_STORE_OCTETS)
        drop_oldest(peer);
    struct stored *stored = g_new(struct stored, 1);
    *stored = (struct stored){.id = id, .response = g_bytes_ref(response), .at = now};
    g_queue_push_tail(&peer->stored, stored);
    g_hash_table_insert(peer->by_id, &stored->id, stored);
    peer->stored_octets += size;
}

guint transaction_peer_in_progress(const struct transaction_peer *peer)
{
    return g_hash_table_size(peer->progress);
}

bool transaction_next_id(guint64 *next, guint64 *ret_id)
{
    if (*next >= TRANSACTION_ID_LIMIT)
        return false;
    *ret_id = *next;
    *next += 2;
    return true;
}

void transaction_call_start(struct transaction_call *call, guint64 id, GBytes *text, gint64 now,
                            gint64 timeout)
{
    *call = (struct transaction_call){
        .id = id,
        .text = g_bytes_ref(text),
        .retransmit_at = now + timeout / 2,
        .deadline = now + timeout,
    };
}

enum transaction_due transaction_call_tick(struct transaction_call *call, gint64 now,
                                           gint64 *ret_next)
{
    if (now >= call->deadline)
        return TRANSACTION_EXPIRED;
    if (call->retransmit_at && now >= call->retransmit_at) {
        call->retransmit_at = 0;
        *ret_next = call->deadline;
        return TRANSACTION_RETRANSMIT;
    }
    *ret_next = call->retransmit_at ? call->retransmit_at : call->deadline;
    return TRANSACTION_WAIT;
}

void transaction_call_finish(struct transaction_call *call)
{
    g_clear_pointer(&call->text, g_bytes_unref);
}
