/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Attributes of endpoints and resources (protocol A7): a flat object that somebody publishes about
 * himself so that others find him. Threads: control. */
#include "base/conf.h"

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>

/* The object `name` of the message within the limits of [registration]: *ret (transfer full) stays
 * NULL when it is absent. INVALID_MESSAGE for what is not flat, MESSAGE_TOO_LARGE above a limit. */
bool attributes_read(const struct conf *conf, const json_t *message, const char *name, json_t **ret,
                     GError **error);
/* "colour=red", "seats=4", "free=true" → {"colour":"red","seats":4,"free":true}. Transfer full. */
json_t *attributes_parse(const char *const *list);
/* Whether every wanted key is there with an equal value; numbers compare as numbers. NULL wants
 * nothing, NULL attributes have nothing. */
bool attributes_match(const json_t *attributes, const json_t *wanted);
