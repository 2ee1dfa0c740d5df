/* SPDX-License-Identifier: Apache-2.0 */
/* Contexts and their table. A context id carries a tag of this run of the process, so that an id
 * remembered from before a restart names nothing instead of somebody else's call. */
#define LOG_CATEGORY "context"
#include "wmcf/context.h"

#include "base/loop.h"
#include "base/log.h"
#include "wmcf/termination.h"
#include "wmcf/topology.h"

const char *const topology_names[] = {"explicit", "mesh", NULL};

struct context *context_new(struct wmcf *wmcf, const char *owner, enum topology topology,
                            const struct mesh_options *mesh, GError **error)
{
    guint limit = conf_int(wmcf->conf, "limits", "contexts");
    if (g_hash_table_size(wmcf->contexts) >= limit) {
        problem_set_retry(error, PROBLEM_RESOURCES_UNAVAILABLE, 5,
                          "all %u contexts are in use (limits.contexts)", limit);
        return NULL;
    }
    struct context *context = g_new0(struct context, 1);
    context->wmcf = wmcf;
    context->group = ++wmcf->next_context;
    context->id = g_strdup_printf("c-%04x-%" G_GUINT64_FORMAT, wmcf->restart_counter & 0xffff,
                                  context->group);
    context->owner = g_strdup(owner);
    context->topology = topology;
    context->terminations = g_hash_table_new(g_str_hash, g_str_equal);
    context->order = g_ptr_array_new();
    context->created = loop_now();
    if (topology == TOPOLOGY_MESH)
        context->mesh = mesh_new(context, mesh);
    g_hash_table_insert(wmcf->contexts, context->id, context);
    struct log_ids ids = {.context = context->id};
    log_info(&ids, "context opened for %s", owner);
    return context;
}

void context_free(struct context *context)
{
    if (!context)
        return;
    struct wmcf *wmcf = context->wmcf;
    struct log_ids ids = {.context = context->id};
    guint n = context->order->len;
    /* A mesh would connect the rest anew at each departure; there is no rest here. */
    mesh_free(g_steal_pointer(&context->mesh));
    while (context->order->len)
        termination_release(g_ptr_array_index(context->order, context->order->len - 1));
    log_info(&ids, "context closed with %u terminations after %.1f s", n,
             (loop_now() - context->created) / 1e6);
    g_hash_table_remove(wmcf->contexts, context->id);
    g_hash_table_unref(context->terminations);
    g_ptr_array_unref(context->order);
    json_decref(context->app_data);
    g_free(context->id);
    g_free(context->owner);
    g_free(context->instance);
    g_free(context);
    service_state_context_ended(wmcf);
}

struct context *context_find(struct wmcf *wmcf, const char *id, const char *owner, GError **error)
{
    struct context *context = g_hash_table_lookup(wmcf->contexts, id);
    if (!context || strcmp(context->owner, owner) != 0) {
        problem_set_param(error, PROBLEM_CONTEXT_NOT_FOUND, "/contextId",
                          "there is no context %.64s of yours; audit tells which there are", id);
        return NULL;
    }
    return context;
}

struct termination *context_termination(struct context *context, const char *id, GError **error)
{
    struct termination *termination = g_hash_table_lookup(context->terminations, id);
    if (!termination)
        problem_set_param(error, PROBLEM_TERMINATION_NOT_FOUND, "/terminationId",
                          "there is no termination %.64s in context %s", id, context->id);
    return termination;
}
