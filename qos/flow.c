/* SPDX-License-Identifier: Apache-2.0 */
/* A flow: the policy of one medium of one termination and its two slots. The status is kept as the
 * WSF said it; what the packet path sees is only "open" per direction, so that a change is one
 * store. The slots are allocated together and cache-line aligned, because two workers may count on
 * neighbouring flows. */
#include "qos/qos.h"

#include "base/problem.h"

#include <stdlib.h>

struct qos_flow {
    enum qos_flow_status status;
    struct qos_slot *slots; /* one per enum qos_direction; packet path reads and counts */
};

static const char *const status_names[] = {
    [QOS_ENABLED] = "ENABLED",
    [QOS_ENABLED_UPLINK] = "ENABLED-UPLINK",
    [QOS_ENABLED_DOWNLINK] = "ENABLED-DOWNLINK",
    [QOS_DISABLED] = "DISABLED",
    [QOS_REMOVED] = "REMOVED",
};

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

struct qos_flow *qos_flow_new(void)
{
    struct qos_flow *flow = g_new0(struct qos_flow, 1);
    flow->slots = aligned_alloc(_Alignof(struct qos_slot), 2 * sizeof *flow->slots);
    g_assert(flow->slots);
    memset(flow->slots, 0, 2 * sizeof *flow->slots);
    flow->status = QOS_DISABLED;
    return flow;
}

void qos_flow_free(struct qos_flow *flow)
{
    if (!flow)
        return;
    free(flow->slots);
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

static void set_gate(struct qos_slot *slot, bool open)
{
    /* A closing gate arms the event again: one mediaGated each time it was closed. */
    if (!open)
        atomic_store_explicit(&slot->gated_once, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->open, open, memory_order_relaxed);
}

void qos_flow_apply(struct qos_flow *flow, const struct qos_policy *policy)
{
    if (!policy->has_status || policy->status == flow->status)
        return;
    flow->status = policy->status;
    set_gate(&flow->slots[QOS_UPLINK],
             policy->status == QOS_ENABLED || policy->status == QOS_ENABLED_UPLINK);
    set_gate(&flow->slots[QOS_DOWNLINK],
             policy->status == QOS_ENABLED || policy->status == QOS_ENABLED_DOWNLINK);
}

bool qos_policy_check(const struct qos_policy *policy, GError **error)
{
    /* `policing:false` lifts what is not there: fine. */
    if (policy->has_policing && policy->policing.present) {
        problem_set(error, PROBLEM_ENFORCEMENT_UNAVAILABLE,
                    "policing cannot be enforced: the level \"%s\" holds gates only",
                    qos_level_name());
        return false;
    }
    if (policy->tagging != QOS_TAGGING_NONE) {
        problem_set(error, PROBLEM_ENFORCEMENT_UNAVAILABLE,
                    "marking cannot be enforced: the level \"%s\" holds gates only",
                    qos_level_name());
        return false;
    }
    return true;
}

const char *qos_level_name(void)
{
    return "relay";
}

const char *qos_level_reason(void)
{
    return "this release enforces gates in the relay";
}
