/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Socket addresses of listeners and peers. Threads: control. */
#include <glib.h>
#include <stdbool.h>
#include <sys/socket.h>

/* A listening socket on a numeric address, an interface's first address or all (NULL: IPv6 with
 * IPv4 inside it, or IPv4 where there is no IPv6). -1 and *error on failure. */
int ws_address_listen(const char *address, guint port, bool loopback_only, guint *ret_port,
                      GError **error);
/* Numeric text of a peer's address; IPv4 inside IPv6 is written as IPv4. */
void ws_address_text(const struct sockaddr_storage *address, char *text, gsize size);
bool ws_address_is_loopback(const struct sockaddr_storage *address);
/* True for "localhost" and numeric loopback addresses, with or without brackets. */
bool ws_address_text_is_loopback(const char *text);
