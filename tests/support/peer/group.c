/* SPDX-License-Identifier: Apache-2.0 */
/* Many peers on one thread: one epoll for all sockets, one timerfd for the nearest moment of a heap
 * of peers, one set of buffers. A group can run its own loop or be a GLib source; both wait on the
 * same epoll descriptor, so that a peer is served within microseconds in either. */
#include "tests/support/peer/internal.h"

#include <errno.h>
#include <glib-unix.h>
#include <netinet/udp.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define EVENTS 64
#define RECEIVE_ROUNDS 8
#define GSO_MAX 64
#define TIMER_SLACK_US 100 /* due so soon: served in the same round */

socklen_t peer_address_length(const struct sockaddr_storage *address)
{
    return address->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

struct peer_group *peer_group_new(const struct peer_group_config *config)
{
    struct peer_group *group = g_new0(struct peer_group, 1);
    if (config)
        group->config = *config;
    group->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    group->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    group->armed_us = G_MAXINT64;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(group->epoll_fd, EPOLL_CTL_ADD, group->timer_fd, &event);
    group->identity = peer_identity_new();
    group->peers = g_ptr_array_new();
    group->dead = g_ptr_array_new();
    group->burst.data = g_malloc(BURST_PACKETS * PEER_PACKET_MAX);
    group->receive_size = group->config.gro ? 65536 : PEER_PACKET_MAX;
    group->receive_data = g_malloc(RECEIVE_BATCH * group->receive_size);
    for (guint i = 0; i < RECEIVE_BATCH; i++) {
        group->vectors[i].iov_base = group->receive_data + i * group->receive_size;
        group->vectors[i].iov_len = group->receive_size;
    }
    return group;
}

static void free_dead(struct peer_group *group)
{
    for (guint i = 0; i < group->dead->len; i++)
        peer_destroy(group->dead->pdata[i]);
    g_ptr_array_set_size(group->dead, 0);
}

void peer_group_free(struct peer_group *group)
{
    if (!group)
        return;
    while (group->peers->len)
        peer_free(group->peers->pdata[group->peers->len - 1]);
    free_dead(group);
    if (group->source) {
        g_source_destroy(group->source);
        g_source_unref(group->source);
    }
    close(group->timer_fd);
    close(group->epoll_fd);
    peer_identity_free(group->identity);
    g_ptr_array_unref(group->peers);
    g_ptr_array_unref(group->dead);
    g_free(group->heap);
    g_free(group->burst.data);
    g_free(group->receive_data);
    g_free(group);
}

bool peer_group_watch(struct peer_group *group, struct peer_watch *watch)
{
    int on = 1;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = watch};
    if (group->config.gro)
        setsockopt(watch->fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on);
    if (group->config.tos && watch->peer->local.ss_family == AF_INET)
        setsockopt(watch->fd, IPPROTO_IP, IP_RECVTOS, &on, sizeof on);
    else if (group->config.tos)
        setsockopt(watch->fd, IPPROTO_IPV6, IPV6_RECVTCLASS, &on, sizeof on);
    if (group->config.stamps)
        setsockopt(watch->fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
    return epoll_ctl(group->epoll_fd, EPOLL_CTL_ADD, watch->fd, &event) == 0;
}

/* --- heap ------------------------------------------------------------------------------------ */

static void heap_put(struct peer_group *group, guint i, struct peer *peer)
{
    group->heap[i] = peer;
    peer->heap_index = (int)i;
}

static void heap_up(struct peer_group *group, guint i)
{
    struct peer *peer = group->heap[i];
    while (i && group->heap[(i - 1) / 2]->due_us > peer->due_us) {
        heap_put(group, i, group->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    heap_put(group, i, peer);
}

static void heap_down(struct peer_group *group, guint i)
{
    struct peer *peer = group->heap[i];
    for (;;) {
        guint child = 2 * i + 1;
        if (child >= group->n_heap)
            break;
        if (child + 1 < group->n_heap &&
            group->heap[child + 1]->due_us < group->heap[child]->due_us)
            child++;
        if (group->heap[child]->due_us >= peer->due_us)
            break;
        heap_put(group, i, group->heap[child]);
        i = child;
    }
    heap_put(group, i, peer);
}

static void heap_remove(struct peer *peer)
{
    struct peer_group *group = peer->group;
    if (peer->heap_index < 0)
        return;
    guint i = (guint)peer->heap_index;
    struct peer *last = group->heap[--group->n_heap];
    peer->heap_index = -1;
    if (last == peer)
        return;
    heap_put(group, i, last);
    heap_up(group, i);
    heap_down(group, (guint)last->heap_index);
}

/* A timer that is early is left alone: most moments are put off before they come, and a round for
 * nothing now and then is cheaper than to set the timer each time. */
static void arm(struct peer_group *group)
{
    gint64 due = group->n_heap ? MAX(group->heap[0]->due_us, 1) : G_MAXINT64;
    if (due >= group->armed_us)
        return;
    group->armed_us = due;
    struct itimerspec when = {
        .it_value = {.tv_sec = due / G_USEC_PER_SEC, .tv_nsec = due % G_USEC_PER_SEC * 1000}};
    timerfd_settime(group->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

void peer_group_schedule(struct peer *peer, gint64 due_us)
{
    struct peer_group *group = peer->group;
    if (peer->dying)
        return;
    if (due_us == G_MAXINT64) {
        heap_remove(peer);
    } else if (peer->heap_index < 0) {
        if (group->n_heap == group->heap_size) {
            group->heap_size = MAX(64, group->heap_size * 2);
            group->heap = g_renew(struct peer *, group->heap, group->heap_size);
        }
        peer->due_us = due_us;
        heap_put(group, group->n_heap++, peer);
        heap_up(group, group->n_heap - 1);
    } else {
        peer->due_us = due_us;
        heap_up(group, (guint)peer->heap_index);
        heap_down(group, (guint)peer->heap_index);
    }
    if (!group->dispatching)
        arm(group);
}

void peer_group_bury(struct peer *peer)
{
    struct peer_group *group = peer->group;
    heap_remove(peer);
    peer->dying = true;
    g_ptr_array_remove_fast(group->peers, peer);
    g_ptr_array_add(group->dead, peer);
    if (!group->dispatching)
        free_dead(group);
}

/* --- sending --------------------------------------------------------------------------------- */

void peer_group_send(struct peer *peer, int fd, const struct sockaddr_storage *to, const void *data,
                     gsize length)
{
    if (sendto(fd, data, length, MSG_DONTWAIT, (const struct sockaddr *)to,
               peer_address_length(to)) < 0)
        peer->stats.send_failed++;
    else
        peer->stats.datagrams_out++;
}

/* The longest run from `first` that one UDP_SEGMENT call may carry: equal lengths, the last one may
 * be shorter. */
static guint run_length(const struct peer_burst *burst, guint first)
{
    guint n = 1;
    gsize octets = burst->lengths[first];
    while (first + n < burst->n && n < GSO_MAX &&
           burst->lengths[first + n] <= burst->lengths[first] &&
           octets + burst->lengths[first + n] < 65000) {
        octets += burst->lengths[first + n];
        if (burst->lengths[first + n++] < burst->lengths[first])
            break;
    }
    return n;
}

static bool send_run(struct peer *peer, const struct peer_burst *burst, guint first, guint n)
{
    guint last = first + n - 1;
    struct iovec vector = {.iov_base = burst->data + burst->offsets[first],
                           .iov_len =
                               burst->offsets[last] + burst->lengths[last] - burst->offsets[first]};
    union {
        struct cmsghdr header;
        guint8 room[CMSG_SPACE(sizeof(guint16))];
    } control = {0};
    struct msghdr message = {.msg_name = &peer->remote,
                             .msg_namelen = peer_address_length(&peer->remote),
                             .msg_iov = &vector,
                             .msg_iovlen = 1};
    if (n > 1) {
        message.msg_control = &control;
        message.msg_controllen = sizeof control.room;
        control.header.cmsg_level = IPPROTO_UDP;
        control.header.cmsg_type = UDP_SEGMENT;
        control.header.cmsg_len = CMSG_LEN(sizeof(guint16));
        memcpy(CMSG_DATA(&control.header), &burst->lengths[first], sizeof(guint16));
    }
    return sendmsg(peer->watch.fd, &message, MSG_DONTWAIT) >= 0;
}

static void flush_runs(struct peer *peer, const struct peer_burst *burst)
{
    for (guint i = 0; i < burst->n;) {
        guint n = run_length(burst, i);
        if (send_run(peer, burst, i, n))
            peer->stats.datagrams_out += n;
        else
            peer->stats.send_failed += n;
        i += n;
    }
}

static void flush_each(struct peer *peer, const struct peer_burst *burst)
{
    struct mmsghdr messages[BURST_PACKETS];
    struct iovec vectors[BURST_PACKETS];
    memset(messages, 0, burst->n * sizeof messages[0]);
    for (guint i = 0; i < burst->n; i++) {
        vectors[i].iov_base = burst->data + burst->offsets[i];
        vectors[i].iov_len = burst->lengths[i];
        messages[i].msg_hdr.msg_iov = &vectors[i];
        messages[i].msg_hdr.msg_iovlen = 1;
        messages[i].msg_hdr.msg_name = &peer->remote;
        messages[i].msg_hdr.msg_namelen = peer_address_length(&peer->remote);
    }
    for (guint i = 0; i < burst->n;) {
        int n = sendmmsg(peer->watch.fd, messages + i, burst->n - i, MSG_DONTWAIT);
        if (n <= 0) { /* the one at the head does not go: it is lost, as on a wire */
            peer->stats.send_failed++;
            n = 1;
        } else {
            peer->stats.datagrams_out += (guint)n;
        }
        i += (guint)n;
    }
}

void peer_group_flush(struct peer *peer)
{
    struct peer_burst *burst = &peer->group->burst;
    if (burst->n == 1)
        peer_group_send(peer, peer->watch.fd, &peer->remote, burst->data, burst->lengths[0]);
    else if (burst->n && peer->group->config.gso)
        flush_runs(peer, burst);
    else if (burst->n)
        flush_each(peer, burst);
    burst->n = 0;
    burst->used = 0;
}

/* --- receiving ------------------------------------------------------------------------------- */

static guint segment_size(struct msghdr *message, guint length)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        int size;
        if (c->cmsg_level != IPPROTO_UDP || c->cmsg_type != UDP_GRO)
            continue;
        memcpy(&size, CMSG_DATA(c), sizeof size);
        return size > 0 ? (guint)size : length;
    }
    return length;
}

static guint8 tos_of(struct msghdr *message)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        int class;
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS)
            return *CMSG_DATA(c);
        if (c->cmsg_level != IPPROTO_IPV6 || c->cmsg_type != IPV6_TCLASS)
            continue;
        memcpy(&class, CMSG_DATA(c), sizeof class);
        return (guint8) class;
    }
    return 0;
}

/* When the kernel received the datagram, on the monotonic clock; `ahead` is how far the clock of
 * its stamps is before that. */
static gint64 arrival_of(struct msghdr *message, gint64 now, gint64 ahead)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        struct timespec stamp;
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS)
            continue;
        memcpy(&stamp, CMSG_DATA(c), sizeof stamp);
        return MIN((gint64)stamp.tv_sec * G_USEC_PER_SEC + stamp.tv_nsec / 1000 - ahead, now);
    }
    return now;
}

static void deliver(struct peer_group *group, const struct peer_watch *watch, guint i, gint64 now)
{
    struct peer *peer = watch->peer;
    guint8 *data = group->vectors[i].iov_base;
    guint length = group->messages[i].msg_len;
    guint size = group->config.gro ? segment_size(&group->messages[i].msg_hdr, length) : length;
    if (group->config.tos)
        group->tos = tos_of(&group->messages[i].msg_hdr);
    for (guint at = 0; at < length && !peer->dying; at += size) {
        if (watch == &peer->stranger)
            peer->stats.stranger_in++;
        else
            peer_input(peer, now, &group->addresses[i], data + at, MIN(size, length - at));
    }
}

static void receive(struct peer_group *group, const struct peer_watch *watch)
{
    bool ancillary = group->config.gro || group->config.tos || group->config.stamps;
    for (guint round = 0; round < RECEIVE_ROUNDS && !watch->peer->dying; round++) {
        for (guint i = 0; i < RECEIVE_BATCH; i++)
            group->messages[i].msg_hdr = (struct msghdr){
                .msg_name = &group->addresses[i],
                .msg_namelen = sizeof group->addresses[i],
                .msg_iov = &group->vectors[i],
                .msg_iovlen = 1,
                .msg_control = ancillary ? group->controls[i] : NULL,
                .msg_controllen = ancillary ? sizeof group->controls[i] : 0,
            };
        int n = recvmmsg(watch->fd, group->messages, RECEIVE_BATCH, MSG_DONTWAIT, NULL);
        if (n <= 0)
            return;
        gint64 now = g_get_monotonic_time();
        gint64 ahead = group->config.stamps ? g_get_real_time() - now : 0;
        for (guint i = 0; i < (guint)n; i++)
            deliver(group, watch, i,
                    group->config.stamps ? arrival_of(&group->messages[i].msg_hdr, now, ahead)
                                         : now);
        if (n < RECEIVE_BATCH)
            return;
    }
}

/* --- loop ------------------------------------------------------------------------------------ */

static void run_due(struct peer_group *group)
{
    gint64 now = g_get_monotonic_time();
    for (guint served = 0; group->n_heap && served < 4096; served++) {
        struct peer *peer = group->heap[0];
        if (peer->due_us > now + TIMER_SLACK_US)
            break;
        /* one whose moment passed long ago gets the present, not the past */
        gint64 next = peer_tick(peer, MAX(now, peer->due_us));
        peer_group_schedule(peer, next);
    }
}

static void dispatch(struct peer_group *group, int timeout_ms)
{
    struct epoll_event events[EVENTS];
    arm(group);
    int n = epoll_wait(group->epoll_fd, events, EVENTS, timeout_ms);
    group->dispatching = true;
    for (int i = 0; i < n; i++) {
        struct peer_watch *watch = events[i].data.ptr;
        guint64 expired;
        if (watch)
            receive(group, watch);
        else if (read(group->timer_fd, &expired, sizeof expired) > 0)
            group->armed_us = G_MAXINT64;
    }
    run_due(group);
    group->dispatching = false;
    free_dead(group);
    arm(group);
}

bool peer_group_run(struct peer_group *group, gint64 deadline, bool (*done)(void *user), void *user)
{
    g_return_val_if_fail(!group->source, false);
    for (;;) {
        if (done && done(user))
            return true;
        gint64 left = deadline - g_get_monotonic_time();
        if (left <= 0)
            return false;
        dispatch(group, (int)MIN(left / 1000 + 1, done ? 50 : 1000));
    }
}

static gboolean on_ready(gint fd, GIOCondition condition, gpointer user)
{
    dispatch(user, 0);
    return G_SOURCE_CONTINUE;
}

void peer_group_attach(struct peer_group *group, GMainContext *context)
{
    g_return_if_fail(!group->source);
    group->source = g_unix_fd_source_new(group->epoll_fd, G_IO_IN);
    /* It never does: GLib would take the descriptor out of the poll and back for each dispatch, and
     * wake itself up by either. */
    g_source_set_can_recurse(group->source, TRUE);
    g_source_set_callback(group->source, G_SOURCE_FUNC(on_ready), group, NULL);
    g_source_attach(group->source, context);
}
