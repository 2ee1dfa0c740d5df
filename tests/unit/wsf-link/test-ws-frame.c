/* SPDX-License-Identifier: Apache-2.0 */
/* Frames of RFC 6455 as a server reads and writes them, whole and octet by octet. */
#include "wsf-link/ws-frame.h"

#include <string.h>

/* What the reader tells, as text: "T<first" … */
static void on_piece(void *user, const guint8 *data, gsize length, bool first, bool last,
                     bool binary)
{
    g_string_append_printf(user, "%s%s%.*s%s", first ? "<" : "", first && binary ? "b:" : "",
                           (int)length, (const char *)data, last ? ">" : "");
}

static void on_control(void *user, enum ws_opcode opcode, const guint8 *data, gsize length)
{
    g_string_append_printf(user, "{%d %.*s}", opcode, (int)length, (const char *)data);
}

static const struct ws_frame_ops ops = {.piece = on_piece, .control = on_control};

static void put(GByteArray *out, guint8 first, const char *text, gsize length)
{
    static const guint8 mask[4] = {0x12, 0x34, 0x56, 0x78};
    guint8 head[14] = {first};
    gsize n = 2;
    head[1] = 0x80 | (guint8)(length < 126 ? length : length < 65536 ? 126 : 127);
    if (length >= 126)
        for (int shift = length < 65536 ? 8 : 56; shift >= 0; shift -= 8)
            head[n++] = (guint8)((guint64)length >> shift);
    memcpy(head + n, mask, 4);
    g_byte_array_append(out, head, (guint)n + 4);
    for (gsize i = 0; i < length; i++) {
        guint8 octet = (guint8)text[i] ^ mask[i & 3];
        g_byte_array_append(out, &octet, 1);
    }
}

/* Reads in steps of `step` octets; the text, with "!" at its end when a rule was broken. */
static char *told(const GByteArray *in, gsize step)
{
    struct ws_frame_reader reader;
    GString *text = g_string_new(NULL);
    bool good = true;
    ws_frame_reader_init(&reader);
    for (gsize at = 0; at < in->len; at += step)
        good = ws_frame_read(&reader, in->data + at, MIN(step, in->len - at), &ops, text);
    if (!good)
        g_string_append_c(text, '!');
    return g_string_free(text, FALSE);
}

static void expect(GByteArray *in, const char *whole)
{
    const gsize steps[] = {1, 3, 7, 100000};
    for (guint i = 0; i < G_N_ELEMENTS(steps); i++) {
        g_autofree char *text = told(in, steps[i]);
        g_assert_cmpstr(text, ==, whole);
    }
    g_byte_array_set_size(in, 0);
}

static void test_messages(void)
{
    g_autoptr(GByteArray) in = g_byte_array_new();
    put(in, 0x81, "one", 3);
    put(in, 0x81, "", 0);
    put(in, 0x82, "two", 3);
    expect(in, "<one><><b:two>");
    /* RFC 6455 5.4: control frames stand between fragments. */
    put(in, 0x01, "fr", 2);
    put(in, 0x89, "hey", 3);
    put(in, 0x00, "ag", 2);
    put(in, 0x8a, "", 0);
    put(in, 0x80, "", 0);
    put(in, 0x88,
        "\x03\xe8"
        "bye",
        5);
    expect(in, "<fr{9 hey}ag{10 }>{8 \x03\xe8"
               "bye}");
}

static void test_lengths(void)
{
    const gsize lengths[] = {125, 126, 65535, 65536, 200000};
    for (guint i = 0; i < G_N_ELEMENTS(lengths); i++) {
        g_autoptr(GByteArray) in = g_byte_array_new();
        g_autofree char *text = g_strnfill(lengths[i], 'x');
        g_autofree char *whole = g_strdup_printf("<%s>", text);
        put(in, 0x81, text, lengths[i]);
        expect(in, whole);
    }
}

static void test_broken(void)
{
    static const struct {
        const char *octets;
        gsize length;
    } rows[] = {
        {"\x81\x01x", 3},                             /* not masked */
        {"\xc1\x80\0\0\0\0", 6},                      /* a reserved bit */
        {"\x83\x80\0\0\0\0", 6},                      /* no such opcode */
        {"\x80\x80\0\0\0\0", 6},                      /* nothing to continue */
        {"\x01\x80\0\0\0\0\x81\x80\0\0\0\0", 12},     /* a message inside of one */
        {"\x09\x80\0\0\0\0", 6},                      /* a control frame in pieces */
        {"\x89\xfe\0\x7e\0\0\0\0", 8},                /* … too long */
        {"\x81\xfe\0\x05\0\0\0\0", 8},                /* not the shortest length */
        {"\x81\xff\0\0\0\0\0\0\0\x7f\0\0\0\0", 14},   /* … */
        {"\x81\xff\x80\0\0\0\0\x01\0\0\0\0\0\0", 14}, /* above 2^63 */
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GByteArray) in = g_byte_array_new();
        put(in, 0x81, "good", 4);
        g_byte_array_append(in, (const guint8 *)rows[i].octets, (guint)rows[i].length);
        put(in, 0x81, "later", 5);
        expect(in, i == 4 ? "<good><!" : "<good>!");
    }
}

static void test_heads(void)
{
    guint8 head[WS_HEAD_MAX];
    g_assert_cmpuint(ws_frame_head(head, WS_TEXT, true, 5), ==, 2);
    g_assert_cmpmem(head, 2, "\x81\x05", 2);
    g_assert_cmpuint(ws_frame_head(head, WS_CONTINUATION, false, 126), ==, 4);
    g_assert_cmpmem(head, 4, "\x00\x7e\x00\x7e", 4);
    g_assert_cmpuint(ws_frame_head(head, WS_BINARY, true, 70000), ==, 10);
    g_assert_cmpmem(head, 10, "\x82\x7f\0\0\0\0\0\x01\x11\x70", 10);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ws-frame/messages", test_messages);
    g_test_add_func("/ws-frame/lengths", test_lengths);
    g_test_add_func("/ws-frame/broken", test_broken);
    g_test_add_func("/ws-frame/heads", test_heads);
    return g_test_run();
}
