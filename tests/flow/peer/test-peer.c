/* SPDX-License-Identifier: Apache-2.0 */
/* Two generated legs on loopback, one of them lite like a media server: offers both ways round,
 * media both ways, loss and repair, key frames, and each fault with what it must lead to. */
#include "tests/support/peer/peer.h"
#include "tests/support/peer/srtp-evp.h"
#include "tests/support/peer/srtp.h"

#include <string.h>

struct fixture {
    struct peer_group *group;
    struct peer *client, *server;
};

static const struct peer_media_config audio_video[] = {
    {.kind = PEER_AUDIO, .direction = PEER_SENDRECV},
    {.kind = PEER_VIDEO, .direction = PEER_SENDRECV, .bitrate = 2000000, .nack = true},
};

static struct peer_config config_of(const char *name, bool lite)
{
    struct peer_config config = {.name = name, .lite = lite, .n_medias = 2};
    memcpy(config.medias, audio_video, sizeof audio_video);
    return config;
}

static void make(struct fixture *f, const struct peer_config *client,
                 const struct peer_config *server)
{
    f->group = peer_group_new(NULL);
    f->client = peer_new(f->group, client, NULL);
    f->server = peer_new(f->group, server, NULL);
    g_assert_nonnull(f->client);
    g_assert_nonnull(f->server);
}

/* The server offers, the client answers, as our media centre does it. */
static void negotiate(struct peer *offerer, struct peer *answerer)
{
    GError *error = NULL;
    g_autofree char *offer = peer_offer(offerer, &error);
    g_assert_no_error(error);
    g_autofree char *answer = peer_answer(answerer, offer, &error);
    g_assert_no_error(error);
    g_assert_true(peer_set_answer(offerer, answer, &error));
    g_assert_no_error(error);
}

static bool both_connected(void *user)
{
    struct fixture *f = user;
    return peer_get_state(f->client) == PEER_CONNECTED &&
           peer_get_state(f->server) == PEER_CONNECTED;
}

static bool any_failed(void *user)
{
    struct fixture *f = user;
    return peer_get_state(f->client) == PEER_FAILED || peer_get_state(f->server) == PEER_FAILED;
}

static gint64 in_ms(guint ms)
{
    return g_get_monotonic_time() + ms * 1000;
}

/* Runs until it is so; the limit is for a test that would wait for ever, on any machine. */
static void run_until(struct fixture *f, bool (*so)(void *user))
{
    g_assert_true(peer_group_run(f->group, in_ms(30000), so, f));
}

static void connect_both(struct fixture *f)
{
    run_until(f, both_connected);
}

static const struct peer_recv_stats *receive_of(const struct peer *peer, enum peer_kind kind)
{
    static struct peer_recv_stats stats;
    for (guint i = 0; i < peer_recv_count(peer); i++) {
        peer_get_recv(peer, i, &stats);
        if (stats.kind == kind)
            return &stats;
    }
    stats = (struct peer_recv_stats){0}; /* nothing has come yet */
    return &stats;
}

static void finish(struct fixture *f)
{
    peer_group_free(f->group);
}

static void assert_clean(const struct peer *peer)
{
    struct peer_stats stats;
    peer_get_stats(peer, &stats);
    g_assert_cmpuint(stats.srtp_failed, ==, 0);
    g_assert_cmpuint(stats.srtcp_failed, ==, 0);
    g_assert_cmpuint(stats.unknown_ssrc, ==, 0);
    g_assert_cmpuint(stats.unexpected, ==, 0);
    g_assert_cmpuint(stats.send_failed, ==, 0);
    for (guint i = 0; i < peer_recv_count(peer); i++) {
        struct peer_recv_stats recv;
        peer_get_recv(peer, i, &recv);
        g_assert_cmpint(recv.lost, ==, 0);
        g_assert_cmpuint(recv.duplicates, ==, 0);
        g_assert_cmpuint(recv.reordered, ==, 0);
        g_assert_cmpuint(recv.jumps, ==, 0);
        g_assert_cmpuint(recv.timestamp_jumps, ==, 0);
        g_assert_cmpuint(recv.broken_payload, ==, 0);
        g_assert_cmpuint(recv.foreign, ==, 0);
        g_assert_cmpuint(recv.source_lost, ==, 0);
    }
}

/* --- tests ----------------------------------------------------------------------------------- */

static bool enough_seen(void *user)
{
    struct fixture *f = user;
    const struct peer *ends[] = {f->client, f->server};
    for (guint i = 0; i < 2; i++) {
        struct peer_send_stats send;
        peer_get_send(ends[i], 1, &send);
        if (send.rr_received < 1 || receive_of(ends[i], PEER_AUDIO)->packets < 60)
            return false;
        const struct peer_recv_stats *video = receive_of(ends[i], PEER_VIDEO);
        if (video->frames < 35 || video->packets < 200 || video->sr_received < 1)
            return false;
    }
    return true;
}

static void run_call(const struct peer_config *client, const struct peer_config *server,
                     bool server_offers)
{
    struct fixture f;
    make(&f, client, server);
    negotiate(server_offers ? f.server : f.client, server_offers ? f.client : f.server);
    connect_both(&f);
    run_until(&f, enough_seen);
    const struct peer *ends[] = {f.client, f.server};
    for (guint i = 0; i < 2; i++) {
        assert_clean(ends[i]);
        g_assert_cmpuint(peer_recv_count(ends[i]), ==, 2);
        g_assert_cmpuint(receive_of(ends[i], PEER_VIDEO)->key_frames, ==, 1);
        g_assert_cmpuint(histogram_quantile(peer_latency(ends[i]), 0.5), >, 0);
        struct peer_send_stats send;
        peer_get_send(ends[i], 1, &send);
        g_assert_cmpint(send.cumulative_lost, ==, 0);
    }
    finish(&f);
}

static void test_lite_offers(void)
{
    struct peer_config client = config_of("client", false), server = config_of("server", true);
    run_call(&client, &server, true);
}

static void test_full_offers_to_lite(void)
{
    struct peer_config client = config_of("client", false), server = config_of("server", true);
    client.srtp = PEER_SRTP_EVP;
    run_call(&client, &server, false);
}

static void test_full_to_full(void)
{
    struct peer_config client = config_of("client", false), server = config_of("server", false);
    client.dtls_role = PEER_DTLS_SERVER;
    server.no_ssrc_attribute = true;
    client.no_mid_extension = true;
    run_call(&client, &server, true);
}

static void test_ipv6(void)
{
    struct peer_config client = config_of("client", false), server = config_of("server", true);
    client.bind_address = server.bind_address = "::1";
    run_call(&client, &server, true);
}

static bool losses_seen(void *user)
{
    struct fixture *f = user;
    return receive_of(f->client, PEER_VIDEO)->recovered > 10 &&
           receive_of(f->client, PEER_AUDIO)->lost > 0;
}

static bool picture_whole(void *user)
{
    struct fixture *f = user;
    return receive_of(f->client, PEER_VIDEO)->lost == 0;
}

static bool picture_begun(void *user)
{
    struct fixture *f = user;
    return receive_of(f->client, PEER_VIDEO)->decoded > 0;
}

static void run_lossy(bool rtx)
{
    struct fixture f;
    struct peer_config client = config_of("client", false), server = config_of("server", true);
    const struct peer_faults lossy = {.drop_out = 0.1};
    client.medias[1].rtx = server.medias[1].rtx = rtx;
    make(&f, &client, &server);
    negotiate(f.server, f.client);
    connect_both(&f);
    run_until(&f, picture_begun);
    peer_set_faults(f.server, &lossy);
    run_until(&f, losses_seen);
    struct peer_faults none = {0};
    peer_set_faults(f.server, &none);
    run_until(&f, picture_whole);
    const struct peer_recv_stats *video = receive_of(f.client, PEER_VIDEO);
    g_assert_cmpuint(video->duplicates, ==, 0);
    g_assert_cmpuint(video->broken_payload, ==, 0);
    g_assert_cmpuint(video->dropped, ==, 0);
    g_assert_cmpuint(video->decoded, >, 0);
    g_assert_true(rtx == (video->rtx > 0));
    g_assert_cmpuint(video->rtx, >=, rtx ? video->recovered : 0);
    finish(&f);
}

static void test_loss_is_repaired(void)
{
    run_lossy(false);
    run_lossy(true);
}

static bool one_key_frame(void *user)
{
    struct fixture *f = user;
    return receive_of(f->client, PEER_VIDEO)->key_frames == 1;
}

static bool key_frame_each_way(void *user)
{
    struct fixture *f = user;
    return one_key_frame(user) && receive_of(f->server, PEER_VIDEO)->key_frames == 1;
}

static bool two_key_frames(void *user)
{
    struct fixture *f = user;
    return receive_of(f->client, PEER_VIDEO)->key_frames == 2;
}

static void test_key_frame_on_request(void)
{
    struct fixture f;
    struct peer_config client = config_of("client", false), server = config_of("server", true);
    make(&f, &client, &server);
    negotiate(f.server, f.client);
    connect_both(&f);
    run_until(&f, one_key_frame);
    peer_request_key_frame(f.client, NULL);
    run_until(&f, two_key_frames);
    struct peer_send_stats send;
    peer_get_send(f.server, 1, &send);
    g_assert_cmpuint(send.pli_received, ==, 1);
    finish(&f);
}

static guint64 sent_before; /* by the client, until its direction came back */

static bool client_sends_again(void *user)
{
    struct fixture *f = user;
    struct peer_send_stats send;
    peer_get_send(f->client, 1, &send);
    return send.packets > sent_before;
}

static void test_directions_change(void)
{
    struct fixture f;
    struct peer_config client = config_of("client", false), server = config_of("server", true);
    make(&f, &client, &server);
    negotiate(f.server, f.client);
    connect_both(&f);
    /* The client's first frame still under way would find a line that no longer receives. */
    run_until(&f, key_frame_each_way);
    peer_set_direction(f.server, 1, PEER_SENDONLY);
    negotiate(f.server, f.client);
    struct peer_send_stats before, after;
    peer_group_run(f.group, in_ms(50), NULL, NULL);
    peer_get_send(f.client, 1, &before);
    peer_group_run(f.group, in_ms(300), NULL, NULL);
    peer_get_send(f.client, 1, &after);
    g_assert_cmpuint(before.packets, ==, after.packets);
    peer_restart_ice(f.server);
    peer_set_direction(f.server, 1, PEER_SENDRECV);
    negotiate(f.server, f.client);
    sent_before = before.packets;
    run_until(&f, client_sends_again);
    g_assert_cmpint(peer_get_state(f.client), ==, PEER_CONNECTED);
    assert_clean(f.client);
    assert_clean(f.server);
    finish(&f);
}

static void test_wrong_fingerprint(void)
{
    struct fixture f;
    struct peer_config client = config_of("client", false), server = config_of("server", true);
    client.faults.wrong_fingerprint = true;
    make(&f, &client, &server);
    negotiate(f.server, f.client);
    run_until(&f, any_failed);
    g_assert_cmpint(peer_get_state(f.server), ==, PEER_FAILED);
    g_assert_nonnull(peer_failure(f.server));
    finish(&f);
}

static void run_never_connects(const struct peer_faults *faults)
{
    struct fixture f;
    struct peer_config client = config_of("client", false), server = config_of("server", true);
    client.faults = *faults;
    make(&f, &client, &server);
    negotiate(f.server, f.client);
    g_assert_false(peer_group_run(f.group, in_ms(600), both_connected, &f));
    g_assert_cmpuint(peer_recv_count(f.server), ==, 0);
    finish(&f);
}

static bool client_was_reached(void *user)
{
    struct fixture *f = user;
    struct peer_stats stats;
    peer_get_stats(f->client, &stats);
    return stats.datagrams_in > 0;
}

/* The ClientHello is there before the answer, and not repeated while anyone waits. */
static void test_early_client_hello(void)
{
    struct fixture f;
    struct peer_config client = config_of("client", false), server = config_of("server", false);
    GError *error = NULL;
    server.faults.dtls_before_ice = true;
    server.dtls_repeat_ms = 60000;
    make(&f, &client, &server);
    g_autofree char *offer = peer_offer(f.client, &error);
    g_assert_no_error(error);
    g_autofree char *answer = peer_answer(f.server, offer, &error);
    g_assert_no_error(error);
    run_until(&f, client_was_reached);
    g_assert_true(peer_set_answer(f.client, answer, &error));
    g_assert_no_error(error);
    connect_both(&f);
    finish(&f);
}

static void test_ice_faults(void)
{
    run_never_connects(&(struct peer_faults){.wrong_ice_password = true});
    run_never_connects(&(struct peer_faults){.no_checks = true});
    run_never_connects(&(struct peer_faults){.no_nomination = true});
}

static guint64 unexpected_before;

static bool stranger_heard(void *user)
{
    struct fixture *f = user;
    struct peer_stats stats;
    peer_get_stats(f->server, &stats);
    return stats.unexpected == unexpected_before + 1 &&
           receive_of(f->server, PEER_VIDEO)->packets == 1;
}

static void test_stranger(void)
{
    struct fixture f;
    struct peer_config client = config_of("client", false), server = config_of("server", true);
    client.hold_media = server.hold_media = true;
    make(&f, &client, &server);
    negotiate(f.server, f.client);
    connect_both(&f);
    struct peer_stats before;
    peer_get_stats(f.server, &before);
    unexpected_before = before.unexpected;
    g_assert_true(peer_send_rtp_from_stranger(f.client, 1));
    g_assert_true(peer_send_raw(f.client, "\x40rubbish", 8));
    run_until(&f, stranger_heard);
    g_assert_cmpuint(receive_of(f.server, PEER_VIDEO)->broken_payload, ==, 0);
    finish(&f);
}

static void test_close(void)
{
    struct fixture f;
    struct peer_config client = config_of("client", false), server = config_of("server", true);
    make(&f, &client, &server);
    negotiate(f.server, f.client);
    connect_both(&f);
    peer_close(f.client);
    run_until(&f, any_failed);
    g_assert_cmpstr(peer_failure(f.server), ==, "closed by the far end");
    finish(&f);
}

static void test_bad_sdp(void)
{
    struct peer_group *group = peer_group_new(NULL);
    struct peer_config config = config_of("client", false);
    struct peer *peer = peer_new(group, &config, NULL);
    static const char *const bad[] = {"", "v=0\r\n", "v=0\r\nm=audio\r\n",
                                      "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"};
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(peer_answer(peer, bad[i], &error));
        g_assert_error(error, PEER_ERROR, 0);
    }
    peer_group_free(group);
}

static const struct peer_srtp_profile_row *make_keys(enum peer_srtp_profile profile,
                                                     struct peer_srtp_keys *keys,
                                                     struct peer_srtp_keys *mirrored)
{
    const struct peer_srtp_profile_row *row = peer_srtp_profile_find(profile, NULL);
    *keys = *mirrored = (struct peer_srtp_keys){.profile = profile};
    for (guint i = 0; i < row->key_length + row->salt_length; i++) {
        keys->local[i] = mirrored->remote[i] = (guint8)(i * 7);
        keys->remote[i] = mirrored->local[i] = (guint8)(i * 11 + 3);
    }
    return row;
}

/* Both ways round against libsrtp, over a roll-over of the sequence numbers. */
static void evp_against_libsrtp(enum peer_srtp_profile profile)
{
    struct peer_srtp_keys keys, mirrored;
    const struct peer_srtp_profile_row *row = make_keys(profile, &keys, &mirrored);
    struct peer_srtp *evp = peer_srtp_new(&keys, PEER_SRTP_EVP);
    struct peer_srtp *lib = peer_srtp_new(&mirrored, PEER_SRTP_LIBSRTP);
    for (guint i = 0; i < 400; i++) {
        guint8 plain[300] = {0x80, 96}, packet[320];
        plain[2] = (guint8)((65400 + i) >> 8);
        plain[3] = (guint8)(65400 + i);
        plain[11] = (guint8)(i & 1); /* two SSRCs */
        memset(plain + 12, (int)i, 200);
        gsize length = 100 + i % 150;
        memcpy(packet, plain, length);
        gsize n = length;
        g_assert_true(peer_srtp_protect(i & 2 ? evp : lib, packet, &n));
        g_assert_cmpuint(n, ==, length + row->tag_length);
        g_assert_cmpint(peer_srtp_unprotect(i & 2 ? lib : evp, packet, &n), ==, PEER_SRTP_OK);
        g_assert_cmpmem(packet, n, plain, length);
    }
    guint8 broken[80] = {0x80, 96};
    gsize n = 50;
    g_assert_true(peer_srtp_protect(lib, broken, &n));
    broken[20] ^= 1;
    g_assert_cmpint(peer_srtp_unprotect(evp, broken, &n), ==, PEER_SRTP_FAILED);
    peer_srtp_free(evp);
    peer_srtp_free(lib);
}

/* The same of RTCP: empty reports to long compounds from two SSRCs, and encrypted. */
static void evp_rtcp_against_libsrtp(enum peer_srtp_profile profile)
{
    struct peer_srtp_keys keys, mirrored;
    const struct peer_srtp_profile_row *row = make_keys(profile, &keys, &mirrored);
    struct peer_srtp *evp = peer_srtp_new(&keys, PEER_SRTP_EVP);
    struct peer_srtp *lib = peer_srtp_new(&mirrored, PEER_SRTP_LIBSRTP);
    for (guint i = 0; i < 400; i++) {
        guint8 plain[300] = {0x80, 201}, packet[320];
        gsize length = 8 + i % 70 * 4, n = length;
        plain[3] = (guint8)(length / 4 - 1);
        plain[7] = (guint8)(i & 1);
        memset(plain + 8, (int)i, length - 8);
        memcpy(packet, plain, length);
        g_assert_true(peer_srtp_protect_rtcp(i & 2 ? evp : lib, packet, &n));
        g_assert_cmpuint(n, ==, length + row->tag_length + 4);
        g_assert_cmpmem(packet, 8, plain, 8);
        if (length > 24)
            g_assert_cmpint(memcmp(packet + 8, plain + 8, length - 8), !=, 0);
        g_assert_cmpint(peer_srtp_unprotect_rtcp(i & 2 ? lib : evp, packet, &n), ==, PEER_SRTP_OK);
        g_assert_cmpmem(packet, n, plain, length);
    }
    peer_srtp_free(evp);
    peer_srtp_free(lib);
}

/* Each octet counts, and nothing that is too short is read. */
static void evp_rtcp_refuses(enum peer_srtp_profile profile)
{
    struct peer_srtp_keys keys, mirrored;
    make_keys(profile, &keys, &mirrored);
    struct peer_srtp *evp = peer_srtp_new(&keys, PEER_SRTP_EVP);
    struct peer_srtp *lib = peer_srtp_new(&mirrored, PEER_SRTP_LIBSRTP);
    guint8 good[60] = {0x80, 201, 0, 9}, packet[60];
    gsize length = 40, n;
    g_assert_true(peer_srtp_protect_rtcp(lib, good, &length));
    for (gsize i = 0; i < length; i++) {
        memcpy(packet, good, n = length);
        packet[i] ^= 0x40;
        g_assert_cmpint(peer_srtp_unprotect_rtcp(evp, packet, &n), ==, PEER_SRTP_FAILED);
    }
    for (gsize i = 0; i < length; i++) {
        g_autofree guint8 *part = g_memdup2(good, n = i);
        g_assert_cmpint(peer_srtp_unprotect_rtcp(evp, part, &n), ==, PEER_SRTP_FAILED);
    }
    n = 4;
    g_assert_false(peer_srtp_protect_rtcp(evp, packet, &n));
    g_assert_cmpint(peer_srtp_unprotect_rtcp(evp, good, &length), ==, PEER_SRTP_OK);
    g_assert_cmpuint(length, ==, 40);
    peer_srtp_free(evp);
    peer_srtp_free(lib);
}

static void test_evp_against_libsrtp(void)
{
    static const enum peer_srtp_profile profiles[PEER_SRTP_PROFILES] = {
        PEER_SRTP_AES128_CM_SHA1_80, PEER_SRTP_AEAD_AES_128_GCM, PEER_SRTP_AEAD_AES_256_GCM};
    for (guint i = 0; i < PEER_SRTP_PROFILES; i++) {
        evp_against_libsrtp(profiles[i]);
        evp_rtcp_against_libsrtp(profiles[i]);
        evp_rtcp_refuses(profiles[i]);
    }
}

static void test_histogram(void)
{
    struct histogram h = {0}, sum = {0};
    g_assert_cmpuint(histogram_quantile(&h, 0.5), ==, 0);
    for (guint i = 1; i <= 10000; i++)
        histogram_add(&h, i);
    histogram_merge(&sum, &h);
    g_assert_cmpuint(histogram_quantile(&sum, 0.5), >=, 5000);
    g_assert_cmpuint(histogram_quantile(&sum, 0.5), <, 5400);
    g_assert_cmpuint(histogram_quantile(&sum, 0.99), >=, 9900);
    g_assert_cmpuint(histogram_quantile(&sum, 1), ==, 10000);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/peer/histogram", test_histogram);
    g_test_add_func("/peer/evp-against-libsrtp", test_evp_against_libsrtp);
    g_test_add_func("/peer/lite-offers", test_lite_offers);
    g_test_add_func("/peer/full-offers-to-lite", test_full_offers_to_lite);
    g_test_add_func("/peer/full-to-full", test_full_to_full);
    g_test_add_func("/peer/ipv6", test_ipv6);
    g_test_add_func("/peer/loss-is-repaired", test_loss_is_repaired);
    g_test_add_func("/peer/key-frame-on-request", test_key_frame_on_request);
    g_test_add_func("/peer/directions-change", test_directions_change);
    g_test_add_func("/peer/wrong-fingerprint", test_wrong_fingerprint);
    g_test_add_func("/peer/early-client-hello", test_early_client_hello);
    g_test_add_func("/peer/ice-faults", test_ice_faults);
    g_test_add_func("/peer/stranger", test_stranger);
    g_test_add_func("/peer/close", test_close);
    g_test_add_func("/peer/bad-sdp", test_bad_sdp);
    return g_test_run();
}
