/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the files of a listener share.
 *
 * ws-listener.c   the listener and its parts      ws-accept.c  from the socket to one of the stacks
 * ws-handshake.c  what must hold before a link    ws-server.c  HTTP/1.1, by libwebsockets
 * ws-http.c       pages over HTTP/1.1             h2-*.c       HTTP/2, by nghttp2
 * Threads: control. */
#include "base/metrics.h"
#include "wsf-link/http-core.h"
#include "wsf-link/ws-core.h"

#include <unistd.h>

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
    /* Sets of what has a socket, owned: struct newcomer, ws_connection, h2_connection. */
    GHashTable *newcomers, *http1, *http2;
    guint connections; /* all of them */
    guint links;
};

/* --- accounts and handshakes --------------------------------------------------------------------
 */

/* What a connection costs its source address. */
struct ws_account {
    struct link_listener *listener;
    struct rate_address *address;
    char peer[48];
    guint links;
};
void ws_account_open(struct ws_account *account, struct link_listener *listener,
                     struct rate_address *address, const char *peer);
void ws_account_close(struct ws_account *account);
/* A link has opened (1) or gone (-1). */
void ws_account_link(struct ws_account *account, int delta);
/* A request of a link: counts for the address and in total; false and the wait when too many. */
bool ws_account_admit(struct ws_account *account, gint64 now, guint *ret_wait_ms);
void ws_count_refused(void);

/* A client's wish for a WebSocket; NULL: the header is not there. */
struct ws_handshake {
    const char *path;
    const char *origin, *version, *subprotocols;
};
/* 0 and the endpoint, or the HTTP status that refuses (told in the log and counted). */
guint ws_handshake_check(struct ws_account *account, const struct ws_handshake *handshake,
                         const struct link_endpoint **ret_endpoint);
/* What a new link knows from its listener; takes a link number. */
void ws_handshake_setup(const struct ws_account *account, const struct link_endpoint *endpoint,
                        struct link_setup *ret);

/* --- accepting ----------------------------------------------------------------------------------
 */

/* Accepts on the listener's socket from now on; `listener` is a struct link_listener. */
void ws_listener_accept(void *listener);
void ws_newcomer_free(gpointer newcomer);

/* --- HTTP/1.1 -----------------------------------------------------------------------------------
 */

/* A context of libwebsockets with some of the connections. */
struct ws_part {
    struct link_listener *listener;
    struct ws_loop *loop;
    struct lws_vhost *vhost;
    SSL_CTX *tls; /* of the virtual host */
};
/* A part that takes one more connection; NULL when none can be made. */
struct ws_part *ws_listener_part(struct link_listener *listener);
void ws_part_set_up_tls(struct ws_part *part, SSL_CTX *context);

/* An HTTP answer on its way. */
struct ws_http {
    struct http_answer answer;
    guint64 sent;
    bool busy;
};

struct ws_connection {
    struct ws_wire wire; /* first */
    struct ws_account account;
    struct ws_part *part;
    const struct link_endpoint *endpoint; /* between the upgrade and the open link */
    bool upgraded;
    struct loop_timer *deadline;
    struct ws_http http;
};

/* Takes the socket, whatever comes of it; its first request has so long. False: closed. */
bool ws_server_take(struct link_listener *listener, struct rate_address *address, const char *peer,
                    int fd, guint left_ms);
/* An empty set of struct ws_connection. Transfer full. */
GHashTable *ws_server_connections_new(void);
int ws_server_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t length);

/* Answers with a status and no page. Non-zero: the connection is to be closed. */
int ws_http_refuse(struct lws *wsi, guint status);
int ws_http_event(struct ws_connection *connection, struct lws *wsi,
                  enum lws_callback_reasons reason, void *in, size_t length);
void ws_http_finish(struct ws_http *http);
