/* SPDX-License-Identifier: Apache-2.0 */
/* What a connection speaks, by its first octets. The ClientHellos are OpenSSL's own. */
#include "wsf-link/ws-peek.h"

#include <openssl/ssl.h>
#include <string.h>

/* The first flight of a client that offers `alpn` (RFC 7301 form; NULL: none). */
static GByteArray *hello(const char *alpn, int version)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_min_proto_version(context, version);
    SSL_CTX_set_max_proto_version(context, version);
    if (alpn)
        SSL_CTX_set_alpn_protos(context, (const guint8 *)alpn, (unsigned)strlen(alpn));
    SSL *ssl = SSL_new(context);
    BIO *out = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), out);
    SSL_set_connect_state(ssl);
    SSL_do_handshake(ssl);
    char *data;
    long length = BIO_get_mem_data(out, &data);
    GByteArray *octets = g_byte_array_new();
    g_byte_array_append(octets, (guint8 *)data, (guint)length);
    SSL_free(ssl);
    SSL_CTX_free(context);
    return octets;
}

static void test_tls(void)
{
    static const struct {
        const char *alpn;
        enum ws_peek peek;
    } rows[] = {
        {NULL, WS_PEEK_HTTP1},
        {"\x08http/1.1", WS_PEEK_HTTP1},
        {"\x02h2", WS_PEEK_HTTP2},
        {"\x02h2\x08http/1.1", WS_PEEK_HTTP2},
        {"\x08http/1.1\x02h2", WS_PEEK_HTTP2},
        {"\x03h2c\x02h3", WS_PEEK_HTTP1},
    };
    const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
        for (guint j = 0; j < G_N_ELEMENTS(versions); j++) {
            g_autoptr(GByteArray) octets = hello(rows[i].alpn, versions[j]);
            g_assert_cmpint(ws_peek_tls(octets->data, octets->len), ==, rows[i].peek);
            for (guint length = 0; length < octets->len; length++)
                g_assert_cmpint(ws_peek_tls(octets->data, length), ==, WS_PEEK_MORE);
        }
}

/* Whatever the octets are, the answer comes from inside of them. */
static void test_noise(void)
{
    g_autoptr(GByteArray) good = hello("\x02h2", TLS1_3_VERSION);
    for (guint i = 0; i < good->len; i++)
        for (guint value = 0; value < 256; value += 51) {
            guint8 *bent = g_memdup2(good->data, good->len);
            bent[i] = (guint8)value;
            ws_peek_tls(bent, good->len);
            g_free(bent);
        }
    g_assert_cmpint(ws_peek_tls((const guint8 *)"GET / HTTP/1.1\r\n", 16), ==, WS_PEEK_HTTP1);
    g_autofree guint8 *many = g_malloc0(WS_PEEK_OCTETS);
    memcpy(many, "\x16\x03\x01\xff\xff", 5);
    g_assert_cmpint(ws_peek_tls(many, WS_PEEK_OCTETS), ==, WS_PEEK_HTTP1);
}

static void test_clear(void)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    for (gsize length = 0; length < sizeof preface - 1; length++)
        g_assert_cmpint(ws_peek_clear((const guint8 *)preface, length), ==, WS_PEEK_MORE);
    g_assert_cmpint(ws_peek_clear((const guint8 *)preface, sizeof preface - 1), ==, WS_PEEK_HTTP2);
    g_assert_cmpint(ws_peek_clear((const guint8 *)"POST", 4), ==, WS_PEEK_HTTP1);
    g_assert_cmpint(ws_peek_clear((const guint8 *)"G", 1), ==, WS_PEEK_HTTP1);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ws-peek/tls", test_tls);
    g_test_add_func("/ws-peek/noise", test_noise);
    g_test_add_func("/ws-peek/clear", test_clear);
    return g_test_run();
}
