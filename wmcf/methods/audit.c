/* SPDX-License-Identifier: Apache-2.0 */
/* `audit`: what the WSF asks after a link loss to reconcile, and what it may ask at any time. */
#define LOG_CATEGORY "audit"
#include "wmcf/audit.h"

#include "wmcf/controller.h"
#include "wmcf/methods/methods.h"
#include "wsf-link/json-read.h"

struct audit {
    struct link_transaction *txn;
    json_t *members;
};

static bool read_what(const json_t *message, unsigned *ret, GError **error)
{
    static const char *const words[] = {"state", "statistics", "capabilities"};
    const json_t *array = NULL;
    unsigned what = 0;
    if (!json_read_array(message, "", "what", JSON_OPTIONAL, G_N_ELEMENTS(words), &array, error))
        return false;
    size_t i;
    json_t *item;
    json_array_foreach(array, i, item)
    {
        const char *word = json_string_value(item);
        size_t w = 0;
        while (word && w < G_N_ELEMENTS(words) && strcmp(word, words[w]) != 0)
            w++;
        if (!word || w == G_N_ELEMENTS(words)) {
            problem_set_param(error, PROBLEM_INVALID_MESSAGE, "/what",
                              "what lists state, statistics and capabilities");
            return false;
        }
        what |= 1u << w;
    }
    *ret = what ? what : AUDIT_STATE;
    return true;
}

static void on_terminations(json_t *terminations, void *user)
{
    struct audit *audit = user;
    json_object_set_new(audit->members, "terminations", terminations);
    link_succeed(audit->txn, audit->members);
    g_free(audit);
}

static json_t *contexts_of(struct wmcf *wmcf, const char *owner)
{
    json_t *array = json_array();
    GHashTableIter iter;
    struct context *context;
    g_hash_table_iter_init(&iter, wmcf->contexts);
    while (g_hash_table_iter_next(&iter, NULL, (void **)&context))
        if (strcmp(context->owner, owner) == 0)
            json_array_append_new(array, audit_context(context));
    return array;
}

struct audit_request {
    const char *context_id;
    struct context *context;
    struct termination *termination;
    unsigned what;
};

static bool read_request(struct wmcf *wmcf, struct link *link, const json_t *message,
                         struct audit_request *r, GError **error)
{
    const char *termination_id = NULL;
    if (!json_read_string(message, "", "contextId", JSON_OPTIONAL, 64, &r->context_id, error) ||
        !json_read_string(message, "", "terminationId", JSON_OPTIONAL, 64, &termination_id,
                          error) ||
        !read_what(message, &r->what, error))
        return false;
    if (termination_id && !r->context_id) {
        problem_set_param(error, PROBLEM_MISSING_PARAMETER, "/contextId",
                          "terminationId is looked up in its context; say contextId too");
        return false;
    }
    if (r->context_id &&
        !(r->context = context_find(wmcf, r->context_id, controller_link_identity(link), error)))
        return false;
    return !termination_id ||
           (r->termination = context_termination(r->context, termination_id, error));
}

void handle_audit(struct wmcf *wmcf, struct link *link, struct link_transaction *txn)
{
    struct audit_request r = {0};
    GError *error = NULL;
    if (!read_request(wmcf, link, link_transaction_message(txn), &r, &error)) {
        method_fail(link, txn, &(struct log_ids){.context = r.context_id}, error);
        return;
    }
    json_t *members = service_state_json(wmcf);
    if (r.what & AUDIT_CAPABILITIES)
        json_object_set_new(members, "capabilities", audit_capabilities(wmcf));
    if (!r.context) {
        json_object_set_new(members, "contexts", contexts_of(wmcf, controller_link_identity(link)));
        link_succeed(txn, members);
        return;
    }
    json_t *about = audit_context(r.context);
    json_object_update(members, about);
    json_decref(about);
    g_autoptr(GPtrArray) asked = g_ptr_array_new();
    if (r.termination)
        g_ptr_array_add(asked, r.termination);
    else
        for (guint i = 0; i < r.context->order->len; i++)
            g_ptr_array_add(asked, g_ptr_array_index(r.context->order, i));
    struct audit *audit = g_new0(struct audit, 1);
    *audit = (struct audit){txn, members};
    audit_terminations(asked, r.what, on_terminations, audit);
}
