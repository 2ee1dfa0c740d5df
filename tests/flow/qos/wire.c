/* SPDX-License-Identifier: Apache-2.0 */
/* The far namespace belongs to a child that does nothing; a socket is made in it by a thread that
 * goes there and comes back. Across such a pair a packet has arrived when send() returns, or will
 * at the next softirq, so an empty queue is asked twice. */
#include "tests/flow/qos/wire.h"

#include "tests/flow/qos/ground.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/udp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SO_RCVMARK
#define SO_RCVMARK 75
#endif
#define PATIENCE_MS 5000
#define QUIET_MS 20
#define JUDGED 0x10000u

struct wire {
    pid_t holder;
    int near_ns, far_ns;
    struct sockaddr_storage near4, near6;
};

static struct sockaddr_storage address(const char *text)
{
    struct sockaddr_storage address = {0};
    struct sockaddr_in *in = (struct sockaddr_in *)&address;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address;
    if (inet_pton(AF_INET, text, &in->sin_addr) == 1)
        in->sin_family = AF_INET;
    else if (inet_pton(AF_INET6, text, &in6->sin6_addr) == 1)
        in6->sin6_family = AF_INET6;
    return address;
}

static socklen_t length_of(const struct sockaddr_storage *address)
{
    return address->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

static void make_pair(struct wire *wire)
{
    int far = (int)wire->holder;
    ground_do("ip link add near type veth peer name far netns %d", far);
    ground_do("ip addr add 192.0.2.10/24 dev near; ip -6 addr add fd00:db8::10/64 dev near nodad");
    ground_do("nsenter --net=/proc/%d/ns/net sh -c 'ip link set lo up; "
              "ip addr add 192.0.2.20/24 dev far; ip -6 addr add fd00:db8::20/64 dev far nodad; "
              "ip link set far up'",
              far);
    ground_do("ip link set near up");
}

void wire_free(struct wire *wire)
{
    kill(wire->holder, SIGKILL);
    waitpid(wire->holder, NULL, 0);
    close(wire->near_ns);
    close(wire->far_ns);
    g_free(wire);
}

const struct sockaddr *wire_near_address(struct wire *wire, int version)
{
    return (const struct sockaddr *)(version == 4 ? &wire->near4 : &wire->near6);
}

static int make_socket(const char *text, struct sockaddr_storage *ret)
{
    int on = 1, room = 8 << 20;
    *ret = address(text);
    int fd = socket(ret->ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t length = sizeof *ret;
    g_assert_cmpint(bind(fd, (struct sockaddr *)ret, length_of(ret)), ==, 0);
    getsockname(fd, (struct sockaddr *)ret, &length);
    setsockopt(fd, SOL_SOCKET, SO_RCVMARK, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    setsockopt(fd, IPPROTO_IP, IP_RECVTOS, &on, sizeof on);
    setsockopt(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, &on, sizeof on);
    return fd;
}

int wire_near_socket(struct wire *wire, int version, struct sockaddr_storage *ret)
{
    return make_socket(version == 4 ? "192.0.2.10" : "fd00:db8::10", ret);
}

int wire_far_socket(struct wire *wire, int version, struct sockaddr_storage *ret)
{
    g_assert_cmpint(setns(wire->far_ns, CLONE_NEWNET), ==, 0);
    int fd = make_socket(version == 4 ? "192.0.2.20" : "fd00:db8::20", ret);
    g_assert_cmpint(setns(wire->near_ns, CLONE_NEWNET), ==, 0);
    return fd;
}

void wire_connect(int fd, const struct sockaddr_storage *to)
{
    g_assert_cmpint(connect(fd, (const struct sockaddr *)to, length_of(to)), ==, 0);
}

void wire_set_port(struct sockaddr_storage *address, uint16_t port)
{
    ((struct sockaddr_in *)address)->sin_port = htons(port);
}

void wire_set_tos(int fd, uint8_t tos)
{
    int value = tos;
    setsockopt(fd, IPPROTO_IP, IP_TOS, &value, sizeof value);
    setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &value, sizeof value);
}

void wire_set_options(int fd)
{
    static const uint8_t nop[4] = {1, 1, 1, 0};
    g_assert_cmpint(setsockopt(fd, IPPROTO_IP, IP_OPTIONS, nop, sizeof nop), ==, 0);
}

void wire_send(int fd, const void *octets, size_t length)
{
    /* A drop at egress is told as ENOBUFS. */
    ssize_t sent = send(fd, octets, length, 0);
    g_assert_true(sent == (ssize_t)length || (sent < 0 && errno == ENOBUFS));
}

void wire_send_run(int fd, const void *octets, size_t length, uint16_t segment)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof segment)];
    } control = {.head = {.cmsg_len = CMSG_LEN(sizeof segment),
                          .cmsg_level = IPPROTO_UDP,
                          .cmsg_type = UDP_SEGMENT}};
    struct iovec iovec = {(void *)octets, length};
    struct msghdr message = {.msg_iov = &iovec,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    memcpy(CMSG_DATA(&control.head), &segment, sizeof segment);
    g_assert_cmpint(sendmsg(fd, &message, 0), ==, length);
}

static void look_at(struct msghdr *message, struct wire_seen *seen)
{
    int tos = 0;
    for (struct cmsghdr *i = CMSG_FIRSTHDR(message); i; i = CMSG_NXTHDR(message, i)) {
        uint32_t mark;
        if (i->cmsg_level == SOL_SOCKET && i->cmsg_type == SO_MARK) {
            memcpy(&mark, CMSG_DATA(i), sizeof mark);
            seen->marked += (mark & JUDGED) != 0;
        } else if (i->cmsg_level == IPPROTO_IP && i->cmsg_type == IP_TOS) {
            tos = *CMSG_DATA(i);
        } else if (i->cmsg_level == IPPROTO_IPV6 && i->cmsg_type == IPV6_TCLASS) {
            memcpy(&tos, CMSG_DATA(i), sizeof tos);
        }
    }
    seen->tos = seen->packets == 0 || seen->tos == tos ? tos : -1;
}

struct wire_seen wire_receive(int fd, guint packets)
{
    static char octets[65536];
    struct wire_seen seen = {0};
    struct pollfd poll_fd = {fd, POLLIN, 0};
    while (poll(&poll_fd, 1, seen.packets < packets ? PATIENCE_MS : packets ? 0 : QUIET_MS) > 0) {
        char control[256];
        struct iovec iovec = {octets, sizeof octets};
        struct msghdr message = {.msg_iov = &iovec,
                                 .msg_iovlen = 1,
                                 .msg_control = control,
                                 .msg_controllen = sizeof control};
        ssize_t length = recvmsg(fd, &message, MSG_DONTWAIT);
        if (length < 0)
            continue;
        look_at(&message, &seen);
        seen.packets++;
        seen.octets += (uint64_t)length;
    }
    return seen;
}

/* A new interface answers for its IPv6 address a moment after it is up. */
static void await_neighbours(struct wire *wire, int version)
{
    struct sockaddr_storage near, far;
    int fds[2] = {wire_near_socket(wire, version, &near), wire_far_socket(wire, version, &far)};
    wire_connect(fds[0], &far);
    wire_connect(fds[1], &near);
    for (int from = 0; from < 2; from++) {
        gint64 end = g_get_monotonic_time() + PATIENCE_MS * 1000;
        do
            wire_send(fds[from], "?", 1);
        while (wire_receive(fds[!from], 0).packets == 0 && g_get_monotonic_time() < end);
    }
    close(fds[0]);
    close(fds[1]);
}

struct wire *wire_new(void)
{
    struct wire *wire = g_new0(struct wire, 1);
    int ready[2];
    char octet = 0;
    g_assert_cmpint(unshare(CLONE_NEWNET), ==, 0);
    g_assert_cmpint(pipe2(ready, O_CLOEXEC), ==, 0);
    wire->holder = fork();
    g_assert_cmpint(wire->holder, >=, 0);
    if (wire->holder == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (unshare(CLONE_NEWNET) != 0 || write(ready[1], &octet, 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    g_assert_cmpint(read(ready[0], &octet, 1), ==, 1);
    close(ready[0]);
    close(ready[1]);
    g_autofree char *far = g_strdup_printf("/proc/%d/ns/net", (int)wire->holder);
    wire->near_ns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    wire->far_ns = open(far, O_RDONLY | O_CLOEXEC);
    ground_do("ip link set lo up");
    make_pair(wire);
    wire->near4 = address("192.0.2.10");
    wire->near6 = address("fd00:db8::10");
    await_neighbours(wire, 4);
    await_neighbours(wire, 6);
    return wire;
}

void wire_break(struct wire *wire)
{
    ground_do("ip link del near");
}

void wire_mend(struct wire *wire)
{
    make_pair(wire);
}
