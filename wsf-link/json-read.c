/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the strict reading of message members: every program reads its messages through these few
 * functions, so a wrong type, a missing member and a value out of range give the same problem with
 * the same JSON Pointer everywhere. `null` counts as a wrong type, because on the wire "absent" is
 * never null (A1). The price is one call per member instead of one format string per message. */
#include "wsf-link/json-read.h"

#include "base/problem.h"

#include <string.h>

/* RFC 6901 3: "~" and "/" inside a name are escaped. */
static char *pointer_of(const char *base, const char *name)
{
    GString *pointer = g_string_new(base);
    g_string_append_c(pointer, '/');
    for (; *name; name++) {
        if (*name == '~')
            g_string_append(pointer, "~0");
        else if (*name == '/')
            g_string_append(pointer, "~1");
        else
            g_string_append_c(pointer, *name);
    }
    return g_string_free(pointer, FALSE);
}

static bool refuse(const char *base, const char *name, const char *what, GError **error)
{
    g_autofree char *pointer = pointer_of(base, name);
    problem_set_param(error, PROBLEM_INVALID_MESSAGE, pointer, "%s must be %s.", name, what);
    return false;
}

/* True when the member is there; *ret_ok tells whether its absence is in order. */
static const json_t *find(const json_t *object, const char *base, const char *name,
                          enum json_need need, bool *ret_ok, GError **error)
{
    const json_t *value = json_object_get(object, name);
    *ret_ok = true;
    if (!value && need == JSON_REQUIRED) {
        g_autofree char *pointer = pointer_of(base, name);
        problem_set_param(error, PROBLEM_MISSING_PARAMETER, pointer, "%s is required.", name);
        *ret_ok = false;
    }
    return value;
}

bool json_read_string(const json_t *object, const char *base, const char *name, enum json_need need,
                      size_t max_length, const char **ret, GError **error)
{
    bool ok;
    const json_t *value = find(object, base, name, need, &ok, error);
    if (!value)
        return ok;
    if (!json_is_string(value))
        return refuse(base, name, "a string", error);
    if (json_string_length(value) > max_length) {
        g_autofree char *what = g_strdup_printf("at most %zu octets long", max_length);
        return refuse(base, name, what, error);
    }
    *ret = json_string_value(value);
    return true;
}

bool json_read_integer(const json_t *object, const char *base, const char *name,
                       enum json_need need, gint64 min, gint64 max, gint64 *ret, GError **error)
{
    bool ok;
    const json_t *value = find(object, base, name, need, &ok, error);
    if (!value)
        return ok;
    if (!json_is_integer(value))
        return refuse(base, name, "an integer", error);
    gint64 number = json_integer_value(value);
    if (number < min || number > max) {
        g_autofree char *what =
            g_strdup_printf("between %" G_GINT64_FORMAT " and %" G_GINT64_FORMAT, min, max);
        return refuse(base, name, what, error);
    }
    *ret = number;
    return true;
}

bool json_read_boolean(const json_t *object, const char *base, const char *name,
                       enum json_need need, bool *ret, GError **error)
{
    bool ok;
    const json_t *value = find(object, base, name, need, &ok, error);
    if (!value)
        return ok;
    if (!json_is_boolean(value))
        return refuse(base, name, "true or false", error);
    *ret = json_is_true(value);
    return true;
}

bool json_read_object(const json_t *object, const char *base, const char *name, enum json_need need,
                      const json_t **ret, GError **error)
{
    bool ok;
    const json_t *value = find(object, base, name, need, &ok, error);
    if (!value)
        return ok;
    if (!json_is_object(value))
        return refuse(base, name, "an object", error);
    *ret = value;
    return true;
}

bool json_read_array(const json_t *object, const char *base, const char *name, enum json_need need,
                     size_t max_items, const json_t **ret, GError **error)
{
    bool ok;
    const json_t *value = find(object, base, name, need, &ok, error);
    if (!value)
        return ok;
    if (!json_is_array(value))
        return refuse(base, name, "an array", error);
    if (json_array_size(value) > max_items) {
        g_autofree char *what = g_strdup_printf("an array of at most %zu items", max_items);
        return refuse(base, name, what, error);
    }
    *ret = value;
    return true;
}

bool json_read_choice(const json_t *object, const char *base, const char *name, enum json_need need,
                      const char *const *words, int *ret, GError **error)
{
    bool ok;
    const json_t *value = find(object, base, name, need, &ok, error);
    if (!value)
        return ok;
    const char *text = json_string_value(value);
    for (int i = 0; text && words[i]; i++) {
        if (!strcmp(text, words[i])) {
            *ret = i;
            return true;
        }
    }
    g_autofree char *list = g_strjoinv(", ", (char **)words);
    g_autofree char *what = g_strdup_printf("one of %s", list);
    return refuse(base, name, what, error);
}
