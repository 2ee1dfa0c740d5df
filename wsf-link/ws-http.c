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

struct head {
    struct lws *wsi;
    unsigned char buffer[LWS_PRE + HEAD_MAX], *at, *end;
    bool failed;
};

static void put(void *user, const char *name, const char *value)
{
    struct head *head = user;
    g_autofree char *token = g_strconcat(name, ":", NULL);
    if (!head->failed)
        head->failed = lws_add_http_header_by_name(head->wsi, (const unsigned char *)token,
                                                   (const unsigned char *)value, (int)strlen(value),
                                                   &head->at, head->end);
}

static int write_head(struct lws *wsi, const struct http_answer *answer, const char *allow)
{
    struct head head = {.wsi = wsi};
    unsigned char *start = head.at = head.buffer + LWS_PRE;
    head.end = head.buffer + sizeof head.buffer - 1;
    head.failed = lws_add_http_header_status(wsi, answer->status, &head.at, head.end);
    http_answer_head(answer, allow, put, &head);
    if (!head.failed && answer->status != 304)
        head.failed = lws_add_http_header_content_length(wsi, answer->length, &head.at, head.end);
    return head.failed || lws_finalize_write_http_header(wsi, start, &head.at, head.end);
}

int ws_http_refuse(struct lws *wsi, guint status)
{
    struct http_answer answer = {.status = status, .fd = -1};
    return write_head(wsi, &answer, NULL);
}

void ws_http_finish(struct ws_http *http)
{
    if (http->busy)
        http_answer_clear(&http->answer);
    *http = (struct ws_http){0};
}

static int complete(struct ws_connection *connection, struct lws *wsi)
{
    ws_http_finish(&connection->http);
    loop_timer_start(connection->deadline, connection->account.listener->handshake_ms);
    return lws_http_transaction_completed(wsi) ? -1 : 0;
}

static gssize read_piece(struct ws_http *http, guint8 *out, gsize length)
{
    if (http->answer.fd >= 0)
        return pread(http->answer.fd, out, length, (off_t)http->sent);
    memcpy(out, http->answer.body + http->sent, length);
    return (gssize)length;
}

static int write_body(struct ws_connection *connection, struct lws *wsi)
{
    static guint8 scratch[LWS_PRE + PIECE_MAX];
    struct ws_http *http = &connection->http;
    do {
        guint64 left = http->answer.length - http->sent;
        gssize got = read_piece(http, scratch + LWS_PRE, MIN(left, PIECE_MAX));
        if (got <= 0) /* the file shrank under us: the length is told already */
            return -1;
        http->sent += (guint64)got;
        bool last = http->sent == http->answer.length;
        if (lws_write(wsi, scratch + LWS_PRE, (gsize)got,
                      last ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) < 0)
            return -1;
        if (last)
            return complete(connection, wsi);
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

static int handle_request(struct ws_connection *connection, struct lws *wsi, const char *path,
                          gsize length)
{
    struct ws_http *http = &connection->http;
    struct link_listener *listener = connection->account.listener;
    char tag[256];
    bool head = is_head(wsi);
    if (http->busy)
        return -1;
    if ((!head && !is_get(wsi)) || has_body(wsi)) {
        struct http_answer refusal = {.status = head || is_get(wsi) ? 400 : 405, .fd = -1};
        write_head(wsi, &refusal, "GET, HEAD");
        return -1;
    }
    bool whole = strlen(path) == length && length < 2048;
    bool tagged = copy_header(wsi, WSI_TOKEN_HTTP_IF_NONE_MATCH, tag, sizeof tag);
    http_server_answer(listener->http, whole ? path : "", tagged ? tag : NULL, &http->answer);
    http->busy = true;
    http->sent = 0;
    guint64 time = ANSWER_MS + http->answer.length / OCTETS_PER_MS;
    loop_timer_start(connection->deadline, (guint)MIN(time, G_MAXINT));
    lws_set_timeout(wsi, NO_PENDING_TIMEOUT, 0); /* it counts whole answers against 10 s */
    if (write_head(wsi, &http->answer, NULL))
        return -1;
    if (head || !http->answer.length)
        return complete(connection, wsi);
    lws_callback_on_writable(wsi);
    return 0;
}

int ws_http_event(struct ws_connection *connection, struct lws *wsi,
                  enum lws_callback_reasons reason, void *in, size_t length)
{
    switch ((int)reason) {
    case LWS_CALLBACK_HTTP:
        return handle_request(connection, wsi, in, length);
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return connection->http.busy ? write_body(connection, wsi) : 0;
    default:
        return 0;
    }
}
