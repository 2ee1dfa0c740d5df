/* SPDX-License-Identifier: Apache-2.0 */
/* Owns what comes before a connection: accepting, the limits per source address and in total, and
 * the choice of the stack by the first octets. Sockets are accepted here, so a flood is turned away
 * before TLS or a header costs anything; one that says nothing costs a descriptor until its time is
 * over. */
#define LOG_CATEGORY "link"
#include "wsf-link/ws-server.h"

#include "base/log.h"
#include "wsf-link/h2-server.h"
#include "wsf-link/ws-address.h"
#include "wsf-link/ws-peek.h"

#include <errno.h>
#include <glib-unix.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define ACCEPTS_PER_ROUND 32
#define HTTP_RESERVE 64 /* connections above the limit that still get a 503 instead of a reset */

/* A socket that has not said yet what it speaks. */
struct newcomer {
    struct ws_account account;
    int fd;
    struct ws_watch *watch;
    struct loop_timer *deadline;
    gint64 ends_at; /* of the deadline */
};

/* --- newcomers ----------------------------------------------------------------------------------
 */

void ws_newcomer_free(gpointer data)
{
    struct newcomer *newcomer = data;
    ws_watch_free(newcomer->watch);
    loop_timer_free(newcomer->deadline);
    ws_account_close(&newcomer->account);
    if (newcomer->fd >= 0)
        close(newcomer->fd);
    g_free(newcomer);
}

static void leave(struct newcomer *newcomer)
{
    g_hash_table_remove(newcomer->account.listener->newcomers, newcomer);
}

static void on_deadline(void *data)
{
    struct newcomer *newcomer = data;
    struct log_ids ids = {.link = newcomer->account.peer};
    log_debug(&ids, "nothing said in time, closed");
    leave(newcomer);
}

static void hand_over(struct newcomer *newcomer, bool http2)
{
    struct link_listener *listener = newcomer->account.listener;
    struct rate_address *address = newcomer->account.address;
    char peer[sizeof newcomer->account.peer];
    g_strlcpy(peer, newcomer->account.peer, sizeof peer);
    int fd = newcomer->fd;
    gint64 left = (newcomer->ends_at - g_get_monotonic_time()) / 1000;
    guint left_ms = (guint)MAX(left, 1);
    newcomer->fd = -1;
    /* Before it is closed, so that nobody else has the number meanwhile. */
    leave(newcomer);
    if (http2)
        h2_server_take(listener, address, peer, fd, left_ms);
    else
        ws_server_take(listener, address, peer, fd, left_ms);
}

static void on_first_octets(void *data, guint events)
{
    struct newcomer *newcomer = data;
    guint8 buffer[WS_PEEK_OCTETS];
    gssize got = recv(newcomer->fd, buffer, sizeof buffer, MSG_PEEK | MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        leave(newcomer);
        return;
    }
    enum ws_peek peek = newcomer->account.listener->tls ? ws_peek_tls(buffer, (gsize)got)
                                                        : ws_peek_clear(buffer, (gsize)got);
    if (peek != WS_PEEK_MORE || events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        hand_over(newcomer, peek == WS_PEEK_HTTP2);
}

static void welcome(struct link_listener *listener, struct rate_address *address, const char *peer,
                    int fd)
{
    struct newcomer *newcomer = g_new0(struct newcomer, 1);
    ws_account_open(&newcomer->account, listener, address, peer);
    newcomer->fd = fd;
    newcomer->deadline = loop_timer_new("handshake deadline", on_deadline, newcomer);
    newcomer->ends_at = g_get_monotonic_time() + (gint64)listener->handshake_ms * 1000;
    loop_timer_start(newcomer->deadline, listener->handshake_ms);
    g_hash_table_add(listener->newcomers, newcomer);
    /* By edges: what is not enough to tell stays unread. */
    newcomer->watch = ws_watch_new(listener->service->poll, fd, EPOLLIN | EPOLLRDHUP | EPOLLET,
                                   on_first_octets, newcomer);
}

/* --- accepting ----------------------------------------------------------------------------------
 */

/* Why a new connection is turned away, or NULL. */
static const char *refusal(struct link_listener *listener, struct rate_address *address, gint64 now)
{
    guint rate = listener->connect_rate_per_address;
    if (listener->connections >= listener->connections_max + HTTP_RESERVE)
        return "too many connections";
    if (address->connections >= listener->connections_per_address)
        return "too many connections from this address";
    if (!rate_take(&address->connects, rate, 2 * rate, now))
        return "connecting too fast";
    return NULL;
}

static void take(struct link_listener *listener, int fd, const struct sockaddr_storage *from)
{
    char peer[INET6_ADDRSTRLEN];
    ws_address_text(from, peer, sizeof peer);
    gint64 now = g_get_monotonic_time();
    struct rate_address *address = rate_table_find(listener->addresses, peer, now);
    const char *why = refusal(listener, address, now);
    if (why) {
        struct log_ids ids = {.link = peer};
        log_debug(&ids, "connection refused: %s", why);
        ws_count_refused();
        close(fd);
        return;
    }
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    welcome(listener, address, peer, fd);
}

static gboolean on_listen_ready(gint fd, GIOCondition condition, gpointer data)
{
    struct link_listener *listener = data;
    loop_mark("accept");
    for (guint i = 0; i < ACCEPTS_PER_ROUND; i++) {
        struct sockaddr_storage from = {0};
        socklen_t length = sizeof from;
        int peer = accept4(fd, (struct sockaddr *)&from, &length, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (peer >= 0) {
            take(listener, peer, &from);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            /* The backlog stays readable; without a pause we would spin on it. */
            listener->accept_source = 0;
            loop_timer_start(listener->accept_again, 200);
            return G_SOURCE_REMOVE;
        }
        if (errno != EINTR && errno != ECONNABORTED)
            break;
    }
    return G_SOURCE_CONTINUE;
}

void ws_listener_accept(void *data)
{
    struct link_listener *listener = data;
    if (listener->fd >= 0 && !listener->accept_source)
        listener->accept_source = g_unix_fd_add(listener->fd, G_IO_IN, on_listen_ready, listener);
}
