/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One worker: a thread, its sockets, and everything about the legs that belong to it. The control
 * thread talks to it by commands and hears from it by events, both heap messages.
 * Threads: as each part says. */
#include "wmcf/relay/address-table.h"
#include "wmcf/relay/bandwidth-estimator.h"
#include "wmcf/relay/command-queue.h"
#include "wmcf/relay/leg.h"
#include "wmcf/relay/local-source.h"
#include "wmcf/relay/packet-pool.h"
#include "wmcf/relay/send-batch.h"
#include "wmcf/relay/transit.h"
#include "wmcf/relay/worker-link.h"

#include <time.h>

#define WORKER_TICK_US 20000
#define WORKER_REPORT_SLOTS 50 /* one per tick: every leg once a second */

enum command_kind {
    COMMAND_ADD,
    COMMAND_REMOTE_ICE,
    COMMAND_CANDIDATES,
    COMMAND_PREPARE_ICE,
    COMMAND_CANCEL_ICE,
    COMMAND_TUNNEL,
    COMMAND_KEYS,
    COMMAND_MEDIAS,
    COMMAND_DATA,
    COMMAND_GATE_OPENED,
    COMMAND_DTLS,
    COMMAND_KEY_FRAME,
    COMMAND_ACTIVITY,
    COMMAND_ROUTE,
    COMMAND_FEED,
    COMMAND_END_FEED,
    COMMAND_MIRROR,
    COMMAND_END_MIRROR,
    COMMAND_MIRROR_USES,  /* from the mirror's worker: these encodings */
    COMMAND_MIRROR_WANTS, /* the same: a key frame */
    COMMAND_PREFER,
    COMMAND_STATS,
    COMMAND_CAPTURE,
    COMMAND_LOCAL,
    COMMAND_LOCAL_WANTS,
    COMMAND_RELEASE,
    COMMAND_STOP,
};
struct command {
    struct queue_node node; /* first */
    enum command_kind kind;
    struct worker_leg *leg;
    union {
        struct {
            struct ice_remote remote;
            struct ice_candidate *candidates; /* owned */
            guint n;
        } ice; /* remote, candidates; our own credentials for the restart */
        struct {
            union socket_address local, remote; /* no family = there is no path */
            const char *reason;                 /* static */
        } tunnel;
        struct relay_srtp_keys keys;
        struct {
            struct relay_media *list;       /* owned, */
            struct encoding_board **boards; /* and one reference each; NULL = no simulcast */
            guint n;
        } medias;
        struct {
            char mid[RELAY_MID_MAX + 1];
            struct qos_slot *slot[2];
        } data;
        GBytes *dtls;                  /* owned */
        struct local_batch *batch;     /* owned */
        struct relay_capture *capture; /* one reference; NULL = it ends */
        unsigned medium;               /* LOCAL_WANTS */
        char mid[RELAY_MID_MAX + 1];
        struct {
            char mid[RELAY_MID_MAX + 1];
            bool watch;
        } activity;
        struct {
            struct worker_leg *from; /* NULL = a mirror, or disconnect */
            uint32_t mirror;         /* 0 = none */
            char from_mid[RELAY_MID_MAX + 1], to_mid[RELAY_MID_MAX + 1];
        } route;
        struct {
            uint32_t id;
            struct worker_link *link;
            char mid[RELAY_MID_MAX + 1];  /* feed */
            enum relay_kind kind;         /* mirror, with: */
            struct encoding_board *board; /* one reference; NULL = no simulcast */
            uint8_t encoding;             /* wants */
            uint8_t encodings;            /* uses, a bit each */
        } mirror;
        struct {
            char mid[RELAY_MID_MAX + 1];
            bool any; /* no preference */
            struct relay_layer_preference preference;
        } prefer;
        struct {
            relay_stats_fn done;
            void *user;
        } stats;
    };
};
void command_free(struct command *command);

enum event_kind {
    EVENT_ICE_CONNECTED,
    EVENT_ICE_FAILED,
    EVENT_CONSENT_EXPIRED,
    EVENT_DTLS,
    EVENT_FIRST_MEDIA,
    EVENT_MEDIA_GATED,
    EVENT_POLICING_DISCARD,
    EVENT_MEDIA_INACTIVITY,
    EVENT_ACTIVITY,
    EVENT_STATS,
    EVENT_RELEASED,
};
struct event {
    struct queue_node node; /* first */
    enum event_kind kind;
    struct relay_leg *leg;
    union {
        struct {
            struct sockaddr_storage local, remote;
        } pair;
        const char *reason; /* static */
        GBytes *dtls;       /* owned */
        struct {
            char mid[RELAY_MID_MAX + 1];
            enum qos_direction direction;
            uint64_t packets; /* POLICING_DISCARD */
        } media;
        struct {
            char mid[RELAY_MID_MAX + 1];
            struct relay_activity report;
        } activity;
        struct {
            relay_stats_fn done;
            void *user;
            struct relay_leg_stats *result; /* owned */
        } stats;
    };
};
void event_free(struct event *event);

/* How events leave the worker; called on its thread, takes the event. */
typedef void (*worker_event_fn)(void *user, struct event *event);

struct worker_limits { /* from relay_config */
    int64_t consent_timeout, source_timeout, inactivity, pli_interval, video_buffer, audio_buffer,
        discard_report; /* µs */
    unsigned buffer_packets, streams_max, stun_rate_unknown, dtls_rate, ice_pairs_max,
        ice_checks_max;
    size_t buffer_octets; /* of packets that are kept */
    struct bandwidth_limits bandwidth;
    unsigned send_history;       /* packets */
    int64_t pacing, pause_after; /* µs */
};

struct worker_counters {
    _Atomic uint64_t packets_in, octets_in, packets_out, octets_out, unknown_source_dropped,
        malformed, stun_rejected, dtls_dropped, wakeups, receive_batches, runs_in, send_calls,
        runs_out, gso_fallbacks, send_dropped, gate_discarded, policing_discarded, ring_dropped,
        feedback_in, feedback_out, probes, overuses, video_pauses,
        estimates[RELAY_ESTIMATE_BOUNDS + 1], estimate_sum, transit[RELAY_TRANSIT_BOUNDS + 1],
        transit_sum;
    _Atomic uint32_t legs, mirrors;
};

struct worker {
    unsigned number;
    struct worker_limits limits;
    struct worker_counters counters; /* atomics; written here, read anywhere */
    struct command_queue commands;
    worker_event_fn on_event;
    void *event_user;
    GThread *thread;
    int wake, poll;        /* eventfd, epoll */
    _Atomic clockid_t cpu; /* the thread's clock; 0 = it has not begun */
    bool running;          /* worker */

    struct media_socket sockets[SOCKETS_MAX];
    unsigned n_sockets;
    struct media_socket *sending; /* with something to send */
    struct leg_sockets *closed;   /* of legs that are gone, until nobody can look at them */
    struct receive_ring *ring;
    struct address_table *addresses;
    struct ice_server *ice;
    const struct qos *qos;       /* RO; NULL = none */
    uint32_t judged_mark;        /* of what the kernel has judged, 0 = it judges nothing */
    GHashTable *by_tag;          /* legs that check by themselves */
    struct worker_leg *checking; /* those of them with checks to make */
    GHashTable *by_ssrc; /* announced or received → leg; only to name whose address is not valid */
    struct packet_pool *pool;
    struct worker_links links; /* to and from other workers */

    struct worker_leg *slots[WORKER_REPORT_SLOTS];
    unsigned slot_now, slot_next, n_legs;
    struct worker_leg *visiting; /* the next one of the slot that is due; NULL = none is */
    int64_t tick_at;
    struct stream *queued;        /* with packets of this batch */
    struct stream *wanting;       /* a key frame */
    struct source *feedback;      /* with holes, */
    int64_t feedback_due;         /* and when there is something to ask for */
    struct encodings *encodings;  /* of all its videos with simulcast, mirrors too */
    struct leg_bandwidth *pacing; /* legs with something to send later (leg-pacing.c), */
    int64_t pacing_due;           /* the first of it */
    struct worker_leg *telling;   /* of arrivals (leg-arrivals.h), */
    int64_t telling_due;          /* the first of them */
    unsigned n_arrivals;          /* legs that are told of theirs */
    bool wanting_new;             /* one of them since the last look */
    bool feedback_new;            /* one of them in this batch */
    unsigned until_sample;        /* batches until the next one whose transit is measured */
    int64_t now;
    int64_t stamps_to_now; /* µs from the clock of the kernel's stamps to that of `now` */
};

/* Sockets are opened by the caller into sockets[]; then started. Control thread. */
struct worker *worker_new(unsigned number, const struct worker_limits *limits,
                          worker_event_fn on_event, void *event_user);
bool worker_start(struct worker *worker, GError **error);
/* Joins the thread. Before any worker is freed, since they look at one another. */
void worker_stop(struct worker *worker);
/* Stops it if need be, closes the sockets. */
void worker_free(struct worker *worker);
/* What its thread has used, µs. Any thread, between worker_start() and worker_stop(). */
uint64_t worker_cpu(const struct worker *worker);
/* Takes the command. Any thread. */
void worker_post(struct worker *worker, struct command *command);

/* --- for the worker's own files ----------------------------------------------------------------
 */
static inline void counter_add(_Atomic uint64_t *counter, uint64_t amount)
{
    /* One writer: no locked instruction is needed. */
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + amount,
                          memory_order_relaxed);
}

/* What the relay itself has dropped is told for the process, too; slots count for their medium. */
static inline void count_verdict(struct worker *worker, enum qos_verdict verdict)
{
    if (verdict != QOS_PASS)
        counter_add(verdict == QOS_GATED ? &worker->counters.gate_discarded
                                         : &worker->counters.policing_discarded,
                    1);
}

/* Where what this socket sends is written to; sent by the next worker_flush(). */
static inline struct send_batch *worker_batch(struct worker *worker, struct media_socket *socket)
{
    if (!socket->sending) {
        socket->sending = true;
        socket->next_sending = worker->sending;
        worker->sending = socket;
    }
    return socket->batch;
}

/* Begins to serve the leg's own sockets, and ends it. */
void worker_open_sockets(struct worker *worker, struct worker_leg *leg);
void worker_close_sockets(struct worker *worker, struct worker_leg *leg);

void worker_raise(struct worker_leg *leg, enum event_kind kind);
void worker_raise_media(struct worker_leg *leg, enum event_kind kind, const char *mid,
                        enum qos_direction direction, uint64_t packets);
void worker_raise_activity(struct worker_leg *leg, const char *mid,
                           const struct relay_activity *report);
void worker_post_event(struct worker *worker, struct event *event);
/* Routes and sends what the batch brought. */
void worker_after_batch(struct worker *worker);
void worker_flush(struct worker *worker);
/* What is due at worker->now: one slot of legs and what waits for time. */
void worker_tick(struct worker *worker);
void worker_run_commands(struct worker *worker);
void worker_run_command(struct worker *worker, struct command *command); /* worker-commands.c */

struct receive_ring *receive_ring_new(void); /* receive.c */
void receive_ring_free(struct receive_ring *ring);
/* One recvmmsg() and all that follows from it. Returns whether there may be more. */
bool worker_receive(struct worker *worker, struct media_socket *socket);

/* Who announced or used an SSRC. */
void worker_note_ssrc(struct worker *worker, uint32_t ssrc, struct worker_leg *leg);
void worker_forget_ssrc(struct worker *worker, uint32_t ssrc, const struct worker_leg *leg);

void router_queue(struct worker *worker, struct stream *stream, struct packet *packet);
/* Forwards what the batch brought (router.c). */
void router_run(struct worker *worker);
