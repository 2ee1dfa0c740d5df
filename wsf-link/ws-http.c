/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the transmission of HTTP answers through libwebsockets. Bodies leave in pieces of 8 kB as
 * the socket takes them, read from the open file or the page's text. An answer has its time to
 * leave and a kept connection that of a handshake for the next request; nothing but GET and HEAD is
 * taken, and a request that brings a body loses its connection, which spares us reading it. */
#define LOG_CATEGORY "link"
#include "wsf-link/ws-server.h"

#include <string.h>
#include <unistd.h>

#define PIECE_MAX 8192
#define HEAD_MAX 4096
#define ANSWER_MS 60000
#define OCTETS_PER_MS 4 /* a reader slower than 4 kB/s is given up */

/* Scripts and styles of our own origin only; the page connects to its own listener (and, for
 * development, to another port of it). */
#define CONTENT_POLICY                                                                             \
    "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data: blob:; "                \
    "media-src 'self' blob: mediastream:; object-src 'none'; base-uri 'none'; "                    \
    "form-action 'self'; frame-ancestors 'none'"

struct head {
    struct lws *wsi;
    unsigned char buffer[LWS_PRE + HEAD_MAX], *at, *end;
    bool failed;
};

static void put(struct head *head, const char *name, const char *value)
{
    if (value && !head->failed)
        head->failed = lws_add_http_header_by_name(head->wsi, (const unsigned char *)name,
                                                   (const unsigned char *)value, (int)strlen(value),
                                                   &head->at, head->end);
}

/* `whole`: no body follows. */
static int write_head(struct lws *wsi, const struct http_answer *answer, const char *allow,
                      bool whole)
{
    struct head head = {.wsi = wsi};
    unsigned char *start = head.at = head.buffer + LWS_PRE;
    head.end = head.buffer + sizeof head.buffer - 1;
    head.failed = lws_add_http_header_status(wsi, answer->status, &head.at, head.end);
    put(&head, "content-type:", answer->content_type);
    put(&head, "etag:", answer->etag);
    put(&head, "location:", answer->location);
    put(&head, "allow:", allow);
    /* Files are checked by their tag each time, pages are never kept. */
    put(&head, "cache-control:", answer->etag ? "no-cache" : "no-store");
    put(&head, "x-content-type-options:", "nosniff");
    put(&head, "referrer-policy:", "no-referrer");
    put(&head, "cross-origin-resource-policy:", "same-origin");
    put(&head, "content-security-policy:", answer->html ? CONTENT_POLICY : NULL);
    if (answer->status == 503)
        put(&head, "retry-after:", "5");
    if (answer->status == 426)
        put(&head, "sec-websocket-version:", "13"); /* RFC 6455 4.2.2 */
    if (!head.failed && answer->status != 304)
        head.failed = lws_add_http_header_content_length(wsi, answer->length, &head.at, head.end);
    if (head.failed || lws_finalize_http_header(wsi, &head.at, head.end))
        return -1;
    int kind = LWS_WRITE_HTTP_HEADERS;
    if (whole && ws_is_h2_stream(wsi)) /* HTTP/1.1 takes the end from the length */
        kind |= LWS_WRITE_H2_STREAM_END;
    return lws_write(wsi, start, (gsize)(head.at - start), (enum lws_write_protocol)kind) < 0;
}

int ws_http_refuse(struct lws *wsi, guint status)
{
    struct http_answer answer = {.status = status, .fd = -1};
    return write_head(wsi, &answer, NULL, true);
}

void ws_http_finish(struct ws_http *http)
{
    if (http->busy)
        http_answer_clear(&http->answer);
    *http = (struct ws_http){0};
}

static int complete(struct ws_stream *stream, struct lws *wsi)
{
    ws_http_finish(&stream->http);
    loop_timer_start(stream->deadline, stream->connection->listener->handshake_ms);
    return lws_http_transaction_completed(wsi) ? -1 : 0;
}

static gssize read_piece(struct ws_http *http, guint8 *out, gsize length)
{
    if (http->answer.fd >= 0)
        return pread(http->answer.fd, out, length, (off_t)http->sent);
    memcpy(out, http->answer.body + http->sent, length);
    return (gssize)length;
}

static int write_body(struct ws_stream *stream, struct lws *wsi)
{
    static guint8 scratch[LWS_PRE + PIECE_MAX];
    struct ws_http *http = &stream->http;
    do {
        guint64 left = MIN(http->answer.length - http->sent, PIECE_MAX);
        gsize room = ws_is_h2_stream(wsi) ? ws_h2_credit(wsi) : PIECE_MAX;
        if (!room)
            return 0; /* the peer's window opens: we are called */
        gssize got = read_piece(http, scratch + LWS_PRE, MIN(left, room));
        if (got <= 0) /* the file shrank under us: the length is told already */
            return -1;
        http->sent += (guint64)got;
        bool last = http->sent == http->answer.length;
        if (lws_write(wsi, scratch + LWS_PRE, (gsize)got,
                      last ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) < 0)
            return -1;
        if (last)
            return complete(stream, wsi);
    } while (!lws_send_pipe_choked(wsi));
    lws_callback_on_writable(wsi);
    return 0;
}

static bool copy_header(struct lws *wsi, enum lws_token_indexes token, char *text, int size)
{
    return lws_hdr_total_length(wsi, token) > 0 && lws_hdr_copy(wsi, text, size, token) > 0;
}

static bool has_body(struct lws *wsi)
{
    char length[24];
    if (lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) > 0)
        return true;
    return lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH) > 0 &&
           (!copy_header(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH, length, sizeof length) ||
            strcmp(length, "0") != 0);
}

static bool is_head(struct lws *wsi)
{
    char method[8];
    return lws_hdr_total_length(wsi, WSI_TOKEN_HEAD_URI) > 0 ||
           (copy_header(wsi, WSI_TOKEN_HTTP_COLON_METHOD, method, sizeof method) &&
            !strcasecmp(method, "HEAD"));
}

static bool is_get(struct lws *wsi)
{
    char method[8];
    return lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI) > 0 ||
           (copy_header(wsi, WSI_TOKEN_HTTP_COLON_METHOD, method, sizeof method) &&
            !strcasecmp(method, "GET"));
}

static int handle_request(struct ws_stream *stream, struct lws *wsi, const char *path, gsize length)
{
    struct ws_http *http = &stream->http;
    struct link_listener *listener = stream->connection->listener;
    char tag[256];
    bool head = is_head(wsi);
    if (http->busy)
        return -1;
    if ((!head && !is_get(wsi)) || has_body(wsi)) {
        struct http_answer refusal = {.status = head || is_get(wsi) ? 400 : 405, .fd = -1};
        write_head(wsi, &refusal, "GET, HEAD", true);
        return -1;
    }
    bool plain = strlen(path) == length && length < 2048;
    bool tagged = copy_header(wsi, WSI_TOKEN_HTTP_IF_NONE_MATCH, tag, sizeof tag);
    http_server_answer(listener->http, plain ? path : "", tagged ? tag : NULL, &http->answer);
    http->busy = true;
    http->sent = 0;
    guint64 time = ANSWER_MS + http->answer.length / OCTETS_PER_MS;
    loop_timer_start(stream->deadline, (guint)MIN(time, G_MAXINT));
    lws_set_timeout(wsi, NO_PENDING_TIMEOUT, 0); /* it counts whole answers against 10 s */
    bool whole = head || !http->answer.length;
    if (write_head(wsi, &http->answer, NULL, whole))
        return -1;
    if (whole)
        return complete(stream, wsi);
    lws_callback_on_writable(wsi);
    return 0;
}

int ws_http_event(struct ws_stream *stream, struct lws *wsi, enum lws_callback_reasons reason,
                  void *in, size_t length)
{
    switch ((int)reason) {
    case LWS_CALLBACK_HTTP:
        return handle_request(stream, wsi, in, length);
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return stream->http.busy ? write_body(stream, wsi) : 0;
    default:
        return 0;
    }
}
