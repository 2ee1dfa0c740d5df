/* SPDX-License-Identifier: Apache-2.0 */
/* Two sockets: one that listens to what changes, and one to ask for all there is. The listening one
 * joins its groups first and asks afterwards, so nothing falls in between; what is told twice is
 * told twice. When the kernel had to drop notifications (ENOBUFS) the rest of the queue is worth
 * nothing: it is thrown away and everything is asked for again. */
#define LOG_CATEGORY "qos"
#include "qos/link-watch.h"

#include "base/log.h"
#include "base/loop.h"
#include "base/problem.h"
#include "qos/rtnetlink.h"

#include <errno.h>
#include <glib-unix.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <string.h>
#include <sys/socket.h>

#define BUFFER_SIZE 65536
#define QUEUE_SIZE (256 * 1024)

struct link_watch {
    const struct link_watch_ops *ops;
    void *user;
    struct rtnetlink *asking;
    struct nl_sock *listening;
    guint source;
    char *buffer;
};

static void on_link(struct link_watch *watch, struct nlmsghdr *message)
{
    const struct ifinfomsg *head = nlmsg_data(message);
    /* A bridge tells of its ports in the same group: one that leaves it is not gone. */
    if (nlmsg_datalen(message) < (int)sizeof *head || head->ifi_family != AF_UNSPEC)
        return;
    if (message->nlmsg_type == RTM_DELLINK) {
        watch->ops->link_gone(watch->user, (unsigned)head->ifi_index);
        return;
    }
    struct nlattr *name = nlmsg_find_attr(message, sizeof *head, IFLA_IFNAME);
    if (name)
        watch->ops->link(watch->user, (unsigned)head->ifi_index, nla_get_string(name),
                         (head->ifi_flags & IFF_LOOPBACK) != 0);
}

static void on_address(struct link_watch *watch, struct nlmsghdr *message)
{
    const struct ifaddrmsg *head = nlmsg_data(message);
    struct nlattr *attributes[IFA_MAX + 1];
    if (nlmsg_datalen(message) < (int)sizeof *head ||
        nlmsg_parse(message, sizeof *head, attributes, IFA_MAX, NULL) < 0)
        return;
    struct link_address address = {.family = head->ifa_family, .length = head->ifa_prefixlen};
    int octets = address.family == AF_INET ? 4 : address.family == AF_INET6 ? 16 : 0;
    /* Of a point-to-point link IFA_ADDRESS is the other end. */
    struct nlattr *own = attributes[IFA_LOCAL] ? attributes[IFA_LOCAL] : attributes[IFA_ADDRESS];
    if (!octets || !own || nla_len(own) < octets)
        return;
    memcpy(address.octets, nla_data(own), octets);
    watch->ops->address(watch->user, head->ifa_index, &address, message->nlmsg_type == RTM_NEWADDR);
}

static void on_message(const struct nlmsghdr *const_message, void *user)
{
    struct nlmsghdr *message = (struct nlmsghdr *)const_message;
    switch (message->nlmsg_type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
        on_link(user, message);
        break;
    case RTM_NEWADDR:
    case RTM_DELADDR:
        on_address(user, message);
        break;
    }
}

static int ask(struct link_watch *watch, int type, const void *head, size_t length)
{
    struct nl_msg *message = nlmsg_alloc_simple(type, NLM_F_REQUEST | NLM_F_DUMP);
    if (!message || nlmsg_append(message, (void *)head, length, NLMSG_ALIGNTO) < 0)
        g_error("no memory for a netlink message");
    return rtnetlink_request(watch->asking, message, on_message, watch);
}

static int ask_for_all(struct link_watch *watch)
{
    struct ifinfomsg link = {.ifi_family = AF_UNSPEC};
    struct ifaddrmsg address = {.ifa_family = AF_UNSPEC};
    watch->ops->afresh(watch->user);
    int status = ask(watch, RTM_GETLINK, &link, sizeof link);
    if (status == 0)
        status = ask(watch, RTM_GETADDR, &address, sizeof address);
    watch->ops->settled(watch->user);
    return status;
}

/* One datagram: > 0; nothing there: 0; something was lost: -1. */
static int receive(struct link_watch *watch)
{
    struct sockaddr_nl from;
    struct iovec part = {watch->buffer, BUFFER_SIZE};
    struct msghdr head = {
        .msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &part, .msg_iovlen = 1};
    ssize_t got = recvmsg(nl_socket_get_fd(watch->listening), &head, MSG_DONTWAIT);
    if (got < 0)
        return errno == ENOBUFS ? -1 : errno == EINTR ? 1 : 0;
    if (head.msg_flags & MSG_TRUNC)
        return -1;
    if (from.nl_pid != 0) /* not the kernel */
        return 1;
    int length = (int)got;
    struct nlmsghdr *message = (struct nlmsghdr *)watch->buffer;
    for (; nlmsg_ok(message, length); message = nlmsg_next(message, &length))
        on_message(message, watch);
    return 1;
}

static void throw_queue_away(struct link_watch *watch)
{
    int fd = nl_socket_get_fd(watch->listening);
    while (recv(fd, watch->buffer, BUFFER_SIZE, MSG_DONTWAIT) >= 0 || errno == ENOBUFS ||
           errno == EINTR)
        ;
}

static gboolean on_readable(gint fd, GIOCondition condition, gpointer user)
{
    struct link_watch *watch = user;
    int got;
    loop_mark("network interfaces");
    while ((got = receive(watch)) > 0)
        ;
    if (got < 0) {
        log_debug(NULL, "changes of interfaces were lost, looking at all of them");
        throw_queue_away(watch);
        ask_for_all(watch);
    } else {
        watch->ops->settled(watch->user);
    }
    return G_SOURCE_CONTINUE;
}

static int start(struct link_watch *watch)
{
    if (!watch->listening)
        return -NLE_NOMEM;
    int status = nl_socket_set_buffer_size(watch->listening, QUEUE_SIZE, 0);
    status = nl_connect(watch->listening, NETLINK_ROUTE);
    if (status < 0)
        return status;
    nl_socket_set_buffer_size(watch->listening, QUEUE_SIZE, 0);
    return nl_socket_add_memberships(watch->listening, RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR,
                                     RTNLGRP_IPV6_IFADDR, 0);
}

struct link_watch *link_watch_new(const struct link_watch_ops *ops, void *user, GError **error)
{
    struct rtnetlink *asking = rtnetlink_new(error);
    if (!asking)
        return NULL;
    struct link_watch *watch = g_new0(struct link_watch, 1);
    *watch = (struct link_watch){.ops = ops, .user = user, .asking = asking};
    watch->buffer = g_malloc(BUFFER_SIZE);
    watch->listening = nl_socket_alloc();
    int status = start(watch);
    if (status < 0) {
        problem_set(error, PROBLEM_ENFORCEMENT_UNAVAILABLE,
                    "the network interfaces cannot be watched: %s", nl_geterror(status));
        link_watch_free(watch);
        return NULL;
    }
    watch->source = g_unix_fd_add(nl_socket_get_fd(watch->listening), G_IO_IN, on_readable, watch);
    status = ask_for_all(watch);
    if (status != 0) {
        problem_set(error, PROBLEM_ENFORCEMENT_UNAVAILABLE,
                    "the kernel does not tell the network interfaces: %s", g_strerror(status));
        link_watch_free(watch);
        return NULL;
    }
    return watch;
}

void link_watch_free(struct link_watch *watch)
{
    if (!watch)
        return;
    if (watch->source)
        g_source_remove(watch->source);
    if (watch->listening)
        nl_socket_free(watch->listening);
    rtnetlink_free(watch->asking);
    g_free(watch->buffer);
    g_free(watch);
}
