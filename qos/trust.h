/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Networks whose DSCP is trusted ("copy"). Threads: read by control, then immutable. */
#include <glib.h>
#include <stdbool.h>
#include <sys/socket.h>

/* Array of prefixes from texts like "10.45.0.0/16", "2001:db8::/32" or an address alone;
 * INVALID_MESSAGE names the wrong one. Transfer full. */
GArray *trust_read(const char *const *prefixes, GError **error);
bool trust_holds(const GArray *trusted, const struct sockaddr *address);
