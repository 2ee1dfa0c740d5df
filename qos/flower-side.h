/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One direction of a flow at the level "tc-flower": its list of actions in the kernel, kept like
 * the slot's policy, and what they have counted brought into the slot. For the files of qos/ alone.
 * Threads: control. */
#include "qos/level.h"
#include "qos/tc-action.h"

#define FLOWER_ACTIONS 3

struct flower_side {
    struct qos_slot *slot;
    enum qos_direction direction;
    struct tc_action actions[FLOWER_ACTIONS];
    guint count; /* 0 = none are made */
    struct tc_action_stats seen[FLOWER_ACTIONS];
    /* in the slot already, of these actions */
    struct qos_counters told;
};

/* Whether police can hold the slot's policing. */
bool flower_side_holds(const struct flower_side *side);
/* Actions as the slot says, for that address family. */
bool flower_side_make(struct flower_side *side, struct tc *tc, int family, uint32_t judged_mark,
                      const struct tc_cookie *cookie, GError **error);
/* For another family than they were made for? Downlink alone knows a difference. */
bool flower_side_fits(const struct flower_side *side, int family);
/* The slot's policy has changed: the actions as well. */
bool flower_side_follow(struct flower_side *side, struct tc *tc, const struct tc_cookie *cookie,
                        GError **error);
/* What one of its actions has counted, as a dump says; then, brings it into the slot, counters,
 * gate event and the charge of the bucket. *ret = what was new. */
void flower_side_see(struct flower_side *side, enum tc_action_kind kind,
                     const struct tc_action_stats *stats);
void flower_side_tell(struct flower_side *side, uint64_t now, struct qos_counters *ret);
