/* SPDX-License-Identifier: Apache-2.0 */
/* The level "tc-flower" with real packets between two network namespaces, judged by the sockets at
 * both ends and by the program tc. Runs where the kernel has the actions: under user-mode-linux by
 * tests/long/ (tests/support/in-uml). Takes "--figures" to print what changes and reads cost. */
#include "base/problem.h"
#include "qos/qos.h"
#include "tests/flow/qos/ground.h"
#include "tests/flow/qos/wire.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MARK 0x10000u
#define RTP 0x80, 0x60
#define HEAD 12

static const struct qos_config config = {
    .level = QOS_TC_FLOWER,
    .owner = "wmcf-40000",
    .flows_max = 4096,
    .transports_max = 4096,
    .priority = 100,
    .judged_mark = MARK,
};

/* One leg: the near end is the media centre's, the far one the endpoint's. */
struct leg {
    struct wire *wire;
    struct qos *qos;
    struct qos_transport *transport;
    struct qos_flow *audio, *video;
    int near, far;
    int family;
};

static void settle(void)
{
    while (g_main_context_iteration(NULL, FALSE))
        ;
}

static void apply(struct qos_flow *flow, enum qos_flow_status status)
{
    struct qos_policy policy = {.has_status = true, .status = status};
    qos_flow_apply(flow, &policy);
}

static void police(struct qos_flow *flow, uint32_t sdr, uint32_t mbs, uint32_t pdr, uint32_t dvt)
{
    struct qos_policy policy = {.has_policing = true, .policing = {true, sdr, mbs, pdr, dvt}};
    qos_flow_apply(flow, &policy);
}

static struct qos *make_qos(const struct qos_config *from, struct wire *wire)
{
    g_autoptr(GError) error = NULL;
    struct qos *qos = qos_new(from, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(qos_level_reason(qos), !=, NULL);
    if (strcmp(qos_level_name(qos), "tc-flower") != 0)
        g_error("%s", qos_level_reason(qos));
    qos_add_address(qos, wire_near_address(wire, 4));
    return qos;
}

static struct leg leg_new(int version)
{
    struct leg leg = {.wire = wire_new(), .family = version};
    struct sockaddr_storage near, far;
    leg.qos = make_qos(&config, leg.wire);
    leg.near = wire_near_socket(leg.wire, version, &near);
    leg.far = wire_far_socket(leg.wire, version, &far);
    wire_connect(leg.near, &far);
    wire_connect(leg.far, &near);
    leg.transport = qos_transport_new(leg.qos, NULL);
    leg.audio = qos_flow_new(leg.transport, QOS_AUDIO, NULL);
    qos_transport_set_pair(leg.transport, (struct sockaddr *)&near, (struct sockaddr *)&far);
    settle();
    return leg;
}

static void leg_free(struct leg *leg)
{
    qos_flow_free(leg->video);
    qos_flow_free(leg->audio);
    qos_transport_free(leg->transport);
    qos_free(leg->qos);
    close(leg->near);
    close(leg->far);
    wire_free(leg->wire);
}

static uint32_t header(const struct leg *leg)
{
    return leg->family == 4 ? 28 : 48;
}

static void send_rtp(int fd, uint32_t ssrc, size_t size)
{
    uint8_t packet[2048] = {RTP};
    uint32_t wire = GUINT32_TO_BE(ssrc);
    memcpy(packet + 8, &wire, 4);
    wire_send(fd, packet, size);
}

static void send_first(int fd, uint8_t first, uint8_t second)
{
    uint8_t packet[100] = {first, second};
    wire_send(fd, packet, sizeof packet);
}

static struct qos_counters counters(const struct qos_flow *flow, enum qos_direction direction)
{
    struct qos_counters counters;
    qos_flow_read(flow, direction, &counters);
    return counters;
}

/* --- gate ------------------------------------------------------------------------------------- */

static void test_gate(gconstpointer version)
{
    struct leg leg = leg_new(GPOINTER_TO_INT(version));
    struct wire_seen seen;
    ground_do("tc filter add dev near ingress pref 60000 protocol ip matchall action gact pass");
    for (int i = 0; i < 1000; i++)
        send_rtp(leg.far, 1, 200);
    seen = wire_receive(leg.near, 0);
    g_assert_cmpuint(seen.packets, ==, 0);
    g_assert_cmpuint(counters(leg.audio, QOS_UPLINK).gate_discarded, ==, 1000);
    g_assert_true(qos_slot_newly_gated(qos_flow_slot(leg.audio, QOS_UPLINK)));
    g_assert_false(qos_slot_newly_gated(qos_flow_slot(leg.audio, QOS_UPLINK)));

    /* STUN, DTLS, RTCP, TURN channels: never touched, not judged. */
    static const uint8_t others[][2] = {{0, 1},  {20, 254},  {22, 254},  {23, 254},
                                        {64, 0}, {128, 192}, {128, 200}, {191, 223}};
    for (guint i = 0; i < G_N_ELEMENTS(others); i++)
        send_first(leg.far, others[i][0], others[i][1]);
    seen = wire_receive(leg.near, G_N_ELEMENTS(others));
    g_assert_cmpuint(seen.packets, ==, G_N_ELEMENTS(others));
    g_assert_cmpuint(seen.marked, ==, 0);

    apply(leg.audio, QOS_ENABLED_UPLINK);
    static const uint8_t media[][2] = {{128, 0},   {128, 127}, {128, 128},
                                       {191, 191}, {144, 224}, {128, 255}};
    for (guint i = 0; i < G_N_ELEMENTS(media); i++)
        send_first(leg.far, media[i][0], media[i][1]);
    seen = wire_receive(leg.near, G_N_ELEMENTS(media));
    g_assert_cmpuint(seen.packets, ==, G_N_ELEMENTS(media));
    g_assert_cmpuint(seen.marked, ==, G_N_ELEMENTS(media));
    struct qos_counters up = counters(leg.audio, QOS_UPLINK);
    g_assert_cmpuint(up.packets, ==, G_N_ELEMENTS(media));
    g_assert_cmpuint(up.octets, ==, G_N_ELEMENTS(media) * (100 + header(&leg)));
    g_assert_cmpuint(up.gate_discarded, ==, 1000);

    /* The other direction has a gate of its own, the filter of others sees what passes. */
    for (int i = 0; i < 10; i++)
        send_rtp(leg.near, 2, 200);
    seen = wire_receive(leg.far, 0);
    g_assert_cmpuint(seen.packets, ==, 0);
    g_assert_cmpuint(counters(leg.audio, QOS_DOWNLINK).gate_discarded, ==, 10);
    g_autofree char *foreign = ground_ask("tc -s filter show dev near ingress pref 60000");
    g_autofree char *expected =
        g_strdup_printf(" %u pkt", (guint)(G_N_ELEMENTS(media) + G_N_ELEMENTS(others)));
    if (leg.family == 4)
        g_assert_nonnull(strstr(foreign, expected));
    leg_free(&leg);
}

/* --- policing --------------------------------------------------------------------------------- */

static void test_burst(gconstpointer version)
{
    struct leg leg = leg_new(GPOINTER_TO_INT(version));
    apply(leg.audio, QOS_ENABLED);
    /* Nothing comes back in between: 30 packets of 200 octets at 8 octets/s. */
    police(leg.audio, 8, 6000 - 4200, 0, 0);
    for (int i = 0; i < 100; i++)
        send_rtp(leg.far, 1, 200 - header(&leg));
    struct wire_seen seen = wire_receive(leg.near, 9);
    g_assert_cmpuint(seen.packets, ==, 9);
    g_assert_cmpuint(seen.marked, ==, 9);
    g_assert_cmpuint(counters(leg.audio, QOS_UPLINK).policing_discarded, ==, 91);
    /* The gate keeps the bucket; saying the same again does too; another rate begins full. */
    apply(leg.audio, QOS_DISABLED);
    apply(leg.audio, QOS_ENABLED);
    police(leg.audio, 8, 6000 - 4200, 0, 0);
    for (int i = 0; i < 10; i++)
        send_rtp(leg.far, 1, 200 - header(&leg));
    g_assert_cmpuint(wire_receive(leg.near, 0).packets, ==, 0);
    police(leg.audio, 9, 400, 0, 0);
    for (int i = 0; i < 10; i++)
        send_rtp(leg.far, 1, 200 - header(&leg));
    g_assert_cmpuint(wire_receive(leg.near, 2).packets, ==, 2);
    leg_free(&leg);
}

/* What a token bucket lets pass of the same packets at the same times: on a busy machine the offer
 * has holes, in which a full bucket gains nothing. */
struct model {
    double rate, depth, tokens;
    gint64 at;
    uint64_t octets;
};

static void model_offer(struct model *model, uint32_t size, gint64 now)
{
    if (!model->at) {
        model->at = now;
        model->tokens = model->depth;
    }
    model->tokens =
        MIN(model->depth, model->tokens + model->rate * (double)(now - model->at) / 1e6);
    model->at = now;
    if (model->tokens < size)
        return;
    model->tokens -= size;
    model->octets += size;
}

static void test_rate(gconstpointer data)
{
    /* 64 kb/s, 500 kb/s, 5 Mb/s with four times the offer. */
    static const struct {
        uint32_t rate, burst, size;
    } rows[] = {{8000, 1600, 200}, {62500, 6000, 500}, {625000, 30000, 1200}};
    for (guint row = 0; row < G_N_ELEMENTS(rows); row++) {
        struct leg leg = leg_new(GPOINTER_TO_INT(data));
        uint32_t rate = rows[row].rate, size = rows[row].size;
        struct model model = {.rate = rate, .depth = rows[row].burst};
        uint64_t passed = 0, sent = 0;
        apply(leg.audio, QOS_ENABLED);
        police(leg.audio, rate, rows[row].burst, 0, 0);
        gint64 start = g_get_monotonic_time(), now = start, last = start;
        for (; now - start < 5000000; now = g_get_monotonic_time()) {
            for (; sent * size < (uint64_t)(now - start) * rate * 4 / 1000000; sent++) {
                last = g_get_monotonic_time();
                model_offer(&model, size, last);
                send_rtp(leg.far, 1, size - header(&leg));
            }
            passed += wire_receive(leg.near, 0).octets;
        }
        passed += wire_receive(leg.near, 0).octets;
        struct qos_counters up = counters(leg.audio, QOS_UPLINK);
        double most = rows[row].burst + rate * ((double)(last - start) / 1e6);
        double tolerance = MAX(most * 0.01, size);
        g_test_message("figures: IPv%d %u octets/s: %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT
                       " octets passed, a bucket: %" G_GUINT64_FORMAT ", rate x time + burst: %.0f",
                       leg.family, rate, up.octets, sent * size, model.octets, most);
        g_assert_cmpfloat(up.octets, <=, most + tolerance);
        g_assert_cmpfloat(ABS((double)up.octets - (double)model.octets), <=, tolerance);
        g_assert_cmpuint(up.packets + up.policing_discarded, ==, sent);
        g_assert_cmpuint(passed + up.packets * header(&leg), ==, up.octets);
        leg_free(&leg);
    }
}

static void test_peak(gconstpointer version)
{
    struct leg leg = leg_new(GPOINTER_TO_INT(version));
    uint32_t size = 1000, peak = 100000, tolerance = 20000 /* us */;
    double depth = (double)peak * tolerance / 1e6;
    /* RFC 2210: one packet above peak rate x time, of the largest or of the sender's size. */
    struct model least = {.rate = peak, .depth = depth + size};
    struct model most = {.rate = peak, .depth = depth + 1518};
    apply(leg.audio, QOS_ENABLED);
    police(leg.audio, 10000, 200000, peak, tolerance);
    for (int i = 0; i < 200; i++) {
        gint64 now = g_get_monotonic_time();
        model_offer(&least, size, now);
        model_offer(&most, size, now);
        send_rtp(leg.far, 1, size - header(&leg));
        g_usleep(1000);
    }
    uint64_t octets = counters(leg.audio, QOS_UPLINK).octets;
    g_test_message("figures: peak: %" G_GUINT64_FORMAT " octets passed, expected %" G_GUINT64_FORMAT
                   " to %" G_GUINT64_FORMAT,
                   octets, least.octets, most.octets);
    g_assert_cmpuint(octets, <=, most.octets + size);
    g_assert_cmpuint(octets + size, >=, least.octets);
    leg_free(&leg);
}

static void test_two_buckets(void)
{
    struct leg one = leg_new(4);
    struct sockaddr_storage near, far;
    int near_fd = wire_near_socket(one.wire, 4, &near), far_fd = wire_far_socket(one.wire, 4, &far);
    struct qos_transport *transport = qos_transport_new(one.qos, NULL);
    struct qos_flow *flow = qos_flow_new(transport, QOS_VIDEO, NULL);
    wire_connect(far_fd, &near);
    qos_transport_set_pair(transport, (struct sockaddr *)&near, (struct sockaddr *)&far);
    settle();
    apply(one.audio, QOS_ENABLED);
    apply(flow, QOS_ENABLED);
    police(one.audio, 8, 1000, 0, 0);
    police(flow, 8, 1000, 0, 0);
    for (int i = 0; i < 20; i++) {
        send_rtp(one.far, 1, 172);
        send_rtp(far_fd, 1, 172);
    }
    g_assert_cmpuint(wire_receive(one.near, 5).packets, ==, 5);
    g_assert_cmpuint(wire_receive(near_fd, 5).packets, ==, 5);
    qos_flow_free(flow);
    qos_transport_free(transport);
    close(near_fd);
    close(far_fd);
    leg_free(&one);
}

/* --- marking ---------------------------------------------------------------------------------- */

static void test_marking(gconstpointer version)
{
    struct leg leg = leg_new(GPOINTER_TO_INT(version));
    struct qos_policy ef = {.tagging = QOS_TAGGING_MARK, .dscp = 46};
    struct wire_seen seen;
    apply(leg.audio, QOS_ENABLED);
    g_assert_true(qos_transport_marks(leg.transport));
    qos_flow_apply(leg.audio, &ef);
    for (int ecn = 0; ecn < 4; ecn++) {
        wire_set_tos(leg.near, (uint8_t)ecn);
        for (int i = 0; i < 10; i++)
            send_rtp(leg.near, 1, 300);
        seen = wire_receive(leg.far, 10);
        g_assert_cmpuint(seen.packets, ==, 10); /* so the checksums were right */
        g_assert_cmpuint(seen.tos, ==, 46 << 2 | ecn);
    }
    g_assert_cmpuint(counters(leg.audio, QOS_DOWNLINK).marked, ==, 40);
    /* The others of the same 5-tuple stay as they were sent. */
    wire_set_tos(leg.near, 8 << 2 | 1);
    send_first(leg.near, 0, 1);
    seen = wire_receive(leg.far, 1);
    g_assert_cmpuint(seen.tos, ==, 8 << 2 | 1);
    ef.dscp = 34;
    qos_flow_apply(leg.audio, &ef);
    send_rtp(leg.near, 1, 300);
    g_assert_cmpuint(wire_receive(leg.far, 1).tos, ==, 34 << 2 | 1);
    /* "copy" is the relay's. */
    ef.tagging = QOS_TAGGING_COPY;
    qos_flow_apply(leg.audio, &ef);
    send_rtp(leg.near, 1, 300);
    g_assert_cmpuint(wire_receive(leg.far, 1).tos, ==, 8 << 2 | 1);
    g_assert_cmpuint(counters(leg.audio, QOS_DOWNLINK).marked, ==, 41);
    /* A run that the card or the kernel segments: every segment, and each counts. */
    ef.tagging = QOS_TAGGING_MARK;
    qos_flow_apply(leg.audio, &ef);
    uint8_t run[12 * 1000] = {0};
    for (int i = 0; i < 12; i++)
        run[i * 1000] = 0x80;
    wire_send_run(leg.near, run, sizeof run, 1000);
    seen = wire_receive(leg.far, 12);
    g_assert_cmpuint(seen.packets, ==, 12);
    g_assert_cmpuint(seen.tos, ==, 34 << 2 | 1);
    g_assert_cmpuint(counters(leg.audio, QOS_DOWNLINK).marked, ==, 53);
    leg_free(&leg);
}

/* --- bundle ----------------------------------------------------------------------------------- */

static void test_bundle(gconstpointer version)
{
    struct leg leg = leg_new(GPOINTER_TO_INT(version));
    apply(leg.audio, QOS_ENABLED);
    send_rtp(leg.far, 1, 200);
    g_assert_cmpuint(wire_receive(leg.near, 1).marked, ==, 1);
    /* The second medium: the relay judges both. */
    leg.video = qos_flow_new(leg.transport, QOS_VIDEO, NULL);
    g_assert_false(qos_transport_marks(leg.transport));
    g_assert_true(
        qos_transport_add_ssrc(leg.transport, QOS_UPLINK, 1, qos_flow_slot(leg.audio, QOS_UPLINK)));
    g_assert_true(
        qos_transport_add_ssrc(leg.transport, QOS_UPLINK, 2, qos_flow_slot(leg.video, QOS_UPLINK)));
    settle();
    for (uint32_t ssrc = 1; ssrc <= 3; ssrc++)
        send_rtp(leg.far, ssrc, 200);
    struct wire_seen seen = wire_receive(leg.near, 3);
    g_assert_cmpuint(seen.packets, ==, 3);
    g_assert_cmpuint(seen.marked, ==, 0);
    /* All closed: the kernel drops what it knows, each for its medium. */
    apply(leg.audio, QOS_DISABLED);
    for (int i = 0; i < 10; i++)
        for (uint32_t ssrc = 1; ssrc <= 3; ssrc++)
            send_rtp(leg.far, ssrc, 200);
    for (int i = 0; i < 5; i++)
        send_rtp(leg.far, 2, 200);
    seen = wire_receive(leg.near, 10);
    g_assert_cmpuint(seen.packets, ==, 10); /* of the third */
    g_assert_cmpuint(counters(leg.audio, QOS_UPLINK).gate_discarded, ==, 10);
    g_assert_cmpuint(counters(leg.video, QOS_UPLINK).gate_discarded, ==, 15);
    /* One opens: all to the relay again. */
    apply(leg.video, QOS_ENABLED);
    for (uint32_t ssrc = 1; ssrc <= 3; ssrc++)
        send_rtp(leg.far, ssrc, 200);
    seen = wire_receive(leg.near, 3);
    g_assert_cmpuint(seen.packets, ==, 3);
    g_assert_cmpuint(seen.marked, ==, 0);
    /* One leaves: the other is alone again, and its counters go on. */
    qos_flow_free(leg.video);
    leg.video = NULL;
    apply(leg.audio, QOS_ENABLED);
    send_rtp(leg.far, 7, 200);
    g_assert_cmpuint(wire_receive(leg.near, 1).marked, ==, 1);
    struct qos_counters up = counters(leg.audio, QOS_UPLINK);
    g_assert_cmpuint(up.packets, ==, 2);
    g_assert_cmpuint(up.gate_discarded, ==, 10);
    leg_free(&leg);
}

static void test_data(void)
{
    struct leg leg = leg_new(4);
    leg.video = qos_flow_new(leg.transport, QOS_DATA, NULL);
    apply(leg.audio, QOS_ENABLED);
    for (int i = 0; i < 10; i++)
        send_first(leg.far, 23, 254);
    send_first(leg.far, 22, 254);
    g_assert_cmpuint(wire_receive(leg.near, 1).packets, ==, 1);
    g_assert_cmpuint(counters(leg.video, QOS_UPLINK).gate_discarded, ==, 10);
    apply(leg.video, QOS_ENABLED);
    send_first(leg.far, 23, 254);
    g_assert_cmpuint(wire_receive(leg.near, 1).marked, ==, 1);
    g_assert_true(qos_transport_marks(leg.transport));
    leg_free(&leg);
}

/* --- what has no such form -------------------------------------------------------------------- */

static void test_left_to_the_relay(void)
{
    struct leg leg = leg_new(4);
    struct wire_seen seen;
    /* Fragments: 3000 octets do not fit; options; a run of several. */
    apply(leg.audio, QOS_ENABLED);
    uint8_t big[3000] = {RTP};
    wire_send(leg.far, big, sizeof big);
    seen = wire_receive(leg.near, 1);
    g_assert_cmpuint(seen.packets, ==, 1);
    g_assert_cmpuint(seen.marked, ==, 0);
    wire_set_options(leg.far);
    send_rtp(leg.far, 1, 200);
    seen = wire_receive(leg.near, 1);
    g_assert_cmpuint(seen.packets, ==, 1);
    g_assert_cmpuint(seen.marked, ==, 0);
    leg_free(&leg);
}

/* A local port that is the transport's alone, before ICE has chosen; then the pair. */
static void test_local(gconstpointer version)
{
    struct leg leg = leg_new(GPOINTER_TO_INT(version));
    struct sockaddr_storage near, far;
    int near_fd = wire_near_socket(leg.wire, leg.family, &near);
    int far_fd = wire_far_socket(leg.wire, leg.family, &far);
    wire_connect(far_fd, &near);
    struct qos_transport *transport = qos_transport_new(leg.qos, NULL);
    struct qos_flow *flow = qos_flow_new(transport, QOS_AUDIO, NULL);
    qos_transport_add_local(transport, (struct sockaddr *)&near);
    settle();
    send_rtp(far_fd, 1, 200);
    g_assert_cmpuint(wire_receive(near_fd, 0).packets, ==, 0);
    apply(flow, QOS_ENABLED);
    send_rtp(far_fd, 1, 200);
    g_assert_cmpuint(wire_receive(near_fd, 1).marked, ==, 1);
    qos_transport_set_pair(transport, (struct sockaddr *)&near, (struct sockaddr *)&far);
    settle();
    send_rtp(far_fd, 1, 200);
    g_assert_cmpuint(wire_receive(near_fd, 1).marked, ==, 1);
    /* The pair is given up: by the port again; then chosen anew. */
    qos_transport_set_pair(transport, NULL, NULL);
    settle();
    g_assert_false(qos_transport_marks(transport));
    qos_transport_set_pair(transport, (struct sockaddr *)&near, (struct sockaddr *)&far);
    settle();
    g_assert_true(qos_transport_marks(transport));
    struct qos_counters up = counters(flow, QOS_UPLINK);
    g_assert_cmpuint(up.packets, ==, 2);
    g_assert_cmpuint(up.gate_discarded, ==, 1);
    /* Another endpoint's packets to the same port are not this transport's. */
    wire_connect(leg.far, &near);
    send_rtp(leg.far, 1, 200);
    g_assert_cmpuint(wire_receive(near_fd, 1).marked, ==, 0);
    qos_flow_free(flow);
    qos_transport_free(transport);
    close(near_fd);
    close(far_fd);
    leg_free(&leg);
}

/* --- ownership -------------------------------------------------------------------------------- */

static void assert_nothing_left(const char *interface)
{
    g_autofree char *actions = ground_ask("for k in gact police skbedit pedit csum; do "
                                          "tc actions list action $k; done | grep -c cookie; true");
    g_assert_cmpstr(g_strstrip(actions), ==, "0");
    g_autofree char *qdiscs = ground_ask("tc qdisc show dev %s", interface);
    g_assert_null(strstr(qdiscs, "clsact"));
}

static void test_leaves_nothing(void)
{
    struct leg leg = leg_new(4);
    apply(leg.audio, QOS_ENABLED);
    qos_flow_free(leg.audio);
    qos_transport_free(leg.transport);
    qos_free(leg.qos);
    assert_nothing_left("near");
    close(leg.near);
    close(leg.far);
    wire_free(leg.wire);
}

static guint count_lines(const char *command, const char *word)
{
    g_autofree char *text = ground_ask("%s", command);
    guint count = 0;
    for (const char *at = text; (at = strstr(at, word)); at++)
        count++;
    return count;
}

static void killed(void *data)
{
    struct wire *wire = data;
    struct sockaddr_storage near, far;
    struct qos *qos = make_qos(&config, wire);
    struct qos_transport *transport = qos_transport_new(qos, NULL);
    struct qos_flow *flow = qos_flow_new(transport, QOS_AUDIO, NULL);
    wire_near_socket(wire, 4, &near);
    wire_far_socket(wire, 4, &far);
    qos_transport_set_pair(transport, (struct sockaddr *)&near, (struct sockaddr *)&far);
    settle();
    apply(flow, QOS_ENABLED);
}

static void test_takeover(void)
{
    struct wire *wire = wire_new();
    /* Another user of u32 at the same hook, a table of theirs and a filter. */
    ground_do("tc qdisc add dev near clsact");
    ground_do("tc filter add dev near ingress pref 7 protocol ip handle 400: u32 divisor 1");
    ground_do("tc filter add dev near ingress pref 7 protocol ip u32 match ip protocol 17 0xff "
              "action gact continue");
    ground_do("tc filter add dev near ingress pref 100 protocol ip matchall action gact continue");
    ground_in_child(killed, wire);
    const char *all = "tc filter show dev near ingress; tc filter show dev near egress";
    guint before = count_lines(all, "filter");
    g_assert_cmpuint(before, >, 10);
    g_assert_cmpuint(count_lines(all, "key ht"), >, 0);

    struct qos *qos = make_qos(&config, wire);
    /* Nothing of the flow of the dead is left: the roots, tables and links alone. */
    struct qos *other = NULL;
    struct qos_config second = config;
    second.owner = "wmcf-40002";
    other = make_qos(&second, wire);
    guint two = count_lines(all, "filter");
    qos_free(qos);
    guint one = count_lines(all, "filter");
    g_assert_cmpuint(two, >, one);
    qos = make_qos(&config, wire);
    g_assert_cmpuint(count_lines(all, "filter"), ==, two);
    qos_free(other);
    g_assert_cmpuint(count_lines(all, "filter"), ==, one);
    qos_free(qos);
    /* One of another name that is dead, too. */
    ground_in_child(killed, wire);
    g_assert_cmpuint(count_lines(all, "filter"), >, before - 1);
    qos = make_qos(&second, wire);
    g_autofree char *swept = qos_sweep(qos);
    g_assert_cmpstr(swept, ==, "removed the stale filters of wmcf-40000 on near");
    g_assert_cmpuint(count_lines(all, "filter"), ==, one);
    qos_free(qos);
    /* The other's are all there, and work. */
    g_autofree char *text = ground_ask("%s", all);
    g_assert_nonnull(strstr(text, "fh 400: ht divisor 1"));
    g_assert_nonnull(strstr(text, "pref 100 matchall"));
    g_assert_nonnull(strstr(text, "match 00110000/00ff0000 at 8"));
    g_assert_cmpuint(count_lines(all, "fh 408:"), ==, 0);
    g_autofree char *actions = ground_ask("tc actions list action police; tc actions list action "
                                          "skbedit");
    g_assert_null(strstr(actions, "cookie"));
    wire_free(wire);
}

static void test_interface_flaps(void)
{
    struct leg leg = leg_new(4);
    char *shown;
    apply(leg.audio, QOS_ENABLED);
    g_assert_true(qos_transport_marks(leg.transport));
    wire_break(leg.wire);
    gint64 end = g_get_monotonic_time() + 5000000;
    while (qos_transport_marks(leg.transport) && g_get_monotonic_time() < end)
        g_main_context_iteration(NULL, TRUE);
    g_assert_false(qos_transport_marks(leg.transport));
    wire_mend(leg.wire);
    while (!qos_transport_marks(leg.transport) && g_get_monotonic_time() < end)
        g_main_context_iteration(NULL, TRUE);
    g_assert_true(qos_transport_marks(leg.transport));
    /* Another takes all of it away. */
    ground_do("tc qdisc del dev near clsact");
    while (!strstr(shown = ground_ask("tc filter show dev near ingress"), "match") &&
           g_get_monotonic_time() < end) {
        g_free(shown);
        g_main_context_iteration(NULL, TRUE);
    }
    g_free(shown);
    send_rtp(leg.far, 1, 200);
    g_assert_cmpuint(wire_receive(leg.near, 1).marked, ==, 1);
    leg_free(&leg);
}

/* --- figures ---------------------------------------------------------------------------------- */

static void test_figures(void)
{
    enum { COUNT = 1000 };
    struct leg leg = leg_new(4);
    struct qos_transport *transports[COUNT];
    struct qos_flow *flows[COUNT];
    struct sockaddr_storage near, far;
    int fd = wire_near_socket(leg.wire, 4, &near), other = wire_far_socket(leg.wire, 4, &far);
    gint64 start = g_get_monotonic_time();
    for (int i = 0; i < COUNT; i++) {
        transports[i] = qos_transport_new(leg.qos, NULL);
        flows[i] = qos_flow_new(transports[i], QOS_AUDIO, NULL);
        wire_set_port(&far, (uint16_t)(1024 + i * 7));
        qos_transport_set_pair(transports[i], (struct sockaddr *)&near, (struct sockaddr *)&far);
    }
    settle();
    gint64 added = g_get_monotonic_time();
    for (int i = 0; i < COUNT; i++)
        apply(flows[i], QOS_ENABLED);
    gint64 opened = g_get_monotonic_time();
    for (int i = 0; i < COUNT; i++)
        police(flows[i], 8000, 4000 + i, 0, 0);
    gint64 policed = g_get_monotonic_time();
    struct qos_counters ignored;
    for (int i = 0; i < COUNT; i++)
        qos_flow_read(flows[i], QOS_UPLINK, &ignored);
    gint64 read = g_get_monotonic_time();
    for (int i = 0; i < COUNT; i++) {
        qos_flow_free(flows[i]);
        qos_transport_free(transports[i]);
    }
    gint64 end = g_get_monotonic_time();
#define US(from, to) ((double)((to) - (from)) / COUNT)
    g_test_message("figures: us per flow (of %d): added %.1f, both gates %.1f, rate %.1f, counters "
                   "read %.1f, removed %.1f",
                   COUNT, US(start, added), US(added, opened), US(opened, policed),
                   US(policed, read), US(read, end));
    close(fd);
    close(other);
    leg_free(&leg);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define BOTH(path, function)                                                                       \
    g_test_add_data_func(path "/ipv4", GINT_TO_POINTER(4), function);                              \
    g_test_add_data_func(path "/ipv6", GINT_TO_POINTER(6), function)
    BOTH("/flower/gate", test_gate);
    BOTH("/flower/burst", test_burst);
    BOTH("/flower/peak", test_peak);
    BOTH("/flower/marking", test_marking);
    BOTH("/flower/bundle", test_bundle);
    BOTH("/flower/local", test_local);
    BOTH("/flower/rate", test_rate);
    g_test_add_func("/flower/two-buckets", test_two_buckets);
    g_test_add_func("/flower/data", test_data);
    g_test_add_func("/flower/left-to-the-relay", test_left_to_the_relay);
    g_test_add_func("/flower/leaves-nothing", test_leaves_nothing);
    g_test_add_func("/flower/takeover", test_takeover);
    g_test_add_func("/flower/interface-flaps", test_interface_flaps);
    g_test_add_func("/flower/figures", test_figures);
    return g_test_run();
}
