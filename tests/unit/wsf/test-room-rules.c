/* SPDX-License-Identifier: Apache-2.0 */
/* Which rooms there may be, who may open them and come in. */
#include "wsf/room-rules.h"

#include "base/problem.h"

static const struct conf_key keys[] = {
#define CONF_KEY(...) {__VA_ARGS__},
#include "wsf/conf.def"
#undef CONF_KEY
};

#define CLIENT(id) (&(struct policy_caller){id, ENDPOINT_CLIENT})

static struct room_rules *load(const char *const *sets, GError **error)
{
    g_autoptr(GError) own = NULL;
    struct conf *conf = conf_load("test", keys, G_N_ELEMENTS(keys), NULL, true, sets, &own);
    g_assert_no_error(own);
    struct room_rules *rules = room_rules_new(conf, error);
    conf_free(conf);
    return rules;
}

static const char *section_of(const struct room_rules *rules, const char *resource)
{
    const struct room_rule *rule = room_rules_find(rules, resource);
    return rule ? rule->section : NULL;
}

static void test_names(void)
{
    static const char *const sets[] = {"room \"hall\".capacity=3",
                                       "room \"team\".names=team-?, Team-Lounge",
                                       "room \"rest\".names=*", NULL};
    struct room_rules *none = load(NULL, NULL), *rules = load(sets, NULL);
    g_assert_null(room_rules_find(none, "room/hall"));
    g_assert_cmpstr(section_of(rules, "room/hall"), ==, "room \"hall\"");
    g_assert_cmpstr(section_of(rules, "room/Hall"), ==, "room \"hall\"");
    g_assert_cmpstr(section_of(rules, "room/team-7"), ==, "room \"team\"");
    g_assert_cmpstr(section_of(rules, "room/team-lounge"), ==, "room \"team\"");
    g_assert_cmpstr(section_of(rules, "room/team-77"), ==, "room \"rest\"");
    g_assert_null(section_of(rules, "room/"));
    g_assert_null(section_of(rules, "media/hall"));
    g_assert_null(section_of(rules, "hall"));
    /* What the directory may find by name. */
    const GPtrArray *all = room_rules_all(rules);
    g_assert_cmpuint(all->len, ==, 3);
    const struct room_rule *team = g_ptr_array_index(all, 1);
    g_assert_cmpuint(team->rooms->len, ==, 1);
    g_assert_cmpstr(g_ptr_array_index(team->rooms, 0), ==, "Team-Lounge");
    room_rules_free(none);
    room_rules_free(rules);
}

static void assert_refused(const struct room_rule *rule, const char *who, bool open,
                           enum problem code)
{
    g_autoptr(GError) error = NULL;
    g_assert_false(room_rule_permits(rule, CLIENT(who), open, &error));
    g_assert_error(error, PROBLEM_DOMAIN, (int)code);
}

static void test_who(void)
{
    static const char *const sets[] = {"class \"staff\".members=*@staff.example",
                                       "room \"hall\".creators=@staff",
                                       "room \"hall\".joiners=ann@x.example, @operator", NULL};
    struct room_rules *rules = load(sets, NULL);
    const struct room_rule *hall = room_rules_find(rules, "room/hall");
    const struct policy_caller operator= {"wsf@far.example", ENDPOINT_OPERATOR};
    g_assert_true(room_rule_permits(hall, CLIENT("Bo@Staff.example"), false, NULL));
    g_assert_true(room_rule_permits(hall, CLIENT("bo@staff.example"), true, NULL));
    g_assert_true(room_rule_permits(hall, CLIENT("ann@x.example"), true, NULL));
    g_assert_true(room_rule_permits(hall, &operator, true, NULL));
    assert_refused(hall, "ann@x.example", false, PROBLEM_RESOURCE_NOT_FOUND);
    assert_refused(hall, "eve@x.example", false, PROBLEM_NOT_AUTHORIZED);
    assert_refused(hall, "eve@x.example", true, PROBLEM_NOT_AUTHORIZED);
    room_rules_free(rules);
}

static void test_places(void)
{
    static const char *const sets[] = {"room \"hall\".capacity=2", NULL};
    struct room_rules *rules = load(sets, NULL);
    const struct room_rule *hall = room_rules_find(rules, "room/hall");
    g_autoptr(GError) error = NULL;
    g_assert_true(room_rule_has_place(hall, 1, 0, NULL));
    g_assert_true(room_rule_has_place(hall, 1, 2, NULL));
    g_assert_false(room_rule_has_place(hall, 2, 0, &error));
    g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_RESOURCES_UNAVAILABLE);
    g_assert_cmpuint(problem_retry_after(error), >, 0);
    g_clear_error(&error);
    g_assert_false(room_rule_has_place(hall, 1, 1, &error));
    g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_RESOURCES_UNAVAILABLE);
    g_assert_nonnull(g_strrstr(error->message, "mixes 1 participants at most"));
    g_assert_true(hall->simulcast && hall->show_identities);
    g_assert_cmpuint(hall->last_n + hall->loudest_n, ==, 0);
    room_rules_free(rules);
}

static void test_mistakes(void)
{
    static const char *const sets[] = {"room \"hall\".joiners=@nobody", NULL};
    g_autoptr(GError) error = NULL;
    g_assert_null(load(sets, &error));
    g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_INVALID_MESSAGE);
    g_assert_nonnull(g_strrstr(error->message, "joiners"));
}

static void assert_mistake(const char *const *sets, const char *key)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(load(sets, &error));
    g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_INVALID_MESSAGE);
    g_assert_nonnull(g_strrstr(error->message, key));
}

static void test_mix(void)
{
    static const char *const good[] = {
        "room \"hall\".mix=audio", "room \"hall\".mix_parameters=bitrate=24000, fec=false", NULL};
    static const char *const large[] = {"room \"hall\".mix=audio", "room \"hall\".capacity=33",
                                        NULL};
    static const char *const odd[] = {"room \"hall\".mix_parameters=bitrate", NULL};
    struct room_rules *rules = load(good, NULL);
    const struct room_rule *rule = room_rules_find(rules, "room/hall");
    g_assert_true(rule->mix);
    g_assert_cmpstr(rule->mix_template, ==, "mix-audio");
    g_assert_cmpint(json_integer_value(json_object_get(rule->mix_parameters, "bitrate")), ==,
                    24000);
    g_assert_true(json_is_false(json_object_get(rule->mix_parameters, "fec")));
    room_rules_free(rules);
    assert_mistake(large, "capacity");
    assert_mistake(odd, "mix_parameters");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/room-rules/names", test_names);
    g_test_add_func("/room-rules/who", test_who);
    g_test_add_func("/room-rules/places", test_places);
    g_test_add_func("/room-rules/mistakes", test_mistakes);
    g_test_add_func("/room-rules/mix", test_mix);
    return g_test_run();
}
