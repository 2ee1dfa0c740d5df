/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Inside of wsf-link: the link object and the face between it and a connection (a "wire").
 *
 * link.c           birth, states, timers, death            link-receive.c  pieces → messages →
 * requests link-calls.c     our requests                            link-send.c     the queue
 * towards the wire
 *
 * The wire calls link_wire_*() from the loop; the link calls the functions of link_wire_ops, which
 * never call back before they return. Threads: control. */
#include "base/loop.h"
#include "wsf-link/link.h"
#include "wsf-link/rate-limit.h"
#include "wsf-link/trace.h"
#include "wsf-link/transaction.h"

struct link_wire_ops {
    void (*write_soon)(void *wire);    /* come for link_wire_next() when the socket takes data */
    void (*read)(void *wire, bool on); /* stop or resume reading */
    void (*kill)(void *wire);          /* drop the connection; the link is gone for the wire */
    /* A request of the peer counts for its address and in total; false and the wait when too many.
     */
    bool (*admit)(void *wire, gint64 now, guint *ret_wait_ms);
};

enum link_state {
    LINK_OPENING,    /* made, not yet told */
    LINK_OPEN,       /* messages flow */
    LINK_CLOSING,    /* link_close(): the queue drains, then the close frame */
    LINK_CLOSED_OUT, /* close frame handed to the wire, or the peer's received */
    LINK_GONE,       /* the wire is away */
};
const char *link_state_name(enum link_state state);

struct link_setup {
    guint64 number;
    enum link_role role;
    const struct link_protocol *protocol;
    const struct link_limits *limits; /* copied */
    const struct link_ops *ops;
    void *user;
    const char *peer_address, *path;
    enum link_transport transport;
    const char *tls_version;  /* static, NULL without TLS */
    char **certificate_names; /* transfer full, may be NULL */
    const struct link_wire_ops *wire_ops;
    void *wire;
    struct trace *trace; /* borrowed, may be NULL */
    /* Told when the link is gone, after ops->closed; may be NULL. */
    void (*gone)(void *owner, int code);
    void *owner;
};

struct link {
    guint64 number;
    char *name;
    enum link_role role;
    enum link_state state;
    const struct link_protocol *protocol;
    struct link_limits limits;
    const struct link_ops *ops; /* NULL once abandoned */
    void *user, *data;
    char *peer_address, *path;
    enum link_transport transport;
    const char *tls_version;
    char **certificate_names;
    const struct link_wire_ops *wire_ops;
    void *wire;
    struct trace *trace;
    void (*gone)(void *owner, int code);
    void *owner;
    struct loop_timer *timer;
    bool told_opened;

    /* gate and keep-alive; all times in µs, 0 = not running */
    bool authenticated;
    guint auth_failures;
    bool auth_doomed; /* failed too often: closes when no auth is in progress */
    gint64 auth_deadline, heard_at, ping_at, message_deadline, close_deadline;
    bool ping_due;

    /* receiving */
    GByteArray *partial; /* pieces of the message that is arriving */
    bool skip;           /* the rest of a refused message */
    bool paused;
    struct rate_bucket requests, abuse, octets;
    struct transaction_peer peer;
    GQueue transactions;      /* struct link_transaction of ops->request, not yet answered */
    gsize transaction_octets; /* of their messages */

    /* sending */
    GQueue queue; /* GBytes, whole messages */
    gsize queue_octets, sent_octets /* of the head */;
    int close_code;
    char *close_reason;

    /* our requests */
    guint64 next_id;
    GHashTable *calls; /* id → struct link_call */
    GQueue refused;    /* struct link_call that never left, answered from the timer */
};

/* --- for the wire -------------------------------------------------------------------------- */

struct link *link_new(const struct link_setup *setup);
/* Tells ops->opened. */
void link_wire_opened(struct link *link);
/* A piece of a message. */
void link_wire_received(struct link *link, const void *data, gsize length, bool first, bool last,
                        bool binary);
/* A pong: the peer lives. */
void link_wire_heard(struct link *link);

enum link_out { LINK_OUT_NOTHING, LINK_OUT_PIECE, LINK_OUT_PING, LINK_OUT_CLOSE };
struct link_piece {
    const guint8 *data;
    gsize length;
    bool first, last;
};
/* What goes out next, at most `max` octets of it (0: nothing of a message now); PIECE and PING
 * count as sent then. */
enum link_out link_wire_next(struct link *link, gsize max, struct link_piece *ret_piece);
bool link_wire_wants_write(const struct link *link);
/* The peer's close frame. */
void link_wire_peer_closed(struct link *link, int code, const char *reason);
/* The connection is away: answers every call, tells ops->closed, frees the link. NULL allowed. */
void link_wire_lost(struct link *link);
/* No more callbacks into the program; closes with `code`. */
void link_abandon(struct link *link, enum link_close code);

/* --- between the files of the link --------------------------------------------------------- */

void link_set_state(struct link *link, enum link_state state, const char *why);
/* Looks at every deadline soon (delay 0: in the next round of the loop). */
void link_schedule(struct link *link);
void link_send(struct link *link, GBytes *text);
/* A line of the message trace, where there is one. */
void link_trace(const struct link *link, bool received, const char *text, gsize length);
void link_queue_clear(struct link *link);
void link_receive_finish(struct link *link);
void link_receive_tick(struct link *link, gint64 now, gint64 *next);
void link_calls_init(struct link *link);
void link_calls_tick(struct link *link, gint64 now, gint64 *next);
/* Answers all with PEER_TIMEOUT (told: the callbacks are called). */
void link_calls_finish(struct link *link, bool told);
void link_calls_response(struct link *link, guint64 id, bool success, const json_t *message);
void link_check_doomed(struct link *link);
void link_problem_close(struct link *link, enum link_close code, const char *reason);

/* --- counting (link-metrics.c) --------------------------------------------------------------- */

void link_count_open(enum link_role role, int delta);
void link_count_opened(const struct link *link);
void link_count_closed(enum link_role role, int code);
void link_count_octets(bool received, gsize octets);
/* error NULL: success. `request_of_peer` false: a call of ours. */
void link_count_request(const struct link *link, bool request_of_peer, const char *method,
                        const GError *error);
bool link_method_known(const struct link_protocol *protocol, const char *method);
bool link_method_is_application(const char *method);
