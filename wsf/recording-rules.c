/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of recordings, and how their files are called. A name is put together from what users
 * have chosen, so it is made of few characters and never longer than a file's name may be: a
 * pattern whose values could make it so is refused when it is read, not when somebody calls. */
#include "wsf/recording-rules.h"

#include "base/ids.h"
#include "base/problem.h"
#include "wsf/context-pipeline.h"

#include <string.h>

#define VALUE_MAX 40 /* characters of one name */
#define NAME_MAX_OCTETS 250
#define PATTERN_MAX 200
#define ID "{id}"

struct recording_rules {
    GPtrArray *rules; /* struct recording_rule, owned */
};

enum word {
    WORD_CALLED,
    WORD_CALLER,
    WORD_PARTICIPANT,
    WORD_SESSION,
    WORD_DATE,
    WORD_TIME,
    WORD_ID
};
static const struct {
    const char *text;
    gsize length; /* at most */
} words[] = {
    [WORD_CALLED] = {"{called}", VALUE_MAX},
    [WORD_CALLER] = {"{caller}", VALUE_MAX},
    [WORD_PARTICIPANT] = {"{participant}", VALUE_MAX},
    [WORD_SESSION] = {"{session}", 36},
    [WORD_DATE] = {"{date}", 8},
    [WORD_TIME] = {"{time}", 6},
    [WORD_ID] = {ID, 8},
};

/* --- reading -------------------------------------------------------------------------------------
 */

/* The word that begins here, or G_N_ELEMENTS(words). */
static gsize word_at(const char *text)
{
    gsize w = 0;
    while (w < G_N_ELEMENTS(words) && !g_str_has_prefix(text, words[w].text))
        w++;
    return w;
}

/* How long the longest part between two slashes can become; 0 for a word that there is not. */
static gsize longest_part(const char *pattern)
{
    gsize part = 0, longest = 1;
    while (*pattern) {
        gsize w = *pattern == '{' ? word_at(pattern) : G_N_ELEMENTS(words);
        if ((*pattern == '{' && w == G_N_ELEMENTS(words)) || *pattern == '}')
            return 0;
        part = *pattern == '/' ? 0 : part + (*pattern == '{' ? words[w].length : 1);
        longest = MAX(longest, part);
        pattern += *pattern == '{' ? strlen(words[w].text) : 1;
    }
    return longest;
}

static bool leads_out(const char *pattern)
{
    g_auto(GStrv) parts = g_strsplit(pattern, "/", -1);
    for (char **part = parts; *part; part++)
        if (**part == '\0' || strcmp(*part, ".") == 0 || strcmp(*part, "..") == 0)
            return true;
    return false;
}

/* "a/b.mkv" → "a/b-{id}.mkv": two of a name never meet. */
static char *with_id(const char *pattern)
{
    if (strstr(pattern, ID))
        return g_strdup(pattern);
    const char *slash = strrchr(pattern, '/'), *dot = strrchr(slash ? slash : pattern, '.');
    gsize stem = dot ? (gsize)(dot - pattern) : strlen(pattern);
    return g_strdup_printf("%.*s-" ID "%s", (int)stem, pattern, dot ? dot : "");
}

static bool check_pattern(const char *section, const char *pattern, GError **error)
{
    gsize longest = longest_part(pattern);
    const char *wrong = NULL;
    for (const char *p = pattern; *p && !wrong; p++)
        if (!g_ascii_isprint(*p))
            wrong = "takes plain characters (ASCII)";
    if (!wrong && (leads_out(pattern) || strlen(pattern) > PATTERN_MAX))
        wrong = "is the name of a file below the media centre's folder of recordings";
    else if (!wrong && longest == 0)
        wrong = "knows {called}, {caller}, {participant}, {session}, {date}, {time} and {id}";
    else if (!wrong && longest > NAME_MAX_OCTETS)
        wrong = "could give a name of more than 250 octets; leave a word out";
    if (wrong)
        problem_set(error, PROBLEM_INVALID_MESSAGE, "[%s] file: \"%s\": it %s", section, pattern,
                    wrong);
    return !wrong;
}

static struct recording_rule *rule_new(const struct conf *conf, const char *section, GError **error)
{
    g_autofree char *file = with_id(conf_string(conf, section, "file"));
    if (!pipeline_parameters_check(conf, section, "parameters", error) ||
        !check_pattern(section, file, error))
        return NULL;
    json_auto_t *parameters = pipeline_parameters(conf_list(conf, section, "parameters"));
    struct recording_rule *rule = g_new0(struct recording_rule, 1);
    rule->ref_count = 1;
    rule->name = conf_instance_name(section);
    rule->template = g_strdup(conf_string(conf, section, "template"));
    rule->parameters = json_dumps(parameters, JSON_COMPACT);
    rule->file = g_steal_pointer(&file);
    rule->required = conf_bool(conf, section, "required");
    rule->files_per_minute = (guint)conf_int(conf, section, "files_per_minute");
    return rule;
}

struct recording_rule *recording_rule_ref(struct recording_rule *rule)
{
    rule->ref_count++;
    return rule;
}

void recording_rule_unref(struct recording_rule *rule)
{
    if (!rule || --rule->ref_count > 0)
        return;
    g_free(rule->name);
    g_free(rule->template);
    free(rule->parameters); /* of jansson */
    g_free(rule->file);
    g_free(rule);
}

struct recording_rules *recording_rules_new(const struct conf *conf, GError **error)
{
    struct recording_rules *rules = g_new0(struct recording_rules, 1);
    rules->rules = g_ptr_array_new_with_free_func((GDestroyNotify)recording_rule_unref);
    const char *const *sections = conf_instances(conf, "recording*");
    for (guint i = 0; sections && sections[i]; i++) {
        struct recording_rule *rule = rule_new(conf, sections[i], error);
        if (!rule) {
            recording_rules_free(rules);
            return NULL;
        }
        g_ptr_array_add(rules->rules, rule);
    }
    return rules;
}

void recording_rules_free(struct recording_rules *rules)
{
    if (!rules)
        return;
    g_ptr_array_unref(rules->rules);
    g_free(rules);
}

struct recording_rule *recording_rules_find(const struct recording_rules *rules, const char *name)
{
    for (guint i = 0; name && i < rules->rules->len; i++) {
        struct recording_rule *rule = g_ptr_array_index(rules->rules, i);
        if (g_strcmp0(rule->name, name) == 0)
            return rule;
    }
    return NULL;
}

bool recording_rules_check(const struct conf *conf, const char *section, GError **error)
{
    const char *wanted = conf_string(conf, section, "record");
    const char *const *sections = conf_instances(conf, "recording*");
    for (; wanted && sections && *sections; sections++) {
        g_autofree char *name = conf_instance_name(*sections);
        if (strcmp(name, wanted) == 0)
            return true;
    }
    if (wanted)
        problem_set(error, PROBLEM_INVALID_MESSAGE,
                    "[%s] record: there is no section [recording \"%s\"]", section, wanted);
    return !wanted;
}

/* --- names ---------------------------------------------------------------------------------------
 */

/* alice@example.org → alice, room/green hall@example.org → green_hall */
static void add_value(GString *name, const char *value)
{
    const char *end = value + (value ? strcspn(value, "@") : 0), *begin = value;
    for (const char *p = value; p && p < end; p++)
        if (*p == '/')
            begin = p + 1;
    if (!value || begin == end) {
        g_string_append(name, "unknown");
        return;
    }
    for (guint n = 0; begin < end && n < VALUE_MAX; begin++, n++) {
        bool plain =
            g_ascii_isalnum(*begin) || *begin == '-' || *begin == '_' || (*begin == '.' && n > 0);
        g_string_append_c(name, plain ? *begin : '_');
    }
}

static void add_time(GString *name, gint64 wall, const char *format)
{
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(wall / G_USEC_PER_SEC);
    g_autofree char *text = g_date_time_format(time, format);
    g_string_append(name, text);
}

static void add_word(GString *name, enum word word, const struct recording_names *names)
{
    switch (word) {
    case WORD_CALLED:
        add_value(name, names->called);
        break;
    case WORD_CALLER:
        add_value(name, names->caller);
        break;
    case WORD_PARTICIPANT:
        add_value(name, names->participant);
        break;
    case WORD_SESSION:
        add_value(name, names->session);
        break;
    case WORD_DATE:
        add_time(name, names->wall, "%Y%m%d");
        break;
    case WORD_TIME:
        add_time(name, names->wall, "%H%M%S");
        break;
    case WORD_ID:
        g_string_append_printf(name, "%08x", id_random32());
        break;
    }
}

char *recording_rule_file(const struct recording_rule *rule, const struct recording_names *names)
{
    GString *name = g_string_new(NULL);
    for (const char *p = rule->file; *p;) {
        gsize w = *p == '{' ? word_at(p) : G_N_ELEMENTS(words);
        if (w < G_N_ELEMENTS(words)) {
            add_word(name, (enum word)w, names);
            p += strlen(words[w].text);
        } else {
            g_string_append_c(name, *p++);
        }
    }
    return g_string_free(name, FALSE);
}
