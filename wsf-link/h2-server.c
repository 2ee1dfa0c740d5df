/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the connections of a listener that speak HTTP/2: their sockets, their TLS and nghttp2's
 * session. libwebsockets 4.1 could serve HTTP/2 too, but it overlooks a stream that the peer
 * resets, ends all streams of a connection when one ends late, and keeps neither window of a
 * WebSocket; nghttp2 does all of that, and leaves sockets and WebSockets to us. Octets are made
 * only when the socket takes them, so what waits waits in the links' queues, which have limits. */
#define LOG_CATEGORY "link"
#include "wsf-link/h2-core.h"

#include "base/log.h"

#include <errno.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define READ_PIECE 16384
#define READS_PER_ROUND 4 /* then others have their turn */
#define OUT_KEEP 4096     /* octets of buffer that an idle connection keeps */
#define HEADER_LIST_MAX 8192
#define WINDOW 65535 /* of a stream and of the connection (RFC 9113 6.9.2) */

/* --- the end ------------------------------------------------------------------------------------
 */

void h2_connection_wake(struct h2_connection *connection)
{
    ws_watch_wake(connection->watch);
}

void h2_connection_drop(struct h2_connection *connection)
{
    connection->dead = true;
    h2_connection_wake(connection);
}

static void connection_free(gpointer data)
{
    struct h2_connection *connection = data;
    struct h2_stream *stream;
    while ((stream = g_queue_peek_head(&connection->streams)))
        h2_stream_free(stream);
    nghttp2_session_del(connection->session);
    ws_watch_free(connection->watch);
    loop_timer_free(connection->deadline);
    ws_account_close(&connection->account);
    g_byte_array_unref(connection->out);
    if (connection->ssl && !connection->handshaking)
        SSL_shutdown(connection->ssl);
    SSL_free(connection->ssl);
    close(connection->fd);
    g_free(connection);
}

GHashTable *h2_server_connections_new(void)
{
    return g_hash_table_new_full(NULL, NULL, connection_free, NULL);
}

static void on_deadline(void *data)
{
    struct h2_connection *connection = data;
    struct log_ids ids = {.link = connection->account.peer};
    log_debug(&ids, "no request in time, closed");
    h2_connection_drop(connection);
}

/* --- the session --------------------------------------------------------------------------------
 */

static struct h2_stream *stream_of(nghttp2_session *session, gint32 id)
{
    return id ? nghttp2_session_get_stream_user_data(session, id) : NULL;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    struct h2_stream *stream = h2_stream_new(user, frame->hd.stream_id);
    nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, stream);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_length, const uint8_t *value, size_t length, uint8_t flags,
                     void *user)
{
    struct h2_stream *stream = stream_of(session, frame->hd.stream_id);
    if (stream && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        h2_stream_header(stream, (const char *)name, name_length, (const char *)value, length);
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct h2_stream *stream = stream_of(session, frame->hd.stream_id);
    if (!stream || (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA))
        return 0;
    bool ended = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        stream->request.ended = ended;
        h2_stream_request(stream);
    } else if (ended) {
        h2_link_ended(stream);
    }
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t length, void *user)
{
    struct h2_stream *stream = stream_of(session, id);
    if (stream)
        h2_link_received(stream, data, length);
    else
        nghttp2_session_consume(session, id, length);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    struct h2_stream *stream = stream_of(session, id);
    if (stream)
        h2_stream_free(stream);
    return 0;
}

static nghttp2_session *session_new(struct h2_connection *connection)
{
    nghttp2_session *session = NULL;
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_option_new(&option);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_option_set_server_fallback_rfc7540_priorities(option, 0);
    nghttp2_session_server_new2(&session, callbacks, connection, option);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
         connection->account.listener->streams_per_connection},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEADER_LIST_MAX},
        {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1}, /* RFC 8441 3 */
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, G_N_ELEMENTS(settings));
    return session;
}

/* --- the socket ---------------------------------------------------------------------------------
 */

/* Octets; 0: later; negative: the end. */
static gssize socket_read(struct h2_connection *connection, guint8 *data, gsize length)
{
    if (connection->ssl) {
        ERR_clear_error();
        int got = SSL_read(connection->ssl, data, (int)length);
        if (got > 0)
            return got;
        int error = SSL_get_error(connection->ssl, got);
        return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? 0 : -1;
    }
    gssize got = recv(connection->fd, data, length, MSG_DONTWAIT);
    if (got > 0)
        return got;
    return got < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

static gssize socket_write(struct h2_connection *connection, const guint8 *data, gsize length)
{
    if (connection->ssl) {
        ERR_clear_error();
        int sent = SSL_write(connection->ssl, data, (int)length);
        if (sent > 0)
            return sent;
        int error = SSL_get_error(connection->ssl, sent);
        return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? 0 : -1;
    }
    gssize sent = send(connection->fd, data, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0)
        return sent;
    return errno == EAGAIN || errno == EINTR ? 0 : -1;
}

static bool more_to_send(struct h2_connection *connection)
{
    const uint8_t *data;
    gssize length = nghttp2_session_mem_send(connection->session, &data);
    if (length < 0)
        connection->dead = true;
    if (length <= 0)
        return false;
    g_byte_array_append(connection->out, data, (guint)length);
    return true;
}

static void clear_out(struct h2_connection *connection)
{
    connection->out_at = 0;
    if (connection->out->len > OUT_KEEP) {
        g_byte_array_unref(connection->out);
        connection->out = g_byte_array_new();
    } else {
        g_byte_array_set_size(connection->out, 0);
    }
}

static void write_out(struct h2_connection *connection)
{
    guint events = EPOLLIN | EPOLLRDHUP;
    while (!connection->dead) {
        if (connection->out_at == connection->out->len) {
            clear_out(connection);
            /* Small frames go together: a record of TLS each would cost more than they do. */
            while (connection->out->len < READ_PIECE && more_to_send(connection))
                continue;
            if (!connection->out->len)
                break;
        }
        gssize sent = socket_write(connection, connection->out->data + connection->out_at,
                                   connection->out->len - connection->out_at);
        if (sent < 0)
            connection->dead = true;
        if (sent <= 0) {
            events |= EPOLLOUT;
            break;
        }
        connection->out_at += (gsize)sent;
    }
    ws_watch_set(connection->watch, events);
}

static void read_in(struct h2_connection *connection)
{
    guint8 data[READ_PIECE];
    connection->more = false;
    for (guint i = 0; i < READS_PER_ROUND && !connection->dead; i++) {
        gssize got = socket_read(connection, data, sizeof data);
        if (got < 0)
            connection->dead = true;
        if (got <= 0)
            return;
        gssize used = nghttp2_session_mem_recv(connection->session, data, (gsize)got);
        if (used < 0) {
            struct log_ids ids = {.link = connection->account.peer};
            log_debug(&ids, "HTTP/2: %s", nghttp2_strerror((int)used));
            connection->dead = true;
        }
    }
    /* What OpenSSL has already read shows on no descriptor. */
    connection->more = true;
    h2_connection_wake(connection);
}

/* False: not done yet, or failed. */
static bool shake_hands(struct h2_connection *connection)
{
    if (!connection->handshaking)
        return true;
    ERR_clear_error();
    int result = SSL_do_handshake(connection->ssl);
    int error = SSL_get_error(connection->ssl, result);
    if (result == 1) {
        connection->handshaking = false;
        connection->more = true;
        return true;
    }
    if (error == SSL_ERROR_WANT_WRITE)
        ws_watch_set(connection->watch, EPOLLOUT | EPOLLRDHUP);
    else if (error == SSL_ERROR_WANT_READ)
        ws_watch_set(connection->watch, EPOLLIN | EPOLLRDHUP);
    else
        connection->dead = true;
    return false;
}

static void on_events(void *data, guint events)
{
    struct h2_connection *connection = data;
    loop_mark("websocket server");
    if (!connection->dead && shake_hands(connection)) {
        if (connection->more || events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
            read_in(connection);
        for (GList *at = connection->streams.head; at; at = at->next)
            h2_link_work(at->data);
        write_out(connection);
        if (!nghttp2_session_want_read(connection->session) &&
            !nghttp2_session_want_write(connection->session) && !connection->out->len)
            connection->dead = true;
    }
    if (connection->dead)
        g_hash_table_remove(connection->account.listener->http2, connection);
}

/* --- the face -----------------------------------------------------------------------------------
 */

void h2_server_take(struct link_listener *listener, struct rate_address *address, const char *peer,
                    int fd, guint left_ms)
{
    struct h2_connection *connection = g_new0(struct h2_connection, 1);
    ws_account_open(&connection->account, listener, address, peer);
    connection->fd = fd;
    connection->out = g_byte_array_new();
    g_queue_init(&connection->streams);
    connection->deadline = loop_timer_new("handshake deadline", on_deadline, connection);
    loop_timer_start(connection->deadline, left_ms);
    if (listener->tls) {
        connection->ssl = SSL_new(listener->tls);
        SSL_set_fd(connection->ssl, fd);
        SSL_set_accept_state(connection->ssl);
        connection->handshaking = true;
    }
    connection->session = session_new(connection);
    g_hash_table_add(listener->http2, connection);
    connection->watch =
        ws_watch_new(listener->service->poll, fd, EPOLLIN | EPOLLRDHUP, on_events, connection);
    h2_connection_wake(connection);
}

void h2_connection_goaway(struct h2_connection *connection)
{
    nghttp2_submit_goaway(connection->session, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(connection->session),
                          NGHTTP2_NO_ERROR, NULL, 0);
    h2_connection_wake(connection);
}

void h2_connection_abandon(struct h2_connection *connection)
{
    for (GList *at = connection->streams.head; at; at = at->next) {
        struct h2_stream *stream = at->data;
        if (stream->link)
            link_abandon(stream->link, LINK_CLOSE_DRAINING);
    }
}
