/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Which leg a datagram belongs to: (local socket, source address) → leg, one look per datagram.
 * Threads: the worker that owns it. */
#include "wmcf/relay/address.h"

#include <stddef.h>

struct address_table;

struct address_table *address_table_new(uint32_t seed);
void address_table_free(struct address_table *table);
/* NULL when nobody has validated this address. */
void *address_table_find(const struct address_table *table, unsigned socket,
                         const union socket_address *address);
/* Sets or replaces. `owner` is not NULL. */
void address_table_put(struct address_table *table, unsigned socket,
                       const union socket_address *address, void *owner);
/* Removes the entry if it belongs to `owner`; another owner's entry stays. */
void address_table_remove(struct address_table *table, unsigned socket,
                          const union socket_address *address, const void *owner);
size_t address_table_count(const struct address_table *table);
