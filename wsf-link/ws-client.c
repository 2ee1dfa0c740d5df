/* SPDX-License-Identifier: Apache-2.0 */
/* Owns a dialer: one URL, one link at a time, and the decision when to try again. Names are
 * resolved beforehand (resolver.c), so libwebsockets is given a numeric address and, for the
 * certificate check, the name. A connection may outlive its dialer until libwebsockets lets it go;
 * it is then abandoned and says nothing. TLS material that is the same shares one virtual host, and
 * those stay until the service ends, because taking one down under a running loop is not safe in
 * libwebsockets 4.1. The close codes 1012 and 1013 of a peer arrive as 1002, because libwebsockets
 * does not know them. */
#define LOG_CATEGORY "link"
#include "wsf-link/ws-core.h"

#include "base/ids.h"
#include "base/log.h"
#include "wsf-link/backoff.h"
#include "wsf-link/resolver.h"
#include "wsf-link/ws-address.h"

#include <string.h>

#define CONNECT_MS 10000                /* TCP, TLS and WebSocket handshake together */
#define LASTED_US (10 * G_USEC_PER_SEC) /* a link that lived so long begins the back-off anew */

enum dialer_state {
    DIALER_WAITING,    /* for the next attempt */
    DIALER_RESOLVING,  /* a lookup is under way */
    DIALER_CONNECTING, /* handshakes */
    DIALER_OPEN,       /* a link lives */
    DIALER_STOPPED,    /* the peer forbade to come again */
};

struct link_dialer {
    struct link_service *service;
    struct link_dialer_config config; /* its texts are not used after creation */
    char *url, *host, *path;          /* host without brackets */
    guint port;
    bool tls;
    struct lws_vhost *vhost;
    enum dialer_state state;
    struct loop_timer *timer; /* next attempt, or the end of the present one */
    gint64 attempt_at;        /* while waiting */
    struct backoff backoff;
    guint backoff_max_ms; /* 0: configured */
    char **addresses;     /* still to be tried of the last lookup */
    guint next_address;
    struct resolver_lookup *lookup;
    struct ws_dial *dial;
    gint64 opened_at;
};

/* One connection. */
struct ws_dial {
    struct ws_wire wire;        /* first */
    struct link_dialer *dialer; /* NULL: abandoned, or its end is known already */
    char *address;
};

struct ws_client_vhost {
    char *key;
    SSL_CTX *tls; /* NULL: cleartext */
    char *certificate, *tls_key, *ca;
    struct lws_vhost *vhost;
};

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t length);
static const struct lws_protocols protocols[] = {
    {.name = "link", .callback = on_event, .rx_buffer_size = 4096}, {0}};

/* --- states --------------------------------------------------------------------------------- */

static const char *const state_names[] = {"waiting", "resolving", "connecting", "open", "stopped"};
static const guint8 state_next[] = {
    [DIALER_WAITING] = 1 << DIALER_RESOLVING | 1 << DIALER_CONNECTING,
    [DIALER_RESOLVING] = 1 << DIALER_CONNECTING | 1 << DIALER_WAITING,
    [DIALER_CONNECTING] = 1 << DIALER_OPEN | 1 << DIALER_WAITING,
    [DIALER_OPEN] = 1 << DIALER_WAITING | 1 << DIALER_STOPPED,
    [DIALER_STOPPED] = 0,
};

static void set_state(struct link_dialer *dialer, enum dialer_state state, const char *why)
{
    g_assert(state_next[dialer->state] & (1 << state));
    struct log_ids ids = {.link = dialer->url};
    log_debug(&ids, "%s -> %s (%s)", state_names[dialer->state], state_names[state], why);
    dialer->state = state;
}

/* --- attempts --------------------------------------------------------------------------------- */

void ws_dial_free(gpointer data)
{
    struct ws_dial *dial = data;
    if (dial->dialer)
        dial->dialer->dial = NULL;
    g_free(dial->address);
    g_free(dial);
}

bool ws_dial_has_link(const struct ws_dial *dial)
{
    return dial->wire.link != NULL;
}

static guint try_later(struct link_dialer *dialer)
{
    guint wait = backoff_next(&dialer->backoff, dialer->backoff_max_ms, id_random32());
    dialer->attempt_at = g_get_monotonic_time() + (gint64)wait * 1000;
    loop_timer_start(dialer->timer, wait);
    return wait;
}

/* Tells the program last: it may free the dialer in the callback. */
static void attempt_failed(struct link_dialer *dialer, const char *why)
{
    bool more = dialer->addresses && dialer->addresses[dialer->next_address];
    set_state(dialer, DIALER_WAITING, why);
    if (more) { /* the name's next address, at once */
        dialer->attempt_at = 0;
        loop_timer_start(dialer->timer, 0);
        return;
    }
    g_clear_pointer(&dialer->addresses, g_strfreev);
    guint wait = try_later(dialer);
    if (!dialer->config.attempt_failed)
        return;
    g_autoptr(GError) error = NULL;
    problem_set(&error, PROBLEM_PEER_TIMEOUT, "cannot connect to %s: %s", dialer->url, why);
    dialer->config.attempt_failed(error, wait, dialer->config.user);
}

/* The attempt is over; what libwebsockets still says about it is no news. */
static void dial_failed(struct ws_dial *dial, const char *why)
{
    struct link_dialer *dialer = dial->dialer;
    if (!dialer)
        return;
    dial->dialer = NULL;
    dialer->dial = NULL;
    attempt_failed(dialer, why);
}

static void connect_to(struct link_dialer *dialer, const char *address)
{
    struct ws_dial *dial = g_new0(struct ws_dial, 1);
    dial->dialer = dialer;
    dial->address = g_strdup(address);
    dialer->dial = dial;
    g_hash_table_add(dialer->service->dials, dial);
    set_state(dialer, DIALER_CONNECTING, address);
    loop_timer_start(dialer->timer, CONNECT_MS);
    int tls_flags = LCCSCF_USE_SSL;
    if (ws_tls_own_host_check(dialer->host))
        tls_flags |= LCCSCF_SKIP_SERVER_CERT_HOSTNAME_CHECK;
    bool six = strchr(dialer->host, ':') != NULL;
    g_autofree char *host = g_strdup_printf(six ? "[%s]:%u" : "%s:%u", dialer->host, dialer->port);
    struct lws_client_connect_info info = {
        .context = dialer->service->client_loop->context,
        .vhost = dialer->vhost,
        .address = address,
        .port = (int)dialer->port,
        .path = dialer->path,
        .host = host,
        .protocol = dialer->config.protocol->subprotocol,
        .local_protocol_name = protocols[0].name,
        .alpn = "http/1.1", /* there is no RFC 8441 client in libwebsockets */
        .ssl_connection = dialer->tls ? tls_flags : 0,
        .pwsi = &dial->wire.wsi,
        .opaque_user_data = dial,
    };
    struct link_service *service = dialer->service;
    ws_loop_touch(service->client_loop);
    /* A failure inside frees the dial, and the program may free the dialer at the news. */
    if (lws_client_connect_via_info(&info) || !g_hash_table_contains(service->dials, dial))
        return;
    dial_failed(dial, "no connection");
    g_hash_table_remove(service->dials, dial);
}

static void connect_next(struct link_dialer *dialer)
{
    connect_to(dialer, dialer->addresses[dialer->next_address++]);
}

static void on_resolved(char **addresses, const char *failure, void *user)
{
    struct link_dialer *dialer = user;
    dialer->lookup = NULL;
    if (addresses && addresses[0]) {
        g_strfreev(dialer->addresses);
        dialer->addresses = addresses;
        dialer->next_address = 0;
        connect_next(dialer);
        return;
    }
    g_strfreev(addresses);
    attempt_failed(dialer, failure ? failure : "the name has no address");
}

static void on_timer(void *data)
{
    struct link_dialer *dialer = data;
    if (dialer->state == DIALER_CONNECTING) {
        ws_wire_drop(dialer->dial->wire.wsi);
        dial_failed(dialer->dial, "no WebSocket handshake in time");
        return;
    }
    if (dialer->state != DIALER_WAITING)
        return;
    if (dialer->addresses && dialer->addresses[dialer->next_address]) {
        connect_next(dialer);
        return;
    }
    if (g_hostname_is_ip_address(dialer->host)) {
        connect_to(dialer, dialer->host);
        return;
    }
    set_state(dialer, DIALER_RESOLVING, dialer->host);
    dialer->lookup = resolver_start(dialer->host, on_resolved, dialer);
}

/* --- links --------------------------------------------------------------------------------------
 */

static void on_link_gone(void *owner, int code)
{
    struct ws_dial *dial = owner;
    struct link_dialer *dialer = dial->dialer;
    if (!dialer)
        return;
    dial->dialer = NULL;
    dialer->dial = NULL;
    if (code == LINK_CLOSE_NOT_AUTHENTICATED || code == LINK_CLOSE_SUPERSEDED) { /* A1 */
        set_state(dialer, DIALER_STOPPED, "the close code forbids to come again");
        return;
    }
    if (g_get_monotonic_time() - dialer->opened_at >= LASTED_US)
        backoff_reset(&dialer->backoff);
    set_state(dialer, DIALER_WAITING, "link lost");
    try_later(dialer);
}

static int open_link(struct ws_dial *dial, struct lws *wsi)
{
    struct link_dialer *dialer = dial->dialer;
    if (!dialer)
        return -1;
    set_state(dialer, DIALER_OPEN, "handshake done");
    loop_timer_stop(dialer->timer);
    g_clear_pointer(&dialer->addresses, g_strfreev);
    dialer->opened_at = g_get_monotonic_time();
    struct link_setup setup = {
        .number = dialer->service->next_number++,
        .role = LINK_CLIENT,
        .protocol = dialer->config.protocol,
        .limits = dialer->config.limits,
        .ops = dialer->config.ops,
        .user = dialer->config.user,
        .peer_address = dial->address,
        .path = dialer->path,
        .tls_version = ws_tls_version(ws_tls_of(wsi)),
        .certificate_names = ws_tls_peer_names(ws_tls_of(wsi)),
        .wire_ops = &ws_wire_ops,
        .wire = &dial->wire,
        .trace = dialer->service->trace,
        .gone = on_link_gone,
        .owner = dial,
    };
    dial->wire.wsi = wsi;
    dial->wire.link = link_new(&setup);
    link_wire_opened(dial->wire.link);
    return 0;
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t length)
{
    struct ws_dial *dial = lws_get_opaque_user_data(wsi);
    int result;
    if (!dial)
        return 0;
    loop_mark("websocket client");
    ws_loop_of(wsi)->changed = true; /* sockets come and go inside of libwebsockets */
    if (ws_wire_event(&dial->wire, reason, in, length, &result))
        return result;
    switch ((int)reason) {
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        return open_link(dial, wsi);
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR: {
        g_autofree char *why = in ? g_strndup(in, length) : NULL;
        dial_failed(dial, why ? why : "the connection failed");
        return 0;
    }
    case LWS_CALLBACK_WSI_DESTROY: {
        struct link_service *service = ws_loop_of(wsi)->service;
        link_wire_lost(g_steal_pointer(&dial->wire.link));
        dial_failed(dial, "the connection was closed");
        g_hash_table_remove(service->dials, dial);
        return 0;
    }
    default:
        return 0;
    }
}

/* --- dialers ------------------------------------------------------------------------------------
 */

void ws_client_vhost_free(gpointer data)
{
    struct ws_client_vhost *vhost = data;
    SSL_CTX_free(vhost->tls);
    g_free(vhost->certificate);
    g_free(vhost->tls_key);
    g_free(vhost->ca);
    g_free(vhost->key);
    g_free(vhost);
}

bool ws_client_vhost_reload(struct ws_client_vhost *vhost, GError **error)
{
    const struct ws_tls_files files = {
        .certificate = vhost->certificate, .key = vhost->tls_key, .ca = vhost->ca};
    return !vhost->tls || ws_tls_client_reload(vhost->tls, &files, error);
}

static char *vhost_key(const struct link_dialer *dialer, const struct link_dialer_config *config)
{
    const char *const parts[] = {config->tls_ca, config->tls_certificate, config->tls_key,
                                 ws_tls_own_host_check(dialer->host) ? dialer->host : NULL};
    GString *key = g_string_new(dialer->tls ? "wss" : "ws");
    for (guint i = 0; i < G_N_ELEMENTS(parts) && dialer->tls; i++)
        g_string_append_printf(key, "\n%s", parts[i] ? parts[i] : "");
    return g_string_free(key, FALSE);
}

static struct lws_vhost *make_vhost(struct link_service *service, SSL_CTX *tls, GError **error)
{
    struct lws_context_creation_info info = {
        .vhost_name = "dialer",
        .port = CONTEXT_PORT_NO_LISTEN,
        .protocols = protocols,
        .options = tls ? LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT : 0,
        .provided_client_ssl_ctx = tls,
        .http_proxy_address = "none:0", /* or $http_proxy would reroute our links */
    };
    struct lws_vhost *vhost = lws_create_vhost(service->client_loop->context, &info);
    if (!vhost)
        problem_set(error, PROBLEM_INTERNAL_ERROR, "libwebsockets did not set up a dialer");
    return vhost;
}

static struct lws_vhost *find_vhost(struct link_dialer *dialer,
                                    const struct link_dialer_config *config, GError **error)
{
    struct link_service *service = dialer->service;
    g_autofree char *key = vhost_key(dialer, config);
    for (GList *at = service->client_vhosts.head; at; at = at->next) {
        struct ws_client_vhost *known = at->data;
        if (!strcmp(known->key, key))
            return known->vhost;
    }
    SSL_CTX *tls = NULL;
    const struct ws_tls_files files = {
        .certificate = config->tls_certificate, .key = config->tls_key, .ca = config->tls_ca};
    if (dialer->tls && !(tls = ws_tls_client_context(&files, dialer->host, error)))
        return NULL;
    struct ws_client_vhost *made = g_new(struct ws_client_vhost, 1);
    *made = (struct ws_client_vhost){.key = g_steal_pointer(&key),
                                     .tls = tls,
                                     .certificate = g_strdup(files.certificate),
                                     .tls_key = g_strdup(files.key),
                                     .ca = g_strdup(files.ca)};
    made->vhost = make_vhost(service, tls, error);
    if (!made->vhost) {
        ws_client_vhost_free(made);
        return NULL;
    }
    g_queue_push_tail(&service->client_vhosts, made);
    return made->vhost;
}

static bool parse_url(struct link_dialer *dialer, const char *url, GError **error)
{
    g_autoptr(GError) why = NULL;
    g_autoptr(GUri) uri = g_uri_parse(url, G_URI_FLAGS_NONE, &why);
    const char *scheme = uri ? g_uri_get_scheme(uri) : "";
    const char *host = uri ? g_uri_get_host(uri) : NULL;
    dialer->tls = !strcmp(scheme, "wss");
    if (!host || !*host || (!dialer->tls && strcmp(scheme, "ws") != 0) || g_uri_get_userinfo(uri)) {
        problem_set(error, PROBLEM_INVALID_MESSAGE, "%s is not a WebSocket address%s%s", url,
                    why ? ": " : "", why ? why->message : "");
        return false;
    }
    if (!dialer->tls && !ws_address_text_is_loopback(host)) { /* A1 */
        problem_set(error, PROBLEM_INVALID_MESSAGE,
                    "%s: without TLS only loopback addresses are allowed; use wss://", url);
        return false;
    }
    int port = g_uri_get_port(uri);
    const char *path = g_uri_get_path(uri), *query = g_uri_get_query(uri);
    dialer->url = g_strdup(url);
    dialer->host = g_strdup(host);
    dialer->port = port > 0 ? (guint)port : dialer->tls ? 443 : 80;
    dialer->path = g_strconcat(*path ? path : "/", query ? "?" : "", query ? query : "", NULL);
    return true;
}

struct link_dialer *link_dialer_new(struct link_service *service,
                                    const struct link_dialer_config *config, GError **error)
{
    struct link_dialer *dialer = g_new0(struct link_dialer, 1);
    dialer->service = service;
    dialer->config = *config;
    dialer->backoff.min_ms = MAX(config->backoff_min_ms, 1);
    dialer->backoff.max_ms = MAX(config->backoff_max_ms, dialer->backoff.min_ms);
    dialer->timer = loop_timer_new("dialer", on_timer, dialer);
    g_queue_push_tail(&service->dialers, dialer);
    if (!parse_url(dialer, config->url, error))
        goto fail;
    if (!service->client_loop && !(service->client_loop = ws_loop_new(service, 0, NULL, error)))
        goto fail;
    dialer->vhost = find_vhost(dialer, config, error);
    if (!dialer->vhost)
        goto fail;
    loop_timer_start(dialer->timer, 0);
    return dialer;
fail:
    link_dialer_free(dialer);
    return NULL;
}

void link_dialer_set_backoff_max(struct link_dialer *dialer, guint ms)
{
    if (!dialer)
        return;
    dialer->backoff_max_ms = ms;
    if (!ms || dialer->state != DIALER_WAITING)
        return;
    /* A wait that was chosen under a longer limit is cut short. */
    gint64 now = g_get_monotonic_time();
    dialer->attempt_at = MIN(dialer->attempt_at, now + (gint64)ms * 1000);
    loop_timer_start(dialer->timer, (guint)(MAX(dialer->attempt_at - now, 0) / 1000));
}

void link_dialer_free(struct link_dialer *dialer)
{
    if (!dialer)
        return;
    resolver_cancel(dialer->lookup);
    if (dialer->dial) {
        struct ws_dial *dial = g_steal_pointer(&dialer->dial);
        dial->dialer = NULL;
        if (dial->wire.link)
            link_abandon(dial->wire.link, LINK_CLOSE_NORMAL);
        else
            ws_wire_drop(dial->wire.wsi);
    }
    g_queue_remove(&dialer->service->dialers, dialer);
    loop_timer_free(dialer->timer);
    g_strfreev(dialer->addresses);
    g_free(dialer->url);
    g_free(dialer->host);
    g_free(dialer->path);
    g_free(dialer);
}
