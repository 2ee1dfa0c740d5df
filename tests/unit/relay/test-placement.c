/* SPDX-License-Identifier: Apache-2.0 */
#include "wmcf/relay/placement.h"

#define SPREAD 32

struct fixture {
    struct placement *placement;
    struct placement_group *groups[16];
    guint n;
};

static struct placement_group *group(struct fixture *f)
{
    struct placement_group *one = placement_group_new(f->placement, f->n);
    f->groups[f->n++] = one;
    return one;
}

static struct fixture begin(guint workers)
{
    return (struct fixture){.placement = placement_new(workers, SPREAD)};
}

static void end(struct fixture *f)
{
    for (guint i = 0; i < f->n; i++)
        g_free(f->groups[i]);
    placement_free(f->placement);
}

/* Groups that come at once go to all workers in turn, the legs of each to one. */
static void test_groups(void)
{
    struct fixture f = begin(4);
    for (guint g = 0; g < 8; g++) {
        struct placement_group *one = group(&f);
        for (guint leg = 0; leg < 3; leg++)
            g_assert_cmpuint(placement_add(f.placement, one), ==, one->home);
    }
    for (guint i = 0; i < 4; i++)
        g_assert_cmpuint(placement_legs(f.placement, i), ==, 6);
    end(&f);
}

/* A large one fills one worker, then the next, and comes home when there is room again. */
static void test_large(void)
{
    struct fixture f = begin(3);
    struct placement_group *one = group(&f);
    guint home = one->home;
    for (guint leg = 0; leg < 3 * SPREAD; leg++)
        placement_add(f.placement, one);
    for (guint i = 0; i < 3; i++)
        g_assert_cmpuint(one->legs_on[i], ==, SPREAD);
    placement_add(f.placement, one); /* nowhere is room: still, somewhere */
    g_assert_cmpuint(one->legs, ==, 3 * SPREAD + 1);
    while (one->legs_on[home] >= SPREAD)
        g_assert_false(placement_remove(f.placement, one, home));
    g_assert_cmpuint(placement_add(f.placement, one), ==, home);
    for (guint i = 0; i < 3; i++) {
        while (one->legs_on[i])
            g_assert_true(placement_remove(f.placement, one, i) == (one->legs == 0));
    }
    end(&f);
}

/* 40 legs: 32 and 8, on two of four workers. */
static void test_few_workers(void)
{
    struct fixture f = begin(4);
    struct placement_group *one = group(&f);
    guint used = 0;
    for (guint leg = 0; leg < 40; leg++)
        placement_add(f.placement, one);
    for (guint i = 0; i < 4; i++)
        used += one->legs_on[i] > 0;
    g_assert_cmpuint(used, ==, 2);
    g_assert_cmpuint(one->legs_on[one->home], ==, SPREAD);
    end(&f);
}

/* What is measured counts more than legs; small differences do not count. */
static void test_load(void)
{
    struct fixture f = begin(2);
    struct placement_group *heavy = group(&f);
    guint busy = heavy->home, idle = !busy;
    placement_add(f.placement, heavy);
    placement_measured(f.placement, busy, 400);
    placement_measured(f.placement, idle, 3);
    g_assert_cmpuint(placement_busy(f.placement, busy), ==, 400);
    /* Each may cost what the first one does: not all of what comes now goes to the idle one. */
    guint to_idle = 0;
    for (guint i = 0; i < 12; i++) {
        struct placement_group *one = group(&f);
        to_idle += one->home == idle;
        placement_add(f.placement, one);
    }
    g_assert_cmpuint(to_idle, >=, 2);
    g_assert_cmpuint(to_idle, <, 12);
    end(&f);

    f = begin(2);
    placement_measured(f.placement, 0, 20);
    placement_measured(f.placement, 1, 3);
    struct placement_group *first = group(&f);
    g_assert_cmpuint(placement_add(f.placement, first), ==, 0);
    g_assert_cmpuint(group(&f)->home, ==, 1);
    end(&f);
}

/* A worker without time to spare gets no leg of its own groups. */
static void test_saturated(void)
{
    struct fixture f = begin(2);
    struct placement_group *one = group(&f);
    guint home = one->home;
    placement_add(f.placement, one);
    placement_measured(f.placement, home, 950);
    placement_measured(f.placement, !home, 100);
    g_assert_cmpuint(placement_add(f.placement, one), ==, !home);
    placement_measured(f.placement, home, 300);
    g_assert_cmpuint(placement_add(f.placement, one), ==, home);
    end(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/placement/groups", test_groups);
    g_test_add_func("/placement/large", test_large);
    g_test_add_func("/placement/few-workers", test_few_workers);
    g_test_add_func("/placement/load", test_load);
    g_test_add_func("/placement/saturated", test_saturated);
    return g_test_run();
}
