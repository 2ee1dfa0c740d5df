/* SPDX-License-Identifier: Apache-2.0 */
/* Peers that come and go, move, fall silent or mean harm. */
#include "base/loop.h"
#include "tests/flow/relay/scene.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

struct counter {
    const unsigned *value;
    unsigned at_least;
};

static bool reached(void *user)
{
    struct counter *counter = user;
    return *counter->value >= counter->at_least;
}

static bool wait_count(struct endpoint *endpoint, const unsigned *value, unsigned at_least)
{
    return endpoints_wait((struct endpoint *[]){endpoint, NULL}, reached,
                          &(struct counter){value, at_least}, 5000);
}

static void pass(struct endpoint *endpoint, guint ms)
{
    endpoints_wait((struct endpoint *[]){endpoint, NULL}, NULL, NULL, ms);
}

/* --- ICE -------------------------------------------------------------------------------------- */

static void test_stun(void)
{
    struct relay_config config = {0};
    struct relay *relay = test_relay_new(&config);
    struct endpoint *endpoint = endpoint_new(relay, 1);
    /* before the remote description, any remote name will do */
    endpoint_stun(endpoint, 0);
    g_assert_true(wait_count(endpoint, &endpoint->stun_success, 1));
    endpoint_describe(endpoint);
    endpoint_stun(endpoint, STUN_BAD_PASSWORD);
    g_assert_true(wait_count(endpoint, &endpoint->stun_error, 1));
    g_assert_cmpint(endpoint->last_stun_error, ==, 401);
    endpoint_stun(endpoint, STUN_BAD_REMOTE);
    g_assert_true(wait_count(endpoint, &endpoint->stun_error, 2));
    g_assert_cmpint(endpoint->last_stun_error, ==, 401);
    endpoint_stun(endpoint, STUN_CONTROLLED);
    g_assert_true(wait_count(endpoint, &endpoint->stun_error, 3));
    g_assert_cmpint(endpoint->last_stun_error, ==, 487);
    g_assert_cmpuint(endpoint->connected, ==, 0);
    endpoint_connect(endpoint);
    endpoint_stun(endpoint, STUN_NOMINATE); /* the same again: told once */
    g_assert_true(wait_count(endpoint, &endpoint->stun_success, 4));
    WAIT_UNTIL(endpoint, endpoint->checks >= 1);
    g_assert_cmpuint(endpoint->connected, ==, 1);
    struct relay_leg_stats stats = endpoint_stats(endpoint);
    g_assert_cmpuint(stats.stun_requests, ==, 4);
    g_assert_cmpuint(test_relay_totals(relay).stun_rejected, ==, 3);
    endpoint_free(endpoint);
    relay_free(relay);
}

/* The endpoint moves: the next nomination takes media there. */
static void test_moves(void)
{
    struct scene scene;
    scene_begin(&scene, NULL, 1, NULL, NULL);
    struct endpoint *to = scene.to[0];
    scene_publish(&scene, 3, true);
    g_assert_true(scene_wait_rtp(&scene, to, 3));
    int before = to->fd;
    to->roams = true;
    to->fd = endpoint_socket(to);
    endpoint_stun(to, STUN_NOMINATE);
    g_assert_true(wait_count(to, &to->connected, 2));
    scene_publish(&scene, 3, false);
    g_assert_true(scene_wait_rtp(&scene, to, 6));
    /* media from the old address is still the leg's */
    close(before);
    scene_end(&scene);
}

/* Aggressive nomination (RFC 5245): every pair is nominated again and again; the best one stays. */
static void test_aggressive_nomination(void)
{
    struct scene scene;
    scene_begin(&scene, NULL, 1, NULL, NULL);
    struct endpoint *to = scene.to[0];
    int first = to->fd, second = endpoint_socket(to);
    to->roams = true;
    for (guint i = 0; i < 10; i++) {
        to->fd = i % 2 ? first : second;
        to->priority = i % 2 ? 1000 : 100;
        unsigned answers = to->stun_success;
        endpoint_stun(to, STUN_NOMINATE);
        g_assert_true(wait_count(to, &to->stun_success, answers + 1));
    }
    g_assert_cmpuint(to->connected, <=, 3);
    to->fd = first;
    struct relay_leg_stats stats = endpoint_stats(to);
    struct sockaddr_in own;
    socklen_t length = sizeof own;
    getsockname(first, (struct sockaddr *)&own, &length);
    g_assert_cmpuint(((struct sockaddr_in *)&stats.remote)->sin_port, ==, own.sin_port);
    scene_publish(&scene, 5, true);
    g_assert_true(scene_wait_rtp(&scene, to, 5));
    /* it moves for good: after a moment the lower one is believed */
    scene_wait(&scene, NULL, NULL, 1100);
    to->fd = second;
    to->priority = 100;
    endpoint_stun(to, STUN_NOMINATE);
    scene_wait(&scene, NULL, NULL, 20);
    guint have = to->rtp.length;
    scene_publish(&scene, 5, true);
    g_assert_true(scene_wait_rtp(&scene, to, have + 5));
    close(first);
    scene_end(&scene);
}

/* Somebody who nominates an address that never answers gets little sent there. */
static void test_forged_address(void)
{
    struct scene scene;
    scene_begin(&scene, NULL, 1, NULL, NULL);
    struct endpoint *to = scene.to[0];
    scene_publish(&scene, 3, true);
    g_assert_true(scene_wait_rtp(&scene, to, 3));
    close(to->fd);
    to->roams = to->silent = true;
    to->fd = endpoint_socket(to);
    endpoint_stun(to, STUN_NOMINATE);
    g_assert_true(wait_count(to, &to->connected, 2));
    scene_publish(&scene, 50, true);
    WAIT_UNTIL(scene.from, endpoint_stats(scene.from).medias[0].packets_in == 53);
    scene_wait(&scene, NULL, NULL, 50);
    g_assert_cmpuint(to->rtp.length, <=, 3 + 10); /* 3 × about 120 octets */
    g_assert_cmpuint(to->checks, >=, 1);
    to->silent = false; /* it was there after all */
    pass(to, 60);
    unsigned checks = to->checks;
    endpoint_stun(to, 0);
    WAIT_UNTIL(to, to->checks > checks);
    pass(to, 50); /* the answer is on its way */
    guint have = to->rtp.length;
    scene_publish(&scene, 20, true);
    g_assert_true(scene_wait_rtp(&scene, to, have + 20));
    scene_end(&scene);
}

static size_t drain(int fd)
{
    uint8_t data[ENDPOINT_MAX];
    size_t octets = 0;
    for (ssize_t n; (n = recv(fd, data, sizeof data, MSG_DONTWAIT)) > 0;)
        octets += (size_t)n;
    return octets;
}

static void ask_again(struct endpoint *endpoint, uint16_t sequence)
{
    uint8_t nack[16] = {0x81, 205, 0, 3, [7] = 9}; /* RFC 4585 6.2.1 */
    uint32_t ssrc = g_htonl(SUBSCRIBED_SSRC(0));
    memcpy(nack + 8, &ssrc, sizeof ssrc);
    nack[12] = (uint8_t)(sequence >> 8);
    nack[13] = (uint8_t)sequence;
    nack[14] = nack[15] = 0xff;
    endpoint_send_rtcp(endpoint, nack, sizeof nack);
}

/* Media, retransmissions, reports, DTLS, our own questions and the answers to those of the endpoint
 * together: a foreign address gets at most three times of what seems to come from there. */
static void test_foreign_address(void)
{
    struct scene scene;
    scene_begin(&scene, NULL, 1, NULL, NULL);
    struct endpoint *to = scene.to[0];
    scene_publish(&scene, 3, true);
    g_assert_true(scene_wait_rtp(&scene, to, 3));
    uint16_t first = rtp_sequence(g_queue_peek_head(&to->rtp));
    int own = to->fd, foreign = endpoint_socket(to);
    size_t sent = 0, got = 0;
    g_autofree uint8_t *flight = g_malloc0(1000);
    const uint8_t record[] = {22, 0xfe, 0xfd, [11] = (1000 - 13) >> 8, (1000 - 13) & 0xff};
    g_autoptr(GBytes) dtls = NULL;
    memcpy(flight, record, sizeof record);
    dtls = g_bytes_new_static(flight, 1000);
    to->roams = true;
    for (guint round = 0; round < 12; round++) {
        if (round % 4 == 0) {
            to->fd = foreign; /* whose owner knows of nothing and never answers */
            sent += endpoint_stun(to, STUN_NOMINATE);
            to->fd = own;
            WAIT_UNTIL(scene.from, endpoint_stats(to).stun_requests == 3 + round / 4);
        }
        scene_publish(&scene, 20, round == 0);
        guint published = 3 + 20 * (round + 1);
        WAIT_UNTIL(scene.from, endpoint_stats(scene.from).medias[0].packets_in == published);
        ask_again(to, first);
        relay_leg_send_dtls(to->leg, dtls);
        WAIT_UNTIL(scene.from, endpoint_stats(to).medias[0].nack_received >= (round + 1) * 17);
        got += drain(foreign);
        g_assert_cmpuint(got, <=, 3 * sent);
    }
    scene_wait(&scene, NULL, NULL, 1100); /* reports, and the next question */
    got += drain(foreign);
    g_test_message("%zu octets went there, %zu octets came", got, sent);
    g_assert_cmpuint(got, <=, 3 * sent);
    g_assert_cmpuint(got, >, sent); /* but it was asked whether it is there */
    close(foreign);
    scene_end(&scene);
}

/* An address belongs to one leg; another one gets it only when it is free. */
static void test_take_over(void)
{
    struct relay_config config = {.workers = 1}; /* an address is one leg's per socket */
    struct relay *relay = test_relay_new(&config);
    struct endpoint *a = endpoint_new(relay, 1), *b = endpoint_new(relay, 1);
    endpoint_connect(a);
    WAIT_UNTIL(a, a->checks >= 1); /* b could not answer it */
    int own = b->fd;
    b->fd = a->fd; /* b's requests come from a's address */
    b->roams = true;
    endpoint_describe(b);
    endpoint_stun(b, STUN_NOMINATE);
    pass(b, 50);
    g_assert_cmpuint(b->connected, ==, 0); /* a is using it */
    g_assert_cmpuint(b->stun_success, ==, 0);
    /* a moves elsewhere: the address is no longer its nominated one */
    a->roams = true;
    a->fd = endpoint_socket(a);
    endpoint_stun(a, STUN_NOMINATE);
    g_assert_true(wait_count(a, &a->connected, 2));
    endpoint_stun(b, STUN_NOMINATE);
    g_assert_true(wait_count(b, &b->connected, 1));
    close(own);
    endpoint_free(a);
    endpoint_free(b);
    relay_free(relay);
}

/* More addresses than a leg may have: the oldest give way, the nominated one stays. */
static void test_many_addresses(void)
{
    struct scene scene;
    scene_begin(&scene, NULL, 1, NULL, NULL);
    struct endpoint *to = scene.to[0];
    int own = to->fd;
    g_assert_true(wait_count(to, &to->stun_success, 2)); /* of the connection */
    for (guint i = 0; i < 30; i++) {
        to->fd = endpoint_socket(to);
        endpoint_stun(to, 0);
        g_assert_true(wait_count(to, &to->stun_success, 3 + i));
        close(to->fd);
    }
    to->fd = own;
    scene_publish(&scene, 3, true);
    g_assert_true(scene_wait_rtp(&scene, to, 3));
    scene_end(&scene);
}

static void test_consent(void)
{
    struct relay_config config = {.consent_timeout_ms = 1000};
    struct scene scene;
    scene_begin(&scene, &config, 1, NULL, NULL);
    for (guint i = 0; i < 60 && !scene.to[0]->expired; i++) {
        endpoint_stun(scene.from, 0); /* one keeps asking, the other falls silent */
        scene_wait(&scene, NULL, NULL, 50);
    }
    g_assert_cmpuint(scene.to[0]->expired, ==, 1);
    g_assert_cmpuint(scene.from->expired, ==, 0);
    scene_publish(&scene, 5, true);
    WAIT_UNTIL(scene.from, endpoint_stats(scene.from).medias[0].packets_in == 5);
    scene_wait(&scene, NULL, NULL, 20);
    g_assert_cmpuint(scene.to[0]->rtp.length, ==, 0);
    g_assert_false(endpoint_stats(scene.to[0]).ice_connected);
    /* and comes back */
    endpoint_stun(scene.to[0], STUN_NOMINATE);
    g_assert_true(wait_count(scene.to[0], &scene.to[0]->connected, 2));
    scene_publish(&scene, 5, true);
    g_assert_true(scene_wait_rtp(&scene, scene.to[0], 5));
    scene_end(&scene);
}

/* --- DTLS ------------------------------------------------------------------------------------- */

static bool has_dtls(void *user)
{
    return ((struct endpoint *)user)->dtls.length > 0;
}

static bool has_datagram(void *user)
{
    return ((struct endpoint *)user)->datagrams->len > 0;
}

static void test_dtls(void)
{
    struct relay_config config = {.dtls_rate = 1000000};
    struct relay *relay = test_relay_new(&config);
    struct endpoint *endpoint = endpoint_new(relay, 1);
    static const uint8_t hello[40] = {22, 0xfe, 0xff, 1, 2, 3};
    g_autoptr(GBytes) answer = g_bytes_new_static(hello, sizeof hello);
    endpoint_send_raw(endpoint, hello, sizeof hello); /* not validated: nobody sees it */
    relay_leg_send_dtls(endpoint->leg, answer);       /* no address yet: dropped */
    WAIT_UNTIL(endpoint, test_relay_totals(relay).unknown_source_dropped == 1);
    g_assert_cmpuint(endpoint->datagrams->len, ==, 0);
    endpoint_connect(endpoint);
    g_assert_cmpuint(endpoint->dtls.length, ==, 0);
    endpoint_send_raw(endpoint, hello, sizeof hello);
    g_assert_true(
        endpoints_wait((struct endpoint *[]){endpoint, NULL}, has_datagram, endpoint, 3000));
    gsize length;
    const void *data = g_bytes_get_data(endpoint->datagrams->pdata[0], &length);
    g_assert_cmpmem(data, length, hello, sizeof hello);
    relay_leg_send_dtls(endpoint->leg, answer);
    g_assert_true(endpoints_wait((struct endpoint *[]){endpoint, NULL}, has_dtls, endpoint, 3000));
    struct packet_in *packet = endpoint->dtls.head->data;
    g_assert_cmpmem(packet->data, packet->length, hello, sizeof hello);
    /* more than the control thread has seen are lost, not queued */
    uint64_t before = test_relay_totals(relay).packets_in;
    for (guint i = 0; i < 500; i++)
        endpoint_send_raw(endpoint, hello, sizeof hello);
    while (test_relay_totals(relay).packets_in < before + 500)
        g_usleep(1000); /* while nobody serves the control thread */
    pass(endpoint, 50);
    g_assert_cmpuint(endpoint->datagrams->len, <=, 1 + 256);
    g_assert_cmpuint(test_relay_totals(relay).dtls_dropped, ==, 501 - endpoint->datagrams->len);
    endpoint_free(endpoint);
    relay_free(relay);
}

/* A validated endpoint that never tires, another one beside it. */
static void test_dtls_flood(void)
{
    struct relay_config config = {.dtls_rate = 20};
    struct relay *relay = test_relay_new(&config);
    struct endpoint *loud = endpoint_new(relay, 1), *quiet = endpoint_new(relay, 1);
    static const uint8_t hello[40] = {22, 0xfe, 0xff, 1, 2, 3};
    endpoint_connect(loud);
    endpoint_connect(quiet);
    gint64 began = g_get_monotonic_time();
    for (guint i = 0; i < 1000; i++) {
        endpoint_send_raw(loud, hello, sizeof hello);
        pass(loud, 0);
    }
    endpoint_send_raw(quiet, hello, sizeof hello);
    g_assert_true(
        endpoints_wait((struct endpoint *[]){quiet, loud, NULL}, has_datagram, quiet, 3000));
    WAIT_UNTIL(loud, test_relay_totals(relay).dtls_dropped + loud->datagrams->len == 1000);
    gint64 seconds = (g_get_monotonic_time() - began) / G_USEC_PER_SEC + 1;
    g_assert_cmpint(loud->datagrams->len, <=, 20 * (seconds + 1));
    g_assert_cmpuint(loud->datagrams->len, >=, 20);
    endpoint_free(loud);
    endpoint_free(quiet);
    relay_free(relay);
}

/* --- what is not authentic -------------------------------------------------------------------- */

static void test_unvalidated(void)
{
    struct scene scene;
    uint8_t protected[ENDPOINT_MAX];
    scene_begin(&scene, NULL, 1, NULL, NULL);
    scene_publish(&scene, 3, true);
    g_assert_true(scene_wait_rtp(&scene, scene.to[0], 3));
    /* authentic packets, from an address that ICE does not know */
    int own = scene.from->fd;
    scene.from->fd = endpoint_socket(scene.from);
    scene_publish(&scene, 5, true);
    uint8_t report[8] = {0x80, 201, 0, 1, 0x11, 0x11, 0x11, 0x11};
    endpoint_send_rtcp(scene.from, report, sizeof report);
    WAIT_UNTIL(scene.to[0], test_relay_totals(scene.relay).unknown_source_dropped == 6);
    scene_wait(&scene, NULL, NULL, 20);
    g_assert_cmpint(recv(scene.from->fd, protected, sizeof protected, 0), ==, -1); /* no answer */
    close(scene.from->fd);
    scene.from->fd = own;
    g_assert_cmpuint(scene.to[0]->rtp.length, ==, 3);
    g_assert_cmpuint(endpoint_stats(scene.from).unvalidated_dropped, ==, 6);
    scene_end(&scene);
}

static void test_forged_media(void)
{
    struct scene scene;
    uint8_t protected[ENDPOINT_MAX], copy[ENDPOINT_MAX];
    scene_begin(&scene, NULL, 1, NULL, NULL);
    scene_publish(&scene, 3, true);
    g_assert_true(scene_wait_rtp(&scene, scene.to[0], 3));
    struct rtp_out rtp = scene_rtp(scene.sequence, scene.timestamp, delta_payload);
    size_t length = endpoint_protect_rtp(scene.from, &rtp, protected);
    for (guint i = 0; i < 20; i++) {
        memcpy(copy, protected, length);
        copy[12 + i % (length - 12)] ^= 1;
        endpoint_send_raw(scene.from, copy, length);
    }
    for (guint i = 0; i < 300; i++) { /* every SSRC a new one */
        memcpy(copy, protected, length);
        copy[8] = (uint8_t)i;
        copy[9] = (uint8_t)(i >> 8);
        endpoint_send_raw(scene.from, copy, length);
    }
    for (guint i = 0; i < 5; i++) /* once good, then replays */
        endpoint_send_raw(scene.from, protected, length);
    for (size_t i = 1; i < length; i++) /* cut off */
        endpoint_send_raw(scene.from, protected, i);
    g_assert_true(scene_wait_rtp(&scene, scene.to[0], 4));
    WAIT_UNTIL(scene.from, endpoint_stats(scene.from).replayed >= 4);
    scene_wait(&scene, NULL, NULL, 30);
    g_assert_cmpuint(scene.to[0]->rtp.length, ==, 4);
    struct relay_leg_stats stats = endpoint_stats(scene.from);
    g_assert_cmpuint(stats.srtp_failed, >=, 300);
    g_assert_cmpuint(stats.medias[0].ssrc_in, ==, PUBLISHED_SSRC);
    scene_end(&scene);
}

/* An endpoint that makes up SSRCs gets no more of them than the limit. */
static void test_many_ssrcs(void)
{
    struct relay_config config = {.streams_max = 4};
    struct scene scene;
    scene_begin(&scene, &config, 1, NULL, NULL);
    scene_publish(&scene, 1, true);
    for (guint i = 0; i < 50; i++) {
        struct rtp_out rtp = scene_rtp(1, 1, key_payload);
        rtp.ssrc = 0x900 + i;
        endpoint_send_rtp(scene.from, &rtp);
    }
    WAIT_UNTIL(scene.from, endpoint_stats(scene.from).unknown_ssrc_dropped == 47);
    scene_publish(&scene, 3, false);
    g_assert_true(scene_wait_rtp(&scene, scene.to[0], 4));
    scene_end(&scene);
}

/* A sender that takes a new SSRC now and then may go on for ever. */
static void test_silent_ssrcs(void)
{
    struct relay_config config = {.streams_max = 3, .source_timeout_ms = 1};
    struct scene scene;
    scene_begin(&scene, &config, 1, NULL, NULL);
    for (guint i = 0; i < 10; i++) {
        struct rtp_out rtp = scene_rtp(1, 1, key_payload);
        rtp.ssrc = 0x900 + i;
        endpoint_send_rtp(scene.from, &rtp);
        WAIT_UNTIL(scene.from, endpoint_stats(scene.from).medias[0].packets_in == i + 1);
        g_usleep(2000); /* twice the time out */
    }
    g_assert_cmpuint(endpoint_stats(scene.from).unknown_ssrc_dropped, ==, 0);
    scene_end(&scene);
}

/* Rubbish of every class, from strangers and from an address that is valid, while a stream runs. */
static void test_flood(void)
{
    struct scene scene;
    uint8_t rubbish[1400];
    scene_begin(&scene, NULL, 1, NULL, NULL);
    struct endpoint stranger = {.relay = scene.from->relay};
    stranger.fd = endpoint_socket(&stranger);
    scene_publish(&scene, 1, true);
    for (guint i = 0; i < 10000; i++) {
        static const uint8_t firsts[] = {0, 1, 20, 22, 63, 64, 127, 128, 0x90, 191, 192, 255};
        size_t length = (size_t)g_test_rand_int_range(1, sizeof rubbish);
        for (size_t k = 0; k < MIN(length, 64); k++)
            rubbish[k] = (uint8_t)g_test_rand_int();
        rubbish[0] = firsts[i % sizeof firsts];
        if (length >= 20 && rubbish[0] < 2) { /* nearly STUN */
            length &= ~(size_t)3;
            rubbish[1] = 1;
            rubbish[2] = (uint8_t)((length - 20) >> 8);
            rubbish[3] = (uint8_t)(length - 20);
            memcpy(rubbish + 4, "\x21\x12\xa4\x42", 4);
        }
        endpoint_send_raw(i % 2 ? &stranger : scene.from, rubbish, length);
        if (i % 100 == 99) {
            scene_publish(&scene, 1, false);
            scene_wait(&scene, NULL, NULL, 2);
        }
    }
    g_assert_true(scene_wait_rtp(&scene, scene.to[0], 101));
    g_assert_cmpuint(scene.to[0]->rtp.length, ==, 101);
    struct relay_worker_stats stats = test_relay_totals(scene.relay);
    g_assert_cmpuint(stats.malformed, >, 1000);
    g_assert_cmpuint(stats.unknown_source_dropped, >, 1000);
    close(stranger.fd);
    scene_end(&scene);
}

/* RTCP that is authentic and makes no sense. */
static void test_bad_rtcp(void)
{
    struct scene scene;
    scene_begin(&scene, NULL, 1, NULL, NULL);
    for (guint i = 0; i < 300; i++) {
        uint8_t packet[64] = {(uint8_t)(0x80 | (i & 0x3f)), (uint8_t)(200 + i % 8), 0,
                              (uint8_t)(i % 20)};
        size_t length = 8 + (i % 14) * 4;
        for (size_t k = 8; k < length; k++)
            packet[k] = (uint8_t)g_test_rand_int();
        endpoint_send_rtcp(i % 2 ? scene.from : scene.to[0], packet, length);
    }
    scene_publish(&scene, 5, true);
    g_assert_true(scene_wait_rtp(&scene, scene.to[0], 5));
    WAIT_UNTIL(scene.from, test_relay_totals(scene.relay).malformed > 0);
    scene_end(&scene);
}

/* New keys: a new association begins with roll-over counter 0, numbering goes on. */
static void test_new_keys(void)
{
    struct scene scene;
    scene_begin(&scene, NULL, 1, NULL, NULL);
    scene_publish(&scene, 5, true);
    g_assert_true(scene_wait_rtp(&scene, scene.to[0], 5));
    endpoint_set_keys(scene.to[0]); /* the same: nothing happens */
    scene_publish(&scene, 5, false);
    g_assert_true(scene_wait_rtp(&scene, scene.to[0], 10));
    endpoint_rekey(scene.from);
    endpoint_rekey(scene.to[0]);
    endpoint_stats(scene.from);
    scene.sequence = 100;
    scene_publish(&scene, 5, true);
    g_assert_true(scene_wait_rtp(&scene, scene.to[0], 15));
    g_assert_cmpuint(scene.to[0]->undecryptable, ==, 0);
    uint16_t last = rtp_sequence(g_queue_peek_nth(&scene.to[0]->rtp, 9));
    g_assert_cmpuint(rtp_sequence(g_queue_peek_nth(&scene.to[0]->rtp, 10)), ==,
                     (uint16_t)(last + 1));
    scene_end(&scene);
}

/* --- coming and going ------------------------------------------------------------------------- */

static void count_stats(const struct relay_leg_stats *stats, void *user)
{
    g_assert_nonnull(stats);
    ++*(guint *)user;
}

/* Release in every state, with everything still under way. */
static void test_release(void)
{
    struct relay_config config = {0};
    struct relay *relay = test_relay_new(&config);
    struct relay_media line = scene_video("0", true, true, 77);
    guint counts = 0;
    for (guint state = 0; state < 64; state++) {
        struct endpoint *a = endpoint_new(relay, 1), *b = endpoint_new(relay, 1);
        if (state & 1) {
            endpoint_connect(a);
            endpoint_connect(b);
        }
        if (state & 2) {
            endpoint_set_keys(a);
            endpoint_set_keys(b);
        }
        if (state & 4) {
            relay_leg_set_medias(a->leg, &line, 1);
            relay_leg_set_medias(b->leg, &line, 1);
        }
        if (state & 8) {
            relay_route(a->leg, "0", b->leg, "0");
            relay_route(b->leg, "0", a->leg, "0");
        }
        for (uint16_t i = 0; (state & 16) && i < 5; i++) {
            struct rtp_out rtp = scene_rtp(i, i, key_payload);
            endpoint_send_rtp(a, &rtp);
            endpoint_send_rtp(b, &rtp);
        }
        if (state & 32) {
            relay_leg_stats(a->leg, count_stats, &counts); /* a last look */
            endpoint_release(a);
            relay_leg_set_medias(a->leg, &line, 1); /* inert */
            relay_route(a->leg, "0", b->leg, "0");
            endpoint_free(a);
            endpoint_free(b);
        } else {
            endpoint_free(b);
            endpoint_free(a);
        }
    }
    g_assert_cmpuint(counts, ==, 32);
    g_assert_cmpuint(test_relay_totals(relay).legs, ==, 0);
    relay_free(relay);
}

static guint released;

static void count_released(void *user)
{
    released++;
}

static bool all_released(void *user)
{
    return released == GPOINTER_TO_UINT(user);
}

/* Thousands of legs on two workers, many at a time. */
static void test_churn(void)
{
    static const struct relay_leg_ops ops = {.released = count_released};
    struct relay_config config = {.workers = 2, .legs_max = 500};
    struct relay *relay = test_relay_new(&config);
    struct relay_leg *legs[500] = {NULL};
    struct relay_media line = scene_video("0", true, true, 77);
    g_autoptr(GError) error = NULL;
    guint made = 0;
    released = 0;
    g_assert_cmpuint(relay_workers(relay), ==, 2);
    for (guint round = 0; round < 6; round++) {
        for (guint i = 0; i < G_N_ELEMENTS(legs); i++) {
            g_autofree char *ufrag = g_strdup_printf("churn%u", made++);
            struct relay_leg_config leg = {.group = i / 4,
                                           .name = "t",
                                           .local_ufrag = ufrag,
                                           .local_pwd = "passwordpasswordpassword",
                                           .cname = "c",
                                           .ops = &ops};
            legs[i] = relay_leg_new(relay, &leg, &error);
            g_assert_no_error(error);
            relay_leg_set_medias(legs[i], &line, 1);
            if (i % 4)
                relay_route(legs[i - i % 4], "0", legs[i], "0");
        }
        struct relay_leg_config extra = {.local_ufrag = "x", .local_pwd = "y", .ops = &ops};
        g_assert_null(relay_leg_new(relay, &extra, &error));
        g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_RESOURCES_UNAVAILABLE);
        g_clear_error(&error);
        for (guint i = 0; i < G_N_ELEMENTS(legs); i++)
            relay_leg_release(legs[(i * 7) % G_N_ELEMENTS(legs)]);
        g_assert_true(endpoints_wait(NULL, all_released, GUINT_TO_POINTER(made), 10000));
    }
    g_assert_cmpuint(released, ==, 3000);
    relay_free(relay);
}

/* --- configuration ---------------------------------------------------------------------------- */

static void expect_refused(struct relay_config config, const char *text)
{
    g_autoptr(GError) error = NULL;
    config.workers = 1;
    g_assert_null(relay_new(&config, &error));
    g_assert_nonnull(error);
    g_assert_nonnull(strstr(error->message, text));
}

static void test_refused_configuration(void)
{
    static const char *const name[] = {"localhost", NULL}, *const foreign[] = {"192.0.2.1", NULL};
    static const char *const loopback[] = {"127.0.0.1", NULL}, *const bad[] = {"a=b", NULL};
    expect_refused((struct relay_config){.bind = name}, "localhost");
    expect_refused((struct relay_config){.bind = foreign, .port = 40000}, "192.0.2.1:40000");
    expect_refused((struct relay_config){.bind = loopback, .advertise = bad}, "a=b");
    expect_refused((struct relay_config){.bind = loopback, .port = 65536}, "65536");
    struct relay_config config = {.workers = 1};
    struct relay *relay = test_relay_new(&config);
    struct endpoint *endpoint = endpoint_new(relay, 1);
    guint port = ntohs(((struct sockaddr_in *)&endpoint->relay)->sin_port);
    expect_refused((struct relay_config){.bind = loopback, .port = port}, "choose another");
    endpoint_free(endpoint);
    relay_free(relay);
}

static void test_advertised(void)
{
    static const char *const advertise[] = {"203.0.113.9", "127.0.0.1=198.51.100.4", "2001:db8::1",
                                            NULL};
    struct relay_config config = {.advertise = advertise};
    struct relay *relay = test_relay_new(&config);
    struct endpoint *endpoint = endpoint_new(relay, 1);
    gsize n;
    const struct relay_address *addresses = relay_leg_addresses(endpoint->leg, &n);
    g_assert_cmpuint(n, ==, 1);
    const struct sockaddr_in *public = (const struct sockaddr_in *)&addresses[0].advertised;
    const struct sockaddr_in *local = (const struct sockaddr_in *)&addresses[0].local;
    g_assert_cmpuint(ntohl(public->sin_addr.s_addr), ==, 0xc6336404);
    g_assert_cmpuint(public->sin_port, ==, local->sin_port);
    endpoint_connect(endpoint); /* and works as ever */
    endpoint_free(endpoint);
    relay_free(relay);
}

/* Every address of the machine; the first is as good as loopback for talking to ourselves. */
static void test_default_addresses(void)
{
    static const char *const none[] = {NULL};
    struct relay_config config = {.bind = none};
    struct relay *relay = test_relay_new(&config);
    struct endpoint *endpoint = endpoint_new(relay, 1);
    endpoint_connect(endpoint);
    endpoint_free(endpoint);
    relay_free(relay);
}

static void test_ipv6(void)
{
    static const char *const both[] = {"::1", "127.0.0.1", NULL};
    struct relay_config config = {.bind = both};
    int probe = socket(AF_INET6, SOCK_DGRAM, 0);
    struct sockaddr_in6 loopback = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    bool there = probe >= 0 && bind(probe, (struct sockaddr *)&loopback, sizeof loopback) == 0;
    if (probe >= 0)
        close(probe);
    if (!there) {
        g_test_skip("this machine has no IPv6");
        return;
    }
    struct qos_slot slot = {.open = 1};
    struct scene scene;
    scene_begin(&scene, &config, 1, &slot, NULL);
    g_assert_cmpint(scene.from->relay.ss_family, ==, AF_INET6);
    scene_publish(&scene, 5, true);
    g_assert_true(scene_wait_rtp(&scene, scene.to[0], 5));
    g_assert_cmpuint(atomic_load(&slot.octets), ==, 5 * (12 + 8 + 10 + 48));
    scene_end(&scene);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    loop_init(1000);
    g_test_add_func("/peers/stun", test_stun);
    g_test_add_func("/peers/moves", test_moves);
    g_test_add_func("/peers/aggressive-nomination", test_aggressive_nomination);
    g_test_add_func("/peers/forged-address", test_forged_address);
    g_test_add_func("/peers/foreign-address", test_foreign_address);
    g_test_add_func("/peers/take-over", test_take_over);
    g_test_add_func("/peers/many-addresses", test_many_addresses);
    g_test_add_func("/peers/consent", test_consent);
    g_test_add_func("/peers/dtls", test_dtls);
    g_test_add_func("/peers/dtls-flood", test_dtls_flood);
    g_test_add_func("/peers/unvalidated", test_unvalidated);
    g_test_add_func("/peers/forged-media", test_forged_media);
    g_test_add_func("/peers/many-ssrcs", test_many_ssrcs);
    g_test_add_func("/peers/silent-ssrcs", test_silent_ssrcs);
    g_test_add_func("/peers/flood", test_flood);
    g_test_add_func("/peers/bad-rtcp", test_bad_rtcp);
    g_test_add_func("/peers/new-keys", test_new_keys);
    g_test_add_func("/peers/release", test_release);
    g_test_add_func("/peers/churn", test_churn);
    g_test_add_func("/peers/refused-configuration", test_refused_configuration);
    g_test_add_func("/peers/advertised", test_advertised);
    g_test_add_func("/peers/default-addresses", test_default_addresses);
    g_test_add_func("/peers/ipv6", test_ipv6);
    return g_test_run();
}
