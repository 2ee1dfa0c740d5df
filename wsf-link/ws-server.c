/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the connections of a listener that speak HTTP/1.1: libwebsockets has their sockets, and its
 * events become handshakes, links and pages here. */
#define LOG_CATEGORY "link"
#include "wsf-link/ws-server.h"

#include "base/log.h"

#include <string.h>

/* --- connections --------------------------------------------------------------------------------
 */

static void on_deadline(void *data)
{
    struct ws_connection *connection = data;
    struct log_ids ids = {.link = connection->account.peer};
    log_debug(&ids, "no whole request in time, closed");
    ws_wire_drop(connection->wire.wsi);
}

static bool admit_request(struct ws_wire *wire, gint64 now, guint *ret_wait_ms)
{
    return ws_account_admit(&((struct ws_connection *)wire)->account, now, ret_wait_ms);
}

static void connection_free(gpointer data)
{
    struct ws_connection *connection = data;
    if (connection->upgraded)
        ws_account_link(&connection->account, -1);
    ws_account_close(&connection->account);
    connection->part->loop->connections--;
    ws_http_finish(&connection->http);
    loop_timer_free(connection->deadline);
    g_free(connection);
}

GHashTable *ws_server_connections_new(void)
{
    return g_hash_table_new_full(NULL, NULL, connection_free, NULL);
}

bool ws_server_take(struct link_listener *listener, struct rate_address *address, const char *peer,
                    int fd, guint left_ms)
{
    struct ws_part *part = ws_listener_part(listener);
    if (!part) {
        close(fd);
        return false;
    }
    struct ws_connection *connection = g_new0(struct ws_connection, 1);
    ws_account_open(&connection->account, listener, address, peer);
    connection->part = part;
    part->loop->connections++;
    connection->wire.admit = admit_request;
    connection->deadline = loop_timer_new("handshake deadline", on_deadline, connection);
    loop_timer_start(connection->deadline, left_ms);
    g_hash_table_add(listener->http1, connection);
    lws_adopt_desc_t adoption = {
        .vh = part->vhost,
        .type = LWS_ADOPT_SOCKET | LWS_ADOPT_HTTP | LWS_ADOPT_ALLOW_SSL,
        .fd = {.sockfd = fd},
        .opaque = connection,
    };
    ws_loop_touch(part->loop);
    /* On failure libwebsockets closes the socket; whether it told us depends on how far it came. */
    struct lws *wsi = lws_adopt_descriptor_vhost_via_info(&adoption);
    if (!wsi)
        g_hash_table_remove(listener->http1, connection);
    else if (g_hash_table_contains(listener->http1, connection))
        connection->wire.wsi = wsi;
    return wsi != NULL;
}

/* --- handshake ----------------------------------------------------------------------------------
 */

/* NULL: not there. What is too long for the buffer is there and empty. */
static const char *copy_header(struct lws *wsi, enum lws_token_indexes token, char *text, int size)
{
    text[0] = 0;
    if (lws_hdr_total_length(wsi, token) <= 0)
        return NULL;
    if (lws_hdr_copy(wsi, text, size, token) <= 0)
        text[0] = 0;
    return text;
}

static int check_upgrade(struct ws_connection *connection, struct lws *wsi, const char *to)
{
    char path[256], origin[256], version[8];
    char subprotocols[128]; /* libwebsockets reads no more either */
    struct ws_handshake handshake = {
        .path = copy_header(wsi, WSI_TOKEN_GET_URI, path, sizeof path),
        .origin = copy_header(wsi, WSI_TOKEN_ORIGIN, origin, sizeof origin),
        .version = copy_header(wsi, WSI_TOKEN_VERSION, version, sizeof version),
        .subprotocols = copy_header(wsi, WSI_TOKEN_PROTOCOL, subprotocols, sizeof subprotocols),
    };
    guint status =
        strcasecmp(to, "websocket")
            ? 400
            : ws_handshake_check(&connection->account, &handshake, &connection->endpoint);
    if (!status)
        return 0;
    connection->endpoint = NULL;
    return ws_http_refuse(wsi, status) ? -1 : 1;
}

static int open_link(struct ws_connection *connection, struct lws *wsi)
{
    if (!connection->endpoint)
        return -1;
    loop_timer_stop(connection->deadline);
    connection->upgraded = true;
    ws_account_link(&connection->account, 1);
    struct link_setup setup;
    ws_handshake_setup(&connection->account, connection->endpoint, &setup);
    setup.transport = LINK_HTTP1;
    setup.tls_version = ws_tls_version(ws_tls_of(wsi));
    setup.certificate_names = ws_tls_peer_names(ws_tls_of(wsi));
    setup.wire_ops = &ws_wire_ops;
    setup.wire = &connection->wire;
    connection->wire.wsi = wsi;
    connection->wire.link = link_new(&setup);
    link_wire_opened(connection->wire.link);
    return 0;
}

/* --- events -------------------------------------------------------------------------------------
 */

int ws_server_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t length)
{
    const struct ws_part *part = ws_loop_of(wsi)->owner;
    if (reason == LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS) {
        ws_part_set_up_tls(ws_loop_of(wsi)->owner, user);
        return 0;
    }
    /* Without this answer libwebsockets takes every client certificate, whatever OpenSSL found. */
    if (reason == LWS_CALLBACK_OPENSSL_PERFORM_CLIENT_CERT_VERIFICATION)
        return length ? 0 : -1; /* the result of the verification so far */
    struct ws_connection *connection = lws_get_opaque_user_data(wsi);
    int result;
    /* Some events come for the context or the virtual host, with no connection of ours. */
    if (!connection || !g_hash_table_contains(part->listener->http1, connection))
        return 0;
    loop_mark("websocket server");
    if (ws_wire_event(&connection->wire, reason, in, length, &result))
        return result;
    switch ((int)reason) {
    case LWS_CALLBACK_SERVER_NEW_CLIENT_INSTANTIATED:
        connection->wire.wsi = wsi;
        return 0;
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
        return check_upgrade(connection, wsi, in);
    case LWS_CALLBACK_ESTABLISHED:
        return open_link(connection, wsi);
    case LWS_CALLBACK_WSI_DESTROY:
        link_wire_lost(g_steal_pointer(&connection->wire.link));
        ws_loop_touch(ws_loop_of(wsi));
        g_hash_table_remove(part->listener->http1, connection);
        return 0;
    default:
        return ws_http_event(connection, wsi, reason, in, length);
    }
}
