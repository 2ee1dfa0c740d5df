/* SPDX-License-Identifier: Apache-2.0 */
/* The name of a filter is the only memory that outlasts the process, so it says whose the filter is
 * and whether the clsact under it may go with it. A WMCF that finds the clsact of another one
 * inherits its mark: whichever leaves last takes the clsact away. */
#include "qos/tc-name.h"

#include <string.h>

#define PREFIX "wmcf-"
#define CLSACT "+clsact"

char *tc_name_make(const char *owner, bool clsact)
{
    return g_strconcat(owner, clsact ? CLSACT : "", NULL);
}

bool tc_name_is_of(const char *name, const char *owner)
{
    size_t length = strlen(owner);
    return strncmp(name, owner, length) == 0 &&
           (!name[length] || strcmp(name + length, CLSACT) == 0);
}

bool tc_name_read(const char *name, uint16_t *ret_port, bool *ret_clsact)
{
    guint64 port;
    if (!g_str_has_prefix(name, PREFIX))
        return false;
    bool clsact = g_str_has_suffix(name, CLSACT);
    const char *digits = name + strlen(PREFIX);
    g_autofree char *text = g_strndup(digits, strlen(digits) - (clsact ? strlen(CLSACT) : 0));
    if (!g_ascii_string_to_unsigned(text, 10, 1, UINT16_MAX, &port, NULL))
        return false;
    *ret_port = (uint16_t)port;
    *ret_clsact = clsact;
    return true;
}
