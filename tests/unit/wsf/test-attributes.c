/* SPDX-License-Identifier: Apache-2.0 */
/* What may be published, and what matches. */
#include "wsf/attributes.h"

#include "base/problem.h"

static const struct conf_key keys[] = {
#define CONF_KEY(...) {__VA_ARGS__},
#include "wsf/conf.def"
#undef CONF_KEY
};

static void check(const char *text, int code)
{
    g_autoptr(GError) error = NULL;
    struct conf *conf = conf_load("test", keys, G_N_ELEMENTS(keys), NULL, true, NULL, &error);
    g_assert_no_error(error);
    json_auto_t *message = json_loads(text, 0, NULL), *read = NULL;
    g_assert_nonnull(message);
    bool good = attributes_read(conf, message, "attributes", &read, &error);
    if (code < 0)
        g_assert_no_error(error);
    else
        g_assert_error(error, PROBLEM_DOMAIN, code);
    g_assert_true(good == (code < 0));
    g_assert_true(good || !read);
    conf_free(conf);
}

static void test_read(void)
{
    check("{}", -1);
    check("{\"attributes\":{}}", -1);
    check("{\"attributes\":{\"a\":\"x\",\"b\":1.5,\"c\":false}}", -1);
    check("{\"attributes\":{\"a\":null}}", PROBLEM_INVALID_MESSAGE);
    check("{\"attributes\":{\"a\":{\"b\":1}}}", PROBLEM_INVALID_MESSAGE);
    check("{\"attributes\":{\"\":1}}", PROBLEM_INVALID_MESSAGE);
    check("{\"attributes\":[1]}", PROBLEM_INVALID_MESSAGE);
    g_autoptr(GString) many = g_string_new("{\"attributes\":{\"k\":0");
    for (int i = 0; i < 16; i++)
        g_string_append_printf(many, ",\"k%d\":%d", i, i);
    g_string_append(many, "}}");
    check(many->str, PROBLEM_MESSAGE_TOO_LARGE);
}

static void test_parse(void)
{
    static const char *const list[] = {"kind = clock", "seats=4", "free=true",
                                       "odd",          "eq=a=b",  NULL};
    json_auto_t *parsed = attributes_parse(list);
    json_auto_t *expected =
        json_pack("{s:s, s:i, s:b, s:s}", "kind", "clock", "seats", 4, "free", 1, "eq", "a=b");
    g_assert_true(json_equal(parsed, expected));
}

static void test_match(void)
{
    json_auto_t *has = json_pack("{s:s, s:i, s:b}", "kind", "clock", "seats", 4, "free", 1);
    json_auto_t *same = json_pack("{s:f, s:s}", "seats", 4.0, "kind", "clock");
    json_auto_t *other = json_pack("{s:s}", "seats", "4");
    json_auto_t *more = json_pack("{s:s, s:i}", "kind", "clock", "doors", 1);
    json_auto_t *nothing = json_object();
    g_assert_true(attributes_match(has, NULL));
    g_assert_true(attributes_match(has, nothing));
    g_assert_true(attributes_match(has, same));
    g_assert_false(attributes_match(has, other));
    g_assert_false(attributes_match(has, more));
    g_assert_false(attributes_match(NULL, same));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/attributes/read", test_read);
    g_test_add_func("/attributes/parse", test_parse);
    g_test_add_func("/attributes/match", test_match);
    return g_test_run();
}
