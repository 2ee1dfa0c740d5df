/* SPDX-License-Identifier: Apache-2.0 */
/* A peer that is who it says and means no good: DTLS is in order, its SCTP is made by hand.
 * Whatever it sends costs data channels at most; the leg and the process live on. */
#include "base/loop.h"
#include "base/problem.h"
#include "pipelines/leg.h"
#include "pipelines/sctp-packet.h"
#include "tests/support/dtls-peer.h"

#include <string.h>

#define PROFILE "SRTP_AES128_CM_SHA1_80"
enum {
    DATA = 0,
    INIT = 1,
    INIT_ACK = 2,
    ABORT = 6,
    SHUTDOWN = 7,
    COOKIE_ECHO = 10,
    COOKIE_ACK = 11
};
enum { CONTROL = 50, TEXT = 51, BINARY = 53 };

struct attack {
    struct pl_leg *leg;
    struct dtls_peer *peer;
    guint connected, failed, opened, messages, closed, data_failed, associated;
    guint32 tag; /* of theirs */
    guint32 tsn;
};

static const struct pl_data_limits limits = {
    .message_max = 65536, .channels = 8, .backlog = 1024 * 1024, .window = 256 * 1024};

static void put16(guint8 *at, guint value)
{
    at[0] = (guint8)(value >> 8);
    at[1] = (guint8)value;
}

static void put32(guint8 *at, guint32 value)
{
    put16(at, value >> 16);
    put16(at + 2, value & 0xffff);
}

static guint get16(const guint8 *at)
{
    return (guint)at[0] << 8 | at[1];
}

static void carry(struct attack *attack)
{
    GBytes *datagram;

    while ((datagram = g_queue_pop_head(&attack->peer->out))) {
        if (attack->leg)
            pl_leg_receive_dtls(attack->leg, datagram);
        g_bytes_unref(datagram);
    }
}

/* A packet of one chunk. */
static void send_chunk(struct attack *attack, guint8 type, guint8 flags, const void *body,
                       gsize length)
{
    guint8 packet[4096] = {0};
    gsize padded = 12 + 4 + ((length + 3) & ~(gsize)3);
    guint32 checksum;

    put16(packet, 5000);
    put16(packet + 2, 5000);
    put32(packet + 4, type == INIT ? 0 : attack->tag);
    packet[12] = type;
    packet[13] = flags;
    put16(packet + 14, (guint)(4 + length));
    memcpy(packet + 16, body, length);
    checksum = sctp_packet_checksum(packet, padded);
    memcpy(packet + 8, &checksum, sizeof checksum);
    dtls_peer_send(attack->peer, packet, padded);
    carry(attack);
}

static void send_init(struct attack *attack)
{
    guint8 body[16];

    attack->tsn = 1000;
    put32(body, 0x12345678);
    put32(body + 4, 1024 * 1024);
    put16(body + 8, 65535);
    put16(body + 10, 65535);
    put32(body + 12, attack->tsn);
    send_chunk(attack, INIT, 0, body, sizeof body);
}

static void send_data(struct attack *attack, guint stream, guint32 ppid, const void *data,
                      gsize length)
{
    guint8 body[2048];

    put32(body, attack->tsn++);
    put16(body + 4, stream);
    put16(body + 6, 0);
    put32(body + 8, ppid);
    memcpy(body + 12, data, length);
    send_chunk(attack, DATA, 7, body, 12 + length); /* unordered, whole */
}

static void send_open(struct attack *attack, guint stream)
{
    static const guint8 open[] = {3, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 'x'};

    send_data(attack, stream, CONTROL, open, sizeof open);
}

/* What their SCTP says: only what the association needs. */
static void handle_packet(struct attack *attack, const guint8 *packet, gsize length)
{
    for (gsize at = 12; at + 4 <= length;) {
        gsize size = get16(packet + at + 2);

        if (size < 4 || at + size > length)
            return;
        if (packet[at] == INIT_ACK && size > 20 && !attack->tag) {
            memcpy(&attack->tag, packet + at + 4, 4);
            attack->tag = GUINT32_FROM_BE(attack->tag);
            for (gsize p = at + 20; p + 4 <= at + size; p += (get16(packet + p + 2) + 3u) & ~3u) {
                if (get16(packet + p + 2) < 4)
                    break;
                if (get16(packet + p) == 7)
                    send_chunk(attack, COOKIE_ECHO, 0, packet + p + 4, get16(packet + p + 2) - 4u);
            }
        } else if (packet[at] == COOKIE_ACK) {
            attack->associated++;
        }
        at += (size + 3) & ~(gsize)3;
    }
}

static void on_send(void *user, GBytes *datagram)
{
    struct attack *attack = user;

    dtls_peer_receive(attack->peer, datagram);
    if (attack->peer->data->len > 0) {
        g_autofree guint8 *packet = g_memdup2(attack->peer->data->data, attack->peer->data->len);
        gsize length = attack->peer->data->len;

        g_byte_array_set_size(attack->peer->data, 0);
        handle_packet(attack, packet, length);
    }
}

static void on_connected(void *user, const struct pl_srtp_keys *keys)
{
    ((struct attack *)user)->connected++;
}

static void on_failed(void *user, const GError *error)
{
    g_test_message("failed: %s", error->message);
    ((struct attack *)user)->failed++;
}

static void on_closed_by_peer(void *user)
{
}

static void on_opened(void *user, guint channel, const struct pl_channel *what)
{
    ((struct attack *)user)->opened++;
}

static void on_number(void *user, guint channel)
{
}

static void on_message(void *user, guint channel, GBytes *message, bool text)
{
    ((struct attack *)user)->messages++;
}

static void on_channel_closed(void *user, guint channel, const char *reason)
{
    ((struct attack *)user)->closed++;
}

static void on_data_failed(void *user, const char *reason)
{
    g_test_message("data failed: %s", reason);
    ((struct attack *)user)->data_failed++;
}

static const struct pl_leg_ops ops = {
    .send_dtls = on_send,
    .connected = on_connected,
    .failed = on_failed,
    .closed_by_peer = on_closed_by_peer,
    .channel_opened = on_opened,
    .channel_ready = on_number,
    .channel_message = on_message,
    .channel_drained = on_number,
    .channel_closed = on_channel_closed,
    .data_failed = on_data_failed,
};

static gboolean on_timeout(void *data)
{
    *(bool *)data = true;
    return G_SOURCE_REMOVE;
}

static bool turn_until(struct attack *attack, const guint *count, guint wanted)
{
    bool over = false;
    guint limit = g_timeout_add(15000, on_timeout, &over);

    while (*count < wanted && !over) {
        carry(attack);
        g_main_context_iteration(NULL, TRUE);
    }
    if (!over)
        g_source_remove(limit);
    return *count >= wanted;
}

static void turn_for(struct attack *attack, guint ms)
{
    bool over = false;

    g_timeout_add(ms, on_timeout, &over);
    while (!over) {
        carry(attack);
        g_main_context_iteration(NULL, TRUE);
    }
}

static struct attack *begin(void)
{
    struct attack *attack = g_new0(struct attack, 1);
    g_autoptr(GError) error = NULL;
    guint8 value[64];
    guint length;

    attack->peer = dtls_peer_new(true, DTLS_PEER_ECDSA, PROFILE);
    attack->leg = pl_leg_new("leg", &ops, attack, &error);
    g_assert_no_error(error);
    length = dtls_peer_fingerprint(attack->peer, EVP_sha256(), value);
    struct sdp_description remote = {
        .session_id = 1,
        .ice_ufrag = (char *)"ufrag",
        .ice_pwd = (char *)"passwordpasswordpassword",
        .fingerprint_hash = (char *)"sha-256",
        .setup = SDP_SETUP_ACTIVE,
        .bundle = true,
        .fingerprint = g_byte_array_append(g_byte_array_new(), value, length),
        .medias = g_ptr_array_new(),
        .candidates = g_array_new(FALSE, FALSE, sizeof(struct sdp_candidate)),
    };
    pl_leg_set_data(attack->leg, 5000, &limits);
    g_assert_true(pl_leg_start(attack->leg, &remote, true, &error));
    pl_leg_ice_connected(attack->leg);
    dtls_peer_step(attack->peer);
    g_assert_true(turn_until(attack, &attack->connected, 1));
    /* Until one is answered. A second answer, late, is nothing to take another tag from (RFC 9260
     * 5.2.3): what is sent with it may reach an association that has the first. */
    for (guint tries = 0; tries < 150 && !attack->associated; tries++) {
        if (tries % 50 == 0)
            attack->tag = 0;
        if (!attack->tag)
            send_init(attack);
        turn_for(attack, 100);
    }
    g_assert_cmpuint(attack->associated, >, 0);
    g_byte_array_unref(remote.fingerprint);
    g_ptr_array_unref(remote.medias);
    g_array_unref(remote.candidates);
    return attack;
}

static void end(struct attack *attack)
{
    g_assert_cmpuint(attack->failed, ==, 0);
    g_assert_cmpstr(pl_leg_state_name(attack->leg), ==, "connected");
    pl_leg_close(g_steal_pointer(&attack->leg));
    while (pl_reaper_pending() > 0)
        g_usleep(200);
    while (g_main_context_iteration(NULL, FALSE))
        ;
    dtls_peer_free(attack->peer);
    g_free(attack);
}

static guint threads(void)
{
    g_autofree char *text = NULL;
    const char *at;

    g_assert_true(g_file_get_contents("/proc/self/status", &text, NULL, NULL));
    at = strstr(text, "Threads:");
    return at ? (guint)strtoul(at + 8, NULL, 10) : 0;
}

/* Streams are threads: there is an end to them. */
static void test_streams(void)
{
    struct attack *attack = begin();
    guint before = threads();

    for (guint stream = 0; stream < 300; stream++) {
        send_open(attack, stream);
        if (stream % 10 == 9)
            turn_for(attack, 5);
    }
    g_assert_true(turn_until(attack, &attack->data_failed, 1));
    g_test_message("%u channels, %u threads", attack->opened, threads() - before);
    g_assert_cmpuint(attack->opened, <=, limits.channels);
    g_assert_cmpuint(threads(), <, before + 2 * 4 * limits.channels + 20);
    end(attack);
}

static void test_control(void)
{
    static const struct {
        const char *octets;
        gsize length;
    } rows[] = {
        {"\0", 1},
        {"\3", 1},
        {"\7", 1},
        {"\2\2", 2},
        {"\3\0\0\0\0\0\0\0\0\1\0\0", 12},
        {"\3\0\0\0\0\0\0\0\377\377\377\377x", 13},
        {"\3\0\0\0\0\0\0\0\0\1\0\0\377", 13},
        {"\3\377\0\0\377\377\377\377\0\0\0\0y", 13},
    };
    static const guint32 ppids[] = {0, 1, 49, 52, 54, 55, 56, 57, 58, G_MAXUINT32};
    struct attack *attack = begin();
    guint stream = 0;

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
        send_data(attack, stream++, CONTROL, rows[i].octets, rows[i].length);
    for (guint i = 0; i < G_N_ELEMENTS(ppids); i++)
        send_data(attack, stream++, ppids[i], "abc", 3);
    send_data(attack, 65535, CONTROL, rows[0].octets, 1);
    send_data(attack, 40000, BINARY, "abc", 3);
    turn_for(attack, 100);
    g_assert_cmpuint(attack->opened, ==, 0);
    /* And after all that one in good order. */
    send_open(attack, 20);
    g_assert_true(turn_until(attack, &attack->opened, 1));
    send_data(attack, 20, TEXT, "hello", 5);
    g_assert_true(turn_until(attack, &attack->messages, 1));
    end(attack);
}

static void test_random(void)
{
    static const guint8 types[] = {0,  1,  2,  3,  4,  5,  7,   8,   9,   10,  11,
                                   14, 15, 64, 12, 13, 80, 130, 192, 193, 194, 255};
    struct attack *attack = begin();

    send_open(attack, 0);
    for (guint i = 0; i < 3000; i++) {
        guint8 body[256];
        gsize length = (gsize)g_test_rand_int_range(0, sizeof body);

        for (gsize at = 0; at < length; at++)
            body[at] = (guint8)g_test_rand_int_range(0, g_test_rand_bit() ? 256 : 8);
        if (g_test_rand_bit() && length >= 4)
            put32(body, attack->tsn + (guint32)g_test_rand_int_range(0, 4));
        send_chunk(attack, types[g_test_rand_int_range(0, G_N_ELEMENTS(types))],
                   (guint8)g_test_rand_int_range(0, 8), body, length);
        if (i % 20 == 0)
            turn_for(attack, 1);
    }
    turn_for(attack, 100);
    end(attack);
}

static void test_abort(void)
{
    struct attack *attack = begin();

    send_open(attack, 0);
    g_assert_true(turn_until(attack, &attack->opened, 1));
    send_chunk(attack, ABORT, 0, "", 0);
    g_assert_true(turn_until(attack, &attack->data_failed, 1));
    g_assert_cmpuint(pl_leg_channels(attack->leg), ==, 0);
    end(attack);
}

static void test_shutdown(void)
{
    struct attack *attack = begin();
    guint8 tsn[4] = {0};

    send_open(attack, 0);
    g_assert_true(turn_until(attack, &attack->opened, 1));
    send_chunk(attack, SHUTDOWN, 0, tsn, sizeof tsn);
    for (guint stream = 1; stream < 8; stream++)
        send_open(attack, stream);
    turn_for(attack, 200);
    end(attack);
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    int result;

    g_test_init(&argc, &argv, NULL);
    loop_init(5000); /* the peer runs on this thread too, under sanitizers */
    if (!pl_init(&error)) {
        g_print("Bail out! %s\n", error->message);
        return 1;
    }
    g_test_add_func("/data-hostile/streams", test_streams);
    g_test_add_func("/data-hostile/control", test_control);
    g_test_add_func("/data-hostile/random", test_random);
    g_test_add_func("/data-hostile/abort", test_abort);
    g_test_add_func("/data-hostile/shutdown", test_shutdown);
    result = g_test_run();
    pl_finish();
    return result;
}
