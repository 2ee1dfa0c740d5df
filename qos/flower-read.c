/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel has counted: of one flow when it is asked for, one question each; of all once a
 * second, one dump per kind of action that leaves the idle out, so that events and the relay's
 * buckets know of it. */
#include "qos/flower-private.h"

#define MARGIN_MS 1000

static gpointer key_of(enum tc_action_kind kind, uint32_t index)
{
    return GSIZE_TO_POINTER((gsize)kind << 32 | index);
}

void flower_add_side(struct level *level, struct flower_side *side)
{
    for (guint i = 0; i < side->count; i++)
        g_hash_table_insert(level->sides, key_of(side->actions[i].kind, side->actions[i].index),
                            side);
}

void flower_remove_side(struct level *level, struct flower_side *side)
{
    for (guint i = 0; i < side->count; i++)
        g_hash_table_remove(level->sides, key_of(side->actions[i].kind, side->actions[i].index));
}

static void add_up(struct level *level, const struct qos_counters *new)
{
    level->gate_discarded += new->gate_discarded;
    level->policing_discarded += new->policing_discarded;
}

static uint64_t now_ns(void)
{
    return (uint64_t)g_get_monotonic_time() * 1000;
}

void flower_read_side(struct level *level, struct flower_side *side, struct qos_counters *ret)
{
    struct tc_action_stats stats[FLOWER_ACTIONS];
    *ret = (struct qos_counters){0};
    if (!side->count || !tc_actions_read(level->tc, side->actions, side->count, stats))
        return;
    for (guint i = 0; i < side->count; i++)
        side->seen[i] = stats[i];
    flower_side_tell(side, now_ns(), ret);
    add_up(level, ret);
}

struct reading {
    struct level *level;
    enum tc_action_kind kind;
    GHashTable *changed;
};

static void see(uint32_t index, const struct tc_action_stats *stats, void *user)
{
    struct reading *reading = user;
    struct flower_side *side =
        g_hash_table_lookup(reading->level->sides, key_of(reading->kind, index));
    if (!side)
        return;
    flower_side_see(side, reading->kind, stats);
    g_hash_table_add(reading->changed, side);
}

void flower_read_all(struct level *level)
{
    /* In the order of the lists: between() relies on it. */
    static const enum tc_action_kind kinds[] = {TC_ACTION_GATE, TC_ACTION_POLICE, TC_ACTION_JUDGED};
    g_autoptr(GHashTable) changed = g_hash_table_new(NULL, NULL);
    gint64 now = g_get_monotonic_time();
    guint within = (guint)MIN((now - level->read_at) / 1000 + MARGIN_MS, G_MAXINT);
    GHashTableIter iter;
    gpointer side;
    bool complete = true;
    if (g_hash_table_size(level->sides) == 0)
        return;
    for (guint i = 0; i < G_N_ELEMENTS(kinds); i++) {
        struct reading reading = {level, kinds[i], changed};
        complete &= tc_actions_dump(level->tc, kinds[i], within, see, &reading);
    }
    if (complete)
        level->read_at = now;
    g_hash_table_iter_init(&iter, changed);
    while (g_hash_table_iter_next(&iter, &side, NULL)) {
        struct qos_counters new;
        flower_side_tell(side, now_ns(), &new);
        add_up(level, &new);
    }
}
