/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Differentiated services code points by the names that operators use (RFC 2474, 2597, 3246, 5865,
 * 8622). Pure. Threads: any. */
#include <glib.h>
#include <stdbool.h>

/* A number from 0 to 63, or EF, VA, LE, DF, BE, AF11 to AF43, CS0 to CS7 in any case.
 * INVALID_MESSAGE, with a text that names them. */
bool dscp_parse(const char *text, guint *ret, GError **error);
