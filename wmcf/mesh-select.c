/* SPDX-License-Identifier: Apache-2.0 */
/* Two steps: who is in the set, then which slot each one has. Videos go strictly by rank, which
 * changes with the leader of the conversation only. Voices have to be there with their first word,
 * so a loud one comes in at once in place of the one that has been silent for longest; among loud
 * ones only a clear difference changes anything, and silent ones stay. With some tens of candidates
 * and slots loops are quicker than any table. */
#include "wmcf/mesh-select.h"

#include "wmcf/relay/relay.h"

static bool is_counted(const struct mesh_wish *wish, const struct mesh_candidate *candidate)
{
    return candidate->owner != wish->self && !candidate->always;
}

static bool is_always(const struct mesh_wish *wish, const struct mesh_candidate *candidate)
{
    return candidate->owner != wish->self && candidate->always;
}

static bool in_slot(const struct mesh_slot *slots, guint n, const void *stream)
{
    for (guint i = 0; i < n; i++) {
        if (slots[i].stream == stream)
            return true;
    }
    return false;
}

/* --- who ---------------------------------------------------------------------------------------
 */

typedef bool (*pick_fn)(const struct mesh_wish *wish, const struct mesh_candidate *candidate);

static void add(GPtrArray *set, guint size, const struct mesh_candidate *candidate)
{
    if (set->len < size && !g_ptr_array_find(set, candidate, NULL))
        g_ptr_array_add(set, (gpointer)candidate);
}

static void add_all(GPtrArray *set, guint size, const struct mesh_wish *wish, pick_fn pick)
{
    for (guint i = 0; i < wish->n_candidates; i++) {
        if (pick(wish, &wish->candidates[i]))
            add(set, size, &wish->candidates[i]);
    }
}

static void add_shown(GPtrArray *set, guint size, const struct mesh_wish *wish,
                      const struct mesh_slot *slots, guint n)
{
    for (guint i = 0; i < wish->n_candidates; i++) {
        const struct mesh_candidate *candidate = &wish->candidates[i];
        if (is_counted(wish, candidate) && in_slot(slots, n, candidate->stream))
            add(set, size, candidate);
    }
}

static bool is_loud(const struct mesh_wish *wish, const struct mesh_candidate *candidate)
{
    return is_counted(wish, candidate) && candidate->loud;
}

/* Who has to go first: silent for longest, the last to join among equals; then the weakest. */
static bool yields(const struct mesh_candidate *a, const struct mesh_candidate *b)
{
    if (a->loud != b->loud)
        return !a->loud;
    return a->loud ? a->strength < b->strength : a->loud_at <= b->loud_at;
}

static void make_way(GPtrArray *set, guint size, const struct mesh_wish *wish,
                     const struct mesh_candidate *loud)
{
    guint victim = G_MAXUINT;
    if (set->len < size || g_ptr_array_find(set, loud, NULL)) {
        add(set, size, loud);
        return;
    }
    for (guint i = 0; i < set->len; i++) {
        const struct mesh_candidate *one = g_ptr_array_index(set, i);
        if (is_counted(wish, one) &&
            (victim == G_MAXUINT || yields(one, g_ptr_array_index(set, victim))))
            victim = i;
    }
    if (victim == G_MAXUINT)
        return;
    const struct mesh_candidate *one = g_ptr_array_index(set, victim);
    bool clearly = loud->share >= RELAY_ACTIVITY_FULL / 2 &&
                   loud->strength > one->strength + one->strength / 2;
    if (!one->loud || clearly)
        set->pdata[victim] = (gpointer)loud;
}

static GPtrArray *choose(const struct mesh_wish *wish, guint size, const struct mesh_slot *slots,
                         guint n)
{
    GPtrArray *set = g_ptr_array_new();
    add_all(set, size, wish, is_always);
    if (wish->rule == MESH_BY_VOICE) {
        add_shown(set, size, wish, slots, n);
        add_all(set, size, wish, is_loud);
    }
    add_all(set, size, wish, is_counted);
    for (guint i = 0; wish->rule == MESH_BY_VOICE && i < wish->n_candidates; i++) {
        if (is_loud(wish, &wish->candidates[i]))
            make_way(set, size, wish, &wish->candidates[i]);
    }
    return set;
}

/* --- where -------------------------------------------------------------------------------------
 */

static bool has_stream(const GPtrArray *set, const void *stream)
{
    for (guint i = 0; i < set->len; i++) {
        if (((const struct mesh_candidate *)g_ptr_array_index(set, i))->stream == stream)
            return true;
    }
    return false;
}

static struct mesh_slot *free_slot(struct mesh_slot *slots, guint n)
{
    struct mesh_slot *other = NULL;
    for (guint i = 0; i < n; i++) {
        if (slots[i].stream)
            continue;
        if (slots[i].preferred)
            return &slots[i];
        if (!other)
            other = &slots[i];
    }
    return other;
}

static void place(const GPtrArray *set, struct mesh_slot *slots, guint n)
{
    for (guint i = 0; i < n; i++) {
        if (!has_stream(set, slots[i].stream) || in_slot(slots, i, slots[i].stream))
            slots[i].stream = NULL;
    }
    for (guint i = 0; i < set->len; i++) {
        const struct mesh_candidate *candidate = g_ptr_array_index(set, i);
        if (in_slot(slots, n, candidate->stream))
            continue;
        struct mesh_slot *slot = free_slot(slots, n);
        g_assert(slot); /* the set is no larger than the slots */
        slot->stream = candidate->stream;
    }
}

struct mesh_result mesh_select(const struct mesh_wish *wish, struct mesh_slot *slots, guint n)
{
    guint always = 0, counted = 0;
    for (guint i = 0; i < wish->n_candidates; i++) {
        always += is_always(wish, &wish->candidates[i]);
        counted += is_counted(wish, &wish->candidates[i]);
    }
    guint wanted = MIN(always + MIN(counted, wish->limit), wish->slots_max);
    guint size = MIN(wanted, n);
    g_autoptr(GPtrArray) set = choose(wish, size, slots, n);
    place(set, slots, n);
    return (struct mesh_result){.missing = wanted - size,
                                .scarce = wish->limit > 0 && always + counted > size};
}
