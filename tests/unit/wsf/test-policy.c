/* SPDX-License-Identifier: Apache-2.0 */
/* The first row that fits decides. */
#include "wsf/policy.h"

#include "base/problem.h"

static const struct conf_key keys[] = {
#define CONF_KEY(...) {__VA_ARGS__},
#include "wsf/conf.def"
#undef CONF_KEY
};

#define CLIENT(id) (&(struct policy_caller){id, ENDPOINT_CLIENT})
#define OPERATOR(id) (&(struct policy_caller){id, ENDPOINT_OPERATOR})

static struct conf *load(const char *const *sets)
{
    g_autoptr(GError) error = NULL;
    struct conf *conf = conf_load("test", keys, G_N_ELEMENTS(keys), NULL, true, sets, &error);
    g_assert_no_error(error);
    return conf;
}

static void test_default(void)
{
    struct conf *conf = load(NULL);
    struct policy *policy = policy_new(conf, NULL);
    guint row = 99;
    g_assert_true(policy_permit(policy, CLIENT("a@x.example"), "b@x.example", &row, NULL));
    g_assert_cmpstr(policy_flow_status(policy, row), ==, "ENABLED");
    policy_free(policy);
    conf_free(conf);
}

static void test_rows(void)
{
    static const char *const sets[] = {"policy \"boss\".to=boss@*",
                                       "policy \"boss\".from=clerk?@*",
                                       "policy \"boss\".flow_status=ENABLED-UPLINK",
                                       "policy \"rest\".to=boss@*",
                                       "policy \"rest\".permit=false",
                                       NULL};
    struct conf *conf = load(sets);
    struct policy *policy = policy_new(conf, NULL);
    g_autoptr(GError) error = NULL;
    guint row = 99;
    g_assert_true(policy_permit(policy, CLIENT("clerk1@x.example"), "boss@x.example", &row, NULL));
    g_assert_cmpstr(policy_flow_status(policy, row), ==, "ENABLED-UPLINK");
    g_assert_cmpuint(policy_row_by_name(policy, policy_row_name(policy, row)), ==, row);
    g_assert_false(
        policy_permit(policy, CLIENT("clerk10@x.example"), "boss@x.example", &row, &error));
    g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_NOT_AUTHORIZED);
    g_assert_true(
        policy_permit(policy, CLIENT("clerk10@x.example"), "clerk1@x.example", &row, NULL));
    g_assert_cmpstr(policy_flow_status(policy, row), ==, "ENABLED");
    g_assert_cmpstr(policy_row_name(policy, row), ==, "");
    g_assert_cmpuint(policy_row_by_name(policy, "policy \"gone\""), ==, row);
    g_assert_cmpuint(policy_row_by_name(policy, NULL), ==, row);
    policy_free(policy);
    conf_free(conf);
}

static void test_classes(void)
{
    static const char *const sets[] = {"class \"gold\".members=*@vip.example, Queen@x.example",
                                       "policy \"one\".from=@gold",
                                       "policy \"one\".direct_media=true",
                                       "policy \"two\".from=@operator",
                                       "policy \"two\".permit=false",
                                       "policy \"two\".to=staff@x.example, media/*@x.example",
                                       NULL};
    struct conf *conf = load(sets);
    g_autoptr(GError) error = NULL;
    struct policy *policy = policy_new(conf, &error);
    guint row = 99;
    g_assert_no_error(error);
    g_assert_true(policy_permit(policy, CLIENT("queen@X.example"), "b@x.example", &row, NULL));
    g_assert_true(policy_direct_media(policy, row));
    g_assert_true(policy_permit(policy, OPERATOR("a@vip.example"), "staff@x.example", &row, NULL));
    g_assert_false(policy_permit(policy, OPERATOR("a@y.example"), "Staff@x.example", &row, NULL));
    g_assert_false(
        policy_permit(policy, OPERATOR("a@y.example"), "media/test@x.example", &row, NULL));
    g_assert_true(policy_permit(policy, OPERATOR("a@y.example"), "b@x.example", &row, NULL));
    g_assert_true(policy_permit(policy, CLIENT("a@y.example"), "staff@x.example", &row, NULL));
    policy_free(policy);
    conf_free(conf);
}

static struct offer_template *medias(void)
{
    static const char *const audio[] = {"opus", NULL}, *const video[] = {"VP8", NULL};
    return offer_template_default(audio, video);
}

static void test_media(void)
{
    static const char *const sets[] = {"policy \"video\".media=video",
                                       "policy \"video\".to=poor@*",
                                       "policy \"video\".permit=false",
                                       "policy \"voice\".media=audio",
                                       "policy \"voice\".police_rate=12000",
                                       "policy \"voice\".police_burst=6000",
                                       "policy \"voice\".police_peak_rate=20000",
                                       "policy \"voice\".police_tolerance=1000",
                                       "policy \"voice\".tagging=mark",
                                       "policy \"voice\".dscp=46",
                                       "policy \"rest\".flow_status=ENABLED-DOWNLINK",
                                       "policy \"rest\".media_max=1",
                                       NULL};
    struct conf *conf = load(sets);
    struct policy *policy = policy_new(conf, NULL);
    g_autoptr(GError) error = NULL;
    struct offer_template *wanted = medias();
    g_assert_true(
        policy_limit_media(policy, CLIENT("a@x.example"), "poor@x.example", wanted, &error));
    g_assert_cmpuint(wanted->medias->len, ==, 1);
    offer_template_free(wanted);
    wanted = medias();
    g_assert_true(policy_limit_media(policy, CLIENT("a@x.example"), "b@x.example", wanted, &error));
    g_assert_cmpuint(wanted->medias->len, ==, 1);
    g_ptr_array_remove_index(wanted->medias, 0);
    g_assert_true(policy_limit_media(policy, CLIENT("a@x.example"), "b@x.example", wanted, &error));
    offer_template_free(wanted);
    wanted = medias();
    json_auto_t *told = policy_media_json(policy, CLIENT("a@x.example"), "b@x.example", wanted);
    json_auto_t *expected = json_pack(
        "[{s:s, s:s, s:{s:i, s:i, s:i, s:i}, s:{s:s, s:i}}, {s:s, s:s}]", "mid", "0", "flowStatus",
        "ENABLED", "policing", "sdr", 12000, "mbs", 6000, "pdr", 20000, "dvt", 1000, "marking",
        "taggingBehaviour", "mark", "dscp", 46, "mid", "1", "flowStatus", "ENABLED-DOWNLINK");
    g_assert_true(json_equal(told, expected));
    g_ptr_array_remove_index(wanted->medias, 0);
    g_assert_false(
        policy_limit_media(policy, CLIENT("a@x.example"), "poor@x.example", wanted, &error));
    g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_NOT_AUTHORIZED);
    json_auto_t *same = policy_media_json(policy, CLIENT("a@x.example"), "b@x.example", wanted);
    json_auto_t *all = json_pack("[{s:s, s:s}]", "mid", "*", "flowStatus", "ENABLED-DOWNLINK");
    g_assert_true(json_equal(same, all));
    offer_template_free(wanted);
    policy_free(policy);
    conf_free(conf);
}

static void test_faults(void)
{
    static const char *const faults[][4] = {
        {"policy \"a\".from=@nobody"},
        {"policy \"a\".to=@operator"},
        {"policy \"a\".media=smell"},
        {"policy \"a\".police_rate=1000"},
        {"policy \"a\".police_peak_rate=1000", "policy \"a\".police_tolerance=10"},
    };
    for (guint i = 0; i < G_N_ELEMENTS(faults); i++) {
        struct conf *conf = load(faults[i]);
        g_autoptr(GError) error = NULL;
        g_assert_null(policy_new(conf, &error));
        g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_INVALID_MESSAGE);
        conf_free(conf);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/policy/default", test_default);
    g_test_add_func("/policy/rows", test_rows);
    g_test_add_func("/policy/classes", test_classes);
    g_test_add_func("/policy/media", test_media);
    g_test_add_func("/policy/faults", test_faults);
    return g_test_run();
}
