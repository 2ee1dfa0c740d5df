/* SPDX-License-Identifier: Apache-2.0 */
/* The text on a filter is the only memory that outlasts the process, so it says whose the filter is
 * and whether the clsact under it may go with it. A WMCF that finds the clsact of another one
 * inherits the mark: whichever leaves last takes the clsact away. */
#include "qos/tc-name.h"

#include <string.h>

#define PREFIX "wmcf-"
#define PID "pid-"
#define CLSACT "+clsact"

char *tc_name_make(const char *name, bool clsact)
{
    return g_strconcat(name, clsact ? CLSACT : "", NULL);
}

bool tc_name_is(const char *text, const char *name, bool *ret_clsact)
{
    size_t length = strlen(name);
    if (strncmp(text, name, length) != 0)
        return false;
    *ret_clsact = strcmp(text + length, CLSACT) == 0;
    return *ret_clsact || !text[length];
}

static const char *skip_digits(const char *text)
{
    while (g_ascii_isdigit(*text))
        text++;
    return text;
}

/* "wmcf-" ["pid-"] digits ["." digits]: others may call their filters wmcf-something. */
static bool is_ours(const char *name)
{
    if (!g_str_has_prefix(name, PREFIX))
        return false;
    const char *digits = name + strlen(PREFIX);
    digits += g_str_has_prefix(digits, PID) ? strlen(PID) : 0;
    const char *end = skip_digits(digits);
    if (end > digits && *end == '.') {
        digits = end + 1;
        end = skip_digits(digits);
    }
    return end > digits && !*end;
}

char *tc_name_read(const char *text, bool *ret_clsact)
{
    *ret_clsact = g_str_has_suffix(text, CLSACT);
    g_autofree char *name = g_strndup(text, strlen(text) - (*ret_clsact ? strlen(CLSACT) : 0));
    return is_ours(name) ? g_steal_pointer(&name) : NULL;
}

uint16_t tc_name_port(const char *name)
{
    guint64 port = is_ours(name) ? g_ascii_strtoull(name + strlen(PREFIX), NULL, 10) : 0;
    return port <= UINT16_MAX ? (uint16_t)port : 0;
}
