/* SPDX-License-Identifier: Apache-2.0 */
#include "base/problem.h"
#include "wmcf/media-policy.h"

static bool parse(const char *text, struct policy_set *set, GError **error)
{
    json_error_t failed;
    json_auto_t *message = json_loads(text, 0, &failed);
    g_assert_nonnull(message);
    return policy_set_read(NULL, message, set, error);
}

static void test_star_and_mid(void)
{
    struct policy_set set;
    g_assert_true(parse("{\"mediaPolicy\":[{\"mid\":\"*\",\"flowStatus\":\"DISABLED\"},"
                        "{\"mid\":\"0\",\"flowStatus\":\"ENABLED\"}]}",
                        &set, NULL));
    g_assert_cmpint(policy_set_for(&set, "0").status, ==, QOS_ENABLED);
    g_assert_cmpint(policy_set_for(&set, "1").status, ==, QOS_DISABLED);
    policy_set_clear(&set);
}

static void test_later_star_overrides(void)
{
    struct policy_set kept, more;
    g_assert_true(
        parse("{\"mediaPolicy\":[{\"mid\":\"0\",\"flowStatus\":\"DISABLED\"}]}", &kept, NULL));
    g_assert_true(
        parse("{\"mediaPolicy\":[{\"mid\":\"*\",\"flowStatus\":\"ENABLED\"}]}", &more, NULL));
    policy_set_merge(&kept, &more);
    g_assert_cmpint(policy_set_for(&kept, "0").status, ==, QOS_ENABLED);
    g_assert_cmpint(policy_set_for(&kept, "7").status, ==, QOS_ENABLED);
    policy_set_clear(&kept);
    policy_set_clear(&more);
}

static void test_absent_is_empty(void)
{
    struct policy_set set;
    g_assert_true(parse("{}", &set, NULL));
    g_assert_cmpuint(set.entries->len, ==, 0);
    g_assert_false(policy_set_for(&set, "0").has_status);
    policy_set_clear(&set);
}

static void test_refusals_name_the_member(void)
{
    static const struct {
        const char *text;
        enum problem problem;
        const char *pointer;
    } rows[] = {
        {"{\"mediaPolicy\":{}}", PROBLEM_INVALID_MESSAGE, "/mediaPolicy"},
        {"{\"mediaPolicy\":[1]}", PROBLEM_INVALID_MESSAGE, "/mediaPolicy/0"},
        {"{\"mediaPolicy\":[{}]}", PROBLEM_MISSING_PARAMETER, "/mediaPolicy/0/mid"},
        {"{\"mediaPolicy\":[{\"mid\":\"0\",\"flowStatus\":\"OPEN\"}]}", PROBLEM_INVALID_MESSAGE,
         "/mediaPolicy/0/flowStatus"},
        {"{\"mediaPolicy\":[{\"mid\":\"0\",\"policing\":true}]}", PROBLEM_INVALID_MESSAGE,
         "/mediaPolicy/0/policing"},
        {"{\"mediaPolicy\":[{\"mid\":\"0\",\"policing\":{\"sdr\":1}}]}", PROBLEM_MISSING_PARAMETER,
         "/mediaPolicy/0/policing/mbs"},
        {"{\"mediaPolicy\":[{\"mid\":\"0\",\"policing\":{\"sdr\":4294967296,\"mbs\":1500}}]}",
         PROBLEM_INVALID_MESSAGE, "/mediaPolicy/0/policing/sdr"},
        {"{\"mediaPolicy\":[{\"mid\":\"0\",\"policing\":{\"sdr\":1000,\"mbs\":39}}]}",
         PROBLEM_INVALID_MESSAGE, "/mediaPolicy/0/policing/mbs"},
        {"{\"mediaPolicy\":[{\"mid\":\"0\",\"policing\":{\"sdr\":1000,\"mbs\":1500,\"pdr\":2000}}]"
         "}",
         PROBLEM_MISSING_PARAMETER, "/mediaPolicy/0/policing/dvt"},
        {"{\"mediaPolicy\":[{\"mid\":\"0\",\"policing\":{\"sdr\":1000,\"mbs\":1500,\"pdr\":999,"
         "\"dvt\":0}}]}",
         PROBLEM_INVALID_MESSAGE, "/mediaPolicy/0/policing/pdr"},
        {"{\"mediaPolicy\":[{\"mid\":\"0\",\"marking\":{\"dscp\":46}}]}", PROBLEM_MISSING_PARAMETER,
         "/mediaPolicy/0/marking/taggingBehaviour"},
        {"{\"mediaPolicy\":[{\"mid\":\"0\",\"marking\":{\"taggingBehaviour\":\"mark\"}}]}",
         PROBLEM_MISSING_PARAMETER, "/mediaPolicy/0/marking/dscp"},
        {"{\"mediaPolicy\":[{\"mid\":\"0\",\"marking\":{\"taggingBehaviour\":\"mark\","
         "\"dscp\":64}}]}",
         PROBLEM_INVALID_MESSAGE, "/mediaPolicy/0/marking/dscp"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        struct policy_set set;
        g_assert_false(parse(rows[i].text, &set, &error));
        g_assert_error(error, PROBLEM_DOMAIN, (int)rows[i].problem);
        g_assert_cmpstr(problem_param(error), ==, rows[i].pointer);
        policy_set_clear(&set);
    }
}

static void test_rates_of_32_bits(void)
{
    struct policy_set set;
    g_assert_true(
        parse("{\"mediaPolicy\":[{\"mid\":\"*\",\"policing\":{\"sdr\":4294967295,"
              "\"mbs\":4294967295,\"pdr\":4294967295,\"dvt\":4294967295},\"marking\":"
              "{\"taggingBehaviour\":\"mark\",\"dscp\":0}},{\"mid\":\"1\",\"policing\":false,"
              "\"marking\":{\"taggingBehaviour\":\"copy\"}}]}",
              &set, NULL));
    struct qos_policy policy = policy_set_for(&set, "0");
    g_assert_cmpuint(policy.policing.sdr, ==, G_MAXUINT32);
    g_assert_cmpuint(policy.policing.mbs, ==, G_MAXUINT32);
    g_assert_cmpuint(policy.policing.pdr, ==, G_MAXUINT32);
    g_assert_cmpuint(policy.policing.dvt, ==, G_MAXUINT32);
    g_assert_cmpint(policy.tagging, ==, QOS_TAGGING_MARK);
    policy = policy_set_for(&set, "1");
    g_assert_true(policy.has_policing);
    g_assert_false(policy.policing.present);
    g_assert_cmpint(policy.tagging, ==, QOS_TAGGING_COPY);
    policy_set_clear(&set);
}

static void test_kept_mids_have_a_limit(void)
{
    struct policy_set kept, more;
    g_autoptr(GError) error = NULL;
    policy_set_init(&kept);
    for (int i = 0; i < 511; i++) {
        struct policy_entry entry = {.policy.has_status = true};
        g_snprintf(entry.mid, sizeof entry.mid, "m%d", i);
        g_array_append_val(kept.entries, entry);
    }
    g_assert_true(parse("{\"mediaPolicy\":[{\"mid\":\"*\"},{\"mid\":\"m0\"},{\"mid\":\"m510\"}]}",
                        &more, NULL));
    g_assert_true(policy_set_fits(&kept, &more, NULL));
    policy_set_merge(&kept, &more);
    g_assert_cmpuint(kept.entries->len, ==, 512);
    policy_set_clear(&more);
    g_assert_true(parse("{\"mediaPolicy\":[{\"mid\":\"m0\"},{\"mid\":\"new\"}]}", &more, NULL));
    g_assert_false(policy_set_fits(&kept, &more, &error));
    g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_RESOURCES_UNAVAILABLE);
    policy_set_clear(&more);
    policy_set_clear(&kept);
}

static void expect_json(const struct qos_flow *flow, bool sends, const char *expected)
{
    json_auto_t *media = json_object(), *wanted = json_loads(expected, 0, NULL);
    policy_add_json(flow, sends, media);
    g_autofree char *text = json_dumps(media, JSON_COMPACT);
    g_test_message("%s", text);
    g_assert_true(json_equal(media, wanted));
}

/* What is told is what was said, where something was said. */
static void test_in_force(void)
{
    const struct qos_config config = {.level = QOS_RELAY, .owner = "test", .default_marking = true};
    struct qos *qos = qos_new(&config, NULL);
    struct qos_transport *transport = qos_transport_new(qos, NULL);
    struct qos_flow *flow = qos_flow_new(transport, QOS_VIDEO, NULL);
    struct policy_set set;
    g_assert_cmpstr(qos_transport_level(transport), ==, "relay");
    expect_json(
        flow, true,
        "{\"flowStatus\":\"DISABLED\",\"marking\":{\"taggingBehaviour\":\"mark\",\"dscp\":36}}");
    expect_json(flow, false, "{\"flowStatus\":\"DISABLED\"}");
    static const char policy[] =
        "{\"flowStatus\":\"ENABLED-UPLINK\",\"policing\":{\"sdr\":4294967295,\"mbs\":1500,"
        "\"pdr\":4294967295,\"dvt\":0},\"marking\":{\"taggingBehaviour\":\"mark\",\"dscp\":63}}";
    g_autofree char *message = g_strdup_printf("{\"mediaPolicy\":[{\"mid\":\"*\",%s]}", policy + 1);
    g_assert_true(parse(message, &set, NULL));
    struct qos_policy said = policy_set_for(&set, "1");
    qos_flow_apply(flow, &said);
    expect_json(flow, true, policy);
    policy_set_clear(&set);
    said = (struct qos_policy){.has_policing = true, .tagging = QOS_TAGGING_COPY};
    qos_flow_apply(flow, &said);
    expect_json(flow, true,
                "{\"flowStatus\":\"ENABLED-UPLINK\","
                "\"marking\":{\"taggingBehaviour\":\"copy\",\"dscp\":36}}");
    qos_flow_free(flow);
    qos_transport_free(transport);
    qos_free(qos);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/wmcf/media-policy/star-and-mid", test_star_and_mid);
    g_test_add_func("/wmcf/media-policy/later-star", test_later_star_overrides);
    g_test_add_func("/wmcf/media-policy/absent", test_absent_is_empty);
    g_test_add_func("/wmcf/media-policy/rates", test_rates_of_32_bits);
    g_test_add_func("/wmcf/media-policy/limit", test_kept_mids_have_a_limit);
    g_test_add_func("/wmcf/media-policy/in-force", test_in_force);
    g_test_add_func("/wmcf/media-policy/refusals", test_refusals_name_the_member);
    return g_test_run();
}
