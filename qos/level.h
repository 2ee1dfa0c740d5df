/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a level of enforcement has to do, and what the common part keeps of transports and flows for
 * it. For the files of qos/ alone.
 *
 * A level is tried from the highest down; the relay is no level of this kind: it is what happens
 * where a level does nothing. Every member but `name`, `start` and `stop` may be NULL.
 * Threads: control, but for `set_pair`, `add_local`, `add_ssrc`, `remove_ssrc`, `add_port` and
 * `remove_port`, which also come from workers: they must not block for longer than a system call
 * that changes a map. */
#include "qos/qos.h"

struct level;
struct level_ops {
    const char *name;
    bool blind_to_runs; /* judges what the kernel has joined (UDP_GRO) by the first packet */
    /* Everything that can fail on this machine fails here, with one sentence. NULL and *error. */
    struct level *(*start)(struct qos *qos, GError **error);
    void (*stop)(struct level *level);

    void (*add_address)(struct level *level, const struct sockaddr *local);
    void (*add_port)(struct level *level, uint16_t port);
    void (*remove_port)(struct level *level, uint16_t port);
    /* qos_sweep(), by tc_sweep(); NULL = whatever has the owner's name goes. */
    char *(*sweep)(struct level *level);

    /* Two slots side by side by direction, zeroed; NULL when there is no room. */
    struct qos_slot *(*take_slots)(struct level *level);
    void (*give_slots)(struct level *level, struct qos_slot *slots);
    /* False when there is no room. `transport->level_data` is the level's. */
    bool (*add_transport)(struct level *level, struct qos_transport *transport);
    void (*remove_transport)(struct level *level, struct qos_transport *transport);
    /* transport->open, ->only, ->data or a slot's policy has changed. */
    void (*changed)(struct level *level, struct qos_transport *transport, struct qos_flow *flow);

    void (*set_pair)(struct level *level, struct qos_transport *transport,
                     const struct sockaddr *local, const struct sockaddr *remote);
    void (*add_local)(struct level *level, struct qos_transport *transport,
                      const struct sockaddr *local);
    bool (*add_ssrc)(struct level *level, struct qos_transport *transport,
                     enum qos_direction direction, uint32_t ssrc, const struct qos_slot *slot);
    void (*remove_ssrc)(struct level *level, struct qos_transport *transport,
                        enum qos_direction direction, uint32_t ssrc);

    /* Adds what the kernel counts elsewhere than in the slot. */
    void (*read)(struct level *level, const struct qos_flow *flow, enum qos_direction direction,
                 struct qos_counters *ret);
    uint64_t (*unattributed)(struct level *level, const struct qos_transport *transport);
    void (*stats)(struct level *level, struct qos_stats *ret);
};
extern const struct level_ops level_bpf, level_flower;

struct qos {
    struct qos_config config;    /* strings copied */
    const struct level_ops *ops; /* of `level`; NULL = the relay, or none */
    struct level *level;
    char *reason;     /* sentence */
    char *impediment; /* what keeps a required level from holding anything now; NULL = nothing */
    void (*changed)(void *user);
    void *changed_user;
    GArray *trusted; /* struct prefix (trust.c) */
    guint flows, transports;
};

struct qos_transport {
    struct qos *qos; /* NULL = judged by the relay alone */
    bool held;       /* by the level */
    void *level_data;
    GPtrArray *flows; /* struct qos_flow, not owned */
    uint32_t open[2]; /* flows whose gate is open, by direction */
    uint32_t marks;   /* atomic: the kernel writes the DSCP; the level sets it */
};

struct qos_flow {
    struct qos_transport *transport;
    enum qos_kind kind;
    enum qos_flow_status status;
    struct qos_policing policing;
    struct qos_slot *slots; /* one per enum qos_direction */
    bool held;              /* the slots are the level's; else allocated */
};

/* The level tells how it is: `impediment` NULL = all is well. Calls the listener on a change.
 * Strings are copied. */
void qos_report(struct qos *qos, const char *reason, const char *impediment);
/* Whether what the level cannot hold is refused (a level by name), or left to the relay. */
static inline bool qos_is_required(const struct qos *qos)
{
    return qos->config.level == QOS_TC_BPF || qos->config.level == QOS_TC_FLOWER;
}
