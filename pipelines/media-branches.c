/* SPDX-License-Identifier: Apache-2.0 */
/* gst-launch links the streams of a decoder as they appear; what has not been linked when there are
 * no more would keep the whole pipeline from ever starting, because each sink waits for its first
 * packet. So it is taken out, which only one thread does, and before a first frame goes. */
#include "pipelines/media-branches.h"

#include <stdatomic.h>

struct media_branches {
    const struct media_sinks *sinks;
    void (*gone)(void *user, guint n);
    void *user;
    GPtrArray *elements; /* struct source */
    _Atomic guint waiting;
};

struct source {
    struct media_branches *branches;
    GstElement *element; /* owned */
    gulong handler;
    _Atomic bool complete;
};

/* --- looking up the stream -------------------------------------------------------------------- */

static GstElement *before(GstPad *pad)
{
    g_autoptr(GstPad) peer = gst_pad_get_peer(pad);
    return peer ? gst_pad_get_parent_element(peer) : NULL;
}

/* Nothing leads to the element. `dry` gets it and what stands before it. */
static bool runs_dry(GstElement *element, GPtrArray *dry)
{
    bool all = true, any = false;
    GList *pads = NULL;
    GST_OBJECT_LOCK(element);
    for (GList *at = element->sinkpads; at; at = at->next)
        pads = g_list_prepend(pads, gst_object_ref(at->data));
    GST_OBJECT_UNLOCK(element);
    for (GList *at = pads; at && all; at = at->next) {
        GstElement *upstream = before(at->data);
        any = true;
        all = !upstream || runs_dry(upstream, dry);
        gst_clear_object(&upstream);
    }
    g_list_free_full(pads, gst_object_unref);
    if (any && all && !g_ptr_array_find(dry, element, NULL))
        g_ptr_array_add(dry, gst_object_ref(element));
    return any && all;
}

static void take_out(void *data, void *user)
{
    GstElement *element = data;
    GstObject *parent = gst_object_get_parent(GST_OBJECT(element));
    if (parent)
        gst_bin_remove(GST_BIN(parent), element);
    gst_element_set_state(element, GST_STATE_NULL);
    gst_clear_object(&parent);
}

static void prune(struct media_branches *branches)
{
    guint n = 0;
    g_autoptr(GPtrArray) dry = g_ptr_array_new_with_free_func(gst_object_unref);
    for (guint i = 0; i < branches->sinks->n; i++) {
        if (!runs_dry(branches->sinks->elements[i], dry))
            continue;
        wmcf_sink_set_absent(branches->sinks->elements[i]);
        n++;
    }
    g_ptr_array_foreach(dry, take_out, NULL);
    if (n)
        branches->gone(branches->user, n);
}

/* --- the sources ------------------------------------------------------------------------------ */

static void on_no_more_pads(GstElement *element, gpointer user)
{
    struct source *source = user;
    if (!atomic_exchange(&source->complete, true) &&
        atomic_fetch_sub(&source->branches->waiting, 1) == 1)
        prune(source->branches);
}

static bool has_later_streams(GstElement *element)
{
    for (GList *at = gst_element_class_get_pad_template_list(GST_ELEMENT_GET_CLASS(element)); at;
         at = at->next)
        if (GST_PAD_TEMPLATE_DIRECTION(at->data) == GST_PAD_SRC &&
            GST_PAD_TEMPLATE_PRESENCE(at->data) == GST_PAD_SOMETIMES)
            return true;
    return false;
}

static void free_source(void *data)
{
    struct source *source = data;
    g_signal_handler_disconnect(source->element, source->handler);
    gst_object_unref(source->element);
    g_free(source);
}

static void consider(const GValue *value, gpointer user)
{
    struct media_branches *branches = user;
    GstElement *element = g_value_get_object(value);
    if (!has_later_streams(element))
        return;
    struct source *source = g_new0(struct source, 1);
    source->branches = branches;
    source->element = gst_object_ref(element);
    source->handler =
        g_signal_connect(element, "no-more-pads", G_CALLBACK(on_no_more_pads), source);
    g_ptr_array_add(branches->elements, source);
}

struct media_branches *media_branches_watch(GstElement *pipeline, const struct media_sinks *sinks,
                                            void (*gone)(void *user, guint n), void *user)
{
    struct media_branches *branches = g_new0(struct media_branches, 1);
    branches->sinks = sinks;
    branches->gone = gone;
    branches->user = user;
    branches->elements = g_ptr_array_new_with_free_func(free_source);
    GstIterator *iterator = gst_bin_iterate_recurse(GST_BIN(pipeline));
    gst_iterator_foreach(iterator, consider, branches);
    gst_iterator_free(iterator);
    atomic_store(&branches->waiting, branches->elements->len);
    if (branches->elements->len == 0)
        g_clear_pointer(&branches, media_branches_free);
    return branches;
}

void media_branches_free(struct media_branches *branches)
{
    if (!branches)
        return;
    g_ptr_array_unref(branches->elements);
    g_free(branches);
}
