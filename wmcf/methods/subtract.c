/* SPDX-License-Identifier: Apache-2.0 */
/* `subtract`: final statistics, then the end of a termination or of the whole context. The workers
 * are asked first, so the answer comes a moment later; the gates close at once. */
#define LOG_CATEGORY "subtract"
#include "wmcf/audit.h"
#include "wmcf/controller.h"
#include "wmcf/methods/methods.h"
#include "wsf-link/json-read.h"

struct subtraction {
    struct wmcf *wmcf;
    struct link_transaction *txn;
    char *context_id;
};

static void on_statistics(json_t *terminations, void *user)
{
    struct subtraction *s = user;
    link_succeed(s->txn,
                 json_pack("{s:s, s:o}", "contextId", s->context_id, "terminations", terminations));
    g_free(s->context_id);
    g_free(s);
}

void handle_subtract(struct wmcf *wmcf, struct link *link, struct link_transaction *txn)
{
    const json_t *message = link_transaction_message(txn);
    const char *context_id = NULL, *termination_id = NULL;
    struct context *context = NULL;
    struct termination *termination = NULL;
    GError *error = NULL;
    if (!json_read_string(message, "", "contextId", JSON_REQUIRED, 64, &context_id, &error) ||
        !json_read_string(message, "", "terminationId", JSON_OPTIONAL, 64, &termination_id,
                          &error) ||
        !(context = context_find(wmcf, context_id, controller_link_identity(link), &error)) ||
        (termination_id && !(termination = context_termination(context, termination_id, &error)))) {
        method_fail(link, txn, &(struct log_ids){.context = context_id}, error);
        return;
    }
    g_autoptr(GPtrArray) going = g_ptr_array_new();
    if (termination)
        g_ptr_array_add(going, termination);
    else
        for (guint i = 0; i < context->order->len; i++)
            g_ptr_array_add(going, g_ptr_array_index(context->order, i));
    struct subtraction *s = g_new0(struct subtraction, 1);
    *s = (struct subtraction){wmcf, txn, g_strdup(context->id)};
    /* Each snapshot is queued to the worker ahead of the release that follows here. */
    audit_terminations(going, AUDIT_STATISTICS, on_statistics, s);
    if (!termination || context->order->len == 1)
        context_free(context);
    else
        termination_release(termination);
}
