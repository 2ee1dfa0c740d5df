/* SPDX-License-Identifier: Apache-2.0 */
/* The part of a pipeline that one member of a repeated input has. It is gst-launch syntax as the
 * rest, in which `mix.sink_a` may name an element of the pipeline: GStreamer's parser knows only
 * what is in the same text, so such a name becomes a joint, an `identity` whose free pad is linked
 * when the part is put into the running pipeline. */
#include "pipelines/template-parts.h"

#include "base/problem.h"

#include <string.h>

bool pipeline_text_repeated(const struct pipeline_text *text, struct pipeline_input *ret)
{
    const struct template_parameter *p = text->made_of->repeated;
    if (!p || !text->values)
        return false;
    *ret = (struct pipeline_input){.name = p->name,
                                   .video = p->video,
                                   .codec = g_hash_table_lookup(text->values, p->name),
                                   .codecs = (const char *const *)p->words,
                                   .repeated = true};
    return true;
}

const GPtrArray *pipeline_text_joints(const struct pipeline_text *member)
{
    return member->joints;
}

const GPtrArray *pipeline_text_pieces(const struct pipeline_text *member)
{
    return member->pieces;
}

static void free_joint(void *data)
{
    struct pipeline_joint *joint = data;
    g_free(joint->element);
    g_free(joint->pad);
    g_free(joint);
}

static bool is_name_char(char c)
{
    return g_ascii_isalnum(c) || c == '-' || c == '_';
}

/* The length of ELEMENT.PAD at the beginning of a word; 0: it is something else. */
static gsize reference_length(const char *at, gsize *ret_dot)
{
    gsize n = 0;
    if (!g_ascii_isalpha(*at))
        return 0;
    while (is_name_char(at[n]))
        n++;
    if (at[n] != '.')
        return 0;
    *ret_dot = n++;
    while (is_name_char(at[n]))
        n++;
    return at[n] == '\0' || g_ascii_isspace(at[n]) ? n : 0;
}

/* Whether the part itself has an element of this name. */
static bool has_own(const char *description, const char *name, gsize length)
{
    const char *at = description;
    while ((at = strstr(at, "name="))) {
        bool begins = at == description || g_ascii_isspace(at[-1]);
        at += strlen("name=");
        if (begins && strncmp(at, name, length) == 0 && !is_name_char(at[length]))
            return true;
    }
    return false;
}

/* In place of what stands outside of the part, joints. `ret_inner`: it names an element of its own.
 */
static char *make_joints(const char *text, const char *whole, GPtrArray *joints, bool *ret_inner)
{
    GString *out = g_string_new(NULL);
    char quote = '\0';
    for (const char *at = text; *at; at++) {
        bool begins = !quote && (at == text || g_ascii_isspace(at[-1]));
        gsize dot = 0, length = begins ? reference_length(at, &dot) : 0;
        bool own = length && has_own(whole, at, dot);
        *ret_inner |= own;
        if (length && !own) {
            struct pipeline_joint *joint = g_new0(struct pipeline_joint, 1);
            joint->element = g_strndup(at, dot);
            joint->pad = length > dot + 1 ? g_strndup(at + dot + 1, length - dot - 1) : NULL;
            g_string_append_printf(out, "identity silent=true name=" PIPELINE_JOINT, joints->len);
            g_ptr_array_add(joints, joint);
            at += length - 1;
            continue;
        }
        if (*at == '\\' && at[1])
            g_string_append_c(out, *at++);
        else if (quote ? *at == quote : *at == '"' || *at == '\'')
            quote = quote ? '\0' : *at;
        g_string_append_c(out, *at);
    }
    return g_string_free(out, FALSE);
}

/* A mixer has a member on both sides: in one bin they would be a circle, which GStreamer cannot
 * bring in order. */
static void make_pieces(struct pipeline_text *member, const char *whole)
{
    bool inner = false;
    member->joints = g_ptr_array_new_with_free_func(free_joint);
    member->description = make_joints(whole, whole, member->joints, &inner);
    member->pieces = g_ptr_array_new_with_free_func(g_free);
    g_auto(GStrv) lines = g_strsplit(member->description, "\n", -1);
    g_autoptr(GString) piece = g_string_new(NULL);
    for (char **line = lines; *line; line++) {
        const char *begin = *line + strspn(*line, " \t");
        if (*begin && *begin != '!' && piece->len && !inner) {
            g_ptr_array_add(member->pieces, g_strdup(piece->str));
            g_string_truncate(piece, 0);
        }
        g_string_append_printf(piece, "%s\n", *line);
    }
    g_ptr_array_add(member->pieces, g_strdup(piece->str));
}

/* The template's word for it; NULL: it does not take it. */
static const char *codec_word(const struct template_parameter *p, const char *codec, GError **error)
{
    for (char **word = p->words; *word; word++)
        if (g_ascii_strcasecmp(*word, codec) == 0)
            return *word;
    g_autofree char *words = g_strjoinv(" or ", p->words);
    problem_set_param(error, PROBLEM_INVALID_MESSAGE, "/inputs",
                      "the input %s takes %s (%s), not %s", p->name, p->video ? "video" : "audio",
                      words, codec);
    return NULL;
}

struct pipeline_text *pipeline_text_member(const struct pipeline_text *text, const char *name,
                                           const char *codec, GError **error)
{
    struct pipeline_template *t = text->made_of;
    struct pipeline_input input;
    if (!pipeline_text_repeated(text, &input)) {
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, "/inputs",
                          "the template has no repeated input");
        return NULL;
    }
    const char *word = codec_word(t->repeated, codec ? codec : input.codec, error);
    if (!word)
        return NULL;
    struct pipeline_text *member = template_text_new(t);
    GString *out = g_string_new(NULL);
    for (guint i = 0; i < t->lines->len; i++) {
        const struct template_line *line = g_ptr_array_index(t->lines, i);
        const char *is = !line->when ? NULL
                         : line->when == t->repeated
                             ? word
                             : g_hash_table_lookup(text->values, line->when->name);
        if (!line->each || (is && strcmp(is, line->when_value) != 0))
            continue;
        template_line_append(out, t, line->text, text->values, text->cpu_threads, name);
        g_array_append_val(member->lines, line->number);
    }
    make_pieces(member, out->str);
    g_string_free(out, TRUE);
    input.codec = word; /* lives as long as the template */
    input.name = t->repeated->name;
    g_array_append_val(member->inputs, input);
    return member;
}
