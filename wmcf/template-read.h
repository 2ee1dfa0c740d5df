/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* offerTemplate and answerTemplate of protocol B. Threads: control. */
#include "pipelines/sdp.h"

#include <jansson.h>

/* NULL without an error when the message has no `name`. Transfer full. */
struct sdp_template *template_read(const json_t *message, const char *name, GError **error);
