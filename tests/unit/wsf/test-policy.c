/* SPDX-License-Identifier: Apache-2.0 */
/* The first row that fits decides. */
#include "wsf/policy.h"

#include "base/problem.h"
#include "wsf/dscp.h"

static const struct conf_key keys[] = {
#define CONF_KEY(...) {__VA_ARGS__},
#include "wsf/conf.def"
#undef CONF_KEY
};

#define CLIENT(id) (&(struct policy_caller){id, ENDPOINT_CLIENT})
#define LEG(side, to) (&(struct policy_leg){{"a@x.example", ENDPOINT_CLIENT}, to, side})
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
    json_auto_t *told = policy_media_json(policy, LEG(POLICY_CALLER, "b@x.example"), wanted);
    json_auto_t *expected = json_pack(
        "[{s:s, s:s, s:{s:i, s:i, s:i, s:i}, s:{s:s, s:i}}, {s:s, s:s}]", "mid", "0", "flowStatus",
        "ENABLED", "policing", "sdr", 12000, "mbs", 6000, "pdr", 20000, "dvt", 1000, "marking",
        "taggingBehaviour", "mark", "dscp", 46, "mid", "1", "flowStatus", "ENABLED-DOWNLINK");
    g_assert_true(json_equal(told, expected));
    g_ptr_array_remove_index(wanted->medias, 0);
    g_assert_false(
        policy_limit_media(policy, CLIENT("a@x.example"), "poor@x.example", wanted, &error));
    g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_NOT_AUTHORIZED);
    json_auto_t *same = policy_media_json(policy, LEG(POLICY_CALLEE, "b@x.example"), wanted);
    json_auto_t *all = json_pack("[{s:s, s:s}]", "mid", "*", "flowStatus", "ENABLED-DOWNLINK");
    g_assert_true(json_equal(same, all));
    offer_template_free(wanted);
    policy_free(policy);
    conf_free(conf);
}

/* What is said for one side holds there, and permits and forbids nothing. */
static void test_sides(void)
{
    static const char *const sets[] = {"policy \"own\".side=caller",
                                       "policy \"own\".media=video",
                                       "policy \"own\".police_rate=62500",
                                       "policy \"own\".police_burst=15000",
                                       "policy \"own\".enforcement=best-effort",
                                       "policy \"far\".side=callee",
                                       "policy \"far\".flow_status=ENABLED-DOWNLINK",
                                       "policy \"far\".tagging=copy",
                                       "policy \"far\".dscp=af42",
                                       "policy \"none\".permit=false",
                                       NULL};
    struct conf *conf = load(sets);
    struct policy *policy = policy_new(conf, NULL);
    struct offer_template *wanted = medias();
    guint row;
    json_auto_t *caller = policy_media_json(policy, LEG(POLICY_CALLER, "b@x.example"), wanted);
    json_auto_t *callee = policy_media_json(policy, LEG(POLICY_CALLEE, "b@x.example"), wanted);
    json_auto_t *own =
        json_pack("[{s:s, s:s}, {s:s, s:s, s:{s:i, s:i}}]", "mid", "0", "flowStatus", "ENABLED",
                  "mid", "1", "flowStatus", "ENABLED", "policing", "sdr", 62500, "mbs", 15000);
    json_auto_t *far = json_pack("[{s:s, s:s, s:{s:s, s:i}}, {s:s, s:s, s:{s:s, s:i}}]", "mid", "0",
                                 "flowStatus", "ENABLED-DOWNLINK", "marking", "taggingBehaviour",
                                 "copy", "dscp", 36, "mid", "1", "flowStatus", "ENABLED-DOWNLINK",
                                 "marking", "taggingBehaviour", "copy", "dscp", 36);
    g_assert_true(json_equal(caller, own));
    g_assert_true(json_equal(callee, far));
    g_assert_true(policy_media_best_effort(policy, LEG(POLICY_CALLER, "b@x.example"), wanted));
    g_assert_false(policy_media_best_effort(policy, LEG(POLICY_CALLEE, "b@x.example"), wanted));
    g_assert_false(policy_permit(policy, CLIENT("a@x.example"), "b@x.example", &row, NULL));
    g_assert_cmpstr(policy_row_name(policy, row), ==, "policy \"none\"");
    offer_template_free(wanted);
    policy_free(policy);
    conf_free(conf);
}

static void test_dscp(void)
{
    static const struct {
        const char *text;
        guint value;
    } good[] = {{"EF", 46},   {"ef", 46}, {"VA", 44},  {"LE", 1},    {"DF", 0},
                {"BE", 0},    {"CS0", 0}, {"cs7", 56}, {"AF11", 10}, {"AF42", 36},
                {"af43", 38}, {"0", 0},   {"63", 63}};
    static const char *const bad[] = {"",    "64", "-1",  "AF44", "AF01", "AF51", "AF1",
                                      "CS8", "CS", "EFF", "0x2e", "46 ",  "AF421"};
    for (guint i = 0; i < G_N_ELEMENTS(good); i++) {
        guint value = 99;
        g_assert_true(dscp_parse(good[i].text, &value, NULL));
        g_assert_cmpuint(value, ==, good[i].value);
    }
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        guint value;
        g_assert_false(dscp_parse(bad[i], &value, &error));
        g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_INVALID_MESSAGE);
    }
}

static void test_faults(void)
{
    static const char *const faults[][5] = {
        {"policy \"a\".dscp=EFF"},
        {"policy \"a\".tagging=mark"},
        {"policy \"a\".police_rate=1000", "policy \"a\".police_burst=1499"},
        {"policy \"a\".police_rate=99", "policy \"a\".police_peak_rate=98",
         "policy \"a\".police_burst=9999", "policy \"a\".police_tolerance=1"},
        {"policy \"a\".side=caller", "policy \"a\".permit=false"},
        {"policy \"a\".side=callee", "policy \"a\".calls_per_callee=1"},
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
        g_assert_true(g_str_has_prefix(error->message, "[policy \"a\"] "));
        conf_free(conf);
    }
}

static void test_media_path(void)
{
    static const char *const sets[] = {"policy \"one\".from=a@*",
                                       "policy \"one\".side=caller",
                                       "policy \"one\".media_path=flip",
                                       "policy \"one\".media_path_parameters=volume=0.5",
                                       "policy \"two\".to=c@*",
                                       "policy \"two\".media_path=gate",
                                       "policy \"two\".media_path_failure=bypass",
                                       NULL};
    struct conf *conf = load(sets);
    struct policy *policy = policy_new(conf, NULL);
    json_auto_t *caller = policy_media_path(policy, LEG(POLICY_CALLER, "b@x.example"));
    json_auto_t *expected = json_pack("{s:s, s:{s:f}, s:s}", "template", "flip", "parameters",
                                      "volume", 0.5, "onFailure", "fail");
    g_assert_true(json_equal(caller, expected));
    g_assert_null(policy_media_path(policy, LEG(POLICY_CALLEE, "b@x.example")));
    json_auto_t *both = policy_media_path(policy, LEG(POLICY_CALLEE, "c@x.example"));
    g_assert_cmpstr(json_string_value(json_object_get(both, "onFailure")), ==, "bypass");
    g_assert_true(policy_has_media_path(policy, CLIENT("a@x.example"), "b@x.example"));
    g_assert_true(policy_has_media_path(policy, CLIENT("b@x.example"), "c@x.example"));
    g_assert_false(policy_has_media_path(policy, CLIENT("b@x.example"), "a@x.example"));
    policy_free(policy);
    conf_free(conf);

    static const char *const wrong[][4] = {
        {"policy \"p\".media=video", "policy \"p\".media_path=flip", NULL},
        {"policy \"p\".media_path_parameters=volume=0.5", NULL},
        {"policy \"p\".media_path=flip", "policy \"p\".media_path_parameters=volume", NULL},
    };
    for (guint i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GError) error = NULL;
        conf = load(wrong[i]);
        g_assert_null(policy_new(conf, &error));
        g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_INVALID_MESSAGE);
        g_assert_nonnull(strstr(error->message, "policy \"p\""));
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
    g_test_add_func("/policy/sides", test_sides);
    g_test_add_func("/policy/dscp", test_dscp);
    g_test_add_func("/policy/faults", test_faults);
    g_test_add_func("/policy/media-path", test_media_path);
    return g_test_run();
}
