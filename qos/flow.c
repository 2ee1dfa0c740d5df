/* SPDX-License-Identifier: Apache-2.0 */
/* A flow: the policy of one medium of one termination and its two slots. The status is kept as the
 * WSF said it; what the packet path sees is only "open" per direction, two words of rates and one
 * of marking, so that a change is a few stores. The slots are the level's, where kernel and relay
 * measure by the same; a level without room leaves them to plain memory and the relay. */
#include "qos/level.h"

#include "base/problem.h"

#include <stdlib.h>
#include <string.h>

static const char *const status_names[] = {
    [QOS_ENABLED] = "ENABLED",
    [QOS_ENABLED_UPLINK] = "ENABLED-UPLINK",
    [QOS_ENABLED_DOWNLINK] = "ENABLED-DOWNLINK",
    [QOS_DISABLED] = "DISABLED",
    [QOS_REMOVED] = "REMOVED",
};

/* RFC 8837 table 1, for interactive media of medium and high priority alike. */
static const uint8_t default_dscp[] = {[QOS_AUDIO] = 46, [QOS_VIDEO] = 36, [QOS_DATA] = 10};

const char *qos_flow_status_name(enum qos_flow_status status)
{
    g_return_val_if_fail(status < G_N_ELEMENTS(status_names), "DISABLED");
    return status_names[status];
}

bool qos_flow_status_parse(const char *text, enum qos_flow_status *ret)
{
    for (size_t i = 0; i < G_N_ELEMENTS(status_names); i++)
        if (strcmp(text, status_names[i]) == 0) {
            *ret = i;
            return true;
        }
    return false;
}

static bool take_slots(struct qos_flow *flow, GError **error)
{
    struct qos *qos = flow->transport->qos;
    if (flow->transport->held && qos->ops->take_slots) {
        flow->slots = qos->ops->take_slots(qos->level);
        flow->held = flow->slots != NULL;
        if (!flow->held && qos_is_required(qos)) {
            problem_set(error, PROBLEM_ENFORCEMENT_UNAVAILABLE,
                        "the level \"%s\" holds %u media already, its limit (qos.flows); raise it "
                        "or try again later",
                        qos->ops->name, qos->flows);
            return false;
        }
    }
    if (flow->held)
        return true;
    flow->slots = aligned_alloc(_Alignof(struct qos_slot), 2 * sizeof *flow->slots);
    g_assert(flow->slots);
    memset(flow->slots, 0, 2 * sizeof *flow->slots);
    return true;
}

static void tell_level(struct qos_flow *flow)
{
    struct qos *qos = flow->transport->qos;
    if (flow->transport->held && qos->ops->changed)
        qos->ops->changed(qos->level, flow->transport, flow);
}

struct qos_flow *qos_flow_new(struct qos_transport *transport, enum qos_kind kind, GError **error)
{
    struct qos_flow *flow = g_new0(struct qos_flow, 1);
    struct qos *qos = transport->qos;
    flow->transport = transport;
    flow->kind = kind;
    flow->status = QOS_DISABLED;
    if (!take_slots(flow, error)) {
        g_free(flow);
        return NULL;
    }
    if (qos && qos->config.default_marking)
        flow->slots[QOS_DOWNLINK].mark = QOS_MARK_SET | default_dscp[kind];
    if (qos)
        qos->flows++;
    g_ptr_array_add(transport->flows, flow);
    tell_level(flow);
    return flow;
}

static bool opens(enum qos_flow_status status, enum qos_direction direction)
{
    return status == QOS_ENABLED ||
           status == (direction == QOS_UPLINK ? QOS_ENABLED_UPLINK : QOS_ENABLED_DOWNLINK);
}

static void set_gate(struct qos_flow *flow, enum qos_direction direction, bool open)
{
    struct qos_slot *slot = &flow->slots[direction];
    uint32_t *any = &flow->transport->open[direction];
    if (open == qos_slot_open(slot))
        return;
    *any += open ? 1 : -1;
    /* A closing gate arms the event again: one mediaGated each time it was closed. */
    if (!open)
        __atomic_store_n(&slot->gated, QOS_GATED_NOT, __ATOMIC_RELAXED);
    __atomic_store_n(&slot->open, open, __ATOMIC_RELAXED);
}

void qos_flow_free(struct qos_flow *flow)
{
    if (!flow)
        return;
    struct qos_transport *transport = flow->transport;
    set_gate(flow, QOS_UPLINK, false);
    set_gate(flow, QOS_DOWNLINK, false);
    g_ptr_array_remove(transport->flows, flow);
    tell_level(flow);
    if (flow->held)
        transport->qos->ops->give_slots(transport->qos->level, flow->slots);
    else
        free(flow->slots);
    if (transport->qos)
        transport->qos->flows--;
    g_free(flow);
}

struct qos_slot *qos_flow_slot(struct qos_flow *flow, enum qos_direction direction)
{
    return &flow->slots[direction];
}

enum qos_flow_status qos_flow_get_status(const struct qos_flow *flow)
{
    return flow->status;
}

/* What is received is policed. A new rate begins with a full bucket, one said again goes on. */
static void set_policing(struct qos_flow *flow, const struct qos_policing *policing)
{
    struct qos_slot *slot = &flow->slots[QOS_UPLINK];
    const struct qos_policing *now = &flow->policing; /* field by field: there is padding */
    if (now->present == policing->present && now->sdr == policing->sdr &&
        now->mbs == policing->mbs && now->pdr == policing->pdr && now->dvt == policing->dvt)
        return;
    flow->policing = *policing;
    if (!policing->present) {
        __atomic_store_n(&slot->sustained, 0, __ATOMIC_RELAXED);
        return;
    }
    /* One rate gives way to the other in one store: there is no moment without any. */
    __atomic_store_n(&slot->sustained_at, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&slot->peak_at, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&slot->peak, (uint64_t)policing->pdr << 32 | policing->dvt, __ATOMIC_RELAXED);
    __atomic_store_n(&slot->sustained, (uint64_t)policing->sdr << 32 | policing->mbs,
                     __ATOMIC_RELEASE);
}

static void set_marking(struct qos_flow *flow, enum qos_tagging tagging, uint8_t dscp)
{
    /* Without a trusted packet to copy from, the default of the medium. */
    uint32_t mark = tagging == QOS_TAGGING_MARK ? QOS_MARK_SET | dscp
                                                : QOS_MARK_COPY | default_dscp[flow->kind];
    __atomic_store_n(&flow->slots[QOS_DOWNLINK].mark, mark, __ATOMIC_RELAXED);
}

void qos_flow_apply(struct qos_flow *flow, const struct qos_policy *policy)
{
    /* Rates before gates: nothing passes unpoliced. */
    if (policy->has_policing)
        set_policing(flow, &policy->policing);
    if (policy->tagging != QOS_TAGGING_NONE)
        set_marking(flow, policy->tagging, policy->dscp);
    if (policy->has_status) {
        flow->status = policy->status;
        set_gate(flow, QOS_UPLINK, opens(policy->status, QOS_UPLINK));
        set_gate(flow, QOS_DOWNLINK, opens(policy->status, QOS_DOWNLINK));
    }
    tell_level(flow);
}

void qos_flow_get_policy(const struct qos_flow *flow, struct qos_policy *ret)
{
    uint32_t mark = __atomic_load_n(&flow->slots[QOS_DOWNLINK].mark, __ATOMIC_RELAXED);
    *ret = (struct qos_policy){
        .has_status = true,
        .status = flow->status,
        .has_policing = true,
        .policing = flow->policing,
        .tagging = mark & QOS_MARK_SET    ? QOS_TAGGING_MARK
                   : mark & QOS_MARK_COPY ? QOS_TAGGING_COPY
                                          : QOS_TAGGING_NONE,
        .dscp = mark & QOS_MARK_DSCP,
    };
}

void qos_flow_read(const struct qos_flow *flow, enum qos_direction direction,
                   struct qos_counters *ret)
{
    const struct qos *qos = flow->transport->qos;
    const struct qos_slot *slot = &flow->slots[direction];
#define READ(name) ret->name = __atomic_load_n(&slot->name, __ATOMIC_RELAXED)
    READ(packets);
    READ(octets);
    READ(gate_discarded);
    READ(policing_discarded);
    READ(marked);
#undef READ
    if (flow->transport->held && qos->ops->read)
        qos->ops->read(qos->level, flow, direction, ret);
}
