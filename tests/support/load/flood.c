/* SPDX-License-Identifier: Apache-2.0 */
/* Mode `flood`: datagrams of random length and content to a media port, half of them with a first
 * octet (and a STUN cookie or an RTP version) that gets them past the first look, paced, so that
 * what is tested is the parsing and not the socket buffer. */
#include "base/loop.h"
#include "tests/support/load/load.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TICK_MS 10
#define SOCKETS 16

struct flood {
    struct load_run *run;
    struct loop_timer *timer;
    int fds[SOCKETS];
    gint64 begun_us;
    guint sent, failed;
};

static gsize fill(guint8 *data, gsize size)
{
    gsize length = (gsize)g_random_int_range(0, (gint32)size);
    for (gsize i = 0; i < length; i++)
        data[i] = (guint8)g_random_int();
    if (length < 20)
        return length;
    switch (g_random_int_range(0, 6)) {
    case 0: { /* a STUN Binding request that nobody signed */
        static const guint8 head[] = {0x00, 0x01, 0x00, 0x00, 0x21, 0x12, 0xa4, 0x42};
        memcpy(data, head, sizeof head);
        length &= ~(gsize)3;
        data[2] = (guint8)((length - 20) >> 8);
        data[3] = (guint8)(length - 20);
        break;
    }
    case 1: /* a DTLS handshake record */
        data[0] = 22;
        data[1] = 0xfe;
        data[2] = 0xfd;
        break;
    case 2: /* RTP or RTCP */
        data[0] = (guint8)(0x80 | (data[0] & 0x3f));
        break;
    default:
        break;
    }
    return length;
}

static void on_tick(void *data)
{
    struct flood *flood = data;
    const struct load_options *options = flood->run->options;
    guint8 datagram[1500];
    gint64 elapsed = g_get_monotonic_time() - flood->begun_us;
    guint due = (guint)MIN(elapsed * options->rate / G_USEC_PER_SEC, options->count);
    for (; flood->sent < due; flood->sent++) {
        gsize length = fill(datagram, sizeof datagram);
        if (send(flood->fds[flood->sent % SOCKETS], datagram, length, MSG_DONTWAIT) < 0)
            flood->failed++;
    }
    if (flood->sent < (guint)options->count)
        return;
    loop_timer_stop(flood->timer);
    json_object_set_new(flood->run->report, "sent", json_integer(flood->sent));
    json_object_set_new(flood->run->report, "send_failed", json_integer(flood->failed));
    loop_quit();
}

static void clean(void *user)
{
    struct flood *flood = user;
    loop_timer_free(flood->timer);
    for (guint i = 0; i < SOCKETS; i++)
        close(flood->fds[i]);
    g_free(flood);
}

void load_flood_start(struct load_run *run)
{
    const char *colon = run->options->to ? strrchr(run->options->to, ':') : NULL;
    g_autofree char *host =
        colon ? g_strndup(run->options->to, (gsize)(colon - run->options->to)) : NULL;
    struct sockaddr_in to = {.sin_family = AF_INET};
    if (!host || inet_pton(AF_INET, host, &to.sin_addr) != 1) {
        load_fail(run, "say --to address:port");
        return;
    }
    to.sin_port = htons((guint16)atoi(colon + 1));
    struct flood *flood = g_new0(struct flood, 1);
    run->clean = clean;
    run->clean_user = flood;
    for (guint i = 0; i < SOCKETS; i++) {
        flood->fds[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        connect(flood->fds[i], (struct sockaddr *)&to, sizeof to);
    }
    flood->run = run;
    flood->begun_us = g_get_monotonic_time();
    flood->timer = loop_timer_new("flood", on_tick, flood);
    loop_timer_start_repeating(flood->timer, TICK_MS);
}
