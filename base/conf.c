/* SPDX-License-Identifier: Apache-2.0 */
/* Owns a loaded configuration: a table of checked values by section and key, filled source after
 * source in rising order, each value remembering where it came from. Everything is decided while
 * loading; afterwards the object is constant. An instanced section (`wmcf*` in the table,
 * [wmcf "west"] in a file) exists once a file or the command line has named it. */
#include "base/conf.h"

#include "base/conf-file.h"
#include "base/conf-value.h"
#include "base/problem.h"

#include <string.h>

#define INSTANCES_MAX 256
#define INSTANCE_NAME_MAX 64
#define SECRET_MAX 65536

struct conf {
    char *program;
    const struct conf_key *keys;
    size_t n_keys;
    GHashTable *values;    /* "section\nkey" → struct conf_value */
    GHashTable *instances; /* "wmcf*" → GPtrArray of section names, NULL-terminated */
};

/* --- the table of keys ---------------------------------------------------------------------- */

static bool is_instanced(const struct conf_key *key)
{
    return g_str_has_suffix(key->section, "*");
}

/* `wmcf "west"` belongs to `wmcf*`. */
static bool section_matches(const struct conf_key *key, const char *section)
{
    if (!is_instanced(key))
        return strcmp(key->section, section) == 0;
    size_t base = strlen(key->section) - 1, length = strlen(section);
    if (strncmp(key->section, section, base) != 0 || length < base + 4 ||
        length > base + 3 + INSTANCE_NAME_MAX || section[base] != ' ' || section[base + 1] != '"' ||
        section[length - 1] != '"')
        return false;
    for (const char *p = section + base + 2; p < section + length - 1; p++)
        if (!g_ascii_isalnum(*p) && !strchr("._-", *p))
            return false;
    return true;
}

static const struct conf_key *find_key(const struct conf *conf, const char *section,
                                       const char *name)
{
    for (size_t i = 0; i < conf->n_keys; i++)
        if (strcmp(conf->keys[i].name, name) == 0 && section_matches(&conf->keys[i], section))
            return &conf->keys[i];
    return NULL;
}

static const struct conf_key *find_section(const struct conf *conf, const char *section)
{
    for (size_t i = 0; i < conf->n_keys; i++)
        if (section_matches(&conf->keys[i], section))
            return &conf->keys[i];
    return NULL;
}

static bool fail_section(const struct conf *conf, const char *section, const char *where,
                         GError **error)
{
    for (size_t i = 0; i < conf->n_keys; i++) {
        const struct conf_key *key = &conf->keys[i];
        size_t base = strlen(key->section) - 1;
        if (is_instanced(key) && strncmp(section, key->section, base) == 0 &&
            !g_ascii_isalnum(section[base])) {
            problem_set(error, PROBLEM_INVALID_MESSAGE,
                        "%s: section [%s] needs a name of letters, digits, '.', '_' and '-' in "
                        "quotes: [%.*s \"name\"]",
                        where, section, (int)base, section);
            return false;
        }
    }
    problem_set(error, PROBLEM_INVALID_MESSAGE, "%s: unknown section [%s]", where, section);
    return false;
}

/* --- filling -------------------------------------------------------------------------------- */

static char *value_key(const char *section, const char *name)
{
    return g_strconcat(section, "\n", name, NULL);
}

static bool put(struct conf *conf, const struct conf_key *key, const char *section,
                const char *text, const char *directory, const char *origin, const char *where,
                GError **error)
{
    struct conf_value *value = conf_value_new(key, text, directory, origin, where, error);
    if (!value)
        return false;
    g_hash_table_replace(conf->values, value_key(section, key->name), value);
    return true;
}

static bool put_defaults(struct conf *conf, const struct conf_key *like, const char *section,
                         GError **error)
{
    for (size_t i = 0; i < conf->n_keys; i++) {
        const struct conf_key *key = &conf->keys[i];
        if (strcmp(key->section, like->section) == 0 &&
            !put(conf, key, section, key->default_value, "/", "default", "default", error))
            return false;
    }
    return true;
}

static bool ensure_instance(struct conf *conf, const struct conf_key *key, const char *section,
                            GError **error)
{
    GPtrArray *names = g_hash_table_lookup(conf->instances, key->section);
    if (!names) {
        names = g_ptr_array_new_with_free_func(g_free);
        g_ptr_array_add(names, NULL);
        g_hash_table_insert(conf->instances, g_strdup(key->section), names);
    }
    for (guint i = 0; i + 1 < names->len; i++)
        if (strcmp(g_ptr_array_index(names, i), section) == 0)
            return true;
    if (names->len > INSTANCES_MAX) {
        problem_set(error, PROBLEM_INVALID_MESSAGE, "[%s]: more than %d sections of this kind",
                    section, INSTANCES_MAX);
        return false;
    }
    g_ptr_array_insert(names, (gint)names->len - 1, g_strdup(section));
    return put_defaults(conf, key, section, error);
}

static bool open_section(struct conf *conf, const char *section, const char *where, GError **error)
{
    const struct conf_key *like = find_section(conf, section);
    if (!like)
        return fail_section(conf, section, where, error);
    return !is_instanced(like) || ensure_instance(conf, like, section, error);
}

static bool take(struct conf *conf, const char *section, const char *name, const char *text,
                 const char *directory, const char *origin, const char *where, GError **error)
{
    const struct conf_key *key = find_key(conf, section, name);
    if (!key) {
        problem_set(error, PROBLEM_INVALID_MESSAGE, "%s: unknown key '%s' in section [%s]", where,
                    name, section);
        return false;
    }
    return put(conf, key, section, text, directory, origin, where, error);
}

struct reading {
    struct conf *conf;
    GHashTable *seen; /* keys of this file → line number */
    const char *directory;
};

static bool take_file_line(const struct conf_line *line, void *user, GError **error)
{
    struct reading *reading = user;
    g_autofree char *where = g_strdup_printf("%s:%u", line->file, line->number);
    if (!line->key)
        return open_section(reading->conf, line->section, where, error);
    g_autofree char *id = value_key(line->section, line->key);
    guint before = GPOINTER_TO_UINT(g_hash_table_lookup(reading->seen, id));
    if (before) {
        problem_set(error, PROBLEM_INVALID_MESSAGE, "%s: [%s] %s is already set in line %u", where,
                    line->section, line->key, before);
        return false;
    }
    g_hash_table_insert(reading->seen, g_steal_pointer(&id), GUINT_TO_POINTER(line->number));
    return take(reading->conf, line->section, line->key, line->value, reading->directory,
                line->file, where, error);
}

static bool load_file(struct conf *conf, const char *file, GError **error)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autofree char *absolute = g_canonicalize_filename(file, NULL);
    g_autofree char *directory = g_path_get_dirname(absolute);
    struct reading reading = {.conf = conf, .seen = seen, .directory = directory};
    return conf_file_read(file, take_file_line, &reading, error);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool load_drop_ins(struct conf *conf, const char *file, GError **error)
{
    g_autofree char *folder = g_strconcat(file, ".d", NULL);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    if (!dir)
        return true;
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    for (const char *name; (name = g_dir_read_name(dir));)
        if (g_str_has_suffix(name, ".conf") && name[0] != '.')
            g_ptr_array_add(names, g_build_filename(folder, name, NULL));
    g_ptr_array_sort(names, compare_names);
    for (guint i = 0; i < names->len; i++)
        if (!load_file(conf, g_ptr_array_index(names, i), error))
            return false;
    return true;
}

/* WMCF_MEDIA_PORT for [media] port; an instance's name joins in: WSF_WMCF_WEST_URL. */
static char *environment_name(const struct conf *conf, const char *section, const char *name)
{
    g_autofree char *joined = g_strjoin("_", conf->program, section, name, NULL);
    GString *out = g_string_new(NULL);
    for (const char *p = joined; *p; p++)
        if (g_ascii_isalnum(*p))
            g_string_append_c(out, g_ascii_toupper(*p));
        else if (*p != '"')
            g_string_append_c(out, '_');
    return g_string_free(out, FALSE);
}

static bool load_environment_of(struct conf *conf, const struct conf_key *key, const char *section,
                                const char *directory, GError **error)
{
    g_autofree char *variable = environment_name(conf, section, key->name);
    const char *text = g_getenv(variable);
    return !text || put(conf, key, section, text, directory, "environment", variable, error);
}

static bool load_environment(struct conf *conf, const char *directory, GError **error)
{
    for (size_t i = 0; i < conf->n_keys; i++) {
        const struct conf_key *key = &conf->keys[i];
        if (!is_instanced(key)) {
            if (!load_environment_of(conf, key, key->section, directory, error))
                return false;
            continue;
        }
        const char *const *names = conf_instances(conf, key->section);
        for (; *names; names++)
            if (!load_environment_of(conf, key, *names, directory, error))
                return false;
    }
    return true;
}

static bool load_set(struct conf *conf, const char *set, const char *directory, GError **error)
{
    const char *equals = strchr(set, '=');
    const char *dot = equals ? g_strrstr_len(set, equals - set, ".") : NULL;
    if (!dot) {
        problem_set(error, PROBLEM_INVALID_MESSAGE, "command line: '%s' is not section.key=value",
                    set);
        return false;
    }
    g_autofree char *section = g_strstrip(g_strndup(set, (gsize)(dot - set)));
    g_autofree char *name = g_strstrip(g_strndup(dot + 1, (gsize)(equals - dot - 1)));
    g_autofree char *text = g_strstrip(g_strdup(equals + 1));
    return open_section(conf, section, "command line", error) &&
           take(conf, section, name, text, directory, "command line", "command line", error);
}

static bool load_all(struct conf *conf, const char *file, bool file_optional,
                     const char *const *sets, GError **error)
{
    for (size_t i = 0; i < conf->n_keys; i++)
        if (!is_instanced(&conf->keys[i]) &&
            !put(conf, &conf->keys[i], conf->keys[i].section, conf->keys[i].default_value, "/",
                 "default", "default", error))
            return false;
    if (file) {
        if ((!file_optional || g_file_test(file, G_FILE_TEST_EXISTS)) &&
            !load_file(conf, file, error))
            return false;
        if (!load_drop_ins(conf, file, error))
            return false;
    }
    g_autofree char *here = g_get_current_dir();
    if (!load_environment(conf, here, error))
        return false;
    for (; sets && *sets; sets++)
        if (!load_set(conf, *sets, here, error))
            return false;
    return true;
}

struct conf *conf_load(const char *program, const struct conf_key *keys, size_t n_keys,
                       const char *file, bool file_optional, const char *const *sets,
                       GError **error)
{
    struct conf *conf = g_new0(struct conf, 1);
    conf->program = g_strdup(program);
    conf->keys = keys;
    conf->n_keys = n_keys;
    conf->values =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)conf_value_free);
    conf->instances =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_ptr_array_unref);
    if (!load_all(conf, file, file_optional, sets, error))
        g_clear_pointer(&conf, conf_free);
    return conf;
}

void conf_free(struct conf *conf)
{
    if (!conf)
        return;
    g_hash_table_unref(conf->values);
    g_hash_table_unref(conf->instances);
    g_free(conf->program);
    g_free(conf);
}

/* --- reading -------------------------------------------------------------------------------- */

static const struct conf_value *get(const struct conf *conf, const char *section, const char *name)
{
    g_autofree char *id = value_key(section, name);
    const struct conf_value *value = g_hash_table_lookup(conf->values, id);
    if (!value)
        g_error("configuration key [%s] %s is not in the table", section, name);
    return value;
}

const char *conf_string(const struct conf *conf, const char *section, const char *name)
{
    return get(conf, section, name)->text;
}

gint64 conf_int(const struct conf *conf, const char *section, const char *name)
{
    return get(conf, section, name)->number;
}

bool conf_bool(const struct conf *conf, const char *section, const char *name)
{
    return get(conf, section, name)->flag;
}

const char *const *conf_list(const struct conf *conf, const char *section, const char *name)
{
    return (const char *const *)get(conf, section, name)->list;
}

const char *conf_origin(const struct conf *conf, const char *section, const char *name)
{
    return get(conf, section, name)->origin;
}

const char *const *conf_instances(const struct conf *conf, const char *section)
{
    static const char *const none[] = {NULL};
    const GPtrArray *names = g_hash_table_lookup(conf->instances, section);
    return names ? (const char *const *)names->pdata : none;
}

char *conf_instance_name(const char *section)
{
    const char *open = strchr(section, '"');
    const char *close = open ? strrchr(open + 1, '"') : NULL;
    return close ? g_strndup(open + 1, (gsize)(close - open - 1)) : NULL;
}

char *conf_secret(const struct conf *conf, const char *section, const char *name, GError **error)
{
    const char *path = conf_string(conf, section, name);
    if (!path)
        return NULL;
    g_autofree char *text = NULL;
    g_autoptr(GError) cause = NULL;
    gsize length = 0;
    if (!g_file_get_contents(path, &text, &length, &cause)) {
        problem_set(error, PROBLEM_INVALID_MESSAGE, "[%s] %s: %s", section, name, cause->message);
        return NULL;
    }
    if (length > SECRET_MAX || strlen(text) != length) {
        problem_set(error, PROBLEM_INVALID_MESSAGE, "[%s] %s: %s is not a text of up to %d octets",
                    section, name, path, SECRET_MAX);
        return NULL;
    }
    while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == '\r'))
        text[--length] = '\0';
    return g_steal_pointer(&text);
}

/* --- printing ------------------------------------------------------------------------------- */

static void dump_section(const struct conf *conf, const struct conf_key *like, const char *section,
                         GString *out)
{
    g_string_append_printf(out, "%s[%s]\n", out->len ? "\n" : "", section);
    for (size_t i = 0; i < conf->n_keys; i++) {
        if (strcmp(conf->keys[i].section, like->section) != 0)
            continue;
        const struct conf_value *value = get(conf, section, conf->keys[i].name);
        g_string_append_printf(out, "# %s\n%s =%s%s\n", value->origin, conf->keys[i].name,
                               value->text ? " " : "", value->text ? value->text : "");
    }
}

/* The first row of each section stands for it. */
static bool is_first_of_section(const struct conf_key *keys, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (strcmp(keys[j].section, keys[i].section) == 0)
            return false;
    return true;
}

char *conf_dump(const struct conf *conf)
{
    GString *out = g_string_new(NULL);
    for (size_t i = 0; i < conf->n_keys; i++) {
        const struct conf_key *key = &conf->keys[i];
        if (!is_first_of_section(conf->keys, i))
            continue;
        if (!is_instanced(key)) {
            dump_section(conf, key, key->section, out);
            continue;
        }
        for (const char *const *name = conf_instances(conf, key->section); *name; name++)
            dump_section(conf, key, *name, out);
    }
    return g_string_free(out, FALSE);
}

static void append_wrapped(GString *out, const char *text)
{
    g_auto(GStrv) words = g_strsplit(text, " ", -1);
    size_t column = 0;
    for (char **word = words; *word; word++) {
        size_t length = strlen(*word);
        if (column && column + 1 + length > 92) {
            g_string_append_c(out, '\n');
            column = 0;
        }
        g_string_append_printf(out, "%s%s", column ? " " : "# ", *word);
        column += length + (column ? 1 : 2);
    }
    g_string_append_c(out, '\n');
}

static void append_sample_key(GString *out, const struct conf_key *key)
{
    static const char *const types[] = {"text", "integer", "yes or no", "list", "one word", "file"};
    g_string_append_c(out, '\n');
    append_wrapped(out, key->help);
    g_autoptr(GString) kind = g_string_new(types[key->type]);
    if (key->type == CONF_INT)
        g_string_append_printf(kind, " from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT, key->min,
                               key->max);
    if (key->type == CONF_CHOICE) {
        g_auto(GStrv) words = g_strsplit(key->choices, "|", -1);
        g_autofree char *joined = g_strjoinv(", ", words);
        g_string_append_printf(kind, " of: %s", joined);
    }
    if (key->unit)
        g_string_append_printf(kind, ", in %s", key->unit);
    if (!key->default_value)
        g_string_append(kind, "; not set by default");
    g_autofree char *line = g_strdup_printf("(%s)", kind->str);
    append_wrapped(out, line);
    g_string_append_printf(out, "#%s =%s%s\n", key->name, key->default_value ? " " : "",
                           key->default_value ? key->default_value : "");
}

char *conf_sample(const char *program, const struct conf_key *keys, size_t n_keys)
{
    GString *out = g_string_new(NULL);
    g_autofree char *upper = g_ascii_strup(program, -1);
    g_string_append_printf(out,
                           "# Configuration of %s: every key with its default.\n"
                           "# A value may also be set in %s.conf.d/*.conf, by the environment "
                           "(%s_SECTION_KEY) or by\n# --set section.key=value, each stronger than "
                           "the one before. An empty value unsets a key.\n",
                           program, program, upper);
    for (size_t i = 0; i < n_keys; i++) {
        if (!is_first_of_section(keys, i))
            continue;
        if (is_instanced(&keys[i]))
            g_string_append_printf(out,
                                   "\n# One section for each, with a name of your own.\n"
                                   "#[%.*s \"name\"]\n",
                                   (int)strlen(keys[i].section) - 1, keys[i].section);
        else
            g_string_append_printf(out, "\n[%s]\n", keys[i].section);
        for (size_t j = i; j < n_keys; j++)
            if (strcmp(keys[j].section, keys[i].section) == 0)
                append_sample_key(out, &keys[j]);
    }
    return g_string_free(out, FALSE);
}
