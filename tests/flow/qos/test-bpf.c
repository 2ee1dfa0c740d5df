/* SPDX-License-Identifier: Apache-2.0 */
/* tc with BPF between two network namespaces: real packets, from qos.h alone. What the program
 * makes of each kind of packet is tests/unit/qos/test-enforce.c; here is what the level tells it,
 * and that the marks, drops and DSCPs are those that sockets see. */
#include "base/problem.h"
#include "qos/qos.h"
#include "tests/flow/qos/ground.h"
#include "tests/flow/qos/wire.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define MARK 0x10000u
#define AUDIO 1u
#define VIDEO 2u

static const struct qos_config config = {
    .level = QOS_TC_BPF,
    .owner = "wmcf-40000",
    .flows_max = 256,
    .transports_max = 64,
    .priority = 100,
    .judged_mark = MARK,
};

static struct wire *wire; /* one for all, its neighbours take their time */

struct leg {
    struct qos *qos;
    struct qos_transport *transport;
    struct qos_flow *audio, *video;
    struct sockaddr_storage near_address, far_address;
    int near, far;
    uint32_t headers;
};

static uint16_t port_of(const struct sockaddr_storage *address)
{
    return ntohs(((const struct sockaddr_in *)address)->sin_port);
}

static void set_status(struct qos_flow *flow, enum qos_flow_status status)
{
    struct qos_policy policy = {.has_status = true, .status = status};
    qos_flow_apply(flow, &policy);
}

static struct qos *make_qos(const struct qos_config *from)
{
    g_autoptr(GError) error = NULL;
    struct qos *qos = qos_new(from, &error);
    g_assert_no_error(error);
    if (strcmp(qos_level_name(qos), "tc-bpf") != 0)
        g_error("%s", qos_level_reason(qos));
    return qos;
}

static void set_pair(const struct leg *leg, struct qos_transport *transport)
{
    qos_transport_set_pair(transport, (const struct sockaddr *)&leg->near_address,
                           (const struct sockaddr *)&leg->far_address);
}

/* A transport with audio and, if asked, video; gates open. */
static struct leg leg_new(int version, bool with_video)
{
    struct leg leg = {.headers = version == 4 ? 28 : 48};
    leg.qos = make_qos(&config);
    qos_add_address(leg.qos, wire_near_address(wire, version));
    leg.near = wire_near_socket(wire, version, &leg.near_address);
    leg.far = wire_far_socket(wire, version, &leg.far_address);
    wire_connect(leg.near, &leg.far_address);
    wire_connect(leg.far, &leg.near_address);
    qos_add_port(leg.qos, port_of(&leg.near_address));
    leg.transport = qos_transport_new(leg.qos, NULL);
    leg.audio = qos_flow_new(leg.transport, QOS_AUDIO, NULL);
    set_status(leg.audio, QOS_ENABLED);
    if (with_video) {
        leg.video = qos_flow_new(leg.transport, QOS_VIDEO, NULL);
        set_status(leg.video, QOS_ENABLED);
    }
    return leg;
}

static void leg_free(struct leg *leg)
{
    qos_flow_free(leg->video);
    qos_flow_free(leg->audio);
    qos_transport_free(leg->transport);
    qos_remove_port(leg->qos, port_of(&leg->near_address));
    qos_free(leg->qos);
    close(leg->near);
    close(leg->far);
}

static void add_ssrc(const struct leg *leg, struct qos_flow *flow, uint32_t ssrc)
{
    for (enum qos_direction d = QOS_UPLINK; d <= QOS_DOWNLINK; d++)
        g_assert_true(qos_transport_add_ssrc(leg->transport, d, ssrc, qos_flow_slot(flow, d)));
}

static void write_rtp(uint8_t *packet, size_t size, uint32_t ssrc)
{
    uint32_t number = htonl(ssrc);
    memset(packet, 0, size);
    packet[0] = 0x80;
    packet[1] = 96;
    memcpy(packet + 8, &number, sizeof number);
}

static void send_rtp(int fd, uint32_t ssrc, size_t size)
{
    uint8_t packet[4096];
    write_rtp(packet, size, ssrc);
    wire_send(fd, packet, size);
}

static struct qos_counters counters(const struct qos_flow *flow, enum qos_direction direction)
{
    struct qos_counters counters;
    qos_flow_read(flow, direction, &counters);
    return counters;
}

/* So many packets come up, so many of them judged. */
static void expect_up(const struct leg *leg, uint32_t ssrc, guint packets, guint judged)
{
    send_rtp(leg->far, ssrc, 200);
    struct wire_seen seen = wire_receive(leg->near, packets);
    g_assert_cmpuint(seen.packets, ==, packets);
    g_assert_cmpuint(seen.marked, ==, judged);
}

/* --- what is whose ---------------------------------------------------------------------------- */

static void test_pair(gconstpointer version)
{
    struct leg leg = leg_new(GPOINTER_TO_INT(version), false);
    g_assert_false(qos_transport_marks(leg.transport));
    expect_up(&leg, AUDIO, 1, 0);
    set_pair(&leg, leg.transport);
    g_assert_true(qos_transport_marks(leg.transport));
    expect_up(&leg, AUDIO, 1, 1);
    g_assert_cmpuint(counters(leg.audio, QOS_UPLINK).packets, ==, 1);
    g_assert_cmpuint(counters(leg.audio, QOS_UPLINK).octets, ==, 200 + leg.headers);
    set_status(leg.audio, QOS_DISABLED);
    for (int i = 0; i < 99; i++)
        send_rtp(leg.far, AUDIO, 200);
    expect_up(&leg, AUDIO, 0, 0);
    g_assert_cmpuint(counters(leg.audio, QOS_UPLINK).gate_discarded, ==, 100);
    g_assert_true(qos_slot_newly_gated(qos_flow_slot(leg.audio, QOS_UPLINK)));
    struct qos_stats stats;
    qos_stats(leg.qos, &stats);
    g_assert_cmpuint(stats.gate_discarded, ==, 100);
    g_assert_cmpuint(stats.interfaces, ==, 1);
    set_status(leg.audio, QOS_ENABLED);
    /* Another pair takes its place; then none does. */
    struct sockaddr_storage elsewhere = leg.far_address;
    wire_set_port(&elsewhere, 9);
    qos_transport_set_pair(leg.transport, (struct sockaddr *)&leg.near_address,
                           (struct sockaddr *)&elsewhere);
    expect_up(&leg, AUDIO, 1, 0);
    set_pair(&leg, leg.transport);
    expect_up(&leg, AUDIO, 1, 1);
    qos_transport_set_pair(leg.transport, NULL, NULL);
    g_assert_false(qos_transport_marks(leg.transport));
    expect_up(&leg, AUDIO, 1, 0);
    leg_free(&leg);
}

/* A client that calls again from the same port: the new transport has the pair, and keeps it when
 * the old one goes. */
static void test_pair_follows(void)
{
    struct leg leg = leg_new(4, false);
    set_pair(&leg, leg.transport);
    struct qos_transport *next = qos_transport_new(leg.qos, NULL);
    struct qos_flow *flow = qos_flow_new(next, QOS_AUDIO, NULL);
    set_status(flow, QOS_ENABLED);
    set_pair(&leg, next);
    expect_up(&leg, AUDIO, 1, 1);
    qos_flow_free(leg.audio);
    qos_transport_free(leg.transport);
    expect_up(&leg, AUDIO, 1, 1);
    g_assert_cmpuint(counters(flow, QOS_UPLINK).packets, ==, 2);
    leg.audio = flow;
    leg.transport = next;
    leg_free(&leg);
}

static void test_local(void)
{
    struct leg leg = leg_new(6, false);
    for (int i = 0; i < 100; i++) /* the same one again is no other */
        qos_transport_add_local(leg.transport, (struct sockaddr *)&leg.near_address);
    expect_up(&leg, AUDIO, 1, 1);
    g_assert_true(qos_transport_marks(leg.transport));
    qos_flow_free(leg.audio);
    qos_transport_free(leg.transport);
    expect_up(&leg, AUDIO, 1, 0); /* nothing of it is left */
    leg.transport = qos_transport_new(leg.qos, NULL);
    leg.audio = qos_flow_new(leg.transport, QOS_AUDIO, NULL);
    leg_free(&leg);
}

static void test_ssrcs(void)
{
    struct leg leg = leg_new(4, true);
    set_pair(&leg, leg.transport);
    expect_up(&leg, AUDIO, 1, 0); /* not known yet, and a gate is open */
    add_ssrc(&leg, leg.audio, AUDIO);
    add_ssrc(&leg, leg.video, VIDEO);
    expect_up(&leg, AUDIO, 1, 1);
    expect_up(&leg, VIDEO, 1, 1);
    g_assert_cmpuint(counters(leg.video, QOS_UPLINK).packets, ==, 1);
    set_status(leg.video, QOS_DISABLED);
    expect_up(&leg, VIDEO, 0, 0);
    expect_up(&leg, AUDIO, 1, 1);
    /* Moved, removed. */
    add_ssrc(&leg, leg.audio, VIDEO);
    expect_up(&leg, VIDEO, 1, 1);
    qos_transport_remove_ssrc(leg.transport, QOS_UPLINK, VIDEO);
    expect_up(&leg, VIDEO, 1, 0);
    /* A flow that goes takes its SSRCs with it; the one that is left needs none. */
    add_ssrc(&leg, leg.video, VIDEO);
    qos_flow_free(leg.video);
    leg.video = NULL;
    guint64 packets = counters(leg.audio, QOS_UPLINK).packets;
    expect_up(&leg, VIDEO, 1, 1);
    g_assert_cmpuint(counters(leg.audio, QOS_UPLINK).packets, ==, packets + 1);
    leg.video = qos_flow_new(leg.transport, QOS_VIDEO, NULL);
    expect_up(&leg, VIDEO, 1, 0);
    /* Every gate closed: nothing unknown passes. */
    set_status(leg.audio, QOS_DISABLED);
    expect_up(&leg, 77, 0, 0);
    g_assert_cmpuint(qos_transport_unattributed(leg.transport), ==, 1);
    leg_free(&leg);
}

/* --- runs and fragments ----------------------------------------------------------------------- */

static void test_run(void)
{
    struct leg leg = leg_new(4, true);
    uint8_t run[10 * 500];
    set_pair(&leg, leg.transport);
    add_ssrc(&leg, leg.audio, AUDIO);
    add_ssrc(&leg, leg.video, VIDEO);
    for (int i = 0; i < 10; i++)
        write_rtp(run + 500 * i, 500, AUDIO);
    wire_send_run(leg.far, run, sizeof run, 500);
    struct wire_seen seen = wire_receive(leg.near, 10);
    g_assert_cmpuint(seen.packets, ==, 10);
    g_assert_cmpuint(seen.marked, ==, 10);
    g_assert_cmpuint(counters(leg.audio, QOS_UPLINK).packets, ==, 10);
    g_assert_cmpuint(counters(leg.audio, QOS_UPLINK).octets, ==, 10 * 528);
    write_rtp(run + 500 * 7, 500, VIDEO);
    wire_send_run(leg.far, run, sizeof run, 500);
    seen = wire_receive(leg.near, 10);
    g_assert_cmpuint(seen.packets, ==, 10);
    g_assert_cmpuint(seen.marked, ==, 0);
    g_assert_cmpuint(counters(leg.audio, QOS_UPLINK).packets, ==, 10);
    leg_free(&leg);
}

/* The DSCPs of the IP packets that leave, as they are on the wire. */
static guint count_dscp(int capture, guint want, uint8_t dscp)
{
    guint n = 0, right = 0;
    uint8_t packet[2048];
    while (n < want) {
        struct sockaddr_ll from;
        socklen_t length = sizeof from;
        ssize_t got =
            recvfrom(capture, packet, sizeof packet, 0, (struct sockaddr *)&from, &length);
        g_assert_cmpint(got, >, 0);
        bool is_ipv4 = packet[0] >> 4 == 4;
        if (from.sll_pkttype != PACKET_OUTGOING ||
            from.sll_protocol != htons(is_ipv4 ? ETH_P_IP : ETH_P_IPV6) ||
            packet[is_ipv4 ? 9 : 6] == IPPROTO_ICMPV6)
            continue;
        uint8_t octet = packet[0] >> 4 == 4 ? packet[1] : packet[0] << 4 | packet[1] >> 4;
        right += octet >> 2 == dscp;
        n++;
    }
    return right;
}

static void test_fragments(gconstpointer version)
{
    struct leg leg = leg_new(GPOINTER_TO_INT(version), false);
    struct sockaddr_ll bound = {.sll_family = AF_PACKET,
                                .sll_protocol = htons(ETH_P_ALL), /* what leaves, too */
                                .sll_ifindex = (int)if_nametoindex("near")};
    int capture = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct timeval patience = {.tv_sec = 5};
    setsockopt(capture, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    g_assert_cmpint(bind(capture, (struct sockaddr *)&bound, sizeof bound), ==, 0);
    set_pair(&leg, leg.transport);
    struct qos_policy policy = {.tagging = QOS_TAGGING_MARK, .dscp = 46};
    qos_flow_apply(leg.audio, &policy);
    send_rtp(leg.near, AUDIO, 4000);
    struct wire_seen seen = wire_receive(leg.far, 1);
    g_assert_cmpuint(seen.packets, ==, 1);
    g_assert_cmpint(seen.tos, ==, 46 << 2);
    g_assert_cmpuint(count_dscp(capture, 3, 46), ==, 3);
    g_assert_cmpuint(counters(leg.audio, QOS_DOWNLINK).marked, ==, 1);
    /* Up: whole again before the relay judges it. */
    send_rtp(leg.far, AUDIO, 4000);
    seen = wire_receive(leg.near, 1);
    g_assert_cmpuint(seen.packets, ==, 1);
    g_assert_cmpuint(seen.marked, ==, 0);
    set_status(leg.audio, QOS_DISABLED);
    send_rtp(leg.near, AUDIO, 4000);
    g_assert_cmpuint(wire_receive(leg.far, 0).packets, ==, 0);
    g_assert_cmpuint(counters(leg.audio, QOS_DOWNLINK).gate_discarded, ==, 1);
    close(capture);
    leg_free(&leg);
}

/* --- marking ---------------------------------------------------------------------------------- */

static void test_marking(gconstpointer version)
{
    struct leg leg = leg_new(GPOINTER_TO_INT(version), true);
    uint8_t run[10 * 500];
    set_pair(&leg, leg.transport);
    add_ssrc(&leg, leg.audio, AUDIO);
    add_ssrc(&leg, leg.video, VIDEO);
    struct qos_policy ef = {.tagging = QOS_TAGGING_MARK, .dscp = 46};
    struct qos_policy af42 = {.tagging = QOS_TAGGING_MARK, .dscp = 36};
    qos_flow_apply(leg.audio, &ef);
    qos_flow_apply(leg.video, &af42);
    for (int ecn = 0; ecn < 4; ecn++) {
        wire_set_tos(leg.near, ecn);
        send_rtp(leg.near, AUDIO, 300);
        g_assert_cmpint(wire_receive(leg.far, 1).tos, ==, 46 << 2 | ecn);
        send_rtp(leg.near, VIDEO, 300);
        g_assert_cmpint(wire_receive(leg.far, 1).tos, ==, 36 << 2 | ecn);
    }
    for (int i = 0; i < 10; i++)
        write_rtp(run + 500 * i, 500, VIDEO);
    wire_send_run(leg.near, run, sizeof run, 500);
    struct wire_seen seen = wire_receive(leg.far, 10);
    g_assert_cmpuint(seen.packets, ==, 10);
    g_assert_cmpint(seen.tos, ==, 36 << 2 | 3);
    g_assert_cmpuint(counters(leg.video, QOS_DOWNLINK).marked, ==, 14);
    g_assert_cmpuint(counters(leg.audio, QOS_DOWNLINK).marked, ==, 4);
    /* What only carries on is the relay's. */
    struct qos_policy copy = {.tagging = QOS_TAGGING_COPY};
    qos_flow_apply(leg.video, &copy);
    send_rtp(leg.near, VIDEO, 300);
    g_assert_cmpint(wire_receive(leg.far, 1).tos, ==, 3);
    leg_free(&leg);
}

/* --- an interface without a link layer -------------------------------------------------------- */

static uint16_t checksum(const uint8_t *ip)
{
    uint32_t sum = 0;
    for (int i = 0; i < 20; i += 2)
        sum += ip[i] << 8 | ip[i + 1];
    sum = (sum & 0xffff) + (sum >> 16);
    return ~(sum + (sum >> 16));
}

static void test_plain_link(void)
{
    struct ifreq request = {.ifr_name = "plain", .ifr_flags = IFF_TUN | IFF_NO_PI};
    int tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    if (tun < 0 || ioctl(tun, TUNSETIFF, &request) < 0) {
        g_test_skip("no /dev/net/tun");
        return;
    }
    ground_do("ip addr add 10.9.0.1/24 dev plain && ip link set plain up");
    struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons(41000)};
    struct sockaddr_in remote = {.sin_family = AF_INET, .sin_port = htons(42000)};
    inet_pton(AF_INET, "10.9.0.1", &local.sin_addr);
    inet_pton(AF_INET, "10.9.0.2", &remote.sin_addr);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), on = 1;
    g_assert_cmpint(bind(fd, (struct sockaddr *)&local, sizeof local), ==, 0);
    g_assert_cmpint(connect(fd, (struct sockaddr *)&remote, sizeof remote), ==, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVMARK, &on, sizeof on);
    struct qos *qos = make_qos(&config);
    qos_add_address(qos, (struct sockaddr *)&local);
    qos_add_port(qos, 41000);
    struct qos_transport *transport = qos_transport_new(qos, NULL);
    struct qos_flow *flow = qos_flow_new(transport, QOS_AUDIO, NULL);
    struct qos_policy policy = {
        .has_status = true, .status = QOS_ENABLED, .tagging = QOS_TAGGING_MARK, .dscp = 46};
    qos_flow_apply(flow, &policy);
    qos_transport_set_pair(transport, (struct sockaddr *)&local, (struct sockaddr *)&remote);
    g_assert_true(qos_transport_marks(transport));
    uint8_t packet[20 + 8 + 100] = {
        0x45, 0, 0, 128, 0, 0, 0, 0,          64,          17,         0,           0, 10,
        9,    0, 2, 10,  9, 0, 1, 42000 >> 8, 42000 & 255, 41000 >> 8, 41000 & 255, 0, 108};
    write_rtp(packet + 28, 100, AUDIO);
    uint16_t sum = checksum(packet);
    packet[10] = sum >> 8;
    packet[11] = sum;
    g_assert_cmpint(write(tun, packet, sizeof packet), ==, sizeof packet);
    struct wire_seen seen = wire_receive(fd, 1);
    g_assert_cmpuint(seen.packets, ==, 1);
    g_assert_cmpuint(seen.marked, ==, 1);
    g_assert_cmpuint(counters(flow, QOS_UPLINK).octets, ==, 128);
    send_rtp(fd, AUDIO, 100);
    do
        g_assert_cmpint(read(tun, packet, sizeof packet), >, 0);
    while (packet[0] != 0x45 || packet[9] != 17);
    g_assert_cmpuint(packet[1], ==, 46 << 2);
    g_assert_cmpuint(checksum(packet), ==, 0);
    qos_flow_free(flow);
    qos_transport_free(transport);
    qos_remove_port(qos, 41000);
    qos_free(qos);
    close(fd);
    close(tun);
}

/* --- limits ----------------------------------------------------------------------------------- */

static void test_full(void)
{
    struct qos_config small = config;
    small.flows_max = 2;
    small.transports_max = 2;
    for (int required = 0; required < 2; required++) {
        g_autoptr(GError) error = NULL, again = NULL;
        small.level = required ? QOS_TC_BPF : QOS_AUTO;
        struct qos *qos = make_qos(&small);
        struct qos_transport *transports[3];
        struct qos_flow *flows[3];
        for (int i = 0; i < 3; i++)
            transports[i] = qos_transport_new(qos, i == 2 ? &error : NULL);
        for (int i = 0; i < 3; i++)
            flows[i] = qos_flow_new(transports[0], QOS_AUDIO, i == 2 ? &again : NULL);
        if (required) {
            g_assert_null(transports[2]);
            g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_ENFORCEMENT_UNAVAILABLE);
            g_assert_null(flows[2]);
            g_assert_error(again, PROBLEM_DOMAIN, PROBLEM_ENFORCEMENT_UNAVAILABLE);
        } else { /* the relay's */
            g_assert_nonnull(transports[2]);
            g_assert_cmpstr(qos_transport_level(transports[2]), ==, "relay");
            g_assert_nonnull(flows[2]);
            g_assert_false(qos_transport_add_ssrc(transports[0], QOS_UPLINK, 1,
                                                  qos_flow_slot(flows[2], QOS_UPLINK)));
        }
        /* There is room again. */
        qos_flow_free(flows[0]);
        flows[0] = qos_flow_new(transports[0], QOS_AUDIO, NULL);
        g_assert_nonnull(flows[0]);
        for (int i = 0; i < 3; i++)
            qos_flow_free(flows[i]);
        for (int i = 0; i < 3; i++)
            qos_transport_free(transports[i]);
        qos_free(qos);
    }
}

/* --- threads ---------------------------------------------------------------------------------- */

#define ROUNDS 2000

struct work {
    struct qos_transport *transport;
    struct qos_flow *flow;
    int number;
};

static gpointer work(gpointer data)
{
    const struct work *work = data;
    struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons(40000)};
    struct sockaddr_in remote = local;
    for (int i = 0; i < ROUNDS; i++) {
        remote.sin_port = htons(1000 + i % 7);
        if (i % 10 == 0)
            qos_transport_set_pair(work->transport, (struct sockaddr *)&local,
                                   (struct sockaddr *)&remote);
        qos_transport_add_ssrc(work->transport, i & 1, i % 20, qos_flow_slot(work->flow, i & 1));
        qos_transport_remove_ssrc(work->transport, i & 1, (i + 7) % 20);
        qos_transport_marks(work->transport);
    }
    return NULL;
}

/* Workers, whose transports contend for the same pairs, beside the control thread. */
static void test_threads(void)
{
    struct qos *qos = make_qos(&config);
    struct work works[4];
    GThread *threads[G_N_ELEMENTS(works)];
    for (size_t i = 0; i < G_N_ELEMENTS(works); i++) {
        struct qos_transport *transport = qos_transport_new(qos, NULL);
        works[i] = (struct work){transport, qos_flow_new(transport, QOS_VIDEO, NULL), (int)i};
        threads[i] = g_thread_new(NULL, work, &works[i]);
    }
    struct sockaddr_in loopback = {.sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    qos_add_address(qos, (struct sockaddr *)&loopback);
    for (int i = 0; i < ROUNDS; i++) {
        struct work *one = &works[i % G_N_ELEMENTS(works)];
        struct qos_flow *other = qos_flow_new(one->transport, QOS_AUDIO, NULL);
        set_status(other, QOS_ENABLED);
        set_status(one->flow, i & 1 ? QOS_DISABLED : QOS_ENABLED);
        qos_transport_unattributed(one->transport);
        qos_flow_free(other);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(works); i++)
        g_thread_join(threads[i]);
    for (size_t i = 0; i < G_N_ELEMENTS(works); i++) {
        qos_flow_free(works[i].flow);
        qos_transport_free(works[i].transport);
    }
    qos_free(qos);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    if (geteuid() != 0) {
        g_print("1..0 # SKIP network namespaces need root\n");
        return 0;
    }
    g_test_add_func("/bpf/threads", test_threads);

    g_test_add_data_func("/bpf/pair/ipv4", GINT_TO_POINTER(4), test_pair);
    g_test_add_data_func("/bpf/pair/ipv6", GINT_TO_POINTER(6), test_pair);
    g_test_add_func("/bpf/pair-follows", test_pair_follows);
    g_test_add_func("/bpf/local", test_local);
    g_test_add_func("/bpf/ssrcs", test_ssrcs);
    g_test_add_func("/bpf/run", test_run);
    g_test_add_data_func("/bpf/fragments/ipv4", GINT_TO_POINTER(4), test_fragments);
    g_test_add_data_func("/bpf/fragments/ipv6", GINT_TO_POINTER(6), test_fragments);
    g_test_add_data_func("/bpf/marking/ipv4", GINT_TO_POINTER(4), test_marking);
    g_test_add_data_func("/bpf/marking/ipv6", GINT_TO_POINTER(6), test_marking);
    g_test_add_func("/bpf/plain-link", test_plain_link);
    g_test_add_func("/bpf/full", test_full);

    wire = wire_new();
    int status = g_test_run();
    wire_free(wire);
    return status;
}
