/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Extensions (A3). Pure. Threads: any. */
#include <glib.h>
#include <jansson.h>
#include <stdbool.h>

/* True when `name` is listed in the array member `list` of the message. */
bool extension_listed(const json_t *message, const char *list, const char *name);
/* The required extensions of a message that are not in `supported` (NULL = none is), as a new array
 * for `unsupportedExtension`; NULL when all are. Transfer full. */
json_t *extension_missing(const json_t *message, const char *const *supported);
/* The first extension that the response requires although the request (`offered`: an array or NULL)
 * did not list it as supported; NULL when there is none. Borrowed. */
const char *extension_overreach(const json_t *response, const json_t *offered);
