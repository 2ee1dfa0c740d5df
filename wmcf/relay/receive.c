/* SPDX-License-Identifier: Apache-2.0 */
/* From the socket to the leg: one recvmmsg(), each datagram (or each segment of one that the kernel
 * has joined, UDP_GRO) sorted by its first octet. The buffers are 64 KiB apart plus an odd number
 * of cache lines, or the beginnings of all of them would share the same few cache sets. */
#include "wmcf/relay/demux.h"
#include "wmcf/relay/worker.h"

#include <netinet/udp.h>
#include <string.h>

#define RECEIVE_BATCH 64
#define STAMP_AGE_MAX_US (10 * G_USEC_PER_SEC)
#define BUFFER_OCTETS 65536
#define BUFFER_STRIDE (BUFFER_OCTETS + SRTCP_TRAILER_MAX + 1344)

struct receive_ring {
    struct mmsghdr messages[RECEIVE_BATCH];
    struct iovec vectors[RECEIVE_BATCH];
    union socket_address sources[RECEIVE_BATCH];
    struct {
        _Alignas(struct cmsghdr)
            uint8_t space[3 * CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct timespec))];
    } controls[RECEIVE_BATCH];
    uint8_t *buffers;
    unsigned used; /* messages that the kernel has filled in: their lengths are to be set again */
};

struct receive_ring *receive_ring_new(void)
{
    struct receive_ring *ring = g_new0(struct receive_ring, 1);
    ring->buffers = g_malloc((size_t)RECEIVE_BATCH * BUFFER_STRIDE);
    ring->used = RECEIVE_BATCH;
    for (unsigned i = 0; i < RECEIVE_BATCH; i++) {
        ring->vectors[i] = (struct iovec){.iov_base = ring->buffers + (size_t)i * BUFFER_STRIDE,
                                          .iov_len = BUFFER_OCTETS};
        ring->messages[i].msg_hdr = (struct msghdr){.msg_name = &ring->sources[i],
                                                    .msg_iov = &ring->vectors[i],
                                                    .msg_iovlen = 1,
                                                    .msg_control = ring->controls[i].space};
    }
    return ring;
}

void receive_ring_free(struct receive_ring *ring)
{
    if (!ring)
        return;
    g_free(ring->buffers);
    g_free(ring);
}

static struct worker_leg *leg_by_tag(struct worker *worker, const uint8_t *transaction)
{
    uint32_t tag;
    memcpy(&tag, transaction, sizeof tag);
    return g_hash_table_lookup(worker->by_tag, GUINT_TO_POINTER(tag));
}

/* A leg that has sockets of its own is at home nowhere else. */
static bool serves(const struct media_socket *socket, const struct worker_leg *leg)
{
    return socket->owner == (leg->own ? leg : NULL);
}

static void receive_stun(struct worker *worker, struct media_socket *socket,
                         const union socket_address *source, const uint8_t *data, size_t length)
{
    struct ice_request request;
    struct worker_leg *known = address_table_find(worker->addresses, socket->index, source);
    bool good =
        ice_server_handle(worker->ice, data, length, source, known != NULL, worker->now, &request);
    if (request.response) {
        /* To a check of ours, whose address may not be known yet; or to another question. */
        struct worker_leg *asker = leg_by_tag(worker, request.response);
        good = (asker &&
                worker_leg_check_answered(asker, socket, source, data, length, worker->now)) ||
               (known && worker_leg_answered(known, socket, source, data, length, worker->now));
    }
    if (request.credentials && !serves(socket, request.credentials->owner)) {
        good = false;
        request.reply_length = 0;
    } else if (request.credentials && !worker_leg_validate(request.credentials->owner, socket,
                                                           source, length, &request, worker->now)) {
        good = false;
        request.reply_length = 0;
    }
    if (!good)
        counter_add(&worker->counters.stun_rejected, 1);
    if (request.reply_length == 0)
        return;
    struct send_batch *batch = worker_batch(worker, socket);
    memcpy(send_batch_reserve(batch), request.reply, request.reply_length);
    send_batch_commit(batch, source, request.reply_length, NULL);
}

/* Whose it claims to be, for the operator who looks at that leg. */
static void drop_unvalidated(struct worker *worker, enum demux_kind kind, const uint8_t *data)
{
    counter_add(&worker->counters.unknown_source_dropped, 1);
    if (kind == DEMUX_DTLS)
        return;
    uint32_t ssrc;
    memcpy(&ssrc, data + (kind == DEMUX_RTP ? 8 : 4), sizeof ssrc);
    struct worker_leg *leg = g_hash_table_lookup(worker->by_ssrc, GUINT_TO_POINTER(g_ntohl(ssrc)));
    if (leg)
        leg->unvalidated_dropped++;
}

static void receive_one(struct worker *worker, struct media_socket *socket,
                        const union socket_address *source, struct worker_leg *leg, uint8_t *data,
                        size_t length, struct arrival *arrival)
{
    enum demux_kind kind = demux_classify(data, length);
    counter_add(&worker->counters.packets_in, 1);
    counter_add(&worker->counters.octets_in, length);
    if (kind == DEMUX_MALFORMED) {
        counter_add(&worker->counters.malformed, 1);
        return;
    }
    if (kind == DEMUX_STUN) {
        if (socket->tunnel) /* that is done where it comes from */
            return;
        receive_stun(worker, socket, source, data, length);
        return;
    }
    if (!leg) {
        drop_unvalidated(worker, kind, data);
        return;
    }
    struct ice_path *path = worker_leg_nominated(leg);
    if (path && !path->proven)
        worker_leg_count_received(leg, socket, source, length);
    arrival->dscp = leg->trusted ? arrival->dscp : -1;
    if (kind == DEMUX_RTP)
        worker_leg_receive_rtp(leg, data, length, arrival);
    else if (kind == DEMUX_RTCP)
        worker_leg_receive_rtcp(leg, data, length, worker->now);
    else
        worker_leg_receive_dtls(leg, data, length, arrival);
}

/* On the worker's clock; a stamp of another time than just before says that a clock was set. */
static int64_t stamp_time(const struct worker *worker, const struct cmsghdr *control)
{
    struct timespec at;
    memcpy(&at, CMSG_DATA(control), sizeof at);
    int64_t us = (int64_t)at.tv_sec * G_USEC_PER_SEC + at.tv_nsec / 1000 + worker->stamps_to_now;
    return us > worker->now || worker->now - us > STAMP_AGE_MAX_US ? worker->now : us;
}

/* What the kernel says of a message. *ret_segment: the length of those it has joined. */
static void read_controls(const struct worker *worker, struct msghdr *header, size_t *ret_segment,
                          struct arrival *ret)
{
    for (struct cmsghdr *i = CMSG_FIRSTHDR(header); i; i = CMSG_NXTHDR(header, i)) {
        int value = 0; /* IP_TOS comes as one octet */
        memcpy(&value, CMSG_DATA(i), MIN(sizeof value, i->cmsg_len - CMSG_LEN(0)));
        if (i->cmsg_level == SOL_SOCKET && i->cmsg_type == SCM_TIMESTAMPNS)
            ret->received = stamp_time(worker, i);
        else if (i->cmsg_level == IPPROTO_UDP && i->cmsg_type == UDP_GRO && value > 0)
            *ret_segment = (size_t)value;
        else if (i->cmsg_level == SOL_SOCKET && i->cmsg_type == SO_MARK)
            ret->judged = ((uint32_t)value & worker->judged_mark) != 0;
        else if ((i->cmsg_level == IPPROTO_IP && i->cmsg_type == IP_TOS) ||
                 (i->cmsg_level == IPPROTO_IPV6 && i->cmsg_type == IPV6_TCLASS))
            ret->dscp = (int8_t)((value & 0xff) >> 2); /* without the ECN bits (RFC 3168 5) */
    }
}

static struct worker_leg *find_leg(struct worker *worker, const struct media_socket *socket,
                                   const union socket_address *source)
{
    if (G_UNLIKELY(socket->tunnel))
        return worker_leg_nominated(socket->owner) ? socket->owner : NULL;
    return address_table_find(worker->addresses, socket->index, source);
}

static void receive_message(struct worker *worker, struct media_socket *socket, unsigned i)
{
    struct receive_ring *ring = worker->ring;
    union socket_address *source = &ring->sources[i];
    uint8_t *data = ring->vectors[i].iov_base;
    size_t left = ring->messages[i].msg_len, segment = left;
    struct arrival said = {.now = worker->now,
                           .received = worker->now,
                           .overhead = (uint16_t)socket_address_overhead(source),
                           .dscp = -1};
    read_controls(worker, &ring->messages[i].msg_hdr, &segment, &said);
    struct worker_leg *leg = find_leg(worker, socket, source);
    if (G_UNLIKELY(socket->tunnel) && leg)
        said.overhead = (uint16_t)socket_address_overhead(&worker_leg_nominated(leg)->remote);
    while (left) {
        size_t length = MIN(segment, left);
        struct arrival arrival = said;
        receive_one(worker, socket, source, leg, data, length, &arrival);
        if (!leg) /* the segment before may have been the STUN that made it known */
            leg = find_leg(worker, socket, source);
        data += length;
        left -= length;
    }
}

/* Only while somebody is told of arrivals: nobody else pays for it. */
static void choose_stamps(const struct worker *worker, struct media_socket *socket)
{
    bool wanted = socket->owner ? socket->owner->arrivals != NULL : worker->n_arrivals > 0;
    if (G_UNLIKELY(wanted != socket->stamped))
        media_socket_stamp(socket, wanted);
}

static void read_clocks(struct worker *worker, bool stamped)
{
    worker->now = g_get_monotonic_time();
    if (stamped)
        worker->stamps_to_now = worker->now - g_get_real_time();
}

bool worker_receive(struct worker *worker, struct media_socket *socket)
{
    struct receive_ring *ring = worker->ring;
    if (G_UNLIKELY(socket->fd < 0)) /* it was ready together with the command that released it */
        return false;
    choose_stamps(worker, socket);
    for (unsigned i = 0; i < ring->used; i++) {
        ring->messages[i].msg_hdr.msg_namelen = sizeof ring->sources[i];
        ring->messages[i].msg_hdr.msg_controllen = sizeof ring->controls[i].space;
    }
    bool measured = transit_begin(worker, socket);
    int n = recvmmsg(socket->fd, ring->messages, RECEIVE_BATCH, MSG_DONTWAIT, NULL);
    int64_t received =
        measured ? transit_end(socket, n > 0 ? &ring->messages[0].msg_hdr : NULL) : 0;
    ring->used = (unsigned)MAX(n, 0);
    if (n <= 0)
        return false;
    /* What the control thread asked for before a peer was told of it is done before that peer's
     * first packet is looked at. */
    if (command_queue_pending(&worker->commands))
        worker_run_commands(worker);
    if (G_UNLIKELY(socket->fd < 0)) /* a leg's own, and the leg was released */
        return false;
    read_clocks(worker, socket->stamped);
    counter_add(&worker->counters.receive_batches, 1);
    counter_add(&worker->counters.runs_in, (uint64_t)n);
    uint64_t calls = worker->counters.send_calls;
    for (unsigned i = 0; i < (unsigned)n; i++)
        receive_message(worker, socket, i);
    worker_after_batch(worker);
    if (received && worker->counters.send_calls != calls)
        transit_count(worker, received);
    return n == RECEIVE_BATCH;
}
