/* SPDX-License-Identifier: Apache-2.0 */
/* The WebSocket to Janus: one TCP socket on the control loop with its two buffers, RFC 6455 by
 * hand, and a table of the requests that wait for their reply. By hand, because wsf-link speaks
 * only the envelope of our own protocols, and what measures should add little of its own. A mask of
 * zeros is allowed to a client and costs nothing. */
#include "tests/support/load/janus-link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MESSAGE_MAX (16 * 1024 * 1024)

enum { FRAME_CONTINUATION = 0, FRAME_TEXT = 1, FRAME_CLOSE = 8, FRAME_PING = 9, FRAME_PONG = 10 };

struct waiting {
    janus_reply_fn fn;
    void *user;
};

struct janus_link {
    const struct janus_link_ops *ops;
    void *user;
    int fd;
    guint source;
    GIOCondition wanted;
    bool upgraded, over;
    GByteArray *in, *out;
    GByteArray *message; /* of fragments */
    GHashTable *waiting; /* transaction → struct waiting */
    guint64 next_transaction;
};

static void watch(struct janus_link *link, GIOCondition wanted);

static void end(struct janus_link *link, const char *why)
{
    if (link->over)
        return;
    link->over = true;
    if (link->source)
        g_source_remove(link->source);
    link->source = 0;
    link->ops->closed(why, link->user);
}

/* --- sending --------------------------------------------------------------------------------- */

static void flush(struct janus_link *link)
{
    while (link->out->len && !link->over) {
        ssize_t n = send(link->fd, link->out->data, link->out->len, MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == ENOTCONN))
            break;
        if (n < 0) {
            end(link, g_strerror(errno));
            return;
        }
        g_byte_array_remove_range(link->out, 0, (guint)n);
    }
    watch(link, link->out->len ? G_IO_IN | G_IO_OUT : G_IO_IN);
}

static void put_frame(struct janus_link *link, guint opcode, const void *data, gsize length)
{
    guint8 head[14] = {(guint8)(0x80 | opcode), 0x80}; /* RFC 6455 5.2 */
    guint n = 2;
    if (length < 126) {
        head[1] |= (guint8)length;
    } else if (length < 65536) {
        head[1] |= 126;
        head[2] = (guint8)(length >> 8);
        head[3] = (guint8)length;
        n = 4;
    } else {
        guint64 big = GUINT64_TO_BE((guint64)length);
        head[1] |= 127;
        memcpy(head + 2, &big, sizeof big);
        n = 10;
    }
    g_byte_array_append(link->out, head, n + 4);
    g_byte_array_append(link->out, data, (guint)length);
    flush(link);
}

void janus_link_ask(struct janus_link *link, const char *verb, json_t *members, janus_reply_fn fn,
                    void *user)
{
    g_autofree char *transaction = g_strdup_printf("%" G_GUINT64_FORMAT, link->next_transaction++);
    json_t *message = members ? members : json_object();
    json_object_set_new(message, "janus", json_string(verb));
    json_object_set_new(message, "transaction", json_string(transaction));
    char *text = json_dumps(message, JSON_COMPACT);
    json_decref(message);
    if (fn) {
        struct waiting *waiting = g_new(struct waiting, 1);
        *waiting = (struct waiting){fn, user};
        g_hash_table_insert(link->waiting, g_steal_pointer(&transaction), waiting);
    }
    put_frame(link, FRAME_TEXT, text, strlen(text));
    free(text);
}

/* --- receiving ------------------------------------------------------------------------------- */

/* What is wrong with a reply, or NULL; a plugin tells its own errors inside of a good one. */
static const char *problem_of(const json_t *message)
{
    const json_t *data = json_object_get(json_object_get(message, "plugindata"), "data");
    const char *reason =
        json_string_value(json_object_get(json_object_get(message, "error"), "reason"));
    if (!g_strcmp0(json_string_value(json_object_get(message, "janus")), "error"))
        return reason ? reason : "error without a reason";
    return json_string_value(json_object_get(data, "error"));
}

static void on_message(struct janus_link *link, const char *text, gsize length)
{
    json_t *message = json_loadb(text, length, 0, NULL);
    const char *kind = json_string_value(json_object_get(message, "janus"));
    const char *transaction = json_string_value(json_object_get(message, "transaction"));
    if (!kind) {
        end(link, "what came is no message of Janus");
    } else if (strcmp(kind, "ack") != 0) {
        struct waiting *waiting =
            transaction ? g_hash_table_lookup(link->waiting, transaction) : NULL;
        if (waiting) {
            struct waiting call = *waiting;
            const char *problem = problem_of(message);
            g_hash_table_remove(link->waiting, transaction);
            call.fn(problem ? NULL : message, problem, call.user);
        } else {
            link->ops->event(message, link->user);
        }
    }
    json_decref(message);
}

static void on_frame(struct janus_link *link, guint8 first, const guint8 *data, gsize length)
{
    switch (first & 15) {
    case FRAME_CLOSE:
        end(link, "Janus closed the WebSocket");
        return;
    case FRAME_PING:
        put_frame(link, FRAME_PONG, data, length);
        return;
    case FRAME_PONG:
        return;
    default:
        break;
    }
    g_byte_array_append(link->message, data, (guint)length);
    if (link->message->len > MESSAGE_MAX) {
        end(link, "a message of Janus is too long");
    } else if (first & 0x80) {
        g_autoptr(GByteArray) whole = g_steal_pointer(&link->message);
        link->message = g_byte_array_new();
        on_message(link, (const char *)whole->data, whole->len);
    }
}

/* Octets of the frame at the head of `data`, 0 when it is not whole. */
static gsize frame_length(const guint8 *data, gsize available, gsize *ret_head)
{
    if (available < 2)
        return 0;
    gsize length = data[1] & 127u, head = 2;
    if (length == 126) {
        head = 4;
        if (available < head)
            return 0;
        length = (gsize)data[2] << 8 | data[3];
    } else if (length == 127) {
        guint64 big;
        head = 10;
        if (available < head)
            return 0;
        memcpy(&big, data + 2, sizeof big);
        length = (gsize)GUINT64_FROM_BE(big);
    }
    *ret_head = head;
    return length <= MESSAGE_MAX && available >= head + length ? head + length : 0;
}

static void take_frames(struct janus_link *link)
{
    gsize at = 0, head = 0, n;
    /* the handlers only send, so that the buffer stays as it is */
    while (!link->over && (n = frame_length(link->in->data + at, link->in->len - at, &head))) {
        const guint8 *frame = link->in->data + at;
        on_frame(link, frame[0], frame + head, n - head);
        at += n;
    }
    g_byte_array_remove_range(link->in, 0, (guint)at);
}

static void take_upgrade(struct janus_link *link)
{
    static const char end_of_head[] = "\r\n\r\n";
    const char *text = (const char *)link->in->data;
    const char *stop = g_strstr_len(text, (gssize)link->in->len, end_of_head);
    if (!stop)
        return;
    if (link->in->len < 12 || memcmp(text, "HTTP/1.1 101", 12) != 0) {
        end(link, "the server refuses the WebSocket");
        return;
    }
    g_byte_array_remove_range(link->in, 0, (guint)(stop - text) + 4);
    link->upgraded = true;
    link->ops->opened(link->user);
}

static gboolean on_ready(gint fd, GIOCondition condition, gpointer user)
{
    struct janus_link *link = user;
    guint8 data[65536];
    if (condition & G_IO_OUT) {
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error)
            end(link, g_strerror(error));
        else
            flush(link);
    }
    while (!link->over && condition & (G_IO_IN | G_IO_HUP | G_IO_ERR)) {
        ssize_t n = recv(fd, data, sizeof data, 0);
        if (n < 0 && errno == EAGAIN)
            break;
        if (n <= 0) {
            end(link, n ? g_strerror(errno) : "Janus closed the connection");
            break;
        }
        g_byte_array_append(link->in, data, (guint)n);
        if (!link->upgraded)
            take_upgrade(link);
        if (link->upgraded && !link->over)
            take_frames(link);
    }
    return link->over ? G_SOURCE_REMOVE : G_SOURCE_CONTINUE;
}

/* A source of GLib has its conditions for life: another condition is another source. */
static void watch(struct janus_link *link, GIOCondition wanted)
{
    if (link->over || (link->source && link->wanted == wanted))
        return;
    guint former = link->source;
    link->wanted = wanted;
    link->source = g_unix_fd_add(link->fd, wanted | G_IO_HUP | G_IO_ERR, on_ready, link);
    if (former)
        g_source_remove(former);
}

/* --- life ------------------------------------------------------------------------------------ */

static bool parse_url(const char *url, struct sockaddr_in *ret)
{
    char host[64];
    guint port = 0;
    if (!url || sscanf(url, "ws://%63[0-9.]:%u", host, &port) != 2 || !port || port > 65535)
        return false;
    *ret = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((guint16)port)};
    return inet_pton(AF_INET, host, &ret->sin_addr) == 1;
}

struct janus_link *janus_link_new(const char *url, const struct janus_link_ops *ops, void *user,
                                  GError **error)
{
    static const char upgrade[] = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                                  "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                  "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                                  "Sec-WebSocket-Protocol: janus-protocol\r\n\r\n";
    struct sockaddr_in to;
    int one = 1;
    if (!parse_url(url, &to)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                    "say --url ws://address:port, not \"%s\"", url ? url : "");
        return NULL;
    }
    struct janus_link *link = g_new0(struct janus_link, 1);
    link->ops = ops;
    link->user = user;
    link->in = g_byte_array_new();
    link->out = g_byte_array_new();
    link->message = g_byte_array_new();
    link->waiting = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    link->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(link->fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "%s: %s", url,
                    g_strerror(errno));
        janus_link_free(link);
        return NULL;
    }
    g_byte_array_append(link->out, (const guint8 *)upgrade, sizeof upgrade - 1);
    watch(link, G_IO_IN | G_IO_OUT);
    return link;
}

void janus_link_free(struct janus_link *link)
{
    if (!link)
        return;
    if (link->source)
        g_source_remove(link->source);
    if (link->fd >= 0)
        close(link->fd);
    g_byte_array_unref(link->in);
    g_byte_array_unref(link->out);
    g_byte_array_unref(link->message);
    g_hash_table_unref(link->waiting);
    g_free(link);
}
