/* SPDX-License-Identifier: Apache-2.0 */
/* Builds a pipeline with GStreamer's own parser and looks for our sinks and sources in it. Its
 * clock is always the system's, whatever elements offer: the relay, all pipelines and all sinks of
 * one then count the same time. */
#include "pipelines/media-resource-make.h"

#include "base/problem.h"
#include "pipelines/media-source.h"
#include "pipelines/sdp-codec.h"

#include <string.h>

#define MEDIA_PIPELINE_BIN "template" /* all but members */

void media_sinks_clear(struct media_sinks *sinks)
{
    for (guint i = 0; i < sinks->n; i++)
        gst_object_unref(sinks->elements[i]);
    sinks->n = 0;
}

void media_inputs_clear(struct media_inputs *inputs)
{
    for (guint i = 0; i < inputs->n; i++)
        gst_object_unref(inputs->elements[i]);
    inputs->n = 0;
}

static void set_error(const struct pipeline_text *text, const char *message, GError **error)
{
    g_autofree char *where = pipeline_text_blame(text, message);
    problem_set(error, PROBLEM_WMCF_ERROR, "%s: %s", where, message);
}

static GstElement *parse(const struct pipeline_text *text, const char *description, GError **error)
{
    g_autoptr(GError) cause = NULL;
    GstElement *made = gst_parse_launch_full(
        description, NULL, GST_PARSE_FLAG_FATAL_ERRORS | GST_PARSE_FLAG_PLACE_IN_BIN, &cause);
    if (cause) {
        /* Also with a result: a property that could not be set. */
        g_autofree char *message =
            g_error_matches(cause, GST_PARSE_ERROR, GST_PARSE_ERROR_NO_SUCH_ELEMENT)
                ? g_strdup_printf("%s: is its plug-in installed?", cause->message)
                : g_strdup(cause->message);
        set_error(text, message, error);
        gst_clear_object(&made);
    }
    if (made && !GST_IS_BIN(made)) { /* a single one */
        GstElement *bin = gst_bin_new(NULL);
        gst_bin_add(GST_BIN(bin), made);
        made = bin;
    }
    return made;
}

struct end { /* an element that leads out of the pipeline, or into it */
    GstElement *element;
    char mid[SDP_MAX_MID + 1];
};

static int compare_mids(const void *a, const void *b)
{
    return strcmp(((const struct end *)a)->mid, ((const struct end *)b)->mid);
}

/* A mid travels in SDP and JSON (RFC 8843: a token). */
static bool check_mids(const GArray *ends, const char *factory, const struct pipeline_text *text,
                       GError **error)
{
    g_autofree char *message = NULL;
    for (guint i = 0; i < ends->len && !message; i++) {
        const struct end *end = &g_array_index(ends, struct end, i);
        bool good = *end->mid != '\0';
        for (const char *at = end->mid; *at; at++)
            good = good && (g_ascii_isalnum(*at) || strchr("_-", *at));
        if (!good)
            message = g_strdup_printf(
                "each \"%s\" needs a mid: letters, digits, hyphen, underscore", factory);
        else if (i && strcmp(g_array_index(ends, struct end, i - 1).mid, end->mid) == 0)
            message = g_strdup_printf("two \"%s\" have the same mid", factory);
    }
    if (message)
        set_error(text, message, error);
    return !message;
}

static void add_ends(GArray *ends, GstElement *bin, const char *factory,
                     void (*mid)(GstElement *element, char *ret, gsize size))
{
    GstIterator *iterator = gst_bin_iterate_all_by_element_factory_name(GST_BIN(bin), factory);
    GValue value = G_VALUE_INIT;
    while (gst_iterator_next(iterator, &value) == GST_ITERATOR_OK) {
        struct end end = {.element = g_value_get_object(&value)};
        mid(end.element, end.mid, sizeof end.mid);
        g_array_append_val(ends, end);
        g_value_reset(&value);
    }
    g_value_unset(&value);
    gst_iterator_free(iterator);
}

/* All of one kind, sorted by mid; elements borrowed. Array of struct end. */
static GArray *find_ends(GstElement *bin, const char *factory,
                         void (*mid)(GstElement *element, char *ret, gsize size))
{
    GArray *ends = g_array_new(FALSE, TRUE, sizeof(struct end));
    add_ends(ends, bin, factory, mid);
    g_array_sort(ends, compare_mids);
    return ends;
}

static bool find_sinks(GstElement *bin, const struct pipeline_text *text, struct media_sinks *ret,
                       GError **error)
{
    g_autoptr(GArray) ends = find_ends(bin, WMCF_SINK_NAME, wmcf_sink_mid);
    if (ends->len > MEDIA_RESOURCE_MEDIA_MAX) {
        g_autofree char *message =
            g_strdup_printf("the pipeline has more \"wmcfsink\" than the %u that are possible",
                            MEDIA_RESOURCE_MEDIA_MAX);
        set_error(text, message, error);
        return false;
    }
    for (guint i = 0; i < ends->len; i++)
        ret->elements[ret->n++] = gst_object_ref(g_array_index(ends, struct end, i).element);
    return check_mids(ends, WMCF_SINK_NAME, text, error);
}

static struct wmcf_src_medium medium_of(const struct pipeline_input *input)
{
    enum sdp_kind kind = input->video ? SDP_VIDEO : SDP_AUDIO;
    const struct sdp_known_codec *codec = sdp_known_codec_find(kind, input->codec);
    return (struct wmcf_src_medium){
        .kind = kind, .codec = codec->name, .pt = codec->pt, .clock_rate = codec->clock_rate};
}

/* Each input that is there has its element, and each element its input. */
static bool find_inputs(GstElement *bin, const struct pipeline_text *text, struct media_inputs *ret,
                        GError **error)
{
    struct pipeline_input inputs[PIPELINE_INPUTS_MAX];
    guint n = pipeline_text_inputs(text, inputs);
    g_autoptr(GArray) ends = find_ends(bin, WMCF_SRC_NAME, wmcf_src_mid);
    g_autofree char *message = NULL;
    if (!check_mids(ends, WMCF_SRC_NAME, text, error))
        return false;
    for (guint i = 0; i < n; i++) {
        GstElement *found = NULL;
        for (guint e = 0; e < ends->len && !found; e++)
            if (strcmp(g_array_index(ends, struct end, e).mid, inputs[i].name) == 0)
                found = g_array_index(ends, struct end, e).element;
        if (!found)
            message = g_strdup_printf("no \"wmcfsrc\" takes the input %s", inputs[i].name);
        if (!found)
            break;
        ret->elements[ret->n] = gst_object_ref(found);
        ret->media[ret->n++] = medium_of(&inputs[i]);
    }
    if (!message && ends->len > n)
        message = g_strdup("a \"wmcfsrc\" has the mid of no input; declare: input NAME audio|video "
                           "CODECS");
    if (message)
        set_error(text, message, error);
    return !message;
}

/* Both are sorted by mid but for the inputs, which stand as the template names them. */
static bool check_filter(const struct pipeline_text *text, const struct media_sinks *sinks,
                         const struct media_inputs *inputs, GError **error)
{
    for (guint i = 0; i < inputs->n; i++) {
        char in[SDP_MAX_MID + 1], out[SDP_MAX_MID + 1];
        bool found = false;
        wmcf_src_mid(inputs->elements[i], in, sizeof in);
        for (guint s = 0; s < sinks->n && !found; s++) {
            wmcf_sink_mid(sinks->elements[s], out, sizeof out);
            found = strcmp(in, out) == 0;
        }
        if (found)
            continue;
        g_autofree char *message =
            g_strdup_printf("the filter has no \"wmcfsink\" with the mid of its input %s", in);
        set_error(text, message, error);
        return false;
    }
    if (sinks->n != inputs->n)
        set_error(text, "a \"wmcfsink\" of the filter has the mid of no input that is there",
                  error);
    else if (sinks->n == 0)
        set_error(text, "a filter needs an input", error);
    return sinks->n && sinks->n == inputs->n;
}

static bool find_all(GstElement *bin, const struct pipeline_text *text, struct media_sinks *sinks,
                     struct media_inputs *inputs, GError **error)
{
    if (!find_sinks(bin, text, sinks, error) || !find_inputs(bin, text, inputs, error))
        return false;
    if (pipeline_text_filters(text))
        return check_filter(text, sinks, inputs, error);
    for (guint i = 0; i < inputs->n * sinks->n; i++) {
        char in[SDP_MAX_MID + 1], out[SDP_MAX_MID + 1];
        wmcf_src_mid(inputs->elements[i / sinks->n], in, sizeof in);
        wmcf_sink_mid(sinks->elements[i % sinks->n], out, sizeof out);
        if (strcmp(in, out) == 0) {
            set_error(text, "a \"wmcfsrc\" and a \"wmcfsink\" have the same mid", error);
            return false;
        }
    }
    bool any = sinks->n || inputs->n || pipeline_text_repeated(text, &(struct pipeline_input){0});
    if (!any)
        set_error(text, "the pipeline has no \"wmcfsink\" and no \"wmcfsrc\"", error);
    return any;
}

/* What a parameter changes while it runs is a mistake to be told at the start and not then. */
static bool check_settings(GstElement *bin, const struct pipeline_text *text, GError **error)
{
    g_autoptr(GArray) settings = pipeline_text_changeable(text);
    for (guint i = 0; i < settings->len; i++) {
        const struct pipeline_setting *s = &g_array_index(settings, struct pipeline_setting, i);
        g_autoptr(GstElement) element = gst_bin_get_by_name(GST_BIN(bin), s->element);
        const GParamSpec *spec =
            element ? g_object_class_find_property(G_OBJECT_GET_CLASS(element), s->property) : NULL;
        if (!element || (spec && (spec->flags & G_PARAM_WRITABLE)))
            continue;
        g_autofree char *message = g_strdup_printf(
            "\"%s\" has no property %s that a parameter could change", s->element, s->property);
        set_error(text, message, error);
        return false;
    }
    return true;
}

static void on_element(GstBin *bin, GstBin *sub_bin, GstElement *element, gpointer user)
{
    media_source_restrain(element);
}

GstElement *media_pipeline_make(const char *id, const struct pipeline_text *text,
                                struct media_sinks *ret_sinks, struct media_inputs *ret_inputs,
                                GError **error)
{
    GstElement *bin = parse(text, pipeline_text_description(text), error);
    if (!bin)
        return NULL;
    if (!find_all(bin, text, ret_sinks, ret_inputs, error) || !check_settings(bin, text, error)) {
        media_sinks_clear(ret_sinks);
        media_inputs_clear(ret_inputs);
        gst_object_unref(bin);
        return NULL;
    }
    GstElement *pipeline = gst_pipeline_new(id);
    GstClock *clock = gst_system_clock_obtain();
    gst_object_set_name(GST_OBJECT(bin), MEDIA_PIPELINE_BIN);
    g_signal_connect(pipeline, "deep-element-added", G_CALLBACK(on_element), NULL);
    gst_bin_add(GST_BIN(pipeline), bin);
    gst_pipeline_use_clock(GST_PIPELINE(pipeline), clock);
    gst_object_unref(clock);
    return pipeline;
}

/* --- members ---------------------------------------------------------------------------------- */

void media_member_part_clear(struct media_member_part *part)
{
    gst_clear_object(&part->src);
    gst_clear_object(&part->sink);
    gst_clear_object(&part->host);
    g_clear_pointer(&part->bins, g_ptr_array_unref);
    g_clear_pointer(&part->links, g_ptr_array_unref);
}

/* Its one wmcfsrc and its wmcfsink, if it has one; both have its name. */
static bool find_ends_of_member(struct media_member_part *part, const struct pipeline_text *text,
                                GError **error)
{
    g_autoptr(GArray) srcs = g_array_new(FALSE, TRUE, sizeof(struct end));
    g_autoptr(GArray) sinks = g_array_new(FALSE, TRUE, sizeof(struct end));
    for (guint i = 0; i < part->bins->len; i++) {
        add_ends(srcs, g_ptr_array_index(part->bins, i), WMCF_SRC_NAME, wmcf_src_mid);
        add_ends(sinks, g_ptr_array_index(part->bins, i), WMCF_SINK_NAME, wmcf_sink_mid);
    }
    bool good = srcs->len == 1 && sinks->len <= 1;
    for (guint i = 0; i < srcs->len + sinks->len && good; i++) {
        const struct end *end = i < srcs->len ? &g_array_index(srcs, struct end, i)
                                              : &g_array_index(sinks, struct end, i - srcs->len);
        good = strcmp(end->mid, part->name) == 0;
    }
    if (!good) {
        set_error(text,
                  "each member of a repeated input has one \"wmcfsrc\" and at most one "
                  "\"wmcfsink\", and its name is the mid of both",
                  error);
        return false;
    }
    part->src = gst_object_ref(g_array_index(srcs, struct end, 0).element);
    if (sinks->len)
        part->sink = gst_object_ref(g_array_index(sinks, struct end, 0).element);
    return true;
}

/* A sink that waited for its first packet would have the whole pipeline begin anew. */
static void keep_running(GstElement *bin)
{
    GstIterator *iterator = gst_bin_iterate_recurse(GST_BIN(bin));
    GValue value = G_VALUE_INIT;
    while (gst_iterator_next(iterator, &value) == GST_ITERATOR_OK) {
        GObject *element = g_value_get_object(&value);
        if (GST_OBJECT_FLAG_IS_SET(element, GST_ELEMENT_FLAG_SINK) &&
            g_object_class_find_property(G_OBJECT_GET_CLASS(element), "async"))
            g_object_set(element, "async", FALSE, NULL);
        g_value_reset(&value);
    }
    g_value_unset(&value);
    gst_iterator_free(iterator);
}

/* The pad that a joint leads to. Transfer full; NULL and a sentence. */
static GstPad *pad_at(GstElement *host, const struct pipeline_joint *joint, GstPad *from,
                      char **ret_message)
{
    g_autoptr(GstElement) element = gst_bin_get_by_name(GST_BIN(host), joint->element);
    GstPad *pad = NULL;
    if (!element || GST_ELEMENT_PARENT(element) != host) {
        *ret_message = g_strdup_printf("the pipeline has no element \"%s\"", joint->element);
        return NULL;
    }
    if (!joint->pad)
        pad = gst_element_get_compatible_pad(element, from, NULL);
    else if (!(pad = gst_element_get_static_pad(element, joint->pad)))
        pad = gst_element_request_pad_simple(element, joint->pad);
    if (!pad)
        *ret_message = g_strdup_printf("\"%s\" has no pad \"%s\" for another member",
                                       joint->element, joint->pad ? joint->pad : "");
    return pad;
}

/* Where the joint is, and which of its pads is free. Transfer full. */
static GstPad *end_of_joint(const struct media_member_part *part, const char *name,
                            GstElement **ret_bin)
{
    for (guint i = 0; i < part->bins->len; i++) {
        *ret_bin = g_ptr_array_index(part->bins, i);
        g_autoptr(GstElement) end = gst_bin_get_by_name(GST_BIN(*ret_bin), name);
        if (!end)
            continue;
        g_autoptr(GstPad) pad = gst_element_get_static_pad(end, "src");
        return gst_pad_is_linked(pad) ? gst_element_get_static_pad(end, "sink")
                                      : g_steal_pointer(&pad);
    }
    return NULL;
}

/* NULL, or a sentence why not. Transfer full. */
static char *link_joint(struct media_member_part *part, guint index,
                        const struct pipeline_joint *joint)
{
    g_autofree char *name = g_strdup_printf(PIPELINE_JOINT, index);
    GstElement *bin;
    g_autoptr(GstPad) own = end_of_joint(part, name, &bin);
    char *message = NULL;
    g_return_val_if_fail(own, g_strdup("a joint is missing"));
    GstPad *ghost = gst_ghost_pad_new(name, own);
    gst_element_add_pad(bin, ghost);
    GstPad *other = pad_at(part->host, joint, ghost, &message);
    if (!other)
        return message;
    g_ptr_array_add(part->links, other);
    bool out = GST_PAD_IS_SRC(ghost);
    if (gst_pad_is_linked(other) ||
        gst_pad_link(out ? ghost : other, out ? other : ghost) != GST_PAD_LINK_OK)
        return g_strdup_printf("\"%s\" cannot be linked to the rest of the pipeline",
                               joint->element);
    return NULL;
}

static bool link_joints(struct media_member_part *part, const struct pipeline_text *text,
                        GError **error)
{
    const GPtrArray *joints = pipeline_text_joints(text);
    for (guint i = 0; i < joints->len; i++) {
        g_autofree char *message = link_joint(part, i, g_ptr_array_index(joints, i));
        if (!message)
            continue;
        set_error(text, message, error);
        return false;
    }
    return true;
}

static void forget_packet(void *to, const struct wmcf_src_packet *packet)
{
}

static void forget_clock(void *to, guint32 timestamp, gint64 at)
{
}

static void attach(struct media_member_part *part, const struct pipeline_text *text)
{
    static const struct wmcf_src_sink nowhere = {.packet = forget_packet, .clock = forget_clock};
    struct pipeline_input inputs[PIPELINE_INPUTS_MAX];
    if (part->sink)
        wmcf_sink_attach(part->sink, part->sink_index, part->sink_ops, part->sink_user);
    if (!part->src_ops || pipeline_text_inputs(text, inputs) != 1)
        return;
    struct wmcf_src_medium medium = medium_of(&inputs[0]);
    /* Left by who was in this place before. */
    while (part->src_ops->read(part->src_user, part->src_index, &nowhere, NULL) > 0)
        ;
    wmcf_src_attach(part->src, part->src_index, &medium, part->src_ops, part->src_user);
}

static bool make_bins(struct media_member_part *part, const struct pipeline_text *text,
                      GError **error)
{
    const GPtrArray *pieces = pipeline_text_pieces(text);
    for (guint i = 0; i < pieces->len; i++) {
        GstElement *bin = parse(text, g_ptr_array_index(pieces, i), error);
        if (!bin)
            return false;
        g_ptr_array_add(part->bins, gst_object_ref_sink(bin));
    }
    return find_ends_of_member(part, text, error);
}

/* What brings something last, when all it leads to runs. */
static bool run_bins(struct media_member_part *part)
{
    bool good = true;
    for (guint i = part->bins->len; i-- > 0 && good;)
        good = gst_element_sync_state_with_parent(g_ptr_array_index(part->bins, i));
    return good;
}

bool media_member_part_add(struct media_member_part *part, GstElement *pipeline,
                           const struct pipeline_text *text, GError **error)
{
    part->host = gst_bin_get_by_name(GST_BIN(pipeline), MEDIA_PIPELINE_BIN);
    part->links = g_ptr_array_new_with_free_func(gst_object_unref);
    part->bins = g_ptr_array_new_with_free_func(gst_object_unref);
    if (!make_bins(part, text, error)) {
        g_ptr_array_set_size(part->bins, 0);
        return false;
    }
    attach(part, text);
    for (guint i = 0; i < part->bins->len; i++) {
        GstElement *bin = g_ptr_array_index(part->bins, i);
        keep_running(bin);
        g_object_set_data(G_OBJECT(bin), MEDIA_MEMBER_DATA, part->sink_user);
        gst_bin_add(GST_BIN(part->host), bin);
    }
    bool done = link_joints(part, text, error);
    if (done && !run_bins(part)) {
        set_error(text, "the part of a member does not start", error);
        done = false;
    }
    if (!done)
        media_member_part_remove(part);
    return done;
}

void media_member_part_remove(struct media_member_part *part)
{
    if (!part->bins || part->bins->len == 0)
        return;
    /* First it stops, so that nothing of it finds its pads gone. */
    for (guint i = 0; i < part->bins->len; i++) {
        gst_element_set_locked_state(g_ptr_array_index(part->bins, i), TRUE);
        gst_element_set_state(g_ptr_array_index(part->bins, i), GST_STATE_NULL);
    }
    for (guint i = 0; i < part->links->len; i++) {
        GstPad *pad = g_ptr_array_index(part->links, i);
        g_autoptr(GstPad) peer = gst_pad_get_peer(pad);
        g_autoptr(GstElement) element = gst_pad_get_parent_element(pad);
        if (peer)
            GST_PAD_IS_SRC(pad) ? gst_pad_unlink(pad, peer) : gst_pad_unlink(peer, pad);
        GstPadTemplate *template = gst_pad_get_pad_template(pad);
        if (template && GST_PAD_TEMPLATE_PRESENCE(template) == GST_PAD_REQUEST && element)
            gst_element_release_request_pad(element, pad);
        gst_clear_object(&template);
    }
    g_ptr_array_set_size(part->links, 0);
    for (guint i = 0; i < part->bins->len; i++)
        gst_bin_remove(GST_BIN(part->host), g_ptr_array_index(part->bins, i));
    g_ptr_array_set_size(part->bins, 0);
}

/* --- trying ----------------------------------------------------------------------------------- */

static bool try_member(const struct pipeline_text *text, GstElement *pipeline, GError **error)
{
    struct media_member_part part = {.name = "try"};
    if (!pipeline_text_repeated(text, &(struct pipeline_input){0}))
        return true;
    struct pipeline_text *member = pipeline_text_member(text, part.name, NULL, error);
    bool good = member && media_member_part_add(&part, pipeline, member, error);
    media_member_part_remove(&part);
    media_member_part_clear(&part);
    pipeline_text_free(member);
    return good;
}

bool media_resource_try(const struct pipeline_text *text, GError **error)
{
    struct media_sinks sinks = {0};
    struct media_inputs inputs = {0};
    GstElement *pipeline = media_pipeline_make("try", text, &sinks, &inputs, error);
    media_sinks_clear(&sinks);
    media_inputs_clear(&inputs);
    bool good = pipeline && try_member(text, pipeline, error);
    if (pipeline)
        gst_object_unref(pipeline);
    return good;
}

bool media_pipeline_run_once(const char *description, GError **error)
{
    g_autoptr(GError) cause = NULL;
    GstElement *pipeline =
        gst_parse_launch_full(description, NULL, GST_PARSE_FLAG_FATAL_ERRORS, &cause);
    if (pipeline && !cause) {
        GstBus *bus = gst_element_get_bus(pipeline);
        gst_element_set_state(pipeline, GST_STATE_PLAYING);
        GstMessage *last = gst_bus_timed_pop_filtered(bus, GST_CLOCK_TIME_NONE,
                                                      GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
        if (GST_MESSAGE_TYPE(last) == GST_MESSAGE_ERROR)
            gst_message_parse_error(last, &cause, NULL);
        gst_message_unref(last);
        gst_object_unref(bus);
        gst_element_set_state(pipeline, GST_STATE_NULL);
    }
    gst_clear_object(&pipeline);
    if (cause)
        problem_set(error, PROBLEM_WMCF_ERROR, "%s", cause->message);
    return !cause;
}
