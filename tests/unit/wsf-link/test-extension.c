/* SPDX-License-Identifier: Apache-2.0 */
/* Supported, required and unsupported extensions (protocol A3). */
#include "wsf-link/extension.h"

static const char *const supported[] = {"trickle-ice", "datachannel", NULL};

static char *missing(const char *text, const char *const *list)
{
    json_auto_t *message = json_loads(text, 0, NULL);
    json_auto_t *array = extension_missing(message, list);
    return array ? json_dumps(array, JSON_COMPACT) : NULL;
}

static void test_missing(void)
{
    static const struct {
        const char *text, *missing;
    } rows[] = {
        {"{}", NULL},
        {"{\"requiredExtension\":[]}", NULL},
        {"{\"requiredExtension\":[\"trickle-ice\"]}", NULL},
        {"{\"requiredExtension\":[\"x\",\"datachannel\",\"y\",\"x\"]}", "[\"x\",\"y\"]"},
        {"{\"supportedExtension\":[\"x\"]}", NULL},
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        char *got = missing(rows[i].text, supported);
        g_assert_cmpstr(got, ==, rows[i].missing);
        free(got);
    }
    char *all = missing("{\"requiredExtension\":[\"trickle-ice\"]}", NULL);
    g_assert_cmpstr(all, ==, "[\"trickle-ice\"]");
    free(all);
}

static void test_overreach(void)
{
    json_auto_t *response = json_loads("{\"requiredExtension\":[\"a\",\"b\"]}", 0, NULL);
    json_auto_t *both = json_loads("[\"b\",\"a\",\"c\"]", 0, NULL);
    json_auto_t *one = json_loads("[\"a\"]", 0, NULL);
    g_assert_null(extension_overreach(response, both));
    g_assert_cmpstr(extension_overreach(response, one), ==, "b");
    g_assert_cmpstr(extension_overreach(response, NULL), ==, "a");
    g_assert_null(extension_overreach(both, NULL));
}

static void test_listed(void)
{
    json_auto_t *message = json_loads("{\"supportedExtension\":[\"a\",7]}", 0, NULL);
    g_assert_true(extension_listed(message, "supportedExtension", "a"));
    g_assert_false(extension_listed(message, "supportedExtension", "7"));
    g_assert_false(extension_listed(message, "requiredExtension", "a"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/extension/missing", test_missing);
    g_test_add_func("/extension/overreach", test_overreach);
    g_test_add_func("/extension/listed", test_listed);
    return g_test_run();
}
