/* SPDX-License-Identifier: Apache-2.0 */
/* Scanning of single values in SDP text. Everything works on a cursor into a checked line, so that
 * no length is ever trusted and nothing is cut. */
#include "pipelines/sdp-model.h"

#include <string.h>

bool sdp_scan_number(const char **cursor, guint64 max, guint64 *ret)
{
    const char *p = *cursor;
    guint64 value = 0;

    if (!g_ascii_isdigit(*p))
        return false;
    for (; g_ascii_isdigit(*p); p++) {
        guint64 digit = (guint64)(*p - '0');
        if (value > (max - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *cursor = p;
    *ret = value;
    return true;
}

char *sdp_scan_word(const char **cursor)
{
    const char *start = *cursor + strspn(*cursor, " ");
    size_t length = strcspn(start, " ");

    *cursor = start + length;
    return length > 0 ? g_strndup(start, length) : NULL;
}

/* RFC 8866 9: token-char. */
static bool is_token(const char *text)
{
    for (const char *p = text; *p; p++)
        if (!g_ascii_isalnum(*p) && !strchr("!#$%&'*+-.^_`{|}~", *p))
            return false;
    return *text != '\0';
}

bool sdp_is_mid(const char *text)
{
    return strlen(text) <= SDP_MAX_MID && is_token(text);
}

bool sdp_is_rid(const char *text)
{
    size_t length = strlen(text);

    for (const char *p = text; *p; p++)
        if (!g_ascii_isalnum(*p) && *p != '-' && *p != '_')
            return false;
    return length > 0 && length <= SDP_MAX_RID; /* RFC 8285 4.2: one-byte elements */
}

bool sdp_fail_line(GError **error, guint line, const char *format, ...)
{
    va_list args;
    g_autofree char *reason = NULL;

    va_start(args, format);
    reason = g_strdup_vprintf(format, args);
    va_end(args);
    problem_set(error, PROBLEM_INVALID_SDP, "Line %u of the session description: %s.", line,
                reason);
    return false;
}
