/* SPDX-License-Identifier: Apache-2.0 */
/* Packets of a running wmcf, copied as they come. The file is made here and not by the wmcf, so it
 * belongs to who asked and no path is ever handed over. An interrupt ends the taking, not the copy:
 * the wmcf hears that our side of the connection is closed and sends the rest. */
#include "wmcf/wmcfctl-pcap.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gunixsocketaddress.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINE_MAX_OCTETS 65536
#define BLOCK_STATISTICS 5u
#define BLOCK_PACKET 6u
#define BLOCK_MAX (1u << 20)
#define OPTION_DROPPED 5

struct copy {
    int to;
    GByteArray *block; /* not whole yet */
    guint64 packets, lost;
};

static int connected = -1; /* for the signal handler */

static void on_interrupt(int signo)
{
    if (shutdown(connected, SHUT_WR) < 0)
        _exit(1);
    signal(signo, SIG_DFL); /* the second one ends us */
}

/* --- what the file says of itself ------------------------------------------------------------- */

static guint32 u32_at(const guint8 *octets)
{
    guint32 value;
    memcpy(&value, octets, sizeof value);
    return GUINT32_FROM_LE(value);
}

static void read_statistics(struct copy *copy, const guint8 *block, guint32 length)
{
    for (guint32 at = 20; at + 8 <= length - 4;) {
        guint32 option = u32_at(block + at), size = option >> 16;
        if (at + 4 + size > length - 4)
            return;
        if ((option & 0xffff) == OPTION_DROPPED && size == 8)
            copy->lost += u32_at(block + at + 4) | (guint64)u32_at(block + at + 8) << 32;
        at += 4 + (size + 3) / 4 * 4;
    }
}

/* Counts whole blocks. False: this is no pcapng. */
static bool count(struct copy *copy, const guint8 *octets, gsize n)
{
    guint at = 0;
    g_byte_array_append(copy->block, octets, (guint)n);
    while (copy->block->len - at >= 8) {
        const guint8 *block = copy->block->data + at;
        guint32 type = u32_at(block), length = u32_at(block + 4);
        if (length < 12 || length > BLOCK_MAX)
            return false;
        if (copy->block->len - at < length)
            break;
        copy->packets += type == BLOCK_PACKET;
        if (type == BLOCK_STATISTICS)
            read_statistics(copy, block, length);
        at += length;
    }
    g_byte_array_remove_range(copy->block, 0, at);
    return true;
}

/* --- copying ---------------------------------------------------------------------------------- */

static bool write_all(int to, const guint8 *octets, gsize n)
{
    while (n) {
        ssize_t written = write(to, octets, n);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return false;
        octets += written;
        n -= (gsize)written;
    }
    return true;
}

static bool take(struct copy *copy, const guint8 *octets, gsize n)
{
    if (!write_all(copy->to, octets, n)) {
        fprintf(stderr, "wmcfctl: cannot write: %s\n", g_strerror(errno));
        return false;
    }
    if (count(copy, octets, n))
        return true;
    fprintf(stderr, "wmcfctl: the wmcf sends what is no capture; are both of one version?\n");
    return false;
}

/* Until the end of the stream. */
static bool copy_rest(struct copy *copy, int from)
{
    guint8 buffer[65536];
    for (;;) {
        ssize_t n = read(from, buffer, sizeof buffer);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            fprintf(stderr, "wmcfctl: the wmcf is gone: %s\n", g_strerror(errno));
        if (n <= 0)
            return n == 0;
        if (!take(copy, buffer, (gsize)n))
            return false;
    }
}

/* The reply, octet by octet: what follows belongs to the file. */
static json_t *read_reply(int from)
{
    g_autoptr(GString) line = g_string_new(NULL);
    char octet;
    while (line->len < LINE_MAX_OCTETS) {
        ssize_t n = read(from, &octet, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || octet == '\n')
            break;
        g_string_append_c(line, octet);
    }
    return json_loads(line->str, 0, NULL);
}

static GSocketConnection *ask(const char *socket, const json_t *request, GError **error)
{
    g_autoptr(GSocketAddress) address = g_unix_socket_address_new(socket);
    g_autoptr(GSocketClient) client = g_socket_client_new();
    g_autoptr(GSocketConnection) connection =
        g_socket_client_connect(client, G_SOCKET_CONNECTABLE(address), NULL, error);
    if (!connection)
        return NULL;
    g_autofree char *text = json_dumps(request, JSON_COMPACT);
    g_autofree char *line = g_strconcat(text, "\n", NULL);
    GOutputStream *out = g_io_stream_get_output_stream(G_IO_STREAM(connection));
    if (!g_output_stream_write_all(out, line, strlen(line), NULL, NULL, error))
        return NULL;
    return g_steal_pointer(&connection);
}

static json_t *request_for(const char *id, const struct wmcfctl_pcap_options *options)
{
    json_t *request = json_pack("{s:s, s:s}", "command", "pcap", "id", id);
    if (options->mid)
        json_object_set_new(request, "mid", json_string(options->mid));
    if (options->seconds)
        json_object_set_new(request, "seconds", json_integer(options->seconds));
    if (options->octets)
        json_object_set_new(request, "octets", json_integer(options->octets));
    if (options->snap)
        json_object_set_new(request, "snap", json_integer(options->snap));
    return request;
}

static bool is_stdout(const struct wmcfctl_pcap_options *options)
{
    return !options->output || strcmp(options->output, "-") == 0;
}

/* Calls are nobody else's business, and nothing is replaced. */
static int open_output(const struct wmcfctl_pcap_options *options)
{
    if (!is_stdout(options)) {
        int fd = open(options->output, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0)
            fprintf(stderr, "wmcfctl: cannot make %s: %s\n", options->output, g_strerror(errno));
        return fd;
    }
    if (!isatty(STDOUT_FILENO))
        return STDOUT_FILENO;
    fprintf(stderr, "wmcfctl: a capture does not go to a terminal; add -o FILE, or "
                    "| tshark -r -\n");
    return -1;
}

static void tell(const struct copy *copy, const json_t *reply,
                 const struct wmcfctl_pcap_options *options)
{
    fprintf(stderr,
            "wmcfctl: %" G_GUINT64_FORMAT " packets, %" G_GUINT64_FORMAT " were lost\n"
            "wmcfctl: tshark -r %s",
            copy->packets, copy->lost, is_stdout(options) ? "-" : options->output);
    size_t i;
    const json_t *rule;
    json_array_foreach(json_object_get(reply, "decodeAs"), i, rule)
        fprintf(stderr, " -d %s", json_string_value(rule));
    fprintf(stderr, "\n");
}

int wmcfctl_pcap(const char *socket, const char *id, const struct wmcfctl_pcap_options *options)
{
    g_autoptr(GError) error = NULL;
    struct copy copy = {.to = -1};
    if (is_stdout(options) && (copy.to = open_output(options)) < 0)
        return 1;
    json_auto_t *request = request_for(id, options);
    g_autoptr(GSocketConnection) connection = ask(socket, request, &error);
    if (!connection) {
        fprintf(stderr, "wmcfctl: no answer on %s: %s. Is wmcf running, and may you open it?\n",
                socket, error->message);
        return 2;
    }
    connected = g_socket_get_fd(g_socket_connection_get_socket(connection));
    g_socket_set_blocking(g_socket_connection_get_socket(connection), TRUE);
    int flags = fcntl(connected, F_GETFL); /* GSocket's own are always non-blocking */
    fcntl(connected, F_SETFL, flags & ~O_NONBLOCK);
    json_auto_t *reply = read_reply(connected);
    if (!json_is_true(json_object_get(reply, "ok"))) {
        const char *why = json_string_value(json_object_get(reply, "error"));
        fprintf(stderr, "wmcfctl: %s\n", why ? why : "the wmcf gave no readable answer");
        return why ? 1 : 2;
    }
    if (copy.to < 0 && (copy.to = open_output(options)) < 0)
        return 1;
    signal(SIGINT, on_interrupt);
    signal(SIGTERM, on_interrupt);
    copy.block = g_byte_array_new();
    bool whole = copy_rest(&copy, connected);
    if (copy.to != STDOUT_FILENO && close(copy.to) < 0) {
        fprintf(stderr, "wmcfctl: cannot write: %s\n", g_strerror(errno));
        whole = false;
    }
    g_byte_array_unref(copy.block);
    tell(&copy, reply, options);
    return whole ? 0 : 1;
}
