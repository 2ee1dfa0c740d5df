/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A UDP address in the 28 octets that IPv4 and IPv6 need, comparable and hashable.
 * Threads: any. */
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

union socket_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static inline socklen_t socket_address_length(const union socket_address *address)
{
    return address->any.sa_family == AF_INET6 ? sizeof address->v6 : sizeof address->v4;
}

/* Octets of IP and UDP header in front of a payload to this address. */
static inline uint32_t socket_address_overhead(const union socket_address *address)
{
    return address->any.sa_family == AF_INET6 ? 48 : 28;
}

bool socket_address_equal(const union socket_address *a, const union socket_address *b);
/* The same but for the port. */
bool socket_address_same_host(const union socket_address *a, const union socket_address *b);
uint32_t socket_address_hash(const union socket_address *address, uint32_t seed);
/* A numeric address without port; false when the text is none. */
bool socket_address_parse(const char *text, uint16_t port, union socket_address *ret);
uint16_t socket_address_port(const union socket_address *address);
void socket_address_set_port(union socket_address *address, uint16_t port);
void socket_address_to_storage(const union socket_address *address, struct sockaddr_storage *ret);
/* "192.0.2.1:40000", "[2001:db8::1]:40000". Transfer full. */
char *socket_address_text(const union socket_address *address);
