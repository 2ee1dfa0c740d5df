/* SPDX-License-Identifier: Apache-2.0 */
/* Explicit topology: the WSF says each route. All routes of a message are read and checked before
 * the first is set. */
#include "wmcf/topology.h"

#include "base/problem.h"
#include "wmcf/pipeline-termination.h"
#include "wsf-link/json-read.h"

#define ROUTES_MAX 1024

static bool read_end(struct context *context, const json_t *route, const char *base,
                     const char *name, enum json_need need, struct termination **ret,
                     struct termination_media **ret_media, GError **error)
{
    const json_t *end = NULL;
    const char *id = NULL, *mid = NULL;
    if (!json_read_object(route, base, name, need, &end, error))
        return false;
    if (!end)
        return true;
    g_autofree char *pointer = g_strdup_printf("%s/%s", base, name);
    if (!json_read_string(end, pointer, "terminationId", JSON_REQUIRED, 64, &id, error) ||
        !json_read_string(end, pointer, "mid", JSON_REQUIRED, SDP_MAX_MID, &mid, error) ||
        !(*ret = context_termination(context, id, error)))
        return false;
    *ret_media = termination_media(*ret, mid);
    if (*ret_media)
        return true;
    problem_set_param(error, PROBLEM_INVALID_MESSAGE, pointer, "termination %s has no mid %s", id,
                      mid);
    return false;
}

GArray *routes_read(struct context *context, const json_t *message, GError **error)
{
    const json_t *array = NULL;
    g_autoptr(GArray) routes = g_array_new(FALSE, TRUE, sizeof(struct route));
    if (!json_read_array(message, "", "routes", JSON_OPTIONAL, ROUTES_MAX, &array, error))
        return NULL;
    size_t i;
    json_t *item;
    json_array_foreach(array, i, item)
    {
        g_autofree char *base = g_strdup_printf("/routes/%zu", i);
        struct route route = {0};
        struct termination_media *from_media = NULL;
        if (!json_is_object(item)) {
            problem_set_param(error, PROBLEM_INVALID_MESSAGE, base,
                              "a route is an object with from and to");
            return NULL;
        }
        if (!read_end(context, item, base, "from", JSON_OPTIONAL, &route.from, &from_media,
                      error) ||
            !read_end(context, item, base, "to", JSON_REQUIRED, &route.to, &route.to_media, error))
            return NULL;
        if (context->mesh &&
            (route.to_media->kind > SDP_VIDEO ||
             mesh_selects(context->mesh, route.to_media->kind)) &&
            !route.to->pipeline) {
            problem_set_param(error, PROBLEM_INVALID_STATE, base,
                              "the context is a mesh, which routes %s by itself",
                              sdp_kind_name(route.to_media->kind));
            return NULL;
        }
        if (from_media && from_media->kind != route.to_media->kind) {
            problem_set_param(error, PROBLEM_INVALID_MESSAGE, base,
                              "a route joins two media of one type, not %s to %s",
                              sdp_kind_name(from_media->kind), sdp_kind_name(route.to_media->kind));
            return NULL;
        }
        if (route.to->pipeline && from_media &&
            !pipeline_termination_takes(route.to->pipeline, route.to_media->mid, route.from,
                                        from_media->mid, base, error))
            return NULL;
        if (from_media)
            g_strlcpy(route.from_mid, from_media->mid, sizeof route.from_mid);
        g_array_append_val(routes, route);
    }
    return g_steal_pointer(&routes);
}

void routes_apply(GArray *routes)
{
    for (guint i = 0; i < routes->len; i++) {
        const struct route *route = &g_array_index(routes, struct route, i);
        termination_connect_media(route->to, route->to_media, route->from, route->from_mid);
    }
}
