/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the set arithmetic of extensions (A3). Lists are short and bounded by the envelope's check,
 * so they are walked, not hashed. */
#include "wsf-link/extension.h"

#include <string.h>

static bool contains(const json_t *array, const char *name)
{
    size_t index;
    json_t *item;
    json_array_foreach((json_t *)array, index, item)
    {
        const char *text = json_string_value(item);
        if (text && !strcmp(text, name))
            return true;
    }
    return false;
}

bool extension_listed(const json_t *message, const char *list, const char *name)
{
    return contains(json_object_get(message, list), name);
}

json_t *extension_missing(const json_t *message, const char *const *supported)
{
    json_t *missing = NULL;
    size_t index;
    json_t *item;
    json_array_foreach(json_object_get(message, "requiredExtension"), index, item)
    {
        const char *name = json_string_value(item);
        if (!name || (supported && g_strv_contains(supported, name)) || contains(missing, name))
            continue;
        if (!missing)
            missing = json_array();
        json_array_append(missing, item);
    }
    return missing;
}

const char *extension_overreach(const json_t *response, const json_t *offered)
{
    size_t index;
    json_t *item;
    json_array_foreach(json_object_get(response, "requiredExtension"), index, item)
    {
        const char *name = json_string_value(item);
        if (name && !contains(offered, name))
            return name;
    }
    return NULL;
}
