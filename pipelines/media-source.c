/* SPDX-License-Identifier: Apache-2.0 */
/* A server that is allowed does not decide what else is opened. Sources of HTTP have a property
 * for that; that of RTSP goes where a response leads it, opens ports for the media and sends to
 * addresses that the server says. So its media come inside its one connection, and before each
 * request it is looked at whether it still means the place that it was made for: a connection to
 * another place may stand by then, but nothing is sent there. What a template says about
 * `protocols` and `latency` is the engineer's, who may need a camera that knows UDP alone. */
#include "pipelines/media-source.h"

#include <stdbool.h>
#include <string.h>

#define TCP 4          /* of GstRTSPLowerTrans; the header would want one more library */
#define LATENCY_MS 200 /* in place of two seconds: inside of TCP nothing comes out of order */

/* On the source's own thread. */
static gboolean on_request(GstElement *source, gpointer request, const char *location)
{
    g_autofree char *now = NULL;
    g_object_get(source, "location", &now, NULL);
    if (g_strcmp0(now, location) == 0)
        return TRUE;
    GST_ELEMENT_ERROR(source, RESOURCE, NOT_AUTHORIZED,
                      ("The server redirects to another place, which is not followed."),
                      ("from %s to %s", location, now));
    return FALSE;
}

static bool is_default(GObject *object, const char *name)
{
    GParamSpec *spec = g_object_class_find_property(G_OBJECT_GET_CLASS(object), name);
    GValue value = G_VALUE_INIT;
    if (!spec)
        return false;
    g_value_init(&value, spec->value_type);
    g_object_get_property(object, name, &value);
    bool same = g_param_value_defaults(spec, &value);
    g_value_unset(&value);
    return same;
}

static void restrain_rtsp(GstElement *source)
{
    char *location = NULL;
    g_object_get(source, "location", &location, NULL);
    if (is_default(G_OBJECT(source), "protocols"))
        g_object_set(source, "protocols", TCP, NULL);
    if (is_default(G_OBJECT(source), "latency"))
        g_object_set(source, "latency", LATENCY_MS, NULL);
    g_signal_connect_data(source, "before-send", G_CALLBACK(on_request), location,
                          (GClosureNotify)(void (*)(void))g_free, 0);
}

void media_source_restrain(GstElement *element)
{
    GParamSpec *spec =
        g_object_class_find_property(G_OBJECT_GET_CLASS(element), "automatic-redirect");
    if (spec && spec->value_type == G_TYPE_BOOLEAN)
        g_object_set(element, "automatic-redirect", FALSE, NULL);
    if (strcmp(G_OBJECT_TYPE_NAME(element), "GstRTSPSrc") == 0)
        restrain_rtsp(element);
}
