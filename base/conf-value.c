/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the reading of one value by its row of the table. Checking happens once, here, when the text
 * arrives, so that the getters cannot fail and a bad default fails the first start of a developer.
 */
#include "base/conf-value.h"

#include "base/problem.h"

#include <string.h>

#define LIST_MAX 256

static bool fail(GError **error, const struct conf_key *key, const char *where, const char *text,
                 const char *wanted)
{
    problem_set(error, PROBLEM_INVALID_MESSAGE, "%s: [%s] %s = %s: must be %s", where, key->section,
                key->name, text, wanted);
    return false;
}

static bool parse_bool(const char *text, bool *ret_flag)
{
    static const char *const words[] = {"no", "yes", "false", "true", "off", "on", "0", "1"};
    for (guint i = 0; i < G_N_ELEMENTS(words); i++) {
        if (g_ascii_strcasecmp(text, words[i]) == 0) {
            *ret_flag = i % 2;
            return true;
        }
    }
    return false;
}

static char **split_list(const char *text)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    g_auto(GStrv) parts = g_strsplit_set(text, ",;", LIST_MAX + 1);
    for (char **part = parts; *part; part++)
        if (*g_strstrip(*part))
            g_strv_builder_add(builder, *part);
    return g_strv_builder_end(builder);
}

static bool check_int(struct conf_value *value, const struct conf_key *key, const char *where,
                      GError **error)
{
    if (g_ascii_string_to_signed(value->text, 10, key->min, key->max, &value->number, NULL))
        return true;
    g_autofree char *wanted = g_strdup_printf(
        "an integer from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT, key->min, key->max);
    return fail(error, key, where, value->text, wanted);
}

static bool check_choice(struct conf_value *value, const struct conf_key *key, const char *where,
                         GError **error)
{
    g_auto(GStrv) words = g_strsplit(key->choices, "|", -1);
    if (g_strv_contains((const char *const *)words, value->text))
        return true;
    g_autofree char *readable = g_strjoinv(", ", words);
    g_autofree char *wanted = g_strconcat("one of ", readable, NULL);
    return fail(error, key, where, value->text, wanted);
}

static bool check(struct conf_value *value, const struct conf_key *key, const char *directory,
                  const char *where, GError **error)
{
    switch (key->type) {
    case CONF_STRING:
        return true;
    case CONF_INT:
        return check_int(value, key, where, error);
    case CONF_BOOL:
        return parse_bool(value->text, &value->flag) ||
               fail(error, key, where, value->text, "yes or no");
    case CONF_LIST:
        value->list = split_list(value->text);
        return g_strv_length(value->list) <= LIST_MAX ||
               fail(error, key, where, "…", "at most 256 words");
    case CONF_CHOICE:
        return check_choice(value, key, where, error);
    case CONF_PATH: {
        char *path = g_canonicalize_filename(value->text, directory);
        g_free(value->text);
        value->text = path;
        return true;
    }
    }
    return false;
}

struct conf_value *conf_value_new(const struct conf_key *key, const char *text,
                                  const char *directory, const char *origin, const char *where,
                                  GError **error)
{
    struct conf_value *value = g_new0(struct conf_value, 1);
    value->origin = g_strdup(origin);
    /* An empty text takes an earlier value or the default back. */
    if (text && *text) {
        value->text = g_strdup(text);
        if (!check(value, key, directory, where, error))
            g_clear_pointer(&value, conf_value_free);
    }
    return value;
}

void conf_value_free(struct conf_value *value)
{
    if (!value)
        return;
    g_strfreev(value->list);
    g_free(value->text);
    g_free(value->origin);
    g_free(value);
}
