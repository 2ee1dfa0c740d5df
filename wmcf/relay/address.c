/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses as the packet path keeps them: a union of the two socket address structures, so that
 * what recvmmsg() wrote goes to a table or to sendmmsg() without conversion. */
#include "wmcf/relay/address.h"

#include <arpa/inet.h>
#include <glib.h>
#include <string.h>

bool socket_address_equal(const union socket_address *a, const union socket_address *b)
{
    if (a->any.sa_family != b->any.sa_family)
        return false;
    if (a->any.sa_family == AF_INET)
        return a->v4.sin_port == b->v4.sin_port && a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
    return a->v6.sin6_port == b->v6.sin6_port && a->v6.sin6_scope_id == b->v6.sin6_scope_id &&
           memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof a->v6.sin6_addr) == 0;
}

static uint64_t mix(uint64_t value)
{
    value ^= value >> 32;
    value *= 0xd6e8feb86659fd93u;
    value ^= value >> 32;
    value *= 0xd6e8feb86659fd93u;
    return value ^ value >> 32;
}

bool socket_address_same_host(const union socket_address *a, const union socket_address *b)
{
    union socket_address other = *b;
    if (a->any.sa_family != b->any.sa_family)
        return false;
    if (a->any.sa_family != AF_UNSPEC)
        socket_address_set_port(&other, socket_address_port(a));
    return socket_address_equal(a, &other);
}

uint32_t socket_address_hash(const union socket_address *address, uint32_t seed)
{
    if (address->any.sa_family == AF_INET)
        return (uint32_t)mix((uint64_t)address->v4.sin_addr.s_addr << 16 ^ address->v4.sin_port ^
                             (uint64_t)seed << 32);
    uint64_t half[2];
    memcpy(half, &address->v6.sin6_addr, sizeof half);
    return (uint32_t)mix(mix(half[0] ^ seed) ^ half[1] ^ (uint64_t)address->v6.sin6_port << 48);
}

bool socket_address_parse(const char *text, uint16_t port, union socket_address *ret)
{
    union socket_address address;
    memset(&address, 0, sizeof address);
    if (inet_pton(AF_INET, text, &address.v4.sin_addr) == 1) {
        address.v4.sin_family = AF_INET;
        address.v4.sin_port = htons(port);
    } else if (inet_pton(AF_INET6, text, &address.v6.sin6_addr) == 1) {
        address.v6.sin6_family = AF_INET6;
        address.v6.sin6_port = htons(port);
    } else {
        return false;
    }
    *ret = address;
    return true;
}

uint16_t socket_address_port(const union socket_address *address)
{
    return ntohs(address->any.sa_family == AF_INET6 ? address->v6.sin6_port : address->v4.sin_port);
}

void socket_address_set_port(union socket_address *address, uint16_t port)
{
    if (address->any.sa_family == AF_INET6)
        address->v6.sin6_port = htons(port);
    else
        address->v4.sin_port = htons(port);
}

void socket_address_to_storage(const union socket_address *address, struct sockaddr_storage *ret)
{
    memset(ret, 0, sizeof *ret);
    memcpy(ret, address, socket_address_length(address));
}

char *socket_address_text(const union socket_address *address)
{
    char ip[INET6_ADDRSTRLEN] = "?";
    if (address->any.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &address->v6.sin6_addr, ip, sizeof ip);
        return g_strdup_printf("[%s]:%u", ip, socket_address_port(address));
    }
    inet_ntop(AF_INET, &address->v4.sin_addr, ip, sizeof ip);
    return g_strdup_printf("%s:%u", ip, socket_address_port(address));
}
