/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* `pipeline.parameters` of add and modify. Threads: control. */
#include "pipelines/template.h"

#include <jansson.h>

/* An entry of `inputs` of add and modify. Borrows from the message. */
struct pipeline_input_said {
    const char *name;       /* NULL: not said */
    const char *from, *mid; /* terminationId; both NULL or none */
    bool remove;
};
bool pipeline_input_said_read(const json_t *item, size_t index, struct pipeline_input_said *ret,
                              GError **error);

/* ret: PIPELINE_TEMPLATE_PARAMETERS_MAX places, borrowing from the message; *ret_n counts on. */
bool pipeline_arguments_read(const json_t *pipeline, struct pipeline_argument *ret, guint *ret_n,
                             GError **error);
