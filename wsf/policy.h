/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The policy table: who may call whom, and what the gates become when the call is connected. One
 * row per [policy "name"], the first that fits decides; no fitting row: permitted, gates ENABLED.
 * Threads: control. */
#include "base/conf.h"

#include <glib.h>
#include <stdbool.h>

struct policy;

struct policy *policy_new(const struct conf *conf);
void policy_free(struct policy *policy);
/* *ret_row: for policy_flow_status(). NOT_AUTHORIZED when the row forbids it. */
bool policy_permit(const struct policy *policy, const char *from, const char *to, guint *ret_row,
                   GError **error);
/* Whether media of such a call may pass without a media centre (A6, direct media). */
bool policy_direct_media(const struct policy *policy, guint row);
/* flowStatus of protocol B. Static. */
const char *policy_flow_status(const struct policy *policy, guint row);
/* The section of a row, policy "name" as in the file, "" for the default, which comes last: a row
 * has another number when the configuration was changed. Borrowed. */
const char *policy_row_name(const struct policy *policy, guint row);
/* The row of this name (NULL allowed); the default when there is none. */
guint policy_row_by_name(const struct policy *policy, const char *name);
