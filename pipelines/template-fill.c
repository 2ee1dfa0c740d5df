/* SPDX-License-Identifier: Apache-2.0 */
/* Puts values into a template. What comes from outside is never text that GStreamer's parser could
 * read as syntax: it is compared with what the parameter allows and then written by us. */
#include "pipelines/template-parts.h"

#include "base/problem.h"

#include <math.h>
#include <string.h>

struct pipeline_text {
    char *file;
    char *description;
    GArray *lines; /* guint: the file's line of each line of the description */
};

void pipeline_text_free(struct pipeline_text *text)
{
    if (!text)
        return;
    g_free(text->file);
    g_free(text->description);
    g_array_unref(text->lines);
    g_free(text);
}

const char *pipeline_text_description(const struct pipeline_text *text)
{
    return text->description;
}

bool template_text_is_safe(const char *text, guint length_max)
{
    if (strlen(text) > length_max || !g_utf8_validate(text, -1, NULL))
        return false;
    for (const char *at = text; *at; at = g_utf8_next_char(at)) {
        gunichar c = g_utf8_get_char(at);
        /* GStreamer's reader of quoted text takes the longest match, and a backslash would let it
         * run over our closing quote. */
        if (c == '"' || c == '\\' || !g_unichar_isprint(c))
            return false;
    }
    return true;
}

/* --- arguments -------------------------------------------------------------------------------- */

static char *pointer_of(const char *base, const char *name)
{
    GString *pointer = g_string_new(base);
    g_string_append_c(pointer, '/');
    for (; *name && pointer->len < 256; name++) { /* RFC 6901 3 */
        if (*name == '~' || *name == '/')
            g_string_append(pointer, *name == '~' ? "~0" : "~1");
        else
            g_string_append_c(pointer, *name);
    }
    char *valid = g_utf8_make_valid(pointer->str, (gssize)pointer->len);
    g_string_free(pointer, TRUE);
    return valid;
}

static bool is_integer(const struct pipeline_argument *argument, gint64 *ret)
{
    *ret = argument->integer;
    if (argument->kind == PIPELINE_VALUE_NUMBER && argument->number == floor(argument->number) &&
        fabs(argument->number) < 9007199254740992.0) {
        *ret = (gint64)argument->number;
        return true;
    }
    return argument->kind == PIPELINE_VALUE_INTEGER;
}

/* The value as the description takes it; NULL: not one of the parameter's, and what they are. */
static char *value_text(const struct template_parameter *p, const struct pipeline_argument *a,
                        char **ret_allowed)
{
    char low[G_ASCII_DTOSTR_BUF_SIZE], high[G_ASCII_DTOSTR_BUF_SIZE];
    gint64 integer;
    double number;
    switch (p->type) {
    case TEMPLATE_INTEGER:
        if (is_integer(a, &integer) && integer >= p->integer_min && integer <= p->integer_max)
            return g_strdup_printf("%" G_GINT64_FORMAT, integer);
        *ret_allowed = g_strdup_printf("an integer from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT,
                                       p->integer_min, p->integer_max);
        return NULL;
    case TEMPLATE_NUMBER:
        number = a->kind == PIPELINE_VALUE_INTEGER ? (double)a->integer : a->number;
        if ((a->kind == PIPELINE_VALUE_INTEGER || a->kind == PIPELINE_VALUE_NUMBER) &&
            number >= p->number_min && number <= p->number_max)
            return g_strdup(g_ascii_dtostr(low, sizeof low, number));
        *ret_allowed = g_strdup_printf("a number from %s to %s",
                                       g_ascii_dtostr(low, sizeof low, p->number_min),
                                       g_ascii_dtostr(high, sizeof high, p->number_max));
        return NULL;
    case TEMPLATE_BOOLEAN:
        if (a->kind == PIPELINE_VALUE_BOOLEAN)
            return g_strdup(a->boolean ? "true" : "false");
        *ret_allowed = g_strdup("true or false");
        return NULL;
    case TEMPLATE_CHOICE:
        for (char **word = p->words; a->kind == PIPELINE_VALUE_TEXT && *word; word++)
            if (strcmp(*word, a->text) == 0)
                return g_strdup(*word);
        *ret_allowed = g_strjoinv(" or ", p->words);
        return NULL;
    case TEMPLATE_TEXT:
        if (a->kind == PIPELINE_VALUE_TEXT && template_text_is_safe(a->text, p->length_max))
            return g_strdup_printf("\"%s\"", a->text);
        *ret_allowed = g_strdup_printf("printable text of at most %u octets without quotation "
                                       "marks and backslashes",
                                       p->length_max);
        return NULL;
    }
    g_return_val_if_reached(NULL);
}

static struct pipeline_argument default_of(const struct template_parameter *p)
{
    static const enum pipeline_value_kind kinds[] = {
        [TEMPLATE_INTEGER] = PIPELINE_VALUE_INTEGER, [TEMPLATE_NUMBER] = PIPELINE_VALUE_NUMBER,
        [TEMPLATE_BOOLEAN] = PIPELINE_VALUE_BOOLEAN, [TEMPLATE_CHOICE] = PIPELINE_VALUE_TEXT,
        [TEMPLATE_TEXT] = PIPELINE_VALUE_TEXT,
    };
    return (struct pipeline_argument){.name = p->name,
                                      .kind = kinds[p->type],
                                      .integer = p->integer,
                                      .number = p->number,
                                      .boolean = p->boolean,
                                      .text = p->text};
}

/* Values by parameter's name. */
static GHashTable *make_values(const struct pipeline_template *t,
                               const struct pipeline_argument *arguments, guint n,
                               guint cpu_threads, const char *base, GError **error)
{
    g_autoptr(GHashTable) values = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);
    for (guint i = 0; i < t->parameters->len + n; i++) {
        bool given = i >= t->parameters->len;
        const struct template_parameter *p;
        struct pipeline_argument argument;
        if (given) {
            argument = arguments[i - t->parameters->len];
            p = template_parameter_find(t, argument.name, strlen(argument.name));
        } else {
            p = g_ptr_array_index(t->parameters, i);
            argument = default_of(p);
        }
        g_autofree char *allowed = NULL;
        char *value = p ? value_text(p, &argument, &allowed) : NULL;
        if (!value) {
            g_autofree char *pointer = pointer_of(base, argument.name);
            if (p)
                problem_set_param(error, PROBLEM_INVALID_MESSAGE, pointer, "%s is %s", p->name,
                                  allowed);
            else
                problem_set_param(error, PROBLEM_INVALID_MESSAGE, pointer,
                                  "the template has no parameter %.64s", argument.name);
            return NULL;
        }
        g_hash_table_insert(values, p->name, value);
    }
    g_hash_table_insert(values, (char *)TEMPLATE_CPU_THREADS, g_strdup_printf("%u", cpu_threads));
    return g_steal_pointer(&values);
}

/* --- the description -------------------------------------------------------------------------- */

static void append_line(GString *out, const char *text, GHashTable *values)
{
    for (const char *at = text; *at; at++) {
        if (at[0] != '$' || at[1] != '{') {
            g_string_append_c(out, *at);
            continue;
        }
        gsize length = strcspn(at + 2, "}");
        g_autofree char *name = g_strndup(at + 2, length);
        g_string_append(out, g_hash_table_lookup(values, name));
        at += 2 + length;
    }
    g_string_append_c(out, '\n');
}

struct pipeline_text *pipeline_template_fill(const struct pipeline_template *t,
                                             const struct pipeline_argument *arguments, guint n,
                                             guint cpu_threads, const char *base, GError **error)
{
    g_autoptr(GHashTable) values = make_values(t, arguments, n, cpu_threads, base, error);
    if (!values)
        return NULL;
    struct pipeline_text *text = g_new0(struct pipeline_text, 1);
    GString *out = g_string_new(NULL);
    text->file = g_strdup(t->file);
    text->lines = g_array_new(FALSE, FALSE, sizeof(guint));
    for (guint i = 0; i < t->lines->len; i++) {
        const struct template_line *line = g_ptr_array_index(t->lines, i);
        if (line->when &&
            strcmp(g_hash_table_lookup(values, line->when->name), line->when_value) != 0)
            continue;
        append_line(out, line->text, values);
        g_array_append_val(text->lines, line->number);
    }
    text->description = g_string_free(out, FALSE);
    return text;
}

/* The words between double quotes of a message. */
static GPtrArray *quoted_words(const char *message)
{
    GPtrArray *words = g_ptr_array_new_with_free_func(g_free);
    const char *open = strchr(message, '"');
    while (open) {
        const char *close = strchr(open + 1, '"');
        if (!close)
            break;
        if (close > open + 1)
            g_ptr_array_add(words, g_strndup(open + 1, (gsize)(close - open - 1)));
        open = strchr(close + 1, '"');
    }
    return words;
}

char *pipeline_text_blame(const struct pipeline_text *text, const char *message)
{
    g_autoptr(GPtrArray) words = quoted_words(message);
    g_auto(GStrv) lines = g_strsplit(text->description, "\n", -1);
    guint best = 0, best_found = 0;
    for (guint i = 0; i < text->lines->len; i++) {
        guint found = 0;
        for (guint w = 0; w < words->len; w++)
            found += strstr(lines[i], g_ptr_array_index(words, w)) != NULL;
        if (found > best_found) {
            best = i;
            best_found = found;
        }
    }
    guint line = text->lines->len ? g_array_index(text->lines, guint, best) : 1;
    return g_strdup_printf("%s:%u", text->file, line);
}
