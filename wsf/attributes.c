/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes are looked through one by one for every question, so they are few and small: the
 * limits keep a question over all endpoints a matter of milliseconds. */
#include "wsf/attributes.h"

#include "base/problem.h"
#include "wsf-link/json-read.h"

#include <string.h>

#define KEY_MAX 64
#define TEXT_MAX 256

static bool check_one(const char *pointer, const char *key, const json_t *value, GError **error)
{
    if (!*key || strlen(key) > KEY_MAX) {
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, pointer,
                          "the key of an attribute has 1 to %d octets", KEY_MAX);
    } else if (json_is_string(value) && json_string_length(value) > TEXT_MAX) {
        problem_set_param(error, PROBLEM_MESSAGE_TOO_LARGE, pointer,
                          "an attribute has at most %d octets", TEXT_MAX);
    } else if (!json_is_string(value) && !json_is_number(value) && !json_is_boolean(value)) {
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, pointer,
                          "an attribute is a text, a number or a truth value");
    } else {
        return true;
    }
    return false;
}

bool attributes_read(const struct conf *conf, const json_t *message, const char *name, json_t **ret,
                     GError **error)
{
    const json_t *object = NULL;
    g_autofree char *pointer = g_strconcat("/", name, NULL);
    if (!json_read_object(message, "", name, JSON_OPTIONAL, &object, error))
        return false;
    if (!object)
        return true;
    gint64 max = conf_int(conf, "registration", "attributes_max");
    if ((gint64)json_object_size(object) > max) {
        problem_set_param(error, PROBLEM_MESSAGE_TOO_LARGE, pointer,
                          "at most %" G_GINT64_FORMAT " attributes are kept", max);
        return false;
    }
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        if (!check_one(pointer, key, value, error))
            return false;
    }
    *ret = json_deep_copy(object);
    return true;
}

static json_t *parse_value(const char *text)
{
    char *end = NULL;
    gint64 whole = g_ascii_strtoll(text, &end, 10);
    if (*text && !*end)
        return json_integer(whole);
    if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
        return json_boolean(*text == 't');
    return json_string(text);
}

json_t *attributes_parse(const char *const *list)
{
    json_t *attributes = json_object();
    for (guint i = 0; list && list[i]; i++) {
        const char *equals = strchr(list[i], '=');
        if (!equals)
            continue;
        g_autofree char *key = g_strndup(list[i], equals - list[i]);
        g_autofree char *value = g_strdup(equals + 1);
        json_object_set_new(attributes, g_strstrip(key), parse_value(g_strstrip(value)));
    }
    return attributes;
}

static bool equal(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b))
        return json_number_value(a) == json_number_value(b);
    return json_equal(a, b);
}

bool attributes_match(const json_t *attributes, const json_t *wanted)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)wanted, key, value)
    {
        const json_t *has = json_object_get(attributes, key);
        if (!has || !equal(has, value))
            return false;
    }
    return true;
}
