/* SPDX-License-Identifier: Apache-2.0 */
/* The table of control methods. `notify` and `serviceChange` are ours to send, so a WSF that
 * requests them gets METHOD_NOT_SUPPORTED from the link library. Keep alphabetised. */
#define LOG_CATEGORY "methods"
#include "wmcf/methods/methods.h"

#include <string.h>

static const struct {
    const char *name;
    method_fn handler;
} table[] = {
    {"add", handle_add},       {"audit", handle_audit},       {"auth", handle_auth},
    {"modify", handle_modify}, {"subtract", handle_subtract},
};

const char *const method_names[] = {"add", "audit", "auth", "modify", "subtract", NULL};

method_fn method_find(const char *name, const char **ret_name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
        if (strcmp(table[i].name, name) == 0) {
            *ret_name = table[i].name;
            return table[i].handler;
        }
    g_return_val_if_reached(NULL); /* the link library passes names of the table only */
}

void method_fail(struct link *link, struct link_transaction *txn, const struct log_ids *ids,
                 GError *error)
{
    struct log_ids all = ids ? *ids : (struct log_ids){0};
    all.link = link_name(link);
    all.transaction = link_transaction_name(txn);
    log_info(&all, "refused with %s: %s", problem_cause(error->code), error->message);
    link_fail(txn, error, NULL);
    g_error_free(error);
}
