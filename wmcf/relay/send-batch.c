/* SPDX-License-Identifier: Apache-2.0 */
/* Because the router works subscriber by subscriber, a burst to one destination lies in one piece
 * in the arena and a run is one iovec. The kernel then walks its stack once per run instead of once
 * per packet, which is most of the cost of sending. Where the device or the path refuses
 * segmentation, the run goes out packet by packet and the destination is remembered
 * (unsegmented.h). Nothing is kept for later: what the kernel cannot take now is dropped and
 * counted, as a router would.
 *
 * The DSCP is the socket's, changed between the runs of one and those of another, which are put
 * together before: a control message for each run besides that of its segmentation costs 0.2 µs,
 * since two are more than the kernel takes without an allocation. */
#include "wmcf/relay/send-batch.h"

#include "wmcf/relay/unsegmented.h"

#include <errno.h>
#include <netinet/udp.h>
#include <string.h>

#define ARENA_OCTETS (256u * 1024u)
#define RUNS_MAX 256
#define RUN_OCTETS_MAX 65000 /* one UDP datagram before segmentation */

struct segment_control {
    _Alignas(struct cmsghdr) uint8_t space[CMSG_SPACE(sizeof(uint16_t))];
};

struct plain { /* one sendmmsg() full */
    unsigned n;
    struct send_run *owners[RUNS_MAX];
    struct mmsghdr messages[RUNS_MAX];
    struct iovec vectors[RUNS_MAX];
};

struct send_batch {
    struct media_socket *socket;
    struct send_totals totals;
    uint32_t used; /* octets of the arena */
    unsigned n;
    bool mixed; /* runs of more than one DSCP */
    struct unsegmented unsegmented;
    struct send_run runs[RUNS_MAX];
    struct mmsghdr messages[RUNS_MAX];
    struct iovec vectors[RUNS_MAX];
    struct segment_control controls[RUNS_MAX];
    uint8_t arena[ARENA_OCTETS];
    /* Room that is seldom used. Here and not in thread-local storage, of which every thread of the
     * process would get its own: there is one per leg. */
    struct plain plain;
    struct send_run sorted[RUNS_MAX];
};

/* What the packets are to carry: 0 where nothing is to be written. */
static int dscp_of(const struct send_run *run)
{
    return run->dscp < 0 ? 0 : run->dscp & (int)QOS_MARK_DSCP;
}

struct send_batch *send_batch_new(struct media_socket *socket)
{
    struct send_batch *batch = g_new0(struct send_batch, 1);
    batch->socket = socket;
    return batch;
}

void send_batch_free(struct send_batch *batch)
{
    g_free(batch);
}

struct send_totals *send_batch_totals(struct send_batch *batch)
{
    return &batch->totals;
}

const struct send_run *send_batch_runs(const struct send_batch *batch, unsigned *ret_n)
{
    *ret_n = batch->n;
    return batch->runs;
}

uint8_t *send_batch_reserve(struct send_batch *batch)
{
    if (batch->used + SEND_PACKET_MAX > ARENA_OCTETS || batch->n == RUNS_MAX)
        send_batch_flush(batch);
    return batch->arena + batch->used;
}

static bool joins(const struct send_run *run, const union socket_address *to, size_t length)
{
    return !run->closed && run->segments < SEND_RUN_SEGMENTS && length <= run->segment &&
           run->length + length <= RUN_OCTETS_MAX && socket_address_equal(&run->to, to);
}

void send_batch_commit(struct send_batch *batch, const union socket_address *to, size_t length,
                       uint64_t *failed)
{
    send_batch_commit_media(batch, to, length, failed, NULL, -1);
}

void send_batch_commit_media(struct send_batch *batch, const union socket_address *to,
                             size_t length, uint64_t *failed, struct qos_slot *slot, int dscp)
{
    struct send_run *last = batch->n ? &batch->runs[batch->n - 1] : NULL;
    if (last && last->failed == failed && last->slot == slot && last->dscp == dscp &&
        joins(last, to, length)) {
        last->length += (uint32_t)length;
        last->segments++;
        last->closed = length < last->segment;
    } else {
        batch->runs[batch->n++] = (struct send_run){.to = *to,
                                                    .data = batch->arena + batch->used,
                                                    .length = (uint32_t)length,
                                                    .segment = (uint16_t)length,
                                                    .segments = 1,
                                                    .dscp = (int8_t)dscp,
                                                    .slot = slot,
                                                    .failed = failed};
        batch->mixed |= dscp_of(&batch->runs[batch->n - 1]) != dscp_of(&batch->runs[0]);
    }
    batch->used += (uint32_t)length;
}

static void count_dropped(struct send_batch *batch, const struct send_run *run, unsigned packets)
{
    batch->totals.dropped += packets;
    if (run->failed)
        *run->failed += packets;
}

static void count_marked(const struct send_batch *batch, const struct send_run *run,
                         unsigned packets)
{
    if (run->slot && run->dscp >= 0 && !(run->dscp & SEND_DSCP_SEEN) &&
        batch->socket->dscp == dscp_of(run))
        qos_count(&run->slot->marked, packets);
}

static void count_sent(struct send_batch *batch, const struct send_run *run)
{
    batch->totals.runs++;
    batch->totals.packets += run->segments;
    batch->totals.octets += run->length;
    count_marked(batch, run, run->segments);
}

/* --- packet by packet ------------------------------------------------------------------------- */

/* Returns how many the kernel took. */
static unsigned send_plain_chunk(struct send_batch *batch, struct plain *plain)
{
    unsigned sent = 0;
    for (unsigned i = 0; i < plain->n;) {
        int result = sendmmsg(batch->socket->fd, plain->messages + i, plain->n - i, MSG_DONTWAIT);
        batch->totals.calls++;
        bool full = result <= 0 && errno == EAGAIN;
        for (; result > 0; result--, sent++) {
            count_marked(batch, plain->owners[i], 1);
            batch->totals.octets += plain->vectors[i++].iov_len;
        }
        if (i == plain->n)
            break;
        do /* the one that was refused, or all when the socket's buffer is full */
            count_dropped(batch, plain->owners[i++], 1);
        while (full && i < plain->n);
    }
    batch->totals.packets += sent;
    batch->totals.runs += sent;
    plain->n = 0;
    return sent;
}

static void add_plain(struct send_batch *batch, struct plain *plain, struct send_run *run,
                      unsigned *sent)
{
    for (uint32_t at = 0; at < run->length; at += run->segment) {
        if (plain->n == RUNS_MAX)
            *sent += send_plain_chunk(batch, plain);
        plain->owners[plain->n] = run;
        plain->vectors[plain->n] = (struct iovec){.iov_base = run->data + at,
                                                  .iov_len = MIN(run->segment, run->length - at)};
        plain->messages[plain->n].msg_hdr =
            (struct msghdr){.msg_iov = &plain->vectors[plain->n], .msg_iovlen = 1};
        if (!batch->socket->tunnel) {
            plain->messages[plain->n].msg_hdr.msg_name = &run->to;
            plain->messages[plain->n].msg_hdr.msg_namelen = socket_address_length(&run->to);
        }
        plain->n++;
    }
}

/* The n runs that `which` names. Returns how many packets went. */
static unsigned send_plain(struct send_batch *batch, const uint16_t *which, unsigned n)
{
    struct plain *plain = &batch->plain;
    unsigned sent = 0;
    for (unsigned i = 0; i < n; i++)
        add_plain(batch, plain, &batch->runs[which[i]], &sent);
    return n ? sent + send_plain_chunk(batch, plain) : 0;
}

/* --- in runs ---------------------------------------------------------------------------------- */

static void prepare(struct send_batch *batch, unsigned message, struct send_run *run)
{
    struct msghdr *header = &batch->messages[message].msg_hdr;
    batch->vectors[message] = (struct iovec){.iov_base = run->data, .iov_len = run->length};
    *header = (struct msghdr){.msg_name = &run->to,
                              .msg_namelen = socket_address_length(&run->to),
                              .msg_iov = &batch->vectors[message],
                              .msg_iovlen = 1};
    if (run->segments == 1)
        return;
    header->msg_control = batch->controls[message].space;
    header->msg_controllen = sizeof batch->controls[message].space;
    struct cmsghdr *control = CMSG_FIRSTHDR(header);
    control->cmsg_level = IPPROTO_UDP;
    control->cmsg_type = UDP_SEGMENT;
    control->cmsg_len = CMSG_LEN(sizeof run->segment);
    memcpy(CMSG_DATA(control), &run->segment, sizeof run->segment);
}

/* EIO: no checksum offload on the device, or IPsec; EINVAL, EMSGSIZE: a segment larger than the
 * path's MTU, which fragments well when sent by itself. */
static bool refuses_runs(int reason)
{
    return reason == EIO || reason == EINVAL || reason == EMSGSIZE;
}

/* The kernel refused the first of the n runs `which` with `reason`. Returns how many of them are
 * dealt with. */
static unsigned refused(struct send_batch *batch, const uint16_t *which, unsigned n, int reason)
{
    struct send_run *run = &batch->runs[which[0]];
    if (reason == EAGAIN) { /* the socket's buffer is full: so it is for the rest */
        for (unsigned i = 0; i < n; i++)
            count_dropped(batch, &batch->runs[which[i]], batch->runs[which[i]].segments);
        return n;
    }
    if (run->segments > 1 && refuses_runs(reason)) {
        batch->totals.segmentation_fallbacks++;
        if (send_plain(batch, which, 1))
            unsegmented_add(&batch->unsegmented, &run->to, g_get_monotonic_time());
        return 1;
    }
    count_dropped(batch, run, run->segments); /* ENOBUFS, EPERM: dropped by policy */
    return 1;
}

/* Those to a destination that refuses runs go after the others: everything to one destination goes
 * one way, so its order stays. */
static void send_runs(struct send_batch *batch, unsigned first, unsigned end)
{
    uint16_t runs[RUNS_MAX], plain[RUNS_MAX];
    unsigned n = 0, n_plain = 0;
    int64_t now = unsegmented_any(&batch->unsegmented) ? g_get_monotonic_time() : 0;
    if (now)
        unsegmented_expire(&batch->unsegmented, now);
    for (unsigned i = first; i < end; i++) {
        struct send_run *run = &batch->runs[i];
        if (G_UNLIKELY(!batch->socket->segmentation) ||
            (G_UNLIKELY(now) && unsegmented_has(&batch->unsegmented, &run->to, now))) {
            plain[n_plain++] = (uint16_t)i;
            continue;
        }
        prepare(batch, n, run);
        runs[n++] = (uint16_t)i;
    }
    for (unsigned i = 0; i < n;) {
        int sent = sendmmsg(batch->socket->fd, batch->messages + i, n - i, MSG_DONTWAIT);
        batch->totals.calls++;
        if (sent <= 0)
            i += refused(batch, runs + i, n - i, errno);
        for (; sent > 0; sent--)
            count_sent(batch, &batch->runs[runs[i++]]);
    }
    send_plain(batch, plain, n_plain);
}

/* --- by DSCP ---------------------------------------------------------------------------------- */

/* Puts runs of one DSCP together. Those of one medium have one, so their order stays. */
static void sort_runs(struct send_batch *batch)
{
    struct send_run *sorted = batch->sorted;
    uint64_t done = 0;
    unsigned n = 0;
    for (unsigned first = 0; first < batch->n; first++) {
        int dscp = dscp_of(&batch->runs[first]);
        if (done >> dscp & 1)
            continue;
        done |= UINT64_C(1) << dscp;
        for (unsigned i = first; i < batch->n; i++) {
            if (dscp_of(&batch->runs[i]) == dscp)
                sorted[n++] = batch->runs[i];
        }
    }
    memcpy(batch->runs, sorted, n * sizeof sorted[0]);
}

/* When it is refused, the packets go as they are and do not count as marked. */
static void set_dscp(struct media_socket *socket, int dscp)
{
    bool v6 = socket->local.any.sa_family == AF_INET6;
    int octet = dscp << 2; /* RFC 2474 3; the ECN bits stay 0: not ECN-capable (RFC 3168 5) */
    if (socket->dscp != dscp && !socket->tunnel &&
        setsockopt(socket->fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_TCLASS : IP_TOS, &octet,
                   sizeof octet) == 0)
        socket->dscp = (uint8_t)dscp;
}

void send_batch_flush(struct send_batch *batch)
{
    if (batch->mixed)
        sort_runs(batch);
    for (unsigned first = 0, end; first < batch->n; first = end) {
        int dscp = dscp_of(&batch->runs[first]);
        end = batch->mixed ? first + 1 : batch->n;
        while (end < batch->n && dscp_of(&batch->runs[end]) == dscp)
            end++;
        set_dscp(batch->socket, dscp);
        send_runs(batch, first, end);
    }
    batch->n = 0;
    batch->used = 0;
    batch->mixed = false;
}
