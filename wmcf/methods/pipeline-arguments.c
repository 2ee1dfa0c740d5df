/* SPDX-License-Identifier: Apache-2.0 */
/* Reads `parameters` of a pipeline: what JSON says they are, before a template says what they may
 * be. */
#include "wmcf/methods/pipeline-arguments.h"

#include "base/problem.h"
#include "pipelines/sdp.h"
#include "wsf-link/json-read.h"

#include <string.h>

static struct pipeline_argument argument_of(const char *name, const json_t *value)
{
    struct pipeline_argument argument = {.name = name, .kind = PIPELINE_VALUE_OTHER};
    if (json_is_integer(value)) {
        argument.kind = PIPELINE_VALUE_INTEGER;
        argument.integer = json_integer_value(value);
    } else if (json_is_real(value)) {
        argument.kind = PIPELINE_VALUE_NUMBER;
        argument.number = json_real_value(value);
    } else if (json_is_boolean(value)) {
        argument.kind = PIPELINE_VALUE_BOOLEAN;
        argument.boolean = json_is_true(value);
    } else if (json_is_string(value)) {
        argument.kind = PIPELINE_VALUE_TEXT;
        argument.text = json_string_value(value);
        /* A zero octet would hide what follows it. */
        if (strlen(argument.text) != json_string_length(value))
            argument.kind = PIPELINE_VALUE_OTHER;
    }
    return argument;
}

bool pipeline_arguments_read(const json_t *pipeline, struct pipeline_argument *ret, guint *ret_n,
                             GError **error)
{
    const json_t *parameters = NULL;
    if (!json_read_object(pipeline, "/pipeline", "parameters", JSON_OPTIONAL, &parameters, error))
        return false;
    if (json_object_size(parameters) > PIPELINE_TEMPLATE_PARAMETERS_MAX) {
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, "/pipeline/parameters",
                          "a template has at most %u parameters", PIPELINE_TEMPLATE_PARAMETERS_MAX);
        return false;
    }
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)parameters, name, value) ret[(*ret_n)++] =
        argument_of(name, value);
    return true;
}

bool pipeline_input_said_read(const json_t *item, size_t index, struct pipeline_input_said *ret,
                              GError **error)
{
    g_autofree char *base = g_strdup_printf("/inputs/%zu", index);
    *ret = (struct pipeline_input_said){0};
    if (!json_is_object(item)) {
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, base,
                          "an entry of inputs is an object with terminationId and mid");
        return false;
    }
    if (!json_read_string(item, base, "input", JSON_OPTIONAL, SDP_MAX_MID, &ret->name, error) ||
        !json_read_boolean(item, base, "remove", JSON_OPTIONAL, &ret->remove, error) ||
        !json_read_string(item, base, "terminationId", JSON_OPTIONAL, 64, &ret->from, error) ||
        !json_read_string(item, base, "mid", ret->from ? JSON_REQUIRED : JSON_OPTIONAL, SDP_MAX_MID,
                          &ret->mid, error))
        return false;
    if (!ret->from == !ret->mid && (!ret->remove || (ret->name && !ret->from)))
        return true;
    problem_set_param(error, PROBLEM_INVALID_MESSAGE, base,
                      ret->remove ? "what is removed is told by its name, input, alone"
                                  : "terminationId and mid stand together");
    return false;
}
