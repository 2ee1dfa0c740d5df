/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the trace file. A line is built whole and appended with one write, so several processes may
 * share a file and a crash leaves whole lines. Messages are parsed once more for blanking; the
 * trace is a tool of tests and of fault finding, and costs nothing when it is off. */
#include "wsf-link/trace.h"

#include "base/problem.h"
#include "wsf-link/envelope.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

struct trace {
    int fd;
};

struct trace *trace_new(const char *file, GError **error)
{
    int fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0) {
        problem_set(error, PROBLEM_INTERNAL_ERROR, "cannot open the message trace %s: %s", file,
                    g_strerror(errno));
        return NULL;
    }
    struct trace *trace = g_new(struct trace, 1);
    trace->fd = fd;
    return trace;
}

void trace_free(struct trace *trace)
{
    if (!trace)
        return;
    close(trace->fd);
    g_free(trace);
}

static bool is_secret(const char *key)
{
    return !strcmp(key, "authorization") || !strcmp(key, "reAuthCredential") ||
           !strcmp(key, "credential");
}

json_t *trace_blank(const json_t *message)
{
    if (json_is_array(message)) {
        json_t *copy = json_array();
        for (size_t i = 0; i < json_array_size(message); i++)
            json_array_append_new(copy, trace_blank(json_array_get(message, i)));
        return copy;
    }
    if (!json_is_object(message))
        return json_deep_copy(message);
    json_t *copy = json_object();
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)message, key, value) json_object_set_new(
        copy, key,
        is_secret(key) && json_is_string(value) ? json_string("***") : trace_blank(value));
    return copy;
}

static GBytes *blanked_text(const char *text, gsize length)
{
    struct envelope envelope;
    enum envelope_verdict verdict = envelope_parse(text, length, &envelope, NULL);
    json_auto_t *copy = envelope.message ? trace_blank(envelope.message) : NULL;
    GBytes *out = NULL;
    /* Written by the envelope's own writer, which keeps ids of all 64 bits. */
    if (verdict == ENVELOPE_REQUEST)
        out = envelope_request(envelope.id, envelope.method, copy);
    else if (verdict == ENVELOPE_RESPONSE)
        out = envelope_response(envelope.id, envelope.method, envelope.success, copy);
    envelope_clear(&envelope);
    return out;
}

void trace_message(struct trace *trace, const struct trace_link *link, bool received,
                   const char *text, gsize length)
{
    if (!trace)
        return;
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autofree char *time = g_date_time_format(now, "%Y-%m-%dT%H:%M:%S.%fZ");
    g_autoptr(GBytes) message = blanked_text(text, length);
    json_auto_t *head =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s*}", "time", time, "link", link->name,
                  "direction", received ? "received" : "sent", "peer", link->peer, "path",
                  link->path, "transport", link->transport, "tls", link->tls);
    if (!message)
        json_object_set_new(head, "unusable", json_integer((json_int_t)length));
    char *dump = json_dumps(head, JSON_COMPACT);
    g_autoptr(GString) line = g_string_new(dump);
    free(dump);
    if (message) {
        g_string_truncate(line, line->len - 1);
        g_string_append(line, ",\"message\":");
        g_string_append_len(line, g_bytes_get_data(message, NULL),
                            (gssize)g_bytes_get_size(message));
        g_string_append_c(line, '}');
    }
    g_string_append_c(line, '\n');
    /* A full disk costs trace lines, never a call. */
    if (write(trace->fd, line->str, line->len) < 0)
        return;
}
