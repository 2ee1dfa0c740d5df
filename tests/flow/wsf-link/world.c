/* SPDX-License-Identifier: Apache-2.0 */
/* The two halves of a flow test in one process. */
#include "world.h"

#include "base/loop.h"

#include <string.h>

static const char *const methods[] = {"auth", "echo", "hold", "call", "fail", "ring", NULL};
static const char *const extensions[] = {"trickle-ice", NULL};
const struct link_protocol world_protocol = {.subprotocol = "eirtcw.v1",
                                             .methods = methods,
                                             .application_methods = true,
                                             .extensions = extensions};

/* --- the server's program -------------------------------------------------------------------- */

static void server_opened(struct link *link, void *user)
{
    struct world *world = user;
    world->opened++;
    g_ptr_array_add(world->links, link);
}

static void handle_auth(struct link *link, struct link_transaction *transaction)
{
    const json_t *message = link_transaction_message(transaction);
    if (!json_is_true(json_object_get(message, "deny"))) {
        link_set_authenticated(link, "alice@example.org");
        link_succeed(transaction, NULL);
        return;
    }
    g_autoptr(GError) error = NULL;
    problem_set(&error, PROBLEM_AUTHENTICATION_FAILED, "wrong");
    link_auth_failed(link);
    link_fail(transaction, error, NULL);
}

static void server_request(struct link *link, struct link_transaction *transaction, void *user)
{
    struct world *world = user;
    const char *method = link_transaction_method(transaction);
    const json_t *message = link_transaction_message(transaction);
    world->requests++;
    if (!strcmp(method, "auth")) {
        handle_auth(link, transaction);
    } else if (!strcmp(method, "hold")) {
        world->held = transaction;
    } else if (!strcmp(method, "fail")) {
        g_autoptr(GError) error = NULL;
        problem_set(&error, PROBLEM_USER_BUSY, "busy");
        link_fail(transaction, error, json_pack("{s:s}", "mediaSessionId", "m"));
    } else {
        json_t *members = json_object();
        json_object_set(members, "value", json_object_get(message, "value"));
        if (!strcmp(method, "call"))
            link_request(link, "ring", NULL, 0, NULL, NULL);
        link_succeed(transaction, members);
    }
}

static void server_closed(struct link *link, int code, const char *reason, void *user)
{
    struct world *world = user;
    world->closed++;
    world->closed_code = code;
    g_assert_true(g_ptr_array_remove(world->links, link));
}

static const struct link_ops server_ops = {
    .opened = server_opened, .request = server_request, .closed = server_closed};

void world_init(struct world *world)
{
    *world = (struct world){.limits = link_limits_client, .client_limits = link_limits_client};
    world->client_limits.auth_timeout_ms = 0;
    world->client_limits.keepalive_ms = 0;
    world->links = g_ptr_array_new();
    world->config = (struct link_listener_config){.address = "127.0.0.1",
                                                  .endpoints = &world->endpoint,
                                                  .n_endpoints = 1,
                                                  .connections_max = 1000,
                                                  .connections_per_address = 500};
    world->endpoint = (struct link_endpoint){.path = "/eirtcw/v1",
                                             .protocol = &world_protocol,
                                             .limits = &world->limits,
                                             .ops = &server_ops,
                                             .user = world};
    g_autoptr(GError) error = NULL;
    world->service = link_service_new(NULL, &error);
    g_assert_no_error(error);
}

void world_listen(struct world *world)
{
    g_autoptr(GError) error = NULL;
    world->listener = link_listen(world->service, &world->config, &error);
    g_assert_no_error(error);
    world->port = link_listener_port(world->listener);
}

void world_finish(struct world *world)
{
    link_service_free(world->service);
    g_ptr_array_unref(world->links);
    if (world->held)
        link_succeed(world->held, NULL);
}

/* --- the client's program -----------------------------------------------------------------------
 */

static void client_opened(struct link *link, void *user)
{
    struct caller *caller = user;
    caller->opened++;
    caller->link = link;
}

static void client_request(struct link *link, struct link_transaction *transaction, void *user)
{
    struct caller *caller = user;
    caller->requests++;
    link_succeed(transaction, NULL);
}

static void client_closed(struct link *link, int code, const char *reason, void *user)
{
    struct caller *caller = user;
    caller->closed++;
    caller->closed_code = code;
    caller->link = NULL;
}

static void client_failed(const GError *error, guint next_attempt_ms, void *user)
{
    struct caller *caller = user;
    caller->failed++;
    caller->next_attempt_ms = next_attempt_ms;
    g_free(caller->failure);
    caller->failure = g_strdup(error->message);
}

static const struct link_ops client_ops = {
    .opened = client_opened, .request = client_request, .closed = client_closed};

void caller_init(struct caller *caller, struct world *world, const char *url)
{
    *caller = (struct caller){.world = world};
    caller->config = (struct link_dialer_config){
        .url = url ? g_strdup(url) : g_strdup_printf("ws://127.0.0.1:%u/eirtcw/v1", world->port),
        .protocol = &world_protocol,
        .limits = &world->client_limits,
        .ops = &client_ops,
        .user = caller,
        .backoff_min_ms = 50,
        .backoff_max_ms = 400,
        .attempt_failed = client_failed,
    };
}

void caller_dial(struct caller *caller)
{
    g_autoptr(GError) error = NULL;
    caller->dialer = link_dialer_new(caller->world->service, &caller->config, &error);
    g_assert_no_error(error);
}

void caller_finish(struct caller *caller)
{
    link_dialer_free(caller->dialer);
    g_free((char *)caller->config.url);
    g_free(caller->failure);
    free(caller->text);
}

static void answered(struct link *link, const struct link_response *response, void *user)
{
    struct caller *caller = user;
    caller->responses++;
    caller->success = response->success;
    caller->code = response->error ? (int)problem_code(response->error) : -1;
    free(caller->text);
    caller->text = response->message ? json_dumps(response->message, JSON_COMPACT) : NULL;
}

void caller_ask(struct caller *caller, const char *method, json_t *members, guint timeout_ms)
{
    link_request(caller->link, method, members, timeout_ms, answered, caller);
}

bool caller_try(struct caller *caller, const char *method, json_t *members)
{
    guint before = caller->responses;
    caller_ask(caller, method, members, 0);
    world_wait(caller->responses > before, 10);
    return caller->success;
}

/* --- time --------------------------------------------------------------------------------------
 */

static gboolean wake(gpointer data)
{
    return G_SOURCE_REMOVE;
}

bool world_step(gint64 deadline)
{
    gint64 now = g_get_monotonic_time();
    if (now >= deadline)
        return false;
    guint timer = g_timeout_add((guint)MIN((deadline - now) / 1000 + 1, 20), wake, NULL);
    g_main_context_iteration(NULL, TRUE);
    GSource *source = g_main_context_find_source_by_id(NULL, timer);
    if (source)
        g_source_destroy(source);
    return true;
}

void world_run_ms(guint ms)
{
    gint64 deadline = g_get_monotonic_time() + (gint64)ms * 1000;
    while (world_step(deadline))
        continue;
}
