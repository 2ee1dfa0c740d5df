/* SPDX-License-Identifier: Apache-2.0 */
/* Reading of members: types, ranges, absence, and the pointer that names the member at fault. */
#include "wsf-link/json-read.h"

#include "base/problem.h"

static json_t *fixture(void)
{
    return json_loads("{\"s\":\"text\",\"i\":7,\"b\":false,\"o\":{\"k\":1},\"a\":[1,2,3],"
                      "\"n\":null,\"r\":1.5,\"w\":\"two\",\"a/b~c\":1}",
                      0, NULL);
}

static void assert_problem(GError **error, int code, const char *param)
{
    g_assert_error(*error, PROBLEM_DOMAIN, code);
    g_assert_cmpstr(problem_param(*error), ==, param);
    g_clear_error(error);
}

static void test_good(void)
{
    json_auto_t *object = fixture();
    g_autoptr(GError) error = NULL;
    const char *text = NULL;
    gint64 number = 0;
    bool flag = true;
    const json_t *sub = NULL, *array = NULL;
    int word = -1;
    static const char *const words[] = {"one", "two", NULL};
    g_assert_true(json_read_string(object, "", "s", JSON_REQUIRED, 4, &text, &error));
    g_assert_true(json_read_integer(object, "", "i", JSON_REQUIRED, 7, 7, &number, &error));
    g_assert_true(json_read_boolean(object, "", "b", JSON_REQUIRED, &flag, &error));
    g_assert_true(json_read_object(object, "", "o", JSON_REQUIRED, &sub, &error));
    g_assert_true(json_read_array(object, "", "a", JSON_REQUIRED, 3, &array, &error));
    g_assert_true(json_read_choice(object, "", "w", JSON_REQUIRED, words, &word, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(text, ==, "text");
    g_assert_cmpint(number, ==, 7);
    g_assert_false(flag);
    g_assert_cmpuint(json_object_size(sub), ==, 1);
    g_assert_cmpuint(json_array_size(array), ==, 3);
    g_assert_cmpint(word, ==, 1);
}

static void test_absent(void)
{
    json_auto_t *object = fixture();
    g_autoptr(GError) error = NULL;
    const char *text = "kept";
    gint64 number = 42;
    g_assert_true(json_read_string(object, "", "x", JSON_OPTIONAL, 4, &text, &error));
    g_assert_true(json_read_integer(object, "", "x", JSON_OPTIONAL, 0, 9, &number, &error));
    g_assert_cmpstr(text, ==, "kept");
    g_assert_cmpint(number, ==, 42);
    g_assert_false(json_read_string(object, "/o", "x", JSON_REQUIRED, 4, &text, &error));
    assert_problem(&error, PROBLEM_MISSING_PARAMETER, "/o/x");
}

static void test_wrong_type(void)
{
    json_auto_t *object = fixture();
    static const char *const names[] = {"s", "i", "b", "o", "a", "n", "r"};
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        const char *name = names[i], *text;
        g_autofree char *param = g_strconcat("/", name, NULL);
        GError *error = NULL;
        gint64 number;
        bool flag;
        const json_t *any;
        if (*name != 's') {
            g_assert_false(json_read_string(object, "", name, JSON_OPTIONAL, 99, &text, &error));
            assert_problem(&error, PROBLEM_INVALID_MESSAGE, param);
        }
        if (*name != 'i') {
            g_assert_false(json_read_integer(object, "", name, JSON_OPTIONAL, G_MININT64,
                                             G_MAXINT64, &number, &error));
            assert_problem(&error, PROBLEM_INVALID_MESSAGE, param);
        }
        if (*name != 'b') {
            g_assert_false(json_read_boolean(object, "", name, JSON_OPTIONAL, &flag, &error));
            assert_problem(&error, PROBLEM_INVALID_MESSAGE, param);
        }
        if (*name != 'o') {
            g_assert_false(json_read_object(object, "", name, JSON_OPTIONAL, &any, &error));
            assert_problem(&error, PROBLEM_INVALID_MESSAGE, param);
        }
        if (*name != 'a') {
            g_assert_false(json_read_array(object, "", name, JSON_OPTIONAL, 99, &any, &error));
            assert_problem(&error, PROBLEM_INVALID_MESSAGE, param);
        }
    }
}

static void test_out_of_range(void)
{
    json_auto_t *object = fixture();
    g_autoptr(GError) error = NULL;
    const char *text;
    gint64 number;
    const json_t *array;
    int word;
    static const char *const words[] = {"one", "three", NULL};
    g_assert_false(json_read_string(object, "", "s", JSON_REQUIRED, 3, &text, &error));
    assert_problem(&error, PROBLEM_INVALID_MESSAGE, "/s");
    g_assert_false(json_read_integer(object, "", "i", JSON_REQUIRED, 0, 6, &number, &error));
    assert_problem(&error, PROBLEM_INVALID_MESSAGE, "/i");
    g_assert_false(json_read_integer(object, "", "i", JSON_REQUIRED, 8, 9, &number, &error));
    assert_problem(&error, PROBLEM_INVALID_MESSAGE, "/i");
    g_assert_false(json_read_array(object, "", "a", JSON_REQUIRED, 2, &array, &error));
    assert_problem(&error, PROBLEM_INVALID_MESSAGE, "/a");
    g_assert_false(json_read_choice(object, "", "w", JSON_REQUIRED, words, &word, &error));
    g_assert_nonnull(g_strstr_len(error->message, -1, "one, three"));
    assert_problem(&error, PROBLEM_INVALID_MESSAGE, "/w");
    g_assert_false(json_read_choice(object, "", "i", JSON_REQUIRED, words, &word, &error));
    assert_problem(&error, PROBLEM_INVALID_MESSAGE, "/i");
}

static void test_pointer_escapes(void)
{
    json_auto_t *object = fixture();
    g_autoptr(GError) error = NULL;
    const char *text;
    g_assert_false(json_read_string(object, "", "a/b~c", JSON_REQUIRED, 9, &text, &error));
    assert_problem(&error, PROBLEM_INVALID_MESSAGE, "/a~1b~0c");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/json-read/good", test_good);
    g_test_add_func("/json-read/absent", test_absent);
    g_test_add_func("/json-read/wrong-type", test_wrong_type);
    g_test_add_func("/json-read/out-of-range", test_out_of_range);
    g_test_add_func("/json-read/pointer-escapes", test_pointer_escapes);
    return g_test_run();
}
