/* SPDX-License-Identifier: Apache-2.0 */
/* The first look at the octets: depth, and the place of the transactionId. */
#include "wsf-link/envelope.h"

#include <string.h>

static void test_finds_id(void)
{
    static const struct {
        const char *text, *id;
    } rows[] = {
        {"{\"transactionId\":7}", "7"},
        {"{\"transactionId\" :\t 18446744073709551615 }", "18446744073709551615"},
        {"{\"a\":{\"transactionId\":1},\"transactionId\":2}", "2"},
        {"{\"a\":[{\"transactionId\":1}]}", ""},
        {"{\"a\":\"\\\"transactionId\\\":1\",\"transactionId\":3}", "3"},
        {"{\"a\":\"transactionId\"}", ""},
        {"{\"transactionId\":\"4\"}", ""},
        {"{\"transactionId\":-4}", "-4"},
        {"{\"transactionId\":1e3,\"b\":1}", "1e3"},
        {"{\"transaction\\u0049d\":5}", ""},
        {"{\"transactionId\":", NULL},
        {"\"transactionId\":9", ""},
        {"", ""},
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        size_t at = 0, length = 0;
        bool ok = envelope_scan(rows[i].text, strlen(rows[i].text), &at, &length);
        g_assert_cmpint(ok, ==, rows[i].id != NULL);
        if (!ok)
            continue;
        g_autofree char *id = g_strndup(rows[i].text + at, length);
        g_assert_cmpstr(id, ==, rows[i].id);
    }
}

static char *nested(guint depth)
{
    GString *text = g_string_new(NULL);
    for (guint i = 0; i < depth; i++)
        g_string_append_c(text, '[');
    for (guint i = 0; i < depth; i++)
        g_string_append_c(text, ']');
    return g_string_free(text, FALSE);
}

static void test_depth(void)
{
    size_t at, length;
    g_autofree char *deepest = nested(ENVELOPE_DEPTH_MAX);
    g_autofree char *too_deep = nested(ENVELOPE_DEPTH_MAX + 1);
    g_assert_true(envelope_scan(deepest, strlen(deepest), &at, &length));
    g_assert_false(envelope_scan(too_deep, strlen(too_deep), &at, &length));
    /* Brackets in strings are no depth. */
    g_autofree char *quoted = g_strdup_printf("{\"a\":\"%s\"}", too_deep);
    g_assert_true(envelope_scan(quoted, strlen(quoted), &at, &length));
}

static void test_values(void)
{
    size_t at, length;
    for (guint n = ENVELOPE_VALUES_MAX - 1; n <= ENVELOPE_VALUES_MAX; n++) {
        GString *text = g_string_new("[0");
        for (guint i = 0; i < n; i++)
            g_string_append(text, ",0");
        g_string_append_c(text, ']');
        g_assert_cmpint(envelope_scan(text->str, text->len, &at, &length), ==,
                        n < ENVELOPE_VALUES_MAX);
        g_string_free(text, TRUE);
    }
}

static void test_unbalanced(void)
{
    static const char *const rows[] = {"{", "}", "{]}", "{\"a", "{\"a\\\"", "[]]", "{\"a\\"};
    size_t at, length;
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++)

        g_assert_false(envelope_scan(rows[i], strlen(rows[i]), &at, &length));
}

static void test_never_reads_outside(void)
{
    static const char text[] = "{\"transactionId\" : 123 , \"b\":[\"x\\\"y\",{}]}";
    for (size_t length = 0; length <= sizeof text - 1; length++) {
        g_autofree char *exact = g_memdup2(text, length);
        size_t at, id_length;
        if (envelope_scan(exact, length, &at, &id_length))
            g_assert_cmpuint(at + id_length, <=, length);
    }
}

static void test_id_parse(void)
{
    static const struct {
        const char *text;
        bool ok;
        guint64 id;
    } rows[] = {
        {"0", true, 0},
        {"1", true, 1},
        {"9223372036854775807", true, G_MAXINT64},
        {"9223372036854775808", true, G_GUINT64_CONSTANT(9223372036854775808)},
        {"18446744073709551615", true, G_MAXUINT64},
        {"18446744073709551616", false, 0},
        {"99999999999999999999", false, 0},
        {"100000000000000000000", false, 0},
        {"", false, 0},
        {"00", false, 0},
        {"01", false, 0},
        {"-1", false, 0},
        {"+1", false, 0},
        {"1.0", false, 0},
        {"1e1", false, 0},
        {"0x1", false, 0},
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        guint64 id = 0;
        g_assert_cmpint(envelope_id_parse(rows[i].text, strlen(rows[i].text), &id), ==, rows[i].ok);
        g_assert_cmpuint(id, ==, rows[i].id);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/envelope-scan/finds-id", test_finds_id);
    g_test_add_func("/envelope-scan/depth", test_depth);
    g_test_add_func("/envelope-scan/values", test_values);
    g_test_add_func("/envelope-scan/unbalanced", test_unbalanced);
    g_test_add_func("/envelope-scan/never-reads-outside", test_never_reads_outside);
    g_test_add_func("/envelope-scan/id-parse", test_id_parse);
    return g_test_run();
}
