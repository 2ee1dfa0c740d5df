/* SPDX-License-Identifier: Apache-2.0 */
/* Builds a pipeline with GStreamer's own parser and looks for our sinks in it. Its clock is always
 * the system's, whatever elements offer: the relay, all pipelines and all sinks of one then count
 * the same time. */
#include "pipelines/media-resource-make.h"

#include "base/problem.h"

#include <string.h>

void media_sinks_clear(struct media_sinks *sinks)
{
    for (guint i = 0; i < sinks->n; i++)
        gst_object_unref(sinks->elements[i]);
    sinks->n = 0;
}

static void set_error(const struct pipeline_text *text, const char *message, GError **error)
{
    g_autofree char *where = pipeline_text_blame(text, message);
    problem_set(error, PROBLEM_WMCF_ERROR, "%s: %s", where, message);
}

static GstElement *parse(const struct pipeline_text *text, GError **error)
{
    g_autoptr(GError) cause = NULL;
    GstElement *made =
        gst_parse_launch_full(pipeline_text_description(text), NULL,
                              GST_PARSE_FLAG_FATAL_ERRORS | GST_PARSE_FLAG_PLACE_IN_BIN, &cause);
    if (cause) {
        /* Also with a result: a property that could not be set. */
        g_autofree char *message =
            g_error_matches(cause, GST_PARSE_ERROR, GST_PARSE_ERROR_NO_SUCH_ELEMENT)
                ? g_strdup_printf("%s: is its plug-in installed?", cause->message)
                : g_strdup(cause->message);
        set_error(text, message, error);
        gst_clear_object(&made);
    }
    return made;
}

static int compare_mids(const void *a, const void *b)
{
    char left[SDP_MAX_MID + 1], right[SDP_MAX_MID + 1];
    wmcf_sink_mid(*(GstElement *const *)a, left, sizeof left);
    wmcf_sink_mid(*(GstElement *const *)b, right, sizeof right);
    return strcmp(left, right);
}

/* A mid travels in SDP and JSON (RFC 8843: a token). */
static bool check_mids(const struct media_sinks *sinks, const struct pipeline_text *text,
                       GError **error)
{
    char before[SDP_MAX_MID + 1] = "", mid[SDP_MAX_MID + 1];
    for (guint i = 0; i < sinks->n; i++) {
        wmcf_sink_mid(sinks->elements[i], mid, sizeof mid);
        bool good = *mid != '\0';
        for (const char *at = mid; *at; at++)
            good = good && (g_ascii_isalnum(*at) || strchr("_-", *at));
        if (!good)
            set_error(text, "each \"wmcfsink\" needs a mid: letters, digits, hyphen, underscore",
                      error);
        else if (i && strcmp(before, mid) == 0)
            set_error(text, "two \"wmcfsink\" have the same mid", error);
        else {
            g_strlcpy(before, mid, sizeof before);
            continue;
        }
        return false;
    }
    return true;
}

static bool find_sinks(GstElement *bin, const struct pipeline_text *text, struct media_sinks *ret,
                       GError **error)
{
    GstIterator *iterator =
        gst_bin_iterate_all_by_element_factory_name(GST_BIN(bin), WMCF_SINK_NAME);
    GValue value = G_VALUE_INIT;
    bool too_many = false;
    while (gst_iterator_next(iterator, &value) == GST_ITERATOR_OK) {
        too_many = ret->n == MEDIA_RESOURCE_MEDIA_MAX;
        if (!too_many)
            ret->elements[ret->n++] = g_value_dup_object(&value);
        g_value_reset(&value);
        if (too_many)
            break;
    }
    g_value_unset(&value);
    gst_iterator_free(iterator);
    if (ret->n == 0 || too_many) {
        g_autofree char *message =
            g_strdup_printf("the pipeline has %s \"wmcfsink\"; 1 to %u are possible",
                            too_many ? "more" : "no", MEDIA_RESOURCE_MEDIA_MAX);
        set_error(text, message, error);
        return false;
    }
    qsort(ret->elements, ret->n, sizeof ret->elements[0], compare_mids);
    return check_mids(ret, text, error);
}

GstElement *media_pipeline_make(const char *id, const struct pipeline_text *text,
                                struct media_sinks *ret_sinks, GError **error)
{
    GstElement *bin = parse(text, error);
    if (!bin)
        return NULL;
    if (!find_sinks(bin, text, ret_sinks, error)) {
        media_sinks_clear(ret_sinks);
        gst_object_unref(bin);
        return NULL;
    }
    GstElement *pipeline = gst_pipeline_new(id);
    GstClock *clock = gst_system_clock_obtain();
    gst_bin_add(GST_BIN(pipeline), bin);
    gst_pipeline_use_clock(GST_PIPELINE(pipeline), clock);
    gst_object_unref(clock);
    return pipeline;
}

bool media_resource_try(const struct pipeline_text *text, GError **error)
{
    struct media_sinks sinks = {0};
    GstElement *pipeline = media_pipeline_make("try", text, &sinks, error);
    media_sinks_clear(&sinks);
    if (pipeline)
        gst_object_unref(pipeline);
    return pipeline != NULL;
}
