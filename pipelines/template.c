/* SPDX-License-Identifier: Apache-2.0 */
/* Reads template files and holds their parameters. The pipeline's text is kept line by line, so
 * that what is wrong with it can be told by file and line; template-fill.c puts the values in. */
#include "pipelines/template-parts.h"

#include "base/problem.h"

#include <string.h>

#define SUFFIX ".pipeline"
#define FOLDER_FILES_MAX 1024

struct reading {
    struct pipeline_template *made;
    guint line;
};

static bool fail(const struct reading *reading, GError **error, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

static bool fail(const struct reading *reading, GError **error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    problem_set(error, PROBLEM_WMCF_ERROR, "%s:%u: %s", reading->made->file, reading->line, text);
    return false;
}

static void free_parameter(void *data)
{
    struct template_parameter *parameter = data;
    g_free(parameter->name);
    g_free(parameter->text);
    g_strfreev(parameter->words);
    g_free(parameter);
}

static void free_line(void *data)
{
    struct template_line *line = data;
    g_free(line->text);
    g_free(line->when_value);
    g_free(line);
}

void pipeline_template_free(struct pipeline_template *t)
{
    if (!t)
        return;
    g_free(t->file);
    g_ptr_array_unref(t->parameters);
    g_ptr_array_unref(t->lines);
    g_free(t);
}

/* --- names ------------------------------------------------------------------------------------ */

static bool is_word(const char *text, gsize length, const char *more)
{
    if (length == 0 || length > PIPELINE_TEMPLATE_NAME_MAX)
        return false;
    for (gsize i = 0; i < length; i++)
        if (!g_ascii_isalnum(text[i]) && !strchr(more, text[i]))
            return false;
    return true;
}

struct template_parameter *template_parameter_find(const struct pipeline_template *t,
                                                   const char *name, gsize length)
{
    for (guint i = 0; i < t->parameters->len; i++) {
        struct template_parameter *parameter = g_ptr_array_index(t->parameters, i);
        if (strlen(parameter->name) == length && memcmp(parameter->name, name, length) == 0)
            return parameter;
    }
    return NULL;
}

/* --- parameters ------------------------------------------------------------------------------- */

static bool scan_integer(const char *text, const char *end, gint64 *ret)
{
    char *stop;
    if (text == end || g_ascii_isspace(*text))
        return false;
    *ret = g_ascii_strtoll(text, &stop, 10);
    return stop == end;
}

static bool scan_number(const char *text, const char *end, double *ret)
{
    g_autofree char *alone = g_strndup(text, (gsize)(end - text)); /* "1..9" begins with "1." */
    char *stop;
    if (text == end || g_ascii_isspace(*text))
        return false;
    *ret = g_ascii_strtod(alone, &stop);
    return *stop == '\0' && *ret - *ret == 0; /* finite */
}

static bool read_range(const struct reading *reading, struct template_parameter *p,
                       const char *range, GError **error)
{
    const char *dots = strstr(range, "..");
    const char *end = range + strlen(range);
    bool good = dots;
    if (good && p->type == TEMPLATE_INTEGER)
        good = scan_integer(range, dots, &p->integer_min) &&
               scan_integer(dots + 2, end, &p->integer_max);
    else if (good)
        good =
            scan_number(range, dots, &p->number_min) && scan_number(dots + 2, end, &p->number_max);
    return good || fail(reading, error, "\"%s\" is not a range as 1..9", range);
}

static bool read_default(const struct reading *reading, struct template_parameter *p,
                         const char *text, GError **error)
{
    const char *end = text + strlen(text);
    bool good = false;
    switch (p->type) {
    case TEMPLATE_INTEGER:
        good = scan_integer(text, end, &p->integer) && p->integer >= p->integer_min &&
               p->integer <= p->integer_max;
        break;
    case TEMPLATE_NUMBER:
        good = scan_number(text, end, &p->number) && p->number >= p->number_min &&
               p->number <= p->number_max;
        break;
    case TEMPLATE_BOOLEAN:
        p->boolean = strcmp(text, "true") == 0;
        good = p->boolean || strcmp(text, "false") == 0;
        break;
    case TEMPLATE_CHOICE:
        good = g_strv_contains((const char *const *)p->words, text);
        p->text = g_strdup(text);
        break;
    case TEMPLATE_TEXT:
        good = template_text_is_safe(text, p->length_max);
        p->text = g_strdup(text);
        break;
    }
    return good || fail(reading, error, "the default of %s, \"%s\", is not one of its values",
                        p->name, text);
}

static bool read_words(const struct reading *reading, struct template_parameter *p,
                       const char *text, GError **error)
{
    p->words = g_strsplit(text, "|", -1);
    for (char **word = p->words; *word; word++)
        if (!is_word(*word, strlen(*word), "._-"))
            return fail(reading, error,
                        "\"%s\" is not a word: letters, digits, dot, hyphen and underscore", *word);
    return true;
}

/* What bounds the values: a range, the words, the length. */
static bool read_bounds(const struct reading *reading, struct template_parameter *p,
                        const char *text, GError **error)
{
    gint64 length = 0;
    switch (p->type) {
    case TEMPLATE_INTEGER:
    case TEMPLATE_NUMBER:
        return text ? read_range(reading, p, text, error)
                    : fail(reading, error, "%s needs a range as 1..9", p->name);
    case TEMPLATE_BOOLEAN:
        return !text || fail(reading, error, "a boolean has nothing behind its default");
    case TEMPLATE_CHOICE:
        return text ? read_words(reading, p, text, error)
                    : fail(reading, error, "%s needs its words as a|b", p->name);
    case TEMPLATE_TEXT:
        break;
    }
    if (!text || !scan_integer(text, text + strlen(text), &length) || length < 0 ||
        length > PIPELINE_TEMPLATE_TEXT_MAX)
        return fail(reading, error, "%s needs its longest length, up to %u octets", p->name,
                    PIPELINE_TEMPLATE_TEXT_MAX);
    p->length_max = (guint)length;
    return true;
}

static bool read_parameter(const struct reading *reading, const char *text, GError **error)
{
    static const char *const types[] = {"integer", "number", "boolean", "choice", "text", NULL};
    g_auto(GStrv) words = NULL;
    g_autoptr(GError) cause = NULL;
    int n = 0, type = 0;
    /* A comment at the end is the shell's, too. */
    if (!g_shell_parse_argv(text, &n, &words, &cause) || n < 3 || n > 4)
        return fail(reading, error, "a parameter is: parameter NAME TYPE DEFAULT BOUNDS");
    while (types[type] && strcmp(types[type], words[1]) != 0)
        type++;
    if (!is_word(words[0], strlen(words[0]), "_-"))
        return fail(reading, error, "\"%s\" is not a parameter's name", words[0]);
    if (!types[type])
        return fail(reading, error,
                    "\"%s\" is not a type: integer, number, boolean, choice or text", words[1]);
    if (template_parameter_find(reading->made, words[0], strlen(words[0])) ||
        strcmp(words[0], TEMPLATE_CPU_THREADS) == 0)
        return fail(reading, error, "there is a parameter %s already", words[0]);
    if (reading->made->parameters->len == PIPELINE_TEMPLATE_PARAMETERS_MAX)
        return fail(reading, error, "more than %u parameters", PIPELINE_TEMPLATE_PARAMETERS_MAX);
    struct template_parameter *p = g_new0(struct template_parameter, 1);
    g_ptr_array_add(reading->made->parameters, p);
    p->name = g_strdup(words[0]);
    p->type = (enum template_type)type;
    return read_bounds(reading, p, words[3], error) && read_default(reading, p, words[2], error);
}

/* --- lines of the pipeline -------------------------------------------------------------------- */

static bool read_condition(const struct reading *reading, struct template_line *line,
                           const char **at, GError **error)
{
    const char *text = *at + strspn(*at, " \t");
    const char *equals = strchr(text, '='), *colon = strchr(text, ':');
    if (!equals || !colon || equals > colon)
        return fail(reading, error, "a condition is: when NAME=VALUE: …");
    line->when = template_parameter_find(reading->made, text, (gsize)(equals - text));
    if (!line->when ||
        (line->when->type != TEMPLATE_CHOICE && line->when->type != TEMPLATE_BOOLEAN))
        return fail(reading, error, "a condition asks for a choice or a boolean declared above it");
    line->when_value = g_strndup(equals + 1, (gsize)(colon - equals - 1));
    static const char *const booleans[] = {"true", "false", NULL};
    if (!g_strv_contains(
            line->when->type == TEMPLATE_CHOICE ? (const char *const *)line->when->words : booleans,
            line->when_value))
        return fail(reading, error, "%s never has the value \"%s\"", line->when->name,
                    line->when_value);
    *at = colon + 1;
    return true;
}

/* Quotes may go over lines, as gst-launch has it. */
static bool read_placeholders(const struct reading *reading, const char *text, char *quote,
                              GError **error)
{
    for (const char *at = text; *at; at++) {
        if (*at == '\\' && at[1])
            at++;
        else if (*quote ? *at == *quote : *at == '"' || *at == '\'')
            *quote = *quote ? '\0' : *at;
        if (at[0] != '$' || at[1] != '{')
            continue;
        gsize length = strcspn(at + 2, "}");
        const struct template_parameter *p = template_parameter_find(reading->made, at + 2, length);
        bool builtin = length == strlen(TEMPLATE_CPU_THREADS) &&
                       strncmp(at + 2, TEMPLATE_CPU_THREADS, length) == 0;
        if (at[2 + length] != '}' || (!p && !builtin))
            return fail(reading, error, "there is no parameter %.*s; declare it above",
                        (int)MIN(length, PIPELINE_TEMPLATE_NAME_MAX), at + 2);
        char after = at[2 + length + 1];
        /* Inside of quotes, or glued to something, its own quotes would end there. */
        if (p && p->type == TEMPLATE_TEXT &&
            (*quote || at == text || at[-1] != '=' || (after && !g_ascii_isspace(after))))
            return fail(reading, error,
                        "the text ${%s} must be a property's whole value: name=${%s}", p->name,
                        p->name);
        at += 2 + length;
    }
    return true;
}

static bool starts_with_word(const char *text, const char *word)
{
    gsize length = strlen(word);
    return strncmp(text, word, length) == 0 && (text[length] == ' ' || text[length] == '\t');
}

static bool read_line(struct reading *reading, const char *text, char *quote, GError **error)
{
    text += strspn(text, " \t");
    if (*text == '\0' || *text == '#')
        return true;
    if (starts_with_word(text, "parameter"))
        return read_parameter(reading, text + strlen("parameter"), error);
    struct template_line *line = g_new0(struct template_line, 1);
    g_ptr_array_add(reading->made->lines, line);
    line->number = reading->line;
    if (starts_with_word(text, "when")) {
        text += strlen("when");
        if (*quote)
            return fail(reading, error, "a quote of a line above is still open");
        if (!read_condition(reading, line, &text, error))
            return false;
    }
    line->text = g_strdup(text);
    if (!read_placeholders(reading, text, quote, error))
        return false;
    /* Left out, it would leave the others in another state of quotation. */
    return !line->when || !*quote || fail(reading, error, "the line leaves a quote open");
}

struct pipeline_template *pipeline_template_parse(const char *file, const char *text,
                                                  GError **error)
{
    struct pipeline_template *t = g_new0(struct pipeline_template, 1);
    struct reading reading = {.made = t, .line = 1};
    t->file = g_strdup(file);
    t->parameters = g_ptr_array_new_with_free_func(free_parameter);
    t->lines = g_ptr_array_new_with_free_func(free_line);
    bool done = false;
    if (strlen(text) > PIPELINE_TEMPLATE_OCTETS_MAX) {
        fail(&reading, error, "the file is longer than %u octets", PIPELINE_TEMPLATE_OCTETS_MAX);
    } else if (!g_utf8_validate(text, -1, NULL)) {
        fail(&reading, error, "the file is not UTF-8");
    } else {
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        char quote = '\0';
        done = true;
        for (char **line = lines; *line && done; line++, reading.line++)
            done = read_line(&reading, g_strchomp(*line), &quote, error);
        if (done)
            reading.line = MAX(reading.line, 2) - 1; /* the last one */
        if (done && quote)
            done = fail(&reading, error, "a quote is never closed");
        if (done && t->lines->len == 0)
            done = fail(&reading, error, "there is no pipeline in it");
    }
    if (!done)
        g_clear_pointer(&t, pipeline_template_free);
    return t;
}

/* --- files ------------------------------------------------------------------------------------ */

struct pipeline_template *pipeline_template_load(const char *const *folders, const char *name,
                                                 GError **error)
{
    if (is_word(name, strlen(name), "_-")) {
        for (; *folders; folders++) {
            g_autofree char *file = g_strconcat(*folders, "/", name, SUFFIX, NULL);
            g_autofree char *text = NULL;
            g_autoptr(GError) cause = NULL;
            gsize length = 0;
            if (g_file_get_contents(file, &text, &length, &cause)) {
                if (strlen(text) == length)
                    return pipeline_template_parse(file, text, error);
                problem_set(error, PROBLEM_WMCF_ERROR, "%s is not a text file", file);
                return NULL;
            }
            if (!g_error_matches(cause, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
                problem_set(error, PROBLEM_WMCF_ERROR, "%s", cause->message);
                return NULL;
            }
        }
    }
    problem_set(error, PROBLEM_RESOURCE_NOT_FOUND, "there is no pipeline template \"%.64s\"", name);
    return NULL;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char **pipeline_template_names(const char *const *folders)
{
    GPtrArray *names = g_ptr_array_new();
    for (; *folders; folders++) {
        g_autoptr(GDir) dir = g_dir_open(*folders, 0, NULL);
        const char *file;
        while (dir && names->len < FOLDER_FILES_MAX && (file = g_dir_read_name(dir))) {
            gsize length = strlen(file) - MIN(strlen(file), strlen(SUFFIX));
            if (!g_str_has_suffix(file, SUFFIX) || !is_word(file, length, "_-"))
                continue;
            char *name = g_strndup(file, length);
            if (g_ptr_array_find_with_equal_func(names, name, g_str_equal, NULL))
                g_free(name);
            else
                g_ptr_array_add(names, name);
        }
    }
    g_ptr_array_sort(names, compare);
    g_ptr_array_add(names, NULL);
    return (char **)g_ptr_array_free(names, FALSE);
}
