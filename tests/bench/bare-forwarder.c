/* SPDX-License-Identifier: Apache-2.0 */
/* The bare forwarder: the least that forwarding SRTP can cost on a machine, as the measure for
 * wmcf. One thread blocks in recvmmsg; each packet is authenticated and decrypted once, copied,
 * encrypted and signed per subscriber with EVP contexts that are kept; equal lengths to one
 * destination form a UDP_SEGMENT run and all runs of a batch leave in one sendmmsg. No ICE, no
 * DTLS, no RTCP, no retransmission, no rewriting. Endpoints register themselves by one datagram
 * (static-keys.h). */
#include "tests/bench/static-keys.h"
#include "tests/support/peer/srtp-evp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH 64
#define PACKET 2048
#define RUNS BATCH /* of one endpoint and batch */
#define RUN_SEGMENTS 64
#define MESSAGES 1024
#define TABLE 16384

struct run {
    gsize offset;
    guint length, segments;
    guint16 size; /* of its first packet */
    bool ended;
};

struct endpoint {
    bool used, receives;
    guint16 context;
    struct sockaddr_in address;
    struct srtp_evp *in, *out;
    guint8 *data; /* packets of this batch, back to back */
    gsize used_octets;
    struct run runs[RUNS];
    guint n_runs;
};

struct context {
    guint16 *endpoints;
    guint n;
};

struct forwarder {
    int fd;
    struct endpoint *endpoints;
    struct context contexts[BARE_ENDPOINTS];
    guint16 table[TABLE]; /* endpoint + 1 by address */
    guint16 touched[BARE_ENDPOINTS];
    guint n_touched;
    struct mmsghdr messages[MESSAGES];
    struct iovec vectors[MESSAGES];
    union {
        struct cmsghdr header;
        guint8 room[CMSG_SPACE(sizeof(guint16))];
    } controls[MESSAGES];
    guint n_messages;
};

/* --- endpoints ------------------------------------------------------------------------------- */

static guint slot_of(const struct forwarder *f, const struct sockaddr_in *address)
{
    guint32 key = address->sin_addr.s_addr ^ (guint32)address->sin_port << 16;
    guint i = (key * 2654435761u) >> 18;
    for (;; i = (i + 1) % TABLE) {
        if (!f->table[i])
            return i;
        const struct endpoint *e = &f->endpoints[f->table[i] - 1];
        if (e->address.sin_port == address->sin_port &&
            e->address.sin_addr.s_addr == address->sin_addr.s_addr)
            return i;
    }
}

static void endpoint_register(struct forwarder *f, const struct sockaddr_in *from,
                              const struct bare_registration *r)
{
    guint8 key[PEER_SRTP_MASTER_MAX];
    enum peer_srtp_profile profile = r->srtp_profile;
    struct endpoint *e;
    if (r->endpoint >= BARE_ENDPOINTS || r->context >= BARE_ENDPOINTS ||
        !peer_srtp_profile_find(profile, NULL))
        return;
    e = &f->endpoints[r->endpoint];
    if (e->used) /* a repetition; a reused number keeps its address of before */
        return;
    e->used = true;
    e->receives = r->receives;
    e->context = r->context;
    e->address = *from;
    bare_key(r->endpoint, 0, key);
    e->in = srtp_evp_new(profile, key);
    bare_key(r->endpoint, 1, key);
    e->out = srtp_evp_new(profile, key);
    e->data = g_malloc(BATCH * PACKET);
    f->table[slot_of(f, from)] = r->endpoint + 1;
    struct context *c = &f->contexts[r->context];
    c->endpoints = g_renew(guint16, c->endpoints, c->n + 1);
    c->endpoints[c->n++] = r->endpoint;
}

/* --- sending --------------------------------------------------------------------------------- */

static void send_messages(struct forwarder *f)
{
    for (guint i = 0; i < f->n_messages;) {
        int n = sendmmsg(f->fd, f->messages + i, f->n_messages - i, 0);
        i += n > 0 ? (guint)n : 1; /* one that does not go is lost */
    }
    f->n_messages = 0;
}

static void queue_run(struct forwarder *f, struct endpoint *e, const struct run *run)
{
    guint i = f->n_messages++;
    f->vectors[i] = (struct iovec){e->data + run->offset, run->length};
    f->messages[i].msg_hdr = (struct msghdr){.msg_name = &e->address,
                                             .msg_namelen = sizeof e->address,
                                             .msg_iov = &f->vectors[i],
                                             .msg_iovlen = 1};
    if (run->segments > 1) {
        f->controls[i].header.cmsg_level = IPPROTO_UDP;
        f->controls[i].header.cmsg_type = UDP_SEGMENT;
        f->controls[i].header.cmsg_len = CMSG_LEN(sizeof(guint16));
        memcpy(CMSG_DATA(&f->controls[i].header), &run->size, sizeof(guint16));
        f->messages[i].msg_hdr.msg_control = &f->controls[i];
        f->messages[i].msg_hdr.msg_controllen = sizeof f->controls[i].room;
    }
    if (f->n_messages == MESSAGES)
        send_messages(f);
}

static void flush(struct forwarder *f)
{
    for (guint i = 0; i < f->n_touched; i++) {
        struct endpoint *e = &f->endpoints[f->touched[i]];
        for (guint r = 0; r < e->n_runs; r++)
            queue_run(f, e, &e->runs[r]);
    }
    send_messages(f);
    for (guint i = 0; i < f->n_touched; i++) {
        struct endpoint *e = &f->endpoints[f->touched[i]];
        e->n_runs = 0;
        e->used_octets = 0;
    }
    f->n_touched = 0;
}

static void append(struct forwarder *f, guint16 number, const guint8 *packet, gsize length)
{
    struct endpoint *e = &f->endpoints[number];
    if (!e->n_runs)
        f->touched[f->n_touched++] = number;
    guint8 *out = e->data + e->used_octets;
    memcpy(out, packet, length);
    length = srtp_evp_protect(e->out, out, length);
    struct run *run = e->n_runs ? &e->runs[e->n_runs - 1] : NULL;
    if (run && !run->ended && length <= run->size && run->segments < RUN_SEGMENTS &&
        run->length + length < 65000) {
        run->ended = length < run->size;
        run->length += (guint)length;
        run->segments++;
    } else {
        e->runs[e->n_runs++] = (struct run){e->used_octets, (guint)length, 1, (guint16)length};
    }
    e->used_octets += length;
}

static void forward(struct forwarder *f, const struct sockaddr_in *from, guint8 *packet,
                    gsize length)
{
    guint16 entry = f->table[slot_of(f, from)];
    if (!entry || packet[0] >> 6 != 2 || (packet[1] >= 192 && packet[1] <= 223))
        return;
    const struct endpoint *source = &f->endpoints[entry - 1];
    length = srtp_evp_unprotect(source->in, packet, length);
    if (!length)
        return;
    const struct context *c = &f->contexts[source->context];
    for (guint i = 0; i < c->n; i++)
        if (c->endpoints[i] != entry - 1 && f->endpoints[c->endpoints[i]].receives)
            append(f, c->endpoints[i], packet, length);
}

/* --- loop ------------------------------------------------------------------------------------ */

static void run(struct forwarder *f)
{
    static guint8 packets[BATCH][PACKET];
    static struct sockaddr_in addresses[BATCH];
    struct mmsghdr in[BATCH];
    struct iovec vectors[BATCH];
    for (;;) {
        for (guint i = 0; i < BATCH; i++) {
            vectors[i] = (struct iovec){packets[i], PACKET};
            in[i].msg_hdr = (struct msghdr){.msg_name = &addresses[i],
                                            .msg_namelen = sizeof addresses[i],
                                            .msg_iov = &vectors[i],
                                            .msg_iovlen = 1};
        }
        int n = recvmmsg(f->fd, in, BATCH, MSG_WAITFORONE, NULL);
        if (n < 0 && errno != EINTR)
            return;
        for (int i = 0; i < n; i++) {
            if (in[i].msg_len == sizeof(struct bare_registration) &&
                !memcmp(packets[i], BARE_MAGIC, 4))
                endpoint_register(f, &addresses[i], (const void *)packets[i]);
            else if (in[i].msg_len > 12)
                forward(f, &addresses[i], packets[i], in[i].msg_len);
        }
        flush(f);
    }
}

/* The port is printed as the first line; it ends by SIGTERM. */
int main(void)
{
    struct forwarder *f = g_new0(struct forwarder, 1);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int size = 4 * 1024 * 1024;
    f->endpoints = g_new0(struct endpoint, BARE_ENDPOINTS);
    f->fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (setsockopt(f->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0)
        setsockopt(f->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (setsockopt(f->fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0)
        setsockopt(f->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    if (bind(f->fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        getsockname(f->fd, (struct sockaddr *)&address, &length) < 0) {
        perror("bare-forwarder");
        return 1;
    }
    printf("%u\n", ntohs(address.sin_port));
    fflush(stdout);
    run(f);
    return 1;
}
