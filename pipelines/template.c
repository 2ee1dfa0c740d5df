/* SPDX-License-Identifier: Apache-2.0 */
/* Reads template files and holds their parameters. The pipeline's text is kept line by line, so
 * that what is wrong with it can be told by file and line; template-fill.c puts the values in. */
#include "pipelines/template-parts.h"

#include "base/problem.h"
#include "pipelines/sdp-codec.h"

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
    g_strfreev(parameter->targets);
    g_free(parameter);
}

static void free_line(void *data)
{
    struct template_line *line = data;
    g_free(line->text);
    g_free(line->when_value);
    g_free(line);
}

struct pipeline_template *pipeline_template_ref(struct pipeline_template *t)
{
    g_atomic_ref_count_inc(&t->references);
    return t;
}

void pipeline_template_unref(struct pipeline_template *t)
{
    if (!t || !g_atomic_ref_count_dec(&t->references))
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

struct template_parameter *template_placeholder(const struct pipeline_template *t, const char *at,
                                                gsize length, bool *ret_port)
{
    const char *dot = memchr(at, '.', length);
    gsize name = dot ? (gsize)(dot - at) : length, part = length - name;
    struct template_parameter *p = template_parameter_find(t, at, name);
    *ret_port = part == 5 && memcmp(dot, ".port", 5) == 0;
    bool host = part == 5 && memcmp(dot, ".host", 5) == 0;
    return p && (p->type == TEMPLATE_ADDRESS ? host || *ret_port : !dot) ? p : NULL;
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
    case TEMPLATE_URI:
    case TEMPLATE_FILE:
    case TEMPLATE_ADDRESS:
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
    case TEMPLATE_URI:
    case TEMPLATE_FILE:
    case TEMPLATE_ADDRESS:
        p->length_max = MEDIA_PLACE_MAX;
        return !text || fail(reading, error,
                             "a uri, file or address has nothing behind its "
                             "default");
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

/* What stands behind "->". */
static bool read_targets(const struct reading *reading, struct template_parameter *p,
                         const char *text, GError **error)
{
    p->targets = g_strsplit(text, "|", -1);
    for (char **target = p->targets; *target; target++) {
        const char *dot = strchr(*target, '.');
        if (!dot || !is_word(*target, (gsize)(dot - *target), "_-") ||
            !is_word(dot + 1, strlen(dot + 1), "_-"))
            return fail(reading, error, "\"%s\" is not a property as ELEMENT.PROPERTY", *target);
    }
    return (p->type != TEMPLATE_URI && p->type != TEMPLATE_FILE && p->type != TEMPLATE_ADDRESS) ||
           fail(reading, error, "%s cannot change while the pipeline runs", p->name);
}

static struct template_parameter *add_parameter(const struct reading *reading, const char *name,
                                                GError **error)
{
    if (!is_word(name, strlen(name), "_-")) {
        fail(reading, error, "\"%s\" is not a parameter's name", name);
    } else if (template_parameter_find(reading->made, name, strlen(name)) ||
               strcmp(name, TEMPLATE_CPU_THREADS) == 0) {
        fail(reading, error, "there is a parameter %s already", name);
    } else if (reading->made->parameters->len == PIPELINE_TEMPLATE_PARAMETERS_MAX) {
        fail(reading, error, "more than %u parameters", PIPELINE_TEMPLATE_PARAMETERS_MAX);
    } else {
        struct template_parameter *p = g_new0(struct template_parameter, 1);
        g_ptr_array_add(reading->made->parameters, p);
        p->name = g_strdup(name);
        return p;
    }
    return NULL;
}

static bool read_parameter(const struct reading *reading, const char *text, GError **error)
{
    static const char *const types[] = {"integer", "number", "boolean", "choice", "text",
                                        "uri",     "file",   "address", NULL};
    g_auto(GStrv) words = NULL;
    g_autoptr(GError) cause = NULL;
    int n = 0, type = 0;
    /* A comment at the end is the shell's, too. */
    bool read = g_shell_parse_argv(text, &n, &words, &cause);
    bool changes = read && n >= 5 && strcmp(words[n - 2], "->") == 0;
    n -= changes ? 2 : 0;
    if (!read || n < 3 || n > 4)
        return fail(reading, error,
                    "a parameter is: parameter NAME TYPE DEFAULT BOUNDS -> ELEMENT.PROPERTY");
    while (types[type] && strcmp(types[type], words[1]) != 0)
        type++;
    if (!types[type])
        return fail(reading, error,
                    "\"%s\" is not a type: integer, number, boolean, choice, text, uri, file or "
                    "address",
                    words[1]);
    struct template_parameter *p = add_parameter(reading, words[0], error);
    if (!p)
        return false;
    p->type = (enum template_type)type;
    return read_bounds(reading, p, n > 3 ? words[3] : NULL, error) &&
           read_default(reading, p, words[2], error) &&
           (!changes || read_targets(reading, p, words[n + 1], error));
}

/* A choice among codecs, made by what comes. */
static bool read_input(const struct reading *reading, const char *text, GError **error)
{
    g_auto(GStrv) words = NULL;
    int n = 0;
    bool read = g_shell_parse_argv(text, &n, &words, NULL);
    if (!read || n != 3 || (strcmp(words[1], "audio") != 0 && strcmp(words[1], "video") != 0))
        return fail(reading, error, "an input is: input NAME audio|video CODEC|CODEC|none");
    bool repeated = g_str_has_suffix(words[0], "*");
    if (repeated && reading->made->repeated)
        return fail(reading, error, "there is a repeated input already, %s*",
                    reading->made->repeated->name);
    if (repeated)
        words[0][strlen(words[0]) - 1] = '\0';
    guint others = 0;
    for (guint i = 0; i < reading->made->parameters->len; i++)
        others +=
            ((struct template_parameter *)g_ptr_array_index(reading->made->parameters, i))->input;
    if (others == PIPELINE_INPUTS_MAX)
        return fail(reading, error, "more than %u inputs", PIPELINE_INPUTS_MAX);
    if (strlen(words[0]) > SDP_MAX_MID)
        return fail(reading, error, "an input's name has at most %u letters", SDP_MAX_MID);
    struct template_parameter *p = add_parameter(reading, words[0], error);
    if (!p)
        return false;
    p->type = TEMPLATE_CHOICE;
    p->input = true;
    p->video = strcmp(words[1], "video") == 0;
    p->repeated = repeated;
    if (repeated)
        reading->made->repeated = p;
    if (!read_words(reading, p, words[2], error))
        return false;
    for (char **word = p->words; *word; word++) {
        bool last =
            !word[1] && word > p->words && !repeated && strcmp(*word, TEMPLATE_NO_INPUT) == 0;
        if (!last && !sdp_known_codec_find(p->video ? SDP_VIDEO : SDP_AUDIO, *word))
            return fail(reading, error, "\"%s\" is no %s codec of the media centre", *word,
                        words[1]);
    }
    p->text = g_strdup(p->words[0]);
    return true;
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

static bool read_repeat(const struct reading *reading, const char *text, GError **error)
{
    struct pipeline_template *t = reading->made;
    text += strspn(text, " \t");
    gsize length = strcspn(text, " \t");
    if (text[length + strspn(text + length, " \t")] == '#' || text[length] == '\0') {
        if (g_str_has_prefix(text, "${") && length > 3 && text[length - 1] == '}')
            t->repeats_when = template_parameter_find(t, text + 2, length - 3);
        t->repeats = length == 4 && strncmp(text, "true", 4) == 0;
        if (t->repeats || (length == 5 && strncmp(text, "false", 5) == 0) ||
            (t->repeats_when && t->repeats_when->type == TEMPLATE_BOOLEAN))
            return true;
    }
    return fail(reading, error, "repeat takes true, false or ${…} of a boolean declared above it");
}

static bool is_filter(const char *text)
{
    text += strlen("filter");
    text += strspn(text, " \t");
    return *text == '\0' || *text == '#';
}

/* Quotes may go over lines, as gst-launch has it. */
static bool read_placeholders(const struct reading *reading, const char *text, bool each,
                              char *quote, GError **error)
{
    for (const char *at = text; *at; at++) {
        if (*at == '\\' && at[1])
            at++;
        else if (*quote ? *at == *quote : *at == '"' || *at == '\'')
            *quote = *quote ? '\0' : *at;
        if (at[0] != '$' || at[1] != '{')
            continue;
        gsize length = strcspn(at + 2, "}");
        bool port;
        const struct template_parameter *p =
            template_placeholder(reading->made, at + 2, length, &port);
        bool builtin = length == strlen(TEMPLATE_CPU_THREADS) &&
                       strncmp(at + 2, TEMPLATE_CPU_THREADS, length) == 0;
        if (at[2 + length] != '}' || (!p && !builtin))
            return fail(reading, error,
                        "there is no parameter %.*s; declare it above "
                        "(of an address there are .host and .port)",
                        (int)MIN(length, PIPELINE_TEMPLATE_NAME_MAX), at + 2);
        if (p && p->repeated && !each)
            return fail(reading, error, "${%s} stands in lines that begin with \"each %s:\"",
                        p->name, p->name);
        char after = at[2 + length + 1];
        /* Inside of quotes, or glued to something, its own quotes would end there. */
        if (p && (template_type_is_text(p->type) || p->type == TEMPLATE_ADDRESS) &&
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

/* each NAME: … */
static bool read_each(const struct reading *reading, struct template_line *line, const char **at,
                      GError **error)
{
    const char *text = *at + strlen("each");
    text += strspn(text, " \t");
    const struct template_parameter *p = reading->made->repeated;
    gsize length = strcspn(text, ":");
    if (text[length] != ':' || !p || strlen(p->name) != length ||
        strncmp(p->name, text, length) != 0)
        return fail(reading, error,
                    "it is: each NAME: …, with NAME of an input NAME* declared above it");
    line->each = true;
    text += length + 1;
    *at = text + strspn(text, " \t");
    return true;
}

static bool read_line(struct reading *reading, const char *text, char *quote, GError **error)
{
    text += strspn(text, " \t");
    if (*text == '\0' || *text == '#')
        return true;
    if (starts_with_word(text, "parameter"))
        return read_parameter(reading, text + strlen("parameter"), error);
    if (!*quote && starts_with_word(text, "input"))
        return read_input(reading, text + strlen("input"), error);
    if (!*quote && starts_with_word(text, "repeat"))
        return read_repeat(reading, text + strlen("repeat"), error);
    if (!*quote && g_str_has_prefix(text, "filter") && is_filter(text)) {
        reading->made->filters = true;
        return true;
    }
    struct template_line *line = g_new0(struct template_line, 1);
    g_ptr_array_add(reading->made->lines, line);
    line->number = reading->line;
    if (!*quote && starts_with_word(text, "each") && !read_each(reading, line, &text, error))
        return false;
    if (starts_with_word(text, "when")) {
        text += strlen("when");
        if (*quote)
            return fail(reading, error, "a quote of a line above is still open");
        if (!read_condition(reading, line, &text, error))
            return false;
    }
    if (line->when && line->when->repeated && !line->each)
        return fail(reading, error,
                    "a condition on %s stands in lines that begin with \"each %s:\"",
                    line->when->name, line->when->name);
    line->text = g_strdup(text);
    if (!read_placeholders(reading, text, line->each, quote, error))
        return false;
    /* Left out, it would leave the others in another state of quotation. */
    return (!line->when && !line->each) || !*quote ||
           fail(reading, error, "the line leaves a quote open");
}

static bool has_lines(const struct pipeline_template *t, bool each)
{
    for (guint i = 0; i < t->lines->len; i++)
        if (((const struct template_line *)g_ptr_array_index(t->lines, i))->each == each)
            return true;
    return false;
}

struct pipeline_template *pipeline_template_parse(const char *file, const char *text,
                                                  GError **error)
{
    struct pipeline_template *t = g_new0(struct pipeline_template, 1);
    struct reading reading = {.made = t, .line = 1};
    g_atomic_ref_count_init(&t->references);
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
        if (done && t->repeated && !has_lines(t, true))
            done = fail(&reading, error, "no line begins with \"each %s:\"", t->repeated->name);
        if (done && t->repeated && !has_lines(t, false))
            done = fail(&reading, error, "all lines belong to single inputs: nothing joins them");
    }
    if (!done)
        g_clear_pointer(&t, pipeline_template_unref);
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
