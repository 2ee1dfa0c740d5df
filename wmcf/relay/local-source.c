/* SPDX-License-Identifier: Apache-2.0 */
/* From a pipeline's thread into the worker. A burst (a frame) is copied once and travels as one
 * command, so the way in is the worker's own lock-free queue and neither side ever waits. What the
 * queue holds of one source is bounded: a worker that is behind loses the newest packets of the
 * source that floods it and nobody else's. */
#include "wmcf/relay/local-source.h"

#include "wmcf/relay/capture.h"
#include "wmcf/relay/local-sink.h"
#include "wmcf/relay/worker.h"

#include <string.h>

#define BATCH_PACKETS_MAX 128
#define PACKET_MAX (RTP_HEADER_LENGTH + 72 + PACKET_PAYLOAD_MAX) /* with CSRCs and extensions */

struct local_batch {
    unsigned medium, n;
    struct {
        int64_t at;
        uint32_t offset, length;
    } packets[BATCH_PACKETS_MAX];
    uint8_t data[];
};

struct relay_local *relay_local_new(const struct relay_local_config *config,
                                    const struct local_outlets *outlets, struct worker *worker,
                                    struct worker_leg *leg)
{
    struct relay_local *local = g_new0(struct relay_local, 1);
    local->worker = worker;
    local->leg = leg;
    local->ops = config->ops;
    local->user = config->user;
    local->queue_max = config->queue_packets;
    local->outlets = *outlets;
    return local;
}

void relay_local_free(struct relay_local *local)
{
    if (local)
        local_outlets_close(&local->outlets);
    g_free(local);
}

void local_batch_free(struct local_batch *batch)
{
    g_free(batch);
}

/* --- the pipeline's threads ------------------------------------------------------------------- */

static struct local_batch *make_batch(struct relay_local *local, unsigned medium,
                                      const struct relay_local_packet *packets, unsigned n)
{
    size_t octets = 0;
    for (unsigned i = 0; i < n; i++)
        octets += packets[i].length <= PACKET_MAX ? packets[i].length : 0;
    struct local_batch *batch = g_malloc(sizeof *batch + octets);
    batch->medium = medium;
    batch->n = 0;
    octets = 0;
    for (unsigned i = 0; i < n; i++) {
        if (packets[i].length > PACKET_MAX) {
            atomic_fetch_add_explicit(&local->refused, 1, memory_order_relaxed);
            continue;
        }
        batch->packets[batch->n].at = packets[i].at;
        batch->packets[batch->n].offset = (uint32_t)octets;
        batch->packets[batch->n++].length = (uint32_t)packets[i].length;
        memcpy(batch->data + octets, packets[i].data, packets[i].length);
        if (packets[i].pt && packets[i].length > 1)
            batch->data[octets + 1] = (batch->data[octets + 1] & 0x80) | packets[i].pt;
        octets += packets[i].length;
    }
    return batch;
}

/* How many of `n` packets the queue takes now; their places are taken. */
static unsigned reserve(struct relay_local *local, unsigned n)
{
    unsigned queued = atomic_load_explicit(&local->queued, memory_order_relaxed), granted;
    do {
        granted = queued < local->queue_max ? MIN(n, local->queue_max - queued) : 0;
    } while (granted &&
             !atomic_compare_exchange_weak_explicit(&local->queued, &queued, queued + granted,
                                                    memory_order_relaxed, memory_order_relaxed));
    return granted;
}

void relay_local_push(struct relay_local *local, unsigned medium,
                      const struct relay_local_packet *packets, unsigned n)
{
    while (n) {
        unsigned some = MIN(n, BATCH_PACKETS_MAX), granted = reserve(local, some);
        if (granted < some)
            atomic_fetch_add_explicit(&local->dropped, some - granted, memory_order_relaxed);
        if (granted) {
            struct command *command = g_new0(struct command, 1);
            command->kind = COMMAND_LOCAL;
            command->leg = local->leg;
            command->batch = make_batch(local, medium, packets, granted);
            /* Those that were refused give their places back here, the rest when they are routed.
             */
            atomic_fetch_sub_explicit(&local->queued, granted - command->batch->n,
                                      memory_order_relaxed);
            worker_post(local->worker, command);
        }
        packets += some;
        n -= some;
    }
}

uint64_t relay_local_dropped(const struct relay_local *local)
{
    return atomic_load_explicit(&local->dropped, memory_order_relaxed);
}

uint64_t relay_local_refused(const struct relay_local *local)
{
    return atomic_load_explicit(&local->refused, memory_order_relaxed);
}

/* --- the worker ------------------------------------------------------------------------------- */

/* An m-line has one source; a pipeline that begins with another SSRC begins anew. */
static struct source *source_of(struct media_line *line, uint32_t ssrc)
{
    struct worker_leg *leg = line->leg;
    struct source *source = worker_leg_source(leg, ssrc);
    if (source)
        return source->line == line ? source : NULL;
    for (unsigned i = leg->n_sources; i-- > 0;) {
        if (leg->sources[i]->line == line)
            worker_leg_remove_source(leg, leg->sources[i]);
    }
    return worker_leg_add_source(leg, ssrc, &line->in);
}

static bool take(struct media_line *line, const uint8_t *data, size_t length, int64_t at)
{
    struct worker *worker = line->leg->worker;
    struct rtp_header header;
    uint64_t index;
    if (!rtp_header_parse(data, length, &header))
        return false;
    struct source *source = source_of(line, header.ssrc);
    if (!source || !replay_guess(&source->replay, header.sequence, &index))
        return false;
    struct packet *packet = packet_pool_take(worker->pool, length - header.length);
    if (!packet)
        return false;
    packet->index = index;
    packet->length = (uint16_t)(length - header.length);
    memcpy(packet->payload, data + header.length, packet->length);
    replay_commit(&source->replay, index);
    if (G_UNLIKELY(line->leg->capture))
        capture_received(line->leg, line, data, header.length, packet);
    /* The pipeline's clock is ours: no sender report has to tell it. */
    source->anchored = true;
    source->anchor_at = at;
    source->anchor_timestamp = header.timestamp;
    struct arrival arrival = {.now = worker->now, .received = worker->now, .dscp = -1};
    return worker_leg_take(source, packet, &header, length, &arrival);
}

void local_batch_run(struct relay_local *local, const struct local_batch *batch)
{
    struct worker_leg *leg = local->leg;
    struct media_line *line = batch->medium < leg->n_lines ? leg->lines[batch->medium] : NULL;
    for (unsigned i = 0; i < batch->n; i++) {
        if (line && !take(line, batch->data + batch->packets[i].offset, batch->packets[i].length,
                          batch->packets[i].at))
            atomic_fetch_add_explicit(&local->refused, 1, memory_order_relaxed);
    }
    atomic_fetch_sub_explicit(&local->queued, batch->n, memory_order_relaxed);
    /* Commands run between batches: nothing of this one may wait. */
    router_run(local->worker);
}

void local_request_key_frame(struct stream *stream, int64_t now)
{
    struct worker_leg *leg = stream->line->leg;
    if (!stream_is_used(stream)) /* nobody is waiting any more */
        key_frame_request_satisfied(&stream->key_frames);
    if (!key_frame_request_due(&stream->key_frames, now, leg->worker->limits.pli_interval,
                               stream->last_packet))
        return;
    for (unsigned i = 0; i < leg->n_lines; i++) {
        if (leg->lines[i] != stream->line)
            continue;
        stream->pli_sent++;
        leg->local->ops->key_frame(leg->local->user, i);
    }
}
