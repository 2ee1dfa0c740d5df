/* SPDX-License-Identifier: Apache-2.0 */
/* link-emulator NEAR FAR SEED: a bad link for tests, where the kernel has no netem. It makes the
 * interface NEAR in the network namespace it is started in, leaves for a new namespace, makes FAR
 * there and carries IP packets between the two; the far end is entered by /proc/PID/ns/net. With
 * the process both interfaces and the namespace end. It first says {"ready":true}; then each line
 * of JSON on stdin is answered by one on stdout:
 *   {"set":"down"|"up"|"both", "rate":bits/s, "queueMs":n, "loss":0..1, "burst":n, "delayMs":n,
 *    "jitterMs":n, "reorder":bool, "spareTcp":bool} → {}: what is not named stays as it is.
 *       down = near to far, up = far to near; pipe.h says what each means. spareTcp: TCP passes at
 *       once, uncounted
 *   {"counters":true} → {"down":{…}, "up":{…}} */
#include "tests/support/link/pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define PACKET_MAX 65536
#define LINE_MAX_OCTETS 4096
#define AT_ONCE 64 /* packets of one end, before the other has its turn */

enum { NEAR, FAR, ENDS }; /* a pipe has the number of the end that it begins at */

static struct link_pipe *pipes[ENDS];
static int ends[ENDS];
static bool spare_tcp[ENDS];
static const char *const names[ENDS] = {"down", "up"};

static void die(const char *what)
{
    fprintf(stderr, "link-emulator: %s: %s\n", what, g_strerror(errno));
    exit(1);
}

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* In the namespace of the caller. */
static int open_interface(const char *name)
{
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        die("/dev/net/tun");
    g_strlcpy(request.ifr_name, name, sizeof request.ifr_name);
    if (ioctl(fd, TUNSETIFF, &request) < 0)
        die(name);
    return fd;
}

static bool is_tcp(const uint8_t *packet, size_t length)
{
    if (length >= 20 && packet[0] >> 4 == 4)
        return packet[9] == IPPROTO_TCP;
    return length >= 40 && packet[0] >> 4 == 6 && packet[6] == IPPROTO_TCP;
}

/* The interface may be down at the moment: then it is lost as on a cable that is out. */
static void emit(int end, const uint8_t *packet, size_t length)
{
    if (write(ends[end], packet, length) < 0 && errno != EIO && errno != EAGAIN && errno != EINVAL)
        die("write");
}

static void receive(int end)
{
    static uint8_t packet[PACKET_MAX];
    ssize_t length;
    for (int i = 0; i < AT_ONCE && (length = read(ends[end], packet, sizeof packet)) > 0; i++) {
        if (spare_tcp[end] && is_tcp(packet, (size_t)length))
            emit(!end, packet, (size_t)length);
        else
            link_pipe_put(pipes[end], now_us(), g_memdup2(packet, (gsize)length), (size_t)length,
                          0);
    }
}

static void deliver(int end)
{
    struct link_packet packet;
    while (link_pipe_take(pipes[end], now_us(), &packet)) {
        emit(!end, packet.data, packet.length);
        g_free(packet.data);
    }
}

/* --- commands --------------------------------------------------------------------------------- */

static void number(const json_t *request, const char *name, double *value)
{
    const json_t *given = json_object_get(request, name);
    if (given)
        *value = json_number_value(given);
}

static void set(int end, const json_t *request)
{
    struct link_conditions to = *link_pipe_get(pipes[end]);
    const json_t *reorder = json_object_get(request, "reorder");
    const json_t *spare = json_object_get(request, "spareTcp");
    number(request, "rate", &to.rate);
    number(request, "queueMs", &to.queue_ms);
    number(request, "loss", &to.loss);
    number(request, "burst", &to.burst);
    number(request, "delayMs", &to.delay_ms);
    number(request, "jitterMs", &to.jitter_ms);
    if (reorder)
        to.reorder = json_is_true(reorder);
    if (spare)
        spare_tcp[end] = json_is_true(spare);
    link_pipe_set(pipes[end], &to);
}

static json_t *counters(void)
{
    json_t *reply = json_object();
    for (int end = 0; end < ENDS; end++) {
        struct link_counters c;
        link_pipe_counters(pipes[end], &c);
        json_object_set_new(
            reply, names[end],
            json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f}", "packets", (json_int_t)c.packets,
                      "octets", (json_int_t)c.octets, "lost", (json_int_t)c.lost, "overflowed",
                      (json_int_t)c.overflowed, "passedPackets", (json_int_t)c.passed_packets,
                      "passedOctets", (json_int_t)c.passed_octets, "reordered",
                      (json_int_t)c.reordered, "queueMs", (double)c.queue_us / 1000));
    }
    return reply;
}

static json_t *run(const char *line)
{
    json_auto_t *request = json_loads(line, 0, NULL);
    const char *which = json_string_value(json_object_get(request, "set"));
    if (json_is_true(json_object_get(request, "counters")))
        return counters();
    if (!which || !(g_str_equal(which, "both") || g_str_equal(which, names[NEAR]) ||
                    g_str_equal(which, names[FAR])))
        return json_pack("{s:s}", "error", "neither \"set\" with a direction nor \"counters\"");
    for (int end = 0; end < ENDS; end++) {
        if (g_str_equal(which, "both") || g_str_equal(which, names[end]))
            set(end, request);
    }
    return json_object();
}

/* False at the end of stdin. */
static bool read_commands(void)
{
    static char text[LINE_MAX_OCTETS];
    static size_t have;
    ssize_t n = read(STDIN_FILENO, text + have, sizeof text - have);
    if (n <= 0)
        return n < 0 && (errno == EINTR || errno == EAGAIN);
    have += (size_t)n;
    char *end;
    while ((end = memchr(text, '\n', have))) {
        *end = '\0';
        json_auto_t *reply = run(text);
        g_autofree char *said = json_dumps(reply, JSON_COMPACT);
        printf("%s\n", said);
        have -= (size_t)(end + 1 - text);
        memmove(text, end + 1, have);
    }
    fflush(stdout);
    return have < sizeof text;
}

/* --- the run ---------------------------------------------------------------------------------- */

static struct timespec *until_next(struct timespec *ret)
{
    int64_t next = -1;
    for (int end = 0; end < ENDS; end++) {
        int64_t due = link_pipe_next(pipes[end]);
        next = next < 0 ? due : due < 0 ? next : MIN(next, due);
    }
    if (next < 0)
        return NULL;
    int64_t now = now_us(), wait = MAX(next - now, 0);
    *ret = (struct timespec){.tv_sec = wait / 1000000, .tv_nsec = wait % 1000000 * 1000};
    return ret;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: link-emulator NEAR FAR SEED\n");
        return 2;
    }
    uint64_t seed = g_ascii_strtoull(argv[3], NULL, 10);
    ends[NEAR] = open_interface(argv[1]);
    if (unshare(CLONE_NEWNET) < 0)
        die("a network namespace");
    ends[FAR] = open_interface(argv[2]);
    for (int end = 0; end < ENDS; end++)
        pipes[end] = link_pipe_new(seed * ENDS + (uint64_t)end);
    /* A link does not become slow because the machine is busy; without the right it does. */
    const struct sched_param priority = {.sched_priority = 1};
    sched_setscheduler(0, SCHED_RR, &priority);
    printf("{\"ready\":true}\n");
    fflush(stdout);
    for (;;) {
        struct timespec wait;
        struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                               {.fd = ends[NEAR], .events = POLLIN},
                               {.fd = ends[FAR], .events = POLLIN}};
        if (ppoll(fds, G_N_ELEMENTS(fds), until_next(&wait), NULL) < 0 && errno != EINTR)
            die("poll");
        if (fds[0].revents && !read_commands())
            break;
        for (int end = 0; end < ENDS; end++) {
            receive(end);
            deliver(end);
        }
    }
    for (int end = 0; end < ENDS; end++)
        link_pipe_free(pipes[end]);
    return 0;
}
