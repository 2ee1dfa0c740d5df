/* SPDX-License-Identifier: Apache-2.0 */
/* Owns libwebsockets in this process: its log, its GLib plugin and the contexts on the control
 * loop. The plugin is a shared object that libwebsockets unloads with its last context while GLib
 * may still hold its functions, so it is pinned in memory first. */
#define LOG_CATEGORY "link"
#include "wsf-link/ws-core.h"

#include "base/log.h"

#include <dlfcn.h>
#include <string.h>

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

long ws_tls_options(void)
{
    return (long)(SSL_OP_NO_SSLv3 | SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1 | SSL_OP_NO_COMPRESSION |
                  SSL_OP_NO_RENEGOTIATION);
}

struct lws_context *ws_context_new(struct link_service *service, GError **error)
{
    void *loops[] = {service->loop};
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN,
        .options = LWS_SERVER_OPTION_GLIB | LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
                   LWS_SERVER_OPTION_SKIP_SERVER_CANONICAL_NAME,
        .foreign_loops = loops,
        .gid = (gid_t)-1,
        .uid = (uid_t)-1,
        .server_string = "eirtcw",
        .max_http_header_data = 8192,
        .timeout_secs = 10,
        .user = service,
    };
    /* Asked for again it would renumber where libwebsockets keeps its pointers inside of OpenSSL's
     * objects, and living connections would lose theirs. */
    static bool tls_ready;
    if (!tls_ready)
        info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
    struct lws_context *context = lws_create_context(&info);
    tls_ready = tls_ready || context;
    if (!context)
        problem_set(error, PROBLEM_INTERNAL_ERROR,
                    "libwebsockets did not start; is libwebsockets-evlib-glib installed?");
    return context;
}

void ws_kick(struct lws *wsi)
{
    lws_cancel_service(lws_get_context(wsi));
}

struct link_service *link_service_new(const char *trace_file, GError **error)
{
    set_up_library();
    struct trace *trace = NULL;
    if (trace_file && !(trace = trace_new(trace_file, error)))
        return NULL;
    struct link_service *service = g_new0(struct link_service, 1);
    service->trace = trace;
    service->loop = g_main_loop_new(NULL, FALSE);
    service->next_number = 1;
    service->dials = g_hash_table_new_full(NULL, NULL, ws_dial_free, NULL);
    g_queue_init(&service->client_vhosts);
    g_queue_init(&service->listeners);
    g_queue_init(&service->dialers);
    return service;
}

void link_service_free(struct link_service *service)
{
    if (!service)
        return;
    while (service->dialers.head)
        link_dialer_free(service->dialers.head->data);
    while (service->listeners.head)
        ws_listener_destroy(service->listeners.head->data);
    if (service->client_context)
        lws_context_destroy(service->client_context);
    g_hash_table_destroy(service->dials);
    g_queue_clear_full(&service->client_vhosts, ws_client_vhost_free);
    g_main_loop_unref(service->loop);
    trace_free(service->trace);
    g_free(service);
}
