/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The interfaces that carry media: those that have one of our media addresses, and those that the
 * operator names. Followed by rtnetlink as they come, go, change names and addresses, on GLib's
 * default main context. For the files of qos/ alone.
 *
 * Threads: control. */
#include <glib.h>
#include <stdbool.h>
#include <sys/socket.h>

struct interfaces;
struct interfaces_ops {
    /* Is there and carries media: our filters are wanted on it. Told also from within
     * interfaces_new() and interfaces_add_address(), and again with another index after it was made
     * anew. Administratively down makes no difference: filters outlast that. */
    void (*up)(void *user, unsigned index, const char *name);
    /* Is gone, and its filters with it; or it is there, but carries media no longer (renamed, lost
     * its address): then the filters have to be taken off. Told for what was told up alone, but not
     * by interfaces_free(). */
    void (*down)(void *user, unsigned index, const char *name);
};

/* `named`: NULL-terminated, may be NULL; copied. *ops is borrowed. Transfer full. Fails with
 * ENFORCEMENT_UNAVAILABLE when there is no netlink. */
struct interfaces *interfaces_new(const char *const *named, const struct interfaces_ops *ops,
                                  void *user, GError **error);
void interfaces_free(struct interfaces *interfaces); /* NULL allowed */
/* The interface that has this address carries media, now or when it gets it. The port is ignored.
 * A second time changes nothing. */
void interfaces_add_address(struct interfaces *interfaces, const struct sockaddr *local);
/* How many are up. */
unsigned interfaces_count(const struct interfaces *interfaces);
/* One sentence that names a media interface that is not there now, or a media address that no
 * interface has and whose last one carries media no longer; NULL = there is none.
 * Borrowed until the next call. */
const char *interfaces_missing(const struct interfaces *interfaces);
