/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The control methods that a WSF may request, one file each. Every handler consumes the
 * transaction. Threads: control. */
#include "base/log.h"
#include "wmcf/wmcf.h"

typedef void (*method_fn)(struct wmcf *wmcf, struct link *link, struct link_transaction *txn);

void handle_add(struct wmcf *wmcf, struct link *link, struct link_transaction *txn);
/* The part of `add` for pipelines. */
void handle_add_pipeline(struct wmcf *wmcf, struct link *link, struct link_transaction *txn);
void handle_audit(struct wmcf *wmcf, struct link *link, struct link_transaction *txn);
void handle_auth(struct wmcf *wmcf, struct link *link, struct link_transaction *txn);
void handle_modify(struct wmcf *wmcf, struct link *link, struct link_transaction *txn);
void handle_subtract(struct wmcf *wmcf, struct link *link, struct link_transaction *txn);

/* The part of `modify` for pipelines: whether the message is about one, and that. False: nothing
 * was done and the transaction is still the caller's. */
bool modify_is_of_pipeline(const json_t *message);
struct termination;
bool modify_pipeline(struct link_transaction *txn, struct termination *t, GError **error);

/* NULL-terminated names for the link library, alphabetised. */
extern const char *const method_names[];
/* The handler of a method in the table; *ret_name is its static name, which outlives the message.
 */
method_fn method_find(const char *name, const char **ret_name);

/* Answers with the problem, logs it once with its ids, frees the error. */
void method_fail(struct link *link, struct link_transaction *txn, const struct log_ids *ids,
                 GError *error);
/* `appData`: any JSON of at most 4 KiB; *ret borrowed, NULL when absent. */
bool method_read_app_data(const json_t *message, const json_t **ret, GError **error);
