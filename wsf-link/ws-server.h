/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What ws-listener.c, ws-server.c and ws-http.c share: the listener and a connection on it.
 * Threads: control. */
#include "base/metrics.h"
#include "wsf-link/http-core.h"
#include "wsf-link/ws-core.h"

struct link_listener {
    struct link_service *service;
    GPtrArray *parts; /* struct ws_part, owned */
    struct lws_protocols *protocols;
    struct ws_tls_files files; /* owned texts */
    SSL_CTX *tls, *unused;     /* NULL: cleartext */
    int fd;                    /* -1: closed */
    guint port;
    guint accept_source;
    struct loop_timer *accept_again;
    const struct link_endpoint *endpoints; /* borrowed until close */
    size_t n_endpoints;
    char **origins;
    struct http_server *http; /* borrowed until close */
    guint connections_max, connections_per_address, connect_rate_per_address;
    guint streams_per_connection;
    guint request_rate_per_address, request_rate_total, handshake_ms;
    struct rate_bucket requests;
    struct rate_table *addresses;
    GHashTable *streams; /* set of struct ws_stream, owned; each connection's own too */
    guint connections;   /* of TCP */
    guint links;         /* streams that became links */
};

/* A context of libwebsockets with some of the connections. */
struct ws_part {
    struct link_listener *listener;
    struct ws_loop *loop;
    struct lws_vhost *vhost;
    SSL_CTX *tls; /* of the virtual host */
};

/* An HTTP answer on its way. */
struct ws_http {
    struct http_answer answer;
    guint64 sent;
    bool busy;
};

/* One request, or the link that it became: the only one of an HTTP/1.1 connection at a time, or a
 * stream of HTTP/2. */
struct ws_stream {
    struct ws_wire wire; /* first */
    struct ws_connection *connection;
    const struct link_endpoint *endpoint; /* between the upgrade and the open link */
    bool upgraded;
    struct loop_timer *deadline;
    struct ws_http http;
};

/* One TCP connection. Over HTTP/2 `own` is the network under the streams. */
struct ws_connection {
    struct ws_stream own; /* first */
    struct link_listener *listener;
    struct ws_part *part;
    struct rate_address *address;
    char peer[48];
    guint streams; /* of HTTP/2 that live now */
    guint links;   /* streams that became links */
};

/* The callback of libwebsockets, and who is behind its events. */
int ws_server_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t length);
/* An empty set of struct ws_stream. Transfer full. */
GHashTable *ws_server_streams_new(void);
/* Accepts on the listener's socket from now on; `listener` is a struct link_listener. */
void ws_listener_accept(void *listener);
/* A part that takes one more connection; NULL when none can be made. */
struct ws_part *ws_listener_part(struct link_listener *listener);
void ws_part_set_up_tls(struct ws_part *part, SSL_CTX *context);

/* Answers with a status and no page. Non-zero: the connection is to be closed. */
int ws_http_refuse(struct lws *wsi, guint status);
int ws_http_event(struct ws_stream *stream, struct lws *wsi, enum lws_callback_reasons reason,
                  void *in, size_t length);
void ws_http_finish(struct ws_http *http);
