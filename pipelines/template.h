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
 *     parameter target file ""                 # a new one in the folder of recordings
 *     parameter to address ""                  # one that is allowed: ${to.host}, ${to.port}
 *     input camera video VP8|H264|none         # what comes in, by codecs it may have; none: or not
 *     filter                                   # each input goes out again: wmcfsink mid=camera
 *     when codec=VP8: vp8enc ! rtpvp8pay       # only if the parameter has this value
 *     when camera=VP8: wmcfsrc mid=camera ! …  # only if the input has this codec
 *     input member* audio opus                 # as many as come and go while it runs: its members
 *     each member: wmcfsrc mid=${member} ! …   # once for each of them, by its name
 *     videotestsrc ! video/x-raw,width=${width} ! …
 *
 * where everything but comments, parameter, input, filter and repeat is gst-launch syntax, in which
 * ${name} stands for a parameter's value. ${cpu_threads} is given by the configuration.
 *
 * A value never becomes more than a value: numbers, booleans and choices are written by us, a text
 * is put between quotes, may contain none, and stands only where a property's value is read.
 *
 * Threads: any. Errors: RESOURCE_NOT_FOUND for a name without file, WMCF_ERROR with file and line
 * for a template that is wrong, INVALID_MESSAGE with the member for a wrong argument. */
#include "pipelines/media-places.h"

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
struct pipeline_template *pipeline_template_ref(struct pipeline_template *pipeline_template);
void pipeline_template_unref(struct pipeline_template *pipeline_template); /* NULL allowed */
/* Names of all templates in the folders, sorted, each once. NULL-terminated, transfer full. */
char **pipeline_template_names(const char *const *folders);

enum pipeline_value_kind {
    PIPELINE_VALUE_INTEGER,
    PIPELINE_VALUE_NUMBER,
    PIPELINE_VALUE_BOOLEAN,
    PIPELINE_VALUE_TEXT,
    PIPELINE_VALUE_WORD,  /* of a command line: text is read as what the parameter is */
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

/* The other values of all that `when` lines ask for: arguments, of which each alone gives another
 * pipeline. They borrow from the template. Array of struct pipeline_argument; transfer full. */
GArray *pipeline_template_variants(const struct pipeline_template *pipeline_template);

#define PIPELINE_INPUTS_MAX 16

struct pipeline_input { /* of a template, or given to it */
    const char *name;   /* all borrowed */
    bool video;
    const char *codec;         /* that is given; NULL of a template */
    const char *const *codecs; /* that it takes, NULL-terminated; NULL of what is given */
    bool optional;
    bool repeated; /* its members have names of their own */
};
/* Returns their number. */
guint pipeline_template_inputs(const struct pipeline_template *pipeline_template,
                               struct pipeline_input ret[PIPELINE_INPUTS_MAX]);

/* What a template's values depend on beside the arguments. All borrowed. */
struct pipeline_surroundings {
    guint cpu_threads;
    struct media_places places;   /* what a uri may be, and a file */
    const char *stand_in;         /* in place of a uri that is not said, for a check; or NULL */
    const char *stand_in_file;    /* the same of a file, */
    const char *stand_in_address; /* … and of an address */
    bool as_said;   /* for who runs it by himself: files and URIs are those that are named */
    bool any_input; /* for a check: each input has its first codec, whatever is given */
    const struct pipeline_input *inputs;
    guint n_inputs;
};

/* The description with all values in place, where its lines come from, and the files that it
 * needs, open until it is freed. Refers to its template. */
struct pipeline_text;
/* What is not among the arguments has its default. `base` is the JSON Pointer of the arguments, for
 * errors. Transfer full. */
struct pipeline_text *pipeline_template_fill(struct pipeline_template *pipeline_template,
                                             const struct pipeline_argument *arguments, guint n,
                                             const struct pipeline_surroundings *surroundings,
                                             const char *base, GError **error);
void pipeline_text_free(struct pipeline_text *text);
/* Nothing has come into the pipeline: the files that it writes are none. After it is gone. */
void pipeline_text_discard_files(const struct pipeline_text *text);
/* gst-launch syntax. Borrowed. */
const char *pipeline_text_description(const struct pipeline_text *text);
/* "FILE:LINE" of the line that GStreamer's `message` speaks of: the first that has all it quotes.
 * Transfer full. */
char *pipeline_text_blame(const struct pipeline_text *text, const char *message);
/* "FILE:LINE" of the line that has the word; NULL: none has. Transfer full. */
char *pipeline_text_find(const struct pipeline_text *text, const char *word);
/* Those that are there, with their codecs; borrowed from the text. Returns their number. */
guint pipeline_text_inputs(const struct pipeline_text *text,
                           struct pipeline_input ret[PIPELINE_INPUTS_MAX]);
/* Whether each input goes out again, by its own name and in its own codec (`filter`). */
bool pipeline_template_filters(const struct pipeline_template *pipeline_template);
bool pipeline_text_filters(const struct pipeline_text *text);

/* What a member's part is linked to: `pad` of the pipeline's `element`, at the free pad of the
 * part's element joint-N, N its place. */
struct pipeline_joint {
    char *element, *pad; /* owned; pad NULL = any */
};
#define PIPELINE_JOINT "joint-%u"
/* The input that is repeated, with the codec in force without another word; false: none is. */
bool pipeline_text_repeated(const struct pipeline_text *text, struct pipeline_input *ret);
/* The part of the pipeline for one member, with the values as they are now: the lines for each of
 * them, in which `name` (letters, digits, hyphen, underscore) and `codec` stand for the member's.
 * `codec` NULL: that of pipeline_text_repeated(). Its only input is the member. INVALID_MESSAGE for
 * a codec that the template does not take. Transfer full. */
struct pipeline_text *pipeline_text_member(const struct pipeline_text *text, const char *name,
                                           const char *codec, GError **error);
/* Array of struct pipeline_joint; borrowed. */
const GPtrArray *pipeline_text_joints(const struct pipeline_text *member);
/* Its pieces, each gst-launch syntax: a line that does not go on with `!` begins one, unless they
 * name each other's elements. Array of char *; borrowed. */
const GPtrArray *pipeline_text_pieces(const struct pipeline_text *member);
/* Whether it begins again at its end. */
bool pipeline_text_repeats(const struct pipeline_text *text);

/* A property that a running pipeline gets. */
struct pipeline_setting {
    char *element, *property, *value; /* owned; the value as gst-launch takes it */
    const char *parameter;            /* whose value it is; of the template, or NULL */
};
/* The properties that the arguments change; what of the elements is not in the pipeline is left out
 * by whoever sets them. INVALID_MESSAGE with the member for what has another value than it may or
 * cannot change. Array of struct pipeline_setting; transfer full. */
GArray *pipeline_text_change(const struct pipeline_text *text,
                             const struct pipeline_argument *arguments, guint n, const char *base,
                             GError **error);
/* Such settings are made: members that come later have the values, too. */
void pipeline_text_remember(struct pipeline_text *text, const GArray *settings);
/* Every property that can be changed, with NULL values: for a check. Transfer full. */
GArray *pipeline_text_changeable(const struct pipeline_text *text);
