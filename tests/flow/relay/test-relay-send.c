/* SPDX-License-Identifier: Apache-2.0 */
/* Runs through a real socket: with segmentation by the kernel and without, the same datagrams come
 * out. */
#include "wmcf/relay/send-batch.h"

#include <netinet/udp.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define PACKETS 500

static size_t length_of(unsigned i)
{
    return i % 10 == 9 ? 300 : 1100; /* bursts of ten, the last one shorter */
}

/* Sends PACKETS to one receiver, interleaved with some to nobody, and checks what arrives. */
static void send_and_check(bool segmentation)
{
    struct media_socket from, to;
    union socket_address loopback;
    g_autoptr(GError) error = NULL;
    g_assert_true(socket_address_parse("127.0.0.1", 0, &loopback));
    g_assert_true(media_socket_open(&from, 0, &loopback, 0, 4 << 20, &error));
    g_assert_true(media_socket_open(&to, 1, &loopback, 0, 4 << 20, &error));
    g_assert_no_error(error);
    static const int off = 0;
    setsockopt(to.fd, IPPROTO_UDP, UDP_GRO, &off, sizeof off);
    from.segmentation = segmentation;
    struct send_batch *batch = send_batch_new(&from);
    uint64_t failed = 0;
    for (unsigned i = 0; i < PACKETS; i++) {
        uint8_t *out = send_batch_reserve(batch);
        memset(out, (int)i, length_of(i));
        memcpy(out, &i, sizeof i);
        send_batch_commit(batch, &to.local, length_of(i), &failed);
    }
    send_batch_flush(batch);
    struct send_totals *totals = send_batch_totals(batch);
    g_assert_cmpuint(failed, ==, 0);
    g_assert_cmpuint(totals->packets, ==, PACKETS);
    g_assert_cmpuint(totals->dropped, ==, 0);
    g_assert_cmpuint(totals->segmentation_fallbacks, ==, 0);
    g_assert_cmpuint(totals->calls, <=, 10);
    uint64_t octets = 0;
    for (unsigned i = 0; i < PACKETS; i++) {
        uint8_t in[2048];
        unsigned number;
        struct pollfd wait = {.fd = to.fd, .events = POLLIN};
        g_assert_cmpint(poll(&wait, 1, 5000), ==, 1);
        ssize_t length = recv(to.fd, in, sizeof in, 0);
        memcpy(&number, in, sizeof number);
        g_assert_cmpuint(number, ==, i);
        g_assert_cmpint(length, ==, length_of(i));
        g_assert_cmpuint(in[length - 1], ==, (uint8_t)i);
        octets += (uint64_t)length;
    }
    g_assert_cmpuint(totals->octets, ==, octets);
    send_batch_free(batch);
    media_socket_close(&from);
    media_socket_close(&to);
}

static void test_runs(void)
{
    send_and_check(true);
}

static void test_plain(void)
{
    send_and_check(false);
}

/* A destination that the kernel refuses costs only its own packets. */
static void test_refused_destination(void)
{
    struct media_socket from, to;
    union socket_address loopback, nowhere;
    g_autoptr(GError) error = NULL;
    socket_address_parse("127.0.0.1", 0, &loopback);
    socket_address_parse("2001:db8::1", 9, &nowhere); /* another family than the socket's */
    g_assert_true(media_socket_open(&from, 0, &loopback, 0, 0, &error));
    g_assert_true(media_socket_open(&to, 1, &loopback, 0, 0, &error));
    struct send_batch *batch = send_batch_new(&from);
    uint64_t good = 0, bad = 0;
    for (unsigned i = 0; i < 30; i++) {
        memset(send_batch_reserve(batch), 0, 100);
        if (i % 3)
            send_batch_commit(batch, &to.local, 100, &good);
        else
            send_batch_commit(batch, &nowhere, 100, &bad);
    }
    send_batch_flush(batch);
    g_assert_cmpuint(good, ==, 0);
    g_assert_cmpuint(bad, ==, 10);
    g_assert_cmpuint(send_batch_totals(batch)->packets, ==, 20);
    g_assert_true(from.segmentation);
    send_batch_free(batch);
    media_socket_close(&from);
    media_socket_close(&to);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/send/runs", test_runs);
    g_test_add_func("/send/plain", test_plain);
    g_test_add_func("/send/refused-destination", test_refused_destination);
    return g_test_run();
}
