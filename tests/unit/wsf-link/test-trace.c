/* SPDX-License-Identifier: Apache-2.0 */
/* The message trace: blanking of secrets, whole lines, ids of all 64 bits. */
#include "wsf-link/trace.h"

#include <glib/gstdio.h>
#include <string.h>

static void test_blank(void)
{
    json_auto_t *message = json_loads(
        "{\"authorization\":\"Basic abc\",\"reAuthCredential\":\"def\",\"a\":[{\"iceServers\":"
        "[{\"credential\":\"ghi\",\"username\":\"u\"}]}],\"credential\":7,\"b\":null}",
        0, NULL);
    json_auto_t *blank = trace_blank(message);
    char *text = json_dumps(blank, JSON_COMPACT | JSON_SORT_KEYS);
    g_assert_cmpstr(text, ==,
                    "{\"a\":[{\"iceServers\":[{\"credential\":\"***\",\"username\":\"u\"}]}],"
                    "\"authorization\":\"***\",\"b\":null,\"credential\":7,"
                    "\"reAuthCredential\":\"***\"}");
    free(text);
}

static void test_file(void)
{
    g_autofree char *folder = g_dir_make_tmp("trace-XXXXXX", NULL);
    g_autofree char *file = g_build_filename(folder, "t.jsonl", NULL);
    struct trace *trace = trace_new(file, NULL);
    g_assert_nonnull(trace);
    static const char *const texts[] = {
        "{\"messageType\":\"request\",\"method\":\"auth\",\"transactionId\":18446744073709551615,"
        "\"authorization\":\"Basic abc\"}",
        "{\"messageType\":\"response\",\"method\":\"auth\",\"transactionId\":2,\"success\":true}",
        "not json",
    };
    const struct trace_link about = {
        .name = "7/a@b", .peer = "::1", .path = "/p", .transport = "h2", .tls = "TLSv1.3"};
    for (guint i = 0; i < G_N_ELEMENTS(texts); i++)
        trace_message(trace, &about, i == 1, texts[i], strlen(texts[i]));
    trace_free(trace);
    trace_message(NULL, &about, false, "", 0);

    g_autofree char *content = NULL;
    g_assert_true(g_file_get_contents(file, &content, NULL, NULL));
    g_auto(GStrv) lines = g_strsplit(content, "\n", -1);
    g_assert_cmpuint(g_strv_length(lines), ==, 4);
    g_assert_nonnull(strstr(lines[0], "\"transactionId\":18446744073709551615"));
    g_assert_null(strstr(lines[0], "abc"));
    json_auto_t *second = json_loads(lines[1], 0, NULL);
    g_assert_cmpstr(json_string_value(json_object_get(second, "direction")), ==, "received");
    g_assert_cmpstr(json_string_value(json_object_get(second, "link")), ==, "7/a@b");
    g_assert_cmpstr(json_string_value(json_object_get(second, "transport")), ==, "h2");
    g_assert_cmpstr(json_string_value(json_object_get(second, "tls")), ==, "TLSv1.3");
    g_assert_true(json_is_true(json_object_get(json_object_get(second, "message"), "success")));
    json_auto_t *third = json_loads(lines[2], 0, NULL);
    g_assert_cmpint(json_integer_value(json_object_get(third, "unusable")), ==, 8);
    g_remove(file);
    g_rmdir(folder);
}

static void test_no_file(void)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(trace_new("/nowhere/at/all", &error));
    g_assert_nonnull(error);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/trace/blank", test_blank);
    g_test_add_func("/trace/file", test_file);
    g_test_add_func("/trace/no-file", test_no_file);
    return g_test_run();
}
