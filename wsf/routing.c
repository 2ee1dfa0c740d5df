/* SPDX-License-Identifier: Apache-2.0 */
/* Routing. One function per kind of destination, chosen by realm and form of the resourceId, so
 * that a new kind is one more function and one more line. */
#include "wsf/routing.h"

#include "base/ids.h"

#include <string.h>

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

static bool find_user(const struct wsf *wsf, const struct endpoint *caller, struct route *ret,
                      GError **error)
{
    ret->endpoints = endpoints_to_ring(wsf, ret->called, caller);
    if (ret->endpoints->len > 0)
        return true;
    /* Unknown and offline callees are one answer: nobody learns who exists. */
    problem_set_param(error, PROBLEM_USER_NOT_REGISTERED, "/resourceId",
                      "this user is not registered at the moment");
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
    if (strcmp(realm, wsf->realm) != 0) {
        problem_set_param(error, PROBLEM_RESOURCE_NOT_FOUND, "/resourceId",
                          "no way to the realm %s is known here", realm);
        return false;
    }
    ret->called = registrar_normalise(resource_id);
    if (ret->called)
        return find_user(wsf, caller, ret, error);
    problem_set_param(error, PROBLEM_RESOURCE_NOT_FOUND, "/resourceId",
                      "this resource does not exist here");
    return false;
}

void route_finish(struct route *route)
{
    g_clear_pointer(&route->called, g_free);
    g_clear_pointer(&route->resource, g_free);
    g_clear_pointer(&route->endpoints, g_ptr_array_unref);
}
