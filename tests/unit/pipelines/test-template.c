/* SPDX-License-Identifier: Apache-2.0 */
/* Templates: what is read, what is refused and where; that no value becomes more than a value. */
#include "base/problem.h"
#include "pipelines/template.h"

#include <glib/gstdio.h>
#include <string.h>

static struct pipeline_template *parse(const char *text)
{
    GError *error = NULL;
    struct pipeline_template *t = pipeline_template_parse("t.pipeline", text, &error);
    g_assert_no_error(error);
    g_assert_nonnull(t);
    return t;
}

static char *fill(struct pipeline_template *t, const struct pipeline_argument *arguments, guint n,
                  GError **error)
{
    struct pipeline_text *text =
        pipeline_template_fill(t, arguments, n, 3, "/pipeline/parameters", error);
    char *description = text ? g_strdup(pipeline_text_description(text)) : NULL;
    pipeline_text_free(text);
    return description;
}

static const char all_types[] = "# a comment\n"
                                "  # another\n"
                                "parameter i integer 5 -10..10 # trailing words\n"
                                "parameter n number 0.5 0..1\n"
                                "parameter b boolean true\n"
                                "parameter c choice one one|two\n"
                                "parameter t text \"hello world\" 20\n"
                                "a i=${i} n=${n} b=${b} c=${c} t=${t} threads=${cpu_threads}\n"
                                "when c=one: ! first\n"
                                "when c=two: ! second\n"
                                "when b=false: ! third\n";

static void test_defaults(void)
{
    struct pipeline_template *t = parse(all_types);
    g_autofree char *text = fill(t, NULL, 0, NULL);
    g_assert_cmpstr(text, ==, "a i=5 n=0.5 b=true c=one t=\"hello world\" threads=3\n ! first\n");
    pipeline_template_free(t);
}

static void test_arguments(void)
{
    const struct pipeline_argument arguments[] = {
        {.name = "i", .kind = PIPELINE_VALUE_NUMBER, .number = -10.0},
        {.name = "n", .kind = PIPELINE_VALUE_INTEGER, .integer = 1},
        {.name = "b", .kind = PIPELINE_VALUE_BOOLEAN, .boolean = false},
        {.name = "c", .kind = PIPELINE_VALUE_TEXT, .text = "two"},
        {.name = "t", .kind = PIPELINE_VALUE_TEXT, .text = "d'été ! ${i}"},
    };
    struct pipeline_template *t = parse(all_types);
    g_autofree char *text = fill(t, arguments, G_N_ELEMENTS(arguments), NULL);
    /* A text that looks like a placeholder is not one. */
    g_assert_cmpstr(
        text, ==, "a i=-10 n=1 b=false c=two t=\"d'été ! ${i}\" threads=3\n ! second\n ! third\n");
    pipeline_template_free(t);
}

static void test_wrong_arguments(void)
{
    const struct {
        struct pipeline_argument argument;
        const char *pointer;
    } rows[] = {
        {{.name = "i", .kind = PIPELINE_VALUE_INTEGER, .integer = 11}, "/i"},
        {{.name = "i", .kind = PIPELINE_VALUE_NUMBER, .number = 1.5}, "/i"},
        {{.name = "i", .kind = PIPELINE_VALUE_NUMBER, .number = 1e300}, "/i"},
        {{.name = "i", .kind = PIPELINE_VALUE_TEXT, .text = "5"}, "/i"},
        {{.name = "n", .kind = PIPELINE_VALUE_NUMBER, .number = 1.01}, "/n"},
        {{.name = "n", .kind = PIPELINE_VALUE_BOOLEAN}, "/n"},
        {{.name = "b", .kind = PIPELINE_VALUE_INTEGER, .integer = 1}, "/b"},
        {{.name = "c", .kind = PIPELINE_VALUE_TEXT, .text = "three"}, "/c"},
        {{.name = "c", .kind = PIPELINE_VALUE_TEXT, .text = "one ! fakesink"}, "/c"},
        {{.name = "t", .kind = PIPELINE_VALUE_TEXT, .text = "a\" ! fakesink name=\"b"}, "/t"},
        {{.name = "t", .kind = PIPELINE_VALUE_TEXT, .text = "ends so\\"}, "/t"},
        {{.name = "t", .kind = PIPELINE_VALUE_TEXT, .text = "two\nlines"}, "/t"},
        {{.name = "t", .kind = PIPELINE_VALUE_TEXT, .text = "\xff"}, "/t"},
        {{.name = "t", .kind = PIPELINE_VALUE_TEXT, .text = "longer than twenty octets"}, "/t"},
        {{.name = "t", .kind = PIPELINE_VALUE_OTHER}, "/t"},
        {{.name = "cpu_threads", .kind = PIPELINE_VALUE_INTEGER, .integer = 64}, "/cpu_threads"},
        {{.name = "a/b~c", .kind = PIPELINE_VALUE_INTEGER}, "/a~1b~0c"},
        {{.name = "", .kind = PIPELINE_VALUE_INTEGER}, "/"},
    };
    struct pipeline_template *t = parse(all_types);
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *pointer = g_strconcat("/pipeline/parameters", rows[i].pointer, NULL);
        g_assert_null(fill(t, &rows[i].argument, 1, &error));
        g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_INVALID_MESSAGE);
        g_assert_cmpstr(problem_param(error), ==, pointer);
    }
    pipeline_template_free(t);
}

static void test_broken(void)
{
    static const struct {
        const char *text;
        guint line;
        const char *says;
    } rows[] = {
        {"", 1, "no pipeline"},
        {"# only words\n", 2, "no pipeline"},
        {"parameter x\na", 1, "NAME TYPE DEFAULT"},
        {"\nparameter x whole 1 1..2\na", 2, "is not a type"},
        {"parameter x! integer 1 1..2\na", 1, "name"},
        {"parameter x integer 1\na", 1, "range"},
        {"parameter x integer 1 1-2\na", 1, "range"},
        {"parameter x integer 3 1..2\na", 1, "default"},
        {"parameter x integer 1.5 1..2\na", 1, "default"},
        {"parameter x number nan 0..1\na", 1, "default"},
        {"parameter x boolean yes\na", 1, "default"},
        {"parameter x boolean true more\na", 1, "nothing"},
        {"parameter x choice a\na", 1, "words"},
        {"parameter x choice a a|b!\na", 1, "word"},
        {"parameter x choice c a|b\na", 1, "default"},
        {"parameter x text 'a\"b' 10\na", 1, "default"},
        {"parameter x text abc 2\na", 1, "default"},
        {"parameter x text abc 99999\na", 1, "length"},
        {"parameter x integer 1 1..2\nparameter x integer 1 1..2\na", 2, "already"},
        {"parameter cpu_threads integer 1 1..2\na", 1, "already"},
        {"a b=${c}", 1, "no parameter c"},
        {"a b=${c", 1, "no parameter"},
        {"parameter t text x 9\na b=\"${t}\"", 2, "whole value"},
        {"parameter t text x 9\na b='\n${t}'", 3, "whole value"},
        {"parameter t text x 9\na b=x${t}", 2, "whole value"},
        {"parameter t text x 9\na b=${t}x", 2, "whole value"},
        {"parameter t text x 9\n${t}", 2, "whole value"},
        {"a b=\"open", 1, "never closed"},
        {"when x=1: a", 1, "condition"},
        {"when x", 1, "condition"},
        {"parameter c choice a a|b\nwhen c=z: a", 2, "never has"},
        {"parameter c choice a a|b\nwhen c=a: b=\"x\n", 2, "open"},
        {"parameter i integer 1 1..2\nwhen i=1: a", 2, "condition"},
        {"a \xff", 1, "UTF-8"},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *where = g_strdup_printf("t.pipeline:%u: ", rows[i].line);
        struct pipeline_template *t = pipeline_template_parse("t.pipeline", rows[i].text, &error);
        g_test_message("%s", error ? error->message : rows[i].text);
        g_assert_null(t);
        g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_WMCF_ERROR);
        g_assert_true(g_str_has_prefix(error->message, where));
        g_assert_nonnull(strstr(error->message, rows[i].says));
    }
}

static void test_limits(void)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    for (guint i = 0; i <= PIPELINE_TEMPLATE_PARAMETERS_MAX; i++)
        g_string_append_printf(text, "parameter p%u boolean true\n", i);
    g_string_append(text, "a");
    g_assert_null(pipeline_template_parse("t.pipeline", text->str, &error));
    g_assert_nonnull(strstr(error->message, "t.pipeline:65: more than 64"));
    g_clear_error(&error);
    g_string_set_size(text, 0);
    while (text->len <= PIPELINE_TEMPLATE_OCTETS_MAX)
        g_string_append(text, "# words\n");
    g_assert_null(pipeline_template_parse("t.pipeline", text->str, &error));
    g_assert_nonnull(strstr(error->message, "longer"));
}

static void test_blame(void)
{
    struct pipeline_template *t =
        parse("# first\n\nsource name=a ! sink\n\nother ! filter ! sink\n");
    struct pipeline_text *text = pipeline_template_fill(t, NULL, 0, 1, "", NULL);
    const struct {
        const char *message;
        guint line;
    } rows[] = {
        {"no element \"filter\"", 5}, {"no property \"name\" in element \"source\"", 3},
        {"syntax error", 3},          {"could not link \"other\" to \"filter\"", 5},
        {"an open \"quote", 3},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *told = pipeline_text_blame(text, rows[i].message);
        g_autofree char *expected = g_strdup_printf("t.pipeline:%u", rows[i].line);
        g_assert_cmpstr(told, ==, expected);
    }
    pipeline_text_free(text);
    pipeline_template_free(t);
}

static void test_files(void)
{
    g_autofree char *own = g_dir_make_tmp("templates-XXXXXX", NULL);
    g_autofree char *shipped = g_dir_make_tmp("templates-XXXXXX", NULL);
    const char *const folders[] = {own, "/nonexistent", shipped, NULL};
    const struct {
        const char *folder, *name, *text;
    } files[] = {{own, "one.pipeline", "mine"},  {shipped, "one.pipeline", "theirs"},
                 {shipped, "two.pipeline", "x"}, {shipped, "two words.pipeline", "x"},
                 {shipped, ".pipeline", "x"},    {shipped, "notes.txt", "x"}};
    for (gsize i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *file = g_build_filename(files[i].folder, files[i].name, NULL);
        g_assert_true(g_file_set_contents(file, files[i].text, -1, NULL));
    }
    g_auto(GStrv) names = pipeline_template_names(folders);
    g_autofree char *joined = g_strjoinv(" ", names);
    g_assert_cmpstr(joined, ==, "one two");

    struct pipeline_template *t = pipeline_template_load(folders, "one", NULL);
    g_autofree char *text = fill(t, NULL, 0, NULL);
    g_assert_cmpstr(text, ==, "mine\n");
    pipeline_template_free(t);
    static const char *const missing[] = {"three",        "",    "../one",
                                          "one.pipeline", "a/b", "/etc/passwd"};
    for (gsize i = 0; i < G_N_ELEMENTS(missing); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(pipeline_template_load(folders, missing[i], &error));
        g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_RESOURCE_NOT_FOUND);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *file = g_build_filename(files[i].folder, files[i].name, NULL);
        g_unlink(file);
    }
    g_rmdir(own);
    g_rmdir(shipped);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/template/defaults", test_defaults);
    g_test_add_func("/template/arguments", test_arguments);
    g_test_add_func("/template/wrong-arguments", test_wrong_arguments);
    g_test_add_func("/template/broken", test_broken);
    g_test_add_func("/template/limits", test_limits);
    g_test_add_func("/template/blame", test_blame);
    g_test_add_func("/template/files", test_files);
    return g_test_run();
}
