/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the decision between the two stacks behind one port: HTTP/1.1 belongs to libwebsockets,
 * which brings its own TLS, HTTP/2 to h2-*.c. A TLS client says what it offers in its first
 * message; who offers HTTP/2 gets it. What is odd goes to HTTP/1.1, where TLS itself refuses it. */
#include "wsf-link/ws-peek.h"

#include <stdbool.h>
#include <string.h>

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

enum ws_peek ws_peek_clear(const guint8 *data, gsize length)
{
    gsize known = MIN(length, sizeof preface - 1);
    if (memcmp(data, preface, known) != 0)
        return WS_PEEK_HTTP1;
    return known < sizeof preface - 1 ? WS_PEEK_MORE : WS_PEEK_HTTP2;
}

/* What is left of a structure of TLS. */
struct view {
    const guint8 *at;
    gsize left;
    bool short_of; /* more was asked than there is */
};

static const guint8 *take(struct view *view, gsize length)
{
    if (view->short_of || length > view->left) {
        view->short_of = true;
        return NULL;
    }
    const guint8 *taken = view->at;
    view->at += length;
    view->left -= length;
    return taken;
}

static gsize take_number(struct view *view, guint octets)
{
    const guint8 *data = take(view, octets);
    gsize number = 0;
    for (guint i = 0; data && i < octets; i++)
        number = number << 8 | data[i];
    return number;
}

/* A vector with a length of so many octets in front. */
static struct view take_vector(struct view *view, guint octets)
{
    gsize length = take_number(view, octets);
    struct view inside = {.left = length};
    inside.at = take(view, length);
    inside.short_of = view->short_of;
    if (inside.short_of)
        inside.left = 0;
    return inside;
}

static bool offers_h2(struct view extension)
{
    struct view names = take_vector(&extension, 2);
    while (!names.short_of && names.left) {
        struct view name = take_vector(&names, 1);
        if (!name.short_of && name.left == 2 && !memcmp(name.at, "h2", 2))
            return true;
    }
    return false;
}

enum ws_peek ws_peek_tls(const guint8 *data, gsize length)
{
    struct view view = {.at = data, .left = length};
    gsize type = take_number(&view, 1), version = take_number(&view, 2);
    if (length && type != 22) /* RFC 8446 5.1: handshake */
        return WS_PEEK_HTTP1;
    struct view record = take_vector(&view, 2);
    if (record.short_of)
        return length < WS_PEEK_OCTETS ? WS_PEEK_MORE : WS_PEEK_HTTP1;
    gsize message = take_number(&record, 1); /* RFC 8446 4: ClientHello */
    struct view hello = take_vector(&record, 3);
    take(&hello, 2 + 32); /* version, random */
    take_vector(&hello, 1);
    take_vector(&hello, 2);
    take_vector(&hello, 1);
    struct view extensions = take_vector(&hello, 2);
    if (version >> 8 != 3 || message != 1)
        return WS_PEEK_HTTP1;
    while (!extensions.short_of && extensions.left) {
        gsize name = take_number(&extensions, 2);
        struct view extension = take_vector(&extensions, 2);
        if (!extension.short_of && name == 16 && offers_h2(extension))
            return WS_PEEK_HTTP2;
    }
    return WS_PEEK_HTTP1;
}
