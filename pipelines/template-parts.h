/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The inside of a template, for the two files that read and fill it. Threads: any. */
#include "pipelines/template.h"

#include <string.h>

#define TEMPLATE_CPU_THREADS "cpu_threads" /* given by the configuration */

enum template_type {
    TEMPLATE_INTEGER,
    TEMPLATE_NUMBER,
    TEMPLATE_BOOLEAN,
    TEMPLATE_CHOICE,
    TEMPLATE_TEXT,
    TEMPLATE_URI,
    TEMPLATE_FILE,    /* that is written */
    TEMPLATE_ADDRESS, /* to which is sent */
};

/* Whether a value stands between quotes in the description. */
static inline bool template_type_is_text(enum template_type type)
{
    return type == TEMPLATE_TEXT || type == TEMPLATE_URI || type == TEMPLATE_FILE;
}

struct template_parameter {
    char *name;
    enum template_type type;
    gint64 integer, integer_min, integer_max;
    double number, number_min, number_max;
    bool boolean;
    char *text;   /* default of a choice, a text or a uri */
    char **words; /* of a choice */
    guint length_max;
    char **targets; /* ELEMENT.PROPERTY that change while it runs, or NULL */
    /* A choice that is an input: its value is the codec that comes, or TEMPLATE_NO_INPUT. */
    bool input, video;
    bool repeated; /* an input of which there are as many as come */
};
#define TEMPLATE_NO_INPUT "none"

struct template_line { /* of the pipeline */
    guint number;
    char *text;
    const struct template_parameter *when; /* NULL = always */
    char *when_value;
    bool each; /* once for each member of the repeated input, not in the pipeline itself */
};

struct pipeline_template {
    gatomicrefcount references;
    char *file;
    GPtrArray *parameters;                         /* struct template_parameter */
    GPtrArray *lines;                              /* struct template_line */
    bool filters;                                  /* what comes in goes out */
    bool repeats;                                  /* … at the end of its stream, unless: */
    const struct template_parameter *repeats_when; /* NULL = as `repeats` says */
    struct template_parameter *repeated;           /* input, or NULL; one of `parameters` */
};

struct pipeline_text {
    struct pipeline_template *made_of;
    char *description;
    GArray *lines; /* guint: the file's line of each line of the description */
    GArray *files; /* int: descriptors */
    bool repeats;
    GArray *inputs;     /* struct pipeline_input, those that are there */
    GHashTable *values; /* by parameter's name, as they are now; NULL of a member */
    guint cpu_threads;
    GPtrArray *joints; /* struct pipeline_joint, of a member; NULL else, as are */
    GPtrArray *pieces; /* char * */
};

/* The parameter of a placeholder, `length` octets inside of ${…}; NULL when there is none. Of an
 * address there are two parts, told by *ret_port. */
struct template_parameter *template_placeholder(const struct pipeline_template *t, const char *at,
                                                gsize length, bool *ret_port);
/* NULL when there is none of this name. */
struct template_parameter *template_parameter_find(const struct pipeline_template *t,
                                                   const char *name, gsize length);
/* The JSON Pointer of a member (RFC 6901 3). Transfer full. */
char *template_pointer(const char *base, const char *name);
/* Whether its condition holds. */
static inline bool template_line_is_there(const struct template_line *line, GHashTable *values)
{
    return !line->when || strcmp((const char *)g_hash_table_lookup(values, line->when->name),
                                 line->when_value) == 0;
}
/* In place of what was said of each address "HOST PORT", if it is allowed; "" stays. */
bool template_read_addresses(const struct pipeline_template *t,
                             const struct pipeline_surroundings *surroundings, GHashTable *values,
                             const char *base, GError **error);
/* An address may be left out where nothing is sent to it. */
bool template_check_addresses(const struct pipeline_template *t, GHashTable *values,
                              const char *base, GError **error);
struct pipeline_text *template_text_new(struct pipeline_template *t);
/* The line with its values in place, and a line's end. `member`: what stands for the repeated
 * input's name, or NULL. */
void template_line_append(GString *out, const struct pipeline_template *t, const char *text,
                          GHashTable *values, guint cpu_threads, const char *member);
/* Whether a text can stand between double quotes of gst-launch and is nothing but that. */
bool template_text_is_safe(const char *text, guint length_max);
