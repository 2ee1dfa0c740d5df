/* SPDX-License-Identifier: Apache-2.0 */
/* The names of code points. Classes are computed rather than listed: CSn is n in the three high
 * bits, AFxy class x with drop precedence y behind it. */
#include "wsf/dscp.h"

#include "base/problem.h"

#include <string.h>

static const struct {
    const char *name;
    guint value;
} single[] = {
    {"EF", 46}, /* RFC 3246 */
    {"VA", 44}, /* RFC 5865 */
    {"LE", 1},  /* RFC 8622 */
    {"DF", 0},  /* RFC 2474 4.1 */
    {"BE", 0},
};

static bool parse_class(const char *text, guint *ret)
{
    gsize length = strlen(text);
    if (length == 3 && g_ascii_strncasecmp(text, "CS", 2) == 0 && text[2] >= '0' &&
        text[2] <= '7') {
        *ret = (guint)(text[2] - '0') << 3; /* RFC 2474 4.2.2 */
        return true;
    }
    if (length == 4 && g_ascii_strncasecmp(text, "AF", 2) == 0 && text[2] >= '1' &&
        text[2] <= '4' && text[3] >= '1' && text[3] <= '3') {
        *ret = (guint)(text[2] - '0') << 3 | (guint)(text[3] - '0') << 1; /* RFC 2597 6 */
        return true;
    }
    return false;
}

bool dscp_parse(const char *text, guint *ret, GError **error)
{
    guint64 number = 0;
    for (gsize i = 0; i < G_N_ELEMENTS(single); i++)
        if (g_ascii_strcasecmp(text, single[i].name) == 0) {
            *ret = single[i].value;
            return true;
        }
    if (parse_class(text, ret))
        return true;
    if (g_ascii_string_to_unsigned(text, 10, 0, 63, &number, NULL)) {
        *ret = (guint)number;
        return true;
    }
    problem_set(error, PROBLEM_INVALID_MESSAGE,
                "\"%s\" is no DSCP: a number from 0 to 63, EF, VA, LE, DF, AF11 to AF43 or CS0 to "
                "CS7",
                text);
    return false;
}
