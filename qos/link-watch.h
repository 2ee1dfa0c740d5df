/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The interfaces of this network namespace and their addresses, as the kernel tells them. For
 * interfaces.c alone. Threads: control; callbacks come on GLib's default main context, and from
 * within link_watch_new(). */
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct link_address {
    int family;
    uint8_t length; /* of the prefix: an address may be there twice with two of them */
    uint8_t octets[16];
};

struct link_watch_ops {
    /* New, or something about it has changed. */
    void (*link)(void *user, unsigned index, const char *name, bool is_loopback);
    void (*link_gone)(void *user, unsigned index);
    void (*address)(void *user, unsigned index, const struct link_address *address, bool is_there);
    /* What follows, up to `settled`, is all there is: the start, or something was lost. */
    void (*afresh)(void *user);
    /* The end of what belongs together. */
    void (*settled)(void *user);
};

struct link_watch;
struct link_watch *link_watch_new(const struct link_watch_ops *ops, void *user, GError **error);
void link_watch_free(struct link_watch *watch); /* NULL allowed */
