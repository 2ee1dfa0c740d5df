/* SPDX-License-Identifier: Apache-2.0 */
/* Owns what must hold before a WebSocket opens on a listener, whatever carries it (A1, RFC
 * 6455 4.2, RFC 8441 4), and the accounts of source addresses: connections, and links beyond the
 * first of one connection, which HTTP/2 can have. */
#define LOG_CATEGORY "link"
#include "wsf-link/ws-server.h"

#include "base/log.h"

#include <string.h>

/* --- accounts -----------------------------------------------------------------------------------
 */

void ws_account_open(struct ws_account *account, struct link_listener *listener,
                     struct rate_address *address, const char *peer)
{
    account->listener = listener;
    account->address = address;
    g_strlcpy(account->peer, peer, sizeof account->peer);
    address->connections++;
    listener->connections++;
}

void ws_account_close(struct ws_account *account)
{
    account->address->connections--;
    account->listener->connections--;
}

/* One link per connection is counted already. */
static guint surplus(const struct ws_account *account)
{
    return account->links > 1 ? account->links - 1 : 0;
}

void ws_account_link(struct ws_account *account, int delta)
{
    account->address->connections -= surplus(account);
    account->links += (guint)delta;
    account->listener->links += (guint)delta;
    account->address->connections += surplus(account);
}

/* Links of one connection beyond the first are what connections are over HTTP/1.1. */
static bool may_have_another(struct ws_account *account, gint64 now)
{
    const struct link_listener *listener = account->listener;
    guint rate = listener->connect_rate_per_address;
    return !account->links || (account->address->connections < listener->connections_per_address &&
                               rate_take(&account->address->connects, rate, 2 * rate, now));
}

bool ws_account_admit(struct ws_account *account, gint64 now, guint *ret_wait_ms)
{
    struct link_listener *listener = account->listener;
    guint rate = listener->request_rate_per_address, total = listener->request_rate_total;
    if (!rate_take(&account->address->requests, rate, 2 * rate, now)) {
        *ret_wait_ms = rate_wait_ms(&account->address->requests, rate, 2 * rate, now);
        return false;
    }
    if (!rate_take(&listener->requests, total, total, now)) {
        *ret_wait_ms = rate_wait_ms(&listener->requests, total, total, now);
        return false;
    }
    return true;
}

void ws_count_refused(void)
{
    static struct metric *metric;
    if (!metric)
        metric = metric_register(METRIC_COUNTER, "link_refused", NULL,
                                 "Connections that were turned away by a limit.", NULL);
    metric_add(metric, 1, NULL);
}

/* --- handshake ----------------------------------------------------------------------------------
 */

static const struct link_endpoint *find_endpoint(const struct link_listener *listener,
                                                 const char *path)
{
    for (size_t i = 0; i < listener->n_endpoints; i++)
        if (!g_strcmp0(listener->endpoints[i].path, path))
            return &listener->endpoints[i];
    return NULL;
}

static bool origin_allowed(const struct link_listener *listener, const char *origin)
{
    /* No origin, no browser: there is nothing that the check would protect. */
    return !listener->origins || !origin ||
           g_strv_contains((const char *const *)listener->origins, origin);
}

static bool listener_knows(const struct link_listener *listener, const char *subprotocol)
{
    for (size_t i = 0; i < listener->n_endpoints; i++)
        if (!strcmp(listener->endpoints[i].protocol->subprotocol, subprotocol))
            return true;
    return false;
}

/* A1: chosen when offered; only others offered: 400; none offered: accepted. libwebsockets chooses
 * the first name that any endpoint of the listener has, so that one must be the path's. */
static bool subprotocol_offered(const struct link_listener *listener, const char *offered,
                                const char *subprotocol)
{
    if (!offered)
        return true;
    g_auto(GStrv) names = g_strsplit(offered, ",", -1);
    for (guint i = 0; names[i]; i++)
        if (listener_knows(listener, g_strstrip(names[i])))
            return !strcmp(names[i], subprotocol);
    return false;
}

static guint find_refusal(struct ws_account *account, const struct ws_handshake *handshake,
                          const struct link_endpoint *endpoint)
{
    const struct link_listener *listener = account->listener;
    if (!endpoint)
        return 404;
    if (handshake->version && strcmp(handshake->version, "13") != 0)
        return 426; /* RFC 6455 4.2.2 */
    if (!origin_allowed(listener, handshake->origin))
        return 403;
    if (!subprotocol_offered(listener, handshake->subprotocols, endpoint->protocol->subprotocol))
        return 400;
    if (listener->fd < 0 || listener->links >= listener->connections_max)
        return 503;
    return may_have_another(account, g_get_monotonic_time()) ? 0 : 429;
}

guint ws_handshake_check(struct ws_account *account, const struct ws_handshake *handshake,
                         const struct link_endpoint **ret_endpoint)
{
    *ret_endpoint = find_endpoint(account->listener, handshake->path);
    guint status = find_refusal(account, handshake, *ret_endpoint);
    if (!status)
        return 0;
    struct log_ids ids = {.link = account->peer};
    log_debug(&ids, "handshake refused with %u", status);
    ws_count_refused();
    return status;
}

void ws_handshake_setup(const struct ws_account *account, const struct link_endpoint *endpoint,
                        struct link_setup *ret)
{
    struct link_service *service = account->listener->service;
    *ret = (struct link_setup){
        .number = service->next_number++,
        .role = LINK_SERVER,
        .protocol = endpoint->protocol,
        .limits = endpoint->limits,
        .ops = endpoint->ops,
        .user = endpoint->user,
        .peer_address = account->peer,
        .path = endpoint->path,
        .trace = service->trace,
    };
}
