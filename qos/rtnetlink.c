/* SPDX-License-Identifier: Apache-2.0 */
/* A route socket used like a function call. libnl's core makes the messages and sends them; answers
 * are read here, because libnl 3.7 keeps the kernel's extended text to itself. A request either
 * ends with its acknowledgement or fails after a few seconds, so that a stuck kernel lock cannot
 * hold the control thread for ever. */
#include "qos/rtnetlink.h"

#include "base/problem.h"

#include <errno.h>
#include <linux/netlink.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#define ANSWER_S 5
#define DUMP_TRIES 5

struct rtnetlink {
    struct nl_sock *socket;
    char text[160];
};

struct rtnetlink *rtnetlink_new(GError **error)
{
    struct rtnetlink *rtnetlink = g_new0(struct rtnetlink, 1);
    rtnetlink->socket = nl_socket_alloc();
    int status = rtnetlink->socket ? nl_connect(rtnetlink->socket, NETLINK_ROUTE) : -NLE_NOMEM;
    if (status < 0) {
        problem_set(error, PROBLEM_ENFORCEMENT_UNAVAILABLE, "no netlink socket to the kernel: %s",
                    nl_geterror(status));
        rtnetlink_free(rtnetlink);
        return NULL;
    }
    int fd = nl_socket_get_fd(rtnetlink->socket), on = 1;
    struct timeval limit = {.tv_sec = ANSWER_S};
    /* An old kernel without them says less, no more. */
    setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
    setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return rtnetlink;
}

void rtnetlink_free(struct rtnetlink *rtnetlink)
{
    if (!rtnetlink)
        return;
    nl_socket_free(rtnetlink->socket);
    g_free(rtnetlink);
}

const char *rtnetlink_text(const struct rtnetlink *rtnetlink)
{
    return rtnetlink->text;
}

/* The extended text behind the error of an acknowledgement or of the end of a dump. */
static void keep_text(struct rtnetlink *rtnetlink, struct nlmsghdr *message)
{
    const struct nlmsgerr *answer = nlmsg_data(message);
    int before = sizeof(int);
    if (!(message->nlmsg_flags & NLM_F_ACK_TLVS))
        return;
    if (message->nlmsg_type == NLMSG_ERROR) {
        before = sizeof *answer;
        /* Without NETLINK_CAP_ACK the whole request comes back in between. */
        if (!(message->nlmsg_flags & NLM_F_CAPPED))
            before += (int)(answer->msg.nlmsg_len - sizeof answer->msg);
    }
    if (nlmsg_datalen(message) <= before)
        return;
    struct nlattr *text = nla_find((struct nlattr *)((char *)nlmsg_data(message) + before),
                                   nlmsg_datalen(message) - before, NLMSGERR_ATTR_MSG);
    if (text)
        nla_strlcpy(rtnetlink->text, text, sizeof rtnetlink->text);
}

struct exchange {
    uint32_t sequence;
    GPtrArray *messages; /* copies: what was dumped before a disturbance does not count */
    bool ended, disturbed;
    int status; /* positive errno */
};

static void take(struct rtnetlink *rtnetlink, struct nlmsghdr *message, struct exchange *exchange)
{
    if (message->nlmsg_seq != exchange->sequence)
        return; /* of a request that was given up */
    if (message->nlmsg_flags & NLM_F_DUMP_INTR)
        exchange->disturbed = true;
    if (message->nlmsg_type == NLMSG_ERROR || message->nlmsg_type == NLMSG_DONE) {
        int status = 0;
        if (nlmsg_datalen(message) >= (int)sizeof status)
            memcpy(&status, nlmsg_data(message), sizeof status);
        exchange->ended = true;
        exchange->status = status < 0 ? -status : 0;
        keep_text(rtnetlink, message);
    } else if (message->nlmsg_type >= NLMSG_MIN_TYPE) {
        g_ptr_array_add(exchange->messages, g_memdup2(message, message->nlmsg_len));
    }
}

static int receive(struct rtnetlink *rtnetlink, struct exchange *exchange)
{
    while (!exchange->ended) {
        unsigned char *octets = NULL;
        struct sockaddr_nl from;
        errno = 0;
        int length = nl_recv(rtnetlink->socket, &from, &octets, NULL);
        if (length <= 0)
            return errno ? errno : ETIMEDOUT;
        struct nlmsghdr *message = (struct nlmsghdr *)octets;
        for (; nlmsg_ok(message, length); message = nlmsg_next(message, &length))
            if (from.nl_pid == 0) /* the kernel */
                take(rtnetlink, message, exchange);
        free(octets);
    }
    return exchange->status;
}

int rtnetlink_request(struct rtnetlink *rtnetlink, struct nl_msg *message, rtnetlink_each each,
                      void *user)
{
    bool dump = (nlmsg_hdr(message)->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
    g_autoptr(GPtrArray) messages = g_ptr_array_new_with_free_func(g_free);
    struct exchange exchange;
    int status, tries = 0;
    do {
        g_ptr_array_set_size(messages, 0);
        exchange = (struct exchange){.messages = messages};
        rtnetlink->text[0] = 0;
        nlmsg_hdr(message)->nlmsg_seq = NL_AUTO_SEQ;
        int sent = nl_send_auto(rtnetlink->socket, message);
        exchange.sequence = nlmsg_hdr(message)->nlmsg_seq;
        status = sent < 0 ? EIO : receive(rtnetlink, &exchange);
    } while (dump && exchange.disturbed && ++tries < DUMP_TRIES);
    nlmsg_free(message);
    for (guint i = 0; each && status == 0 && i < messages->len; i++)
        each(messages->pdata[i], user);
    return status;
}
