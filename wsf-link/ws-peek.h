/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a new connection will speak, by its first octets, which stay unread. Pure. */
#include <glib.h>

enum ws_peek {
    WS_PEEK_MORE, /* not to be told yet */
    WS_PEEK_HTTP1,
    WS_PEEK_HTTP2,
};

#define WS_PEEK_OCTETS 8192 /* that are looked at; what is not told by then is HTTP/1.1 */

/* Cleartext: the preface of HTTP/2 with prior knowledge (RFC 9113 3.3). */
enum ws_peek ws_peek_clear(const guint8 *data, gsize length);
/* TLS: whether the ClientHello offers "h2" by ALPN (RFC 7301). */
enum ws_peek ws_peek_tls(const guint8 *data, gsize length);
