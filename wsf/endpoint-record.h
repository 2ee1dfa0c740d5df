/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A registered endpoint as a record of the store. Monotonic times become wall-clock times in the
 * record, because the monotonic clock starts anew with the machine. Threads: control. */
#include "wsf/registrar.h"

/* Both clocks at one moment, µs. */
struct record_clock {
    gint64 now;  /* monotonic */
    gint64 wall; /* since 1970 */
};

/* The id of the endpoint's record. Transfer full. */
char *endpoint_record_id(const struct endpoint *endpoint);
/* The endpoint of a record's id, or NULL. */
struct endpoint *endpoint_record_find(const struct registrar *registrar, const char *id);
/* Transfer full, from malloc. */
char *endpoint_record_write(const struct endpoint *endpoint, const struct record_clock *clock);
/* Puts the endpoint of the record into the registrar, lost since now. It expires when it would
 * have, but not later than in `expiration_max_s`, whatever has happened to the clock. NULL and
 * *error when the record is not good, nothing has changed then. */
struct endpoint *endpoint_record_read(struct registrar *registrar, const char *text,
                                      const struct record_clock *clock, guint expiration_max_s,
                                      GError **error);
