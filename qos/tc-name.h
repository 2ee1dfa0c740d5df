/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The texts on filters: "wmcf-40000" is a filter of the WMCF on media port 40000, "wmcf-40000.2" of
 * another one on the same port, "wmcf-pid-371" of one without a fixed port; "+clsact" behind it
 * says that a WMCF has made the clsact below. Pure. */
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* The text for a filter. Transfer full. */
char *tc_name_make(const char *name, bool clsact);
/* Whether the text is of that name, with or without the mark. */
bool tc_name_is(const char *text, const char *name, bool *ret_clsact);
/* The name in the text, without the mark; NULL when no WMCF writes such a thing. Transfer full. */
char *tc_name_read(const char *text, bool *ret_clsact);
/* The media port in a name, 0 = none. */
uint16_t tc_name_port(const char *name);
