/* SPDX-License-Identifier: Apache-2.0 */
/* Puts the media centre together and takes it apart: relay first, since nothing works without its
 * sockets; the listener last, since from then on WSFs may come. */
#define LOG_CATEGORY "wmcf"
#include "wmcf/wmcf.h"

#include "base/log.h"
#include "base/loop.h"
#include "base/metrics.h"
#include "pipelines/media-resource.h"
#include "wmcf/admin.h"
#include "wmcf/context.h"
#include "wmcf/controller.h"
#include "wmcf/enforcement.h"
#include "wmcf/media-metrics.h"
#include "wmcf/ice-traversal.h"
#include "wmcf/pipeline-share.h"
#include "wmcf/pipeline-templates.h"
#include "wmcf/quality-report.h"
#include "wmcf/termination.h"
#include "wmcf/topology.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define CLOSING_US G_USEC_PER_SEC
#define RELEASE_US (5 * G_USEC_PER_SEC)

static struct relay *make_relay(struct conf *conf, struct qos *qos, GError **error)
{
    struct relay_config config = {
        .bind = conf_list(conf, "media", "bind"),
        .advertise = conf_list(conf, "media", "advertise"),
        .port = conf_int(conf, "media", "port"),
        .workers = conf_int(conf, "media", "workers"),
        .spread_legs = conf_int(conf, "media", "spread_legs"),
        .ring_buffer = conf_int(conf, "media", "ring_buffer"),
        .legs_max = conf_int(conf, "limits", "terminations"),
        .socket_buffer = conf_int(conf, "media", "socket_buffer"),
        .video_buffer_ms = conf_int(conf, "media", "video_buffer"),
        .audio_buffer_ms = conf_int(conf, "media", "audio_buffer"),
        .consent_timeout_ms = 1000 * conf_int(conf, "media", "consent_timeout"),
        .source_timeout_ms = 1000 * conf_int(conf, "media", "source_timeout"),
        .inactivity_ms = 1000 * conf_int(conf, "media", "inactivity"),
        .pli_interval_ms = conf_int(conf, "media", "key_frame_interval"),
        .nack_buffer_packets = conf_int(conf, "media", "buffer_packets"),
        .buffer_mib = conf_int(conf, "media", "buffer_memory"),
        .bitrate_start = conf_int(conf, "media", "bitrate_start"),
        .bitrate_min = conf_int(conf, "media", "bitrate_min"),
        .bitrate_max = conf_int(conf, "media", "bitrate_max"),
        .send_history = conf_int(conf, "media", "send_history"),
        .pacing_ms = conf_int(conf, "media", "pacing_queue"),
        .pause_after_ms = conf_int(conf, "media", "pause_after"),
        .streams_max = conf_int(conf, "limits", "ssrcs_per_leg"),
        .stun_rate_unknown = conf_int(conf, "media", "stun_rate_unknown"),
        .dtls_rate = conf_int(conf, "media", "dtls_rate"),
        .own_port = conf_int(conf, "media", "full_port"),
        .own_ports = conf_int(conf, "limits", "full_ports"),
        .ice_pairs_max = conf_int(conf, "limits", "ice_pairs"),
        .ice_checks_max = conf_int(conf, "limits", "ice_checks"),
        .discard_report_ms = 1000 * conf_int(conf, "qos", "discard_report"),
        .qos = qos,
    };
    return relay_new(&config, error);
}

/* --- pages --------------------------------------------------------------------------------- */

static void page_metrics(const char *path, struct http_reply *reply, void *user)
{
    *reply = (struct http_reply){200, METRICS_CONTENT_TYPE, metrics_text("wmcf"), 0};
    reply->length = strlen(reply->body);
}

static void reply_text(struct http_reply *reply, guint status, const char *text)
{
    *reply = (struct http_reply){status, "text/plain; charset=utf-8", g_strdup(text), strlen(text)};
}

static void page_healthz(const char *path, struct http_reply *reply, void *user)
{
    reply_text(reply, 200, "alive\n");
}

static bool has_link(const struct wmcf *wmcf)
{
    GHashTableIter iter;
    struct controller *controller;
    g_hash_table_iter_init(&iter, wmcf->controllers);
    while (g_hash_table_iter_next(&iter, NULL, (void **)&controller))
        if (controller->links->len)
            return true;
    return false;
}

static void page_readyz(const char *path, struct http_reply *reply, void *user)
{
    const struct wmcf *wmcf = user;
    if (wmcf->state == SERVICE_DRAINING)
        reply_text(reply, 503, "draining\n");
    else if (!has_link(wmcf))
        reply_text(reply, 503, "no WSF is linked\n");
    else
        reply_text(reply, 200, "ready\n");
}

static void collect(void *user)
{
    static struct metric *contexts, *terminations, *pipelines, *resources, *meshes;
    const struct wmcf *wmcf = user;
    if (!contexts) {
        contexts = metric_register(METRIC_GAUGE, "contexts", NULL, "Contexts that exist.", NULL);
        terminations =
            metric_register(METRIC_GAUGE, "terminations", NULL, "Terminations that exist.", NULL);
        pipelines =
            metric_register(METRIC_GAUGE, "pipelines", NULL,
                            "webrtcbin pipelines: running, or waiting for the reaper.", "state");
        resources = metric_register(METRIC_GAUGE, "media_resources", NULL,
                                    "Pipelines of media resources, until they are gone.", NULL);
        meshes = metric_register(METRIC_GAUGE, "meshes", NULL,
                                 "Contexts of topology mesh that somebody has joined.", NULL);
    }
    metric_set(contexts, g_hash_table_size(wmcf->contexts), NULL);
    metric_set(terminations, wmcf->n_terminations, NULL);
    metric_set(pipelines, pl_legs_count(), (const char *const[]){"running"});
    metric_set(pipelines, pl_reaper_pending(), (const char *const[]){"reaping"});
    metric_set(resources, media_resources_count(), NULL);
    metric_set(meshes, mesh_count(), NULL);
    enforcement_collect(wmcf);
    media_metrics_collect(wmcf->relay);
}

static struct http_server *make_http(struct wmcf *wmcf)
{
    struct http_server *http = http_server_new();
    http_server_add_page(http, "/metrics", page_metrics, wmcf);
    http_server_add_page(http, "/healthz", page_healthz, wmcf);
    http_server_add_page(http, "/readyz", page_readyz, wmcf);
    metrics_add_collector(collect, wmcf);
    return http;
}

/* --- the listener -------------------------------------------------------------------------- */

static struct link_endpoint endpoint; /* one listener, kept by reference as link.h wants */

static bool listen_for_wsfs(struct wmcf *wmcf, GError **error)
{
    struct conf *conf = wmcf->conf;
    wmcf->limits = link_limits_trusted;
    wmcf->limits.message_max = conf_int(conf, "control", "message_max");
    wmcf->limits.keepalive_ms = 1000 * conf_int(conf, "control", "keepalive");
    wmcf->limits.rate = conf_int(conf, "control", "request_rate");
    wmcf->limits.burst = 2 * wmcf->limits.rate;
    endpoint = (struct link_endpoint){"/eirtcw-mc/v1", &controller_protocol, &wmcf->limits,
                                      &controller_link_ops, wmcf};
    struct link_listener_config config = {
        .address = conf_string(conf, "control", "address"),
        .port = conf_int(conf, "control", "port"),
        .tls_certificate = conf_string(conf, "control", "tls_certificate"),
        .tls_key = conf_string(conf, "control", "tls_key"),
        .tls_client_ca = conf_string(conf, "control", "tls_client_ca"),
        .endpoints = &endpoint,
        .n_endpoints = 1,
        .http = wmcf->http,
        .connections_max = conf_int(conf, "control", "connections_max"),
        .connections_per_address = conf_int(conf, "control", "connections_per_address"),
        .streams_per_connection = conf_int(conf, "control", "streams_per_connection"),
        .connect_rate_per_address = conf_int(conf, "control", "connect_rate_per_address"),
    };
    wmcf->listener = link_listen(wmcf->links, &config, error);
    return wmcf->listener != NULL;
}

/* A WSF whose credential cannot be checked would only ever see "authentication failed": better to
 * say at the start what is wrong and where. */
static bool check_wsf(const struct conf *conf, const char *section, GError **error)
{
    g_autoptr(GError) failed = NULL;
    g_autofree char *token = conf_secret(conf, section, "token_file", &failed);
    if (failed) {
        g_propagate_error(error, g_steal_pointer(&failed));
        return false;
    }
    const char *missing = NULL;
    if (!conf_string(conf, section, "webrtc_id"))
        missing = "webrtc_id";
    else if (!token && !conf_string(conf, section, "certificate_name"))
        missing = "token_file or certificate_name";
    if (missing) {
        problem_set(error, PROBLEM_MISSING_PARAMETER, "section [%s] needs %s", section, missing);
        return false;
    }
    size_t length = token ? strlen(token) : 0;
    if (token)
        explicit_bzero(token, length);
    if (token && length < WSF_TOKEN_MIN) {
        problem_set(error, PROBLEM_INVALID_MESSAGE,
                    "the token of section [%s] has fewer than %u characters; make a longer one",
                    section, WSF_TOKEN_MIN);
        return false;
    }
    return true;
}

static bool check_wsfs(const struct conf *conf, GError **error)
{
    const char *const *sections = conf_instances(conf, "wsf*");
    if (!sections || !sections[0])
        log_warning(NULL, "no [wsf \"name\"] section: nobody can drive this media centre");
    for (size_t i = 0; sections && sections[i]; i++)
        if (!check_wsf(conf, sections[i], error))
            return false;
    return true;
}

struct wmcf *wmcf_new(struct conf *conf, GError **error)
{
    if (!check_wsfs(conf, error))
        return NULL;
    struct wmcf *wmcf = g_new0(struct wmcf, 1);
    wmcf->conf = conf;
    wmcf->started = g_get_monotonic_time();
    wmcf->restart_counter = time(NULL);
    wmcf->contexts = g_hash_table_new(g_str_hash, g_str_equal);
    wmcf->controllers = g_hash_table_new(g_str_hash, g_str_equal);
    wmcf->releasing = g_hash_table_new(NULL, NULL);
    wmcf->shares = g_hash_table_new(g_str_hash, g_str_equal);
    wmcf->http = make_http(wmcf);
    wmcf->reports = quality_reports_new(conf_int(conf, "media", "qos_report_interval"));
    service_state_start(wmcf);
    wmcf->templates = pipeline_templates_new(conf);
    const char *socket_path = conf_string(conf, "admin", "socket");
    if (!(wmcf->ice_servers = ice_servers_new(conf, error)) ||
        !(wmcf->qos = enforcement_new(conf, error)) ||
        !(wmcf->relay = make_relay(conf, wmcf->qos, error)) ||
        !(wmcf->links = link_service_new(conf_string(conf, "control", "trace_file"), error)) ||
        (socket_path && *socket_path && !(wmcf->admin = admin_new(wmcf, socket_path, error))) ||
        !listen_for_wsfs(wmcf, error)) {
        wmcf_free(wmcf);
        return NULL;
    }
    enforcement_start(wmcf);
    return wmcf;
}

/* Workers let go within a moment; a pipeline whose elements hang may never do. */
static void wait_for_releases(struct wmcf *wmcf, gint64 most)
{
    gint64 end = g_get_monotonic_time() + most;
    while (g_hash_table_size(wmcf->releasing) && g_get_monotonic_time() < end)
        if (!g_main_context_iteration(NULL, FALSE))
            g_usleep(1000);
}

/* The WSFs are told (1001) while everything is still there to answer them, after the answers that
 * wait for a leg's last statistics; one that does not let go within the second is cut off. */
static void close_links(struct wmcf *wmcf)
{
    wait_for_releases(wmcf, CLOSING_US);
    gint64 end = g_get_monotonic_time() + CLOSING_US;
    link_listener_close(wmcf->listener);
    controllers_close(wmcf);
    while (has_link(wmcf) && g_get_monotonic_time() < end)
        if (!g_main_context_iteration(NULL, FALSE))
            g_usleep(1000);
}

void wmcf_reload(struct wmcf *wmcf)
{
    g_autoptr(GError) error = NULL;
    if (link_service_reload(wmcf->links, &error))
        log_info(NULL, "TLS certificates and keys read again");
    else
        log_error(NULL, "TLS certificates and keys: %s", error->message);
    pipeline_templates_reload(wmcf->templates);
}

/* One of a WSF; those of shared pipelines go with their last member. */
static struct context *next_context(const struct wmcf *wmcf)
{
    GHashTableIter iter;
    struct context *context;
    g_hash_table_iter_init(&iter, wmcf->contexts);
    while (g_hash_table_iter_next(&iter, NULL, (void **)&context))
        if (strcmp(context->owner, PIPELINE_SHARE_OWNER) != 0)
            return context;
    return NULL;
}

void wmcf_free(struct wmcf *wmcf)
{
    if (!wmcf)
        return;
    GHashTableIter iter;
    void *value;
    enforcement_stop(wmcf);
    admin_free(wmcf->admin);
    close_links(wmcf);
    g_hash_table_iter_init(&iter, wmcf->controllers);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        controller_free(value);
    g_hash_table_remove_all(wmcf->controllers);
    link_service_free(wmcf->links);
    while ((value = next_context(wmcf))) /* context_free() changes the table */
        context_free(value);
    wait_for_releases(wmcf, RELEASE_US);
    if (g_hash_table_size(wmcf->releasing)) {
        /* Their threads still look at what would be freed here. */
        log_error(NULL, "%u pipelines do not stop; ending without them", media_resources_count());
        _exit(EXIT_SUCCESS);
    }
    pipeline_templates_free(wmcf->templates);
    http_server_free(wmcf->http);
    relay_free(wmcf->relay);
    traversal_finish();
    ice_servers_free(wmcf->ice_servers);
    qos_free(wmcf->qos);
    quality_reports_free(wmcf->reports);
    loop_timer_free(wmcf->load_timer);
    loop_timer_free(wmcf->drain_timer);
    g_hash_table_unref(wmcf->controllers);
    g_hash_table_unref(wmcf->contexts);
    g_hash_table_unref(wmcf->releasing);
    g_hash_table_unref(wmcf->shares);
    g_free(wmcf);
}
