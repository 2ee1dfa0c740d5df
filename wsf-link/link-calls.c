/* SPDX-License-Identifier: Apache-2.0 */
/* Owns our own requests: each is a transaction_call with the program's callback beside it, found by
 * its id when the response comes. A request that cannot leave (link closing, too many outstanding)
 * is kept aside and answered from the loop, so that a callback never runs inside link_request(). */
#define LOG_CATEGORY "link"
#include "wsf-link/link-core.h"

#include "base/log.h"
#include "wsf-link/envelope.h"
#include "wsf-link/extension.h"

struct link_call {
    struct transaction_call base;
    struct link *link;
    char *method;
    json_t *offered; /* our supportedExtension, or NULL */
    link_response_fn done;
    void *user;
    GError *refusal; /* of a request that never left */
};

static void call_free(gpointer data)
{
    struct link_call *call = data;
    transaction_call_finish(&call->base);
    json_decref(call->offered);
    g_clear_error(&call->refusal);
    g_free(call->method);
    g_free(call);
}

void link_calls_init(struct link *link)
{
    link->calls = g_hash_table_new(g_int64_hash, g_int64_equal);
    g_queue_init(&link->refused);
}

static void log_failure(const struct link_call *call, const GError *error)
{
    g_autofree char *name = g_strdup_printf("%s/%" G_GUINT64_FORMAT, call->method, call->base.id);
    struct log_ids ids = {.link = call->link->name, .transaction = name};
    log_debug(&ids, "request failed: %s", error->message);
}

/* The call is out of every table: nothing that the callback does can reach it. */
static void finish_call(struct link_call *call, bool success, const json_t *message,
                        const GError *error)
{
    struct link_response response = {.success = success, .message = message, .error = error};
    link_count_request(call->link, false, call->method, error);
    if (error)
        log_failure(call, error);
    if (call->done && call->link->ops)
        call->done(call->link, &response, call->user);
    call_free(call);
}

static void refuse(struct link_call *call, GError *refusal)
{
    call->refusal = refusal;
    g_queue_push_tail(&call->link->refused, call);
    link_schedule(call->link);
}

struct link_call *link_request(struct link *link, const char *method, json_t *members,
                               guint timeout_ms, link_response_fn done, void *user)
{
    g_return_val_if_fail(link && method, NULL);
    json_auto_t *owned = members;
    struct link_call *call = g_new0(struct link_call, 1);
    call->link = link;
    call->method = g_strdup(method);
    call->done = done;
    call->user = user;
    call->offered = json_incref(json_object_get(owned, "supportedExtension"));

    GError *refusal = NULL;
    guint64 id;
    if (link->state > LINK_OPEN)
        problem_set(&refusal, PROBLEM_PEER_TIMEOUT, "The connection to the peer is closing.");
    else if (g_hash_table_size(link->calls) >= link->limits.calls_max)
        problem_set(&refusal, PROBLEM_RESOURCES_UNAVAILABLE,
                    "Too many requests to this peer are outstanding.");
    else if (!transaction_next_id(&link->next_id, &id))
        problem_set(&refusal, PROBLEM_RESOURCES_UNAVAILABLE,
                    "The transaction ids of this connection are used up.");
    if (refusal) {
        refuse(call, refusal);
        return call;
    }
    g_autoptr(GBytes) text = envelope_request(id, method, owned);
    if (!text) {
        problem_set(&refusal, PROBLEM_INTERNAL_ERROR, "The request cannot be written as JSON.");
        refuse(call, refusal);
        return call;
    }
    gint64 timeout = (gint64)(timeout_ms ? timeout_ms : link->limits.response_timeout_ms) * 1000;
    transaction_call_start(&call->base, id, text, g_get_monotonic_time(), timeout);
    g_hash_table_insert(link->calls, &call->base.id, call);
    link_send(link, text);
    link_schedule(link);
    return call;
}

bool link_is_behind(const struct link *link)
{
    return g_hash_table_size(link->calls) >= link->limits.calls_max / 2;
}

void link_call_cancel(struct link_call *call)
{
    if (!call)
        return;
    if (call->refusal)
        g_queue_remove(&call->link->refused, call);
    else
        g_hash_table_remove(call->link->calls, &call->base.id);
    call_free(call);
}

static gboolean remove_of_user(gpointer key, gpointer value, gpointer user)
{
    struct link_call *call = value;
    if (call->user != user)
        return FALSE;
    call_free(call);
    return TRUE;
}

void link_cancel_calls(struct link *link, void *user)
{
    g_hash_table_foreach_remove(link->calls, remove_of_user, user);
    for (GList *at = link->refused.head, *next; at; at = next) {
        next = at->next;
        struct link_call *call = at->data;
        if (call->user == user) {
            g_queue_delete_link(&link->refused, at);
            call_free(call);
        }
    }
}

void link_calls_response(struct link *link, guint64 id, bool success, const json_t *message)
{
    struct link_call *call = g_hash_table_lookup(link->calls, &id);
    struct log_ids ids = {.link = link->name};
    if (!call) { /* A2: logged and ignored */
        log_debug(&ids, "response with unknown transactionId %" G_GUINT64_FORMAT " ignored", id);
        return;
    }
    g_hash_table_remove(link->calls, &id);
    g_autoptr(GError) error = NULL;
    const char *overreach = extension_overreach(message, call->offered);
    if (overreach)
        problem_set(&error, PROBLEM_EXTENSION_NOT_SUPPORTED,
                    "The response requires the extension %s, which the request did not offer.",
                    overreach);
    else if (!json_is_boolean(json_object_get(message, "success")))
        problem_set_param(&error, PROBLEM_INVALID_MESSAGE, "/success",
                          "The response does not say whether the request succeeded.");
    else if (!success)
        error = envelope_take_problem(message);
    finish_call(call, !error, message, error);
}

static void retransmit(struct link *link, struct link_call *call)
{
    struct log_ids ids = {.link = link->name};
    log_debug(&ids, "%s/%" G_GUINT64_FORMAT " sent again", call->method, call->base.id);
    link_send(link, call->base.text);
    g_clear_pointer(&call->base.text, g_bytes_unref);
}

static struct link_call *find_expired(struct link *link, gint64 now, gint64 *next)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, link->calls);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        struct link_call *call = value;
        gint64 at;
        switch (transaction_call_tick(&call->base, now, &at)) {
        case TRANSACTION_EXPIRED:
            g_hash_table_iter_remove(&iter);
            return call;
        case TRANSACTION_RETRANSMIT:
            retransmit(link, call);
            break;
        case TRANSACTION_WAIT:
            break;
        }
        *next = MIN(*next, at);
    }
    return NULL;
}

static void finish_refused(struct link *link)
{
    /* A callback that asks again at once is answered in the next round. */
    for (guint n = link->refused.length; n && link->refused.length; n--) {
        struct link_call *call = g_queue_pop_head(&link->refused);
        g_autoptr(GError) refusal = g_steal_pointer(&call->refusal);
        finish_call(call, false, NULL, refusal);
    }
}

void link_calls_tick(struct link *link, gint64 now, gint64 *next)
{
    finish_refused(link);
    struct link_call *call;
    gint64 at = G_MAXINT64;
    /* A callback may add and cancel calls, so the walk begins again after each. */
    while ((call = find_expired(link, now, &at))) {
        g_autoptr(GError) error = NULL;
        problem_set(&error, PROBLEM_PEER_TIMEOUT, "The peer did not answer %s in time.",
                    call->method);
        finish_call(call, false, NULL, error);
        at = G_MAXINT64;
    }
    *next = MIN(*next, at);
}

static void take_all(struct link *link, GQueue *all)
{
    struct link_call *call;
    while ((call = g_queue_pop_head(&link->refused)))
        g_queue_push_tail(all, call);
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, link->calls);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        call = value;
        if (!call->refusal)
            problem_set(&call->refusal, PROBLEM_PEER_TIMEOUT,
                        "The connection to the peer was lost.");
        g_queue_push_tail(all, call);
        g_hash_table_iter_remove(&iter);
    }
}

void link_calls_finish(struct link *link, bool told)
{
    /* Moved to `refused`, where a callback may still cancel them, but what a callback adds in turn
     * waits behind and is not reached by this round. */
    GQueue all = G_QUEUE_INIT;
    take_all(link, &all);
    link->refused = all;
    if (told)
        finish_refused(link);
    else
        g_queue_clear_full(&link->refused, call_free);
}
