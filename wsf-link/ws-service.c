/* SPDX-License-Identifier: Apache-2.0 */
/* Owns libwebsockets in this process: its log, its GLib plugin and what belongs to all listeners
 * and dialers. The plugin is a shared object that libwebsockets unloads with its last context while
 * GLib may still hold its functions, so it is pinned in memory first. */
#define LOG_CATEGORY "link"
#include "wsf-link/ws-core.h"

#include "base/log.h"

#include <dlfcn.h>
#include <string.h>

#define GOODBYE_US (500 * 1000)

static void log_lws(int level, const char *line)
{
    gsize length = strcspn(line, "\n");
    log_debug(NULL, "libwebsockets: %.*s", (int)length, line);
}

static void set_up_library(void)
{
    static bool done;
    if (done)
        return;
    done = true;
    int levels = LLL_ERR | LLL_WARN;
    if (log_enabled(LOG_CATEGORY, LOG_DEBUG))
        levels |= LLL_NOTICE;
    lws_set_log_level(levels, log_lws);
    /* Never closed on purpose. */
    dlopen(LWS_INSTALL_LIBDIR "/libwebsockets-evlib_glib.so", RTLD_NOW | RTLD_NODELETE);
}

struct link_service *link_service_new(const char *trace_file, GError **error)
{
    set_up_library();
    struct trace *trace = NULL;
    if (trace_file && !(trace = trace_new(trace_file, error)))
        return NULL;
    struct link_service *service = g_new0(struct link_service, 1);
    service->trace = trace;
    service->poll = ws_poll_new();
    service->next_number = 1;
    service->dials = g_hash_table_new_full(NULL, NULL, ws_dial_free, NULL);
    g_queue_init(&service->client_vhosts);
    g_queue_init(&service->listeners);
    g_queue_init(&service->dialers);
    return service;
}

bool link_service_reload(struct link_service *service, GError **error)
{
    g_autoptr(GError) first = NULL;
    bool done = true;
    for (GList *at = service->listeners.head; at; at = at->next)
        done = ws_listener_reload(at->data, first ? NULL : &first) && done;
    for (GList *at = service->client_vhosts.head; at; at = at->next)
        done = ws_client_vhost_reload(at->data, first ? NULL : &first) && done;
    if (first)
        problem_set(error, problem_code(first), "%s; what was read before stays in use",
                    first->message);
    return done;
}

static bool has_link(const struct link_service *service)
{
    GHashTableIter iter;
    gpointer dial;
    g_hash_table_iter_init(&iter, service->dials);
    while (g_hash_table_iter_next(&iter, &dial, NULL))
        if (ws_dial_has_link(dial))
            return true;
    for (GList *at = service->listeners.head; at; at = at->next)
        if (ws_listener_has_link(at->data))
            return true;
    return false;
}

/* The close frames leave and the peers' are heard, as far as they come in time. */
static void say_goodbye(struct link_service *service)
{
    gint64 end = g_get_monotonic_time() + GOODBYE_US, now;
    while (has_link(service) && (now = g_get_monotonic_time()) < end)
        ws_poll_step(service->poll, end - now);
}

void link_service_free(struct link_service *service)
{
    if (!service)
        return;
    while (service->dialers.head)
        link_dialer_free(service->dialers.head->data);
    for (GList *at = service->listeners.head; at; at = at->next)
        ws_listener_abandon(at->data);
    say_goodbye(service);
    while (service->listeners.head)
        ws_listener_destroy(service->listeners.head->data);
    ws_loop_free(service->client_loop);
    g_hash_table_destroy(service->dials);
    g_queue_clear_full(&service->client_vhosts, ws_client_vhost_free);
    ws_poll_free(service->poll);
    trace_free(service->trace);
    g_free(service);
}
