/* SPDX-License-Identifier: Apache-2.0 */
/* Who is in the set and in which slot. A stream is a letter: 'a' is sent by owner 'a'; capitals are
 * pipelines'. */
#include "wmcf/mesh-select.h"

#include "wmcf/relay/relay.h"

#include <glib.h>
#include <string.h>

#define MANY 32

static const char letters[128];

static const void *key(char letter)
{
    return &letters[(guint8)letter & 0x7f];
}

struct table {
    struct mesh_candidate candidates[MANY];
    struct mesh_slot slots[MANY];
    struct mesh_wish wish;
    guint n;
    struct mesh_result result;
};

/* Candidates by rank, and so many slots; '*' is a preferred one. */
static void begin(struct table *table, enum mesh_rule rule, const char *candidates,
                  const char *slots, guint limit)
{
    *table = (struct table){.n = (guint)strlen(slots)};
    table->wish = (struct mesh_wish){.rule = rule,
                                     .candidates = table->candidates,
                                     .n_candidates = (guint)strlen(candidates),
                                     .self = key('x'),
                                     .limit = limit,
                                     .slots_max = 16};
    for (guint i = 0; candidates[i]; i++)
        table->candidates[i] = (struct mesh_candidate){.stream = key(candidates[i]),
                                                       .owner = key(candidates[i]),
                                                       .always = g_ascii_isupper(candidates[i])};
    for (guint i = 0; slots[i]; i++)
        table->slots[i].preferred = slots[i] == '*';
}

static void rank(struct table *table, const char *candidates)
{
    table->wish.n_candidates = (guint)strlen(candidates);
    for (guint i = 0; candidates[i]; i++)
        table->candidates[i] = (struct mesh_candidate){.stream = key(candidates[i]),
                                                       .owner = key(candidates[i]),
                                                       .always = g_ascii_isupper(candidates[i])};
}

static struct mesh_candidate *of(struct table *table, char letter)
{
    for (guint i = 0; i < table->wish.n_candidates; i++) {
        if (table->candidates[i].stream == key(letter))
            return &table->candidates[i];
    }
    g_assert_not_reached();
}

static void speaks(struct table *table, char letter, gint64 at, guint32 strength)
{
    struct mesh_candidate *candidate = of(table, letter);
    candidate->loud = true;
    candidate->loud_at = at;
    candidate->share = RELAY_ACTIVITY_FULL * 3 / 4;
    candidate->strength = strength;
}

static void check(struct table *table, const char *shown)
{
    char text[MANY + 1] = "";
    table->result = mesh_select(&table->wish, table->slots, table->n);
    for (guint i = 0; i < table->n; i++)
        text[i] =
            table->slots[i].stream ? (char)((const char *)table->slots[i].stream - letters) : '.';
    g_assert_cmpstr(text, ==, shown);
}

static void test_order_of_joining(void)
{
    struct table table;
    begin(&table, MESH_BY_RANK, "abxc", "-*--", 16);
    check(&table, "bac."); /* sendrecv first, never its own */
    g_assert_cmpuint(table.result.missing, ==, 0);
    g_assert_false(table.result.scarce);
    rank(&table, "axcd"); /* b has left: the others stay where they are */
    check(&table, "dac.");
}

static void test_missing(void)
{
    struct table table;
    begin(&table, MESH_BY_RANK, "abcdef", "*", 16);
    check(&table, "a");
    g_assert_cmpuint(table.result.missing, ==, 5);
    g_assert_true(table.result.scarce);
    table.wish.limit = 4; /* no more than it needs */
    check(&table, "a");
    g_assert_cmpuint(table.result.missing, ==, 3);
    table.wish.slots_max = 2;
    check(&table, "a");
    g_assert_cmpuint(table.result.missing, ==, 1);
    table.wish.limit = 0;
    check(&table, ".");
    g_assert_cmpuint(table.result.missing, ==, 0);
    g_assert_false(table.result.scarce);
}

static void test_last_spoken(void)
{
    struct table table;
    begin(&table, MESH_BY_RANK, "abcdefx", "----", 4);
    check(&table, "abcd");
    g_assert_true(table.result.scarce);
    rank(&table, "fabcdex"); /* f speaks: d goes, nothing else moves */
    check(&table, "abcf");
    rank(&table, "afbcdex");
    check(&table, "abcf");
    rank(&table, "exafbcd");
    check(&table, "abef");
    rank(&table, "xeafbcd"); /* the endpoint itself speaks: it sees those before */
    check(&table, "abef");
    rank(&table, "xafbcd"); /* e leaves */
    check(&table, "abcf");
    g_assert_cmpuint(table.result.missing, ==, 0);
}

/* Fewer slots than it may have: those of rank are seen, not those who came first. */
static void test_few_slots(void)
{
    struct table table;
    begin(&table, MESH_BY_RANK, "abc", "-", 16);
    check(&table, "a");
    rank(&table, "cab");
    check(&table, "c");
    g_assert_cmpuint(table.result.missing, ==, 2);
}

static void test_pipelines(void)
{
    struct table table;
    begin(&table, MESH_BY_RANK, "abcFG", "----", 1);
    check(&table, "FGa.");
    rank(&table, "FGcab");
    check(&table, "FGc.");
    table.n = 2; /* they go before people */
    table.slots[0].stream = key('c');
    table.slots[1].stream = NULL;
    check(&table, "FG");
    g_assert_cmpuint(table.result.missing, ==, 1);
    begin(&table, MESH_BY_VOICE, "abF", "--", 1);
    check(&table, "Fa");
    speaks(&table, 'b', 5, 100);
    check(&table, "Fb");
}

static void test_voices(void)
{
    struct table table;
    begin(&table, MESH_BY_VOICE, "abcdx", "---", 2);
    check(&table, "ab.");
    speaks(&table, 'd', 10, 100); /* the last to join among the silent ones makes way */
    check(&table, "ad.");
    speaks(&table, 'x', 20, 9000);
    check(&table, "ad.");
    of(&table, 'd')->loud = false;
    check(&table, "ad."); /* silence alone changes nothing */
    speaks(&table, 'c', 30, 100);
    check(&table, "cd."); /* a has never spoken */
    speaks(&table, 'b', 40, 100);
    check(&table, "cb."); /* d fell silent before */
}

static void test_all_loud(void)
{
    struct table table;
    begin(&table, MESH_BY_VOICE, "abc", "--", 2);
    check(&table, "ab");
    speaks(&table, 'a', 10, 1000);
    speaks(&table, 'b', 10, 900);
    speaks(&table, 'c', 10, 1200);
    check(&table, "ab"); /* not clearly louder */
    of(&table, 'c')->strength = 1400;
    check(&table, "ac");
    of(&table, 'b')->strength = 1900;
    check(&table, "bc"); /* a is the weakest now */
    check(&table, "bc");
    of(&table, 'a')->strength = 5000;
    of(&table, 'a')->share = 10; /* a click */
    check(&table, "bc");
}

/* Whatever comes, a set keeps its size, no stream is shown twice, and what can stay stays. */
static void test_random(void)
{
    struct table table;
    begin(&table, MESH_BY_VOICE, "abcdefghijklmnopqrstuvwxyz", "------", 5);
    for (guint round = 0; round < 2000; round++) {
        struct mesh_slot before[MANY];
        guint shown = 0, stayed = 0;
        memcpy(before, table.slots, sizeof before);
        table.wish.rule = g_test_rand_bit() ? MESH_BY_VOICE : MESH_BY_RANK;
        table.wish.n_candidates = (guint)g_test_rand_int_range(1, 27);
        for (guint i = 0; i < table.wish.n_candidates; i++) {
            table.candidates[i].loud = g_test_rand_int_range(0, 4) == 0;
            table.candidates[i].loud_at = g_test_rand_int_range(0, 100);
            table.candidates[i].strength = (guint32)g_test_rand_int_range(0, 65536);
        }
        mesh_select(&table.wish, table.slots, table.n);
        for (guint i = 0; i < table.n; i++) {
            shown += table.slots[i].stream != NULL;
            stayed += table.slots[i].stream && table.slots[i].stream == before[i].stream;
            g_assert_true(table.slots[i].stream != key('x'));
            for (guint k = 0; k < i; k++) {
                g_assert_true(!table.slots[i].stream ||
                              table.slots[i].stream != table.slots[k].stream);
                /* nothing has moved */
                g_assert_true(!table.slots[i].stream || table.slots[i].stream != before[k].stream);
            }
        }
        guint others = table.wish.n_candidates - (table.wish.n_candidates > 23);
        g_assert_cmpuint(shown, ==, MIN(others, 5));
        g_assert_cmpuint(stayed, <=, shown);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mesh-select/order-of-joining", test_order_of_joining);
    g_test_add_func("/mesh-select/missing", test_missing);
    g_test_add_func("/mesh-select/last-spoken", test_last_spoken);
    g_test_add_func("/mesh-select/few-slots", test_few_slots);
    g_test_add_func("/mesh-select/pipelines", test_pipelines);
    g_test_add_func("/mesh-select/voices", test_voices);
    g_test_add_func("/mesh-select/all-loud", test_all_loud);
    g_test_add_func("/mesh-select/random", test_random);
    return g_test_run();
}
