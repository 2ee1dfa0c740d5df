/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The relay and its legs as the control thread sees them, for the files that make up that side.
 * Threads: control. */
#include "base/loop.h"
#include "wmcf/relay/placement.h"
#include "wmcf/relay/relay.h"
#include "wmcf/relay/worker.h"

struct outbox { /* worker → control */
    _Atomic unsigned refs;
    struct command_queue events;
};

struct relay {
    GPtrArray *workers;              /* struct worker */
    struct relay_address *addresses; /* n_addresses per worker, one after the other */
    gsize n_addresses;
    guint legs, legs_max;
    struct placement *placement;
    GHashTable *groups; /* struct placement_group */
    struct loop_timer *load_timer;
    uint64_t *cpu; /* per worker, of the last measurement; µs */
    int64_t measured_at;
    struct worker_link **links; /* [from * workers + to]; NULL = never needed */
    gsize ring_octets;
    guint32 last_mirror;
    struct outbox *outbox;
    union socket_address *bound; /* n_addresses, without port */
    char **advertise;
    struct qos *qos;                                    /* NULL = none; borrowed */
    guint socket_buffer, own_port, own_ports, own_next; /* ports of legs of their own */
    guint next_index;                                   /* of their sockets */
};

struct relay_leg {
    struct relay *relay;
    struct worker_leg *there; /* never looked into here */
    guint worker;
    struct placement_group *group;
    char *name;
    const struct relay_leg_ops *ops;
    void *user;
    bool releasing;
    struct relay_address *own_addresses; /* NULL = the worker's */
    struct relay_local *local;           /* NULL = a leg with a network */
    GArray *lines;                       /* struct control_line: its m-lines, as told last; */
    GPtrArray *mirrors;                  /* of its streams in other workers; and */
    GPtrArray *routes;                   /* struct control_route: what it gets from other workers */
    struct relay_capture *capture;       /* NULL = none is under way; borrowed */
    _Atomic unsigned dtls_pending;
};

static inline struct worker *relay_worker_of(const struct relay_leg *leg)
{
    return g_ptr_array_index(leg->relay->workers, leg->worker);
}
struct command *relay_command_new(const struct relay_leg *leg, enum command_kind kind);
/* Takes the command, which goes nowhere when the leg is being released. */
void relay_post(const struct relay_leg *leg, struct command *command);

/* capture.c: the leg is being released. */
void relay_capture_leg_goes(struct relay_leg *leg);

/* --- relay-route.c ---------------------------------------------------------------------------- */

/* Before the leg's worker is told of these m-lines: ends what hangs on others. `n` 0 = it goes. */
void relay_routes_configure(struct relay_leg *leg, const struct relay_media *medias, guint n);
/* … and after it was told. */
void relay_routes_configured(struct relay_leg *leg);
/* One for each of the first `n` m-lines, one reference of each; NULL = without simulcast. */
struct encoding_board **relay_routes_boards(const struct relay_leg *leg, guint n);
void relay_routes_free(struct relay_leg *leg);
