/* SPDX-License-Identifier: Apache-2.0 */
/* Listeners and pages. Every listener has its own set of pages, because what may be seen differs:
 * the metrics need not be told to the world. All of them lead to the same endpoint. */
#define LOG_CATEGORY "server"
#include "wsf/server.h"

#include "base/log.h"
#include "base/metrics.h"
#include "wsf/client.h"
#include "wsf/wsf.h"

#include <string.h>

#define PATH "/eirtcw/v1"

struct listener {
    char *section; /* NULL: the default one */
    struct http_server *http;
    struct link_listener *listener;
    struct wsf *wsf;
    bool metrics; /* operators look here */
    const char *address;
    bool tls;
};

struct server {
    struct wsf *wsf;
    struct link_endpoint endpoint;
    GPtrArray *listeners; /* struct listener, owned */
};

static void listener_free(struct listener *listener)
{
    if (listener->listener)
        link_listener_close(listener->listener);
    http_server_free(listener->http);
    g_free(listener->section);
    g_free(listener);
}

/* --- pages ---------------------------------------------------------------------------------------
 */

static void set_text(struct http_reply *reply, guint status, const char *text)
{
    reply->status = status;
    reply->content_type = "text/plain; charset=utf-8";
    reply->body = g_strdup(text);
    reply->length = strlen(text);
}

static void on_metrics(const char *path, struct http_reply *reply, void *user)
{
    reply->status = 200;
    reply->content_type = METRICS_CONTENT_TYPE;
    reply->body = metrics_text("wsf");
    reply->length = strlen(reply->body);
}

static void on_healthz(const char *path, struct http_reply *reply, void *user)
{
    set_text(reply, 200, "ok\n");
}

/* One line for each peer: without it some calls fail, which is no reason to get no others. */
static char *peers_text(const struct wsf *wsf)
{
    const GPtrArray *peers = peer_table_all(wsf->peers);
    GString *text = g_string_new(NULL);
    for (guint i = 0; i < peers->len; i++) {
        const struct peer *peer = g_ptr_array_index(peers, i);
        g_string_append_printf(text, "%s %s %s\n", endpoint_kind_name(peer->kind), peer->name,
                               peer_state_name(peer->state));
    }
    return g_string_free(text, FALSE);
}

static void on_readyz(const char *path, struct http_reply *reply, void *user)
{
    const struct listener *listener = user;
    const struct wsf *wsf = listener->wsf;
    bool linked = wmcf_pool_is_ready(wsf->pool);
    g_autofree char *peers = listener->metrics ? peers_text(wsf) : g_strdup("");
    g_autofree char *text = g_strconcat(wsf->draining ? "draining\n"
                                        : linked      ? "ready\n"
                                                      : "no media centre is linked\n",
                                        peers, NULL);
    set_text(reply, wsf->draining || !linked ? 503 : 200, text);
}

static char *listener_url(const struct server *server, const struct listener *listener)
{
    return g_strdup_printf("%s://%s:%u" PATH, listener->tls ? "wss" : "ws",
                           listener->tls ? server->wsf->realm : "localhost",
                           link_listener_port(listener->listener));
}

/* Discovery for browsers (A6). */
static void on_well_known(const char *path, struct http_reply *reply, void *user)
{
    const struct wsf *wsf = user;
    const char *const *urls = conf_list(wsf->conf, "wsf", "public_urls");
    json_auto_t *page = json_pack("{s:s}", "realm", wsf->realm);
    json_t *list = json_array();
    json_object_set_new(page, "wsf", list);
    for (guint i = 0; urls && urls[i]; i++)
        json_array_append_new(list, json_string(urls[i]));
    for (guint i = 0; json_array_size(list) == 0 && i < wsf->server->listeners->len; i++) {
        g_autofree char *url =
            listener_url(wsf->server, g_ptr_array_index(wsf->server->listeners, i));
        json_array_append_new(list, json_string(url));
    }
    char *text = json_dumps(page, JSON_COMPACT);
    reply->any_origin = true; /* an application may live on another origin than the realm */
    reply->status = 200;
    reply->content_type = "application/json";
    reply->body = g_strdup(text);
    reply->length = strlen(text);
    free(text);
}

static struct http_server *make_pages(struct listener *listener)
{
    struct wsf *wsf = listener->wsf;
    struct http_server *http = http_server_new();
    const char *folder = conf_string(wsf->conf, "wsf", "web_folder");
    if (listener->metrics)
        http_server_add_page(http, "/metrics", on_metrics, wsf);
    http_server_add_page(http, "/healthz", on_healthz, wsf);
    http_server_add_page(http, "/readyz", on_readyz, listener);
    http_server_add_page(http, "/.well-known/eirtcw", on_well_known, wsf);
    if (folder)
        http_server_add_folder(http, "/", folder);
    return http;
}

/* --- listeners -----------------------------------------------------------------------------------
 */

static struct link_listener_config read_section(const struct conf *conf, const char *section)
{
    struct link_listener_config config = {
        .connections_max = conf_int(conf, "limits", "connections_max"),
        .connections_per_address = conf_int(conf, "limits", "connections_per_address"),
        .streams_per_connection = conf_int(conf, "limits", "streams_per_connection"),
        .connect_rate_per_address = conf_int(conf, "limits", "connect_rate_per_address"),
        .request_rate_per_address = conf_int(conf, "limits", "request_rate_per_address"),
        .request_rate_total = conf_int(conf, "limits", "request_rate_total"),
    };
    if (!section) {
        config.address = "127.0.0.1";
        config.port = 8080;
        return config;
    }
    config.address = conf_string(conf, section, "address");
    config.port = conf_int(conf, section, "port");
    config.tls_certificate = conf_string(conf, section, "tls_certificate");
    config.tls_key = conf_string(conf, section, "tls_key");
    config.tls_client_ca = conf_string(conf, section, "tls_client_ca");
    config.origins = conf_list(conf, section, "origins");
    return config;
}

static bool open_listener(struct server *server, const char *section, GError **error)
{
    struct wsf *wsf = server->wsf;
    struct link_listener_config config = read_section(wsf->conf, section);
    struct listener *listener = g_new0(struct listener, 1);
    g_ptr_array_add(server->listeners, listener);
    listener->section = g_strdup(section);
    listener->address = config.address;
    listener->tls = config.tls_certificate != NULL;
    listener->wsf = wsf;
    listener->metrics = !section || conf_bool(wsf->conf, section, "metrics");
    listener->http = make_pages(listener);
    config.endpoints = &server->endpoint;
    config.n_endpoints = 1;
    config.http = listener->http;
    listener->listener = link_listen(wsf->links, &config, error);
    return listener->listener != NULL;
}

struct server *server_new(struct wsf *wsf, GError **error)
{
    struct server *server = g_new0(struct server, 1);
    server->wsf = wsf;
    server->listeners = g_ptr_array_new_with_free_func((GDestroyNotify)listener_free);
    server->endpoint = (struct link_endpoint){.path = PATH,
                                              .protocol = &client_protocol,
                                              .limits = &wsf->limits,
                                              .ops = &client_link_ops,
                                              .user = wsf};
    const char *const *sections = conf_instances(wsf->conf, "listen*");
    bool open = true;
    if (!sections || !sections[0])
        open = open_listener(server, NULL, error);
    for (guint i = 0; open && sections && sections[i]; i++)
        open = open_listener(server, sections[i], error);
    if (!open)
        g_clear_pointer(&server, server_free);
    return server;
}

void server_free(struct server *server)
{
    if (!server)
        return;
    g_ptr_array_unref(server->listeners);
    g_free(server);
}

void server_close(struct server *server)
{
    for (guint i = 0; i < server->listeners->len; i++) {
        struct listener *listener = g_ptr_array_index(server->listeners, i);
        link_listener_close(listener->listener);
        listener->listener = NULL;
    }
}

char *server_describe(const struct server *server)
{
    GString *text = g_string_new(NULL);
    for (guint i = 0; i < server->listeners->len; i++) {
        const struct listener *listener = g_ptr_array_index(server->listeners, i);
        bool v6 = listener->address && strchr(listener->address, ':');
        g_string_append_printf(text, "%s%s://%s%s%s:%u", i ? " " : "",
                               listener->tls ? "https" : "http", v6 ? "[" : "",
                               listener->address ? listener->address : "*", v6 ? "]" : "",
                               link_listener_port(listener->listener));
    }
    return g_string_free(text, FALSE);
}
