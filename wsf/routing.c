/* SPDX-License-Identifier: Apache-2.0 */
/* Routing. One function per kind of destination, chosen by realm and form of the resourceId, so
 * that a new kind is one more function and one more line. Nothing goes in circles: a server is
 * never sent what came from it, what came from the own network stays where it is, and hopLimit ends
 * the rest. */
#include "wsf/routing.h"

#include "base/ids.h"
#include "wsf-link/json-read.h"
#include "wsf/room.h"

#include <string.h>

#define HOP_LIMIT_MAX 255

static GPtrArray *endpoints_to_ring(const struct wsf *wsf, const char *called,
                                    const struct endpoint *caller)
{
    const GPtrArray *all = registrar_lookup(wsf->registrar, called);
    guint max = conf_int(wsf->conf, "call", "forks_max");
    GPtrArray *ring = g_ptr_array_new();
    /* Newest first: with more endpoints than may ring, the ones that are in use do. */
    for (guint i = all ? all->len : 0; i > 0 && ring->len < max; i--) {
        struct endpoint *endpoint = g_ptr_array_index(all, i - 1);
        if (endpoint != caller)
            g_ptr_array_add(ring, endpoint);
    }
    return ring;
}

static bool find_user(const struct wsf *wsf, const struct endpoint *caller, struct route *ret)
{
    ret->kind = ROUTE_USER;
    ret->endpoints = endpoints_to_ring(wsf, ret->called, caller);
    return ret->endpoints->len > 0;
}

char *routing_resource_name(const struct conf *conf, const char *section)
{
    const char *name = conf_string(conf, section, "name");
    g_autofree char *own = name ? NULL : conf_instance_name(section);
    return own ? g_strconcat("media/", own, NULL) : g_strdup(name);
}

static bool has_section(const struct wsf *wsf, const char *wanted)
{
    const char *const *sections = conf_instances(wsf->conf, "resource*");
    for (guint i = 0; sections && sections[i]; i++) {
        g_autofree char *name = routing_resource_name(wsf->conf, sections[i]);
        if (g_strcmp0(name, wanted) == 0)
            return true;
    }
    return false;
}

static bool find_resource(const struct wsf *wsf, struct route *ret)
{
    g_autofree char *wanted = g_strndup(ret->called, strcspn(ret->called, "@"));
    bool room = room_table_knows(wsf->rooms, wanted);
    if (!room && !has_section(wsf, wanted))
        return false;
    ret->kind = room ? ROUTE_ROOM : ROUTE_RESOURCE;
    ret->resource = g_steal_pointer(&wanted);
    ret->endpoints = g_ptr_array_new();
    return true;
}

/* One forward inside of the own network: the other WSFs, any of which may have the user. */
static bool find_in_network(const struct wsf *wsf, const struct endpoint *caller, struct route *ret)
{
    if (caller->kind == ENDPOINT_WSF)
        return false;
    const GPtrArray *peers = peer_table_all(wsf->peers);
    guint max = conf_int(wsf->conf, "call", "forks_max");
    ret->kind = ROUTE_SERVER;
    ret->endpoints = g_ptr_array_new();
    for (guint i = 0; i < peers->len && ret->endpoints->len < max; i++) {
        const struct peer *peer = g_ptr_array_index(peers, i);
        struct endpoint *endpoint = registrar_endpoint(wsf->registrar, peer->endpoint);
        if (peer->kind == ENDPOINT_WSF && endpoint)
            g_ptr_array_add(ret->endpoints, endpoint);
    }
    if (ret->endpoints->len > 0)
        return true;
    g_clear_pointer(&ret->endpoints, g_ptr_array_unref);
    return false;
}

static bool find_own(const struct wsf *wsf, const struct endpoint *caller, struct route *ret,
                     GError **error)
{
    bool resource = strchr(ret->called, '/') != NULL;
    if (resource ? find_resource(wsf, ret) : find_user(wsf, caller, ret))
        return true;
    g_clear_pointer(&ret->endpoints, g_ptr_array_unref);
    if (find_in_network(wsf, caller, ret))
        return true;
    /* Unknown and offline callees are one answer unless configured: nobody learns who exists. */
    bool told = conf_bool(wsf->conf, "call", "reveal_unknown");
    if (!resource && told && !auth_knows(wsf->auth, ret->called))
        problem_set_param(error, PROBLEM_RESOURCE_NOT_FOUND, "/resourceId",
                          "there is no such user here");
    else if (resource)
        problem_set_param(error, PROBLEM_RESOURCE_NOT_FOUND, "/resourceId",
                          "this resource does not exist here");
    else
        problem_set_param(error, PROBLEM_USER_NOT_REGISTERED, "/resourceId",
                          "this user is not registered at the moment");
    return false;
}

/* May a call of `caller` go to this peer? */
static bool may_pass(const struct wsf *wsf, const struct endpoint *caller, const struct peer *peer)
{
    const struct peer *from = peer_of(wsf, caller);
    if (!from)
        return true;
    if (from == peer)
        return false;
    return caller->kind != ENDPOINT_OPERATOR || peer->kind != ENDPOINT_OPERATOR || from->transit;
}

/* Of several peers for a realm the first in the configuration that is connected, then one that may
 * come back; "*" serves what nobody else does. */
static struct endpoint *choose_peer(const struct wsf *wsf, const char *realm,
                                    const struct endpoint *caller, const struct peer **ret_known)
{
    const GPtrArray *peers = peer_table_all(wsf->peers);
    struct endpoint *best = NULL;
    guint best_score = 0;
    for (guint i = 0; i < peers->len; i++) {
        const struct peer *peer = g_ptr_array_index(peers, i);
        if (!peer_serves_realm(peer, realm) || !may_pass(wsf, caller, peer))
            continue;
        bool exact = g_strv_contains((const char *const *)peer->realms, realm);
        struct endpoint *endpoint = registrar_endpoint(wsf->registrar, peer->endpoint);
        guint score = !endpoint ? 0 : (exact ? 2 : 0) + (endpoint->link ? 2 : 1);
        if (!*ret_known || exact)
            *ret_known = peer;
        if (score > best_score) {
            best_score = score;
            best = endpoint;
        }
    }
    return best;
}

static bool find_elsewhere(const struct wsf *wsf, const char *realm, const struct endpoint *caller,
                           struct route *ret, GError **error)
{
    const struct peer *known = NULL;
    struct endpoint *endpoint = choose_peer(wsf, realm, caller, &known);
    if (endpoint) {
        ret->kind = ROUTE_SERVER;
        ret->endpoints = g_ptr_array_new();
        g_ptr_array_add(ret->endpoints, endpoint);
        return true;
    }
    if (known && known->kind != ENDPOINT_PROVIDER)
        problem_set_retry(error, PROBLEM_PEER_WSF_ERROR, 5,
                          "the network of %s cannot be reached at the moment", realm);
    else
        problem_set_param(error, PROBLEM_RESOURCE_NOT_FOUND, "/resourceId",
                          "no way to the realm %s is known here", realm);
    return false;
}

bool routing_find(const struct wsf *wsf, const char *resource_id, const struct endpoint *caller,
                  struct route *ret, GError **error)
{
    g_autofree char *realm = NULL;
    if (!id_is_address(resource_id, true, &realm)) {
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, "/resourceId",
                          "a resourceId is user@realm or type/name@realm");
        return false;
    }
    g_autofree char *user = g_strndup(resource_id, strcspn(resource_id, "@"));
    ret->called = g_strconcat(user, "@", realm, NULL);
    return strcmp(realm, wsf->realm) == 0 ? find_own(wsf, caller, ret, error)
                                          : find_elsewhere(wsf, realm, caller, ret, error);
}

bool routing_hop_limit(const struct wsf *wsf, const struct route *route, const json_t *message,
                       const struct endpoint *caller, guint *ret_hop_limit, GError **error)
{
    gint64 limit = conf_int(wsf->conf, "call", "hop_limit");
    /* A user's client is where a call begins, whatever it says. */
    if (endpoint_is_server(caller) &&
        !json_read_integer(message, "", "hopLimit", JSON_OPTIONAL, 0, HOP_LIMIT_MAX, &limit, error))
        return false;
    const struct endpoint *to =
        route->kind == ROUTE_SERVER ? g_ptr_array_index(route->endpoints, 0) : NULL;
    bool onwards = to && endpoint_is_wsf(to);
    if (limit == 0 || (onwards && limit == 1)) {
        problem_set(error, PROBLEM_PEER_WSF_ERROR,
                    "the request has passed too many networks (hopLimit)");
        return false;
    }
    *ret_hop_limit = (guint)limit - 1;
    return true;
}

void route_finish(struct route *route)
{
    g_clear_pointer(&route->called, g_free);
    g_clear_pointer(&route->resource, g_free);
    g_clear_pointer(&route->endpoints, g_ptr_array_unref);
}
