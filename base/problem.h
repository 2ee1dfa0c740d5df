/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Problems: the one error domain of the project (protocol A4, RFC 9457).
 *
 * Every function that can fail takes a GError **; its code is a row of problems.def and its message
 * is the `detail` of the problem: one clear sentence with the cause and the remedy, fit for the
 * peer's eyes (no secrets, no internals).
 *
 * Threads: any. */
#include <glib.h>
#include <stdbool.h>

enum problem {
#define PROBLEM(name, status, title) PROBLEM_##name,
#include "base/problems.def"
#undef PROBLEM
    PROBLEM_COUNT
};

#define PROBLEM_DOMAIN problem_quark()
GQuark problem_quark(void);

/* The wire's `cause`, for example "INVALID_SDP". Static. A code out of range gives INTERNAL_ERROR.
 */
const char *problem_cause(int code);
/* HTTP-like status, for example 400. */
int problem_status(int code);
/* Short title in English. Static. */
const char *problem_title(int code);
/* The code of a wire `cause`, or -1 for one that is not in the table. */
int problem_from_cause(const char *cause);

/* Sets *error (may be NULL) to a problem with `detail` by printf format. */
void problem_set(GError **error, enum problem code, const char *format, ...) G_GNUC_PRINTF(3, 4);
/* The same with the JSON Pointer of the member at fault (RFC 6901), for `invalidParams`. */
void problem_set_param(GError **error, enum problem code, const char *pointer, const char *format,
                       ...) G_GNUC_PRINTF(4, 5);
/* The same with `retryAfter` in seconds. */
void problem_set_retry(GError **error, enum problem code, guint retry_after, const char *format,
                       ...) G_GNUC_PRINTF(4, 5);

/* JSON Pointer of the member at fault, or NULL. Borrowed from the error. */
const char *problem_param(const GError *error);
/* Seconds to wait before a retry, or 0. */
guint problem_retry_after(const GError *error);
/* The code of any GError: its own in our domain, PROBLEM_INTERNAL_ERROR in every other one. */
enum problem problem_code(const GError *error);
