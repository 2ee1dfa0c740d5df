/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the thread that takes pipelines down, one after the other. A single one is enough: a leg
 * costs about a millisecond here, and in a burst of hang-ups it is the order, not the speed, that
 * counts; nobody waits for it. */
#include "pipelines/reaper.h"

#include "base/problem.h"

#include <stdatomic.h>

static struct {
    GThread *thread;
    GAsyncQueue *pipelines; /* GstElement; the queue itself ends the thread */
    _Atomic guint pending;
} reaper;

static void take_down(GstElement *pipeline)
{
    GstBus *bus = gst_element_get_bus(pipeline);

    /* Flushing first: messages of a stopping pipeline would each be kept until the bus goes. */
    gst_bus_set_flushing(bus, TRUE);
    gst_object_unref(bus);
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(pipeline);
    atomic_fetch_sub(&reaper.pending, 1);
}

static void *run(void *unused)
{
    void *item;

    while ((item = g_async_queue_pop(reaper.pipelines)) != reaper.pipelines)
        take_down(item);
    return NULL;
}

bool reaper_start(GError **error)
{
    g_autoptr(GError) reason = NULL;

    reaper.pipelines = g_async_queue_new();
    reaper.thread = g_thread_try_new("reaper", run, NULL, &reason);
    if (!reaper.thread) {
        problem_set(error, PROBLEM_RESOURCES_UNAVAILABLE, "cannot start the reaper thread: %s",
                    reason->message);
        g_clear_pointer(&reaper.pipelines, g_async_queue_unref);
    }
    return reaper.thread != NULL;
}

void reaper_stop(void)
{
    if (!reaper.thread)
        return;
    g_async_queue_push(reaper.pipelines, reaper.pipelines);
    g_thread_join(reaper.thread);
    reaper.thread = NULL;
    g_clear_pointer(&reaper.pipelines, g_async_queue_unref);
}

void reaper_expect(void)
{
    atomic_fetch_add(&reaper.pending, 1);
}

void reaper_take(GstElement *pipeline)
{
    g_async_queue_push(reaper.pipelines, pipeline);
}

guint reaper_pending(void)
{
    return atomic_load(&reaper.pending);
}
