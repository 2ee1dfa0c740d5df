/* SPDX-License-Identifier: Apache-2.0 */
/* Transaction ids in both directions (protocol A2). */
#include "wsf-link/transaction.h"

#include <string.h>

#define SECOND ((gint64)G_USEC_PER_SEC)

static void answer(struct transaction_peer *peer, guint64 id, const char *text, gint64 now)
{
    g_autoptr(GBytes) bytes = g_bytes_new(text, strlen(text));
    transaction_peer_answered(peer, id, bytes, now);
}

static enum transaction_verdict ask(struct transaction_peer *peer, guint64 id, gint64 now)
{
    GBytes *stored = NULL;
    enum transaction_verdict verdict = transaction_peer_request(peer, id, now, &stored);
    g_assert_cmpint(verdict == TRANSACTION_REPLAY, ==, stored != NULL);
    return verdict;
}

static void test_parity(void)
{
    struct transaction_peer peer;
    transaction_peer_init(&peer, 0);
    g_assert_cmpint(ask(&peer, 0, 1), ==, TRANSACTION_NEW);
    g_assert_cmpint(ask(&peer, 1, 1), ==, TRANSACTION_PARITY);
    g_assert_cmpint(ask(&peer, G_MAXUINT64, 1), ==, TRANSACTION_PARITY);
    transaction_peer_finish(&peer);
    transaction_peer_init(&peer, 1);
    g_assert_cmpint(ask(&peer, 1, 1), ==, TRANSACTION_NEW);
    g_assert_cmpint(ask(&peer, 0, 1), ==, TRANSACTION_PARITY);
    g_assert_cmpint(ask(&peer, G_MAXUINT64, 1), ==, TRANSACTION_NEW);
    transaction_peer_finish(&peer);
}

static void test_replay(void)
{
    struct transaction_peer peer;
    transaction_peer_init(&peer, 0);
    g_assert_cmpint(ask(&peer, 4, SECOND), ==, TRANSACTION_NEW);
    g_assert_cmpint(ask(&peer, 4, SECOND), ==, TRANSACTION_IN_PROGRESS);
    g_assert_cmpuint(transaction_peer_in_progress(&peer), ==, 1);
    answer(&peer, 4, "four", SECOND);
    g_assert_cmpuint(transaction_peer_in_progress(&peer), ==, 0);
    GBytes *stored = NULL;
    g_assert_cmpint(transaction_peer_request(&peer, 4, SECOND, &stored), ==, TRANSACTION_REPLAY);
    g_assert_cmpmem(g_bytes_get_data(stored, NULL), g_bytes_get_size(stored), "four", 4);
    g_assert_cmpint(ask(&peer, 4, 60 * SECOND), ==, TRANSACTION_REPLAY);
    g_assert_cmpint(ask(&peer, 4, 61 * SECOND), ==, TRANSACTION_REUSED);
    transaction_peer_finish(&peer);
}

static void test_store_count(void)
{
    struct transaction_peer peer;
    transaction_peer_init(&peer, 0);
    for (guint64 i = 0; i < TRANSACTION_STORE_MAX + 1; i++) {
        g_assert_cmpint(ask(&peer, 2 * i, 1), ==, TRANSACTION_NEW);
        answer(&peer, 2 * i, "x", 1);
    }
    g_assert_cmpuint(peer.stored.length, ==, TRANSACTION_STORE_MAX);
    g_assert_cmpint(ask(&peer, 0, 1), ==, TRANSACTION_REUSED);
    g_assert_cmpint(ask(&peer, 2, 1), ==, TRANSACTION_REPLAY);
    transaction_peer_finish(&peer);
}

static void test_store_octets(void)
{
    struct transaction_peer peer;
    transaction_peer_init(&peer, 0);
    g_autofree char *half = g_strnfill(TRANSACTION_STORE_OCTETS / 2, 'x');
    g_autofree char *too_long = g_strnfill(TRANSACTION_STORE_OCTETS + 1, 'x');
    for (guint64 id = 0; id <= 4; id += 2) {
        ask(&peer, id, 1);
        answer(&peer, id, half, 1);
    }
    g_assert_cmpint(ask(&peer, 0, 1), ==, TRANSACTION_REUSED);
    g_assert_cmpint(ask(&peer, 2, 1), ==, TRANSACTION_REPLAY);
    ask(&peer, 6, 1);
    answer(&peer, 6, too_long, 1);
    g_assert_cmpint(ask(&peer, 6, 1), ==, TRANSACTION_REUSED);
    g_assert_cmpint(ask(&peer, 4, 1), ==, TRANSACTION_REPLAY);
    g_assert_cmpuint(peer.stored_octets, <=, TRANSACTION_STORE_OCTETS);
    transaction_peer_finish(&peer);
}

static void test_gaps_and_order(void)
{
    struct transaction_peer peer;
    transaction_peer_init(&peer, 0);
    g_assert_cmpint(ask(&peer, 1000, 1), ==, TRANSACTION_NEW); /* a gap at the start */
    g_assert_cmpint(ask(&peer, 998, 1), ==, TRANSACTION_NEW);  /* out of order */
    answer(&peer, 998, "", 1);
    g_assert_cmpint(ask(&peer, 998, 61 * SECOND), ==, TRANSACTION_REUSED);
    g_assert_cmpint(ask(&peer, 1000 + 2 * TRANSACTION_WINDOW - 2, 1), ==, TRANSACTION_NEW);
    g_assert_cmpint(ask(&peer, 996, 1), ==, TRANSACTION_REUSED); /* below the window */
    g_assert_cmpint(ask(&peer, 1002, 1), ==, TRANSACTION_NEW);
    g_assert_cmpint(ask(&peer, G_MAXUINT64 - 1, 1), ==, TRANSACTION_NEW);
    g_assert_cmpint(ask(&peer, 0, 1), ==, TRANSACTION_REUSED);
    g_assert_cmpint(ask(&peer, G_MAXUINT64 - 3, 1), ==, TRANSACTION_NEW);
    transaction_peer_finish(&peer);
}

/* Against a model that remembers everything, over random walks. */
static void test_window_against_model(void)
{
    for (guint32 seed = 1; seed <= 20; seed++) {
        struct transaction_peer peer;
        transaction_peer_init(&peer, 0);
        g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
        g_autoptr(GHashTable) used = g_hash_table_new(NULL, NULL);
        gint32 highest = -1;
        for (int i = 0; i < 5000; i++) {
            gint32 step = g_rand_int_range(rand, -1100, 40);
            gint32 index = MAX(0, highest + step);
            bool known = g_hash_table_contains(used, GINT_TO_POINTER(index));
            bool old = highest - index >= TRANSACTION_WINDOW;
            enum transaction_verdict verdict = ask(&peer, 2 * (guint64)index, 1);
            g_assert_cmpint(verdict, ==, old || known ? TRANSACTION_REUSED : TRANSACTION_NEW);
            if (verdict == TRANSACTION_NEW) {
                g_hash_table_add(used, GINT_TO_POINTER(index));
                g_autofree char *big = g_strnfill(TRANSACTION_STORE_OCTETS + 1, 'x');
                answer(&peer, 2 * (guint64)index, big, 1); /* too big to be stored */
            }
            highest = MAX(highest, index);
        }
        transaction_peer_finish(&peer);
    }
}

static void test_own_ids(void)
{
    guint64 next = 1, id = 0;
    g_assert_true(transaction_next_id(&next, &id));
    g_assert_cmpuint(id, ==, 1);
    g_assert_true(transaction_next_id(&next, &id));
    g_assert_cmpuint(id, ==, 3);
    next = TRANSACTION_ID_LIMIT - 1;
    g_assert_true(transaction_next_id(&next, &id));
    g_assert_false(transaction_next_id(&next, &id));
}

static void test_call(void)
{
    g_autoptr(GBytes) text = g_bytes_new_static("x", 1);
    struct transaction_call call;
    gint64 next = 0;
    transaction_call_start(&call, 2, text, 10 * SECOND, 8 * SECOND);
    g_assert_cmpint(transaction_call_tick(&call, 10 * SECOND, &next), ==, TRANSACTION_WAIT);
    g_assert_cmpint(next, ==, 14 * SECOND);
    g_assert_cmpint(transaction_call_tick(&call, 14 * SECOND, &next), ==, TRANSACTION_RETRANSMIT);
    g_assert_cmpint(next, ==, 18 * SECOND);
    g_assert_cmpint(transaction_call_tick(&call, 15 * SECOND, &next), ==, TRANSACTION_WAIT);
    g_assert_cmpint(next, ==, 18 * SECOND);
    g_assert_cmpint(transaction_call_tick(&call, 18 * SECOND, &next), ==, TRANSACTION_EXPIRED);
    transaction_call_finish(&call);
    /* Slept through both: given up, not sent again. */
    transaction_call_start(&call, 4, text, 0, 8 * SECOND);
    g_assert_cmpint(transaction_call_tick(&call, 9 * SECOND, &next), ==, TRANSACTION_EXPIRED);
    transaction_call_finish(&call);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/transaction/parity", test_parity);
    g_test_add_func("/transaction/replay", test_replay);
    g_test_add_func("/transaction/store-count", test_store_count);
    g_test_add_func("/transaction/store-octets", test_store_octets);
    g_test_add_func("/transaction/gaps-and-order", test_gaps_and_order);
    g_test_add_func("/transaction/window-against-model", test_window_against_model);
    g_test_add_func("/transaction/own-ids", test_own_ids);
    g_test_add_func("/transaction/call", test_call);
    return g_test_run();
}
