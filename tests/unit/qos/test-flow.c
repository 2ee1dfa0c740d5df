/* SPDX-License-Identifier: Apache-2.0 */
#include "base/problem.h"
#include "qos/qos.h"

static void test_closed_at_first(void)
{
    struct qos_flow *flow = qos_flow_new();
    bool first = false;
    g_assert_cmpint(qos_flow_get_status(flow), ==, QOS_DISABLED);
    g_assert_false(qos_slot_admit(qos_flow_slot(flow, QOS_UPLINK), 100, &first));
    g_assert_true(first);
    g_assert_false(qos_slot_admit(qos_flow_slot(flow, QOS_UPLINK), 100, &first));
    g_assert_false(first);
    g_assert_cmpuint(qos_flow_slot(flow, QOS_UPLINK)->gate_discarded, ==, 2);
    g_assert_cmpuint(qos_flow_slot(flow, QOS_UPLINK)->packets, ==, 0);
    qos_flow_free(flow);
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
    struct qos_flow *flow = qos_flow_new();
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct qos_policy policy = {.has_status = true};
        bool first;
        g_assert_true(qos_flow_status_parse(rows[i].text, &policy.status));
        g_assert_cmpstr(qos_flow_status_name(policy.status), ==, rows[i].text);
        qos_flow_apply(flow, &policy);
        g_assert_true(qos_slot_admit(qos_flow_slot(flow, QOS_UPLINK), 1, &first) == rows[i].up);
        g_assert_true(qos_slot_admit(qos_flow_slot(flow, QOS_DOWNLINK), 1, &first) == rows[i].down);
    }
    enum qos_flow_status status;
    g_assert_false(qos_flow_status_parse("enabled", &status));
    qos_flow_free(flow);
}

static void test_event_armed_again(void)
{
    struct qos_flow *flow = qos_flow_new();
    struct qos_policy open = {.has_status = true, .status = QOS_ENABLED};
    struct qos_policy shut = {.has_status = true, .status = QOS_DISABLED};
    for (int i = 0; i < 2; i++) {
        bool first = false;
        g_assert_false(qos_slot_admit(qos_flow_slot(flow, QOS_DOWNLINK), 1, &first));
        g_assert_true(first);
        qos_flow_apply(flow, &open);
        g_assert_true(qos_slot_admit(qos_flow_slot(flow, QOS_DOWNLINK), 1, &first));
        qos_flow_apply(flow, &shut);
    }
    qos_flow_free(flow);
}

static void test_what_no_level_holds_is_refused(void)
{
    g_autoptr(GError) error = NULL;
    struct qos_policy policing = {.has_policing = true,
                                  .policing = {.present = true, .sdr = 1000, .mbs = 1000}};
    g_assert_false(qos_policy_check(&policing, &error));
    g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_ENFORCEMENT_UNAVAILABLE);
    g_clear_error(&error);
    struct qos_policy marking = {.tagging = QOS_TAGGING_MARK, .dscp = 46};
    g_assert_false(qos_policy_check(&marking, &error));
    g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_ENFORCEMENT_UNAVAILABLE);
    struct qos_policy lifted = {.has_policing = true};
    g_assert_true(qos_policy_check(&lifted, NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qos/flow/closed-at-first", test_closed_at_first);
    g_test_add_func("/qos/flow/each-status", test_each_status);
    g_test_add_func("/qos/flow/event-armed-again", test_event_armed_again);
    g_test_add_func("/qos/flow/refused", test_what_no_level_holds_is_refused);
    return g_test_run();
}
