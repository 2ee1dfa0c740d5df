/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Inside of h2-*.c.
 *
 * h2-server.c   connections: sockets, TLS, the session      h2-link.c  the wire of a link
 * h2-stream.c   streams: requests and their end             h2-page.c  pages
 * Threads: control. */
#include "wsf-link/h2-server.h"
#include "wsf-link/ws-frame.h"

#include <nghttp2/nghttp2.h>

struct h2_connection {
    struct ws_account account;
    int fd;
    SSL *ssl; /* NULL: cleartext */
    bool handshaking;
    bool dead; /* freed in the next round */
    bool more; /* to read, whatever the descriptor says */
    struct ws_watch *watch;
    struct loop_timer *deadline; /* while there is no stream */
    nghttp2_session *session;
    GQueue streams;
    GByteArray *out; /* on its way to the socket */
    gsize out_at;
};

/* What is kept of a request's header; texts owned, NULL when not there. */
struct h2_request {
    char *method, *path, *protocol;
    char *origin, *version, *subprotocols, *if_none_match;
    bool too_long; /* one of them, or the same again */
    bool ended;    /* no body follows */
};

struct h2_stream {
    struct h2_connection *connection;
    gint32 id;
    struct loop_timer *deadline; /* of the request, the answer, the end */
    bool resetting;              /* told the peer; the next deadline ends the connection */
    struct h2_request request;
    bool requested; /* its header is whole */
    /* a link */
    struct link *link; /* NULL before it is open and after it is lost */
    bool counted;
    struct ws_frame_reader reader;
    GByteArray *frames; /* of ours, not yet taken */
    gsize frames_at;
    GByteArray *held; /* the peer's, arrived in a pause; its window bounds them */
    bool paused, wake;
    bool close_sent, close_heard;
    bool ending; /* nothing more of ours after the frames */
    /* a page */
    struct http_answer answer;
    guint64 sent;
    bool answering;
};

/* Works on the connection soon: outside of nghttp2's callbacks. */
void h2_connection_wake(struct h2_connection *connection);
/* Ends it soon, without a word. */
void h2_connection_drop(struct h2_connection *connection);

struct h2_stream *h2_stream_new(struct h2_connection *connection, gint32 id);
/* Its link is lost. */
void h2_stream_free(struct h2_stream *stream);
/* A field of the request; false: the stream is not worth going on. */
void h2_stream_header(struct h2_stream *stream, const char *name, gsize name_length,
                      const char *value, gsize length);
/* The header is whole. */
void h2_stream_request(struct h2_stream *stream);
void h2_stream_reset(struct h2_stream *stream, guint32 code);
/* Answers with a header; `provider` NULL: that is all. */
void h2_stream_respond(struct h2_stream *stream, const nghttp2_nv *fields, gsize n_fields,
                       nghttp2_data_provider *provider);

/* --- links --------------------------------------------------------------------------------------
 */

/* An extended CONNECT for a WebSocket (RFC 8441 4). */
void h2_link_request(struct h2_stream *stream);
/* What came for the link, and counts it as consumed unless it is held back. */
void h2_link_received(struct h2_stream *stream, const guint8 *data, gsize length);
/* The peer has ended its side of the stream. */
void h2_link_ended(struct h2_stream *stream);
/* After a wake: takes up what was held and lets ours go. */
void h2_link_work(struct h2_stream *stream);
void h2_link_finish(struct h2_stream *stream);

/* --- pages --------------------------------------------------------------------------------------
 */

void h2_page_request(struct h2_stream *stream);
/* Answers with a status and no page. */
void h2_page_refuse(struct h2_stream *stream, guint status);
void h2_page_finish(struct h2_stream *stream);
