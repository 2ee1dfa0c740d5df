/* SPDX-License-Identifier: Apache-2.0 */
/* Owns a listener: accepting, the limits per source address and in total, the check of the
 * WebSocket handshake and the birth of server-side links. Sockets are accepted here and handed to
 * libwebsockets, so a flood is turned away before TLS or a header costs anything. A listener that
 * is closed keeps its libwebsockets context until the service ends: its links live there. */
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

#define HANDSHAKE_MS 10000
#define ADDRESSES_MAX 4096
#define ACCEPTS_PER_ROUND 32
#define HTTP_RESERVE 64 /* connections above the limit that still get a 503 instead of a reset */

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t length);

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

static struct ws_connection *connection_new(struct link_listener *listener,
                                            struct rate_address *address, const char *peer)
{
    struct ws_connection *connection = g_new0(struct ws_connection, 1);
    connection->listener = listener;
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
    } else if (!--connection->streams) {
        loop_timer_start(connection->own.deadline, connection->listener->handshake_ms);
    }
    g_free(stream);
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

static void adopt(struct link_listener *listener, int fd, const struct sockaddr_storage *from)
{
    char peer[INET6_ADDRSTRLEN];
    ws_address_text(from, peer, sizeof peer);
    gint64 now = g_get_monotonic_time();
    struct rate_address *address = rate_table_find(listener->addresses, peer, now);
    const char *why = refusal(listener, address, now);
    if (why) {
        struct log_ids ids = {.link = peer};
        log_debug(&ids, "connection refused: %s", why);
        count_refused();
        close(fd);
        return;
    }
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct ws_connection *connection = connection_new(listener, address, peer);
    lws_adopt_desc_t adoption = {
        .vh = listener->vhost,
        .type = LWS_ADOPT_SOCKET | LWS_ADOPT_HTTP | LWS_ADOPT_ALLOW_SSL,
        .fd = {.sockfd = fd},
        .opaque = &connection->own,
    };
    /* On failure libwebsockets closes the socket; whether it told us depends on how far it came. */
    struct lws *wsi = lws_adopt_descriptor_vhost_via_info(&adoption);
    if (!wsi)
        g_hash_table_remove(listener->streams, &connection->own);
    else if (g_hash_table_contains(listener->streams, &connection->own))
        connection->own.wire.wsi = wsi;
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
            adopt(listener, peer, &from);
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

static void accept_again(void *data)
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
    const struct link_service *service = lws_context_user(lws_get_context(wsi));
    struct ws_stream *stream = lws_get_opaque_user_data(wsi);
    struct lws *network = stream ? wsi : lws_get_network_wsi(wsi);
    if (!stream && network != wsi)
        stream = lws_get_opaque_user_data(network);
    for (GList *at = service->listeners.head; stream && at; at = at->next) {
        struct link_listener *listener = at->data;
        if (!g_hash_table_contains(listener->streams, stream))
            continue;
        if (network == wsi)
            return stream;
        bool request = reason == LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION ||
                       reason == LWS_CALLBACK_FILTER_HTTP_CONNECTION;
        return request ? stream_new(stream->connection, wsi) : NULL;
    }
    return NULL;
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t length)
{
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
        g_hash_table_remove(stream->connection->listener->streams, stream);
        return 0;
    default:
        return ws_http_event(stream, wsi, reason, in, length);
    }
}

/* --- listeners ----------------------------------------------------------------------------------
 */

static struct lws_protocols *protocols_new(const struct link_listener_config *config)
{
    struct lws_protocols *list = g_new0(struct lws_protocols, config->n_endpoints + 2);
    guint n = 0;
    list[n++] = (struct lws_protocols){.name = "http", .callback = on_event};
    for (size_t i = 0; i < config->n_endpoints; i++) {
        const char *name = config->endpoints[i].protocol->subprotocol;
        bool known = false;
        for (guint j = 0; j < n; j++)
            known = known || !strcmp(list[j].name, name);
        if (!known)
            list[n++] = (struct lws_protocols){
                .name = g_strdup(name), .callback = on_event, .rx_buffer_size = 4096};
    }
    return list;
}

static void protocols_free(struct lws_protocols *list)
{
    for (guint i = 1; list && list[i].name; i++)
        g_free((char *)list[i].name);
    g_free(list);
}

static bool make_vhost(struct link_listener *listener, const struct link_listener_config *config,
                       GError **error)
{
    struct lws_context_creation_info info = {
        .vhost_name = "link",
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .protocols = listener->protocols,
        .keepalive_timeout = 10,
        .alpn = "h2,http/1.1",
        .http2_settings = {1, 65536, 0,
                           config->streams_per_connection ? config->streams_per_connection : 16, 0,
                           16384},
    };
    if (config->tls_certificate) {
        info.ssl_cert_filepath = config->tls_certificate;
        info.ssl_private_key_filepath = config->tls_key;
        info.ssl_options_set = ws_tls_options();
        info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
        /* Or the system's certificates would be loaded for connections that a server never makes.
         */
        info.provided_client_ssl_ctx = listener->unused = SSL_CTX_new(TLS_client_method());
    }
    if (config->tls_client_ca) {
        info.ssl_ca_filepath = config->tls_client_ca;
        info.options |= LWS_SERVER_OPTION_REQUIRE_VALID_OPENSSL_CLIENT_CERT |
                        LWS_SERVER_OPTION_PEER_CERT_NOT_REQUIRED;
    }
    listener->vhost = lws_create_vhost(listener->context, &info);
    if (!listener->vhost)
        problem_set(error, PROBLEM_INTERNAL_ERROR,
                    "cannot set up the listener; are %s and %s a PEM certificate and its key?",
                    config->tls_certificate ? config->tls_certificate : "(none)",
                    config->tls_key ? config->tls_key : "(none)");
    return listener->vhost != NULL;
}

static bool check_config(const struct link_listener_config *config, GError **error)
{
    if (!config->tls_certificate != !config->tls_key) {
        problem_set(error, PROBLEM_INVALID_MESSAGE,
                    "a listener needs both a TLS certificate and its key, or neither");
        return false;
    }
    const char *const files[] = {config->tls_certificate, config->tls_key, config->tls_client_ca};
    for (guint i = 0; i < G_N_ELEMENTS(files); i++) {
        if (files[i] && access(files[i], R_OK)) {
            problem_set(error, PROBLEM_INVALID_MESSAGE, "cannot read %s: %s", files[i],
                        g_strerror(errno));
            return false;
        }
    }
    return true;
}

struct link_listener *link_listen(struct link_service *service,
                                  const struct link_listener_config *config, GError **error)
{
    if (!check_config(config, error))
        return NULL;
    struct link_listener *listener = g_new0(struct link_listener, 1);
    listener->service = service;
    listener->fd = -1;
    g_queue_push_tail(&service->listeners, listener);
    listener->endpoints = config->endpoints;
    listener->n_endpoints = config->n_endpoints;
    listener->origins = g_strdupv((char **)config->origins);
    listener->http = config->http;
    listener->tls = config->tls_certificate != NULL;
    listener->connections_max = config->connections_max ? config->connections_max : G_MAXINT;
    listener->connections_per_address =
        config->connections_per_address ? config->connections_per_address : G_MAXINT;
    listener->connect_rate_per_address = config->connect_rate_per_address;
    listener->request_rate_per_address = config->request_rate_per_address;
    listener->request_rate_total = config->request_rate_total;
    listener->handshake_ms =
        config->handshake_timeout_ms ? config->handshake_timeout_ms : HANDSHAKE_MS;
    listener->streams = g_hash_table_new_full(NULL, NULL, stream_free, NULL);
    listener->addresses = rate_table_new(ADDRESSES_MAX);
    listener->protocols = protocols_new(config);
    listener->accept_again = loop_timer_new("accept again", accept_again, listener);
    listener->context = ws_context_new(service, error);
    if (!listener->context || !make_vhost(listener, config, error))
        goto fail;
    listener->fd =
        ws_address_listen(config->address, config->port, !listener->tls, &listener->port, error);
    if (listener->fd < 0)
        goto fail;
    accept_again(listener);
    return listener;
fail:
    ws_listener_destroy(listener);
    return NULL;
}

guint link_listener_port(const struct link_listener *listener)
{
    return listener->port;
}

void link_listener_close(struct link_listener *listener)
{
    if (!listener || listener->fd < 0)
        return;
    if (listener->accept_source)
        g_source_remove(listener->accept_source);
    listener->accept_source = 0;
    loop_timer_stop(listener->accept_again);
    close(listener->fd);
    listener->fd = -1;
    listener->endpoints = NULL;
    listener->n_endpoints = 0;
    listener->http = NULL;
}

void ws_listener_destroy(struct link_listener *listener)
{
    link_listener_close(listener);
    GHashTableIter iter;
    gpointer key;
    g_hash_table_iter_init(&iter, listener->streams);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        struct ws_stream *stream = key;
        if (stream->wire.link)
            link_abandon(stream->wire.link, LINK_CLOSE_DRAINING);
    }
    if (listener->context)
        lws_context_destroy(listener->context);
    SSL_CTX_free(listener->unused);
    g_hash_table_destroy(listener->streams);
    rate_table_free(listener->addresses);
    protocols_free(listener->protocols);
    g_strfreev(listener->origins);
    loop_timer_free(listener->accept_again);
    g_queue_remove(&listener->service->listeners, listener);
    g_free(listener);
}
