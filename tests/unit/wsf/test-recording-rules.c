/* SPDX-License-Identifier: Apache-2.0 */
/* How recordings are called, whatever users call themselves, and which rules are refused. */
#include "wsf/recording-rules.h"

#include "base/problem.h"

#include <string.h>

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

static struct recording_rules *rules_of(const char *const *sets, GError **error)
{
    struct conf *conf = load(sets);
    struct recording_rules *rules = recording_rules_new(conf, error);
    conf_free(conf);
    return rules;
}

static char *name_for(const char *pattern, const struct recording_names *names)
{
    g_autofree char *set = g_strconcat("recording \"a\".file=", pattern, NULL);
    struct recording_rules *rules = rules_of((const char *const[]){set, NULL}, NULL);
    char *name = recording_rule_file(recording_rules_find(rules, "a"), names);
    recording_rules_free(rules);
    return name;
}

static const struct recording_names plain = {.called = "room/Green Hall@example.org",
                                             .caller = "alice@example.org",
                                             .participant = "bob@example.org",
                                             .session = "5f1d2c77-9a0b-4f53-9a57-3d6a2f6c0c11",
                                             .wall = 1700000000 * G_GINT64_CONSTANT(1000000)};

static void test_words(void)
{
    g_autofree char *name =
        name_for("x/{called}.{caller}.{participant}.{date}T{time}-{id}.mp4", &plain);
    g_assert_true(g_regex_match_simple(
        "^x/Green_Hall\\.alice\\.bob\\.20231114T221320-[0-9a-f]{8}\\.mp4$", name, 0, 0));
    g_autofree char *with = name_for("a.b/{session}", &plain);
    g_assert_true(g_str_has_prefix(with, "a.b/5f1d2c77-9a0b-4f53-9a57-3d6a2f6c0c11-"));
    g_autofree char *one = name_for("{participant}.mkv", &plain);
    g_autofree char *other = name_for("{participant}.mkv", &plain);
    g_assert_true(g_regex_match_simple("^bob-[0-9a-f]{8}\\.mkv$", one, 0, 0));
    g_assert_cmpstr(one, !=, other);
}

static void test_values(void)
{
    static const struct {
        const char *participant, *name;
    } rows[] = {{"../../etc/passwd@x", "passwd"},
                {"..@x", "_."},
                {".hidden@x", "_hidden"},
                {"a b\n\"'$;~\xc3\xa4@x", "a_b________"},
                {"@x", "unknown"},
                {"a/@x", "unknown"},
                {NULL, "unknown"},
                {"{date}@x", "_date_"}};
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        const struct recording_names names = {.participant = rows[i].participant};
        g_autofree char *name = name_for("{participant}{id}", &names);
        g_assert_cmpuint(strlen(name), >, 8);
        name[strlen(name) - 8] = '\0';
        g_assert_cmpstr(name, ==, rows[i].name);
    }
    g_autofree char *loud = g_strnfill(300, 'a');
    const struct recording_names names = {.called = loud, .caller = loud, .participant = loud};
    g_autofree char *name = name_for("{called}{caller}{participant}{id}", &names);
    g_assert_cmpuint(strlen(name), ==, 128);
}

static void test_refused(void)
{
    static const char *const patterns[] = {
        "/a.mkv",
        "a/../b.mkv",
        "a//b.mkv",
        "./a.mkv",
        "{user}.mkv",
        "{called.mkv",
        "called}.mkv",
        "\xc3\xa4.mkv",
        "{called}{caller}{participant}{called}{caller}{participant}{called}.mkv"};
    for (gsize i = 0; i < G_N_ELEMENTS(patterns); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *set = g_strconcat("recording \"a\".file=", patterns[i], NULL);
        g_assert_null(rules_of((const char *const[]){set, NULL}, &error));
        g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_INVALID_MESSAGE);
        g_assert_true(g_str_has_prefix(error->message, "[recording \"a\"] file: "));
    }
    g_autoptr(GError) error = NULL;
    g_assert_null(rules_of((const char *const[]){"recording \"a\".parameters=wait", NULL}, &error));
    g_assert_nonnull(strstr(error->message, "not name=value"));
}

static void test_named(void)
{
    struct conf *conf =
        load((const char *const[]){"recording \"a\".required=true", "room \"good\".record=a",
                                   "room \"bad\".record=b", "room \"none\".capacity=2", NULL});
    g_autoptr(GError) error = NULL;
    g_assert_true(recording_rules_check(conf, "room \"good\"", NULL));
    g_assert_true(recording_rules_check(conf, "room \"none\"", NULL));
    g_assert_false(recording_rules_check(conf, "room \"bad\"", &error));
    g_assert_cmpstr(error->message, ==,
                    "[room \"bad\"] record: there is no section [recording \"b\"]");
    struct recording_rules *rules = recording_rules_new(conf, NULL);
    struct recording_rule *rule = recording_rule_ref(recording_rules_find(rules, "a"));
    g_assert_null(recording_rules_find(rules, NULL));
    recording_rules_free(rules);
    g_assert_true(rule->required); /* a conversation keeps what it began with */
    g_assert_cmpstr(rule->template, ==, "record");
    g_assert_cmpstr(rule->parameters, ==, "{}");
    recording_rule_unref(rule);
    conf_free(conf);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/recording-rules/words", test_words);
    g_test_add_func("/recording-rules/values", test_values);
    g_test_add_func("/recording-rules/refused", test_refused);
    g_test_add_func("/recording-rules/named", test_named);
    return g_test_run();
}
