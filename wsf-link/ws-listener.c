/* SPDX-License-Identifier: Apache-2.0 */
/* Owns a listener: its configuration, its socket, its TLS material and its parts of HTTP/1.1. A
 * part is a context of libwebsockets with a few dozen sockets (see ws-loop.c); parts are made as
 * connections come and stay until the service ends, because taking a context down under a running
 * loop is not safe in libwebsockets 4.1. For the same reason a listener that is closed stays: its
 * links live there. */
#define LOG_CATEGORY "link"
#include "wsf-link/ws-server.h"

#include "base/log.h"
#include "wsf-link/h2-server.h"
#include "wsf-link/ws-address.h"

#include <string.h>
#include <unistd.h>

#define HANDSHAKE_MS 10000
#define ADDRESSES_MAX 4096
#define STREAMS 16
#define PART_CONNECTIONS 32
#define PART_SOCKETS (PART_CONNECTIONS + 8) /* those that are going down, and its own */

/* --- parts --------------------------------------------------------------------------------------
 */

void ws_part_set_up_tls(struct ws_part *part, SSL_CTX *context)
{
    part->tls = context;
    ws_tls_server_set_up(context, part->listener->tls);
}

static struct lws_vhost *make_vhost(struct ws_part *part, GError **error)
{
    const struct link_listener *listener = part->listener;
    struct lws_context_creation_info info = {
        .vhost_name = "link",
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .protocols = listener->protocols,
        .keepalive_timeout = 10,
        .alpn = "http/1.1", /* HTTP/2 does not come here */
    };
    if (listener->tls) {
        info.options |=
            LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT | LWS_SERVER_OPTION_CREATE_VHOST_SSL_CTX;
        /* Or the system's certificates would be loaded for connections that a server never makes.
         */
        info.provided_client_ssl_ctx = listener->unused;
    }
    if (listener->files.ca)
        info.options |= LWS_SERVER_OPTION_REQUIRE_VALID_OPENSSL_CLIENT_CERT |
                        LWS_SERVER_OPTION_PEER_CERT_NOT_REQUIRED;
    struct lws_vhost *vhost = lws_create_vhost(part->loop->context, &info);
    if (!vhost)
        problem_set(error, PROBLEM_INTERNAL_ERROR, "libwebsockets did not set up a listener");
    return vhost;
}

static void part_free(gpointer data)
{
    struct ws_part *part = data;
    ws_loop_free(part->loop);
    g_free(part);
}

static struct ws_part *part_new(struct link_listener *listener, GError **error)
{
    struct ws_part *part = g_new0(struct ws_part, 1);
    part->listener = listener;
    part->loop = ws_loop_new(listener->service, PART_SOCKETS, part, error);
    part->vhost = part->loop ? make_vhost(part, error) : NULL;
    if (part->vhost) {
        g_ptr_array_add(listener->parts, part);
        return part;
    }
    part_free(part);
    return NULL;
}

struct ws_part *ws_listener_part(struct link_listener *listener)
{
    for (guint i = 0; i < listener->parts->len; i++) {
        struct ws_part *part = listener->parts->pdata[i];
        if (part->loop->connections < PART_CONNECTIONS)
            return part;
    }
    g_autoptr(GError) error = NULL;
    struct ws_part *part = part_new(listener, &error);
    if (!part)
        log_debug(NULL, "%s", error->message);
    return part;
}

/* --- listeners ----------------------------------------------------------------------------------
 */

static struct lws_protocols *protocols_new(const struct link_listener_config *config)
{
    struct lws_protocols *list = g_new0(struct lws_protocols, config->n_endpoints + 2);
    guint n = 0;
    list[n++] = (struct lws_protocols){.name = "http", .callback = ws_server_event};
    for (size_t i = 0; i < config->n_endpoints; i++) {
        const char *name = config->endpoints[i].protocol->subprotocol;
        bool known = false;
        for (guint j = 0; j < n; j++)
            known = known || !strcmp(list[j].name, name);
        if (!known)
            list[n++] = (struct lws_protocols){
                .name = g_strdup(name), .callback = ws_server_event, .rx_buffer_size = 4096};
    }
    return list;
}

static void protocols_free(struct lws_protocols *list)
{
    for (guint i = 1; list && list[i].name; i++)
        g_free((char *)list[i].name);
    g_free(list);
}

static guint or_else(guint value, guint otherwise)
{
    return value ? value : otherwise;
}

static void copy_config(struct link_listener *listener, const struct link_listener_config *config)
{
    listener->endpoints = config->endpoints;
    listener->n_endpoints = config->n_endpoints;
    listener->origins = g_strdupv((char **)config->origins);
    listener->http = config->http;
    listener->connections_max = or_else(config->connections_max, G_MAXINT);
    listener->connections_per_address = or_else(config->connections_per_address, G_MAXINT);
    listener->connect_rate_per_address = config->connect_rate_per_address;
    listener->streams_per_connection = or_else(config->streams_per_connection, STREAMS);
    listener->request_rate_per_address = config->request_rate_per_address;
    listener->request_rate_total = config->request_rate_total;
    listener->handshake_ms = or_else(config->handshake_timeout_ms, HANDSHAKE_MS);
    listener->files = (struct ws_tls_files){.certificate = g_strdup(config->tls_certificate),
                                            .key = g_strdup(config->tls_key),
                                            .ca = g_strdup(config->tls_client_ca)};
    listener->protocols = protocols_new(config);
}

static bool set_up_tls(struct link_listener *listener, GError **error)
{
    if (!ws_tls_check_files(&listener->files, error))
        return false;
    if (!listener->files.certificate)
        return true;
    listener->unused = SSL_CTX_new(TLS_client_method());
    listener->tls = ws_tls_server_context(&listener->files, error);
    return listener->tls != NULL;
}

struct link_listener *link_listen(struct link_service *service,
                                  const struct link_listener_config *config, GError **error)
{
    struct link_listener *listener = g_new0(struct link_listener, 1);
    listener->service = service;
    listener->fd = -1;
    g_queue_push_tail(&service->listeners, listener);
    copy_config(listener, config);
    listener->newcomers = g_hash_table_new_full(NULL, NULL, ws_newcomer_free, NULL);
    listener->http1 = ws_server_connections_new();
    listener->http2 = h2_server_connections_new();
    listener->addresses = rate_table_new(ADDRESSES_MAX);
    listener->parts = g_ptr_array_new_with_free_func(part_free);
    listener->accept_again = loop_timer_new("accept again", ws_listener_accept, listener);
    if (!set_up_tls(listener, error) || !part_new(listener, error))
        goto fail;
    listener->fd =
        ws_address_listen(config->address, config->port, !listener->tls, &listener->port, error);
    if (listener->fd < 0)
        goto fail;
    ws_listener_accept(listener);
    return listener;
fail:
    ws_listener_destroy(listener);
    return NULL;
}

guint link_listener_port(const struct link_listener *listener)
{
    return listener->port;
}

bool ws_listener_reload(struct link_listener *listener, GError **error)
{
    SSL_CTX *fresh = listener->tls ? ws_tls_server_context(&listener->files, error) : NULL;
    if (!fresh)
        return !listener->tls;
    SSL_CTX_free(listener->tls);
    listener->tls = fresh;
    for (guint i = 0; i < listener->parts->len; i++) {
        const struct ws_part *part = listener->parts->pdata[i];
        ws_tls_server_set_up(part->tls, listener->tls);
    }
    return true;
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
    g_hash_table_remove_all(listener->newcomers);
    GHashTableIter iter;
    gpointer key;
    g_hash_table_iter_init(&iter, listener->http2);
    while (g_hash_table_iter_next(&iter, &key, NULL))
        h2_connection_goaway(key);
    listener->endpoints = NULL;
    listener->n_endpoints = 0;
    listener->http = NULL;
}

void ws_listener_abandon(struct link_listener *listener)
{
    link_listener_close(listener);
    GHashTableIter iter;
    gpointer key;
    g_hash_table_iter_init(&iter, listener->http1);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        struct ws_connection *connection = key;
        if (connection->wire.link)
            link_abandon(connection->wire.link, LINK_CLOSE_DRAINING);
    }
    g_hash_table_iter_init(&iter, listener->http2);
    while (g_hash_table_iter_next(&iter, &key, NULL))
        h2_connection_abandon(key);
}

bool ws_listener_has_link(const struct link_listener *listener)
{
    return listener->links > 0;
}

void ws_listener_destroy(struct link_listener *listener)
{
    ws_listener_abandon(listener);
    g_ptr_array_unref(listener->parts);
    SSL_CTX_free(listener->unused);
    SSL_CTX_free(listener->tls);
    g_hash_table_destroy(listener->newcomers);
    g_hash_table_destroy(listener->http1);
    g_hash_table_destroy(listener->http2);
    rate_table_free(listener->addresses);
    protocols_free(listener->protocols);
    g_strfreev(listener->origins);
    g_free((char *)listener->files.certificate);
    g_free((char *)listener->files.key);
    g_free((char *)listener->files.ca);
    loop_timer_free(listener->accept_again);
    g_queue_remove(&listener->service->listeners, listener);
    g_free(listener);
}
