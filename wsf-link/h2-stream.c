/* SPDX-License-Identifier: Apache-2.0 */
/* Owns a stream of HTTP/2: its request, its deadline and its end. A stream has its time like a
 * connection of HTTP/1.1; when it is over the stream is reset, and a connection that does not even
 * take the reset is dropped. */
#define LOG_CATEGORY "link"
#include "wsf-link/h2-core.h"

#include "base/log.h"

#include <string.h>

#define FIELD_MAX 2048
#define RESET_MS 2000 /* to take the reset */

/* --- life ---------------------------------------------------------------------------------------
 */

static void on_deadline(void *data)
{
    struct h2_stream *stream = data;
    struct log_ids ids = {.link = stream->connection->account.peer};
    if (stream->resetting || !stream->requested) { /* half a header blocks the whole connection */
        log_debug(&ids, "does not take what it is sent, or sends half a request; closed");
        h2_connection_drop(stream->connection);
        return;
    }
    log_debug(&ids, "the stream is not done in time, reset");
    h2_stream_reset(stream, NGHTTP2_CANCEL);
}

struct h2_stream *h2_stream_new(struct h2_connection *connection, gint32 id)
{
    struct h2_stream *stream = g_new0(struct h2_stream, 1);
    stream->connection = connection;
    stream->id = id;
    stream->answer.fd = -1;
    stream->deadline = loop_timer_new("handshake deadline", on_deadline, stream);
    loop_timer_start(stream->deadline, connection->account.listener->handshake_ms);
    g_queue_push_tail(&connection->streams, stream);
    loop_timer_stop(connection->deadline);
    return stream;
}

static void request_clear(struct h2_request *request)
{
    g_free(request->method);
    g_free(request->path);
    g_free(request->protocol);
    g_free(request->origin);
    g_free(request->version);
    g_free(request->subprotocols);
    g_free(request->if_none_match);
    *request = (struct h2_request){0};
}

void h2_stream_free(struct h2_stream *stream)
{
    struct h2_connection *connection = stream->connection;
    g_queue_remove(&connection->streams, stream);
    if (!connection->streams.length)
        loop_timer_start(connection->deadline, connection->account.listener->handshake_ms);
    h2_link_finish(stream);
    h2_page_finish(stream);
    request_clear(&stream->request);
    loop_timer_free(stream->deadline);
    g_free(stream);
}

void h2_stream_reset(struct h2_stream *stream, guint32 code)
{
    if (stream->resetting)
        return;
    stream->resetting = true;
    nghttp2_submit_rst_stream(stream->connection->session, NGHTTP2_FLAG_NONE, stream->id, code);
    loop_timer_start(stream->deadline, RESET_MS);
    h2_connection_wake(stream->connection);
}

/* --- requests -----------------------------------------------------------------------------------
 */

static char **find_field(struct h2_request *request, const char *name, gsize length)
{
    const struct {
        const char *name;
        char **field;
    } rows[] = {
        {":method", &request->method},
        {":path", &request->path},
        {":protocol", &request->protocol},
        {"origin", &request->origin},
        {"sec-websocket-version", &request->version},
        {"sec-websocket-protocol", &request->subprotocols},
        {"if-none-match", &request->if_none_match},
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
        if (strlen(rows[i].name) == length && !memcmp(rows[i].name, name, length))
            return rows[i].field;
    return NULL;
}

void h2_stream_header(struct h2_stream *stream, const char *name, gsize name_length,
                      const char *value, gsize length)
{
    struct h2_request *request = &stream->request;
    char **field = find_field(request, name, name_length);
    if (!field)
        return;
    if (length > FIELD_MAX || memchr(value, 0, length) ||
        (*field && field != &request->subprotocols)) {
        request->too_long = true;
        return;
    }
    g_autofree char *former = *field;
    /* RFC 6455 11.3.4: may come in several fields */
    *field =
        former ? g_strdup_printf("%s,%.*s", former, (int)length, value) : g_strndup(value, length);
    request->too_long = request->too_long || strlen(*field) > FIELD_MAX;
}

void h2_stream_request(struct h2_stream *stream)
{
    struct h2_request *request = &stream->request;
    stream->requested = true;
    if (request->too_long || !request->method)
        h2_page_refuse(stream, 400);
    else if (!strcmp(request->method, "CONNECT") && request->protocol)
        h2_link_request(stream);
    else
        h2_page_request(stream);
    request_clear(request);
}

void h2_stream_respond(struct h2_stream *stream, const nghttp2_nv *fields, gsize n_fields,
                       nghttp2_data_provider *provider)
{
    if (nghttp2_submit_response(stream->connection->session, stream->id, fields, n_fields,
                                provider))
        h2_stream_reset(stream, NGHTTP2_INTERNAL_ERROR);
}
