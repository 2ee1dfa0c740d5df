/* SPDX-License-Identifier: Apache-2.0 */
/* The first row that fits decides. */
#include "wsf/policy.h"

#include "base/problem.h"

static const struct conf_key keys[] = {
#define CONF_KEY(...) {__VA_ARGS__},
#include "wsf/conf.def"
#undef CONF_KEY
};

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
    struct policy *policy = policy_new(conf);
    guint row = 99;
    g_assert_true(policy_permit(policy, "a@x.example", "b@x.example", &row, NULL));
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
    struct policy *policy = policy_new(conf);
    g_autoptr(GError) error = NULL;
    guint row = 99;
    g_assert_true(policy_permit(policy, "clerk1@x.example", "boss@x.example", &row, NULL));
    g_assert_cmpstr(policy_flow_status(policy, row), ==, "ENABLED-UPLINK");
    g_assert_cmpuint(policy_row_by_name(policy, policy_row_name(policy, row)), ==, row);
    g_assert_false(policy_permit(policy, "clerk10@x.example", "boss@x.example", &row, &error));
    g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_NOT_AUTHORIZED);
    g_assert_true(policy_permit(policy, "clerk10@x.example", "clerk1@x.example", &row, NULL));
    g_assert_cmpstr(policy_flow_status(policy, row), ==, "ENABLED");
    g_assert_cmpstr(policy_row_name(policy, row), ==, "");
    g_assert_cmpuint(policy_row_by_name(policy, "policy \"gone\""), ==, row);
    g_assert_cmpuint(policy_row_by_name(policy, NULL), ==, row);
    policy_free(policy);
    conf_free(conf);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/policy/default", test_default);
    g_test_add_func("/policy/rows", test_rows);
    return g_test_run();
}
