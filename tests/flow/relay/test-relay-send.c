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

/* Three media and what is of none, in turn to two destinations: each packet has the DSCP of its
 * medium, in each medium the order stays, and what was written before does not stick. */
static void check_marks(const char *address, bool segmentation)
{
    static const int dscps[] = {46, -1, 36, 10 | SEND_DSCP_SEEN};
    static const int one = 1, off = 0;
    struct media_socket from, to[2];
    union socket_address loopback;
    struct qos_slot slots[4] = {0};
    bool v6 = strchr(address, ':') != NULL;
    g_autoptr(GError) error = NULL;
    socket_address_parse(address, 0, &loopback);
    g_assert_true(media_socket_open(&from, 0, &loopback, 0, 4 << 20, &error));
    for (unsigned t = 0; t < 2; t++) {
        g_assert_true(media_socket_open(&to[t], 1, &loopback, 0, 4 << 20, &error));
        setsockopt(to[t].fd, IPPROTO_UDP, UDP_GRO, &off, sizeof off);
        g_assert_cmpint(setsockopt(to[t].fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP,
                                   v6 ? IPV6_RECVTCLASS : IP_RECVTOS, &one, sizeof one),
                        ==, 0);
    }
    from.segmentation = segmentation;
    struct send_batch *batch = send_batch_new(&from);
    for (unsigned i = 0; i < PACKETS; i++) {
        unsigned medium = i / 3 % 4;
        uint8_t *out = send_batch_reserve(batch);
        memset(out, 0, 200);
        memcpy(out, &i, sizeof i);
        send_batch_commit_media(batch, &to[i / 25 % 2].local, 200, NULL,
                                medium == 1 ? NULL : &slots[medium], dscps[medium]);
        if (i % 100 == 99)
            send_batch_flush(batch);
    }
    send_batch_flush(batch);
    unsigned last[2][4] = {0};
    for (unsigned i = 0; i < PACKETS; i++) {
        uint8_t in[2048];
        unsigned number, t = i >= PACKETS / 2;
        _Alignas(struct cmsghdr) uint8_t controls[CMSG_SPACE(sizeof(int))];
        struct iovec vector = {in, sizeof in};
        struct msghdr header = {.msg_iov = &vector,
                                .msg_iovlen = 1,
                                .msg_control = controls,
                                .msg_controllen = sizeof controls};
        struct pollfd wait = {.fd = to[t].fd, .events = POLLIN};
        g_assert_cmpint(poll(&wait, 1, 5000), ==, 1);
        g_assert_cmpint(recvmsg(to[t].fd, &header, 0), ==, 200);
        memcpy(&number, in, sizeof number);
        unsigned medium = number / 3 % 4;
        g_assert_cmpuint(number + 1, >, last[t][medium]);
        last[t][medium] = number + 1;
        int dscp = dscps[medium] < 0 ? 0 : dscps[medium] & 63;
        g_assert_cmpuint(CMSG_DATA(CMSG_FIRSTHDR(&header))[0], ==, dscp << 2);
    }
    for (unsigned medium = 0; medium < 4; medium++)
        g_assert_cmpuint(slots[medium].marked, ==, medium % 2 ? 0 : medium ? 125 : 126);
    send_batch_free(batch);
    media_socket_close(&from);
    media_socket_close(&to[0]);
    media_socket_close(&to[1]);
}

static void test_marks(void)
{
    for (unsigned i = 0; i < 4; i++)
        check_marks(i / 2 ? "::1" : "127.0.0.1", i % 2);
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
    g_test_add_func("/send/marks", test_marks);
    g_test_add_func("/send/refused-destination", test_refused_destination);
    return g_test_run();
}
