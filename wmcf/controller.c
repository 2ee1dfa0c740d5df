/* SPDX-License-Identifier: Apache-2.0 */
/* Controllers and their links. A link is bound to its controller when `auth` succeeds; when the
 * last one is lost the contexts stay, media undisturbed, until the time to live is over or a link
 * of the same identity is back. */
#define LOG_CATEGORY "controller"
#include "wmcf/controller.h"

#include "base/log.h"
#include "base/loop.h"
#include "base/metrics.h"
#include "wmcf/context.h"
#include "wmcf/methods/methods.h"

struct controller_link {
    struct controller *controller;
    struct link *link;
    char *instance;
};

const struct link_protocol controller_protocol = {
    .subprotocol = "eirtcw-mc.v1",
    .methods = method_names,
    .application_methods = false,
    .extensions = (const char *const[]){NULL},
};

static void free_controller_link(void *data)
{
    struct controller_link *binding = data;
    g_free(binding->instance);
    g_free(binding);
}

static void release_contexts(void *user)
{
    struct controller *controller = user;
    struct wmcf *wmcf = controller->wmcf;
    g_autoptr(GPtrArray) doomed = g_ptr_array_new();
    GHashTableIter iter;
    struct context *context;
    g_hash_table_iter_init(&iter, wmcf->contexts);
    while (g_hash_table_iter_next(&iter, NULL, (void **)&context))
        if (strcmp(context->owner, controller->identity) == 0)
            g_ptr_array_add(doomed, context);
    if (doomed->len)
        log_warning(NULL, "%s has not come back in time: releasing its %u contexts",
                    controller->identity, doomed->len);
    for (guint i = 0; i < doomed->len; i++)
        context_free(g_ptr_array_index(doomed, i));
}

static struct controller *controller_get(struct wmcf *wmcf, const char *identity)
{
    struct controller *controller = g_hash_table_lookup(wmcf->controllers, identity);
    if (controller)
        return controller;
    controller = g_new0(struct controller, 1);
    controller->wmcf = wmcf;
    controller->identity = g_strdup(identity);
    controller->links = g_ptr_array_new_with_free_func(free_controller_link);
    controller->ttl_timer = loop_timer_new("controller time to live", release_contexts, controller);
    g_hash_table_insert(wmcf->controllers, controller->identity, controller);
    return controller;
}

void controller_free(struct controller *controller)
{
    if (!controller)
        return;
    for (guint i = 0; i < controller->links->len; i++) {
        struct controller_link *binding = g_ptr_array_index(controller->links, i);
        link_set_data(binding->link, NULL);
    }
    g_ptr_array_unref(controller->links);
    loop_timer_free(controller->ttl_timer);
    g_free(controller->identity);
    g_free(controller);
}

void controller_attach(struct wmcf *wmcf, struct link *link, const char *identity,
                       const char *instance)
{
    struct controller *controller = controller_get(wmcf, identity);
    for (guint i = 0; i < controller->links->len; i++) {
        struct controller_link *known = g_ptr_array_index(controller->links, i);
        if (known->link == link)
            return; /* a refresh */
        if (strcmp(known->instance, instance) == 0) {
            struct link *old = known->link;
            link_set_data(old, NULL);
            g_ptr_array_remove_index(controller->links, i);
            link_close(old, LINK_CLOSE_SUPERSEDED, "a new connection has taken over");
            break;
        }
    }
    struct controller_link *binding = g_new0(struct controller_link, 1);
    binding->controller = controller;
    binding->link = link;
    binding->instance = g_strdup(instance);
    g_ptr_array_add(controller->links, binding);
    link_set_data(link, binding);
    loop_timer_stop(controller->ttl_timer);
    struct log_ids ids = {.link = link_name(link)};
    log_info(&ids, "%s drives this media centre from %s", identity, link_peer_address(link));
}

const char *controller_link_identity(const struct link *link)
{
    const struct controller_link *binding = link_data(link);
    return binding ? binding->controller->identity : NULL;
}

const char *controller_link_instance(const struct link *link)
{
    const struct controller_link *binding = link_data(link);
    return binding ? binding->instance : NULL;
}

struct link *controller_link_for(struct wmcf *wmcf, const char *identity, const char *instance)
{
    struct controller *controller = g_hash_table_lookup(wmcf->controllers, identity);
    if (!controller || controller->links->len == 0)
        return NULL;
    for (guint i = 0; instance && i < controller->links->len; i++) {
        struct controller_link *binding = g_ptr_array_index(controller->links, i);
        if (strcmp(binding->instance, instance) == 0)
            return binding->link;
    }
    struct controller_link *newest =
        g_ptr_array_index(controller->links, controller->links->len - 1);
    return newest->link;
}

void controllers_broadcast(struct wmcf *wmcf, const char *method,
                           json_t *(*make)(const struct wmcf *wmcf))
{
    GHashTableIter iter;
    struct controller *controller;
    g_hash_table_iter_init(&iter, wmcf->controllers);
    while (g_hash_table_iter_next(&iter, NULL, (void **)&controller))
        for (guint i = 0; i < controller->links->len; i++) {
            struct controller_link *binding = g_ptr_array_index(controller->links, i);
            link_request(binding->link, method, make(wmcf), 0, NULL, NULL);
        }
}

void controllers_close(struct wmcf *wmcf)
{
    GHashTableIter iter;
    struct controller *controller;
    g_hash_table_iter_init(&iter, wmcf->controllers);
    while (g_hash_table_iter_next(&iter, NULL, (void **)&controller))
        for (guint i = 0; i < controller->links->len; i++) {
            struct controller_link *binding = g_ptr_array_index(controller->links, i);
            link_close(binding->link, LINK_CLOSE_DRAINING, "the media centre ends");
        }
}

/* --- link callbacks --- */

static void on_opened(struct link *link, void *user)
{
    struct log_ids ids = {.link = link_name(link)};
    g_autofree char *transport = link_describe_transport(link);
    log_debug(&ids, "control link accepted from %s over %s", link_peer_address(link), transport);
}

static void on_request(struct link *link, struct link_transaction *txn, void *user)
{
    const char *name = NULL;
    method_fn handler = method_find(link_transaction_method(txn), &name);
    loop_mark(name);
    handler(user, link, txn);
}

static void on_closed(struct link *link, int code, const char *reason, void *user)
{
    struct wmcf *wmcf = user;
    struct controller_link *binding = link_data(link);
    struct log_ids ids = {.link = link_name(link)};
    if (!binding) {
        log_debug(&ids, "control link closed with %d (%s)", code, reason ? reason : "");
        return;
    }
    struct controller *controller = binding->controller;
    g_ptr_array_remove(controller->links, binding);
    gint64 ttl = conf_int(wmcf->conf, "control", "disconnection_ttl");
    if (controller->links->len == 0)
        loop_timer_start(controller->ttl_timer, 1000 * ttl);
    log_warning(
        &ids, "link to %s lost with %d (%s)%s", controller->identity, code, reason ? reason : "",
        controller->links->len ? "" : ", its contexts live on until the time to live is over");
}

const struct link_ops controller_link_ops = {
    .opened = on_opened,
    .request = on_request,
    .closed = on_closed,
};
