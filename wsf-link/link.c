/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the link object: its birth, its states, its one timer and its death. The link knows nothing
 * of sockets; a wire moves its octets and it asks the wire for four things only. All deadlines
 * (auth, keep-alive, messages, calls, closing) are numbers, and one timer wakes at the nearest:
 * simple, at the price of looking at all of them each time, which is rare. */
#define LOG_CATEGORY "link"
#include "wsf-link/link-core.h"

#include "base/log.h"

#define CLOSE_TIME (3 * G_USEC_PER_SEC) /* for the queue and the closing handshake */
#define PROBLEM_TIME G_USEC_PER_SEC     /* … of a peer that broke a rule */

const struct link_limits link_limits_client = {
    .message_max = 256 * 1024,
    .message_max_unauth = 16 * 1024,
    .auth_timeout_ms = 10 * 1000,
    .auth_failures_max = 3,
    .keepalive_ms = 20 * 1000,
    .response_timeout_ms = 8 * 1000,
    .rate = 50,
    .burst = 100,
    .rate_unauth = 5,
    .calls_max = 64,
    .transactions_max = 64,
    .send_queue_max = 1024 * 1024,
};

const struct link_limits link_limits_trusted = {
    .message_max = 256 * 1024,
    .message_max_unauth = 16 * 1024,
    .auth_timeout_ms = 10 * 1000,
    .auth_failures_max = 3,
    .keepalive_ms = 20 * 1000,
    .response_timeout_ms = 8 * 1000,
    .rate = 5000,
    .burst = 10000,
    .rate_unauth = 5,
    .slow_instead_of_refuse = true,
    .calls_max = 4096,
    .transactions_max = 4096,
    .send_queue_max = 16 * 1024 * 1024,
};

/* --- states --------------------------------------------------------------------------------- */

static const char *const state_names[] = {"opening", "open", "closing", "closed out", "gone"};
static const guint8 state_next[] = {
    [LINK_OPENING] = 1 << LINK_OPEN | 1 << LINK_CLOSING | 1 << LINK_CLOSED_OUT | 1 << LINK_GONE,
    [LINK_OPEN] = 1 << LINK_CLOSING | 1 << LINK_CLOSED_OUT | 1 << LINK_GONE,
    [LINK_CLOSING] = 1 << LINK_CLOSED_OUT | 1 << LINK_GONE,
    [LINK_CLOSED_OUT] = 1 << LINK_GONE,
    [LINK_GONE] = 0,
};

const char *link_state_name(enum link_state state)
{
    return state_names[state];
}

void link_set_state(struct link *link, enum link_state state, const char *why)
{
    g_assert(state_next[link->state] & (1 << state));
    struct log_ids ids = {.link = link->name};
    log_debug(&ids, "%s -> %s (%s)", link_state_name(link->state), link_state_name(state), why);
    link->state = state;
}

/* --- timer ---------------------------------------------------------------------------------- */

void link_schedule(struct link *link)
{
    loop_timer_start(link->timer, 0);
}

static gint64 keepalive_us(const struct link *link)
{
    return (gint64)link->limits.keepalive_ms * 1000;
}

static void tick_keepalive(struct link *link, gint64 now, gint64 *next)
{
    if (!link->limits.keepalive_ms || link->state != LINK_OPEN)
        return;
    gint64 silent_at = link->heard_at + 2 * keepalive_us(link);
    if (link->message_deadline)
        silent_at = MIN(silent_at, link->message_deadline);
    if (now >= silent_at && !link->paused) {
        link_problem_close(link, LINK_CLOSE_KEEPALIVE, "nothing heard for two intervals");
        return;
    }
    if (now >= link->ping_at) {
        link->ping_at = now + keepalive_us(link);
        link->ping_due = true;
        link->wire_ops->write_soon(link->wire);
    }
    *next = MIN(*next, MIN(link->paused ? G_MAXINT64 : silent_at, link->ping_at));
}

static void tick_auth(struct link *link, gint64 now, gint64 *next)
{
    if (!link->auth_deadline || link->state != LINK_OPEN)
        return;
    if (now >= link->auth_deadline) {
        link->auth_deadline = 0;
        link_close(link, LINK_CLOSE_NOT_AUTHENTICATED, "not authenticated in time");
        return;
    }
    *next = MIN(*next, link->auth_deadline);
}

/* True when the link is gone. */
static bool tick_close(struct link *link, gint64 now, gint64 *next)
{
    if (!link->close_deadline)
        return false;
    if (now >= link->close_deadline) {
        link->wire_ops->kill(link->wire);
        link_wire_lost(link);
        return true;
    }
    *next = MIN(*next, link->close_deadline);
    return false;
}

static void on_timer(void *data)
{
    struct link *link = data;
    gint64 now = g_get_monotonic_time(), next = G_MAXINT64;
    link_calls_tick(link, now, &next);
    link_receive_tick(link, now, &next);
    tick_auth(link, now, &next);
    tick_keepalive(link, now, &next);
    if (tick_close(link, now, &next) || next == G_MAXINT64)
        return;
    loop_timer_start(link->timer, (guint)CLAMP((next - now + 999) / 1000, 0, G_MAXINT));
}

/* --- life ----------------------------------------------------------------------------------- */

struct link *link_new(const struct link_setup *setup)
{
    struct link *link = g_new0(struct link, 1);
    link->number = setup->number;
    link->name = g_strdup_printf("%" G_GUINT64_FORMAT, setup->number);
    link->role = setup->role;
    link->protocol = setup->protocol;
    link->limits = *setup->limits;
    if (setup->role == LINK_CLIENT)
        link->limits.auth_timeout_ms = 0; /* servers do not authenticate to us by `auth` */
    link->ops = setup->ops;
    link->user = setup->user;
    link->peer_address = g_strdup(setup->peer_address);
    link->path = g_strdup(setup->path);
    link->transport = setup->transport;
    link->tls_version = setup->tls_version;
    link->certificate_names = setup->certificate_names;
    link->wire_ops = setup->wire_ops;
    link->wire = setup->wire;
    link->trace = setup->trace;
    link->gone = setup->gone;
    link->owner = setup->owner;
    link->timer = loop_timer_new("link", on_timer, link);
    link->partial = g_byte_array_new();
    g_queue_init(&link->queue);
    g_queue_init(&link->transactions);
    link_calls_init(link);
    /* A2: the WebSocket client side counts 0, 2, 4 …, the server side 1, 3, 5 … */
    bool client = setup->role == LINK_CLIENT;
    link->next_id = client ? 0 : 1;
    transaction_peer_init(&link->peer, client ? 1 : 0);
    return link;
}

static void link_free(struct link *link)
{
    loop_timer_free(link->timer);
    link_queue_clear(link);
    transaction_peer_finish(&link->peer);
    g_hash_table_destroy(link->calls);
    g_byte_array_unref(link->partial);
    g_strfreev(link->certificate_names);
    g_free(link->close_reason);
    g_free(link->peer_address);
    g_free(link->path);
    g_free(link->name);
    g_free(link);
}

void link_wire_opened(struct link *link)
{
    gint64 now = g_get_monotonic_time();
    link_set_state(link, LINK_OPEN, "handshake done");
    link->heard_at = now;
    link->ping_at = now + keepalive_us(link);
    if (link->limits.auth_timeout_ms)
        link->auth_deadline = now + (gint64)link->limits.auth_timeout_ms * 1000;
    link_count_open(link->role, 1);
    link_count_opened(link);
    link->told_opened = true;
    link_schedule(link);
    if (link->ops && link->ops->opened)
        link->ops->opened(link, link->user);
}

void link_wire_heard(struct link *link)
{
    link->heard_at = g_get_monotonic_time();
}

void link_wire_peer_closed(struct link *link, int code, const char *reason)
{
    if (link->state >= LINK_CLOSED_OUT)
        return;
    if (!link->close_code) {
        link->close_code = code;
        link->close_reason = g_strdup(reason);
    }
    link_queue_clear(link);
    link_set_state(link, LINK_CLOSED_OUT, "the peer closes");
}

void link_wire_lost(struct link *link)
{
    if (!link)
        return;
    link_set_state(link, LINK_GONE, link->close_reason ? link->close_reason : "connection lost");
    int code = link->close_code ? link->close_code : LINK_CLOSE_ABNORMAL;
    link_calls_finish(link, true);
    if (link->told_opened) {
        link_count_open(link->role, -1);
        link_count_closed(link->role, code);
        if (link->ops && link->ops->closed)
            link->ops->closed(link, code, link->close_reason ? link->close_reason : "", link->user);
    }
    link_receive_finish(link);
    link_calls_finish(link, false); /* what `closed` may have asked */
    if (link->gone)
        link->gone(link->owner, code);
    link_free(link);
}

static void close_with(struct link *link, enum link_close code, const char *reason, gint64 time)
{
    link->close_code = (int)code;
    link->close_reason = g_strdup(reason);
    link->close_deadline = g_get_monotonic_time() + time;
    link_set_state(link, LINK_CLOSING, reason ? reason : "closed by us");
    link->wire_ops->write_soon(link->wire);
    link_schedule(link);
}

void link_close(struct link *link, enum link_close code, const char *reason)
{
    g_return_if_fail(link);
    if (link->state < LINK_CLOSING)
        close_with(link, code, reason, CLOSE_TIME);
}

/* Closes at once: what is queued is thrown away. */
void link_problem_close(struct link *link, enum link_close code, const char *reason)
{
    if (link->state >= LINK_CLOSING)
        return;
    link_queue_clear(link);
    close_with(link, code, reason, PROBLEM_TIME);
}

void link_abandon(struct link *link, enum link_close code)
{
    link->ops = NULL;
    link->gone = NULL;
    link_calls_finish(link, false);
    link_receive_finish(link);
    link_close(link, code, NULL);
}

void link_trace(const struct link *link, bool received, const char *text, gsize length)
{
    const struct trace_link about = {.name = link->name,
                                     .peer = link->peer_address,
                                     .path = link->path,
                                     .transport = link_transport_name(link->transport),
                                     .tls = link->tls_version};
    trace_message(link->trace, &about, received, text, length);
}

/* --- the program's face ------------------------------------------------------------------------
 */

const char *link_name(const struct link *link)
{
    return link->name;
}

guint64 link_number(const struct link *link)
{
    return link->number;
}

enum link_role link_role(const struct link *link)
{
    return link->role;
}

const char *link_peer_address(const struct link *link)
{
    return link->peer_address;
}

enum link_transport link_transport(const struct link *link)
{
    return link->transport;
}

const char *link_transport_name(enum link_transport transport)
{
    return transport == LINK_HTTP2 ? "h2" : "http/1.1";
}

const char *link_tls_version(const struct link *link)
{
    return link->tls_version;
}

char *link_describe_transport(const struct link *link)
{
    return g_strdup_printf("%s %s", link_transport_name(link->transport),
                           link->tls_version ? link->tls_version : "without TLS");
}

const char *const *link_peer_certificate_names(const struct link *link)
{
    return (const char *const *)link->certificate_names;
}

void link_set_data(struct link *link, void *data)
{
    link->data = data;
}

void *link_data(const struct link *link)
{
    return link->data;
}

void link_set_authenticated(struct link *link, const char *identity)
{
    if (!link->authenticated)
        link->requests = link->abuse = link->octets = (struct rate_bucket){0};
    link->authenticated = true;
    link->auth_deadline = 0;
    link->auth_failures = 0;
    g_free(link->name);
    link->name = identity ? g_strdup_printf("%" G_GUINT64_FORMAT "/%.300s", link->number, identity)
                          : g_strdup_printf("%" G_GUINT64_FORMAT, link->number);
}

bool link_is_authenticated(const struct link *link)
{
    return link->authenticated;
}

void link_auth_failed(struct link *link)
{
    link->auth_failures++;
    if (link->authenticated || !link->limits.auth_failures_max ||
        link->auth_failures < link->limits.auth_failures_max)
        return;
    link->auth_doomed = true;
    link_check_doomed(link);
}

void link_set_limits(struct link *link, const struct link_limits *limits)
{
    link->limits = *limits;
    link->requests = link->abuse = link->octets = (struct rate_bucket){0};
    link_set_keepalive(link, limits->keepalive_ms);
}

void link_set_keepalive(struct link *link, guint ms)
{
    gint64 now = g_get_monotonic_time();
    link->limits.keepalive_ms = ms;
    link->heard_at = now;
    link->ping_at = now + keepalive_us(link);
    link_schedule(link);
}
