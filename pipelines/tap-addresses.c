/* SPDX-License-Identifier: Apache-2.0 */
/* Decrypted media leaves the media centre to where these lines let it, so they compare octets of
 * addresses, never texts, and take no names: what a name means can change after it was looked at.
 */
#include "pipelines/tap-addresses.h"

#include "base/problem.h"

#include <arpa/inet.h>
#include <string.h>

struct network {
    guint8 octets[16];
    guint whole, length; /* bits of such an address, and of the prefix */
    guint first, last;   /* ports */
};

static bool read_number(const char *text, guint64 least, guint64 most, guint *ret)
{
    guint64 number;
    if (!g_ascii_string_to_unsigned(text, 10, least, most, &number, NULL))
        return false;
    *ret = (guint)number;
    return true;
}

/* Cuts off what stands behind the address: "…]:5004", or ":5004" with one colon alone. */
static const char *cut_ports(char *text, char **ret_address)
{
    char *colon = strrchr(text, ':');
    *ret_address = text;
    if (*text == '[') {
        char *close = strchr(text, ']');
        if (!close || (close[1] && (close[1] != ':' || !close[2])))
            return NULL;
        *close = '\0';
        *ret_address = text + 1;
        return close[1] ? close + 2 : "";
    }
    if (!colon || strchr(text, ':') != colon) /* none, or IPv6 */
        return "";
    *colon = '\0';
    return colon[1] ? colon + 1 : NULL;
}

static bool read_ports(const char *text, struct network *ret)
{
    g_auto(GStrv) ends = g_strsplit(text, "-", 2);
    ret->first = 1;
    ret->last = G_MAXUINT16;
    if (!*text)
        return true;
    return read_number(ends[0], 1, G_MAXUINT16, &ret->first) &&
           read_number(ends[1] ? ends[1] : ends[0], ret->first, G_MAXUINT16, &ret->last);
}

static bool read_network(const char *entry, struct network *ret)
{
    g_autofree char *text = g_strdup(entry);
    char *address;
    const char *ports = cut_ports(text, &address);
    memset(ret, 0, sizeof *ret);
    char *slash = strchr(address, '/');
    if (slash)
        *slash = '\0';
    if (!ports || !read_ports(ports, ret))
        return false;
    if (inet_pton(AF_INET, address, ret->octets) == 1)
        ret->whole = 32;
    else if (inet_pton(AF_INET6, address, ret->octets) == 1)
        ret->whole = 128;
    else
        return false;
    ret->length = ret->whole;
    return !slash || read_number(slash + 1, 0, ret->whole, &ret->length);
}

bool tap_addresses_check(const char *entry, GError **error)
{
    struct network network;
    if (read_network(entry, &network))
        return true;
    problem_set(error, PROBLEM_INVALID_MESSAGE,
                "\"%s\" is not an address or network with ports, as 192.0.2.0/24:5000-5999 or "
                "[2001:db8::7]:5004",
                entry);
    return false;
}

/* ::ffff:192.0.2.7 is an IPv4 address in disguise (RFC 4291 2.5.5.2). */
static bool is_mapped(const struct network *address)
{
    static const guint8 front[12] = {[10] = 0xff, [11] = 0xff};
    return address->whole == 128 && memcmp(address->octets, front, sizeof front) == 0;
}

static bool is_unspecified(const struct network *address)
{
    static const guint8 zeros[16];
    return memcmp(address->octets, zeros, sizeof zeros) == 0;
}

bool tap_address_read(const char *said, const char *pointer, struct tap_address *ret,
                      GError **error)
{
    struct network address;
    if (!read_network(said, &address) || address.length != address.whole || strchr(said, '/') ||
        address.first != address.last || is_mapped(&address) || is_unspecified(&address)) {
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, pointer,
                          "\"%.64s\" is not a numeric address with a port, as 192.0.2.7:5004 or "
                          "[2001:db8::7]:5004",
                          said);
        return false;
    }
    inet_ntop(address.whole == 32 ? AF_INET : AF_INET6, address.octets, ret->host,
              sizeof ret->host);
    ret->port = address.first;
    return true;
}

static bool is_multicast(const struct network *address)
{
    return address->whole == 32 ? address->octets[0] >> 4 == 14 : address->octets[0] == 0xff;
}

static bool same_front(const struct network *a, const struct network *b, guint bits)
{
    guint whole = bits / 8, rest = bits % 8;
    return memcmp(a->octets, b->octets, whole) == 0 &&
           (!rest || (a->octets[whole] ^ b->octets[whole]) >> (8 - rest) == 0);
}

/* The rest behind the prefix is all zeros or all ones: to everybody of an IPv4 network (RFC 922),
 * or to each router of an IPv6 one (RFC 4291 2.6.1). */
static bool is_edge(const struct network *network, const struct network *address)
{
    bool zeros = true, ones = address->whole == 32;
    for (guint bit = network->length; bit < address->whole; bit++) {
        bool set = address->octets[bit / 8] >> (7 - bit % 8) & 1;
        zeros = zeros && !set;
        ones = ones && set;
    }
    return address->whole - network->length > 1 && (zeros || ones);
}

static bool holds(const struct network *network, const struct network *address)
{
    if (network->whole != address->whole || !same_front(network, address, network->length) ||
        address->first < network->first || address->first > network->last)
        return false;
    if (is_multicast(address))
        return is_multicast(network) && network->length >= 4;
    return !is_edge(network, address) &&
           (network->length == network->whole || address->whole != 32 || address->octets[0] != 255);
}

bool tap_address_allowed(const char *const *list, const struct tap_address *said,
                         const char *pointer, GError **error)
{
    struct network address, network;
    read_network(said->host, &address); /* it was written by us */
    address.first = address.last = said->port;
    for (; list && *list; list++) {
        if (read_network(*list, &network) && holds(&network, &address))
            return true;
    }
    problem_set_param(error, PROBLEM_INVALID_MESSAGE, pointer,
                      "packets may not be sent to %s port %u: pipelines.tap_addresses does not "
                      "allow it",
                      said->host, said->port);
    return false;
}
