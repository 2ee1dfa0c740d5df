/* SPDX-License-Identifier: Apache-2.0 */
/* Owns what happens on a listener: accepting, the limits per source address and in total, the check
 * of the WebSocket handshake and the birth of server-side links. Sockets are accepted here and
 * handed to libwebsockets, so a flood is turned away before TLS or a header costs anything. */
#define LOG_CATEGORY "link"
#include "wsf-link/ws-server.h"

#include "base/log.h"
#include "wsf-link/ws-address.h"

#include <errno.h>
#include <glib-unix.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#define ACCEPTS_PER_ROUND 32
#define HTTP_RESERVE 64 /* connections above the limit that still get a 503 instead of a reset */

/* --- connections and streams --------------------------------------------------------------------
 */

static void on_deadline(void *data)
{
    struct ws_stream *stream = data;
    struct log_ids ids = {.link = stream->connection->peer};
    log_debug(&ids, "no whole request in time, closed");
    ws_wire_drop(stream->wire.wsi);
}

static bool admit_request(struct ws_wire *wire, gint64 now, guint *ret_wait_ms)
{
    struct ws_connection *connection = ((struct ws_stream *)wire)->connection;
    struct link_listener *listener = connection->listener;
    guint rate = listener->request_rate_per_address, total = listener->request_rate_total;
    if (!rate_take(&connection->address->requests, rate, 2 * rate, now)) {
        *ret_wait_ms = rate_wait_ms(&connection->address->requests, rate, 2 * rate, now);
        return false;
    }
    if (!rate_take(&listener->requests, total, total, now)) {
        *ret_wait_ms = rate_wait_ms(&listener->requests, total, total, now);
        return false;
    }
    return true;
}

static void stream_init(struct ws_stream *stream, struct ws_connection *connection)
{
    stream->connection = connection;
    stream->wire.admit = admit_request;
    stream->deadline = loop_timer_new("handshake deadline", on_deadline, stream);
    loop_timer_start(stream->deadline, connection->listener->handshake_ms);
    g_hash_table_add(connection->listener->streams, stream);
}

static struct ws_connection *connection_new(struct ws_part *part, struct rate_address *address,
                                            const char *peer)
{
    struct ws_connection *connection = g_new0(struct ws_connection, 1);
    struct link_listener *listener = connection->listener = part->listener;
    connection->part = part;
    part->loop->connections++;
    connection->address = address;
    g_strlcpy(connection->peer, peer, sizeof connection->peer);
    address->connections++;
    listener->connections++;
    stream_init(&connection->own, connection);
    return connection;
}

static bool is_own(const struct ws_stream *stream)
{
    return stream == &stream->connection->own;
}

/* A stream that HTTP/2 has opened. Its connection has no deadline while it has streams: each has
 * its own. */
static struct ws_stream *stream_new(struct ws_connection *connection, struct lws *wsi)
{
    struct ws_stream *stream = g_new0(struct ws_stream, 1);
    stream_init(stream, connection);
    stream->wire.wsi = wsi;
    lws_set_opaque_user_data(wsi, stream);
    connection->streams++;
    loop_timer_stop(connection->own.deadline);
    return stream;
}

/* Every link counts as a connection of its address; one per connection is counted already. */
static guint surplus(const struct ws_connection *connection)
{
    return connection->links > 1 ? connection->links - 1 : 0;
}

static void count_link(struct ws_stream *stream, int delta)
{
    struct ws_connection *connection = stream->connection;
    connection->address->connections -= surplus(connection);
    connection->links += (guint)delta;
    connection->listener->links += (guint)delta;
    connection->address->connections += surplus(connection);
}

static void stream_free(gpointer data)
{
    struct ws_stream *stream = data;
    struct ws_connection *connection = stream->connection;
    if (stream->upgraded)
        count_link(stream, -1);
    ws_http_finish(&stream->http);
    loop_timer_free(stream->deadline);
    if (is_own(stream)) { /* libwebsockets ends the streams before their network */
        connection->address->connections--;
        connection->listener->connections--;
        connection->part->loop->connections--;
    } else if (!--connection->streams) {
        loop_timer_start(connection->own.deadline, connection->listener->handshake_ms);
    }
    g_free(stream);
}

GHashTable *ws_server_streams_new(void)
{
    return g_hash_table_new_full(NULL, NULL, stream_free, NULL);
}

/* --- accepting ----------------------------------------------------------------------------------
 */

/* Why a new connection is turned away, or NULL. */
static const char *refusal(struct link_listener *listener, struct rate_address *address, gint64 now)
{
    guint rate = listener->connect_rate_per_address;
    if (listener->connections >= listener->connections_max + HTTP_RESERVE)
        return "too many connections";
    if (address->connections >= listener->connections_per_address)
        return "too many connections from this address";
    if (!rate_take(&address->connects, rate, 2 * rate, now))
        return "connecting too fast";
    return NULL;
}

static void count_refused(void)
{
    static struct metric *metric;
    if (!metric)
        metric = metric_register(METRIC_COUNTER, "link_refused", NULL,
                                 "Connections that were turned away by a limit.", NULL);
    metric_add(metric, 1, NULL);
}

static void hand_over(struct ws_connection *connection, int fd)
{
    struct link_listener *listener = connection->listener;
    lws_adopt_desc_t adoption = {
        .vh = connection->part->vhost,
        .type = LWS_ADOPT_SOCKET | LWS_ADOPT_HTTP | LWS_ADOPT_ALLOW_SSL,
        .fd = {.sockfd = fd},
        .opaque = &connection->own,
    };
    ws_loop_touch(connection->part->loop);
    /* On failure libwebsockets closes the socket; whether it told us depends on how far it came. */
    struct lws *wsi = lws_adopt_descriptor_vhost_via_info(&adoption);
    if (!wsi)
        g_hash_table_remove(listener->streams, &connection->own);
    else if (g_hash_table_contains(listener->streams, &connection->own))
        connection->own.wire.wsi = wsi;
}

static void take(struct link_listener *listener, int fd, const struct sockaddr_storage *from)
{
    char peer[INET6_ADDRSTRLEN];
    ws_address_text(from, peer, sizeof peer);
    gint64 now = g_get_monotonic_time();
    struct rate_address *address = rate_table_find(listener->addresses, peer, now);
    const char *why = refusal(listener, address, now);
    struct ws_part *part = why ? NULL : ws_listener_part(listener);
    if (!part) {
        struct log_ids ids = {.link = peer};
        log_debug(&ids, "connection refused: %s", why ? why : "libwebsockets takes no more");
        count_refused();
        close(fd);
        return;
    }
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    hand_over(connection_new(part, address, peer), fd);
}

static gboolean on_listen_ready(gint fd, GIOCondition condition, gpointer data)
{
    struct link_listener *listener = data;
    loop_mark("accept");
    for (guint i = 0; i < ACCEPTS_PER_ROUND; i++) {
        struct sockaddr_storage from = {0};
        socklen_t length = sizeof from;
        int peer = accept4(fd, (struct sockaddr *)&from, &length, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (peer >= 0) {
            take(listener, peer, &from);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            /* The backlog stays readable; without a pause we would spin on it. */
            listener->accept_source = 0;
            loop_timer_start(listener->accept_again, 200);
            return G_SOURCE_REMOVE;
        }
        if (errno != EINTR && errno != ECONNABORTED)
            break;
    }
    return G_SOURCE_CONTINUE;
}

void ws_listener_accept(void *data)
{
    struct link_listener *listener = data;
    if (listener->fd >= 0 && !listener->accept_source)
        listener->accept_source = g_unix_fd_add(listener->fd, G_IO_IN, on_listen_ready, listener);
}

/* --- handshake
 * ------------------------------------------------------------------------------------ */

static bool copy_header(struct lws *wsi, enum lws_token_indexes token, char *text, int size)
{
    text[0] = 0;
    return lws_hdr_total_length(wsi, token) > 0 && lws_hdr_copy(wsi, text, size, token) > 0;
}

static const struct link_endpoint *find_endpoint(const struct link_listener *listener,
                                                 struct lws *wsi)
{
    char path[256];
    if (!copy_header(wsi, WSI_TOKEN_GET_URI, path, sizeof path) &&
        !copy_header(wsi, WSI_TOKEN_HTTP_COLON_PATH, path, sizeof path))
        return NULL;
    for (size_t i = 0; i < listener->n_endpoints; i++)
        if (!strcmp(listener->endpoints[i].path, path))
            return &listener->endpoints[i];
    return NULL;
}

static bool origin_allowed(const struct link_listener *listener, struct lws *wsi)
{
    char origin[256];
    if (!listener->origins || !lws_hdr_total_length(wsi, WSI_TOKEN_ORIGIN))
        return true; /* no browser: there is nothing that Origin would protect */
    return copy_header(wsi, WSI_TOKEN_ORIGIN, origin, sizeof origin) &&
           g_strv_contains((const char *const *)listener->origins, origin);
}

static bool listener_knows(const struct link_listener *listener, const char *subprotocol)
{
    for (size_t i = 0; i < listener->n_endpoints; i++)
        if (!strcmp(listener->endpoints[i].protocol->subprotocol, subprotocol))
            return true;
    return false;
}

/* A1: chosen when offered; only others offered: 400; none offered: accepted. libwebsockets chooses
 * the first name that any endpoint of the listener has, so that one must be the path's. */
static bool subprotocol_offered(const struct link_listener *listener, struct lws *wsi,
                                const char *subprotocol)
{
    char offered[128]; /* libwebsockets reads no more either */
    if (lws_hdr_total_length(wsi, WSI_TOKEN_PROTOCOL) <= 0)
        return true;
    if (!copy_header(wsi, WSI_TOKEN_PROTOCOL, offered, sizeof offered))
        return false;
    g_auto(GStrv) names = g_strsplit(offered, ",", -1);
    for (guint i = 0; names[i]; i++)
        if (listener_knows(listener, g_strstrip(names[i])))
            return !strcmp(names[i], subprotocol);
    return false;
}

/* Over HTTP/2 links of one connection beyond the first are what connections are over HTTP/1.1. */
static bool may_have_another(struct ws_connection *connection, gint64 now)
{
    const struct link_listener *listener = connection->listener;
    guint rate = listener->connect_rate_per_address;
    return !connection->links ||
           (connection->address->connections < listener->connections_per_address &&
            rate_take(&connection->address->connects, rate, 2 * rate, now));
}

/* The HTTP status that refuses the upgrade, or 0. */
static guint upgrade_refusal(struct ws_stream *stream, struct lws *wsi)
{
    struct link_listener *listener = stream->connection->listener;
    const struct link_endpoint *endpoint = find_endpoint(listener, wsi);
    char version[8];
    if (!endpoint)
        return 404;
    /* RFC 6455 4.2.2; over HTTP/2 the header is not sent (RFC 8441 5). */
    if (lws_hdr_total_length(wsi, WSI_TOKEN_VERSION) > 0 &&
        (!copy_header(wsi, WSI_TOKEN_VERSION, version, sizeof version) || strcmp(version, "13")))
        return 426;
    if (!origin_allowed(listener, wsi))
        return 403;
    if (!subprotocol_offered(listener, wsi, endpoint->protocol->subprotocol))
        return 400;
    if (listener->fd < 0 || listener->links >= listener->connections_max)
        return 503;
    if (!may_have_another(stream->connection, g_get_monotonic_time()))
        return 429;
    stream->endpoint = endpoint;
    return 0;
}

/* 0: the upgrade goes on; the callback's result otherwise. */
static int check_upgrade(struct ws_stream *stream, struct lws *wsi, const char *to)
{
    guint status = strcasecmp(to, "websocket") ? 400 : upgrade_refusal(stream, wsi);
    if (!status)
        return 0;
    struct log_ids ids = {.link = stream->connection->peer};
    log_debug(&ids, "handshake refused with %u", status);
    count_refused();
    return ws_http_refuse(wsi, status) ? -1 : 1;
}

static int open_link(struct ws_stream *stream, struct lws *wsi)
{
    struct ws_connection *connection = stream->connection;
    struct link_listener *listener = connection->listener;
    const struct link_endpoint *endpoint = stream->endpoint;
    if (!endpoint)
        return -1;
    loop_timer_stop(stream->deadline);
    stream->upgraded = true;
    count_link(stream, 1);
    struct link_setup setup = {
        .number = listener->service->next_number++,
        .role = LINK_SERVER,
        .protocol = endpoint->protocol,
        .limits = endpoint->limits,
        .ops = endpoint->ops,
        .user = endpoint->user,
        .peer_address = connection->peer,
        .path = endpoint->path,
        .transport = is_own(stream) ? LINK_HTTP1 : LINK_HTTP2,
        .tls_version = ws_tls_version(wsi),
        .certificate_names = ws_tls_peer_names(wsi),
        .wire_ops = &ws_wire_ops,
        .wire = &stream->wire,
        .trace = listener->service->trace,
    };
    stream->wire.wsi = wsi;
    stream->wire.link = link_new(&setup);
    link_wire_opened(stream->wire.link);
    return 0;
}

/* --- events -------------------------------------------------------------------------------------
 */

/* NULL: not for us. Some events come for the context or the virtual host; a stream of HTTP/2 makes
 * itself known by its first request. */
static struct ws_stream *find_stream(struct lws *wsi, enum lws_callback_reasons reason)
{
    const struct ws_part *part = ws_loop_of(wsi)->owner;
    struct ws_stream *stream = lws_get_opaque_user_data(wsi);
    if (stream)
        return g_hash_table_contains(part->listener->streams, stream) ? stream : NULL;
    if (reason != LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION &&
        reason != LWS_CALLBACK_FILTER_HTTP_CONNECTION)
        return NULL;
    struct lws *network = lws_get_network_wsi(wsi);
    stream = lws_get_opaque_user_data(network);
    return stream && network != wsi ? stream_new(stream->connection, wsi) : NULL;
}

int ws_server_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t length)
{
    if (reason == LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS) {
        ws_part_set_up_tls(ws_loop_of(wsi)->owner, user);
        return 0;
    }
    /* Without this answer libwebsockets takes every client certificate, whatever OpenSSL found. */
    if (reason == LWS_CALLBACK_OPENSSL_PERFORM_CLIENT_CERT_VERIFICATION)
        return length ? 0 : -1; /* the result of the verification so far */
    struct ws_stream *stream = find_stream(wsi, reason);
    int result;
    if (!stream)
        return 0;
    loop_mark("websocket server");
    if (ws_wire_event(&stream->wire, reason, in, length, &result))
        return result;
    switch ((int)reason) {
    case LWS_CALLBACK_SERVER_NEW_CLIENT_INSTANTIATED:
        stream->wire.wsi = wsi;
        return 0;
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE: /* over HTTP/1.1 only */
        return check_upgrade(stream, wsi, in);
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
        if (is_own(stream))
            return 0;
        ws_wire_begin_h2(&stream->wire, wsi);
        return check_upgrade(stream, wsi, "websocket"); /* RFC 8441 4 */
    case LWS_CALLBACK_ESTABLISHED:
        return open_link(stream, wsi);
    case LWS_CALLBACK_WSI_DESTROY:
        link_wire_lost(g_steal_pointer(&stream->wire.link));
        ws_loop_touch(ws_loop_of(wsi));
        g_hash_table_remove(stream->connection->listener->streams, stream);
        return 0;
    default:
        return ws_http_event(stream, wsi, reason, in, length);
    }
}
