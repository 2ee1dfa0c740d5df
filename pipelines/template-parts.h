/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The inside of a template, for the two files that read and fill it. Threads: any. */
#include "pipelines/template.h"

#define TEMPLATE_CPU_THREADS "cpu_threads" /* given by the configuration */

enum template_type {
    TEMPLATE_INTEGER,
    TEMPLATE_NUMBER,
    TEMPLATE_BOOLEAN,
    TEMPLATE_CHOICE,
    TEMPLATE_TEXT,
};

struct template_parameter {
    char *name;
    enum template_type type;
    gint64 integer, integer_min, integer_max;
    double number, number_min, number_max;
    bool boolean;
    char *text;   /* default of a choice or a text */
    char **words; /* of a choice */
    guint length_max;
};

struct template_line { /* of the pipeline */
    guint number;
    char *text;
    const struct template_parameter *when; /* NULL = always */
    char *when_value;
};

struct pipeline_template {
    char *file;
    GPtrArray *parameters; /* struct template_parameter */
    GPtrArray *lines;      /* struct template_line */
};

/* NULL when there is none of this name. */
struct template_parameter *template_parameter_find(const struct pipeline_template *t,
                                                   const char *name, gsize length);
/* Whether a text can stand between double quotes of gst-launch and is nothing but that. */
bool template_text_is_safe(const char *text, guint length_max);
