/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the joining of a leg and a plain OpenSSL peer: every callback is counted and checked to come
 * on the control thread and never after the close. */
#include "tests/flow/pipelines/call.h"

#include "base/loop.h"

#include <string.h>

/* A peer that would rather have AES-CM, as browsers do: as a server it gets it. */
#define PROFILES "SRTP_AES128_CM_SHA1_80:SRTP_AEAD_AES_128_GCM"

gint64 call_peers_cpu_us;

void call_close(struct call *call)
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

gint64 call_cpu_us(clockid_t clock)
{
    struct timespec time;

    clock_gettime(clock, &time);
    return time.tv_sec * G_USEC_PER_SEC + time.tv_nsec / 1000;
}

static void on_send(void *user, GBytes *datagram)
{
    struct call *call = user;
    gint64 began = call_cpu_us(CLOCK_THREAD_CPUTIME_ID);

    if (call->lose_sent > 0)
        call->lose_sent--;
    else if (call->peer)
        dtls_peer_receive(call->peer, datagram);
    call_peers_cpu_us += call_cpu_us(CLOCK_THREAD_CPUTIME_ID) - began;
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

struct call *call_new(bool we_are_server, enum dtls_peer_certificate certificate)
{
    struct call *call = g_new0(struct call, 1);
    g_autoptr(GError) error = NULL;
    guint8 value[64];
    guint length;
    gint64 began = call_cpu_us(CLOCK_THREAD_CPUTIME_ID);

    call->peer = dtls_peer_new(we_are_server, certificate, PROFILES);
    call_peers_cpu_us += call_cpu_us(CLOCK_THREAD_CPUTIME_ID) - began;
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

void call_free(struct call *call)
{
    if (call->leg)
        call_close(call);
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

void call_turn_for(guint ms)
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

void call_carry(struct call *call)
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

bool call_turn_until(struct call *call, const guint *count, guint wanted)
{
    bool over = false;
    guint limit = g_timeout_add(5000, on_timeout, &over);

    while (*count < wanted && !over) {
        call_carry(call);
        g_main_context_iteration(NULL, TRUE);
    }
    if (!over)
        g_source_remove(limit);
    call_carry(call);
    return !over;
}

void call_turn_with_peer_clock(struct call *call)
{
    for (guint turn = 0; turn < 500 && !(call->connected && call->peer->connected); turn++) {
        call_turn_for(10);
        dtls_peer_tick(call->peer);
        call_carry(call);
    }
}

bool call_turn_until_dot(struct call *call, const char *text)
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

void call_start(struct call *call, bool we_are_server)
{
    g_autoptr(GError) error = NULL;

    g_assert_true(pl_leg_start(call->leg, &call->remote, we_are_server, &error));
    g_assert_no_error(error);
}
