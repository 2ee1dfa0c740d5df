/* SPDX-License-Identifier: Apache-2.0 */
/* A leg, webrtcbin and all, against a plain OpenSSL peer in the same process: the test is the
 * transport, and the control loop is turned by hand. */
#include "base/loop.h"
#include "base/problem.h"
#include "pipelines/leg.h"
#include "tests/support/dtls-peer.h"

#include <glib.h>
#include <string.h>

#define PROFILE "SRTP_AES128_CM_SHA1_80"

struct call {
    struct pl_leg *leg;
    struct dtls_peer *peer;
    struct sdp_description remote;
    struct pl_srtp_keys keys;
    guint connected, failed, closed, sent;
    GError *error;
    bool gone;             /* closed by us: no callback may come */
    const guint *close_in; /* close when this is counted up */
    guint lose_sent, lose_received;
};

#define BOTH_ROLES(we_are_server) for (guint we_are_server = 0; we_are_server < 2; we_are_server++)

static void call_close(struct call *call)
{
    pl_leg_close(call->leg);
    call->leg = NULL;
    call->gone = true;
}

static void count(struct call *call, guint *counter)
{
    g_assert_true(loop_is_current());
    g_assert_false(call->gone);
    (*counter)++;
    if (counter == call->close_in) {
        call->close_in = NULL;
        call_close(call);
    }
}

static gint64 peers_cpu_us; /* what the other ends cost: not the leg's */

static gint64 cpu_us(clockid_t clock)
{
    struct timespec time;

    clock_gettime(clock, &time);
    return time.tv_sec * G_USEC_PER_SEC + time.tv_nsec / 1000;
}

static void on_send(void *user, GBytes *datagram)
{
    struct call *call = user;
    gint64 began = cpu_us(CLOCK_THREAD_CPUTIME_ID);

    if (call->lose_sent > 0)
        call->lose_sent--;
    else if (call->peer)
        dtls_peer_receive(call->peer, datagram);
    peers_cpu_us += cpu_us(CLOCK_THREAD_CPUTIME_ID) - began;
    count(call, &call->sent);
}

static void on_connected(void *user, const struct pl_srtp_keys *keys)
{
    struct call *call = user;

    call->keys = *keys;
    count(call, &call->connected);
}

static void on_failed(void *user, const GError *error)
{
    struct call *call = user;

    g_clear_error(&call->error);
    call->error = g_error_copy(error);
    count(call, &call->failed);
}

static void on_closed(void *user)
{
    struct call *call = user;

    count(call, &call->closed);
}

static const struct pl_leg_ops ops = {on_send, on_connected, on_failed, on_closed};

static struct call *call_new(bool we_are_server, enum dtls_peer_certificate certificate)
{
    struct call *call = g_new0(struct call, 1);
    g_autoptr(GError) error = NULL;
    guint8 value[64];
    guint length;
    gint64 began = cpu_us(CLOCK_THREAD_CPUTIME_ID);

    call->peer = dtls_peer_new(we_are_server, certificate, PROFILE);
    peers_cpu_us += cpu_us(CLOCK_THREAD_CPUTIME_ID) - began;
    call->leg = pl_leg_new("leg", &ops, call, &error);
    g_assert_no_error(error);
    length = dtls_peer_fingerprint(call->peer, EVP_sha256(), value);
    call->remote = (struct sdp_description){
        .session_id = 1,
        .ice_ufrag = (char *)"ufrag",
        .ice_pwd = (char *)"passwordpasswordpassword",
        .fingerprint_hash = (char *)"sha-256",
        .setup = we_are_server ? SDP_SETUP_ACTIVE : SDP_SETUP_PASSIVE,
        .bundle = true,
        .fingerprint = g_byte_array_append(g_byte_array_new(), value, length),
        .medias = g_ptr_array_new(),
        .candidates = g_array_new(FALSE, FALSE, sizeof(struct sdp_candidate)),
    };
    return call;
}

static void call_free(struct call *call)
{
    if (call->leg)
        call_close(call);
    /* What was posted before the close is let through: it must find nothing. */
    while (pl_reaper_pending() > 0)
        g_usleep(200);
    while (g_main_context_iteration(NULL, FALSE))
        ;
    dtls_peer_free(call->peer);
    g_byte_array_unref(call->remote.fingerprint);
    g_ptr_array_unref(call->remote.medias);
    g_array_unref(call->remote.candidates);
    g_clear_error(&call->error);
    g_free(call);
}

static void turn_for(guint ms)
{
    gint64 limit = g_get_monotonic_time() + ms * 1000;

    while (g_get_monotonic_time() < limit) {
        while (g_main_context_iteration(NULL, FALSE))
            ;
        g_usleep(200);
    }
}

static gboolean on_timeout(void *data)
{
    *(bool *)data = true;
    return G_SOURCE_REMOVE;
}

static void carry(struct call *call)
{
    GBytes *datagram;

    while (call->peer && (datagram = g_queue_pop_head(&call->peer->out))) {
        if (call->lose_received > 0)
            call->lose_received--;
        else if (call->leg)
            pl_leg_receive_dtls(call->leg, datagram);
        g_bytes_unref(datagram);
    }
}

/* Turns the loop until `*count` is reached, 5 s at most. */
static bool turn_until(struct call *call, const guint *count, guint wanted)
{
    bool over = false;
    guint limit = g_timeout_add(5000, on_timeout, &over);

    while (*count < wanted && !over) {
        carry(call);
        g_main_context_iteration(NULL, TRUE);
    }
    if (!over)
        g_source_remove(limit);
    carry(call);
    return !over;
}

/* Until both are connected, 5 s at most; the peer retransmits. */
static void turn_with_peer_clock(struct call *call)
{
    for (guint turn = 0; turn < 500 && !(call->connected && call->peer->connected); turn++) {
        turn_for(10);
        dtls_peer_tick(call->peer);
        carry(call);
    }
}

/* What webrtcbin thinks of itself follows on its own thread. */
static bool turn_until_dot(struct call *call, const char *text)
{
    gint64 limit = g_get_monotonic_time() + 5 * G_USEC_PER_SEC;

    while (g_get_monotonic_time() < limit) {
        g_autofree char *dot = pl_leg_dot(call->leg);

        if (strstr(dot, text))
            return true;
        g_main_context_iteration(NULL, FALSE);
    }
    return false;
}

static void start(struct call *call, bool we_are_server)
{
    g_autoptr(GError) error = NULL;

    g_assert_true(pl_leg_start(call->leg, &call->remote, we_are_server, &error));
    g_assert_no_error(error);
}

static void check_keys(struct call *call)
{
    guint8 own[30], other[30];

    g_assert_true(call->peer->connected);
    dtls_peer_keys(call->peer, own, other);
    g_assert_cmpint(call->keys.profile, ==, PL_SRTP_AES128_CM_HMAC_SHA1_80);
    g_assert_cmpuint(call->keys.key_length, ==, 16);
    g_assert_cmpuint(call->keys.salt_length, ==, 14);
    g_assert_cmpmem(call->keys.local_key, 16, other, 16);
    g_assert_cmpmem(call->keys.local_salt, 14, other + 16, 14);
    g_assert_cmpmem(call->keys.remote_key, 16, own, 16);
    g_assert_cmpmem(call->keys.remote_salt, 14, own + 16, 14);
}

static void connects(bool we_are_server)
{
    struct call *call = call_new(we_are_server, DTLS_PEER_ECDSA);

    g_assert_cmpstr(pl_leg_state_name(call->leg), ==, "new");
    g_assert_null(pl_leg_dtls_cipher(call->leg));
    start(call, we_are_server);
    pl_leg_ice_connected(call->leg);
    if (we_are_server)
        dtls_peer_step(call->peer);
    g_assert_true(turn_until(call, &call->connected, 1));
    while (!call->peer->connected)
        turn_until(call, &call->sent, call->sent + 1);
    check_keys(call);
    g_assert_cmpstr(pl_leg_state_name(call->leg), ==, "connected");
    g_assert_cmpstr(pl_leg_dtls_cipher(call->leg), ==, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
    g_assert_cmpuint(call->failed, ==, 0);
    g_assert_true(turn_until_dot(call, "connection-state=connected"));
    call_close(call);
    g_assert_true(call->peer->closed);
    call_free(call);
    g_assert_cmpuint(pl_legs_count(), ==, 0);
}

static void test_server(void)
{
    connects(true);
}

static void test_client(void)
{
    connects(false);
}

static void test_wrong_fingerprint(void)
{
    for (guint i = 0; i < 2; i++) {
        bool we_are_server = i == 0;
        struct call *call = call_new(we_are_server, DTLS_PEER_ECDSA);

        call->remote.fingerprint->data[31] ^= 1;
        start(call, we_are_server);
        pl_leg_ice_connected(call->leg);
        if (we_are_server)
            dtls_peer_step(call->peer);
        g_assert_true(turn_until(call, &call->failed, 1));
        g_assert_cmpuint(call->connected, ==, 0);
        g_assert_error(call->error, PROBLEM_DOMAIN, PROBLEM_SDP_NOT_ACCEPTABLE);
        g_assert_cmpstr(pl_leg_state_name(call->leg), ==, "failed");
        g_assert_false(call->peer->connected);
        call_free(call);
    }
}

/* --- order of events -------------------------------------------------------------------------- */

static void begin(struct call *call, bool we_are_server)
{
    start(call, we_are_server);
    pl_leg_ice_connected(call->leg);
    if (we_are_server)
        dtls_peer_step(call->peer);
}

static void test_ice_first(void)
{
    struct call *call = call_new(true, DTLS_PEER_ECDSA);

    pl_leg_ice_connected(call->leg);
    pl_leg_ice_connected(call->leg);
    turn_for(20);
    g_assert_cmpstr(pl_leg_state_name(call->leg), ==, "new");
    start(call, true);
    dtls_peer_step(call->peer);
    g_assert_true(turn_until(call, &call->connected, 1));
    check_keys(call);
    call_free(call);
}

static void test_early_hello(void)
{
    struct call *call = call_new(true, DTLS_PEER_ECDSA);
    GBytes *hello;

    /* Before anything is known of the peer, and more of it than is kept. */
    dtls_peer_step(call->peer);
    hello = g_queue_pop_head(&call->peer->out);
    for (guint i = 0; i < 6; i++)
        pl_leg_receive_dtls(call->leg, hello);
    g_bytes_unref(hello);
    turn_for(20);
    start(call, true);
    turn_for(20);
    g_assert_cmpuint(call->sent, ==, 0);
    pl_leg_ice_connected(call->leg);
    /* The peer says nothing again by itself: its clock is not turned. */
    g_assert_true(turn_until(call, &call->connected, 1));
    check_keys(call);
    call_free(call);
}

static void test_start_errors(void)
{
    struct call *call = call_new(true, DTLS_PEER_ECDSA);
    g_autoptr(GError) error = NULL;

    call->remote.fingerprint_hash = (char *)"sha-1";
    g_assert_false(pl_leg_start(call->leg, &call->remote, true, &error));
    g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_SDP_NOT_ACCEPTABLE);
    g_clear_error(&error);
    call->remote.fingerprint_hash = (char *)"sha-256";
    start(call, true);
    g_assert_false(pl_leg_start(call->leg, &call->remote, true, &error));
    g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_INVALID_STATE);
    call_free(call);
}

static void test_ice_lost(void)
{
    struct call *call = call_new(true, DTLS_PEER_ECDSA);

    begin(call, true);
    g_assert_true(turn_until(call, &call->connected, 1));
    pl_leg_ice_failed(call->leg);
    g_assert_cmpstr(pl_leg_state_name(call->leg), ==, "failed");
    g_assert_true(turn_until_dot(call, "connection-state=failed"));
    turn_for(20);
    /* The caller said it: it is not told again. Another pair brings it back. */
    g_assert_cmpuint(call->failed, ==, 0);
    pl_leg_ice_connected(call->leg);
    g_assert_cmpstr(pl_leg_state_name(call->leg), ==, "connected");
    g_assert_true(turn_until_dot(call, "connection-state=connected"));
    g_assert_cmpuint(call->failed, ==, 0);
    g_assert_cmpuint(call->connected, ==, 1);
    call_free(call);
}

/* --- peers ------------------------------------------------------------------------------------ */

static void test_certificates(void)
{
    static const enum dtls_peer_certificate kinds[] = {DTLS_PEER_RSA, DTLS_PEER_EXPIRED};

    for (guint i = 0; i < G_N_ELEMENTS(kinds); i++) {
        struct call *call = call_new(true, kinds[i]);

        begin(call, true);
        g_assert_true(turn_until(call, &call->connected, 1));
        check_keys(call);
        call_free(call);
    }
}

static void test_alert(void)
{
    static const guint8 alert[] = {21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40};
    g_autoptr(GBytes) datagram = g_bytes_new_static(alert, sizeof alert);

    for (guint i = 0; i < 2; i++) {
        struct call *call = call_new(i == 0, DTLS_PEER_ECDSA);

        start(call, i == 0);
        pl_leg_ice_connected(call->leg);
        pl_leg_receive_dtls(call->leg, datagram);
        g_assert_true(turn_until(call, &call->failed, 1));
        g_assert_true(turn_until_dot(call, "connection-state=failed"));
        turn_for(20);
        g_assert_cmpuint(call->failed, ==, 1);
        g_assert_cmpuint(call->connected, ==, 0);
        call_free(call);
    }
}

static void test_closed_by_peer(void)
{
    struct call *call = call_new(true, DTLS_PEER_ECDSA);

    begin(call, true);
    g_assert_true(turn_until(call, &call->connected, 1));
    turn_for(20);
    g_assert_true(call->peer->connected);
    dtls_peer_close(call->peer);
    g_assert_true(turn_until(call, &call->closed, 1));
    g_assert_cmpstr(pl_leg_state_name(call->leg), ==, "closed");
    g_assert_cmpuint(call->failed, ==, 0);
    call_free(call);
}

static void test_garbage(void)
{
    struct call *call = call_new(true, DTLS_PEER_ECDSA);
    guint8 octets[1500];

    begin(call, true);
    for (guint round = 0; round < 2; round++) {
        for (guint i = 0; i < 500; i++) {
            g_autoptr(GBytes) datagram = NULL;

            for (guint at = 0; at < sizeof octets; at++)
                octets[at] = (guint8)g_test_rand_int_range(0, 256);
            octets[0] = (guint8)g_test_rand_int_range(20, 64);
            datagram = g_bytes_new(octets, (gsize)g_test_rand_int_range(0, sizeof octets));
            pl_leg_receive_dtls(call->leg, datagram);
            if (i % 10 == 0)
                turn_for(1);
        }
        /* The hello may have been one too many: the peer says it again. */
        turn_with_peer_clock(call);
        g_assert_cmpuint(call->connected, ==, 1);
    }
    g_assert_cmpuint(call->failed, ==, 0);
    check_keys(call);
    call_free(call);
}

static void test_loss(void)
{
    for (guint i = 0; i < 2; i++) {
        bool we_are_server = i == 0;
        struct call *call = call_new(we_are_server, DTLS_PEER_ECDSA);

        /* Real timers here: each side loses its first two datagrams. */
        call->lose_sent = call->lose_received = 2;
        begin(call, we_are_server);
        turn_with_peer_clock(call);
        g_assert_cmpuint(call->connected, ==, 1);
        check_keys(call);
        call_free(call);
    }
}

/* --- ends ------------------------------------------------------------------------------------- */

static void test_close_in_every_state(void)
{
    pl_leg_close(NULL);
    BOTH_ROLES(we_are_server)
    {
        /* After each number of turns of the loop, which runs through all states. */
        for (guint turns = 0; turns < 60; turns++) {
            struct call *call = call_new(we_are_server, DTLS_PEER_ECDSA);

            if (turns > 0)
                begin(call, we_are_server);
            for (guint turn = 1; turn < turns; turn++) {
                g_usleep(100);
                carry(call);
                g_main_context_iteration(NULL, FALSE);
            }
            call_close(call);
            call_free(call);
        }
    }
    g_assert_cmpuint(pl_legs_count(), ==, 0);
    g_assert_cmpuint(pl_reaper_pending(), ==, 0);
}

static void test_close_in_callback(void)
{
    for (guint i = 0; i < 4; i++) {
        struct call *call = call_new(true, DTLS_PEER_ECDSA);

        call->close_in = i == 0   ? &call->sent
                         : i == 1 ? &call->connected
                         : i == 2 ? &call->failed
                                  : &call->closed;
        if (i == 2)
            call->remote.fingerprint->data[0] ^= 1;
        begin(call, true);
        if (i == 3) {
            g_assert_true(turn_until(call, &call->connected, 1));
            turn_for(20);
            dtls_peer_close(call->peer);
        }
        g_assert_true(turn_until(call, call->close_in, 1));
        g_assert_true(call->gone);
        turn_for(20);
        call_free(call);
    }
}

/* --- what it costs ---------------------------------------------------------------------------- */

struct usage {
    guint threads, descriptors, kilobytes;
    gint64 cpu_us;
};

static guint status_value(const char *name)
{
    g_autofree char *text = NULL;
    const char *at;

    g_assert_true(g_file_get_contents("/proc/self/status", &text, NULL, NULL));
    at = strstr(text, name);
    return at ? (guint)strtoul(at + strlen(name), NULL, 10) : 0;
}

static struct usage usage_now(void)
{
    g_autoptr(GDir) dir = g_dir_open("/proc/self/fd", 0, NULL);
    struct usage usage = {.threads = status_value("Threads:"),
                          .kilobytes = status_value("VmRSS:"),
                          .cpu_us = cpu_us(CLOCK_PROCESS_CPUTIME_ID) - peers_cpu_us};

    while (g_dir_read_name(dir))
        usage.descriptors++;
    return usage;
}

static void settle(void)
{
    while (pl_reaper_pending() > 0)
        g_usleep(200);
    while (g_main_context_iteration(NULL, FALSE))
        ;
}

/* Opens LEGS legs one after the other, all at once open, and closes them. */
static void open_many(struct usage *ret_before, struct usage *ret_after)
{
#ifdef __SANITIZE_ADDRESS__
    enum { LEGS = 30 }; /* twenty times slower */
#else
    enum { LEGS = 200 };
#endif
    struct call *calls[LEGS];
    struct usage open;
    gint64 began = g_get_monotonic_time(), took;

    settle();
    *ret_before = usage_now();
    for (guint i = 0; i < LEGS; i++) {
        struct call *call = calls[i] = call_new(true, DTLS_PEER_ECDSA);

        start(call, true);
        pl_leg_ice_connected(call->leg);
        dtls_peer_step(call->peer);
        g_assert_true(turn_until(call, &call->connected, 1));
        g_clear_pointer(&call->peer, dtls_peer_free);
    }
    took = g_get_monotonic_time() - began;
    open = usage_now();
    g_assert_cmpuint(pl_legs_count(), ==, LEGS);
    g_test_message("%u legs: %.2f threads, %.2f descriptors, %.0f KB, %.2f ms CPU per leg, "
                   "%.0f legs/s",
                   LEGS, (open.threads - ret_before->threads) / (double)LEGS,
                   (open.descriptors - ret_before->descriptors) / (double)LEGS,
                   (open.kilobytes - ret_before->kilobytes) / (double)LEGS,
                   (double)(open.cpu_us - ret_before->cpu_us) / LEGS / 1000,
                   LEGS * 1e6 / (double)took);
    began = g_get_monotonic_time();
    for (guint i = 0; i < LEGS; i++)
        call_close(calls[i]);
    took = g_get_monotonic_time() - began;
    settle();
    g_test_message("closed in %.3f ms each, %.2f ms with the reaper", (double)took / 1000 / LEGS,
                   (double)(g_get_monotonic_time() - began) / 1000 / LEGS);
    for (guint i = 0; i < LEGS; i++)
        call_free(calls[i]);
    g_assert_cmpuint(pl_legs_count(), ==, 0);
    *ret_after = usage_now();
}

static void test_many(void)
{
    struct usage before, after, again;

    open_many(&before, &after);
    g_assert_cmpuint(after.threads, ==, before.threads);
    g_assert_cmpuint(after.descriptors, ==, before.descriptors);
    /* What the first round took for good is there for the second. */
    open_many(&before, &again);
    g_assert_cmpuint(again.threads, ==, before.threads);
    g_assert_cmpuint(again.descriptors, ==, before.descriptors);
    g_test_message("the second round left %d KB", (int)(again.kilobytes - after.kilobytes));
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    int result;

    g_test_init(&argc, &argv, NULL);
    loop_init(5000); /* the peers run on this thread too, under sanitizers */
    if (!pl_init(&error)) {
        g_print("Bail out! %s\n", error->message);
        return 1;
    }
    g_test_add_func("/leg/server", test_server);
    g_test_add_func("/leg/client", test_client);
    g_test_add_func("/leg/wrong-fingerprint", test_wrong_fingerprint);
    g_test_add_func("/leg/ice-first", test_ice_first);
    g_test_add_func("/leg/early-hello", test_early_hello);
    g_test_add_func("/leg/start-errors", test_start_errors);
    g_test_add_func("/leg/ice-lost", test_ice_lost);
    g_test_add_func("/leg/certificates", test_certificates);
    g_test_add_func("/leg/alert", test_alert);
    g_test_add_func("/leg/closed-by-peer", test_closed_by_peer);
    g_test_add_func("/leg/garbage", test_garbage);
    g_test_add_func("/leg/loss", test_loss);
    g_test_add_func("/leg/close-in-every-state", test_close_in_every_state);
    g_test_add_func("/leg/close-in-callback", test_close_in_callback);
    g_test_add_func("/leg/many", test_many);
    result = g_test_run();
    pl_finish();
    return result;
}
