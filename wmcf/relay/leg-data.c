/* SPDX-License-Identifier: Apache-2.0 */
/* DTLS on its way between network and control thread. Data channels are gated and policed here, by
 * the records' types: what is no application data always passes, so that a closed gate never costs
 * the association. */
#include "wmcf/relay/leg.h"

#include "wmcf/relay/dtls-records.h"
#include "wmcf/relay/worker.h"

#include <string.h>

/* Octets that the control thread has not seen: handshakes, and data channels at 50 Mb/s while it is
 * busy for 80 ms. */
#define PENDING_MAX (64 * 1024)
#define PENDING_DATA_MAX (512 * 1024)

/* What of the datagram passes; `judged`: the kernel has let its first record pass. *ret_data: with
 * application data. */
static size_t judge(struct worker_leg *leg, enum qos_direction direction, uint8_t *data,
                    size_t length, size_t overhead, bool judged, bool *ret_data)
{
    struct qos_slot *slot = leg->data_slot[direction];
    *ret_data = slot && dtls_has_data(data, length);
    if (!*ret_data || (judged && dtls_is_data(data[0])) ||
        worker_leg_admit(leg, slot, leg->data_mid, direction, length + overhead))
        return length;
    *ret_data = false;
    return dtls_strip_data(data, length);
}

/* A handshake takes a dozen datagrams, each of which is worked on by two threads that serve all
 * legs; repeating them costs a peer nothing. */
static bool within_rate(struct worker_leg *leg, int64_t now)
{
    if (now - leg->dtls_window >= G_USEC_PER_SEC) {
        leg->dtls_window = now;
        leg->dtls_count = 0;
    }
    return leg->dtls_count++ < leg->worker->limits.dtls_rate;
}

void worker_leg_receive_dtls(struct worker_leg *leg, uint8_t *data, size_t length,
                             const struct arrival *arrival)
{
    bool with_data;
    length = judge(leg, QOS_UPLINK, data, length, arrival->overhead, arrival->judged, &with_data);
    /* The control thread may be slow, the peer quick: what does not fit is lost, as on a network.
     */
    unsigned cost = DTLS_PENDING_COST(length);
    unsigned max = leg->data_slot[QOS_UPLINK] ? PENDING_DATA_MAX : PENDING_MAX;
    if (!length)
        return;
    if ((!(with_data && leg->has_keys) && !within_rate(leg, arrival->now)) ||
        atomic_load_explicit(leg->dtls_pending, memory_order_relaxed) + cost > max) {
        counter_add(&leg->worker->counters.dtls_dropped, 1);
        return;
    }
    atomic_fetch_add_explicit(leg->dtls_pending, cost, memory_order_relaxed);
    struct event *event = g_new0(struct event, 1);
    event->kind = EVENT_DTLS;
    event->leg = leg->handle;
    event->dtls = g_bytes_new(data, length);
    worker_post_event(leg->worker, event);
}

void worker_leg_send_dtls(struct worker_leg *leg, const uint8_t *data, size_t length)
{
    struct ice_path *path = worker_leg_nominated(leg);
    struct qos_slot *slot = leg->data_slot[QOS_DOWNLINK];
    bool with_data;
    if (!path || length == 0 || length > SEND_PACKET_MAX)
        return;
    struct send_batch *batch = worker_batch(leg->worker, path->socket);
    uint8_t *out = send_batch_reserve(batch);
    memcpy(out, data, length);
    length = judge(leg, QOS_DOWNLINK, out, length, socket_address_overhead(&path->remote), false,
                   &with_data);
    if (!length || !ice_path_admit(path, length))
        return;
    if (with_data)
        send_batch_commit_media(batch, &path->remote, length, &leg->send_failed, slot,
                                worker_leg_dscp(leg, slot));
    else /* RFC 8837 marks media and data; handshakes go as they are */
        send_batch_commit(batch, &path->remote, length, &leg->send_failed);
}
