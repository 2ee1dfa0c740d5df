/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the first look at a message: one pass over the octets, no allocation, no recursion. It
 * refuses deep nesting before the JSON parser recurses into it and trees whose memory would be many
 * times the message's, and finds the token of the transactionId, because ids reach 2^64-1 (A2) and
 * the parser's integers end at 2^63-1. It does not judge the syntax beyond that; the parser does. A
 * key spelled with escapes is not recognised here, so such a message is limited to ids that the
 * parser can hold. */
#include "wsf-link/envelope.h"

#include <string.h>

/* Returns the index behind the closing quote, or 0 when the string does not end. */
static size_t skip_string(const char *text, size_t length, size_t at)
{
    for (at++; at < length; at++) {
        if (text[at] == '\\')
            at++;
        else if (text[at] == '"')
            return at + 1;
    }
    return 0;
}

static size_t skip_space(const char *text, size_t length, size_t at)
{
    while (at < length && strchr(" \t\r\n", text[at]) && text[at])
        at++;
    return at;
}

static bool is_id_key(const char *text, size_t from, size_t to)
{
    static const char key[] = "\"transactionId\"";
    return to - from == sizeof key - 1 && !memcmp(text + from, key, sizeof key - 1);
}

static size_t token_length(const char *text, size_t length, size_t at)
{
    size_t end = at;
    while (end < length && text[end] && !strchr(" \t\r\n,:{}[]\"", text[end]))
        end++;
    return end - at;
}

bool envelope_scan(const char *text, size_t length, size_t *ret_id_at, size_t *ret_id_length)
{
    guint depth = 0, values = 0;
    size_t id_at = 0, id_length = 0;
    for (size_t at = 0; at < length;) {
        char c = text[at];
        if (c == '"') {
            size_t end = skip_string(text, length, at);
            if (!end)
                return false;
            size_t colon = skip_space(text, length, end);
            if (depth == 1 && !id_length && is_id_key(text, at, end) && colon < length &&
                text[colon] == ':') {
                id_at = skip_space(text, length, colon + 1);
                id_length = token_length(text, length, id_at);
            }
            at = end;
            continue;
        }
        if ((c == '{' || c == '[' || c == ',') && ++values > ENVELOPE_VALUES_MAX)
            return false;
        if (c == '{' || c == '[') {
            if (++depth > ENVELOPE_DEPTH_MAX)
                return false;
        } else if (c == '}' || c == ']') {
            if (!depth--)
                return false;
        }
        at++;
    }
    *ret_id_at = id_at;
    *ret_id_length = id_length;
    return depth == 0;
}

bool envelope_id_parse(const char *digits, size_t length, guint64 *ret)
{
    if (!length || length > 20 || (digits[0] == '0' && length > 1))
        return false;
    guint64 value = 0;
    for (size_t i = 0; i < length; i++) {
        if (!g_ascii_isdigit(digits[i]))
            return false;
        guint digit = (guint)(digits[i] - '0');
        if (value > (G_MAXUINT64 - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *ret = value;
    return true;
}
