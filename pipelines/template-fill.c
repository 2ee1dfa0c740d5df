/* SPDX-License-Identifier: Apache-2.0 */
/* Puts values into a template. What comes from outside is never text that GStreamer's parser could
 * read as syntax: it is compared with what the parameter allows and then written by us. */
#include "pipelines/template-parts.h"

#include "base/problem.h"

#include <math.h>
#include <string.h>

void pipeline_text_free(struct pipeline_text *text)
{
    if (!text)
        return;
    pipeline_template_unref(text->made_of);
    g_free(text->description);
    g_array_unref(text->lines);
    g_array_unref(text->files);
    g_array_unref(text->inputs);
    g_clear_pointer(&text->values, g_hash_table_unref);
    g_clear_pointer(&text->joints, g_ptr_array_unref);
    g_clear_pointer(&text->pieces, g_ptr_array_unref);
    g_free(text);
}

void pipeline_text_discard_files(const struct pipeline_text *text)
{
    for (guint i = 0; i < text->files->len; i++)
        media_place_discard(g_array_index(text->files, int, i));
}

const char *pipeline_text_description(const struct pipeline_text *text)
{
    return text->description;
}

bool pipeline_template_filters(const struct pipeline_template *t)
{
    return t->filters;
}

bool pipeline_text_filters(const struct pipeline_text *text)
{
    return text->made_of->filters;
}

bool pipeline_text_repeats(const struct pipeline_text *text)
{
    return text->repeats;
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

char *template_pointer(const char *base, const char *name)
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

/* A word of a command line, as the parameter's type has it. */
static struct pipeline_argument read_word(const struct template_parameter *p,
                                          const struct pipeline_argument *word)
{
    struct pipeline_argument a = *word;
    char *end = NULL;
    a.kind = PIPELINE_VALUE_TEXT;
    if (p->type == TEMPLATE_BOOLEAN) {
        a.boolean = strcmp(word->text, "true") == 0;
        a.kind = a.boolean || strcmp(word->text, "false") == 0 ? PIPELINE_VALUE_BOOLEAN
                                                               : PIPELINE_VALUE_OTHER;
    } else if (p->type == TEMPLATE_INTEGER || p->type == TEMPLATE_NUMBER) {
        a.number = g_ascii_strtod(word->text, &end);
        a.kind = end != word->text && *end == '\0' && isfinite(a.number) ? PIPELINE_VALUE_NUMBER
                                                                         : PIPELINE_VALUE_OTHER;
    }
    return a;
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
    case TEMPLATE_URI:
    case TEMPLATE_FILE:
    case TEMPLATE_ADDRESS:
        if (a->kind == PIPELINE_VALUE_TEXT && template_text_is_safe(a->text, p->length_max))
            return g_strdup(a->text);
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
        [TEMPLATE_TEXT] = PIPELINE_VALUE_TEXT,       [TEMPLATE_URI] = PIPELINE_VALUE_TEXT,
        [TEMPLATE_FILE] = PIPELINE_VALUE_TEXT,       [TEMPLATE_ADDRESS] = PIPELINE_VALUE_TEXT,
    };
    return (struct pipeline_argument){.name = p->name,
                                      .kind = kinds[p->type],
                                      .integer = p->integer,
                                      .number = p->number,
                                      .boolean = p->boolean,
                                      .text = p->text};
}

/* The value of one argument, checked; a uri as it was said. */
static char *check_value(const struct pipeline_template *t, const struct pipeline_argument *a,
                         const char *base, const struct template_parameter **ret, GError **error)
{
    g_autofree char *allowed = NULL;
    struct pipeline_argument word;
    *ret = template_parameter_find(t, a->name, strlen(a->name));
    if (*ret && a->kind == PIPELINE_VALUE_WORD) {
        word = read_word(*ret, a);
        a = &word;
    }
    char *value = *ret ? value_text(*ret, a, &allowed) : NULL;
    if (value)
        return value;
    g_autofree char *pointer = template_pointer(base, a->name);
    if (*ret)
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, pointer, "%s is %s", a->name, allowed);
    else
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, pointer,
                          "the template has no parameter %.64s", a->name);
    return NULL;
}

/* Nothing is opened or made. */
static char *as_said(const struct media_places *places, const struct template_parameter *p,
                     const char *said)
{
    bool uri = p->type == TEMPLATE_URI;
    const char *folder = uri ? places->folder : places->record_folder;
    if (uri && strstr(said, "://"))
        return g_strdup(said);
    g_autofree char *path = g_canonicalize_filename(said, folder);
    return uri ? g_filename_to_uri(path, NULL, NULL) : g_steal_pointer(&path);
}

/* In place of each uri and file what the places make of it. */
static bool open_places(const struct pipeline_template *t,
                        const struct pipeline_surroundings *surroundings, GHashTable *values,
                        GArray *files, const char *base, GError **error)
{
    for (guint i = 0; i < t->parameters->len; i++) {
        const struct template_parameter *p = g_ptr_array_index(t->parameters, i);
        if (p->type != TEMPLATE_URI && p->type != TEMPLATE_FILE)
            continue;
        g_autofree char *pointer = template_pointer(base, p->name);
        const char *said = g_hash_table_lookup(values, p->name);
        const char *stand_in =
            p->type == TEMPLATE_URI ? surroundings->stand_in : surroundings->stand_in_file;
        int file = -1;
        char *uri;
        if (*said == '\0' && stand_in)
            uri = g_strdup(stand_in);
        else if (surroundings->as_said)
            uri = as_said(&surroundings->places, p, said);
        else if (p->type == TEMPLATE_URI)
            uri = media_place_open(&surroundings->places, said, pointer, &file, error);
        else
            uri = media_place_create(&surroundings->places, said, pointer, &file, error);
        if (!uri)
            return false;
        if (file >= 0)
            g_array_append_val(files, file);
        g_hash_table_insert(values, p->name, uri);
    }
    return true;
}

/* Values by parameter's name. */
static GHashTable *make_values(const struct pipeline_template *t,
                               const struct pipeline_argument *arguments, guint n, const char *base,
                               GError **error)
{
    g_autoptr(GHashTable) values = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);
    for (guint i = 0; i < t->parameters->len + n; i++) {
        struct pipeline_argument argument = i < t->parameters->len
                                                ? default_of(g_ptr_array_index(t->parameters, i))
                                                : arguments[i - t->parameters->len];
        const struct template_parameter *p;
        char *value = check_value(t, &argument, base, &p, error);
        if (!value)
            return NULL;
        g_hash_table_insert(values, p->name, value);
    }
    return g_steal_pointer(&values);
}

/* --- inputs ----------------------------------------------------------------------------------- */

guint pipeline_template_inputs(const struct pipeline_template *t,
                               struct pipeline_input ret[PIPELINE_INPUTS_MAX])
{
    guint n = 0;
    for (guint i = 0; i < t->parameters->len; i++) {
        const struct template_parameter *p = g_ptr_array_index(t->parameters, i);
        if (!p->input)
            continue;
        const char *const *words = (const char *const *)p->words;
        ret[n++] = (struct pipeline_input){.name = p->name,
                                           .video = p->video,
                                           .codecs = words,
                                           .optional = g_strv_contains(words, TEMPLATE_NO_INPUT),
                                           .repeated = p->repeated};
    }
    return n;
}

guint pipeline_text_inputs(const struct pipeline_text *text,
                           struct pipeline_input ret[PIPELINE_INPUTS_MAX])
{
    for (guint i = 0; i < text->inputs->len; i++)
        ret[i] = g_array_index(text->inputs, struct pipeline_input, i);
    return text->inputs->len;
}

static const struct pipeline_input *given(const struct pipeline_surroundings *surroundings,
                                          const char *name)
{
    for (guint i = 0; i < surroundings->n_inputs; i++)
        if (strcmp(surroundings->inputs[i].name, name) == 0)
            return &surroundings->inputs[i];
    return NULL;
}

/* The codec of an input, as its template's word for it; NULL and *error when it does not fit. */
static const char *input_value(const struct template_parameter *p,
                               const struct pipeline_input *input, GError **error)
{
    const char *wanted = input ? input->codec : TEMPLATE_NO_INPUT;
    for (char **word = p->words; (!input || input->video == p->video) && *word; word++)
        if (g_ascii_strcasecmp(*word, wanted) == 0)
            return *word;
    g_autofree char *words = g_strjoinv(" or ", p->words);
    if (!input)
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, "/inputs",
                          "the template needs the input %s (%s, %s)", p->name,
                          p->video ? "video" : "audio", words);
    else
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, "/inputs",
                          "the input %s takes %s (%s), not %s %s", p->name,
                          p->video ? "video" : "audio", words, input->video ? "video" : "audio",
                          input->codec);
    return NULL;
}

static bool place_inputs(struct pipeline_text *text, GHashTable *values,
                         const struct pipeline_surroundings *surroundings, GError **error)
{
    const struct pipeline_template *t = text->made_of;
    for (guint i = 0; i < t->parameters->len; i++) {
        const struct template_parameter *p = g_ptr_array_index(t->parameters, i);
        if (!p->input || p->repeated)
            continue;
        const char *codec = surroundings->any_input
                                ? g_hash_table_lookup(values, p->name)
                                : input_value(p, given(surroundings, p->name), error);
        if (!codec)
            return false;
        struct pipeline_input input = {.name = p->name, .video = p->video};
        for (char **word = p->words; *word; word++)
            if (strcmp(*word, codec) == 0)
                input.codec = *word; /* lives as long as the template */
        g_hash_table_insert(values, p->name, g_strdup(input.codec));
        if (strcmp(input.codec, TEMPLATE_NO_INPUT) != 0)
            g_array_append_val(text->inputs, input);
    }
    for (guint i = 0; i < surroundings->n_inputs && !surroundings->any_input; i++) {
        const char *name = surroundings->inputs[i].name;
        const struct template_parameter *p = template_parameter_find(t, name, strlen(name));
        if (p && p->input && !p->repeated)
            continue;
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, "/inputs",
                          "the template has no input %.64s", name);
        return false;
    }
    return true;
}

static bool is_asked_for(const struct pipeline_template *t, const struct template_parameter *p)
{
    for (guint i = 0; i < t->lines->len; i++)
        if (((const struct template_line *)g_ptr_array_index(t->lines, i))->when == p)
            return true;
    return false;
}

GArray *pipeline_template_variants(const struct pipeline_template *t)
{
    GArray *variants = g_array_new(FALSE, TRUE, sizeof(struct pipeline_argument));
    for (guint i = 0; i < t->parameters->len; i++) {
        const struct template_parameter *p = g_ptr_array_index(t->parameters, i);
        struct pipeline_argument other = default_of(p);
        if (!is_asked_for(t, p))
            continue;
        if (p->type == TEMPLATE_BOOLEAN) {
            other.boolean = !p->boolean;
            g_array_append_val(variants, other);
        }
        for (char **word = p->words; word && *word; word++) {
            other.text = *word;
            if (strcmp(*word, p->text) != 0)
                g_array_append_val(variants, other);
        }
    }
    return variants;
}

/* --- the description -------------------------------------------------------------------------- */

static void append_address(GString *out, const char *value, bool port)
{
    const char *space = strchr(value, ' ');
    if (port)
        g_string_append(out, space + 1);
    else
        g_string_append_printf(out, "\"%.*s\"", (int)(space - value), value);
}

void template_line_append(GString *out, const struct pipeline_template *t, const char *text,
                          GHashTable *values, guint cpu_threads, const char *member)
{
    for (const char *at = text; *at; at++) {
        if (at[0] != '$' || at[1] != '{') {
            g_string_append_c(out, *at);
            continue;
        }
        gsize length = strcspn(at + 2, "}");
        bool port;
        const struct template_parameter *p = template_placeholder(t, at + 2, length, &port);
        if (!p)
            g_string_append_printf(out, "%u", cpu_threads);
        else if (p->type == TEMPLATE_ADDRESS)
            append_address(out, g_hash_table_lookup(values, p->name), port);
        else if (p->repeated)
            g_string_append(out, member);
        else if (template_type_is_text(p->type))
            g_string_append_printf(out, "\"%s\"",
                                   (const char *)g_hash_table_lookup(values, p->name));
        else
            g_string_append(out, g_hash_table_lookup(values, p->name));
        at += 2 + length;
    }
    g_string_append_c(out, '\n');
}

static void close_file(void *file)
{
    media_place_close(*(int *)file);
}

struct pipeline_text *template_text_new(struct pipeline_template *t)
{
    struct pipeline_text *text = g_new0(struct pipeline_text, 1);
    text->made_of = pipeline_template_ref(t);
    text->lines = g_array_new(FALSE, FALSE, sizeof(guint));
    text->files = g_array_new(FALSE, FALSE, sizeof(int));
    text->inputs = g_array_new(FALSE, FALSE, sizeof(struct pipeline_input));
    g_array_set_clear_func(text->files, close_file);
    return text;
}

static void describe(struct pipeline_text *text, GHashTable *values, guint cpu_threads)
{
    const struct pipeline_template *t = text->made_of;
    GString *out = g_string_new(NULL);
    for (guint i = 0; i < t->lines->len; i++) {
        const struct template_line *line = g_ptr_array_index(t->lines, i);
        if (line->each || !template_line_is_there(line, values))
            continue;
        template_line_append(out, t, line->text, values, cpu_threads, NULL);
        g_array_append_val(text->lines, line->number);
    }
    text->description = g_string_free(out, FALSE);
    text->repeats = t->repeats;
    if (t->repeats_when)
        text->repeats = strcmp(g_hash_table_lookup(values, t->repeats_when->name), "true") == 0;
}

/* What comes in is no wish: inputs are told by what is connected, and for a check alone by name. */
static bool refuse_inputs(const struct pipeline_template *t,
                          const struct pipeline_argument *arguments, guint n,
                          const struct pipeline_surroundings *surroundings, const char *base,
                          GError **error)
{
    for (guint i = 0; i < n && !surroundings->any_input; i++) {
        const struct template_parameter *p =
            template_parameter_find(t, arguments[i].name, strlen(arguments[i].name));
        if (!p || !p->input)
            continue;
        g_autofree char *pointer = template_pointer(base, p->name);
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, pointer,
                          "%s is an input; name its source in inputs", p->name);
        return false;
    }
    return true;
}

struct pipeline_text *pipeline_template_fill(struct pipeline_template *t,
                                             const struct pipeline_argument *arguments, guint n,
                                             const struct pipeline_surroundings *surroundings,
                                             const char *base, GError **error)
{
    g_autoptr(GHashTable) values = NULL;
    if (!refuse_inputs(t, arguments, n, surroundings, base, error) ||
        !(values = make_values(t, arguments, n, base, error)))
        return NULL;
    struct pipeline_text *text = template_text_new(t);
    if (!place_inputs(text, values, surroundings, error) ||
        !template_read_addresses(t, surroundings, values, base, error) ||
        !template_check_addresses(t, values, base, error) ||
        !open_places(t, surroundings, values, text->files, base, error))
        g_clear_pointer(&text, pipeline_text_free);
    else
        describe(text, values, surroundings->cpu_threads);
    if (text) {
        text->values = g_steal_pointer(&values);
        text->cpu_threads = surroundings->cpu_threads;
    }
    return text;
}

/* --- changes ---------------------------------------------------------------------------------- */

static void clear_setting(void *data)
{
    struct pipeline_setting *setting = data;
    g_free(setting->element);
    g_free(setting->property);
    g_free(setting->value);
}

static GArray *settings_new(void)
{
    GArray *settings = g_array_new(FALSE, TRUE, sizeof(struct pipeline_setting));
    g_array_set_clear_func(settings, clear_setting);
    return settings;
}

static void add_settings(GArray *settings, const struct template_parameter *p, const char *value)
{
    for (char **target = p->targets; target && *target; target++) {
        const char *dot = strchr(*target, '.');
        struct pipeline_setting setting = {
            .element = g_strndup(*target, (gsize)(dot - *target)),
            .property = g_strdup(dot + 1),
            .value = g_strdup(value),
            .parameter = p->name,
        };
        g_array_append_val(settings, setting);
    }
}

GArray *pipeline_text_change(const struct pipeline_text *text,
                             const struct pipeline_argument *arguments, guint n, const char *base,
                             GError **error)
{
    g_autoptr(GArray) settings = settings_new();
    for (guint i = 0; i < n; i++) {
        const struct template_parameter *p;
        g_autofree char *value = check_value(text->made_of, &arguments[i], base, &p, error);
        if (!value)
            return NULL;
        if (!p->targets) {
            g_autofree char *pointer = template_pointer(base, p->name);
            problem_set_param(error, PROBLEM_INVALID_MESSAGE, pointer,
                              "%s cannot change while the pipeline runs", p->name);
            return NULL;
        }
        add_settings(settings, p, value);
    }
    return g_steal_pointer(&settings);
}

void pipeline_text_remember(struct pipeline_text *text, const GArray *settings)
{
    for (guint i = 0; i < settings->len; i++) {
        const struct pipeline_setting *setting =
            &g_array_index(settings, struct pipeline_setting, i);
        if (setting->parameter)
            g_hash_table_insert(text->values, (char *)setting->parameter, g_strdup(setting->value));
    }
}

GArray *pipeline_text_changeable(const struct pipeline_text *text)
{
    GArray *settings = settings_new();
    for (guint i = 0; i < text->made_of->parameters->len; i++)
        add_settings(settings, g_ptr_array_index(text->made_of->parameters, i), NULL);
    return settings;
}

/* --- blame ------------------------------------------------------------------------------------ */

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
    return g_strdup_printf("%s:%u", text->made_of->file, line);
}

static bool has_word(const char *line, const char *word)
{
    const char *at = line;
    gsize length = strlen(word);
    while ((at = strstr(at, word))) {
        char before = at == line ? ' ' : at[-1], after = at[length];
        if (!g_ascii_isalnum(before) && !strchr("_-.", before) && !g_ascii_isalnum(after) &&
            (after == '\0' || !strchr("_-=", after)))
            return true;
        at += length;
    }
    return false;
}

char *pipeline_text_find(const struct pipeline_text *text, const char *word)
{
    g_auto(GStrv) lines = g_strsplit(text->description, "\n", -1);
    for (guint i = 0; i < text->lines->len; i++)
        if (has_word(lines[i], word))
            return g_strdup_printf("%s:%u", text->made_of->file,
                                   g_array_index(text->lines, guint, i));
    return NULL;
}
