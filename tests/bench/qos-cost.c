/* SPDX-License-Identifier: Apache-2.0 */
/* What enforcement costs a packet: one process sends real packets over a veth pair, through the
 * hooks of media0, and receives them, so that all that happens to them is its own CPU time. In,
 * frames leave a packet socket in the far namespace and end in a UDP socket; out, they leave a UDP
 * socket and end at the far interface, which is not the one they are addressed to. Flows are made
 * by the library of the programs themselves and met in random order. tests/bench/qos compares runs
 * of it. */
#include "base/log.h"
#include "qos/qos.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PORT 40000
#define FAR_PORT 2048 /* of the first peer connection */
#define BATCH 64
#define PAYLOAD 172 /* an RTP packet of sound */
#define FRAME (ETH_HLEN + sizeof(struct iphdr) + sizeof(struct udphdr) + PAYLOAD)

static char *far_namespace, *level_name;
static const char local_text[] = "192.0.2.10", remote_text[] = "192.0.2.100";
static int flows = 0, peers = 1, packets = 200000, media = 1;
static gboolean bare, foreign, changes;
static const GOptionEntry options[] = {
    {"far", 0, 0, G_OPTION_ARG_STRING, &far_namespace, "file of the far network namespace", "FILE"},
    {"level", 0, 0, G_OPTION_ARG_STRING, &level_name, "tc-bpf (default), tc-flower or relay",
     "NAME"},
    {"bare", 0, 0, G_OPTION_ARG_NONE, &bare, "no enforcement at all", NULL},
    {"foreign", 0, 0, G_OPTION_ARG_NONE, &foreign, "the packets are not the media centre's", NULL},
    {"flows", 0, 0, G_OPTION_ARG_INT, &flows, "media that have a policy", "N"},
    {"media", 0, 0, G_OPTION_ARG_INT, &media, "media in a bundle", "N"},
    {"peers", 0, 0, G_OPTION_ARG_INT, &peers, "far ports without flows", "N"},
    {"packets", 0, 0, G_OPTION_ARG_INT, &packets, "packets each way", "N"},
    {"changes", 0, 0, G_OPTION_ARG_NONE, &changes, "count changes instead of packets", NULL},
    {NULL},
};

G_NORETURN static void die(const char *what)
{
    g_printerr("qos-cost: %s: %m\n", what);
    exit(1);
}

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* xorshift; the same order in every run */
static uint32_t random_next(void)
{
    static uint32_t state = 2463534242u;
    state ^= state << 13;
    state ^= state >> 17;
    return state ^= state << 5;
}

static struct sockaddr_in address(const char *text, int port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, text, &in.sin_addr);
    return in;
}

/* --- flows ----------------------------------------------------------------------------------- */

struct connection {
    struct qos_transport *transport;
    struct qos_flow *flows[2];
};

static const struct qos_policy held = {
    .has_status = true,
    .status = QOS_ENABLED,
    .has_policing = true,
    .policing = {.present = true, .sdr = 4000000000u, .mbs = 4000000000u},
};

static uint32_t ssrc_of(int connection, int medium)
{
    return (uint32_t)(connection * 2 + medium) * 2654435761u;
}

static struct connection connect_one(struct qos *qos, int index)
{
    struct connection c = {.transport = qos_transport_new(qos, NULL)};
    struct sockaddr_in local = address(local_text, PORT),
                       remote = address(remote_text, FAR_PORT + index);
    if (!c.transport)
        die("no room for a transport");
    for (int m = 0; m < media; m++) {
        c.flows[m] = qos_flow_new(c.transport, m ? QOS_VIDEO : QOS_AUDIO, NULL);
        if (!c.flows[m])
            die("no room for a flow");
        qos_flow_apply(c.flows[m], &held);
    }
    qos_transport_set_pair(c.transport, (void *)&local, (void *)&remote);
    for (int m = 0; m < media && media > 1; m++)
        for (int d = 0; d < 2; d++)
            qos_transport_add_ssrc(c.transport, d, ssrc_of(index, m), qos_flow_slot(c.flows[m], d));
    return c;
}

static void disconnect(struct connection *c)
{
    for (int m = 0; m < media; m++)
        qos_flow_free(c->flows[m]);
    qos_transport_free(c->transport);
}

static struct qos *begin(void)
{
    static const char *const interfaces[] = {"media0", NULL};
    struct qos_config config = {
        .level = strcmp(level_name, "tc-bpf") == 0      ? QOS_TC_BPF
                 : strcmp(level_name, "tc-flower") == 0 ? QOS_TC_FLOWER
                                                        : QOS_RELAY,
        .owner = "wmcf-bench",
        .interfaces = interfaces,
        .flows_max = 32768,
        .transports_max = 32768,
        .priority = 49000,
        .judged_mark = 1u << 23,
        .default_marking = true,
    };
    struct sockaddr_in local = address(local_text, PORT);
    g_autoptr(GError) error = NULL;
    struct qos *qos = qos_new(&config, &error);
    if (!qos || strcmp(qos_level_name(qos), level_name) != 0) {
        g_printerr("qos-cost: %s\n", qos ? qos_level_reason(qos) : error->message);
        exit(1);
    }
    qos_add_address(qos, (void *)&local);
    if (!foreign)
        qos_add_port(qos, PORT);
    while (g_main_context_iteration(NULL, FALSE))
        continue;
    return qos;
}

/* --- packets --------------------------------------------------------------------------------- */

static void write_rtp(uint8_t *p, int peer)
{
    uint32_t ssrc = htonl(ssrc_of(peer / media, peer % media));
    memset(p, 0, PAYLOAD);
    p[0] = 0x80;
    p[1] = 111;
    memcpy(p + 8, &ssrc, sizeof ssrc);
}

static uint16_t checksum(const void *data, size_t length)
{
    const uint16_t *words = data;
    uint32_t sum = 0;
    for (size_t i = 0; i < length / 2; i++)
        sum += words[i];
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t) ~(sum + (sum >> 16));
}

static void write_frame(uint8_t *frame, const uint8_t *to, int peer)
{
    struct ethhdr ethernet = {.h_proto = htons(ETH_P_IP)};
    struct iphdr ip = {.version = 4,
                       .ihl = 5,
                       .tot_len = htons(FRAME - ETH_HLEN),
                       .ttl = 64,
                       .protocol = IPPROTO_UDP};
    struct udphdr udp = {.source = htons((uint16_t)(FAR_PORT + peer / media)),
                         .dest = htons(PORT),
                         .len = htons(sizeof udp + PAYLOAD)}; /* checksum 0: none */
    memcpy(ethernet.h_dest, to, ETH_ALEN);
    inet_pton(AF_INET, remote_text, &ip.saddr);
    inet_pton(AF_INET, local_text, &ip.daddr);
    ip.check = checksum(&ip, sizeof ip);
    memcpy(frame, &ethernet, ETH_HLEN);
    memcpy(frame + ETH_HLEN, &ip, sizeof ip);
    memcpy(frame + ETH_HLEN + sizeof ip, &udp, sizeof udp);
    write_rtp(frame + FRAME - PAYLOAD, peer);
}

static int far_socket(void)
{
    int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    int far = open(far_namespace, O_RDONLY | O_CLOEXEC);
    if (own < 0 || far < 0 || setns(far, CLONE_NEWNET) < 0)
        die("far namespace");
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0); /* receives nothing */
    struct sockaddr_ll link = {.sll_family = AF_PACKET,
                               .sll_ifindex = (int)if_nametoindex("media1")};
    int on = 1;
    if (fd < 0 || bind(fd, (struct sockaddr *)&link, sizeof link) < 0 ||
        setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on) < 0)
        die("packet socket");
    if (setns(own, CLONE_NEWNET) < 0)
        die("own namespace");
    close(own);
    close(far);
    return fd;
}

static int near_socket(void)
{
    struct sockaddr_in local = address(local_text, PORT);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), size = 8 << 20;
    if (fd < 0 || bind(fd, (struct sockaddr *)&local, sizeof local) < 0)
        die("socket");
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
    return fd;
}

static int drain(int fd)
{
    static struct mmsghdr messages[BATCH];
    static struct iovec vectors[BATCH];
    static uint8_t data[BATCH][2048];
    for (int i = 0; i < BATCH; i++) {
        vectors[i] = (struct iovec){data[i], sizeof data[i]};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1};
    }
    int n = recvmmsg(fd, messages, BATCH, MSG_DONTWAIT, NULL);
    return n > 0 ? n : 0;
}

#define PART                                                                                       \
    50 /* batches that are measured as one; what disturbs the machine spoils a few of them */

struct measure {
    double cpu;   /* ns of a packet, median of the parts */
    double least; /* a tenth of the parts is below */
    int passed;
};

static int compare(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* Sends batches of packets of random peers; the sink's work is part of it. */
static struct measure measure(int fd, struct iovec *vectors, struct sockaddr_in *names, int n,
                              int sink)
{
    struct mmsghdr messages[BATCH] = {0};
    struct measure m = {0};
    int parts = packets / BATCH / PART;
    g_autofree double *costs = g_new0(double, parts + 1);
    for (int round = -parts / 10; round < parts; round++) { /* a tenth to warm up */
        int64_t began = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
        for (int batch = 0; batch < PART; batch++) {
            for (int i = 0; i < BATCH; i++) {
                uint32_t peer = random_next() % (uint32_t)n;
                messages[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[peer], .msg_iovlen = 1};
                if (names) {
                    messages[i].msg_hdr.msg_name = &names[peer];
                    messages[i].msg_hdr.msg_namelen = sizeof names[peer];
                }
            }
            int sent = sendmmsg(fd, messages, BATCH, 0);
            if (sent < 0)
                die("sendmmsg");
            for (int got; sink >= 0 && (got = drain(sink)) > 0;) {
                m.passed += round < 0 ? 0 : got;
                if (got < BATCH)
                    break;
            }
        }
        if (round >= 0)
            costs[round] = (double)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - began) / (PART * BATCH);
    }
    qsort(costs, (size_t)parts, sizeof *costs, compare);
    m.cpu = costs[parts / 2];
    m.least = costs[parts / 10];
    return m;
}

/* Alone on one processor and before others, where that is allowed. */
static void come_first(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(0, &set);
    sched_setaffinity(0, sizeof set, &set);
    sched_setscheduler(0, SCHED_RR, &(struct sched_param){.sched_priority = 1});
}

static void hardware_address(int fd, uint8_t *ret)
{
    struct ifreq request = {.ifr_name = "media0"};
    if (ioctl(fd, SIOCGIFHWADDR, &request) < 0)
        die("media0");
    memcpy(ret, request.ifr_hwaddr.sa_data, ETH_ALEN);
}

static void run_packets(void)
{
    int n = MAX(flows, peers), far = far_socket(), near = near_socket();
    uint8_t to[ETH_ALEN];
    hardware_address(near, to);
    uint8_t *frames = g_malloc_n((gsize)n, FRAME);
    struct iovec *in = g_new(struct iovec, n), *out = g_new(struct iovec, n);
    struct sockaddr_in *names = g_new(struct sockaddr_in, n);
    for (int i = 0; i < n; i++) {
        uint8_t *frame = frames + (gsize)i * FRAME;
        write_frame(frame, to, i);
        in[i] = (struct iovec){frame, FRAME};
        out[i] = (struct iovec){frame + FRAME - PAYLOAD, PAYLOAD};
        names[i] = address(remote_text, FAR_PORT + i / media);
    }
    struct measure ingress = measure(far, in, NULL, n, near);
    struct measure egress = measure(near, out, names, n, -1);
    printf(
        "{\"in\": %.2f, \"out\": %.2f, \"leastIn\": %.2f, \"leastOut\": %.2f, \"passed\": %.4f}\n",
        ingress.cpu, egress.cpu, ingress.least, egress.least,
        (double)ingress.passed / (packets / BATCH / PART * PART * BATCH));
    g_free(frames);
    g_free(in);
    g_free(out);
    g_free(names);
    close(far);
    close(near);
}

/* --- changes --------------------------------------------------------------------------------- */

#define CHANGES 20000

static void report(const char *name, int64_t began, int n)
{
    printf("%s\"%s\": %.0f", strcmp(name, "connections") == 0 ? "{" : ", ", name,
           n * 1e9 / (double)(clock_ns(CLOCK_MONOTONIC) - began));
}

static void run_changes(struct qos *qos, struct connection *c, int n)
{
    static const struct qos_policy shut = {.has_status = true, .status = QOS_DISABLED},
                                   open = {.has_status = true, .status = QOS_ENABLED};
    struct qos_policy rate = held;
    struct sockaddr_in local = address(local_text, PORT), remote = address(remote_text, 60000);
    int64_t began = clock_ns(CLOCK_MONOTONIC);
    for (int i = 0; i < CHANGES / 10; i++) {
        struct connection one = connect_one(qos, 20000 + i);
        disconnect(&one);
    }
    report("connections", began, CHANGES / 10);
    began = clock_ns(CLOCK_MONOTONIC);
    for (int i = 0; i < CHANGES; i++) {
        remote.sin_port = htons((uint16_t)(30000 + i));
        qos_transport_set_pair(c[i % n].transport, (void *)&local, (void *)&remote);
    }
    report("pairs", began, CHANGES);
    began = clock_ns(CLOCK_MONOTONIC);
    for (int i = 0; i < CHANGES; i++) {
        struct qos_slot *slot = qos_flow_slot(c[i % n].flows[0], QOS_UPLINK);
        qos_transport_add_ssrc(c[i % n].transport, QOS_UPLINK, 7, slot);
        qos_transport_remove_ssrc(c[i % n].transport, QOS_UPLINK, 7);
    }
    report("ssrcs", began, 2 * CHANGES);
    began = clock_ns(CLOCK_MONOTONIC);
    for (int i = 0; i < CHANGES; i++)
        qos_flow_apply(c[i % n].flows[0], i / n % 2 ? &open : &shut);
    report("gates", began, CHANGES);
    began = clock_ns(CLOCK_MONOTONIC);
    for (int i = 0; i < CHANGES; i++) {
        rate.policing.sdr = (uint32_t)(1000000 + i);
        qos_flow_apply(c[i % n].flows[0], &rate);
    }
    report("rates", began, CHANGES);
    printf("}\n");
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    GOptionContext *context = g_option_context_new("- what enforcement costs a packet");
    g_option_context_add_main_entries(context, options, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error) || !far_namespace ||
        (media != 1 && media != 2)) {
        g_printerr("%s\n", error ? error->message : "--far and --media 1 or 2");
        return 2;
    }
    g_option_context_free(context);
    if (!level_name)
        level_name = g_strdup("tc-bpf");
    struct qos *qos = bare ? NULL : begin();
    int n = qos ? flows / media : 0;
    struct connection *connections = g_new0(struct connection, n + 1);
    for (int i = 0; i < n; i++)
        connections[i] = connect_one(qos, i);
    come_first();
    if (changes && n)
        run_changes(qos, connections, n);
    else
        run_packets();
    for (int i = 0; i < n; i++)
        disconnect(&connections[i]);
    g_free(connections);
    qos_free(qos);
    return 0;
}
