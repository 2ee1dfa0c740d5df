/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the meeting of a link and a libwebsockets connection: pieces in, pieces out. A piece is at
 * most 8 kB and copied into one scratch buffer behind LWS_PRE, because libwebsockets writes its
 * header in front of the data. */
#include "wsf-link/ws-core.h"

#include <string.h>

#define PIECE_MAX 8192
#define PIECES_PER_ROUND 16 /* then other links have their turn */

static void write_soon(void *data)
{
    struct ws_wire *wire = data;
    lws_callback_on_writable(wire->wsi);
    ws_loop_touch(ws_loop_of(wire->wsi));
}

static void read_on_off(void *data, bool on)
{
    struct ws_wire *wire = data;
    struct ws_loop *loop = ws_loop_of(wire->wsi);
    lws_rx_flow_control(wire->wsi, on);
    /* What was read ahead of the pause waits inside libwebsockets for a look. */
    lws_cancel_service(loop->context);
    ws_loop_touch(loop);
}

void ws_wire_drop(struct lws *wsi)
{
    lws_set_timeout(wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_ASYNC);
    lws_cancel_service(lws_get_context(wsi));
    ws_loop_touch(ws_loop_of(wsi));
}

static void drop(void *data)
{
    struct ws_wire *wire = data;
    wire->link = NULL;
    ws_wire_drop(wire->wsi);
}

static bool admit(void *data, gint64 now, guint *ret_wait_ms)
{
    struct ws_wire *wire = data;
    return !wire->admit || wire->admit(wire, now, ret_wait_ms);
}

const struct link_wire_ops ws_wire_ops = {
    .write_soon = write_soon, .read = read_on_off, .kill = drop, .admit = admit};

static int send_close(struct ws_wire *wire)
{
    const char *reason = wire->link->close_reason ? wire->link->close_reason : "";
    /* RFC 6455 5.5: a control frame holds 125 octets, two of them the code. */
    gsize length = strlen(reason);
    if (length > 123)
        length = (gsize)(g_utf8_find_prev_char(reason, reason + 124) - reason);
    lws_close_reason(wire->wsi, (enum lws_close_status)wire->link->close_code,
                     (unsigned char *)reason, length);
    return -1;
}

/* --- out ---------------------------------------------------------------------------------------
 */

/* Negative: the connection failed; 0: nothing more to write now. */
static int write_next(struct ws_wire *wire)
{
    static guint8 scratch[LWS_PRE + PIECE_MAX];
    struct link_piece piece;
    switch (link_wire_next(wire->link, PIECE_MAX, &piece)) {
    case LINK_OUT_NOTHING:
        return 0;
    case LINK_OUT_PING:
        /* libwebsockets does not tell of a pong without payload, so the ping has an octet. */
        scratch[LWS_PRE] = 'p';
        return lws_write(wire->wsi, scratch + LWS_PRE, 1, LWS_WRITE_PING) < 0 ? -1 : 1;
    case LINK_OUT_PIECE:
        memcpy(scratch + LWS_PRE, piece.data, piece.length);
        int kind = lws_write_ws_flags(LWS_WRITE_TEXT, piece.first, piece.last);
        return lws_write(wire->wsi, scratch + LWS_PRE, piece.length,
                         (enum lws_write_protocol)kind) < 0
                   ? -1
                   : 1;
    case LINK_OUT_CLOSE:
        return send_close(wire);
    }
    return 0;
}

static int write_out(struct ws_wire *wire)
{
    for (guint i = 0; i < PIECES_PER_ROUND; i++) {
        int result = write_next(wire);
        if (result <= 0)
            return result;
        if (!link_wire_wants_write(wire->link))
            return 0;
        if (lws_send_pipe_choked(wire->wsi))
            break;
    }
    lws_callback_on_writable(wire->wsi);
    return 0;
}

static void peer_closes(struct ws_wire *wire, const guint8 *in, size_t length)
{
    int code = length >= 2 ? in[0] << 8 | in[1] : 1005; /* RFC 6455 7.1.5 */
    g_autofree char *reason =
        length > 2 ? g_utf8_make_valid((const char *)in + 2, (gssize)length - 2) : NULL;
    link_wire_peer_closed(wire->link, code, reason);
}

bool ws_wire_event(struct ws_wire *wire, enum lws_callback_reasons reason, void *in, size_t length,
                   int *ret_result)
{
    *ret_result = 0;
    switch ((int)reason) {
    case LWS_CALLBACK_RECEIVE:
    case LWS_CALLBACK_CLIENT_RECEIVE:
        if (wire->link)
            link_wire_received(wire->link, in, length, lws_is_first_fragment(wire->wsi),
                               lws_is_final_fragment(wire->wsi), lws_frame_is_binary(wire->wsi));
        return true;
    case LWS_CALLBACK_RECEIVE_PONG:
    case LWS_CALLBACK_CLIENT_RECEIVE_PONG:
        if (wire->link)
            link_wire_heard(wire->link);
        return true;
    case LWS_CALLBACK_SERVER_WRITEABLE:
    case LWS_CALLBACK_CLIENT_WRITEABLE:
        *ret_result = wire->link ? write_out(wire) : -1;
        return true;
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        if (wire->link)
            peer_closes(wire, in, length);
        return true;
    case LWS_CALLBACK_CLOSED:
    case LWS_CALLBACK_CLIENT_CLOSED:
        link_wire_lost(g_steal_pointer(&wire->link));
        return true;
    default:
        return false;
    }
}
