/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Enforcement of the media policy per flow and direction (protocol B mediaPolicy; TS 23.334 gate,
 * policing, marking; flow status of TS 29.514).
 *
 * A *flow* is one medium of one termination; it has a *slot* per direction. The slot is what the
 * packet path looks at: a gate and counters, plain atomics in one cache line, so that the control
 * thread changes it by a store and, later, the kernel's program can share it. This face hides which
 * level enforces: today the relay itself; policing and marking are refused as
 * ENFORCEMENT_UNAVAILABLE until a level can hold them.
 *
 * Threads: qos_flow_* control; qos_slot_admit() the worker that owns the packet. */
#include <glib.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum qos_direction { QOS_UPLINK, QOS_DOWNLINK }; /* uplink = endpoint → WMCF */

enum qos_flow_status { /* TS 29.514 FlowStatus */
                       QOS_ENABLED,
                       QOS_ENABLED_UPLINK,
                       QOS_ENABLED_DOWNLINK,
                       QOS_DISABLED,
                       QOS_REMOVED,
};
const char *qos_flow_status_name(enum qos_flow_status status);
bool qos_flow_status_parse(const char *text, enum qos_flow_status *ret);

struct qos_slot {
    _Atomic uint32_t open;       /* control writes, packet path reads */
    _Atomic uint32_t gated_once; /* packet path sets at the first discard since the gate closed */
    _Atomic uint64_t packets, octets; /* passed, IP datagram octets */
    _Atomic uint64_t gate_discarded;
} __attribute__((aligned(64)));

/* One packet at the slot. True: forward it. False: drop it (counted); *ret_first is set when this
 * is the first one dropped since the gate was closed, so that one `mediaGated` event is raised. */
static inline bool qos_slot_admit(struct qos_slot *slot, uint32_t octets, bool *ret_first)
{
    if (atomic_load_explicit(&slot->open, memory_order_relaxed)) {
        atomic_fetch_add_explicit(&slot->packets, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&slot->octets, octets, memory_order_relaxed);
        return true;
    }
    atomic_fetch_add_explicit(&slot->gate_discarded, 1, memory_order_relaxed);
    *ret_first = !atomic_exchange_explicit(&slot->gated_once, 1, memory_order_relaxed);
    return false;
}

struct qos_policing {
    bool present;
    uint64_t sdr, mbs, pdr, dvt; /* octets/s, octets, octets/s, µs; pdr 0 = none */
};
enum qos_tagging { QOS_TAGGING_NONE, QOS_TAGGING_MARK, QOS_TAGGING_COPY };
/* One entry of mediaPolicy, as far as it was said. */
struct qos_policy {
    bool has_status;
    enum qos_flow_status status;
    bool has_policing; /* said, also `false` */
    struct qos_policing policing;
    enum qos_tagging tagging;
    uint8_t dscp;
};

struct qos_flow;
/* A flow whose gates are closed in both directions (protocol B: nothing said = DISABLED). */
struct qos_flow *qos_flow_new(void);
void qos_flow_free(struct qos_flow *flow); /* after the packet path has let go of the slots */
struct qos_slot *qos_flow_slot(struct qos_flow *flow, enum qos_direction direction);
/* Whether the enforcement level can hold the policy; false and ENFORCEMENT_UNAVAILABLE otherwise.
 * Checked for the whole message before any of it is applied. */
bool qos_policy_check(const struct qos_policy *policy, GError **error);
void qos_flow_apply(struct qos_flow *flow, const struct qos_policy *policy);
enum qos_flow_status qos_flow_get_status(const struct qos_flow *flow);
/* "relay", later "tc-bpf", "tc-flower"; and why not a higher one. Static. */
const char *qos_level_name(void);
const char *qos_level_reason(void);
