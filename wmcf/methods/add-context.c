/* SPDX-License-Identifier: Apache-2.0 */
/* What `add` says of a context is said to open it; said of one that is there it has to be true of
 * it, so that a WSF may say the same in every `add`. */
#include "wmcf/methods/add-context.h"

#include "base/problem.h"
#include "wmcf/controller.h"
#include "wsf-link/json-read.h"

bool add_context_read(const json_t *message, struct add_context *ret, GError **error)
{
    ret->topology = -1;
    if (!json_read_string(message, "", "contextId", JSON_OPTIONAL, 64, &ret->id, error) ||
        !json_read_choice(message, "", "topology", JSON_OPTIONAL, topology_names, &ret->topology,
                          error) ||
        !mesh_options_read(message, &ret->mesh, error))
        return false;
    bool is_mesh = ret->topology == TOPOLOGY_MESH || (ret->id && ret->topology < 0);
    if (is_mesh || !json_object_get(message, "mesh"))
        return true;
    problem_set_param(error, PROBLEM_INVALID_MESSAGE, "/mesh", "mesh goes with topology \"mesh\"");
    return false;
}

struct context *add_context_get(struct wmcf *wmcf, struct link *link,
                                const struct add_context *wanted, GError **error)
{
    const char *owner = controller_link_identity(link);
    if (!wanted->id)
        return context_new(wmcf, owner, wanted->topology < 0 ? TOPOLOGY_EXPLICIT : wanted->topology,
                           &wanted->mesh, error);
    struct context *context = context_find(wmcf, wanted->id, owner, error);
    if (!context)
        return NULL;
    if (wanted->topology >= 0 && (enum topology)wanted->topology != context->topology) {
        problem_set_param(error, PROBLEM_INVALID_STATE, "/topology", "context %s is a %s topology",
                          context->id, topology_names[context->topology]);
        return NULL;
    }
    if (mesh_options_match(context->mesh, &wanted->mesh))
        return context;
    problem_set_param(error, PROBLEM_INVALID_STATE, "/mesh",
                      "context %s was opened with another mesh; audit tells which", context->id);
    return NULL;
}
