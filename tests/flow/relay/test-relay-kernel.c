/* SPDX-License-Identifier: Apache-2.0 */
/* Relay and kernel together, in a network namespace of the test's own: every packet is judged once,
 * by one of them, whatever it looks like. */
#include "base/loop.h"
#include "tests/flow/qos/ground.h"
#include "tests/flow/relay/bed.h"

#include <string.h>

static const char *const families[] = {"127.0.0.1", "::1"};

static struct qos *kernel_new(void)
{
    g_autoptr(GError) error = NULL;
    struct qos_config config = {.level = QOS_TC_BPF,
                                .owner = "wmcf-test",
                                .flows_max = 64,
                                .transports_max = 16,
                                .priority = 49,
                                .judged_mark = 1u << 20,
                                .default_marking = true};
    struct qos *qos = qos_new(&config, &error);
    g_assert_no_error(error);
    return qos;
}

static void begin(struct bed *bed, const char *address)
{
    bed_begin(bed, kernel_new(), address, 2);
    g_assert_cmpstr(qos_level_name(bed->qos), ==, "tc-bpf");
    g_assert_true(qos_transport_marks(bed->transports[1]));
}

static void end(struct bed *bed)
{
    bed_end(bed);
    qos_free(bed->qos);
}

static uint64_t dropped_by_relay(const struct bed *bed)
{
    struct relay_worker_stats stats;
    relay_worker_stats(bed->relay, 0, &stats);
    return stats.gate_discarded + stats.policing_discarded;
}

static size_t overhead(const struct bed *bed)
{
    return bed->from->relay.ss_family == AF_INET6 ? 48 : 28;
}

/* --- counting --------------------------------------------------------------------------------- */

/* One by one, in runs, and in runs with both media, which only the relay can tell apart. */
static void check_counted_once(const char *address)
{
    struct bed bed;
    begin(&bed, address);
    bed_send_as(&bed, BED_AUDIO, 4711, "a"); /* unknown, and then known */
    bed_send_as(&bed, BED_AUDIO, 4711, NULL);
    BED_UNTIL(&bed, bed.to->rtp.length == 2);
    bed_send(&bed, BED_AUDIO, 50);
    bed_send(&bed, BED_VIDEO, 50);
    BED_UNTIL(&bed, bed.to->rtp.length == 102);
    uint16_t segment = bed_send_run(&bed, BED_VIDEO, 30);
    BED_UNTIL(&bed, bed.to->rtp.length == 132);
    bed_send_run(&bed, BED_KINDS, 20);
    BED_UNTIL(&bed, bed.to->rtp.length == 152);
    static const guint sent[] = {62, 90};
    for (unsigned k = BED_AUDIO; k <= BED_VIDEO; k++) {
        const struct qos_slot *up = bed_uplink(&bed, k), *down = bed_downlink(&bed, k);
        g_assert_cmpuint(bed_count(&up->packets), ==, sent[k]);
        g_assert_cmpuint(bed_count(&down->packets), ==, sent[k]);
        g_assert_cmpuint(bed_count(&down->marked), ==, sent[k]);
        if (k == BED_VIDEO)
            g_assert_cmpuint(bed_count(&up->octets), ==, sent[k] * (segment + overhead(&bed)));
    }
    for (struct packet_in *packet; (packet = g_queue_pop_head(&bed.to->rtp)); g_free(packet))
        g_assert_cmpint(packet->tos, ==,
                        (rtp_ssrc(packet) == SUBSCRIBED_SSRC(BED_AUDIO) ? 46 : 36) << 2);
    g_assert_cmpuint(dropped_by_relay(&bed), ==, 0);
    end(&bed);
}

static void test_counted_once(void)
{
    if (!ground_new())
        return;
    for (size_t i = 0; i < G_N_ELEMENTS(families); i++)
        check_counted_once(families[i]);
}

/* --- gates ------------------------------------------------------------------------------------ */

static void check_gate(const char *address)
{
    struct bed bed;
    begin(&bed, address);
    const struct qos_slot *video = bed_uplink(&bed, BED_VIDEO);
    bed_send(&bed, BED_VIDEO, 10);
    BED_UNTIL(&bed, bed.to->rtp.length == 10);
    bed_set_gate(&bed, BED_VIDEO, QOS_ENABLED_DOWNLINK);
    for (guint i = 0; i < 10; i++) {
        bed_send(&bed, BED_VIDEO, 100);
        bed_send(&bed, BED_AUDIO, 2);
        bed_serve(&bed, 1);
    }
    BED_UNTIL(&bed, bed_count(&video->gate_discarded) == 1000);
    BED_UNTIL(&bed, bed.to->rtp.length == 30);
    g_assert_cmpuint(dropped_by_relay(&bed), ==, 0);
    BED_UNTIL(&bed, bed.from->gated[QOS_UPLINK] == 1); /* which the relay has never seen */
    g_assert_cmpstr(bed.from->gated_mid, ==, "v");
    /* SSRCs that the kernel does not know it must let through: audio's gate is open. */
    for (guint i = 0; i < 100; i++)
        bed_send_as(&bed, BED_VIDEO, 0x9000 + i, "v");
    bed_send_run(&bed, BED_KINDS, 20);
    BED_UNTIL(&bed, bed_count(&video->gate_discarded) == 1110);
    BED_UNTIL(&bed, bed.to->rtp.length == 40);
    g_assert_cmpuint(dropped_by_relay(&bed), ==, 110);
    g_assert_cmpuint(bed_count(&video->packets), ==, 10);
    relay_leg_gate_opened(bed.from->leg, "v");
    bed_set_gate(&bed, BED_VIDEO, QOS_ENABLED);
    bed_send(&bed, BED_VIDEO, 10);
    BED_UNTIL(&bed, bed.to->rtp.length == 50);
    struct relay_leg_stats stats = endpoint_stats(bed.from);
    g_assert_cmpuint(stats.medias[BED_VIDEO].lost_in, ==, 0);
    g_assert_cmpuint(stats.medias[BED_VIDEO].nack_sent, ==, 0);
    g_assert_cmpuint(bed.from->gated[QOS_UPLINK], ==, 1);
    end(&bed);
}

static void test_gate(void)
{
    if (!ground_new())
        return;
    for (size_t i = 0; i < G_N_ELEMENTS(families); i++)
        check_gate(families[i]);
}

/* Everything closed: what is nobody's and RTCP end in the kernel, too. */
static void test_all_closed(void)
{
    struct bed bed;
    uint8_t report[8] = {0x80, 201, 0, 1, 0x11, 0x11, 0x11, 0x11};
    static const struct qos_policy shut = {.has_status = true, .status = QOS_DISABLED};
    if (!ground_new())
        return;
    begin(&bed, families[0]);
    for (unsigned k = 0; k < BED_KINDS; k++)
        qos_flow_apply(bed.flows[0][k], &shut);
    bed_send_as(&bed, BED_VIDEO, 4712, "v");
    endpoint_send_rtcp(bed.from, report, sizeof report);
    BED_UNTIL(&bed, qos_transport_unattributed(bed.transports[0]) == 2);
    struct relay_leg_stats stats = endpoint_stats(bed.from);
    g_assert_cmpuint(stats.rtcp_gated, ==, 0);
    g_assert_cmpuint(dropped_by_relay(&bed), ==, 0);
    endpoint_stun(bed.from, 0); /* always passes */
    unsigned answers = bed.from->stun_success;
    BED_UNTIL(&bed, bed.from->stun_success > answers);
    end(&bed);
}

static void test_data(void)
{
    struct bed bed;
    static const uint8_t data[] = {BED_APPLICATION, 0}, handshake[] = {BED_HANDSHAKE, 0},
                         late[] = {BED_ALERT, BED_APPLICATION, 0};
    if (!ground_new())
        return;
    begin(&bed, families[0]);
    const struct qos_slot *slot = bed_uplink(&bed, BED_DATA);
    for (guint i = 0; i < 5; i++)
        bed_send_dtls(&bed, data);
    bed_send_dtls(&bed, late); /* the kernel looks at the first record, the relay at all */
    bed_send_dtls(&bed, handshake);
    BED_UNTIL(&bed, bed.from->datagrams->len == 7);
    g_assert_cmpuint(bed_count(&slot->packets), ==, 6);
    bed_set_gate(&bed, BED_DATA, QOS_ENABLED_DOWNLINK);
    for (guint i = 0; i < 5; i++)
        bed_send_dtls(&bed, data);
    bed_send_dtls(&bed, late);
    bed_send_dtls(&bed, handshake);
    BED_UNTIL(&bed, bed.from->datagrams->len == 9);
    BED_UNTIL(&bed, bed_count(&slot->gate_discarded) == 6);
    g_assert_cmpuint(dropped_by_relay(&bed), ==, 1);
    g_assert_cmpuint(g_bytes_get_size(bed.from->datagrams->pdata[7]), ==, 23);
    end(&bed);
}

/* --- policing --------------------------------------------------------------------------------- */

/* Both charge one bucket: what passes in a time is what the rate allows, to one packet, and every
 * packet is counted once. */
static void test_policing(void)
{
    struct bed bed;
    enum { RATE = 20000, BURST = 3000 };
    struct qos_policy policy = {.has_policing = true,
                                .policing = {.present = true, .sdr = RATE, .mbs = BURST}};
    if (!ground_new())
        return;
    begin(&bed, families[0]);
    const struct qos_slot *slot = bed_uplink(&bed, BED_VIDEO);
    qos_flow_apply(bed.flows[0][BED_VIDEO], &policy);
    guint sent = 0;
    uint16_t segment = 0;
    gint64 began = g_get_monotonic_time(), passed = 0;
    while ((passed = g_get_monotonic_time() - began) < 2 * G_USEC_PER_SEC) {
        segment = bed_send_run(&bed, BED_VIDEO, 16); /* of which a part may fit */
        bed_send(&bed, BED_VIDEO, 8);
        bed_send_run(&bed, BED_KINDS, 8);
        sent += 28;
        bed_serve(&bed, 5);
    }
    BED_UNTIL(&bed, bed_count(&slot->packets) + bed_count(&slot->policing_discarded) == sent);
    uint64_t octets = bed_count(&slot->octets), packet = segment + overhead(&bed);
    g_assert_cmpuint(octets, ==, bed_count(&slot->packets) * packet);
    g_assert_cmpuint(octets, <=,
                     BURST + (uint64_t)(g_get_monotonic_time() - began) * RATE / 1000000);
    g_assert_cmpuint(octets + 2 * packet, >=, BURST + (uint64_t)passed * RATE / 1000000 * 9 / 10);
    BED_UNTIL(&bed,
              endpoint_stats(bed.to).medias[BED_VIDEO].packets_out == bed_count(&slot->packets));
    BED_UNTIL(&bed, bed.from->discards[QOS_UPLINK] > 0);
    g_assert_cmpuint(endpoint_stats(bed.from).medias[BED_VIDEO].nack_sent, ==, 0);
    end(&bed);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    loop_init(1000);
    g_test_add_func("/relay-kernel/counted-once", test_counted_once);
    g_test_add_func("/relay-kernel/gate", test_gate);
    g_test_add_func("/relay-kernel/all-closed", test_all_closed);
    g_test_add_func("/relay-kernel/data", test_data);
    g_test_add_func("/relay-kernel/policing", test_policing);
    return g_test_run();
}
