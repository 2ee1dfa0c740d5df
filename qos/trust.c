/* SPDX-License-Identifier: Apache-2.0 */
/* A short list, looked at once per nomination: compared one by one. */
#include "qos/trust.h"

#include "base/problem.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

struct prefix {
    int family;
    unsigned length;
    uint8_t octets[16];
};

static bool parse(const char *text, struct prefix *ret)
{
    const char *slash = strchr(text, '/');
    g_autofree char *address = slash ? g_strndup(text, slash - text) : g_strdup(text);
    guint64 length = 0;
    memset(ret, 0, sizeof *ret);
    if (inet_pton(AF_INET, address, ret->octets) == 1)
        ret->family = AF_INET;
    else if (inet_pton(AF_INET6, address, ret->octets) == 1)
        ret->family = AF_INET6;
    else
        return false;
    unsigned whole = ret->family == AF_INET ? 32 : 128;
    if (slash && !g_ascii_string_to_unsigned(slash + 1, 10, 0, whole, &length, NULL))
        return false;
    ret->length = slash ? (unsigned)length : whole;
    return true;
}

GArray *trust_read(const char *const *prefixes, GError **error)
{
    g_autoptr(GArray) list = g_array_new(FALSE, FALSE, sizeof(struct prefix));
    for (guint i = 0; prefixes && prefixes[i]; i++) {
        struct prefix prefix;
        if (!parse(prefixes[i], &prefix)) {
            problem_set(error, PROBLEM_INVALID_MESSAGE,
                        "trusted network \"%s\" is not an address or a prefix like 10.45.0.0/16",
                        prefixes[i]);
            return NULL;
        }
        g_array_append_val(list, prefix);
    }
    return g_steal_pointer(&list);
}

static bool matches(const struct prefix *prefix, const uint8_t *octets)
{
    unsigned whole = prefix->length / 8, rest = prefix->length % 8;
    if (memcmp(prefix->octets, octets, whole) != 0)
        return false;
    return !rest || ((prefix->octets[whole] ^ octets[whole]) >> (8 - rest)) == 0;
}

bool trust_holds(const GArray *trusted, const struct sockaddr *address)
{
    const uint8_t *octets =
        address->sa_family == AF_INET
            ? (const uint8_t *)&((const struct sockaddr_in *)address)->sin_addr
            : (const uint8_t *)&((const struct sockaddr_in6 *)address)->sin6_addr;
    for (guint i = 0; i < trusted->len; i++) {
        const struct prefix *prefix = &g_array_index(trusted, struct prefix, i);
        if (prefix->family == address->sa_family && matches(prefix, octets))
            return true;
    }
    return false;
}
