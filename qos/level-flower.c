/* SPDX-License-Identifier: Apache-2.0 */
/* tc without BPF, for hosts that refuse bpf(): filters and actions that every kernel has, a message
 * per change. Workers only write down what they wish (which pair, whose SSRC) and wake the control
 * thread, which does all that talks to the kernel; until a filter is there its packets come without
 * the judged mark, and the relay judges them by the same slots. A change of policy is in force when
 * changed() returns. The trade-off against BPF: tens of microseconds per change, and what only a
 * program can see (media inside a bundle that differ, runs joined by GRO) stays with the relay. */
#define LOG_CATEGORY "qos"
#include "qos/flower-private.h"

#include "base/log.h"
#include "base/problem.h"

#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define READ_INTERVAL_S 1
#define END_WAIT_US 2000
#define END_WAITS 250

/* Filters and actions of an owner of our name that was killed, wherever they are. */
static void take_over(struct level *level)
{
    struct if_nameindex *all = if_nameindex();
    for (struct if_nameindex *i = all; i && i->if_index; i++)
        u32_clean(level->tc, i->if_index, level->name);
    if (all)
        if_freenameindex(all);
    tc_actions_sweep(level->tc, &level->cookie);
}

/* --- start and end ---------------------------------------------------------------------------- */

static gboolean on_second(gpointer user)
{
    struct level *level = user;
    flower_read_all(level);
    tc_actions_bury(level->tc, level->doomed);
    flower_visit(level);
    return G_SOURCE_CONTINUE;
}

static void stop(struct level *level)
{
    GHashTableIter iter;
    gpointer index;
    if (level->timer)
        g_source_remove(level->timer);
    if (level->idle)
        g_source_remove(level->idle);
    interfaces_free(level->interfaces);
    g_hash_table_iter_init(&iter, level->attached);
    while (g_hash_table_iter_next(&iter, &index, NULL))
        u32_clean(level->tc, GPOINTER_TO_UINT(index), level->name);
    for (int i = 0; i < END_WAITS && !tc_actions_bury(level->tc, level->doomed); i++)
        g_usleep(END_WAIT_US);
    g_hash_table_unref(level->attached);
    g_hash_table_unref(level->refused);
    g_hash_table_unref(level->places);
    g_hash_table_unref(level->sides);
    g_ptr_array_unref(level->transports);
    g_ptr_array_unref(level->queue);
    g_array_unref(level->doomed);
    g_mutex_clear(&level->lock);
    tc_free(level->tc);
    g_free(level->trouble);
    g_free(level);
}

static struct level *start(struct qos *qos, GError **error)
{
    struct tc *tc = tc_new(error);
    struct tc_cookie cookie;
    if (!tc)
        return NULL;
    const char *name = tc_claim(tc, qos->config.owner);
    u32_cookie(name, false, &cookie);
    if (!flower_probe(tc, &cookie, error)) {
        tc_free(tc);
        return NULL;
    }
    struct level *level = g_new0(struct level, 1);
    level->qos = qos;
    level->tc = tc;
    level->name = name;
    level->cookie = cookie;
    level->attached = g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)u32_free);
    level->refused = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    level->places = g_hash_table_new(NULL, NULL);
    level->sides = g_hash_table_new(NULL, NULL);
    level->transports = g_ptr_array_new();
    level->queue = g_ptr_array_new();
    level->doomed = g_array_new(FALSE, FALSE, sizeof(struct tc_action));
    level->read_at = g_get_monotonic_time();
    g_mutex_init(&level->lock);
    take_over(level);
    level->interfaces =
        interfaces_new(qos->config.interfaces, &flower_interfaces_ops, level, error);
    if (!level->interfaces) {
        stop(level);
        return NULL;
    }
    level->timer = g_timeout_add_seconds(READ_INTERVAL_S, on_second, level);
    return level;
}

/* What there is of our u32 filters is ours: take_over() has seen to the others. */
static bool is_wanted(unsigned index, const char *kind, void *user)
{
    return strcmp(kind, "u32") == 0;
}

static char *sweep(struct level *level)
{
    return tc_sweep(level->tc, level->qos->config.owner, is_wanted, level);
}

/* --- slots ------------------------------------------------------------------------------------ */

static struct qos_slot *take_slots(struct level *level)
{
    struct flower_flow *flow;
    if (level->flows >= level->qos->config.flows_max)
        return NULL;
    size_t size =
        (sizeof *flow + _Alignof(struct flower_flow) - 1) & ~(_Alignof(struct flower_flow) - 1);
    flow = aligned_alloc(_Alignof(struct flower_flow), size);
    g_assert(flow);
    memset(flow, 0, size);
    for (int i = 0; i < 2; i++) {
        flow->sides[i].slot = &flow->slots[i];
        flow->sides[i].direction = i;
    }
    level->flows++;
    return flow->slots;
}

static void give_slots(struct level *level, struct qos_slot *slots)
{
    struct flower_flow *flow = (struct flower_flow *)slots;
    flower_end_side(level, &flow->sides[QOS_UPLINK]);
    flower_end_side(level, &flow->sides[QOS_DOWNLINK]);
    level->flows--;
    free(flow);
}

/* --- transports ------------------------------------------------------------------------------- */

static bool add_transport(struct level *level, struct qos_transport *transport)
{
    if (level->transports->len >= level->qos->config.transports_max)
        return false;
    struct flower_transport *data = g_new0(struct flower_transport, 1);
    data->transport = transport;
    data->filters = g_ptr_array_new();
    transport->level_data = data;
    g_ptr_array_add(level->transports, data);
    return true;
}

static void remove_transport(struct level *level, struct qos_transport *transport)
{
    struct flower_transport *data = transport->level_data;
    g_mutex_lock(&level->lock);
    if (data->wish.is_queued)
        g_ptr_array_remove_fast(level->queue, data);
    g_mutex_unlock(&level->lock);
    flower_drop_filters(level, data);
    g_ptr_array_remove_fast(level->transports, data);
    g_ptr_array_unref(data->filters);
    g_free(data);
    transport->level_data = NULL;
}

/* The memory of its slots may be another flow's soon. */
static void forget_ssrcs(struct level *level, struct flower_wish *wish,
                         const struct qos_slot *slots)
{
    g_mutex_lock(&level->lock);
    for (guint i = wish->ssrcs_count; i-- > 0;)
        if (wish->ssrcs[i].slot == &slots[QOS_UPLINK] ||
            wish->ssrcs[i].slot == &slots[QOS_DOWNLINK])
            wish->ssrcs[i] = wish->ssrcs[--wish->ssrcs_count];
    g_mutex_unlock(&level->lock);
}

static void changed(struct level *level, struct qos_transport *transport, struct qos_flow *flow)
{
    struct flower_transport *data = transport->level_data;
    if (!g_ptr_array_find(transport->flows, flow, NULL))
        forget_ssrcs(level, &data->wish, flow->slots);
    flower_arrange(level, data);
}

static gboolean on_wishes(gpointer user)
{
    struct level *level = user;
    g_mutex_lock(&level->lock);
    g_autoptr(GPtrArray) queue = level->queue;
    level->queue = g_ptr_array_new();
    level->idle = 0;
    for (guint i = 0; i < queue->len; i++)
        ((struct flower_transport *)queue->pdata[i])->wish.is_queued = false;
    g_mutex_unlock(&level->lock);
    for (guint i = 0; i < queue->len; i++)
        flower_arrange(level, queue->pdata[i]);
    return G_SOURCE_REMOVE;
}

/* Any thread, with the lock: a wish has changed. */
static void enqueue(struct level *level, struct flower_transport *transport)
{
    if (!transport->wish.is_queued)
        g_ptr_array_add(level->queue, transport);
    transport->wish.is_queued = true;
    if (!level->idle)
        level->idle = g_idle_add_full(G_PRIORITY_HIGH, on_wishes, level, NULL);
}

static void copy_address(struct sockaddr_storage *to, const struct sockaddr *from)
{
    memset(to, 0, sizeof *to);
    memcpy(to, from,
           from->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
}

static void set_pair(struct level *level, struct qos_transport *transport,
                     const struct sockaddr *local, const struct sockaddr *remote)
{
    struct flower_transport *data = transport->level_data;
    g_mutex_lock(&level->lock);
    data->wish.has_pair = local && remote;
    if (data->wish.has_pair) {
        copy_address(&data->wish.local, local);
        copy_address(&data->wish.remote, remote);
    }
    enqueue(level, data);
    g_mutex_unlock(&level->lock);
}

static void add_local(struct level *level, struct qos_transport *transport,
                      const struct sockaddr *local)
{
    struct flower_transport *data = transport->level_data;
    struct flower_wish *wish = &data->wish;
    g_mutex_lock(&level->lock);
    if (wish->locals_count < FLOWER_LOCALS_MAX) { /* the relay judges what comes to others */
        copy_address(&wish->locals[wish->locals_count++], local);
        enqueue(level, data);
    }
    g_mutex_unlock(&level->lock);
}

static struct flower_ssrc *find_ssrc(struct flower_wish *wish, enum qos_direction direction,
                                     uint32_t ssrc)
{
    for (guint i = 0; i < wish->ssrcs_count; i++)
        if (wish->ssrcs[i].direction == direction && wish->ssrcs[i].ssrc == ssrc)
            return &wish->ssrcs[i];
    return NULL;
}

static bool add_ssrc(struct level *level, struct qos_transport *transport,
                     enum qos_direction direction, uint32_t ssrc, const struct qos_slot *slot)
{
    struct flower_transport *data = transport->level_data;
    struct flower_wish *wish = &data->wish;
    g_mutex_lock(&level->lock);
    struct flower_ssrc *entry = find_ssrc(wish, direction, ssrc);
    if (!entry && wish->ssrcs_count < FLOWER_SSRCS_MAX) {
        entry = &wish->ssrcs[wish->ssrcs_count++];
        *entry = (struct flower_ssrc){.direction = direction, .ssrc = ssrc};
    }
    if (entry && entry->slot != slot) {
        entry->slot = slot;
        enqueue(level, data);
    }
    g_mutex_unlock(&level->lock);
    return entry != NULL;
}

static void remove_ssrc(struct level *level, struct qos_transport *transport,
                        enum qos_direction direction, uint32_t ssrc)
{
    struct flower_transport *data = transport->level_data;
    struct flower_wish *wish = &data->wish;
    g_mutex_lock(&level->lock);
    struct flower_ssrc *entry = find_ssrc(wish, direction, ssrc);
    if (entry) {
        *entry = wish->ssrcs[--wish->ssrcs_count];
        enqueue(level, data);
    }
    g_mutex_unlock(&level->lock);
}

/* --- counters --------------------------------------------------------------------------------- */

static void read_flow(struct level *level, const struct qos_flow *flow,
                      enum qos_direction direction, struct qos_counters *ret)
{
    struct qos_counters new;
    if (!flow->held)
        return;
    flower_read_side(level, &((struct flower_flow *)flow->slots)->sides[direction], &new);
    ret->packets += new.packets;
    ret->octets += new.octets;
    ret->gate_discarded += new.gate_discarded;
    ret->policing_discarded += new.policing_discarded;
    ret->marked += new.marked;
}

static void stats(struct level *level, struct qos_stats *ret)
{
    ret->interfaces = g_hash_table_size(level->attached);
    ret->gate_discarded = level->gate_discarded;
    ret->policing_discarded = level->policing_discarded;
}

const struct level_ops level_flower = {
    .name = "tc-flower",
    .blind_to_runs = true,
    .start = start,
    .stop = stop,
    .add_address = flower_add_address,
    .sweep = sweep,
    .take_slots = take_slots,
    .give_slots = give_slots,
    .add_transport = add_transport,
    .remove_transport = remove_transport,
    .changed = changed,
    .set_pair = set_pair,
    .add_local = add_local,
    .add_ssrc = add_ssrc,
    .remove_ssrc = remove_ssrc,
    .read = read_flow,
    .stats = stats,
};
