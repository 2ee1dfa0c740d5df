/* SPDX-License-Identifier: Apache-2.0 */
/* Uplink: gate, police, judged. Downlink: gate, DSCP, and the checksum of IPv4. The list is the
 * same whatever the policy, so that a change is one message that changes parameters, and neither
 * filters nor counters notice. What passed and what was dropped is the difference between one
 * action's packets and the next one's, which counts segments, where the kernel's own counters of
 * drops count buffers. */
#include "qos/flower-side.h"

#include <linux/if_ether.h>
#include <string.h>
#include <sys/socket.h>

#define LOAD(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)

static void follow_gate(struct tc_action *gate, const struct flower_side *side)
{
    uint32_t mark = LOAD(side->slot->mark);
    if (!qos_slot_open(side->slot))
        gate->gate = TC_GATE_SHUT;
    else if (side->direction == QOS_DOWNLINK && !(mark & QOS_MARK_SET))
        gate->gate = TC_GATE_LEAVE; /* no marking, or the relay's copy of another's */
    else
        gate->gate = TC_GATE_OPEN;
}

static void follow_police(struct tc_action *police, const struct flower_side *side)
{
    uint64_t sustained = LOAD(side->slot->sustained), peak = LOAD(side->slot->peak);
    memset(&police->police, 0, sizeof police->police);
    if (!sustained)
        return;
    police->police.rate = sustained >> 32;
    police->police.burst = sustained & 0xffffffff;
    police->police.peak = peak >> 32;
    police->police.tolerance = peak >> 32 ? peak & 0xffffffff : 0;
}

static void follow_slot(struct tc_action *action, const struct flower_side *side)
{
    switch (action->kind) {
    case TC_ACTION_GATE:
        follow_gate(action, side);
        break;
    case TC_ACTION_POLICE:
        follow_police(action, side);
        break;
    case TC_ACTION_DSCP:
        action->dscp.value = LOAD(side->slot->mark) & QOS_MARK_DSCP;
        break;
    case TC_ACTION_JUDGED:
    case TC_ACTION_CHECKSUM:
        break;
    }
}

bool flower_side_holds(const struct flower_side *side)
{
    uint64_t sustained = LOAD(side->slot->sustained);
    return !sustained || tc_police_holds(sustained >> 32, sustained & 0xffffffff);
}

bool flower_side_make(struct flower_side *side, struct tc *tc, int family, uint32_t judged_mark,
                      const struct tc_cookie *cookie, GError **error)
{
    guint count = 0;
    memset(side->actions, 0, sizeof side->actions);
    side->actions[count++].kind = TC_ACTION_GATE;
    if (side->direction == QOS_UPLINK) {
        side->actions[count++].kind = TC_ACTION_POLICE;
        side->actions[count] = (struct tc_action){.kind = TC_ACTION_JUDGED, .mark = judged_mark};
        count++;
    } else {
        side->actions[count] = (struct tc_action){.kind = TC_ACTION_DSCP, .dscp.family = family};
        count++;
        if (family == AF_INET)
            side->actions[count++].kind = TC_ACTION_CHECKSUM;
    }
    for (guint i = 0; i < count; i++)
        follow_slot(&side->actions[i], side);
    if (!tc_actions_create(tc, side->actions, count, cookie, error))
        return false;
    side->count = count;
    memset(side->seen, 0, sizeof side->seen);
    memset(&side->told, 0, sizeof side->told);
    return true;
}

bool flower_side_fits(const struct flower_side *side, int family)
{
    return side->count && (side->direction == QOS_UPLINK || side->actions[1].dscp.family == family);
}

static bool is_same(const struct tc_action *a, const struct tc_action *b)
{
    switch (a->kind) {
    case TC_ACTION_GATE:
        return a->gate == b->gate;
    case TC_ACTION_POLICE:
        return memcmp(&a->police, &b->police, sizeof a->police) == 0;
    case TC_ACTION_DSCP:
        return a->dscp.value == b->dscp.value;
    case TC_ACTION_JUDGED:
    case TC_ACTION_CHECKSUM:
        break;
    }
    return true;
}

bool flower_side_follow(struct flower_side *side, struct tc *tc, const struct tc_cookie *cookie,
                        GError **error)
{
    struct tc_action changed[FLOWER_ACTIONS];
    guint which[FLOWER_ACTIONS], count = 0;
    /* Backwards: the rate is there before the gate opens. */
    for (guint i = side->count; i-- > 0;) {
        changed[count] = side->actions[i];
        follow_slot(&changed[count], side);
        if (!is_same(&changed[count], &side->actions[i]))
            which[count++] = i;
    }
    if (!count)
        return true;
    if (!tc_actions_change(tc, changed, count, cookie, error))
        return false;
    for (guint i = 0; i < count; i++)
        side->actions[which[i]] = changed[i];
    return true;
}

/* --- counters --------------------------------------------------------------------------------- */

void flower_side_see(struct flower_side *side, enum tc_action_kind kind,
                     const struct tc_action_stats *stats)
{
    for (guint i = 0; i < side->count; i++)
        if (side->actions[i].kind == kind)
            side->seen[i] = *stats;
}

/* The counters of two actions are not read at one instant: a difference never goes back. */
static uint64_t between(uint64_t before, uint64_t after, uint64_t told)
{
    return before > after ? MAX(before - after, told) : told;
}

static void count_uplink(const struct flower_side *side, struct qos_counters *total)
{
    const struct tc_action_stats *gate = &side->seen[0], *police = &side->seen[1],
                                 *judged = &side->seen[2];
    total->packets = judged->packets;
    total->octets = judged->octets;
    total->gate_discarded = between(gate->packets, police->packets, side->told.gate_discarded);
    total->policing_discarded =
        between(police->packets, judged->packets, side->told.policing_discarded);
}

static void count_downlink(const struct flower_side *side, struct qos_counters *total)
{
    /* What passed was counted by whoever sent it. */
    total->marked = side->seen[1].packets;
    total->gate_discarded = side->seen[0].drops;
}

/* What the kernel has let pass is charged to the relay's bucket too, afterwards: what comes by the
 * relay, fragments say, gets what is left of the rate and not a rate of its own. */
static void charge(struct qos_slot *slot, uint64_t octets, uint64_t now)
{
    uint32_t rate = LOAD(slot->sustained) >> 32;
    if (!rate || !octets)
        return;
    uint64_t old = LOAD(slot->sustained_at);
    uint64_t at = MAX(old, now) + token_bucket_time(MIN(octets, 1ull << 33), rate);
    __sync_val_compare_and_swap(&slot->sustained_at, old, at); /* a worker's charge goes first */
}

void flower_side_tell(struct flower_side *side, uint64_t now, struct qos_counters *ret)
{
    struct qos_counters total = side->told;
    struct qos_slot *slot = side->slot;
    memset(ret, 0, sizeof *ret);
    if (!side->count)
        return;
    if (side->direction == QOS_UPLINK)
        count_uplink(side, &total);
    else
        count_downlink(side, &total);
#define TELL(name)                                                                                 \
    if (total.name > side->told.name) {                                                            \
        ret->name = total.name - side->told.name;                                                  \
        side->told.name = total.name;                                                              \
        qos_count(&slot->name, ret->name);                                                         \
    }
    TELL(packets)
    TELL(octets)
    TELL(gate_discarded)
    TELL(policing_discarded)
    TELL(marked)
#undef TELL
    charge(slot, ret->octets, now);
    uint64_t not = QOS_GATED_NOT;
    if (ret->gate_discarded && !qos_slot_open(slot))
        __atomic_compare_exchange_n(&slot->gated, &not, QOS_GATED_NEW, false, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED);
}
