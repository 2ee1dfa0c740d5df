/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the project's one error domain. Everything comes from problems.def, so a new cause is one
 * row there; the two members that a GError has no room for (the member at fault, the retry delay)
 * ride along as GLib's extended error data, which survives g_error_copy() and g_propagate_error().
 */
#include "base/problem.h"

#include <string.h>

typedef struct {
    char *pointer;
    guint retry_after;
} ProblemPrivate;

static void problem_private_init(ProblemPrivate *priv)
{
    *priv = (ProblemPrivate){0};
}

static void problem_private_copy(const ProblemPrivate *src, ProblemPrivate *dest)
{
    *dest = (ProblemPrivate){.pointer = g_strdup(src->pointer), .retry_after = src->retry_after};
}

static void problem_private_clear(ProblemPrivate *priv)
{
    g_free(priv->pointer);
}

G_DEFINE_EXTENDED_ERROR(Problem, problem)

static const struct row {
    const char *cause;
    int status;
    const char *title;
} rows[PROBLEM_COUNT] = {
#define PROBLEM(name, status, title) [PROBLEM_##name] = {#name, status, title},
#include "base/problems.def"
#undef PROBLEM
};

static const struct row *find_row(int code)
{
    return &rows[code >= 0 && code < PROBLEM_COUNT ? code : PROBLEM_INTERNAL_ERROR];
}

const char *problem_cause(int code)
{
    return find_row(code)->cause;
}

int problem_status(int code)
{
    return find_row(code)->status;
}

const char *problem_title(int code)
{
    return find_row(code)->title;
}

int problem_from_cause(const char *cause)
{
    g_return_val_if_fail(cause != NULL, -1);
    for (int i = 0; i < PROBLEM_COUNT; i++)
        if (strcmp(rows[i].cause, cause) == 0)
            return i;
    return -1;
}

static void set(GError **error, enum problem code, const char *pointer, guint retry_after,
                const char *format, va_list args) G_GNUC_PRINTF(5, 0);

static void set(GError **error, enum problem code, const char *pointer, guint retry_after,
                const char *format, va_list args)
{
    if (!error)
        return;
    /* What a caller formats into the sentence may come from a peer and ends up in JSON. */
    g_autofree char *text = g_strdup_vprintf(format, args);
    g_autofree char *detail = g_utf8_make_valid(text, -1);
    GError *made = g_error_new_literal(PROBLEM_DOMAIN, code, detail);
    ProblemPrivate *priv = problem_get_private(made);
    priv->pointer = g_strdup(pointer);
    priv->retry_after = retry_after;
    g_propagate_error(error, made);
}

void problem_set(GError **error, enum problem code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    set(error, code, NULL, 0, format, args);
    va_end(args);
}

void problem_set_param(GError **error, enum problem code, const char *pointer, const char *format,
                       ...)
{
    va_list args;
    va_start(args, format);
    set(error, code, pointer, 0, format, args);
    va_end(args);
}

void problem_set_retry(GError **error, enum problem code, guint retry_after, const char *format,
                       ...)
{
    va_list args;
    va_start(args, format);
    set(error, code, NULL, retry_after, format, args);
    va_end(args);
}

const char *problem_param(const GError *error)
{
    return error && error->domain == PROBLEM_DOMAIN ? problem_get_private(error)->pointer : NULL;
}

guint problem_retry_after(const GError *error)
{
    return error && error->domain == PROBLEM_DOMAIN ? problem_get_private(error)->retry_after : 0;
}

enum problem problem_code(const GError *error)
{
    if (!error || error->domain != PROBLEM_DOMAIN || error->code < 0 ||
        error->code >= PROBLEM_COUNT)
        return PROBLEM_INTERNAL_ERROR;
    return (enum problem)error->code;
}
