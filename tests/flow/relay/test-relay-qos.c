/* SPDX-License-Identifier: Apache-2.0 */
/* The relay as the third level of enforcement and as the kernel's partner. */
#include "base/loop.h"
#include "tests/flow/relay/bed.h"
#include "tests/flow/relay/recorder.h"

#include <string.h>

enum { TOS_AUDIO = 46 << 2, TOS_VIDEO = 36 << 2, TOS_DATA = 10 << 2 }; /* RFC 8837 */

static void begin(struct recorder *recorder, struct bed *bed, const char *address,
                  const char *const *trusted, unsigned lines)
{
    bed_begin(bed, recorder_new(recorder, trusted), address, lines);
}

static void end(struct recorder *recorder, struct bed *bed)
{
    struct qos *qos = bed->qos;
    bed_end(bed);
    g_assert_cmpuint(recorder->cleared, ==, 2);
    recorder_free(recorder, qos);
}

/* What is sent from now on comes as the kernel has judged it: on loopback a mark stays. */
static bool mark(struct bed *bed, uint32_t value)
{
    return setsockopt(bed->from->fd, SOL_SOCKET, SO_MARK, &value, sizeof value) == 0;
}

/* --- verdicts of the kernel ------------------------------------------------------------------- */

static void test_verdicts(void)
{
    struct recorder r;
    struct bed bed;
    begin(&r, &bed, "127.0.0.1", NULL, 2);
    if (!mark(&bed, RECORDER_MARK)) {
        g_test_skip("SO_MARK needs CAP_NET_ADMIN");
        end(&r, &bed);
        return;
    }
    bed_send(&bed, BED_VIDEO, 10); /* judged: the relay counts nothing */
    BED_UNTIL(&bed, bed.to->rtp.length == 10);
    g_assert_cmpuint(bed_count(&bed_uplink(&bed, BED_VIDEO)->packets), ==, 0);
    g_assert_cmpuint(bed_count(&bed_downlink(&bed, BED_VIDEO)->packets), ==, 10);
    mark(&bed, 0);
    bed_send(&bed, BED_VIDEO, 10);
    BED_UNTIL(&bed, bed.to->rtp.length == 20);
    g_assert_cmpuint(bed_count(&bed_uplink(&bed, BED_VIDEO)->packets), ==, 10);
    mark(&bed, RECORDER_MARK << 1); /* somebody else's mark */
    bed_send(&bed, BED_VIDEO, 10);
    BED_UNTIL(&bed, bed.to->rtp.length == 30);
    g_assert_cmpuint(bed_count(&bed_uplink(&bed, BED_VIDEO)->packets), ==, 20);
    /* An SSRC that it does not hold is judged here once, and known to it from then on. */
    mark(&bed, RECORDER_MARK);
    g_assert_null(recorder_slot(&r, QOS_UPLINK, 77));
    for (guint i = 0; i < 5; i++)
        bed_send_as(&bed, BED_AUDIO, 77, "a");
    BED_UNTIL(&bed, bed.to->rtp.length == 35);
    g_assert_true(recorder_slot(&r, QOS_UPLINK, 77) == bed_uplink(&bed, BED_AUDIO));
    g_assert_cmpuint(bed_count(&bed_uplink(&bed, BED_AUDIO)->packets), ==, 1);
    /* Judged as video, audio by its MID, whose gate is closed. */
    bed_set_gate(&bed, BED_AUDIO, QOS_DISABLED);
    for (guint i = 0; i < 5; i++)
        bed_send_as(&bed, BED_VIDEO, bed_announced[BED_VIDEO], "a");
    BED_UNTIL(&bed, bed_count(&bed_uplink(&bed, BED_AUDIO)->gate_discarded) == 5);
    g_assert_true(recorder_slot(&r, QOS_UPLINK, bed_announced[BED_VIDEO]) ==
                  bed_uplink(&bed, BED_VIDEO));
    /* What the kernel let pass as audio is not stopped again: it came before the gate was closed.
     */
    bed_send_as(&bed, BED_AUDIO, 77, NULL);
    BED_UNTIL(&bed, bed.to->rtp.length == 36);
    g_assert_cmpuint(bed_count(&bed_uplink(&bed, BED_AUDIO)->gate_discarded), ==, 5);
    end(&r, &bed);
}

/* A leg with one medium: the kernel judges whatever SSRC it has. */
static void test_only_medium(void)
{
    struct recorder r;
    struct bed bed;
    begin(&r, &bed, "127.0.0.1", NULL, 1);
    if (!mark(&bed, RECORDER_MARK)) {
        g_test_skip("SO_MARK needs CAP_NET_ADMIN");
        end(&r, &bed);
        return;
    }
    for (guint i = 0; i < 5; i++)
        bed_send_as(&bed, BED_VIDEO, 78, NULL);
    BED_UNTIL(&bed, bed.to->rtp.length == 5);
    g_assert_cmpuint(bed_count(&bed_uplink(&bed, BED_VIDEO)->packets), ==, 0);
    g_assert_true(recorder_slot(&r, QOS_UPLINK, 78) == bed_uplink(&bed, BED_VIDEO));
    /* But never through a gate that is closed: who knows whom the kernel meant. */
    bed_set_gate(&bed, BED_VIDEO, QOS_DISABLED);
    bed_send_as(&bed, BED_VIDEO, 79, NULL);
    BED_UNTIL(&bed, bed_count(&bed_uplink(&bed, BED_VIDEO)->gate_discarded) == 1);
    end(&r, &bed);
}

/* --- what the kernel is told ------------------------------------------------------------------ */

static void test_bindings(void)
{
    struct recorder r;
    struct bed bed;
    struct relay_media medias[2][2];
    begin(&r, &bed, "127.0.0.1", NULL, 2);
    struct sockaddr_storage own;
    socklen_t length = sizeof own;
    getsockname(bed.to->fd, (struct sockaddr *)&own, &length);
    g_assert_cmpuint(r.addresses, ==, 1);
    g_assert_cmpuint(r.pairs, ==, 2);
    g_assert_cmpint(((struct sockaddr_in *)&r.pair_remote)->sin_port, ==,
                    ((struct sockaddr_in *)&own)->sin_port);
    for (unsigned k = BED_AUDIO; k <= BED_VIDEO; k++) {
        g_assert_true(recorder_slot(&r, QOS_UPLINK, bed_announced[k]) == bed_uplink(&bed, k));
        g_assert_true(recorder_slot(&r, QOS_DOWNLINK, SUBSCRIBED_SSRC(k)) == bed_downlink(&bed, k));
    }
    bed_send_as(&bed, BED_VIDEO, 500, "v");
    BED_UNTIL(&bed, recorder_slot(&r, QOS_UPLINK, 500) == bed_uplink(&bed, BED_VIDEO));
    /* The same again tells nothing new; an m-line that goes takes its SSRCs along. */
    unsigned adds = recorder_adds(&r);
    bed_fill_medias(&bed, medias[0], medias[1]);
    relay_leg_set_medias(bed.from->leg, medias[0], 2);
    endpoint_stats(bed.from);
    g_assert_cmpuint(recorder_adds(&r), ==, adds);
    medias[1][BED_AUDIO].local_ssrc = 4711;
    relay_leg_set_medias(bed.to->leg, medias[1], 2);
    relay_leg_set_medias(bed.from->leg, medias[0], 1);
    endpoint_stats(bed.to);
    endpoint_stats(bed.from);
    g_assert_cmpuint(recorder_held(&r, QOS_UPLINK), ==, 1);
    g_assert_true(recorder_slot(&r, QOS_UPLINK, bed_announced[BED_AUDIO]) ==
                  bed_uplink(&bed, BED_AUDIO));
    g_assert_true(recorder_slot(&r, QOS_DOWNLINK, 4711) == bed_downlink(&bed, BED_AUDIO));
    g_assert_null(recorder_slot(&r, QOS_DOWNLINK, SUBSCRIBED_SSRC(BED_AUDIO)));
    /* New keys end the sources, not what was announced. */
    relay_leg_set_medias(bed.from->leg, medias[0], 2);
    bed_send_as(&bed, BED_VIDEO, 501, "v");
    BED_UNTIL(&bed, recorder_slot(&r, QOS_UPLINK, 501));
    endpoint_rekey(bed.from);
    endpoint_stats(bed.from);
    g_assert_null(recorder_slot(&r, QOS_UPLINK, 501));
    g_assert_cmpuint(recorder_held(&r, QOS_UPLINK), ==, 2);
    end(&r, &bed);
}

/* A leg with ports of its own is known by them before ICE has chosen. */
static void test_own_ports(void)
{
    struct recorder r;
    struct bed bed;
    g_autoptr(GError) error = NULL;
    begin(&r, &bed, "127.0.0.1", NULL, 2);
    unsigned released = 0;
    static const struct relay_leg_ops none = {0};
    struct relay_leg_config config = {.group = 1,
                                      .name = "full",
                                      .local_ufrag = "own",
                                      .local_pwd = "passwordpasswordpassword",
                                      .ice_full = true,
                                      .ops = &none,
                                      .user = &released,
                                      .transport = bed.transports[0]};
    struct relay_leg *leg = relay_leg_new(bed.relay, &config, &error);
    g_assert_no_error(error);
    gsize n;
    const struct relay_address *own = relay_leg_addresses(leg, &n);
    guint16 port = g_ntohs(((const struct sockaddr_in *)&own->local)->sin_port);
    BED_UNTIL(&bed, (endpoint_stats(bed.from), r.locals == 1));
    pthread_mutex_lock(&r.lock);
    g_assert_true(g_hash_table_contains(r.ports, GUINT_TO_POINTER(port)));
    pthread_mutex_unlock(&r.lock);
    relay_leg_release(leg);
    endpoint_stats(bed.from);
    pthread_mutex_lock(&r.lock);
    g_assert_false(g_hash_table_contains(r.ports, GUINT_TO_POINTER(port)));
    g_assert_cmpuint(r.cleared, ==, 1);
    r.cleared = 0;
    pthread_mutex_unlock(&r.lock);
    end(&r, &bed);
}

/* An endpoint that makes up SSRCs, or moves one from medium to medium, meets limits alone. */
static void test_churn(void)
{
    struct recorder r;
    struct bed bed;
    uint8_t protected[ENDPOINT_MAX];
    begin(&r, &bed, "127.0.0.1", NULL, 2);
    unsigned adds = recorder_adds(&r);
    for (guint i = 0; i < 100; i++) { /* not authentic: nothing is kept of them */
        struct rtp_out rtp = bed_rtp(&bed, BED_VIDEO, 0x5000 + i, "v");
        size_t length = endpoint_protect_rtp(bed.from, &rtp, protected);
        protected[length - 1] ^= 1;
        endpoint_send_raw(bed.from, protected, length);
    }
    for (guint i = 0; i < 40; i++)
        bed_send_as(&bed, BED_VIDEO, 0x6000 + i, "v");
    BED_UNTIL(&bed, endpoint_stats(bed.from).unknown_ssrc_dropped == 24);
    g_assert_cmpuint(recorder_adds(&r), ==, adds + 16);
    /* the other medium has its own places */
    bed_send_as(&bed, BED_AUDIO, 0x7000, "a");
    BED_UNTIL(&bed, recorder_slot(&r, QOS_UPLINK, 0x7000));
    adds = recorder_adds(&r);
    gint64 began = g_get_monotonic_time();
    for (guint i = 0; i < 400; i++)
        bed_send_as(&bed, BED_VIDEO, bed_announced[BED_VIDEO], bed_mids[i % 2]);
    BED_UNTIL(&bed, endpoint_stats(bed.from).moved_ssrc_dropped >= 100);
    struct relay_leg_stats stats;
    unsigned seconds = (unsigned)((g_get_monotonic_time() - began) / G_USEC_PER_SEC);
    stats = endpoint_stats(bed.from);
    g_assert_cmpuint(recorder_adds(&r) - adds, <=, 10 * (seconds + 2));
    g_assert_cmpuint(stats.moved_ssrc_dropped, <=, 400);
    /* the endpoint is as well as before */
    guint had = bed.to->rtp.length;
    bed_send(&bed, BED_AUDIO, 3);
    BED_UNTIL(&bed, bed.to->rtp.length >= had + 3);
    end(&r, &bed);
}

/* A new SSRC for every packet, while the gate is closed: nothing passes, nothing is kept. */
static void test_churn_at_closed_gate(void)
{
    struct recorder r;
    struct bed bed;
    begin(&r, &bed, "127.0.0.1", NULL, 2);
    unsigned adds = recorder_adds(&r);
    bed_set_gate(&bed, BED_VIDEO, QOS_DISABLED);
    for (guint i = 0; i < 300; i++)
        bed_send_as(&bed, BED_VIDEO, 0x8000 + i, i % 2 ? "v" : NULL);
    BED_UNTIL(&bed, bed_count(&bed_uplink(&bed, BED_VIDEO)->gate_discarded) == 300);
    g_assert_cmpuint(bed.to->rtp.length, ==, 0);
    g_assert_cmpuint(recorder_adds(&r), ==, adds);
    BED_UNTIL(&bed, bed.from->gated[QOS_UPLINK] == 1);
    bed_send(&bed, BED_AUDIO, 10); /* goes on */
    BED_UNTIL(&bed, bed.to->rtp.length == 10);
    end(&r, &bed);
}

/* One datagram of the kernel's (GRO) with two media in it, of which one may pass. */
static void test_mixed_run(void)
{
    struct recorder r;
    struct bed bed;
    begin(&r, &bed, "127.0.0.1", NULL, 2);
    bed_set_gate(&bed, BED_AUDIO, QOS_DISABLED);
    uint16_t segment = bed_send_run(&bed, BED_KINDS, 20);
    BED_UNTIL(&bed, bed.to->rtp.length == 10);
    BED_UNTIL(&bed, bed_count(&bed_uplink(&bed, BED_AUDIO)->gate_discarded) == 10);
    g_assert_cmpuint(bed_count(&bed_uplink(&bed, BED_AUDIO)->packets), ==, 0);
    g_assert_cmpuint(bed_count(&bed_uplink(&bed, BED_VIDEO)->packets), ==, 10);
    g_assert_cmpuint(bed_count(&bed_uplink(&bed, BED_VIDEO)->octets), ==, 10u * (segment + 28));
    end(&r, &bed);
}

/* --- data channels ---------------------------------------------------------------------------- */

/* The last datagram the control thread was given has these records. */
static void expect_dtls(struct bed *bed, guint n, const uint8_t *types)
{
    uint8_t expected[200];
    gsize length;
    BED_UNTIL(bed, bed->from->datagrams->len == n);
    const void *data = g_bytes_get_data(bed->from->datagrams->pdata[n - 1], &length);
    g_assert_cmpmem(data, length, expected, bed_dtls(expected, types));
}

static const uint8_t only_data[] = {BED_APPLICATION, 0}, handshake[] = {BED_HANDSHAKE, 0},
                     mixed[] = {BED_HANDSHAKE, BED_APPLICATION, BED_ALERT, BED_APPLICATION, 0},
                     rest[] = {BED_HANDSHAKE, BED_ALERT, 0};

static void test_data_uplink(void)
{
    struct recorder r;
    struct bed bed;
    begin(&r, &bed, "127.0.0.1", NULL, 2);
    struct qos_slot *slot = bed_uplink(&bed, BED_DATA);
    bed_send_dtls(&bed, only_data);
    expect_dtls(&bed, 1, only_data);
    g_assert_cmpuint(bed_count(&slot->packets), ==, 1);
    g_assert_cmpuint(bed_count(&slot->octets), ==, 23 + 28);
    bed_set_gate(&bed, BED_DATA, QOS_ENABLED_DOWNLINK);
    for (guint i = 0; i < 10; i++)
        bed_send_dtls(&bed, only_data);
    bed_send_dtls(&bed, mixed);
    expect_dtls(&bed, 2, rest);
    g_assert_cmpuint(bed_count(&slot->gate_discarded), ==, 11);
    BED_UNTIL(&bed, bed.from->gated[QOS_UPLINK] == 1);
    g_assert_cmpstr(bed.from->last_mid, ==, "d");
    bed_send_dtls(&bed, handshake);
    expect_dtls(&bed, 3, handshake);
    g_assert_cmpuint(bed_count(&slot->gate_discarded), ==, 11);
    bed_set_gate(&bed, BED_DATA, QOS_ENABLED);
    bed_send_dtls(&bed, mixed);
    expect_dtls(&bed, 4, mixed);
    if (mark(&bed, RECORDER_MARK)) {
        bed_send_dtls(&bed, only_data);
        expect_dtls(&bed, 5, only_data);
        g_assert_cmpuint(bed_count(&slot->packets), ==, 2);
        bed_send_dtls(&bed, mixed); /* the kernel has seen a handshake */
        expect_dtls(&bed, 6, mixed);
        g_assert_cmpuint(bed_count(&slot->packets), ==, 3);
        mark(&bed, 0);
    }
    /* no data channel any more: all DTLS passes */
    guint had = bed.from->datagrams->len;
    bed_set_gate(&bed, BED_DATA, QOS_DISABLED);
    relay_leg_set_data(bed.from->leg, NULL, NULL, NULL);
    endpoint_stats(bed.from);
    bed_send_dtls(&bed, mixed);
    expect_dtls(&bed, had + 1, mixed);
    end(&r, &bed);
}

static void expect_sent(struct bed *bed, const uint8_t *types, int tos)
{
    uint8_t expected[200];
    BED_UNTIL(bed, bed->to->dtls.length == 1);
    g_autofree struct packet_in *packet = g_queue_pop_head(&bed->to->dtls);
    g_assert_cmpmem(packet->data, packet->length, expected, bed_dtls(expected, types));
    g_assert_cmpint(packet->tos, ==, tos);
}

static void test_data_downlink(void)
{
    struct recorder r;
    struct bed bed;
    uint8_t out[200];
    begin(&r, &bed, "127.0.0.1", NULL, 2);
    struct qos_slot *slot = bed_downlink(&bed, BED_DATA);
    g_autoptr(GBytes) data = g_bytes_new(out, bed_dtls(out, only_data));
    g_autoptr(GBytes) both = g_bytes_new(out, bed_dtls(out, mixed));
    g_autoptr(GBytes) flight = g_bytes_new(out, bed_dtls(out, handshake));
    relay_leg_send_dtls(bed.to->leg, data);
    expect_sent(&bed, only_data, TOS_DATA);
    relay_leg_send_dtls(bed.to->leg, flight);
    expect_sent(&bed, handshake, 0);
    g_assert_cmpuint(bed_count(&slot->packets), ==, 1);
    g_assert_cmpuint(bed_count(&slot->marked), ==, 1);
    struct qos_policy shut = {.has_status = true, .status = QOS_ENABLED_UPLINK};
    qos_flow_apply(bed.flows[1][BED_DATA], &shut);
    relay_leg_send_dtls(bed.to->leg, data);
    relay_leg_send_dtls(bed.to->leg, both);
    expect_sent(&bed, rest, 0);
    g_assert_cmpuint(bed_count(&slot->gate_discarded), ==, 2);
    BED_UNTIL(&bed, bed.to->gated[QOS_DOWNLINK] == 1);
    g_assert_cmpstr(bed.to->last_mid, ==, "d");
    end(&r, &bed);
}

/* RTCP passes while anything does, a data channel too. */
static void test_rtcp_gate(void)
{
    struct recorder r;
    struct bed bed;
    uint8_t report[8] = {0x80, 201, 0, 1, 0x11, 0x11, 0x11, 0x11};
    begin(&r, &bed, "127.0.0.1", NULL, 2);
    bed_set_gate(&bed, BED_AUDIO, QOS_DISABLED);
    bed_set_gate(&bed, BED_VIDEO, QOS_DISABLED);
    endpoint_send_rtcp(bed.from, report, sizeof report);
    endpoint_stats(bed.from);
    g_assert_cmpuint(endpoint_stats(bed.from).rtcp_gated, ==, 0);
    bed_set_gate(&bed, BED_DATA, QOS_DISABLED);
    endpoint_send_rtcp(bed.from, report, sizeof report);
    BED_UNTIL(&bed, endpoint_stats(bed.from).rtcp_gated == 1);
    end(&r, &bed);
}

/* --- marking ---------------------------------------------------------------------------------- */

static void expect_tos(struct bed *bed, unsigned kind, guint n, int tos)
{
    BED_UNTIL(bed, bed->to->rtp.length == n);
    for (struct packet_in *packet; (packet = g_queue_pop_head(&bed->to->rtp)); g_free(packet)) {
        g_assert_cmpuint(rtp_ssrc(packet), ==, SUBSCRIBED_SSRC(kind));
        g_assert_cmpint(packet->tos, ==, tos);
    }
}

static void set_tos(struct bed *bed, int octet)
{
    bool v6 = bed->from->relay.ss_family == AF_INET6;
    g_assert_cmpint(setsockopt(bed->from->fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP,
                               v6 ? IPV6_TCLASS : IP_TOS, &octet, sizeof octet),
                    ==, 0);
}

static void check_marking(const char *address, const char *const *trusted)
{
    struct recorder r;
    struct bed bed;
    begin(&r, &bed, address, trusted, 2);
    bed_send(&bed, BED_AUDIO, 5);
    expect_tos(&bed, BED_AUDIO, 5, TOS_AUDIO);
    bed_send(&bed, BED_VIDEO, 20);
    expect_tos(&bed, BED_VIDEO, 20, TOS_VIDEO);
    g_assert_cmpuint(bed_count(&bed_downlink(&bed, BED_AUDIO)->marked), ==, 5);
    g_assert_cmpuint(bed_count(&bed_downlink(&bed, BED_VIDEO)->marked), ==, 20);
    /* one medium's mark is changed, the other's stays */
    struct qos_policy policy = {.tagging = QOS_TAGGING_MARK, .dscp = 26};
    qos_flow_apply(bed.flows[1][BED_VIDEO], &policy);
    bed_send(&bed, BED_VIDEO, 5);
    expect_tos(&bed, BED_VIDEO, 5, 26 << 2);
    /* copy: what a trusted sender chose, without its ECN bits */
    policy.tagging = QOS_TAGGING_COPY;
    qos_flow_apply(bed.flows[1][BED_VIDEO], &policy);
    set_tos(&bed, 18 << 2 | 2);
    bed_send(&bed, BED_VIDEO, 5);
    expect_tos(&bed, BED_VIDEO, 5, trusted ? 18 << 2 : TOS_VIDEO);
    bed_send(&bed, BED_AUDIO, 5);
    expect_tos(&bed, BED_AUDIO, 5, TOS_AUDIO);
    /* The kernel writes and counts it: so does the relay write, but not count. */
    uint64_t marked = bed_count(&bed_downlink(&bed, BED_AUDIO)->marked);
    __atomic_store_n(&bed.transports[1]->marks, 1, __ATOMIC_RELAXED);
    bed_send(&bed, BED_AUDIO, 5);
    expect_tos(&bed, BED_AUDIO, 5, TOS_AUDIO);
    bed_send(&bed, BED_VIDEO, 5);
    expect_tos(&bed, BED_VIDEO, 5, trusted ? 18 << 2 : TOS_VIDEO);
    g_assert_cmpuint(bed_count(&bed_downlink(&bed, BED_AUDIO)->marked), ==, marked);
    /* reports go as they are */
    BED_UNTIL(&bed, bed.from->rtcp.length > 0);
    g_assert_cmpint(((struct packet_in *)bed.from->rtcp.head->data)->tos, ==, 0);
    end(&r, &bed);
}

static void test_marking(void)
{
    check_marking("127.0.0.1", NULL);
    check_marking("127.0.0.1", (const char *const[]){"127.0.0.0/8", NULL});
    check_marking("::1", NULL);
    check_marking("::1", (const char *const[]){"::1", NULL});
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    loop_init(1000);
    g_test_add_func("/relay-qos/verdicts", test_verdicts);
    g_test_add_func("/relay-qos/only-medium", test_only_medium);
    g_test_add_func("/relay-qos/bindings", test_bindings);
    g_test_add_func("/relay-qos/own-ports", test_own_ports);
    g_test_add_func("/relay-qos/churn", test_churn);
    g_test_add_func("/relay-qos/churn-at-closed-gate", test_churn_at_closed_gate);
    g_test_add_func("/relay-qos/mixed-run", test_mixed_run);
    g_test_add_func("/relay-qos/data-uplink", test_data_uplink);
    g_test_add_func("/relay-qos/data-downlink", test_data_downlink);
    g_test_add_func("/relay-qos/rtcp-gate", test_rtcp_gate);
    g_test_add_func("/relay-qos/marking", test_marking);
    return g_test_run();
}
