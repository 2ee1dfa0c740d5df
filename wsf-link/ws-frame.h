/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* WebSocket frames (RFC 6455 5) of the server side: what arrives is masked, what leaves is not.
 * Pure. Threads: any, one at a time. */
#include <glib.h>
#include <stdbool.h>

enum ws_opcode {
    WS_CONTINUATION = 0,
    WS_TEXT = 1,
    WS_BINARY = 2,
    WS_CLOSE = 8,
    WS_PING = 9,
    WS_PONG = 10,
};

#define WS_CONTROL_MAX 125 /* RFC 6455 5.5 */
#define WS_HEAD_MAX 10     /* of a frame that we send */

struct ws_frame_reader {
    guint8 head[14];
    guint got, need; /* octets of the head */
    guint64 left;    /* of the payload */
    guint8 mask[4];
    guint mask_at;
    enum ws_opcode opcode;
    bool fin, begins; /* of the frame; no octet of it was told yet */
    bool inside;      /* a message has begun and not ended */
    bool binary;      /* … of that kind */
    guint8 control[WS_CONTROL_MAX];
    guint control_length;
    bool broken;
};

struct ws_frame_ops {
    /* A piece of a message as it comes. */
    void (*piece)(void *user, const guint8 *data, gsize length, bool first, bool last, bool binary);
    /* A whole control frame: WS_CLOSE, WS_PING, WS_PONG. */
    void (*control)(void *user, enum ws_opcode opcode, const guint8 *data, gsize length);
};

void ws_frame_reader_init(struct ws_frame_reader *reader);
/* Takes what has come. False at a broken rule (RFC 6455: close 1002), from then on always; what the
 * callbacks do to the connection does not stop it: the caller's `user` has to know. */
bool ws_frame_read(struct ws_frame_reader *reader, const guint8 *data, gsize length,
                   const struct ws_frame_ops *ops, void *user);

/* Writes the head of a frame that we send; its length. */
gsize ws_frame_head(guint8 *ret_head, enum ws_opcode opcode, bool fin, gsize length);
