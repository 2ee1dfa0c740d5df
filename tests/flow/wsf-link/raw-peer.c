/* SPDX-License-Identifier: Apache-2.0 */
/* A WebSocket client on a bare socket. Writing waits with the loop running, so that both halves of
 * a test live on one thread. */
#include "raw-peer.h"

#include "world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void raw_connect_small(struct raw_peer *peer, guint port, int octets)
{
    *peer = (struct raw_peer){.in = g_byte_array_new(), .message = g_byte_array_new()};
    peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (octets)
        g_assert_cmpint(setsockopt(peer->fd, SOL_SOCKET, SO_RCVBUF, &octets, sizeof octets), ==, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((guint16)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    /* The kernel accepts into the backlog, so this never waits for our own loop. */
    g_assert_cmpint(connect(peer->fd, (struct sockaddr *)&address, sizeof address), ==, 0);
    fcntl(peer->fd, F_SETFL, O_NONBLOCK);
}

void raw_connect(struct raw_peer *peer, guint port)
{
    raw_connect_small(peer, port, 0);
}

void raw_finish(struct raw_peer *peer)
{
    close(peer->fd);
    g_byte_array_unref(peer->in);
    g_byte_array_unref(peer->message);
}

void raw_upgrade(struct raw_peer *peer)
{
    static const char request[] = "GET /eirtcw/v1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                                  "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                  "Sec-WebSocket-Protocol: eirtcw.v1\r\n\r\n";
    raw_write(peer, request, sizeof request - 1);
    g_autofree char *answer = raw_read_until(peer, "\r\n\r\n");
    g_assert_true(g_str_has_prefix(answer, "HTTP/1.1 101 "));
    g_assert_nonnull(strstr(answer, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    g_assert_nonnull(strstr(answer, "eirtcw.v1"));
}

void raw_open(struct raw_peer *peer, guint port)
{
    raw_connect(peer, port);
    raw_upgrade(peer);
}

void raw_write(struct raw_peer *peer, const void *data, gsize length)
{
    const guint8 *at = data;
    gint64 deadline = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;
    while (length) {
        gssize sent = send(peer->fd, at, length, MSG_NOSIGNAL);
        if (sent > 0) {
            at += sent;
            length -= (gsize)sent;
        } else if (errno == EPIPE || errno == ECONNRESET) {
            return; /* the server has had enough; the test will hear of it */
        }
        if (length)
            g_assert_true(world_step(deadline));
    }
}

void raw_text(struct raw_peer *peer, const char *text)
{
    raw_write(peer, text, strlen(text));
}

void raw_frame(struct raw_peer *peer, guint opcode, bool fin, const void *data, gsize length)
{
    static const guint8 mask[4] = {0x12, 0x34, 0x56, 0x78};
    g_autoptr(GByteArray) frame = g_byte_array_new();
    guint8 head[10] = {(guint8)((fin ? 0x80 : 0) | opcode)};
    guint used = 2;
    if (length < 126) {
        head[1] = (guint8)length;
    } else if (length < 65536) {
        head[1] = 126;
        head[2] = (guint8)(length >> 8);
        head[3] = (guint8)length;
        used = 4;
    } else {
        head[1] = 127;
        for (guint i = 0; i < 8; i++)
            head[2 + i] = (guint8)((guint64)length >> (56 - 8 * i));
        used = 10;
    }
    head[1] |= 0x80;
    g_byte_array_append(frame, head, used);
    g_byte_array_append(frame, mask, sizeof mask);
    guint start = frame->len;
    g_byte_array_append(frame, length ? data : (const guint8 *)"", (guint)length);
    for (gsize i = 0; i < length; i++)
        frame->data[start + i] ^= mask[i & 3];
    raw_write(peer, frame->data, frame->len);
}

void raw_say(struct raw_peer *peer, const char *text)
{
    raw_frame(peer, 1, true, text, strlen(text));
}

static void receive(struct raw_peer *peer)
{
    guint8 buffer[16384];
    while (!peer->ended && !peer->deaf) {
        gssize got = recv(peer->fd, buffer, sizeof buffer, 0);
        if (got > 0)
            g_byte_array_append(peer->in, buffer, (guint)got);
        else if (got == 0 || errno == ECONNRESET)
            peer->ended = true;
        else
            return;
    }
}

char *raw_read_until(struct raw_peer *peer, const char *until)
{
    gint64 deadline = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;
    for (;;) {
        receive(peer);
        const char *found =
            peer->in->len ? memmem(peer->in->data, peer->in->len, until, strlen(until)) : NULL;
        if (found || peer->ended) {
            gsize length =
                found ? (gsize)(found - (char *)peer->in->data) + strlen(until) : peer->in->len;
            char *text = g_strndup(length ? (char *)peer->in->data : "", length);
            g_byte_array_remove_range(peer->in, 0, (guint)length);
            return text;
        }
        if (!world_step(deadline))
            g_error("%s does not come", until);
    }
}

char *raw_hear_octets(struct raw_peer *peer, gsize most)
{
    receive(peer);
    gsize length = MIN(most, peer->in->len);
    char *text = g_strndup(length ? (char *)peer->in->data : "", length);
    g_byte_array_remove_range(peer->in, 0, (guint)length);
    return text;
}

/* Takes one frame out of what was received. */
static bool take_frame(struct raw_peer *peer, guint *ret_head, GByteArray **ret_payload)
{
    const guint8 *in = peer->in->data;
    gsize have = peer->in->len, used = 2;
    if (have < 2)
        return false;
    guint64 length = in[1] & 0x7f;
    g_assert_false(in[1] & 0x80); /* RFC 6455 5.1: a server never masks */
    gsize extra = length == 126 ? 2 : length == 127 ? 8 : 0;
    if (have < used + extra)
        return false;
    if (extra)
        length = 0;
    for (gsize i = 0; i < extra; i++)
        length = length << 8 | in[used + i];
    used += extra;
    if (have - used < length)
        return false;
    *ret_head = in[0];
    *ret_payload = g_byte_array_new();
    g_byte_array_append(*ret_payload, in + used, (guint)length);
    g_byte_array_remove_range(peer->in, 0, (guint)(used + length));
    return true;
}

static char *describe_control(guint opcode, GByteArray *payload)
{
    if (opcode == 9)
        return g_strdup("ping");
    if (opcode == 10)
        return g_strdup_printf("pong %.*s", (int)payload->len, (char *)payload->data);
    if (payload->len < 2)
        return g_strdup("close");
    return g_strdup_printf("close %d %.*s", payload->data[0] << 8 | payload->data[1],
                           (int)payload->len - 2, (char *)payload->data + 2);
}

static char *take_message(struct raw_peer *peer)
{
    guint head;
    GByteArray *taken;
    while (take_frame(peer, &head, &taken)) {
        g_autoptr(GByteArray) payload = taken;
        if (head & 8)
            return describe_control(head & 15, payload);
        g_assert_cmpuint(head & 0x70, ==, 0);
        g_assert_cmpint((head & 15) == 1, ==, peer->message->len == 0);
        g_assert_cmpuint(payload->len, <=, 8192); /* larger ones break on HTTP/2 */
        g_byte_array_append(peer->message, payload->data, payload->len);
        if (head & 0x80) {
            char *text = g_strndup(peer->message->len ? (char *)peer->message->data : "",
                                   peer->message->len);
            g_byte_array_set_size(peer->message, 0);
            return text;
        }
    }
    return NULL;
}

char *raw_hear(struct raw_peer *peer, double seconds)
{
    gint64 deadline = g_get_monotonic_time() + (gint64)(seconds * G_USEC_PER_SEC);
    for (;;) {
        receive(peer);
        char *text = take_message(peer);
        if (text)
            return text;
        if (peer->ended)
            return g_strdup("end");
        if (!world_step(deadline))
            return g_strdup("nothing");
    }
}

void raw_expect(struct raw_peer *peer, const char *pattern, double seconds)
{
    g_autofree char *text = raw_hear(peer, seconds);
    if (!g_pattern_match_simple(pattern, text))
        g_error("heard %.300s where %s was expected", text, pattern);
}

void raw_expect_silence(struct raw_peer *peer, guint ms)
{
    gint64 deadline = g_get_monotonic_time() + (gint64)ms * 1000;
    for (gint64 now; (now = g_get_monotonic_time()) < deadline;) {
        g_autofree char *text = raw_hear(peer, (double)(deadline - now) / G_USEC_PER_SEC);
        if (strcmp(text, "ping") && strcmp(text, "nothing"))
            g_error("heard %.300s where silence was expected", text);
    }
}
