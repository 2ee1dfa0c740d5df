/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Strict reading of message members with problems that name the member (JSON Pointer).
 * All: `object` is the message or a sub-object, `base` the JSON Pointer of `object` ("" for the
 * message). True unless *error is set. An optional member that is absent is no error and leaves
 * *ret as it was; a wrong type or a value out of range is INVALID_MESSAGE, a required one that is
 * absent MISSING_PARAMETER. Threads: any. */
#include <glib.h>
#include <jansson.h>
#include <stdbool.h>

enum json_need { JSON_OPTIONAL, JSON_REQUIRED };

/* ret is borrowed from the object; untouched when absent. At most max_length octets. */
bool json_read_string(const json_t *object, const char *base, const char *name, enum json_need need,
                      size_t max_length, const char **ret, GError **error);
bool json_read_integer(const json_t *object, const char *base, const char *name,
                       enum json_need need, gint64 min, gint64 max, gint64 *ret, GError **error);
bool json_read_boolean(const json_t *object, const char *base, const char *name,
                       enum json_need need, bool *ret, GError **error);
bool json_read_object(const json_t *object, const char *base, const char *name, enum json_need need,
                      const json_t **ret, GError **error);
bool json_read_array(const json_t *object, const char *base, const char *name, enum json_need need,
                     size_t max_items, const json_t **ret, GError **error);
/* One of the words of the NULL-terminated table; *ret is its index. */
bool json_read_choice(const json_t *object, const char *base, const char *name, enum json_need need,
                      const char *const *words, int *ret, GError **error);
