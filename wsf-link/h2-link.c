/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the wire of a link over a stream of HTTP/2 (RFC 8441): frames of RFC 6455 are made when the
 * peer's window takes them, and what a paused link does not read is not counted as consumed, so the
 * peer stops at its window. nghttp2 must not be called from inside of itself: what a link asks for
 * is noted and done in the connection's next round. */
#define LOG_CATEGORY "link"
#include "wsf-link/h2-core.h"

#include <string.h>

#define PIECE_MAX 8192
#define READ_STEP 4096 /* then a pause is looked for */
#define BUFFER_KEEP 4096
#define END_MS 1000 /* for the peer to end a stream whose link has closed */

/* --- what the link asks -------------------------------------------------------------------------
 */

static void wake(struct h2_stream *stream)
{
    stream->wake = true;
    h2_connection_wake(stream->connection);
}

static void write_soon(void *wire)
{
    wake(wire);
}

static void read_on_off(void *wire, bool on)
{
    struct h2_stream *stream = wire;
    stream->paused = !on;
    if (on)
        wake(stream);
}

static void drop(void *wire)
{
    struct h2_stream *stream = wire;
    stream->link = NULL;
    h2_stream_reset(stream, NGHTTP2_CANCEL);
}

static bool admit(void *wire, gint64 now, guint *ret_wait_ms)
{
    struct h2_stream *stream = wire;
    return ws_account_admit(&stream->connection->account, now, ret_wait_ms);
}

static const struct link_wire_ops wire_ops = {
    .write_soon = write_soon, .read = read_on_off, .kill = drop, .admit = admit};

/* --- the end ------------------------------------------------------------------------------------
 */

/* Tells the program; it may do anything but free this stream. */
static void lose_link(struct h2_stream *stream)
{
    link_wire_lost(g_steal_pointer(&stream->link));
    if (stream->counted)
        ws_account_link(&stream->connection->account, -1);
    stream->counted = false;
}

/* The link is over; the stream ends after what is still to be sent. */
static void end(struct h2_stream *stream)
{
    lose_link(stream);
    stream->ending = true;
    if (!stream->resetting)
        loop_timer_start(stream->deadline, END_MS);
    wake(stream);
}

void h2_link_finish(struct h2_stream *stream)
{
    lose_link(stream);
    if (stream->frames)
        g_byte_array_unref(stream->frames);
    if (stream->held)
        g_byte_array_unref(stream->held);
    stream->frames = stream->held = NULL;
}

void h2_link_ended(struct h2_stream *stream)
{
    if (stream->link)
        end(stream);
}

/* Empties a buffer; what one large message took is given back. */
static void clear(GByteArray **buffer)
{
    if ((*buffer)->len <= BUFFER_KEEP) {
        g_byte_array_set_size(*buffer, 0);
        return;
    }
    g_byte_array_unref(*buffer);
    *buffer = g_byte_array_new();
}

/* --- frames of ours -----------------------------------------------------------------------------
 */

static void put_frame(struct h2_stream *stream, enum ws_opcode opcode, bool fin, const void *data,
                      gsize length)
{
    guint8 head[WS_HEAD_MAX];
    gsize n = ws_frame_head(head, opcode, fin, length);
    g_byte_array_append(stream->frames, head, (guint)n);
    g_byte_array_append(stream->frames, data, (guint)length);
}

static void put_close(struct h2_stream *stream, int code, const char *reason)
{
    guint8 data[WS_CONTROL_MAX];
    gsize length = reason ? strlen(reason) : 0;
    if (length > sizeof data - 2)
        length = (gsize)(g_utf8_find_prev_char(reason, reason + sizeof data - 1) - reason);
    data[0] = (guint8)(code >> 8);
    data[1] = (guint8)code;
    if (length)
        memcpy(data + 2, reason, length);
    put_frame(stream, WS_CLOSE, true, data, 2 + length);
    stream->close_sent = true;
}

/* False: nothing to send. */
static bool make_frame(struct h2_stream *stream)
{
    struct link_piece piece;
    if (!stream->link || stream->close_sent)
        return false;
    switch (link_wire_next(stream->link, PIECE_MAX, &piece)) {
    case LINK_OUT_NOTHING:
        return false;
    case LINK_OUT_PING:
        put_frame(stream, WS_PING, true, "p", 1);
        return true;
    case LINK_OUT_PIECE:
        put_frame(stream, piece.first ? WS_TEXT : WS_CONTINUATION, piece.last, piece.data,
                  piece.length);
        return true;
    case LINK_OUT_CLOSE:
        put_close(stream, stream->link->close_code, stream->link->close_reason);
        return true;
    }
    return false;
}

static gssize read_frames(nghttp2_session *session, int32_t id, uint8_t *buffer, size_t length,
                          uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct h2_stream *stream = source->ptr;
    while (stream->frames->len - stream->frames_at < length && make_frame(stream))
        continue;
    gsize part = MIN(length, stream->frames->len - stream->frames_at);
    if (part)
        memcpy(buffer, stream->frames->data + stream->frames_at, part);
    stream->frames_at += part;
    if (stream->frames_at < stream->frames->len)
        return (gssize)part;
    clear(&stream->frames);
    stream->frames_at = 0;
    if (stream->ending)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    else if (!part)
        return NGHTTP2_ERR_DEFERRED;
    return (gssize)part;
}

/* --- frames of the peer -------------------------------------------------------------------------
 */

static void on_piece(void *user, const guint8 *data, gsize length, bool first, bool last,
                     bool binary)
{
    struct h2_stream *stream = user;
    if (stream->link)
        link_wire_received(stream->link, data, length, first, last, binary);
}

static void hear_close(struct h2_stream *stream, const guint8 *data, gsize length)
{
    int code = length >= 2 ? data[0] << 8 | data[1] : 1005; /* RFC 6455 7.1.5 */
    g_autofree char *reason =
        length > 2 ? g_utf8_make_valid((const char *)data + 2, (gssize)length - 2) : NULL;
    stream->close_heard = true;
    if (!stream->link)
        return;
    link_wire_peer_closed(stream->link, code, reason);
    if (!stream->close_sent && length >= 2)
        put_close(stream, code, NULL);
    else if (!stream->close_sent)
        put_frame(stream, WS_CLOSE, true, "", 0);
    stream->close_sent = true;
    end(stream);
}

static void on_control(void *user, enum ws_opcode opcode, const guint8 *data, gsize length)
{
    struct h2_stream *stream = user;
    if (stream->close_heard)
        return;
    if (stream->link && opcode == WS_PONG)
        link_wire_heard(stream->link);
    if (opcode == WS_CLOSE)
        hear_close(stream, data, length);
    /* One answer at a time: pings that come faster than their pongs leave are not all answered
     * (RFC 6455 5.5.3). */
    if (opcode == WS_PING && !stream->close_sent && stream->frames->len < PIECE_MAX) {
        put_frame(stream, WS_PONG, true, data, length);
        wake(stream);
    }
}

static const struct ws_frame_ops frame_ops = {.piece = on_piece, .control = on_control};

static void read_step(struct h2_stream *stream, const guint8 *data, gsize length)
{
    bool broken = stream->reader.broken;
    if (!ws_frame_read(&stream->reader, data, length, &frame_ops, stream) && !broken &&
        stream->link)
        link_problem_close(stream->link, LINK_CLOSE_PROTOCOL_ERROR, "not a frame of WebSocket");
    nghttp2_session_consume(stream->connection->session, stream->id, length);
}

void h2_link_received(struct h2_stream *stream, const guint8 *data, gsize length)
{
    if (!stream->frames) { /* the body of something else */
        nghttp2_session_consume(stream->connection->session, stream->id, length);
        return;
    }
    while (length && !stream->paused && !stream->held->len) {
        gsize part = MIN(length, READ_STEP);
        read_step(stream, data, part);
        data += part;
        length -= part;
    }
    g_byte_array_append(stream->held, data, (guint)length);
}

static void take_up(struct h2_stream *stream)
{
    gsize at = 0;
    while (at < stream->held->len && (!stream->paused || !stream->link)) {
        gsize part = MIN(stream->held->len - at, READ_STEP);
        read_step(stream, stream->held->data + at, part);
        at += part;
    }
    if (at == stream->held->len)
        clear(&stream->held);
    else if (at)
        g_byte_array_remove_range(stream->held, 0, (guint)at);
}

void h2_link_work(struct h2_stream *stream)
{
    if (!stream->wake || !stream->frames)
        return;
    stream->wake = false;
    take_up(stream);
    nghttp2_session_resume_data(stream->connection->session, stream->id);
}

/* --- the beginning ------------------------------------------------------------------------------
 */

static void open_link(struct h2_stream *stream, const struct link_endpoint *endpoint)
{
    struct h2_connection *connection = stream->connection;
    loop_timer_stop(stream->deadline);
    ws_frame_reader_init(&stream->reader);
    stream->frames = g_byte_array_new();
    stream->held = g_byte_array_new();
    stream->counted = true;
    ws_account_link(&connection->account, 1);
    struct link_setup setup;
    ws_handshake_setup(&connection->account, endpoint, &setup);
    setup.transport = LINK_HTTP2;
    setup.tls_version = ws_tls_version(connection->ssl);
    setup.certificate_names = ws_tls_peer_names(connection->ssl);
    setup.wire_ops = &wire_ops;
    setup.wire = stream;
    stream->link = link_new(&setup);
}

static nghttp2_nv field(const char *name, const char *value)
{
    return (nghttp2_nv){.name = (uint8_t *)name,
                        .value = (uint8_t *)value,
                        .namelen = strlen(name),
                        .valuelen = strlen(value)};
}

void h2_link_request(struct h2_stream *stream)
{
    const struct h2_request *request = &stream->request;
    const struct ws_handshake handshake = {
        .path = request->path,
        .origin = request->origin,
        .version = request->version,
        .subprotocols = request->subprotocols,
    };
    const struct link_endpoint *endpoint = NULL;
    guint status = strcmp(request->protocol, "websocket") != 0
                       ? 501 /* RFC 9220 3 says so of the next version */
                       : ws_handshake_check(&stream->connection->account, &handshake, &endpoint);
    if (status) {
        h2_page_refuse(stream, status);
        return;
    }
    nghttp2_nv fields[] = {field(":status", "200"),
                           field("sec-websocket-protocol", endpoint->protocol->subprotocol)};
    nghttp2_data_provider provider = {.source.ptr = stream, .read_callback = read_frames};
    open_link(stream, endpoint);
    h2_stream_respond(stream, fields, request->subprotocols ? 2 : 1, &provider);
    link_wire_opened(stream->link);
}
