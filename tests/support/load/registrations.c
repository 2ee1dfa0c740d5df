/* SPDX-License-Identifier: Apache-2.0 */
/* wsf-load: thousands of registered clients on one wsf. Every client has a TLS connection, a
 * WebSocket (RFC 6455) and a registration by bearer token; some ask `getinfo` at a rate that is the
 * same for all of them together, and the time to the answer is kept. In a second phase some clients
 * stop reading while they ask, or send a message an octet a second, and the others are measured
 * again. It links nothing of what it measures and waits in one epoll, so that it is not what is
 * slow. Prints one JSON object. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <jansson.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define OPENING_MAX 64 /* connections that are being set up at a time */
#define MESSAGE_MAX 65536
#define SECOND G_USEC_PER_SEC

enum state { IDLE, CONNECTING, HANDSHAKE, UPGRADING, REGISTERING, CONFIRMING, READY, DEAD };
enum habit { NORMAL, DEAF, DRIBBLING };

struct client {
    enum state state;
    enum habit habit;
    int fd;
    SSL *ssl;
    char *token;
    const char *identity; /* in token */
    GByteArray *in, *out;
    guint events;
    guint64 next_id;
    gint64 asked_at; /* 0: nothing outstanding */
    gsize dribbled;
    gint64 next_at; /* of a slow one's next deed */
};

static struct {
    char *address, *tokens;
    int port, clients, rate, slow, pid;
    double seconds;
} options = {
    .address = (char *)"127.0.0.1", .clients = 1000, .rate = 200, .slow = 100, .seconds = 15};

static struct client *clients;
static guint n_clients, n_opening, n_ready, n_dead, n_next;
static guint64 n_asked, n_failed;
static int epoll_fd;
static SSL_CTX *tls;
static GArray *latencies; /* gint64, µs, of the present phase */

/* --- connections --------------------------------------------------------------------------------
 */

static void watch(struct client *client, guint events, int operation)
{
    struct epoll_event event = {.events = events, .data.ptr = client};
    if (operation == EPOLL_CTL_MOD && events == client->events)
        return;
    client->events = events;
    epoll_ctl(epoll_fd, operation, client->fd, &event);
}

static void fail(struct client *client, const char *why)
{
    if (client->state == DEAD)
        return;
    if (n_dead < 5)
        g_printerr("client %s: %s (state %d)\n", client->identity, why, client->state);
    if (client->state < READY)
        n_opening--;
    else
        n_ready--;
    n_dead++;
    client->state = DEAD;
    epoll_ctl(epoll_fd, EPOLL_CTL_DEL, client->fd, NULL);
    SSL_free(client->ssl);
    client->ssl = NULL;
    close(client->fd);
}

static void set_interest(struct client *client)
{
    guint events = client->habit == DEAF ? 0 : EPOLLIN;
    if (client->out->len)
        events |= EPOLLOUT;
    watch(client, events, EPOLL_CTL_MOD);
}

static void flush(struct client *client)
{
    while (client->out->len) {
        int n = SSL_write(client->ssl, client->out->data, (int)client->out->len);
        if (n <= 0) {
            int error = SSL_get_error(client->ssl, n);
            if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
                fail(client, "write failed");
                return;
            }
            break;
        }
        g_byte_array_remove_range(client->out, 0, (guint)n);
    }
    set_interest(client);
}

/* RFC 6455 5.2, with a mask of zeros. */
static void put_frame(struct client *client, guint8 opcode, const void *data, gsize length)
{
    guint8 head[14] = {0x80 | opcode};
    gsize n = 2;
    head[1] = 0x80 | (guint8)(length < 126 ? length : 126);
    if (length >= 126) {
        head[2] = (guint8)(length >> 8);
        head[3] = (guint8)length;
        n = 4;
    }
    g_byte_array_append(client->out, head, (guint)n + 4);
    g_byte_array_append(client->out, data, (guint)length);
}

static void ask(struct client *client, const char *text)
{
    put_frame(client, 1, text, strlen(text));
    flush(client);
}

static void ask_getinfo(struct client *client, gint64 now)
{
    char text[160];
    g_snprintf(
        text, sizeof text,
        "{\"messageType\":\"request\",\"method\":\"getinfo\",\"transactionId\":%" G_GUINT64_FORMAT
        ",\"resources\":[\"serverInfo\",\"registration\"]}",
        client->next_id);
    client->next_id += 2;
    client->asked_at = now;
    n_asked++;
    ask(client, text);
}

static void start(struct client *client)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((guint16)options.port)};
    inet_pton(AF_INET, options.address, &to.sin_addr);
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    client->in = g_byte_array_new();
    client->out = g_byte_array_new();
    client->state = CONNECTING;
    n_opening++;
    watch(client, EPOLLOUT, EPOLL_CTL_ADD);
    if (connect(client->fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS)
        fail(client, g_strerror(errno));
}

static void send_upgrade(struct client *client)
{
    static const char text[] =
        "GET /eirtcw/v1 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        "Sec-WebSocket-Protocol: eirtcw.v1\r\n\r\n";
    client->state = UPGRADING;
    g_byte_array_append(client->out, (const guint8 *)text, sizeof text - 1);
    flush(client);
}

static void send_auth(struct client *client)
{
    client->state = REGISTERING;
    g_autofree char *text = g_strdup_printf("{\"messageType\":\"request\",\"method\":\"auth\","
                                            "\"transactionId\":0,\"authType\":\"bearer\","
                                            "\"webrtcId\":\"%s\",\"authorization\":\"Bearer %s\"}",
                                            client->identity, strchr(client->token, 0) + 1);
    client->next_id = 2;
    ask(client, text);
}

static void on_message(struct client *client, const char *text, gsize length, gint64 now)
{
    bool success = g_strstr_len(text, (gssize)length, "\"success\":true") != NULL;
    if (!success)
        n_failed++;
    if (client->state == REGISTERING) {
        if (!success) {
            g_printerr("%.*s\n", (int)length, text);
            fail(client, "not registered");
            return;
        }
        client->state = CONFIRMING;
        ask_getinfo(client, now);
    } else if (client->state == CONFIRMING) {
        /* The first request makes the new credential the only one, which is written down. */
        client->state = READY;
        client->asked_at = 0;
        n_opening--;
        n_ready++;
    } else if (client->asked_at) {
        gint64 took = now - client->asked_at;
        client->asked_at = 0;
        if (client->habit == NORMAL && success)
            g_array_append_val(latencies, took);
    }
}

static void take_frames(struct client *client, gint64 now)
{
    while (client->state != DEAD && client->in->len >= 2) {
        const guint8 *data = client->in->data;
        gsize length = data[1] & 0x7f, at = 2;
        if (length == 126) {
            if (client->in->len < 4)
                return;
            length = (gsize)data[2] << 8 | data[3];
            at = 4;
        }
        if (length == 127 || length > MESSAGE_MAX) {
            fail(client, "too large a frame");
            return;
        }
        if (client->in->len < at + length)
            return;
        switch (data[0] & 0x0f) {
        case 1:
            on_message(client, (const char *)data + at, length, now);
            break;
        case 8:
            fail(client, "closed by the server");
            return;
        case 9:
            put_frame(client, 10, data + at, length);
            flush(client);
            break;
        default:
            break;
        }
        if (client->state != DEAD)
            g_byte_array_remove_range(client->in, 0, (guint)(at + length));
    }
}

static void on_octets(struct client *client, gint64 now)
{
    if (client->state == UPGRADING) {
        char *end = g_strstr_len((char *)client->in->data, client->in->len, "\r\n\r\n");
        if (!end)
            return;
        if (!g_str_has_prefix((char *)client->in->data, "HTTP/1.1 101")) {
            fail(client, "no upgrade");
            return;
        }
        g_byte_array_remove_range(client->in, 0, (guint)(end + 4 - (char *)client->in->data));
        send_auth(client);
    }
    take_frames(client, now);
}

static void read_all(struct client *client, gint64 now)
{
    guint8 buffer[16384];
    while (client->state != DEAD) {
        int n = SSL_read(client->ssl, buffer, sizeof buffer);
        if (n <= 0) {
            int error = SSL_get_error(client->ssl, n);
            if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
                fail(client, "connection lost");
            return;
        }
        g_byte_array_append(client->in, buffer, (guint)n);
        on_octets(client, now);
    }
}

static void on_event(struct client *client, gint64 now)
{
    if (client->state == DEAD)
        return;
    if (client->state == CONNECTING) {
        client->state = HANDSHAKE;
        client->ssl = SSL_new(tls);
        SSL_set_fd(client->ssl, client->fd);
        SSL_set_connect_state(client->ssl);
    }
    if (client->state == HANDSHAKE) {
        int n = SSL_do_handshake(client->ssl);
        int error = SSL_get_error(client->ssl, n);
        if (n == 1)
            send_upgrade(client);
        else if (error == SSL_ERROR_WANT_READ)
            watch(client, EPOLLIN, EPOLL_CTL_MOD);
        else if (error != SSL_ERROR_WANT_WRITE)
            fail(client, "no TLS handshake");
        return;
    }
    if (client->habit != DEAF)
        read_all(client, now);
    if (client->state != DEAD)
        flush(client);
}

/* --- time ---------------------------------------------------------------------------------------
 */

static void slow_deed(struct client *client, gint64 now)
{
    static const char dribble[] = "{\"messageType\":\"request\",\"method\":\"keepalive\"";
    if (client->state != READY || now < client->next_at)
        return;
    if (client->habit == DEAF) {
        client->next_at = now + SECOND / 10;
        if (client->out->len < MESSAGE_MAX)
            ask_getinfo(client, now);
        return;
    }
    client->next_at = now + SECOND;
    guint8 octet;
    if (client->dribbled == 0) {
        static const guint8 head[] = {0x81, 0xff, 0, 0, 0, 0, 0, 0, 0x80, 0, 0, 0, 0, 0};
        g_byte_array_append(client->out, head, sizeof head);
    }
    octet = (guint8)dribble[client->dribbled++ % (sizeof dribble - 1)];
    g_byte_array_append(client->out, &octet, 1);
    flush(client);
}

/* The next client that has nothing outstanding. */
static struct client *next_idle(void)
{
    for (guint i = 0; i < n_clients; i++) {
        struct client *client = &clients[n_next++ % n_clients];
        if (client->state == READY && client->habit == NORMAL && !client->asked_at)
            return client;
    }
    return NULL;
}

/* Runs until `end`, or all clients are settled (end 0); asks at `rate`. */
static void run(gint64 end, int rate)
{
    struct epoll_event events[256];
    gint64 begin = g_get_monotonic_time();
    guint64 asked = 0;
    guint started = 0;
    for (;;) {
        gint64 now = g_get_monotonic_time();
        if (end ? now >= end : n_ready + n_dead == n_clients)
            return;
        for (; !end && n_opening < OPENING_MAX && started < n_clients; started++)
            if (clients[started].state == IDLE)
                start(&clients[started]);
        while (rate && asked < (guint64)((now - begin) * rate / SECOND)) {
            struct client *client = next_idle();
            asked++;
            if (client)
                ask_getinfo(client, now);
        }
        for (guint i = 0; i < (guint)options.slow && i < n_clients; i++)
            if (clients[i].habit != NORMAL)
                slow_deed(&clients[i], now);
        int n = epoll_wait(epoll_fd, events, G_N_ELEMENTS(events), rate ? 1 : 100);
        for (int i = 0; i < n; i++)
            on_event(events[i].data.ptr, g_get_monotonic_time());
    }
}

/* --- report -------------------------------------------------------------------------------------
 */

static gint by_size(gconstpointer a, gconstpointer b)
{
    gint64 left = *(const gint64 *)a, right = *(const gint64 *)b;
    return (left > right) - (left < right);
}

static double percentile(double share)
{
    if (!latencies->len)
        return -1;
    guint at = (guint)(share * latencies->len);
    return (double)g_array_index(latencies, gint64, MIN(at, latencies->len - 1)) / 1000;
}

static json_t *phase_report(void)
{
    g_array_sort(latencies, by_size);
    json_t *report =
        json_pack("{s:i, s:f, s:f, s:f}", "answers", (int)latencies->len, "p50_ms", percentile(0.5),
                  "p99_ms", percentile(0.99), "max_ms", percentile(1));
    g_array_set_size(latencies, 0);
    return report;
}

static void read_process(guint64 *ret_kb, gint64 *ret_cpu_us)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/status", options.pid);
    g_autofree char *stat = g_strdup_printf("/proc/%d/stat", options.pid);
    g_autofree char *text = NULL, *times = NULL;
    *ret_kb = 0;
    *ret_cpu_us = 0;
    if (g_file_get_contents(path, &text, NULL, NULL)) {
        const char *line = strstr(text, "VmRSS:");
        *ret_kb = line ? g_ascii_strtoull(line + 6 + strspn(line + 6, " \t"), NULL, 10) : 0;
    }
    if (g_file_get_contents(stat, &times, NULL, NULL)) {
        unsigned long user, system;
        if (sscanf(strrchr(times, ')') + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
                   &user, &system) == 2)
            *ret_cpu_us = (gint64)(user + system) * SECOND / sysconf(_SC_CLK_TCK);
    }
}

static json_t *measure(const char *name, json_t *report)
{
    guint64 kb;
    gint64 before, after;
    read_process(&kb, &before);
    run(g_get_monotonic_time() + (gint64)(options.seconds * SECOND), options.rate);
    read_process(&kb, &after);
    json_t *phase = phase_report();
    json_object_set_new(phase, "cpu_share",
                        json_real((double)(after - before) / SECOND / options.seconds));
    json_object_set_new(report, name, phase);
    return phase;
}

static bool read_tokens(void)
{
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;
    if (!options.tokens || !g_file_get_contents(options.tokens, &text, NULL, &error)) {
        g_printerr("wsf-load: --tokens: %s\n", error ? error->message : "is needed");
        return false;
    }
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    clients = g_new0(struct client, (gsize)options.clients);
    for (guint i = 0; lines[i] && *lines[i] && n_clients < (guint)options.clients; i++) {
        struct client *client = &clients[n_clients++];
        client->token = g_strdup(lines[i]); /* "identity token" */
        client->identity = client->token;
        client->token[strcspn(client->token, " ")] = 0;
    }
    return n_clients > 0;
}

static void misbehave(void)
{
    for (guint i = 0; i < (guint)options.slow && i < n_clients; i++) {
        clients[i].habit = i % 2 ? DEAF : DRIBBLING;
        if (clients[i].state == READY)
            set_interest(&clients[i]);
    }
}

int main(int argc, char **argv)
{
    const GOptionEntry entries[] = {
        {"address", 0, 0, G_OPTION_ARG_STRING, &options.address, "of the wsf", "IP"},
        {"port", 0, 0, G_OPTION_ARG_INT, &options.port, "of its TLS listener", "N"},
        {"tokens", 0, 0, G_OPTION_ARG_FILENAME, &options.tokens, "lines: identity token", "FILE"},
        {"clients", 0, 0, G_OPTION_ARG_INT, &options.clients, "how many", "N"},
        {"rate", 0, 0, G_OPTION_ARG_INT, &options.rate, "getinfo per second of all", "N"},
        {"slow", 0, 0, G_OPTION_ARG_INT, &options.slow, "of them slow in the second phase", "N"},
        {"seconds", 0, 0, G_OPTION_ARG_DOUBLE, &options.seconds, "of each phase", "S"},
        {"pid", 0, 0, G_OPTION_ARG_INT, &options.pid, "of the wsf", "N"},
        {NULL}};
    g_autoptr(GOptionContext) context = g_option_context_new("- registered clients on a wsf");
    g_autoptr(GError) error = NULL;
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error)) {
        g_printerr("wsf-load: %s\n", error->message);
        return 2;
    }
    if (!read_tokens())
        return 2;
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    tls = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
    latencies = g_array_new(FALSE, FALSE, sizeof(gint64));

    guint64 before_kb, after_kb;
    gint64 before_us, after_us, begin = g_get_monotonic_time();
    read_process(&before_kb, &before_us);
    run(0, 0);
    gint64 took = g_get_monotonic_time() - begin;
    run(g_get_monotonic_time() + SECOND, 0);
    read_process(&after_kb, &after_us);
    json_t *report =
        json_pack("{s:i, s:i, s:f, s:f, s:f}", "registered", (int)n_ready, "failed", (int)n_dead,
                  "seconds", (double)took / SECOND, "cpu_ms_per_registration",
                  (double)(after_us - before_us) / 1000 / n_clients, "kb_per_registration",
                  n_ready ? (double)((gint64)after_kb - (gint64)before_kb) / n_ready : 0.0);
    measure("normal", report);
    misbehave();
    measure("with_slow", report);
    json_object_set_new(report, "lost", json_integer(n_dead));
    json_object_set_new(report, "refused", json_integer((json_int_t)n_failed));
    json_dumpf(report, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(4));
    printf("\n");
    return 0;
}
