/* SPDX-License-Identifier: Apache-2.0 */
/* Whom a full agent asks, when, and which pair it names; the time is made up. */
#include "wmcf/relay/ice-checklist.h"

#include <string.h>

#define MS INT64_C(1000)

struct fixture {
    struct ice_checklist list;
    struct media_socket socket;
    int64_t now;
};

static union socket_address address(guint i)
{
    union socket_address ret;
    g_assert_true(socket_address_parse("192.0.2.1", (uint16_t)(1000 + i), &ret));
    return ret;
}

static void set_up(struct fixture *f, unsigned pairs, unsigned checks, bool controlling)
{
    memset(f, 0, sizeof *f);
    f->now = 1000 * MS;
    ice_checklist_init(&f->list, pairs, checks);
    ice_checklist_reset(&f->list, controlling);
}

static bool add(struct fixture *f, guint i, uint32_t priority)
{
    union socket_address remote = address(i);
    return ice_checklist_add(&f->list, &f->socket, 1000, &remote, priority);
}

static bool request(struct fixture *f, guint i, bool use)
{
    union socket_address remote = address(i);
    return ice_checklist_request(&f->list, &f->socket, 1000, &remote, 500, use, f->now);
}

/* What is asked now: the port's number, -1 for nobody. */
static int next(struct fixture *f)
{
    struct ice_pair *pair = ice_checklist_next(&f->list, f->now);
    if (!pair)
        return -1;
    if (pair->tries == 1)
        memset(pair->transaction, socket_address_port(&pair->remote) & 0xff, ICE_TRANSACTION);
    return socket_address_port(&pair->remote) - 1000;
}

static struct ice_pair *asked(struct fixture *f, guint i)
{
    uint8_t transaction[ICE_TRANSACTION];
    memset(transaction, (int)(1000 + i) & 0xff, sizeof transaction);
    struct ice_pair *pair = ice_checklist_find(&f->list, transaction);
    g_assert_nonnull(pair);
    return pair;
}

static bool answer(struct fixture *f, guint i, enum ice_answer answer)
{
    return ice_checklist_answered(&f->list, asked(f, i), answer, f->now);
}

/* The better candidate first, one each Ta, each again when its time is over, then given up. */
static void test_pace(void)
{
    struct fixture f;
    set_up(&f, 8, 100, true);
    add(&f, 0, 10);
    add(&f, 1, 30);
    add(&f, 1, 30); /* the same once */
    add(&f, 2, 20);
    g_assert_cmpuint(f.list.n, ==, 3);
    f.list.complete = true;
    g_assert_cmpint(next(&f), ==, 1);
    g_assert_cmpint(next(&f), ==, -1);
    f.now += ICE_TA_US;
    g_assert_cmpint(next(&f), ==, 2);
    f.now += ICE_TA_US;
    g_assert_cmpint(next(&f), ==, 0);
    unsigned repeated = 0;
    int64_t end = f.now + 20000 * MS;
    while (!ice_checklist_exhausted(&f.list) && f.now < end) {
        g_assert_true(ice_checklist_active(&f.list));
        while (next(&f) >= 0)
            repeated++;
        f.now += 20 * MS;
    }
    g_assert_cmpuint(repeated, ==, 3 * (ICE_TRIES - 1));
    g_assert_cmpint(f.now, <, 14000 * MS);
    g_assert_false(ice_checklist_exhausted(&f.list)); /* told once */
    g_assert_false(ice_checklist_active(&f.list));
    /* a candidate that comes later, or the endpoint's own check, begins anew */
    g_assert_true(add(&f, 3, 5));
    g_assert_cmpint(next(&f), ==, 3);
    request(&f, 0, false);
    f.now += ICE_TA_US;
    g_assert_cmpint(next(&f), ==, 0);
    ice_checklist_finish(&f.list);
}

/* The best pair that answers within a moment is named, and it alone. */
static void test_nomination(void)
{
    struct fixture f;
    set_up(&f, 8, 100, true);
    for (guint i = 0; i < 3; i++) {
        add(&f, i, 30 - i);
        g_assert_cmpint(next(&f), ==, (int)i);
        f.now += ICE_TA_US;
    }
    g_assert_false(answer(&f, 2, ICE_ANSWER_GOOD));
    g_assert_cmpint(next(&f), ==, -1); /* better ones may answer yet */
    g_assert_false(answer(&f, 1, ICE_ANSWER_GOOD));
    g_assert_cmpint(next(&f), ==, -1);
    f.now += ICE_SETTLE_US;
    g_assert_cmpint(next(&f), ==, 1);
    g_assert_true(asked(&f, 1)->nominates);
    g_assert_cmpint(next(&f), ==, -1);
    /* refused: the next best */
    g_assert_false(answer(&f, 1, ICE_ANSWER_REFUSED));
    g_assert_cmpint(next(&f), ==, 2);
    g_assert_true(answer(&f, 2, ICE_ANSWER_GOOD));
    ice_checklist_conclude(&f.list);
    g_assert_false(ice_checklist_active(&f.list));
    g_assert_false(ice_checklist_exhausted(&f.list));
    g_assert_false(request(&f, 0, true));
    f.now += 1000 * MS;
    g_assert_cmpint(next(&f), ==, -1);
    ice_checklist_lose(&f.list);
    g_assert_cmpint(next(&f), ==, -1); /* nobody is asked without consent … */
    request(&f, 0, false);             /* … but who asks us */
    g_assert_cmpint(next(&f), ==, 0);
    ice_checklist_finish(&f.list);
}

/* At once, when nothing better can come. */
static void test_nomination_at_once(void)
{
    struct fixture f;
    set_up(&f, 8, 100, true);
    add(&f, 0, 30);
    next(&f);
    answer(&f, 0, ICE_ANSWER_GOOD);
    g_assert_cmpint(next(&f), ==, 0);
    g_assert_true(asked(&f, 0)->nominates);
    ice_checklist_finish(&f.list);
}

/* Controlled: the endpoint names; before our own check has answered that is remembered. */
static void test_controlled(void)
{
    struct fixture f;
    set_up(&f, 8, 100, false);
    add(&f, 0, 30);
    add(&f, 1, 40);
    g_assert_cmpint(next(&f), ==, 1);
    g_assert_false(request(&f, 0, true)); /* triggered: before its turn */
    f.now += ICE_TA_US;
    g_assert_cmpint(next(&f), ==, 0);
    g_assert_false(answer(&f, 1, ICE_ANSWER_GOOD));
    g_assert_true(answer(&f, 0, ICE_ANSWER_GOOD));
    ice_checklist_conclude(&f.list);
    g_assert_true(request(&f, 1, true)); /* it may name another that is good */
    f.now += 1000 * MS;
    g_assert_cmpint(next(&f), ==, -1); /* a controlled agent names none */
    ice_checklist_finish(&f.list);
}

/* 487: the same pair once more, in the other role. */
static void test_conflict(void)
{
    struct fixture f;
    set_up(&f, 8, 100, true);
    add(&f, 0, 2000);
    uint64_t priority = f.list.pairs[0].priority;
    next(&f);
    answer(&f, 0, ICE_ANSWER_CONFLICT);
    ice_checklist_set_controlling(&f.list, false);
    g_assert_cmpuint(f.list.pairs[0].priority, ==, priority + 1); /* G > D now */
    f.now += ICE_TA_US;
    g_assert_cmpint(next(&f), ==, 0);
    g_assert_false(asked(&f, 0)->nominates);
    ice_checklist_finish(&f.list);
}

/* Neither the endpoint's candidates nor addresses that ask us make it grow without end. */
static void test_limits(void)
{
    struct fixture f;
    set_up(&f, 4, 10, true);
    for (guint i = 0; i < 4; i++)
        g_assert_true(add(&f, i, 30));
    g_assert_false(add(&f, 4, 99));
    request(&f, 5, false);
    g_assert_cmpuint(f.list.n, ==, 4);
    unsigned n = 0;
    for (guint i = 0; i < 2000; i++, f.now += 20 * MS) {
        while (next(&f) >= 0)
            n++;
        request(&f, i % 7, false);
    }
    g_assert_cmpuint(n, ==, 10);
    g_assert_true(ice_checklist_exhausted(&f.list));
    g_assert_false(ice_checklist_active(&f.list));
    ice_checklist_refill(&f.list); /* not before it is connected */
    g_assert_cmpuint(f.list.checks_left, ==, 0);
    ice_checklist_conclude(&f.list);
    for (guint i = 0; i < 20; i++)
        ice_checklist_refill(&f.list);
    g_assert_cmpuint(f.list.checks_left, ==, 10);
    ice_checklist_reset(&f.list, true); /* a restart */
    add(&f, 0, 1);
    g_assert_cmpint(next(&f), ==, 0);
    ice_checklist_finish(&f.list);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ice-checklist/pace", test_pace);
    g_test_add_func("/ice-checklist/nomination", test_nomination);
    g_test_add_func("/ice-checklist/nomination-at-once", test_nomination_at_once);
    g_test_add_func("/ice-checklist/controlled", test_controlled);
    g_test_add_func("/ice-checklist/conflict", test_conflict);
    g_test_add_func("/ice-checklist/limits", test_limits);
    return g_test_run();
}
