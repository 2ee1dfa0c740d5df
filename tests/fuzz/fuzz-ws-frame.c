/* SPDX-License-Identifier: Apache-2.0 */
/* WebSocket frames over HTTP/2 and the first look at a new connection. The first octet is the size
 * of the steps in which the rest is read. Properties: what is told does not depend on how the
 * octets arrive; a first look at more octets never changes its mind. */
#include "tests/fuzz/fuzz.h"
#include "wsf-link/ws-frame.h"
#include "wsf-link/ws-peek.h"

#include <string.h>

/* Pieces of one message run together, so that two ways of arriving compare equal. */
static void on_piece(void *user, const guint8 *data, gsize length, bool first, bool last,
                     bool binary)
{
    GByteArray *told = user;
    const guint8 begin[] = {'<', binary};
    if (first)
        g_byte_array_append(told, begin, sizeof begin);
    g_byte_array_append(told, data, (guint)length);
    if (last)
        g_byte_array_append(told, (const guint8 *)">", 1);
}

static void on_control(void *user, enum ws_opcode opcode, const guint8 *data, gsize length)
{
    GByteArray *told = user;
    const guint8 head[] = {'{', (guint8)opcode, (guint8)length};
    g_assert_cmpuint(length, <=, WS_CONTROL_MAX);
    g_byte_array_append(told, head, sizeof head);
    g_byte_array_append(told, data, (guint)length);
}

static GByteArray *read_in_steps(const uint8_t *data, size_t size, size_t step)
{
    static const struct ws_frame_ops ops = {.piece = on_piece, .control = on_control};
    struct ws_frame_reader reader;
    GByteArray *told = g_byte_array_new();
    bool good = true;
    ws_frame_reader_init(&reader);
    for (size_t at = 0; at < size; at += step) {
        bool now = ws_frame_read(&reader, data + at, MIN(step, size - at), &ops, told);
        g_assert(good || !now);
        good = now;
    }
    if (!good)
        g_byte_array_append(told, (const guint8 *)"!", 1);
    return told;
}

static void look(enum ws_peek (*peek)(const guint8 *, gsize), const uint8_t *data, size_t size)
{
    enum ws_peek decided = WS_PEEK_MORE;
    for (size_t length = 0; length <= MIN(size, 512); length++) {
        enum ws_peek now = peek(data, length);
        g_assert(decided == WS_PEEK_MORE || now == decided);
        decided = now;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    GByteArray *whole = read_in_steps(data + 1, size - 1, MAX(size, 1));
    GByteArray *steps = read_in_steps(data + 1, size - 1, (size_t)data[0] + 1);
    g_assert_cmpmem(whole->data, whole->len, steps->data, steps->len);
    g_byte_array_unref(whole);
    g_byte_array_unref(steps);
    look(ws_peek_clear, data, size);
    look(ws_peek_tls, data, size);
    return 0;
}
