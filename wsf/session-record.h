/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A call as a record of the store: both sides' ids and states, what is negotiated, where its media
 * are. Requests and responses on their way are not kept; what becomes of a call that waited for one
 * is decided by who restores it (store-calls.c). Threads: control. */
#include "wsf/endpoint-record.h"
#include "wsf/policy.h"
#include "wsf/session.h"

/* What a record refers to by name. */
struct session_record_names {
    const struct registrar *registrar;
    const struct policy *policy;
};

/* Transfer full, from malloc. NULL for a call that has ended: it has no record. */
char *session_record_write(const struct session *session, const struct session_record_names *names,
                           const struct record_clock *clock);
/* Puts the call of the record into the table. A leg whose endpoint is not registered any more gets
 * an endpoint number that nobody has; a row of the policy that is gone is replaced by the last one.
 * NULL and *error when the record is not good, nothing has changed then. */
struct session *session_record_read(struct session_table *table, const char *text,
                                    const struct session_record_names *names,
                                    const struct record_clock *clock, GError **error);
