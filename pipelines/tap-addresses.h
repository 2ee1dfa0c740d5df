/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Where pipelines may send packets: numeric addresses and ports that the operator has listed.
 * Threads: any. */
#include <glib.h>
#include <stdbool.h>

struct tap_address {
    char host[46]; /* numeric, as inet_ntop() writes it */
    guint port;
};

/* Whether a text can stand in the list: an address or a network, IPv6 in brackets where a port
 * follows, and a port or a range of them or none: "192.0.2.0/24:5000-5999", "[2001:db8::7]:5004",
 * "192.0.2.7". INVALID_MESSAGE. */
bool tap_addresses_check(const char *entry, GError **error);
/* "192.0.2.7:5004" or "[2001:db8::7]:5004". Names are not resolved. False with `pointer`. */
bool tap_address_read(const char *said, const char *pointer, struct tap_address *ret,
                      GError **error);
/* Whether the list (NULL = empty) has it. What reaches many needs an entry of its own: a multicast
 * address one of a multicast network, and the first and the last address of a network one of that
 * single address. INVALID_MESSAGE with `pointer`. */
bool tap_address_allowed(const char *const *list, const struct tap_address *address,
                         const char *pointer, GError **error);
