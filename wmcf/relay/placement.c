/* SPDX-License-Identifier: Apache-2.0 */
/* Legs of one context share a worker, since what crosses between two is copied once more and wakes
 * a second thread; so a context fills one worker up to `spread` before it takes the next, and a
 * worker without time to spare gets no leg that another could take. Load is what was measured, and
 * for legs that came after the measurement what a leg costs on the average: else everything that
 * comes within one second would go to the worker that was idle at its beginning. Small differences
 * of load are noise; then the number of legs decides. */
#include "wmcf/relay/placement.h"

#define LOAD_STEP 50   /* thousandths that are no difference */
#define SATURATED 850  /* thousandths: bursts need the rest */
#define LEG_COST_MIN 1 /* thousandths: a call's audio in both directions */
#define LEG_COST_MAX 50

struct load {
    guint busy;        /* measured, thousandths */
    guint legs, fresh; /* now; since the measurement */
};

struct placement {
    guint n, spread;
    struct load of[];
};

struct placement *placement_new(guint workers, guint spread)
{
    struct placement *placement = g_malloc0(sizeof *placement + workers * sizeof placement->of[0]);
    placement->n = workers;
    placement->spread = MAX(spread, 1);
    return placement;
}

void placement_free(struct placement *placement)
{
    g_free(placement);
}

void placement_measured(struct placement *placement, guint worker, guint busy)
{
    placement->of[worker].busy = busy;
    placement->of[worker].fresh = 0;
}

guint placement_busy(const struct placement *placement, guint worker)
{
    return placement->of[worker].busy;
}

guint placement_legs(const struct placement *placement, guint worker)
{
    return placement->of[worker].legs;
}

static guint leg_cost(const struct placement *placement)
{
    guint busy = 0, legs = 0;
    for (guint i = 0; i < placement->n; i++) {
        busy += placement->of[i].busy;
        legs += placement->of[i].legs - placement->of[i].fresh;
    }
    return CLAMP(legs ? busy / legs : 0, LEG_COST_MIN, LEG_COST_MAX);
}

static guint expected(const struct placement *placement, guint worker)
{
    const struct load *load = &placement->of[worker];
    return load->busy + load->fresh * leg_cost(placement);
}

static bool less_loaded(const struct placement *placement, guint a, guint b)
{
    guint load_a = expected(placement, a) / LOAD_STEP, load_b = expected(placement, b) / LOAD_STEP;
    return load_a != load_b ? load_a < load_b : placement->of[a].legs < placement->of[b].legs;
}

static guint least_loaded(const struct placement *placement)
{
    guint least = 0;
    for (guint i = 1; i < placement->n; i++) {
        if (less_loaded(placement, i, least))
            least = i;
    }
    return least;
}

struct placement_group *placement_group_new(struct placement *placement, guint64 id)
{
    struct placement_group *group =
        g_malloc0(sizeof *group + placement->n * sizeof group->legs_on[0]);
    group->id = id;
    group->home = least_loaded(placement);
    return group;
}

static bool has_room(const struct placement *placement, const struct placement_group *group,
                     guint worker)
{
    return group->legs_on[worker] < placement->spread && expected(placement, worker) < SATURATED;
}

/* Home, then the fullest of the others that it is in already, so that its streams cross to few. */
static guint choose(const struct placement *placement, const struct placement_group *group)
{
    guint best = placement->n;
    if (has_room(placement, group, group->home))
        return group->home;
    for (guint i = 0; i < placement->n; i++) {
        if (group->legs_on[i] && has_room(placement, group, i) &&
            (best == placement->n || group->legs_on[i] > group->legs_on[best]))
            best = i;
    }
    return best < placement->n ? best : least_loaded(placement);
}

guint placement_add(struct placement *placement, struct placement_group *group)
{
    guint worker = choose(placement, group);
    group->legs++;
    group->legs_on[worker]++;
    placement->of[worker].legs++;
    placement->of[worker].fresh++;
    return worker;
}

bool placement_remove(struct placement *placement, struct placement_group *group, guint worker)
{
    struct load *load = &placement->of[worker];
    load->legs--;
    load->fresh = MIN(load->fresh, load->legs);
    group->legs_on[worker]--;
    return --group->legs == 0;
}
