/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the form of a message (A2, A4): what makes a text a request, a response, an answerable
 * mistake or garbage, and how our own are written. An id above 2^63-1 is blanked out of a copy
 * before the JSON parser sees it and is carried beside the tree from then on; the copy costs a pass
 * over the message, but only for peers that count so high. */
#include "wsf-link/envelope.h"

#include "base/problem.h"
#include "wsf-link/json-read.h"

#include <string.h>

static const char *const envelope_members[] = {"messageType", "method", "transactionId", "success"};

static json_t *load(const char *text, size_t length, size_t id_at, size_t id_length, bool blank)
{
    if (!blank)
        return json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
    g_autofree char *copy = g_memdup2(text, length);
    memset(copy + id_at, ' ', id_length);
    copy[id_at] = '0';
    return json_loadb(copy, length, JSON_REJECT_DUPLICATES, NULL);
}

static bool read_id(struct envelope *ret, const char *text, size_t id_at, size_t id_length)
{
    if (id_length)
        return envelope_id_parse(text + id_at, id_length, &ret->id);
    const json_t *id = json_object_get(ret->message, "transactionId");
    if (!json_is_integer(id) || json_integer_value(id) < 0)
        return false;
    ret->id = (guint64)json_integer_value(id);
    return true;
}

static enum envelope_verdict unusable(struct envelope *ret, GError **error, const char *why)
{
    envelope_clear(ret);
    problem_set(error, PROBLEM_INVALID_MESSAGE, "%s", why);
    return ENVELOPE_UNUSABLE;
}

static bool check_extensions(const json_t *message, GError **error)
{
    static const char *const names[] = {"supportedExtension", "requiredExtension",
                                        "unsupportedExtension"};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        const json_t *list = NULL;
        if (!json_read_array(message, "", names[i], JSON_OPTIONAL, 64, &list, error))
            return false;
        size_t index;
        json_t *item;
        json_array_foreach((json_t *)list, index, item)
        {
            if (json_is_string(item) && json_string_length(item) <= 128)
                continue;
            g_autofree char *pointer = g_strdup_printf("/%s/%zu", names[i], index);
            problem_set_param(error, PROBLEM_INVALID_MESSAGE, pointer,
                              "An extension is named by a string of at most 128 octets.");
            return false;
        }
    }
    return true;
}

enum envelope_verdict envelope_parse(const char *text, size_t length, struct envelope *ret,
                                     GError **error)
{
    static const char *const types[] = {"request", "response", NULL};
    *ret = (struct envelope){0};
    size_t id_at, id_length;
    if (!envelope_scan(text, length, &id_at, &id_length))
        return unusable(
            ret, error,
            "The message is not JSON, nests deeper than 64 levels or has too many values.");
    guint64 id;
    bool blank = envelope_id_parse(text + id_at, id_length, &id) && id > G_MAXINT64;
    ret->message = load(text, length, id_at, id_length, blank);
    if (!json_is_object(ret->message))
        return unusable(ret, error, "The message is not a JSON object with unique keys.");
    if (!read_id(ret, text, id_at, id_length))
        return unusable(ret, error, "The transactionId is not an integer from 0 to 2^64-1.");

    /* The method comes first: an answerable mistake echoes it. */
    GError *problem = NULL;
    json_read_string(ret->message, "", "method", JSON_REQUIRED, ENVELOPE_METHOD_MAX, &ret->method,
                     &problem);
    if (ret->method && !*ret->method && !problem)
        problem_set_param(&problem, PROBLEM_INVALID_MESSAGE, "/method",
                          "method must not be empty.");
    int type = 0;
    GError *type_problem = NULL;
    json_read_choice(ret->message, "", "messageType", JSON_REQUIRED, types, &type, &type_problem);
    if (type_problem || (problem && type == 0)) {
        /* A message that does not say what it is gets the answer of a request: an answer to an
         * answer is ignored by its receiver, so no loop can come of it. */
        g_propagate_error(error, type_problem ? type_problem : problem);
        if (type_problem)
            g_clear_error(&problem);
        return ENVELOPE_INVALID;
    }
    if (type == 1) {
        g_clear_error(&problem); /* the id alone says whose response it is */
        ret->success = json_is_true(json_object_get(ret->message, "success"));
        return ENVELOPE_RESPONSE;
    }
    return check_extensions(ret->message, error) ? ENVELOPE_REQUEST : ENVELOPE_INVALID;
}

void envelope_clear(struct envelope *envelope)
{
    json_decref(envelope->message);
    *envelope = (struct envelope){0};
}

static bool is_envelope_member(const char *key)
{
    for (size_t i = 0; i < G_N_ELEMENTS(envelope_members); i++)
        if (!strcmp(key, envelope_members[i]))
            return true;
    return false;
}

static void append_string(GString *out, const char *text)
{
    json_auto_t *string = json_string(text);
    char *dump = string ? json_dumps(string, JSON_ENCODE_ANY) : NULL;
    g_string_append(out, dump ? dump : "\"\"");
    free(dump);
}

static int append_dump(const char *buffer, size_t size, void *data)
{
    g_string_append_len(data, buffer, (gssize)size);
    return 0;
}

/* False: a member cannot be written. */
static bool append_members(GString *out, const json_t *members)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)members, key, value)
    {
        if (is_envelope_member(key))
            continue;
        g_string_append_c(out, ',');
        append_string(out, key);
        g_string_append_c(out, ':');
        if (json_dump_callback(value, append_dump, out, JSON_COMPACT | JSON_ENCODE_ANY))
            return false;
    }
    return true;
}

static GBytes *finish(GString *out, const json_t *members)
{
    if (!append_members(out, members)) {
        g_string_free(out, TRUE);
        return NULL;
    }
    g_string_append_c(out, '}');
    return g_string_free_to_bytes(out);
}

static GString *begin(const char *type, guint64 id, const char *method)
{
    GString *out = g_string_sized_new(256);
    g_string_append_printf(out, "{\"messageType\":\"%s\",\"method\":", type);
    append_string(out, method ? method : "");
    g_string_append_printf(out, ",\"transactionId\":%" G_GUINT64_FORMAT, id);
    return out;
}

GBytes *envelope_request(guint64 id, const char *method, const json_t *members)
{
    return finish(begin("request", id, method), members);
}

GBytes *envelope_response(guint64 id, const char *method, bool success, const json_t *members)
{
    GString *out = begin("response", id, method);
    g_string_append(out, success ? ",\"success\":true" : ",\"success\":false");
    return finish(out, members);
}

void envelope_put_problem(json_t *members, const GError *error)
{
    int code = problem_code(error);
    g_autofree char *lower = g_ascii_strdown(problem_cause(code), -1);
    g_autofree char *type = g_strconcat("urn:eirtcw:problem:", lower, NULL);
    json_t *details = json_pack("{s:s, s:s, s:i, s:s}", "type", type, "title", problem_title(code),
                                "status", problem_status(code), "cause", problem_cause(code));
    /* The text of a foreign error is an internal matter and stays in our log. */
    if (error->domain == PROBLEM_DOMAIN && error->message && *error->message)
        json_object_set_new(details, "detail", json_string(error->message));
    if (problem_param(error))
        json_object_set_new(
            details, "invalidParams",
            json_pack("[{s:s, s:s}]", "param", problem_param(error), "reason", error->message));
    json_object_set_new(members, "problemDetails", details);
    if (problem_retry_after(error))
        json_object_set_new(members, "retryAfter", json_integer(problem_retry_after(error)));
}

/* A cause of a later version of the protocol: the status tells its family (RFC 9110 15). */
static int code_of_status(gint64 status)
{
    for (int code = 0; code < PROBLEM_COUNT; code++)
        if (problem_status(code) == status)
            return code;
    return status >= 400 && status < 500 ? PROBLEM_INVALID_MESSAGE : PROBLEM_INTERNAL_ERROR;
}

GError *envelope_take_problem(const json_t *message)
{
    const json_t *details = json_object_get(message, "problemDetails");
    const char *cause = json_string_value(json_object_get(details, "cause"));
    const char *detail = json_string_value(json_object_get(details, "detail"));
    const char *title = json_string_value(json_object_get(details, "title"));
    int code = cause ? problem_from_cause(cause) : -1;
    if (code < 0)
        code = code_of_status(json_integer_value(json_object_get(details, "status")));
    const json_t *params = json_object_get(details, "invalidParams");
    const char *param = json_string_value(json_object_get(json_array_get(params, 0), "param"));
    gint64 retry = json_integer_value(json_object_get(message, "retryAfter"));
    const char *text = detail ? detail : title ? title : problem_title(code);
    GError *error = NULL;
    if (retry > 0)
        problem_set_retry(&error, code, (guint)MIN(retry, 86400), "%.512s", text);
    else if (param && strlen(param) <= 256)
        problem_set_param(&error, code, param, "%.512s", text);
    else
        problem_set(&error, code, "%.512s", text);
    return error;
}
