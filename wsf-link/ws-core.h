/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Inside of the ws-*.c files, the only ones that know libwebsockets.
 *
 * ws-service.c   what all share                   ws-loop.c    libwebsockets on the control loop
 * ws-listener.c  a listener and its parts         ws-server.c  accept, handshake, limits
 * ws-client.c    dialer                           ws-http.c    transmission of http.c's answers
 * ws-wire.c      the wire of a link, both roles   ws-tls.c     certificates of both roles
 * Threads: control. */
#include "wsf-link/http.h"
#include "wsf-link/link-core.h"
#include "wsf-link/ws-loop.h"

#include <libwebsockets.h>

struct link_service {
    struct ws_poll *poll;
    struct trace *trace;
    struct ws_loop *client_loop; /* of all dialers; made with the first */
    GQueue client_vhosts;        /* struct ws_client_vhost */
    GHashTable *dials;           /* set of struct ws_dial, owned */
    GQueue listeners, dialers;
    guint64 next_number;
};

/* --- the wire of a link ------------------------------------------------------------------------
 */

struct ws_wire {
    struct lws *wsi;
    struct link *link; /* NULL before it is open and after it is lost */
    bool (*admit)(struct ws_wire *wire, gint64 now, guint *ret_wait_ms); /* NULL: all */
};
extern const struct link_wire_ops ws_wire_ops;
/* The events that both roles share; true when handled, *ret_result is the callback's result. */
bool ws_wire_event(struct ws_wire *wire, enum lws_callback_reasons reason, void *in, size_t length,
                   int *ret_result);
/* Drops the connection from outside of a callback. */
void ws_wire_drop(struct lws *wsi);
/* Its TLS; NULL without. Borrowed. */
SSL *ws_tls_of(struct lws *wsi);
/* DNS, IP, URI, mail and other names of the verified client certificate, or NULL. Transfer full. */
char **ws_tls_peer_names(SSL *ssl);
/* "TLSv1.3", or NULL without TLS. Static. */
const char *ws_tls_version(SSL *ssl);

/* --- TLS ---------------------------------------------------------------------------------------
 */

/* PEM files, borrowed; NULL = none. */
struct ws_tls_files {
    const char *certificate, *key;
    const char *ca; /* dialers without: the system's */
};
bool ws_tls_check_files(const struct ws_tls_files *files, GError **error);
/* A listener's: HTTP/2 uses it, and libwebsockets' contexts take their material from it. Transfer
 * full (SSL_CTX_free). */
SSL_CTX *ws_tls_server_context(const struct ws_tls_files *files, GError **error);
/* Brings a context of libwebsockets up to date; its connections keep what they began with. */
void ws_tls_server_set_up(SSL_CTX *context, SSL_CTX *from);
/* A dialer's. Transfer full (SSL_CTX_free). */
SSL_CTX *ws_tls_client_context(const struct ws_tls_files *files, const char *host, GError **error);
/* Loads the files again; on failure nothing changes. */
bool ws_tls_client_reload(SSL_CTX *context, const struct ws_tls_files *files, GError **error);
/* True when the context itself checks the certificate against the host. */
bool ws_tls_own_host_check(const char *host);

/* --- server ------------------------------------------------------------------------------------
 */

void ws_listener_destroy(struct link_listener *listener);
/* No more callbacks into the program: its links close with 1001. */
void ws_listener_abandon(struct link_listener *listener);
bool ws_listener_has_link(const struct link_listener *listener);
bool ws_listener_reload(struct link_listener *listener, GError **error);

/* --- client ------------------------------------------------------------------------------------
 */

struct ws_dial;
void ws_dial_free(gpointer dial);
bool ws_dial_has_link(const struct ws_dial *dial);
void ws_client_vhost_free(gpointer vhost);
struct ws_client_vhost;
bool ws_client_vhost_reload(struct ws_client_vhost *vhost, GError **error);
