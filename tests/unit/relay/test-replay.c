/* SPDX-License-Identifier: Apache-2.0 */
#include "wmcf/relay/replay.h"

#include <glib.h>

static uint64_t guess(const struct replay *replay, uint16_t sequence)
{
    uint64_t index;
    g_assert_true(replay_guess(replay, sequence, &index));
    return index;
}

static void test_guess(void)
{
    struct replay replay = {0};
    g_assert_cmpuint(guess(&replay, 65535), ==, 65535);
    replay_commit(&replay, 65535);
    g_assert_cmpuint(guess(&replay, 0), ==, 65536);
    g_assert_cmpuint(guess(&replay, 65534), ==, 65534);
    replay_commit(&replay, 65536 + 10);
    g_assert_cmpuint(guess(&replay, 65535), ==, 65535);
    g_assert_cmpuint(guess(&replay, 11), ==, 65536 + 11);
    g_assert_cmpuint(guess(&replay, 32000), ==, 65536 + 32000);
}

static void test_before_first(void)
{
    struct replay replay = {0};
    uint64_t index;
    replay_commit(&replay, 3);
    g_assert_false(replay_guess(&replay, 65535, &index));
    g_assert_cmpuint(guess(&replay, 2), ==, 2);
}

static void test_window(void)
{
    struct replay replay = {0};
    replay_commit(&replay, 10000);
    g_assert_false(replay_check(&replay, 10000));
    g_assert_true(replay_check(&replay, 10001));
    g_assert_true(replay_check(&replay, 10000 - REPLAY_WINDOW + 1));
    g_assert_false(replay_check(&replay, 10000 - REPLAY_WINDOW)); /* too old */
    replay_commit(&replay, 10000 - REPLAY_WINDOW + 1);
    g_assert_false(replay_check(&replay, 10000 - REPLAY_WINDOW + 1));
    /* The window moves: bits of indices that share a place are cleared. */
    replay_commit(&replay, 10000 + REPLAY_WINDOW - 1);
    for (uint64_t i = 10001; i < 10000 + REPLAY_WINDOW - 1; i++)
        g_assert_true(replay_check(&replay, i));
    g_assert_false(replay_check(&replay, 10000));
    replay_commit(&replay, 1000000);
    g_assert_true(replay_check(&replay, 1000000 - 1));
    g_assert_false(replay_check(&replay, 1000000));
}

/* Against a list that forgets nothing. */
static void test_random(void)
{
    struct replay replay = {0};
    g_autoptr(GHashTable) seen = g_hash_table_new(g_direct_hash, g_direct_equal);
    uint64_t highest = 5000;
    for (unsigned i = 0; i < 200000; i++) {
        uint64_t index = highest - 600 + (uint64_t)g_random_int_range(0, 700);
        bool known = g_hash_table_contains(seen, GUINT_TO_POINTER(index));
        bool fresh = replay_check(&replay, index);
        if (i > 0)
            g_assert_true(fresh == !known);
        if (fresh) {
            replay_commit(&replay, index);
            g_hash_table_add(seen, GUINT_TO_POINTER(index));
            highest = MAX(highest, index);
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/replay/guess", test_guess);
    g_test_add_func("/replay/before-first", test_before_first);
    g_test_add_func("/replay/window", test_window);
    g_test_add_func("/replay/random", test_random);
    return g_test_run();
}
