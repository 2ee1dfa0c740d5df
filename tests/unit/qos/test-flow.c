/* SPDX-License-Identifier: Apache-2.0 */
#include "base/problem.h"
#include "qos/qos.h"

#include <netinet/in.h>

struct one { /* a flow of a transport that only the relay judges */
    struct qos_transport *transport;
    struct qos_flow *flow;
};

static struct one one_new(enum qos_kind kind)
{
    struct one one = {.transport = qos_transport_new(NULL, NULL)};
    one.flow = qos_flow_new(one.transport, kind, NULL);
    return one;
}

static void one_free(struct one *one)
{
    qos_flow_free(one->flow);
    qos_transport_free(one->transport);
}

static void test_closed_at_first(void)
{
    struct one one = one_new(QOS_AUDIO);
    struct qos_slot *slot = qos_flow_slot(one.flow, QOS_UPLINK);
    struct qos_counters counters;
    g_assert_cmpint(qos_flow_get_status(one.flow), ==, QOS_DISABLED);
    g_assert_cmpint(qos_slot_judge(slot, 100, 1), ==, QOS_GATED);
    g_assert_true(qos_slot_newly_gated(slot));
    g_assert_cmpint(qos_slot_judge(slot, 100, 2), ==, QOS_GATED);
    g_assert_false(qos_slot_newly_gated(slot));
    qos_flow_read(one.flow, QOS_UPLINK, &counters);
    g_assert_cmpuint(counters.gate_discarded, ==, 2);
    g_assert_cmpuint(counters.packets, ==, 0);
    one_free(&one);
}

static void test_each_status(void)
{
    static const struct {
        const char *text;
        bool up, down;
    } rows[] = {
        {"ENABLED", true, true},           {"ENABLED-UPLINK", true, false},
        {"ENABLED-DOWNLINK", false, true}, {"DISABLED", false, false},
        {"REMOVED", false, false},
    };
    struct one one = one_new(QOS_VIDEO);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct qos_policy policy = {.has_status = true};
        g_assert_true(qos_flow_status_parse(rows[i].text, &policy.status));
        g_assert_cmpstr(qos_flow_status_name(policy.status), ==, rows[i].text);
        qos_flow_apply(one.flow, &policy);
        g_assert_true((qos_slot_judge(qos_flow_slot(one.flow, QOS_UPLINK), 1, 1) == QOS_PASS) ==
                      rows[i].up);
        g_assert_true((qos_slot_judge(qos_flow_slot(one.flow, QOS_DOWNLINK), 1, 1) == QOS_PASS) ==
                      rows[i].down);
    }
    enum qos_flow_status status;
    g_assert_false(qos_flow_status_parse("enabled", &status));
    one_free(&one);
}

static void test_event_armed_again(void)
{
    struct one one = one_new(QOS_AUDIO);
    struct qos_slot *slot = qos_flow_slot(one.flow, QOS_DOWNLINK);
    struct qos_policy open = {.has_status = true, .status = QOS_ENABLED};
    struct qos_policy shut = {.has_status = true, .status = QOS_DISABLED};
    for (int i = 0; i < 2; i++) {
        g_assert_cmpint(qos_slot_judge(slot, 1, 1), ==, QOS_GATED);
        g_assert_true(qos_slot_newly_gated(slot));
        qos_flow_apply(one.flow, &open);
        g_assert_cmpint(qos_slot_judge(slot, 1, 1), ==, QOS_PASS);
        qos_flow_apply(one.flow, &shut);
    }
    one_free(&one);
}

static void test_policing(void)
{
    struct one one = one_new(QOS_VIDEO);
    struct qos_slot *slot = qos_flow_slot(one.flow, QOS_UPLINK);
    struct qos_policy policy = {.has_status = true,
                                .status = QOS_ENABLED,
                                .has_policing = true,
                                .policing = {.present = true, .sdr = 1000, .mbs = 500}};
    struct qos_counters counters;
    uint64_t now = 5000000000;
    qos_flow_apply(one.flow, &policy);
    for (int i = 0; i < 5; i++)
        g_assert_cmpint(qos_slot_judge(slot, 100, now), ==, QOS_PASS);
    g_assert_cmpint(qos_slot_judge(slot, 100, now), ==, QOS_POLICED);
    g_assert_cmpint(qos_slot_judge(slot, 100, now + 99999999), ==, QOS_POLICED);
    g_assert_cmpint(qos_slot_judge(slot, 100, now + 100000000), ==, QOS_PASS);
    qos_flow_apply(one.flow, &policy); /* said again: no new burst */
    g_assert_cmpint(qos_slot_judge(slot, 100, now + 100000000), ==, QOS_POLICED);
    policy.policing.present = false;
    qos_flow_apply(one.flow, &policy);
    g_assert_cmpint(qos_slot_judge(slot, 60000, now), ==, QOS_PASS);
    qos_flow_read(one.flow, QOS_UPLINK, &counters);
    g_assert_cmpuint(counters.packets, ==, 7);
    g_assert_cmpuint(counters.octets, ==, 60600);
    g_assert_cmpuint(counters.policing_discarded, ==, 3);
    one_free(&one);
}

/* What fits is admitted, and nothing else; looking charges nothing. */
static void test_fits(void)
{
    struct one one = one_new(QOS_VIDEO);
    struct qos_slot *slot = qos_flow_slot(one.flow, QOS_UPLINK);
    struct qos_policy policy = {
        .has_status = true,
        .status = QOS_ENABLED,
        .has_policing = true,
        .policing = {true, .sdr = 12000, .mbs = 4000, .pdr = 30000, .dvt = 20000}};
    uint64_t now = 7000000000;
    unsigned passed = 0;
    g_assert_true(token_bucket_fits(slot, 60000, now)); /* not policed */
    qos_flow_apply(one.flow, &policy);
    for (unsigned i = 0; i < 2000; i++, now += 20000000) {
        uint32_t octets = (uint32_t)g_test_rand_int_range(40, 1500);
        bool fits = token_bucket_fits(slot, octets, now);
        g_assert_true(fits == token_bucket_fits(slot, octets, now));
        g_assert_true(fits == (qos_slot_judge(slot, octets, now) == QOS_PASS));
        passed += fits;
    }
    g_assert_cmpuint(passed, >, 100);
    g_assert_cmpuint(passed, <, 1900);
    one_free(&one);
}

static void test_levels(void)
{
    g_autoptr(GError) error = NULL;
    struct qos_config config = {.level = QOS_RELAY,
                                .owner = "test",
                                .flows_max = 16,
                                .transports_max = 16,
                                .trusted = (const char *const[]){"10.45.0.0/16", "fd00::1", NULL}};
    struct qos *qos = qos_new(&config, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(qos_level_name(qos), ==, "relay");
    g_assert_cmpuint(qos_judged_mark(qos), ==, 0);
    struct sockaddr_in inside = {.sin_family = AF_INET, .sin_addr.s_addr = g_htonl(0x0a2dffff)};
    struct sockaddr_in outside = {.sin_family = AF_INET, .sin_addr.s_addr = g_htonl(0x0a2e0000)};
    g_assert_true(qos_trusts(qos, (struct sockaddr *)&inside));
    g_assert_false(qos_trusts(qos, (struct sockaddr *)&outside));
    qos_free(qos);
    config.trusted = (const char *const[]){"10.45.0.0/33", NULL};
    g_assert_null(qos_new(&config, &error));
    g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_INVALID_MESSAGE);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qos/flow/closed-at-first", test_closed_at_first);
    g_test_add_func("/qos/flow/each-status", test_each_status);
    g_test_add_func("/qos/flow/event-armed-again", test_event_armed_again);
    g_test_add_func("/qos/flow/policing", test_policing);
    g_test_add_func("/qos/flow/fits", test_fits);
    g_test_add_func("/qos/levels", test_levels);
    return g_test_run();
}
