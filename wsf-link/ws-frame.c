/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the framing of RFC 6455 for links over HTTP/2, where libwebsockets is not in the path.
 * Payload is unmasked and told as it comes, nothing of a message is kept here: the link has the
 * caps and the reassembly. Only control frames, 125 octets at most, are collected. */
#include "wsf-link/ws-frame.h"

#include <string.h>

#define CHUNK 4096

void ws_frame_reader_init(struct ws_frame_reader *reader)
{
    *reader = (struct ws_frame_reader){.need = 2};
}

static bool is_control(enum ws_opcode opcode)
{
    return opcode >= WS_CLOSE;
}

/* RFC 6455 5.2, 5.4, 5.5; no extension was negotiated, so the reserved bits are 0. */
static bool check_start(struct ws_frame_reader *reader)
{
    guint length = reader->head[1] & 0x7f;
    reader->fin = reader->head[0] & 0x80;
    reader->opcode = (enum ws_opcode)(reader->head[0] & 0x0f);
    if (reader->head[0] & 0x70 || !(reader->head[1] & 0x80))
        return false;
    switch (reader->opcode) {
    case WS_CONTINUATION:
        if (!reader->inside)
            return false;
        break;
    case WS_TEXT:
    case WS_BINARY:
        if (reader->inside)
            return false;
        break;
    case WS_CLOSE:
    case WS_PING:
    case WS_PONG:
        if (!reader->fin || length > WS_CONTROL_MAX)
            return false;
        break;
    default:
        return false;
    }
    reader->need = 2 + 4 + (length == 126 ? 2 : length == 127 ? 8 : 0);
    return true;
}

static bool take_head(struct ws_frame_reader *reader)
{
    guint length = reader->head[1] & 0x7f, at = 2;
    guint64 left = length;
    if (length >= 126) {
        guint octets = length == 126 ? 2 : 8;
        for (left = 0; at < 2 + octets; at++)
            left = left << 8 | reader->head[at];
        if (left >> 63 || left < (octets == 2 ? 126 : 65536))
            return false; /* RFC 6455 5.2: the shortest form */
    }
    reader->left = left;
    memcpy(reader->mask, reader->head + at, sizeof reader->mask);
    reader->mask_at = 0;
    reader->begins = true;
    reader->control_length = 0;
    if (!is_control(reader->opcode)) {
        if (reader->opcode != WS_CONTINUATION)
            reader->binary = reader->opcode == WS_BINARY;
        reader->inside = !reader->fin;
    }
    return true;
}

static void unmask(struct ws_frame_reader *reader, guint8 *out, const guint8 *in, gsize length)
{
    for (gsize i = 0; i < length; i++)
        out[i] = in[i] ^ reader->mask[reader->mask_at++ & 3];
}

/* A part of the payload, or its whole when it is empty. */
static void take_payload(struct ws_frame_reader *reader, const guint8 *data, gsize length,
                         const struct ws_frame_ops *ops, void *user)
{
    guint8 plain[CHUNK];
    reader->left -= length;
    if (is_control(reader->opcode)) {
        unmask(reader, reader->control + reader->control_length, data, length);
        reader->control_length += (guint)length;
        if (!reader->left)
            ops->control(user, reader->opcode, reader->control, reader->control_length);
        return;
    }
    unmask(reader, plain, data, length);
    bool first = reader->begins && reader->opcode != WS_CONTINUATION;
    reader->begins = false;
    ops->piece(user, plain, length, first, reader->fin && !reader->left, reader->binary);
}

bool ws_frame_read(struct ws_frame_reader *reader, const guint8 *data, gsize length,
                   const struct ws_frame_ops *ops, void *user)
{
    while (!reader->broken && length) {
        if (reader->got < reader->need) {
            reader->head[reader->got++] = *data++;
            length--;
            if (reader->got == 2)
                reader->broken = !check_start(reader);
            if (reader->broken || reader->got < reader->need)
                continue;
            reader->broken = !take_head(reader);
            if (!reader->broken && !reader->left)
                take_payload(reader, data, 0, ops, user);
        } else {
            gsize part = MIN(MIN(length, reader->left), CHUNK);
            take_payload(reader, data, part, ops, user);
            data += part;
            length -= part;
        }
        if (!reader->broken && reader->got == reader->need && !reader->left) {
            reader->got = 0;
            reader->need = 2;
        }
    }
    return !reader->broken;
}

gsize ws_frame_head(guint8 *ret_head, enum ws_opcode opcode, bool fin, gsize length)
{
    gsize n = 2, octets = length < 126 ? 0 : length < 65536 ? 2 : 8;
    ret_head[0] = (guint8)((fin ? 0x80 : 0) | opcode);
    ret_head[1] = (guint8)(octets == 0 ? length : octets == 2 ? 126 : 127);
    for (gsize i = octets; i; i--)
        ret_head[n++] = (guint8)((guint64)length >> (8 * (i - 1)));
    return n;
}
