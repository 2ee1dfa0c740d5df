/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Requests to rtnetlink, one at a time, with the kernel's own words about what is wrong
 * (NETLINK_EXT_ACK). For the files of qos/ alone. Threads: the one that made it. */
#include <glib.h>
#include <netlink/msg.h>
#include <stdbool.h>

struct rtnetlink;
struct rtnetlink *rtnetlink_new(GError **error); /* transfer full */
void rtnetlink_free(struct rtnetlink *rtnetlink);

/* Sends `message` (taken) and waits for the acknowledgement, or for the end of a dump, whose
 * messages `each` (may be NULL) sees. 0, or a positive errno. A dump that is disturbed by a change
 * is done again; `each` sees the last one alone, when it is complete. */
typedef void (*rtnetlink_each)(const struct nlmsghdr *message, void *user);
int rtnetlink_request(struct rtnetlink *rtnetlink, struct nl_msg *message, rtnetlink_each each,
                      void *user);
/* What the kernel said about the last request beyond its errno; "" = nothing. Borrowed until the
 * next request. */
const char *rtnetlink_text(const struct rtnetlink *rtnetlink);
