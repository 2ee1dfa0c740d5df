/* SPDX-License-Identifier: Apache-2.0 */
/* Templates are tried with gst-launch-1.0: the elements are the very same, only what is behind them
 * differs. A file is played at the pace at which it was captured, by a timer's descriptor that
 * takes the place of the media centre's; so holes, jitter and lateness are those of the real
 * network. */
#include "pipelines/wmcf-alone.h"

#include "base/problem.h"
#include "pipelines/packet-file.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define DATAGRAM_MAX 2048

struct wmcf_alone_source {
    GstElement *element; /* borrowed */
    int descriptor;      /* a timer, or a socket */
    struct packet_file *file;
    gint64 began, first_at; /* µs: when the first packet was given, and its time in the file */
    const guint8 *rtp;      /* the next of the file; NULL = not read yet */
    gsize length;
    gint64 at;
};

static int open_port(guint port, GError **error)
{
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons((guint16)port)};
    int off = 0, fd = socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) == 0 &&
        bind(fd, (struct sockaddr *)&any, sizeof any) == 0)
        return fd;
    problem_set(error, PROBLEM_RESOURCES_UNAVAILABLE, "UDP port %u cannot be had: %s", port,
                g_strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

struct wmcf_alone_source *
wmcf_alone_source_new(GstElement *element, const struct wmcf_alone_wanted *wanted, GError **error)
{
    struct wmcf_alone_source *source = g_new0(struct wmcf_alone_source, 1);
    source->element = element;
    source->descriptor = wanted->location
                             ? timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)
                             : open_port(wanted->port, error);
    if (wanted->location)
        source->file = packet_file_open(wanted->location, wanted->pt, wanted->ssrc, error);
    if (source->descriptor < 0 || (wanted->location && !source->file))
        g_clear_pointer(&source, wmcf_alone_source_free);
    return source;
}

void wmcf_alone_source_free(struct wmcf_alone_source *source)
{
    if (!source)
        return;
    if (source->descriptor >= 0)
        close(source->descriptor);
    packet_file_close(source->file);
    g_free(source);
}

static int descriptor(void *user, guint index)
{
    return ((struct wmcf_alone_source *)user)->descriptor;
}

/* Returns when to look again; 0 = the file has ended. */
static gint64 play(struct wmcf_alone_source *source, const struct wmcf_src_sink *sink, void *to,
                   guint *n)
{
    gint64 now = g_get_monotonic_time();
    for (;;) {
        if (!source->rtp &&
            !packet_file_next(source->file, &source->rtp, &source->length, &source->at))
            return 0;
        if (!source->began) {
            source->began = now;
            source->first_at = source->at;
        }
        gint64 due = source->began + source->at - source->first_at;
        if (due > now)
            return due;
        struct wmcf_src_packet packet = {
            .data = source->rtp, .length = source->length, .arrival = due};
        sink->packet(to, &packet);
        source->rtp = NULL;
        ++*n;
    }
}

static guint read_file(struct wmcf_alone_source *source, const struct wmcf_src_sink *sink, void *to)
{
    guint64 count;
    guint n = 0;
    if (read(source->descriptor, &count, sizeof count) < 0)
        count = 0; /* it was not the timer */
    gint64 due = play(source, sink, to, &n);
    if (n)
        return n;
    struct itimerspec timer = {
        .it_value = {.tv_sec = due / G_USEC_PER_SEC, .tv_nsec = due % G_USEC_PER_SEC * 1000}};
    if (due)
        timerfd_settime(source->descriptor, TFD_TIMER_ABSTIME, &timer, NULL);
    else
        wmcf_src_end(source->element);
    return 0;
}

static guint read_some(void *user, guint index, const struct wmcf_src_sink *sink, void *to)
{
    struct wmcf_alone_source *source = user;
    guint8 datagram[DATAGRAM_MAX];
    if (source->file)
        return read_file(source, sink, to);
    guint n = 0;
    ssize_t length;
    while ((length = recv(source->descriptor, datagram, sizeof datagram, 0)) >= 0) {
        bool rtcp = length >= 2 && datagram[1] >= 192 && datagram[1] <= 223; /* RFC 5761 4 */
        struct wmcf_src_packet packet = {
            .data = datagram, .length = (gsize)length, .arrival = g_get_monotonic_time()};
        if (!rtcp)
            sink->packet(to, &packet);
        n++;
    }
    return n;
}

/* Nobody is there to be asked; a capture has the key frames that it has. */
static void key_frame(void *user, guint index)
{
}

const struct wmcf_src_ops wmcf_alone_ops = {
    .descriptor = descriptor, .read = read_some, .key_frame = key_frame};

/* --- sending ---------------------------------------------------------------------------------- */

struct wmcf_alone_sender {
    int fd;
};

struct wmcf_alone_sender *wmcf_alone_sender_new(const char *host, guint port, GError **error)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((guint16)port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((guint16)port)};
    const struct sockaddr *to = NULL;
    socklen_t length = 0;
    if (inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
        to = (const struct sockaddr *)&v4;
        length = sizeof v4;
    } else if (inet_pton(AF_INET6, host, &v6.sin6_addr) == 1) {
        to = (const struct sockaddr *)&v6;
        length = sizeof v6;
    }
    if (!to || !port) {
        problem_set(error, PROBLEM_INVALID_MESSAGE,
                    "host=%s port=%u is no numeric address with a port", host, port);
        return NULL;
    }
    int fd = socket(to->sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, to, length) < 0) {
        problem_set(error, PROBLEM_RESOURCES_UNAVAILABLE, "nothing can be sent to %s: %s", host,
                    g_strerror(errno));
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    struct wmcf_alone_sender *sender = g_new0(struct wmcf_alone_sender, 1);
    sender->fd = fd;
    return sender;
}

void wmcf_alone_send(struct wmcf_alone_sender *sender, const guint8 *rtp, gsize length)
{
    if (send(sender->fd, rtp, length, 0) < 0 && errno == ECONNREFUSED)
        (void)!send(sender->fd, rtp, length, 0); /* that was told of the one before */
}

void wmcf_alone_sender_free(struct wmcf_alone_sender *sender)
{
    if (!sender)
        return;
    close(sender->fd);
    g_free(sender);
}
