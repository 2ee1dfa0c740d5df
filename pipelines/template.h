/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Templates: text files NAME.pipeline that a media engineer edits. A line is one of
 *
 *     # a comment
 *     parameter width integer 640 160..1920    # what it is for
 *     parameter level number 0.1 0..1
 *     parameter clock boolean true
 *     parameter codec choice VP8 VP8|H264
 *     parameter title text "hello" 64          # longest, in octets
 *     when codec=VP8: vp8enc ! rtpvp8pay       # only if the parameter has this value
 *     videotestsrc ! video/x-raw,width=${width} ! …
 *
 * where everything but the first two is gst-launch syntax, in which ${name} stands for a
 * parameter's value. ${cpu_threads} is given by the configuration.
 *
 * A value never becomes more than a value: numbers, booleans and choices are written by us, a text
 * is put between quotes, may contain none, and stands only where a property's value is read.
 *
 * Threads: any. Errors: RESOURCE_NOT_FOUND for a name without file, WMCF_ERROR with file and line
 * for a template that is wrong, INVALID_MESSAGE with the member for a wrong argument. */
#include <glib.h>
#include <stdbool.h>

#define PIPELINE_TEMPLATE_NAME_MAX 64
#define PIPELINE_TEMPLATE_OCTETS_MAX (64 * 1024)
#define PIPELINE_TEMPLATE_PARAMETERS_MAX 64
#define PIPELINE_TEMPLATE_TEXT_MAX 1024 /* octets of a text parameter */

struct pipeline_template;

/* NAME.pipeline of the first folder that has it. Transfer full. */
struct pipeline_template *pipeline_template_load(const char *const *folders, const char *name,
                                                 GError **error);
/* `file` is for messages. Transfer full. */
struct pipeline_template *pipeline_template_parse(const char *file, const char *text,
                                                  GError **error);
void pipeline_template_free(struct pipeline_template *pipeline_template);
/* Names of all templates in the folders, sorted, each once. NULL-terminated, transfer full. */
char **pipeline_template_names(const char *const *folders);

enum pipeline_value_kind {
    PIPELINE_VALUE_INTEGER,
    PIPELINE_VALUE_NUMBER,
    PIPELINE_VALUE_BOOLEAN,
    PIPELINE_VALUE_TEXT,
    PIPELINE_VALUE_OTHER, /* something that no parameter takes */
};
struct pipeline_argument {
    const char *name; /* borrowed */
    enum pipeline_value_kind kind;
    gint64 integer;
    double number;
    bool boolean;
    const char *text; /* UTF-8; borrowed */
};

/* The description with all values in place, and where its lines come from. */
struct pipeline_text;
/* What is not among the arguments has its default. `base` is the JSON Pointer of the arguments, for
 * errors. Transfer full. */
struct pipeline_text *pipeline_template_fill(const struct pipeline_template *pipeline_template,
                                             const struct pipeline_argument *arguments, guint n,
                                             guint cpu_threads, const char *base, GError **error);
void pipeline_text_free(struct pipeline_text *text);
/* gst-launch syntax. Borrowed. */
const char *pipeline_text_description(const struct pipeline_text *text);
/* "FILE:LINE" of the line that GStreamer's `message` speaks of: the first that has all it quotes.
 * Transfer full. */
char *pipeline_text_blame(const struct pipeline_text *text, const char *message);
