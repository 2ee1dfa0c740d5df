/* SPDX-License-Identifier: Apache-2.0 */
/* One object per connection. It says which endpoint the connection is registered as; everything
 * that outlives a connection belongs to the endpoint. */
#define LOG_CATEGORY "client"
#include "wsf/client.h"

#include "base/log.h"
#include "wsf/call-quality.h"
#include "wsf/identity.h"
#include "wsf/methods/methods.h"

static const char *const extensions[] = {DATACHANNEL, DIRECT_MEDIA, PRE_OFFER_AS_OFFER,
                                         QOS_REPORT,  TRICKLE_ICE,  NULL};
const struct link_protocol client_protocol = {.subprotocol = "eirtcw.v1",
                                              .methods = method_names,
                                              .application_methods = true,
                                              .extensions = extensions};

struct endpoint *client_endpoint(const struct client *client)
{
    return client->endpoint ? registrar_endpoint(client->wsf->registrar, client->endpoint) : NULL;
}

json_t *client_extensions(void)
{
    json_t *list = json_array();
    for (guint i = 0; extensions[i]; i++)
        json_array_append_new(list, json_string(extensions[i]));
    return list;
}

struct client *client_opened(struct wsf *wsf, struct link *link)
{
    struct client *client = g_new0(struct client, 1);
    client->wsf = wsf;
    client->link = link;
    client->number = link_number(link);
    g_hash_table_insert(wsf->clients, &client->number, client);
    link_set_data(link, client);
    return client;
}

static void on_opened(struct link *link, void *user)
{
    struct wsf *wsf = user;
    client_opened(wsf, link);
    link_set_keepalive(link, wsf->limits.keepalive_ms);
    struct log_ids ids = {.link = link_name(link)};
    g_autofree char *transport = link_describe_transport(link);
    log_debug(&ids, "connection accepted from %s over %s", link_peer_address(link), transport);
}

void client_request(struct link *link, struct link_transaction *transaction)
{
    struct client *client = link_data(link);
    const struct method *method = method_find(link_transaction_method(transaction));
    struct endpoint *endpoint = client_endpoint(client);
    bool auth = method->handle == handle_auth;
    loop_mark(method->name);
    if (auth && link_role(link) == LINK_CLIENT) {
        GError *error = NULL;
        problem_set(&error, PROBLEM_METHOD_NOT_SUPPORTED,
                    "the side that has opened the connection authenticates");
        method_fail(client, transaction, error, NULL);
        return;
    }
    if (!auth && !endpoint) {
        /* Registered once, not any more, and the close is on its way. */
        GError *error = NULL;
        problem_set(&error, PROBLEM_NOT_AUTHENTICATED,
                    "this connection is not registered any more");
        method_fail(client, transaction, error, NULL);
        return;
    }
    if (!auth && endpoint->reauth.has_former) {
        reauth_confirm(&endpoint->reauth); /* A6: the first request on the new connection */
        endpoint_changed(endpoint);
    }
    method->handle(client, transaction);
}

static void on_request(struct link *link, struct link_transaction *transaction, void *user)
{
    client_request(link, transaction);
}

void client_closed(struct wsf *wsf, struct link *link, int code, const char *reason)
{
    struct client *client = link_data(link);
    struct endpoint *endpoint = client_endpoint(client);
    struct log_ids ids = {.link = link_name(link)};
    log_debug(&ids, "connection closed (%d %s)", code, reason ? reason : "");
    if (endpoint && endpoint->link == link) {
        endpoint->link = NULL;
        if (code == LINK_CLOSE_NORMAL) {
            /* Said goodbye: nothing to wait for. */
            registrar_remove(wsf->registrar, endpoint, REGISTRAR_DEREGISTERED);
        } else if (code == LINK_CLOSE_EXPIRED && endpoint->dialed) {
            registrar_remove(wsf->registrar, endpoint, REGISTRAR_EXPIRED);
        } else {
            registrar_lost(endpoint, loop_now());
            client_lost(wsf, endpoint);
            peer_lost(wsf, endpoint);
            log_info(&ids, "%s lost (%d %s), kept for %u s", identity_log(endpoint->webrtc_id),
                     code, reason ? reason : "", endpoint->ttl_s);
        }
        wsf_schedule_registrations(wsf);
    }
    guint64 number = client->number; /* the key lives inside the value */
    g_hash_table_remove(wsf->clients, &number);
}

static void on_closed(struct link *link, int code, const char *reason, void *user)
{
    client_closed(user, link, code, reason);
}

const struct link_ops client_link_ops = {
    .opened = on_opened, .request = on_request, .closed = on_closed};
