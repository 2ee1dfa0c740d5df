/* SPDX-License-Identifier: Apache-2.0 */
/* Which filters a transport has. A medium that is alone on its 5-tuple is known by that; one that
 * shares it only by its SSRC, and there a filter cannot see whether the kernel has joined packets
 * of several media into one buffer: so a bundle is left to the relay, but while all its gates are
 * closed, when whatever is in the buffer is dropped. What is not wanted goes before what is new
 * comes, so that no packet is charged twice; in between the relay judges. */
#include "qos/flower-private.h"

#include <linux/if_ether.h>

#define NODES 4096

static struct flower_flow *data_of(const struct qos_flow *flow)
{
    return (struct flower_flow *)flow->slots; /* they come first */
}

static bool take_place(struct level *level, const struct u32_match *match, struct u32_place *ret)
{
    ret->key = u32_place_key(match);
    for (uint32_t node = 1; node < NODES; node++)
        if (g_hash_table_add(level->places, GUINT_TO_POINTER((uint32_t)ret->key << 12 | node))) {
            ret->node = (uint16_t)node;
            return true;
        }
    return false;
}

/* --- what is wanted --------------------------------------------------------------------------- */

struct want {
    struct u32_match match;
    struct flower_side *side;
};

static void want_at(GArray *wanted, const struct flower_wish *wish, struct flower_side *side,
                    enum u32_payload payload, uint32_t ssrc)
{
    struct want want = {.side = side};
    guint count = wish->has_pair ? 1 : wish->locals_count;
    want.match.hook = side->direction == QOS_UPLINK ? TC_INGRESS : TC_EGRESS;
    want.match.payload = payload;
    want.match.ssrc = ssrc;
    for (guint i = 0; i < count; i++) {
        const struct sockaddr_storage *local = wish->has_pair ? &wish->local : &wish->locals[i];
        if (u32_match_set(&want.match, (const struct sockaddr *)local,
                          wish->has_pair ? (const struct sockaddr *)&wish->remote : NULL))
            g_array_append_val(wanted, want);
    }
}

static void want_ssrcs(GArray *wanted, const struct flower_wish *wish, struct flower_side *side)
{
    for (guint i = 0; i < wish->ssrcs_count; i++)
        if (wish->ssrcs[i].slot == side->slot)
            want_at(wanted, wish, side, U32_SSRC, wish->ssrcs[i].ssrc);
}

static guint count_rtp(const struct qos_transport *transport, enum qos_direction direction,
                       bool *ret_open)
{
    guint count = 0;
    *ret_open = false;
    for (guint i = 0; i < transport->flows->len; i++) {
        const struct qos_flow *flow = transport->flows->pdata[i];
        if (flow->kind == QOS_DATA)
            continue;
        count++;
        *ret_open |= qos_slot_open(&flow->slots[direction]);
    }
    return count;
}

static void want_direction(GArray *wanted, const struct qos_transport *transport,
                           const struct flower_wish *wish, enum qos_direction direction)
{
    bool open;
    guint media = count_rtp(transport, direction, &open);
    for (guint i = 0; i < transport->flows->len; i++) {
        struct qos_flow *flow = transport->flows->pdata[i];
        struct flower_side *side = &data_of(flow)->sides[direction];
        if (!flow->held || !flower_side_holds(side))
            continue;
        if (flow->kind == QOS_DATA)
            want_at(wanted, wish, side, U32_DATA, 0);
        else if (media == 1)
            want_at(wanted, wish, side, U32_RTP, 0);
        else if (!open && direction == QOS_UPLINK)
            want_ssrcs(wanted, wish, side);
    }
}

static bool is_wanted(const GArray *wanted, const struct flower_filter *filter)
{
    for (guint i = 0; i < wanted->len; i++) {
        const struct want *want = &g_array_index(wanted, struct want, i);
        if (want->side == filter->side && u32_match_equal(&want->match, &filter->match))
            return true;
    }
    return false;
}

static bool is_there(const struct flower_transport *transport, const struct want *want)
{
    for (guint i = 0; i < transport->filters->len; i++) {
        const struct flower_filter *filter = transport->filters->pdata[i];
        if (want->side == filter->side && u32_match_equal(&want->match, &filter->match))
            return true;
    }
    return false;
}

/* --- what is there ---------------------------------------------------------------------------- */

static void install(struct level *level, struct flower_filter *filter, struct u32 *u32)
{
    g_autoptr(GError) error = NULL;
    if (u32_add(u32, &filter->match, filter->place, filter->side->actions, filter->side->count,
                &error))
        return;
    filter->failed = true;
    flower_fail(level, error);
}

static void remove_filter(struct level *level, struct flower_filter *filter)
{
    GHashTableIter iter;
    gpointer u32;
    g_hash_table_iter_init(&iter, level->attached);
    while (g_hash_table_iter_next(&iter, NULL, &u32))
        u32_remove(u32, &filter->match, filter->place);
    g_hash_table_remove(level->places,
                        GUINT_TO_POINTER((uint32_t)filter->place.key << 12 | filter->place.node));
    g_free(filter);
}

void flower_end_side(struct level *level, struct flower_side *side)
{
    struct qos_counters new;
    if (!side->count)
        return;
    flower_read_side(level, side, &new);
    flower_remove_side(level, side);
    g_array_append_vals(level->doomed, side->actions, side->count);
    side->count = 0;
}

/* The side's actions, as the slot says now. */
static bool prepare(struct level *level, struct flower_side *side, int family)
{
    g_autoptr(GError) error = NULL;
    bool done;
    if (side->count && !flower_side_fits(side, family))
        flower_end_side(level, side);
    if (side->count) {
        done = flower_side_follow(side, level->tc, &level->cookie, &error);
    } else {
        done = flower_side_make(side, level->tc, family, level->qos->config.judged_mark,
                                &level->cookie, &error);
        if (done)
            flower_add_side(level, side);
    }
    if (!done)
        flower_fail(level, error);
    return done;
}

static void add_filter(struct level *level, struct flower_transport *transport,
                       const struct want *want)
{
    GHashTableIter iter;
    gpointer u32;
    if (!prepare(level, want->side, want->match.local.ss_family))
        return;
    struct flower_filter *filter = g_new0(struct flower_filter, 1);
    filter->match = want->match;
    filter->side = want->side;
    if (!take_place(level, &filter->match, &filter->place)) {
        g_free(filter); /* a row of the table is full: the relay judges */
        return;
    }
    g_ptr_array_add(transport->filters, filter);
    g_hash_table_iter_init(&iter, level->attached);
    while (g_hash_table_iter_next(&iter, NULL, &u32))
        install(level, filter, u32);
}

static void remove_all_of(struct level *level, struct flower_transport *transport,
                          const struct flower_side *side)
{
    for (guint i = transport->filters->len; i-- > 0;) {
        struct flower_filter *filter = transport->filters->pdata[i];
        if (filter->side != side)
            continue;
        g_ptr_array_remove_index_fast(transport->filters, i);
        remove_filter(level, filter);
    }
}

/* Where the kernel refuses the change it must not judge by the old policy: the relay does. */
static void follow_flows(struct level *level, struct flower_transport *transport)
{
    const GPtrArray *flows = transport->transport->flows;
    for (guint i = 0; i < flows->len; i++) {
        struct qos_flow *flow = flows->pdata[i];
        for (int direction = 0; direction < 2 && flow->held; direction++) {
            struct flower_side *side = &data_of(flow)->sides[direction];
            g_autoptr(GError) error = NULL;
            if (!side->count || !flower_side_holds(side) ||
                flower_side_follow(side, level->tc, &level->cookie, &error))
                continue;
            remove_all_of(level, transport, side);
            flower_fail(level, error);
        }
    }
}

void flower_set_marks(struct level *level, struct flower_transport *transport)
{
    struct qos_transport *common = transport->transport;
    guint flows = common->flows->len, covered = 0;
    for (guint i = 0; i < transport->filters->len; i++) {
        const struct flower_filter *filter = transport->filters->pdata[i];
        covered += filter->match.hook == TC_EGRESS && filter->match.has_remote && !filter->failed;
    }
    bool marks = flows && covered == flows && g_hash_table_size(level->attached) > 0;
    __atomic_store_n(&common->marks, marks, __ATOMIC_RELAXED);
}

void flower_arrange(struct level *level, struct flower_transport *transport)
{
    g_autoptr(GArray) wanted = g_array_new(FALSE, FALSE, sizeof(struct want));
    g_mutex_lock(&level->lock);
    struct flower_wish *wish = g_memdup2(&transport->wish, sizeof transport->wish);
    g_mutex_unlock(&level->lock);
    want_direction(wanted, transport->transport, wish, QOS_UPLINK);
    want_direction(wanted, transport->transport, wish, QOS_DOWNLINK);
    g_free(wish);

    for (guint i = transport->filters->len; i-- > 0;) {
        struct flower_filter *filter = transport->filters->pdata[i];
        if (is_wanted(wanted, filter))
            continue;
        __atomic_store_n(&transport->transport->marks, 0, __ATOMIC_RELAXED);
        g_ptr_array_remove_index_fast(transport->filters, i);
        remove_filter(level, filter);
    }
    follow_flows(level, transport);
    for (guint i = 0; i < wanted->len; i++) {
        const struct want *want = &g_array_index(wanted, struct want, i);
        if (!is_there(transport, want))
            add_filter(level, transport, want);
    }
    flower_set_marks(level, transport);
}

void flower_drop_filters(struct level *level, struct flower_transport *transport)
{
    __atomic_store_n(&transport->transport->marks, 0, __ATOMIC_RELAXED);
    while (transport->filters->len)
        remove_filter(
            level, g_ptr_array_steal_index_fast(transport->filters, transport->filters->len - 1));
}

void flower_forgive(struct level *level)
{
    for (guint i = 0; i < level->transports->len; i++) {
        struct flower_transport *transport = level->transports->pdata[i];
        for (guint j = 0; j < transport->filters->len; j++)
            ((struct flower_filter *)transport->filters->pdata[j])->failed = false;
    }
}

void flower_fill(struct level *level, struct u32 *u32)
{
    for (guint i = 0; i < level->transports->len; i++) {
        struct flower_transport *transport = level->transports->pdata[i];
        for (guint j = 0; j < transport->filters->len; j++)
            install(level, transport->filters->pdata[j], u32);
        flower_set_marks(level, transport);
    }
}
