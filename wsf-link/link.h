/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A link: one WebSocket connection that carries the protocol of A1–A4 (envelope, transactions,
 * extensions, problem details), in either role. Both programs and the tests' tools use this face.
 *
 * The library does by itself, so that no program repeats it: reassembly with caps, UTF-8 and JSON
 * checks and their close codes, parity and replay of transaction ids, the stored responses, the
 * gate before `auth` (401 NOT_AUTHENTICATED, close 4401 after 10 s or three failures), `keepalive`,
 * ping and pong, required extensions, unknown methods, rate limits per link, per source address and
 * in total, back-pressure, time-outs of own requests with one retransmission.
 *
 * Threads: control thread only. Callbacks come from the loop, never from inside a call of this API.
 */
#include "base/problem.h"

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>

struct link;
struct link_transaction; /* a request of the peer that waits for our response */
struct link_call;        /* a request of ours that waits for the peer's response */
struct link_service;     /* libwebsockets on the control loop; one per process */
struct link_listener;
struct link_dialer;

enum link_role { LINK_SERVER, LINK_CLIENT };
/* What carries the WebSocket: RFC 6455 over HTTP/1.1 or RFC 8441 over HTTP/2. */
enum link_transport { LINK_HTTP1, LINK_HTTP2 };
enum link_close {
    LINK_CLOSE_NORMAL = 1000,
    LINK_CLOSE_DRAINING = 1001,
    LINK_CLOSE_PROTOCOL_ERROR = 1002, /* by the WebSocket layer itself (RFC 6455 7.4.1) */
    LINK_CLOSE_UNSUPPORTED_DATA = 1003,
    LINK_CLOSE_ABNORMAL = 1006, /* never sent: the connection was lost */
    LINK_CLOSE_INVALID_TEXT = 1007,
    LINK_CLOSE_TOO_LARGE = 1009,
    LINK_CLOSE_INTERNAL_ERROR = 1011,
    LINK_CLOSE_RESTART = 1012,
    LINK_CLOSE_TRY_AGAIN = 1013,
    LINK_CLOSE_MALFORMED = 4400,
    LINK_CLOSE_NOT_AUTHENTICATED = 4401,
    LINK_CLOSE_KEEPALIVE = 4408,
    LINK_CLOSE_SUPERSEDED = 4409,
    LINK_CLOSE_EXPIRED = 4410,
    LINK_CLOSE_RATE_LIMIT = 4429,
};

/* Limits of one kind of link; every field comes from the program's configuration table. */
struct link_limits {
    guint message_max;           /* octets of one message, all fragments, after authentication */
    guint message_max_unauth;    /* before it */
    guint auth_timeout_ms;       /* 0: no `auth` is expected from the peer (client role) */
    guint auth_failures_max;     /* failed auth before 4401 */
    guint keepalive_ms;          /* the server pings; two intervals of silence close 4408 */
    guint response_timeout_ms;   /* default for our requests */
    guint rate, burst;           /* requests per second of the peer; 0 = not limited */
    guint rate_unauth;           /* before authentication */
    bool slow_instead_of_refuse; /* trusted links: stop reading instead of 429 */
    guint calls_max;             /* our own requests outstanding */
    guint transactions_max;      /* the peer's requests in progress; more get 429 */
    guint send_queue_max;        /* octets queued towards a peer that does not read; then 1013 */
};
extern const struct link_limits link_limits_client;  /* defaults of A1 for an untrusted client */
extern const struct link_limits link_limits_trusted; /* … for control links and other WSFs */

/* --- service ------------------------------------------------------------------------------- */

/* Creates the lws context on the default GLib main context. `trace_file` (may be NULL): every
 * message sent and received is appended as a JSON line {time, link, direction, peer, path,
 * transport, tls, message} with secrets blanked; the tests check it against the schemas. Transfer
 * full. */
struct link_service *link_service_new(const char *trace_file, GError **error);
/* Reads the TLS files of all listeners and dialers again: new connections use what is in them now.
 * A file that is broken leaves its listener or dialer as it was; *error says the first. */
bool link_service_reload(struct link_service *service, GError **error);
/* Closes everything, without callbacks: dialers' links with 1000, listeners' with 1001, and waits
 * half a second at most for the peers' close frames. After the loop has returned. NULL allowed. */
void link_service_free(struct link_service *service);

/* --- events -------------------------------------------------------------------------------- */

struct link_ops {
    /* The connection is up (server: the handshake is accepted; client: open). */
    void (*opened)(struct link *link, void *user);
    /* A request whose form is valid and that passed the gates. Answer it exactly once with
     * link_succeed() or link_fail(), now or later; `transaction` is the receiver's until then. */
    void (*request)(struct link *link, struct link_transaction *transaction, void *user);
    /* The link is gone (any cause); after this call the pointer is dead. Outstanding calls have
     * been answered with PEER_TIMEOUT before, outstanding transactions may still be answered
     * (ignored). */
    void (*closed)(struct link *link, int code, const char *reason, void *user);
};

/* Methods that a kind of link knows, NULL-terminated; a name with a dot in the table is not needed:
 * application methods are passed when `application_methods` is set. Others: 501. */
struct link_protocol {
    const char *subprotocol; /* "eirtcw.v1" */
    const char *const *methods;
    bool application_methods;
    const char *const *extensions; /* supported ones (A3), NULL-terminated */
};

/* --- server -------------------------------------------------------------------------------- */

/* One WebSocket path of a listener. */
struct link_endpoint {
    const char *path; /* "/eirtcw/v1" */
    const struct link_protocol *protocol;
    const struct link_limits *limits;
    const struct link_ops *ops;
    void *user;
};

struct http_server; /* http.h: pages, /metrics, /healthz … on the same listener */

struct link_listener_config {
    const char *address;                   /* numeric address or interface name; NULL = all */
    guint port;                            /* 0 = any free one, see link_listener_port() */
    const char *tls_certificate, *tls_key; /* PEM files; both NULL = cleartext */
    const char *tls_client_ca;             /* NULL = no client certificates asked */
    const char *const *origins;            /* allowed Origin values, NULL = any */
    const struct link_endpoint *endpoints; /* kept by reference: live as long as the listener */
    size_t n_endpoints;
    struct http_server *http; /* borrowed, may be NULL */
    guint connections_max;    /* in total; more: 503 */
    guint connections_per_address;
    guint connect_rate_per_address; /* new connections per second */
    guint request_rate_per_address; /* requests per second over all its links; 0 = not limited */
    guint request_rate_total;       /* … of all addresses together */
    guint streams_per_connection;   /* of HTTP/2 (RFC 9113 5.1.2); 0 = 16 */
    guint handshake_timeout_ms;     /* from accept to an open link or a whole request; 0 = 10 s */
};

/* Speaks HTTP/1.1 and HTTP/2 on the same port, chosen by ALPN. Cleartext on an address that is not
 * loopback is refused (A1). Transfer full. */
struct link_listener *link_listen(struct link_service *service,
                                  const struct link_listener_config *config, GError **error);
guint link_listener_port(const struct link_listener *listener);
/* Stops accepting and frees the listener for the caller; open links go on. NULL allowed. */
void link_listener_close(struct link_listener *listener);

/* --- client -------------------------------------------------------------------------------- */

struct link_dialer_config {
    const char *url; /* "ws://…" (loopback only) or "wss://host:port/path" */
    const struct link_protocol *protocol;
    const struct link_limits *limits;
    const struct link_ops *ops;
    void *user;
    const char *tls_ca;                    /* PEM file; NULL = the system's */
    const char *tls_certificate, *tls_key; /* for mutual TLS, or NULL */
    guint backoff_min_ms, backoff_max_ms;  /* jittered, doubling (A1) */
    void (*attempt_failed)(const GError *error, guint next_attempt_ms,
                           void *user); /* may be NULL */
};
/* Connects, and again after every loss unless the close code forbids it (4401, 4409). Every
 * connection is a new struct link, told by ops->opened. Transfer full. */
struct link_dialer *link_dialer_new(struct link_service *service,
                                    const struct link_dialer_config *config, GError **error);
/* Shortens the back-off while something is at stake (media sessions live). 0 = configured.
 * NULL allowed. */
void link_dialer_set_backoff_max(struct link_dialer *dialer, guint ms);
/* Closes its link with 1000; no callback comes any more. NULL and inside of callbacks allowed. */
void link_dialer_free(struct link_dialer *dialer);

/* --- a link -------------------------------------------------------------------------------- */

/* A short name for logs, unique in the process: "7" or, once identified, "7/alice@example.org". */
const char *link_name(const struct link *link);
guint64 link_number(const struct link *link);
enum link_role link_role(const struct link *link);
/* The peer's numeric address, without port. */
const char *link_peer_address(const struct link *link);
enum link_transport link_transport(const struct link *link);
/* "http/1.1" or "h2", the names of ALPN. Static. */
const char *link_transport_name(enum link_transport transport);
/* "TLSv1.2", "TLSv1.3", or NULL without TLS. Static. */
const char *link_tls_version(const struct link *link);
/* "h2 TLSv1.3" for the log line of an accepted link. Transfer full. */
char *link_describe_transport(const struct link *link);
/* Subject of the verified client certificate's SAN entries, NULL-terminated, or NULL. */
const char *const *link_peer_certificate_names(const struct link *link);
void link_set_data(struct link *link, void *data);
void *link_data(const struct link *link);

/* Opens the gate: from now on all methods pass, with the limits of an authenticated peer.
 * `identity` for logs. Called again at a refresh. */
void link_set_authenticated(struct link *link, const char *identity);
bool link_is_authenticated(const struct link *link);
/* A failed `auth` (403): counts towards the close with 4401. */
void link_auth_failed(struct link *link);
/* Replaces the limits: the peer has turned out to be a trusted one. After
 * link_set_authenticated(). */
void link_set_limits(struct link *link, const struct link_limits *limits);
/* Replaces the keep-alive interval told to this peer. */
void link_set_keepalive(struct link *link, guint ms);
/* Starts the closing handshake after what is queued has been sent; `closed` follows from the loop.
 */
void link_close(struct link *link, enum link_close code, const char *reason);

/* --- requests of the peer -------------------------------------------------------------------- */

const char *link_transaction_method(const struct link_transaction *transaction);
/* The whole message. Borrowed, read-only, valid until the answer. */
const json_t *link_transaction_message(const struct link_transaction *transaction);
/* "msetup/12" for logs. Borrowed. */
const char *link_transaction_name(const struct link_transaction *transaction);
/* True when the peer listed `extension` in supportedExtension or requiredExtension of this request.
 */
bool link_transaction_supports(const struct link_transaction *transaction, const char *extension);
/* Answers success:true with the members of `members` (an object, stolen, NULL = none). Consumes the
 * transaction, also when its link is gone. */
void link_succeed(struct link_transaction *transaction, json_t *members);
/* Answers success:false with problemDetails from `error` (borrowed) beside `members` (stolen, may
 * be NULL: mediaSessionId, wwwAuthenticate, …). Consumes the transaction. */
void link_fail(struct link_transaction *transaction, const GError *error, json_t *members);

/* --- requests of ours ------------------------------------------------------------------------ */

struct link_response {
    bool success;
    const json_t *message; /* whole response; NULL when none came (time-out, link lost) */
    const GError *error;   /* problem when !success; PEER_TIMEOUT when none came */
};
typedef void (*link_response_fn)(struct link *link, const struct link_response *response,
                                 void *user);

/* Sends a request with the members of `members` (stolen, may be NULL). `done` is called exactly
 * once, from the loop, unless the call is cancelled (NULL done: the response is only logged when it
 * fails). timeout_ms 0 = the link's default. Returns a handle that is valid until `done`. */
struct link_call *link_request(struct link *link, const char *method, json_t *members,
                               guint timeout_ms, link_response_fn done, void *user);
void link_call_cancel(struct link_call *call);
/* Cancels every outstanding call of this `user` on the link. For destructors. */
void link_cancel_calls(struct link *link, void *user);
/* The peer has not answered as many requests as half of what may be outstanding: the rest is for
 * those that must not be lost. */
bool link_is_behind(const struct link *link);
