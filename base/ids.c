/* SPDX-License-Identifier: Apache-2.0 */
/* Owns everything random or secret that becomes text: all of it is drawn from getrandom(2), never
 * from GLib's generator, because ids double as capabilities (a mediaSessionId must not be guessed).
 * Costs a system call per id, which is nothing beside the handshake that asks for it. */
#include "base/ids.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#define USER_MAX 64   /* protocol A5 */
#define REALM_MAX 253 /* RFC 1035 2.3.4, without the root's dot */
#define LABEL_MAX 63

void id_random(void *out, size_t n)
{
    guint8 *p = out;
    while (n > 0) {
        ssize_t got = getrandom(p, n, 0);
        if (got < 0) {
            if (errno == EINTR)
                continue;
            g_error("getrandom: %s", g_strerror(errno));
        }
        p += got;
        n -= (size_t)got;
    }
}

guint32 id_random32(void)
{
    guint32 value;
    id_random(&value, sizeof value);
    return value;
}

char *id_uuid(void)
{
    guint8 b[16];
    id_random(b, sizeof b);
    b[6] = (guint8)((b[6] & 0x0f) | 0x40); /* RFC 4122 4.4: version 4, variant 10 */
    b[8] = (guint8)((b[8] & 0x3f) | 0x80);
    return g_strdup_printf("%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
                           b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11],
                           b[12], b[13], b[14], b[15]);
}

bool id_is_uuid(const char *text)
{
    if (!text || strlen(text) != 36)
        return false;
    for (int i = 0; i < 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text[i] != '-' : !g_ascii_isxdigit(text[i]))
            return false;
    }
    return true;
}

char *id_token(unsigned bits)
{
    g_return_val_if_fail(bits > 0 && bits <= 4096, NULL);
    guint8 raw[512];
    size_t n = (bits + 7) / 8;
    id_random(raw, n);
    char *text = g_base64_encode(raw, n);
    /* RFC 4648 5: the alphabet that needs no escaping in a URL, and no padding. */
    g_strdelimit(text, "+", '-');
    g_strdelimit(text, "/", '_');
    char *padding = strchr(text, '=');
    if (padding)
        *padding = '\0';
    return text;
}

void id_ice_chars(char *out, size_t n)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    id_random(out, n);
    for (size_t i = 0; i < n; i++)
        out[i] = alphabet[(guint8)out[i] & 63]; /* 64 letters: no bias */
    out[n] = '\0';
}

bool id_secret_equal(const char *a, const char *b)
{
    if (!a || !b)
        return false;
    /* The time depends on the length of `a` alone, which the caller makes the candidate. */
    size_t n = strlen(a), m = strlen(b);
    volatile guint8 difference = n != m;
    for (size_t i = 0; i < n; i++)
        difference |= (guint8)(a[i] ^ b[m ? i % m : 0]);
    return difference == 0;
}

static bool is_realm(const char *text)
{
    size_t length = strlen(text), label = 0;
    if (length == 0 || length > REALM_MAX)
        return false;
    for (size_t i = 0; i <= length; i++) {
        char c = text[i];
        if (c == '.' || c == '\0') {
            if (label == 0 || label > LABEL_MAX || text[i - 1] == '-')
                return false;
            label = 0;
        } else if (!g_ascii_isalnum(c) && (c != '-' || label == 0)) {
            return false;
        } else {
            label++;
        }
    }
    return true;
}

bool id_is_address(const char *text, bool resource, char **ret_realm)
{
    const char *at = text ? strchr(text, '@') : NULL;
    if (!at || at == text || at - text > USER_MAX || !is_realm(at + 1))
        return false;
    for (const char *p = text; p < at; p++)
        if (!g_ascii_isalnum(*p) && !strchr(resource ? "._~+-/" : "._~+-", *p))
            return false;
    if (ret_realm)
        *ret_realm = g_ascii_strdown(at + 1, -1);
    return true;
}
