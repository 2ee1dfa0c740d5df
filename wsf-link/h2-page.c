/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the transmission of HTTP answers over HTTP/2, as ws-http.c does over HTTP/1.1: bodies are
 * read from the open file or the page's text when the peer's window takes them, and an answer has
 * its time to leave. */
#define LOG_CATEGORY "link"
#include "wsf-link/h2-core.h"

#include <string.h>

#define ANSWER_MS 60000
#define OCTETS_PER_MS 4 /* a reader slower than 4 kB/s is given up */
#define FIELDS_MAX 16

struct head {
    nghttp2_nv fields[FIELDS_MAX];
    gsize length;
};

static void put(void *user, const char *name, const char *value)
{
    struct head *head = user;
    g_assert(head->length < FIELDS_MAX);
    head->fields[head->length++] = (nghttp2_nv){.name = (uint8_t *)name,
                                                .value = (uint8_t *)value,
                                                .namelen = strlen(name),
                                                .valuelen = strlen(value)};
}

static gssize read_body(nghttp2_session *session, int32_t id, uint8_t *buffer, size_t length,
                        uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct h2_stream *stream = source->ptr;
    const struct http_answer *answer = &stream->answer;
    gsize part = MIN(length, answer->length - stream->sent);
    gssize got = (gssize)part;
    if (answer->fd >= 0)
        got = pread(answer->fd, buffer, part, (off_t)stream->sent);
    else
        memcpy(buffer, answer->body + stream->sent, part);
    if (got <= 0) /* the file shrank under us: the length is told already */
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    stream->sent += (guint64)got;
    if (stream->sent == answer->length)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return got;
}

static void respond(struct h2_stream *stream, const char *allow, bool with_body)
{
    const struct http_answer *answer = &stream->answer;
    struct head head = {.length = 0};
    char status[12], length[24];
    g_snprintf(status, sizeof status, "%u", answer->status);
    g_snprintf(length, sizeof length, "%" G_GUINT64_FORMAT, answer->length);
    put(&head, ":status", status);
    put(&head, "server", "eirtcw");
    http_answer_head(answer, allow, put, &head);
    if (answer->status != 304)
        put(&head, "content-length", length);
    nghttp2_data_provider provider = {.source.ptr = stream, .read_callback = read_body};
    stream->answering = true;
    guint64 time = ANSWER_MS + answer->length / OCTETS_PER_MS;
    loop_timer_start(stream->deadline, (guint)MIN(time, G_MAXINT));
    h2_stream_respond(stream, head.fields, head.length,
                      with_body && answer->length ? &provider : NULL);
}

void h2_page_refuse(struct h2_stream *stream, guint status)
{
    stream->answer = (struct http_answer){.status = status, .fd = -1};
    respond(stream, status == 405 ? "GET, HEAD" : NULL, false);
}

void h2_page_request(struct h2_stream *stream)
{
    const struct h2_request *request = &stream->request;
    bool head = !strcmp(request->method, "HEAD");
    if (!head && strcmp(request->method, "GET") != 0) {
        h2_page_refuse(stream, 405);
        return;
    }
    if (!request->ended || !request->path) {
        h2_page_refuse(stream, 400);
        return;
    }
    g_autofree char *bare = g_strndup(request->path, strcspn(request->path, "?#"));
    g_autofree char *path = g_uri_unescape_string(bare, NULL);
    http_server_answer(stream->connection->account.listener->http, path ? path : "",
                       request->if_none_match, &stream->answer);
    respond(stream, NULL, !head);
}

void h2_page_finish(struct h2_stream *stream)
{
    if (stream->answering)
        http_answer_clear(&stream->answer);
    stream->answering = false;
}
