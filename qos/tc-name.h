/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The names on filters: "wmcf-40000" is the filter of the WMCF on media port 40000, and
 * "wmcf-40000+clsact" says besides that a WMCF has made the clsact it is on. Pure. */
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* The name for a filter of `owner`. Transfer full. */
char *tc_name_make(const char *owner, bool clsact);
bool tc_name_is_of(const char *name, const char *owner);
/* Whether it is the name of any WMCF's filter; *ret_port is its media port. */
bool tc_name_read(const char *name, uint16_t *ret_port, bool *ret_clsact);
