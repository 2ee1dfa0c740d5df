/* SPDX-License-Identifier: Apache-2.0 */
/* A template with its values in place, for who tries it outside of the media centre. The words of
 * the description become words of the shell, each quoted where it must be. Each wmcfsrc is told the
 * codec of its input and a port, since there is nobody who attaches it. */
#include "wmcf/pipeline-print.h"

#include "base/problem.h"
#include "pipelines/template.h"
#include "wmcf/pipeline-templates.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_PORT 5004
#define SAFE "-_./:,=+@%^"

/* --- words ------------------------------------------------------------------------------------ */

/* Splits at white space outside of quotes, which stay. Transfer full. */
static GPtrArray *words_of(const char *line)
{
    GPtrArray *words = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GString) word = g_string_new(NULL);
    char quote = '\0';
    for (const char *at = line; *at; at++) {
        if (quote ? *at == quote : *at == '"' || *at == '\'')
            quote = quote ? '\0' : *at;
        if (!quote && g_ascii_isspace(*at)) {
            if (word->len)
                g_ptr_array_add(words, g_strdup(word->str));
            g_string_truncate(word, 0);
            continue;
        }
        g_string_append_c(word, *at);
        if (*at == '\\' && at[1])
            g_string_append_c(word, *++at);
    }
    if (word->len)
        g_ptr_array_add(words, g_strdup(word->str));
    return words;
}

static void print_word(const char *word)
{
    bool safe = true;
    for (const char *at = word; *at; at++)
        safe = safe && (g_ascii_isalnum(*at) || strchr(SAFE, *at));
    g_autofree char *quoted = safe || strcmp(word, "!") == 0 ? g_strdup(word) : g_shell_quote(word);
    printf(" %s", quoted);
}

/* --- the description -------------------------------------------------------------------------- */

struct inputs {
    struct pipeline_input list[PIPELINE_INPUTS_MAX];
    guint n;
};

/* Behind `mid=NAME` of a wmcfsrc. */
static void print_input(const struct inputs *inputs, const char *mid)
{
    for (guint i = 0; i < inputs->n; i++) {
        if (strcmp(inputs->list[i].name, mid) == 0)
            printf(" codec=%s port=%u", inputs->list[i].codec, FIRST_PORT + 2 * i);
    }
}

static void print_line(const struct inputs *inputs, const char *line)
{
    g_autoptr(GPtrArray) words = words_of(line);
    bool source = false;
    printf(" \\\n ");
    for (guint i = 0; i < words->len; i++) {
        const char *word = g_ptr_array_index(words, i);
        print_word(word);
        if (!strchr(word, '='))
            source = strcmp(word, "wmcfsrc") == 0;
        if (source && g_str_has_prefix(word, "mid="))
            print_input(inputs, word + strlen("mid="));
    }
}

static void print_text(const struct pipeline_text *text)
{
    struct inputs inputs;
    inputs.n = pipeline_text_inputs(text, inputs.list);
    g_auto(GStrv) lines = g_strsplit(pipeline_text_description(text), "\n", -1);
    printf("gst-launch-1.0 -e -m");
    for (char **line = lines; *line; line++) {
        if (**line)
            print_line(&inputs, *line);
    }
    printf("\n");
}

/* --- values ----------------------------------------------------------------------------------- */

/* The names are cut off in place. */
static bool read_values(char **values, struct pipeline_argument *ret, guint *ret_n, GError **error)
{
    for (*ret_n = 0; values && values[*ret_n]; ++*ret_n) {
        char *equals = strchr(values[*ret_n], '=');
        if (!equals || *ret_n == PIPELINE_TEMPLATE_PARAMETERS_MAX) {
            problem_set(error, PROBLEM_INVALID_MESSAGE, "a value is said as PARAMETER=VALUE");
            return false;
        }
        *equals = '\0';
        ret[*ret_n] = (struct pipeline_argument){
            .name = values[*ret_n], .kind = PIPELINE_VALUE_WORD, .text = equals + 1};
    }
    return true;
}

static bool print(const struct conf *conf, const char *name, char **values, GError **error)
{
    struct pipeline_argument arguments[PIPELINE_TEMPLATE_PARAMETERS_MAX];
    guint n;
    g_auto(GStrv) folders = pipeline_template_folders(conf);
    struct pipeline_surroundings surroundings;
    pipeline_surroundings(conf, &surroundings);
    surroundings.any_input = surroundings.as_said = true;
    if (!read_values(values, arguments, &n, error))
        return false;
    struct pipeline_template *t = pipeline_template_load((const char *const *)folders, name, error);
    struct pipeline_text *text =
        t ? pipeline_template_fill(t, arguments, n, &surroundings, "", error) : NULL;
    if (text)
        print_text(text);
    bool done = text;
    pipeline_text_free(text);
    pipeline_template_unref(t);
    return done;
}

int pipeline_print(const struct conf *conf, const char *name, const char *const *values)
{
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) copy = g_strdupv((char **)values);
    if (print(conf, name, copy, &error))
        return EXIT_SUCCESS;
    fprintf(stderr, "wmcf: %s\n", error->message);
    return EXIT_FAILURE;
}
