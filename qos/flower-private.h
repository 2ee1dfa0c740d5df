/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the files of the level "tc-flower" share. Threads: control, but for what stands under the
 * lock. */
#include "qos/flower-side.h"
#include "qos/interfaces.h"
#include "qos/tc-u32.h"

#define FLOWER_SSRCS_MAX 64 /* per transport */
#define FLOWER_LOCALS_MAX 4

/* One filter, the same on every interface. */
struct flower_filter {
    struct u32_match match;
    struct u32_place place;
    struct flower_side *side;
    bool failed; /* on some interface */
};

/* What take_slots() hands out; the two slots come first. */
struct flower_flow {
    struct qos_slot slots[2];
    struct flower_side sides[2];
};

struct flower_ssrc {
    enum qos_direction direction;
    uint32_t ssrc;
    const struct qos_slot *slot;
};

/* Whose packets are a transport's, as workers say it: under the level's lock. */
struct flower_wish {
    bool has_pair;
    struct sockaddr_storage local, remote;
    struct sockaddr_storage locals[FLOWER_LOCALS_MAX];
    guint locals_count;
    struct flower_ssrc ssrcs[FLOWER_SSRCS_MAX];
    guint ssrcs_count;
    bool is_queued;
};

struct flower_transport {
    struct qos_transport *transport;
    struct flower_wish wish;
    GPtrArray *filters; /* struct flower_filter */
};

struct level {
    struct qos *qos;
    struct tc *tc;
    const char *name; /* of the owner, that nobody else holds now; tc's */
    struct interfaces *interfaces;
    struct tc_cookie cookie;
    GHashTable *attached; /* ifindex → struct u32, owned */
    GHashTable *refused;  /* ifindex → sentence */
    GHashTable *places;   /* struct u32_place as a number, of all filters */
    GHashTable *sides;    /* kind and index of an action → struct flower_side */
    GPtrArray *transports;
    GArray *doomed; /* struct tc_action: the kernel has not let go of their filters yet */
    char *trouble;  /* sentence: what the kernel has refused last; NULL = nothing */
    guint flows, timer;
    gint64 read_at; /* µs, of the last dump */
    uint64_t gate_discarded, policing_discarded;

    GMutex lock;      /* of wishes and the queue */
    GPtrArray *queue; /* struct flower_transport with a wish not looked at yet */
    guint idle;
};

/* Puts the filters of a transport as its flows and its wish want them (flower-arrange.c). */
void flower_arrange(struct level *level, struct flower_transport *transport);
/* Whether all that is sent is marked by the kernel now. */
void flower_set_marks(struct level *level, struct flower_transport *transport);
/* All filters there are, on an interface that has come. */
void flower_fill(struct level *level, struct u32 *u32);
/* Before the filters are made anew: none has failed. */
void flower_forgive(struct level *level);
void flower_drop_filters(struct level *level, struct flower_transport *transport);
/* Lets go of a side's actions; what they have counted is in the slot then. */
void flower_end_side(struct level *level, struct flower_side *side);

/* Counters (flower-read.c). */
void flower_read_all(struct level *level);
void flower_read_side(struct level *level, struct flower_side *side, struct qos_counters *ret);
void flower_add_side(struct level *level, struct flower_side *side);
void flower_remove_side(struct level *level, struct flower_side *side);

/* Interfaces (flower-media.c). */
extern const struct interfaces_ops flower_interfaces_ops;
void flower_add_address(struct level *level, const struct sockaddr *local);
/* What others have taken away is put back, what was refused is tried again. */
void flower_visit(struct level *level);
/* The kernel has refused something: the level says so until all is well again. */
void flower_fail(struct level *level, const GError *error);

/* Whether this machine can do it: false and the sentence (flower-probe.c). */
bool flower_probe(struct tc *tc, const struct tc_cookie *cookie, GError **error);
