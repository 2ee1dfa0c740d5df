/* SPDX-License-Identifier: Apache-2.0 */
/* From the worker to a pipeline's thread. A subscription of a local leg is one as any other, with
 * its layers, its key frames and its place behind a gate, but for its end: packets are written into
 * a ring, without encryption, and the reader is woken when it sleeps, once per batch. The worker
 * never waits: what finds no room is lost, the subscription begins again at a key frame, and nobody
 * else notices. */
#include "wmcf/relay/local-sink.h"

#include "wmcf/relay/capture.h"
#include "wmcf/relay/layering.h"
#include "wmcf/relay/worker-ring.h"
#include "wmcf/relay/worker.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define BUFFER_DEFAULT (256u * 1024)
#define CLOCK_INTERVAL_US 1000000

struct outlet_record { /* then the RTP packet, or nothing: a clock */
    int64_t at;        /* arrival, or the instant */
    uint32_t timestamp;
    uint32_t length;
};

struct local_outlet {
    struct worker_ring *ring;
    int wake;
    _Atomic bool asleep, wanting; /* the reader sleeps; it has asked for a key frame */
    _Atomic uint64_t overrun;
    int64_t clock_told; /* the worker; 0 = never */
    uint32_t clock_epoch;
};

static struct local_outlet *outlet_new(size_t octets)
{
    struct local_outlet *outlet = g_new0(struct local_outlet, 1);
    outlet->ring = worker_ring_new(octets);
    outlet->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return outlet;
}

static void outlet_free(struct local_outlet *outlet)
{
    if (!outlet)
        return;
    if (outlet->wake >= 0)
        close(outlet->wake);
    worker_ring_free(outlet->ring);
    g_free(outlet);
}

bool local_outlets_open(struct local_outlets *ret, const struct relay_local_config *config,
                        GError **error)
{
    *ret = (struct local_outlets){.n = config->outlets};
    ret->list = config->outlets ? g_new0(struct local_outlet *, config->outlets) : NULL;
    for (unsigned i = 0; i < config->outlets; i++) {
        ret->list[i] = outlet_new(config->outlet_buffer ? config->outlet_buffer : BUFFER_DEFAULT);
        if (ret->list[i]->wake >= 0)
            continue;
        problem_set(error, PROBLEM_RESOURCES_UNAVAILABLE,
                    "no descriptor for another pipeline: %s; raise LimitNOFILE", g_strerror(errno));
        local_outlets_close(ret);
        return false;
    }
    return true;
}

void local_outlets_close(struct local_outlets *outlets)
{
    for (unsigned i = 0; i < outlets->n; i++)
        outlet_free(outlets->list[i]);
    g_clear_pointer(&outlets->list, g_free);
    outlets->n = 0;
}

/* --- the worker ------------------------------------------------------------------------------- */

static struct local_outlet *outlet_of(const struct media_line *line)
{
    const struct worker_leg *leg = line->leg;
    for (unsigned i = 0; i < leg->n_lines && i < leg->local->outlets.n; i++) {
        if (leg->lines[i] == line)
            return leg->local->outlets.list[i];
    }
    return NULL;
}

static bool put_packet(struct local_outlet *outlet, int64_t arrival, const uint8_t *payload,
                       size_t payload_length, const struct rtp_fields *fields)
{
    static const struct rtp_extension_block none;
    size_t length = RTP_HEADER_LENGTH + payload_length;
    struct outlet_record *record = worker_ring_put(outlet->ring, sizeof *record + length);
    if (!record) {
        atomic_fetch_add_explicit(&outlet->overrun, 1, memory_order_relaxed);
        return false;
    }
    *record = (struct outlet_record){.at = arrival, .length = (uint32_t)length};
    uint8_t *rtp = (uint8_t *)(record + 1);
    size_t header = rtp_header_write(rtp, fields, &none, -1);
    memcpy(rtp + header, payload, payload_length);
    return true;
}

/* Once a second, and at once when the numbering has begun anew. */
static void put_clock(struct local_outlet *outlet, const struct subscription *subscription,
                      int64_t now)
{
    struct rtcp_sender_info info;
    if (outlet->clock_told && outlet->clock_epoch == subscription->epoch &&
        now - outlet->clock_told < CLOCK_INTERVAL_US)
        return;
    if (!subscription_sender_info(subscription, now, &info))
        return;
    struct outlet_record *record = worker_ring_put(outlet->ring, sizeof *record);
    if (!record)
        return;
    *record = (struct outlet_record){.at = now, .timestamp = info.timestamp};
    outlet->clock_told = now;
    outlet->clock_epoch = subscription->epoch;
}

/* Either the reader, having said that it sleeps, finds what was published, or the writer, having
 * published, finds that it sleeps. */
static void publish(struct local_outlet *outlet)
{
    static const uint64_t one = 1;
    worker_ring_publish(outlet->ring);
    if (atomic_load_explicit(&outlet->asleep, memory_order_seq_cst) &&
        atomic_exchange_explicit(&outlet->asleep, false, memory_order_seq_cst) &&
        write(outlet->wake, &one, sizeof one) < 0)
        g_assert(errno == EAGAIN); /* the counter is full: it is awake */
}

static bool gate_open(const struct media_line *line)
{
    const struct qos_slot *slot = line->media.slot[QOS_DOWNLINK];
    return !slot || qos_slot_open(slot);
}

static void look(const struct subscription *subscription, const struct rtp_fields *fields,
                 const uint8_t *payload, size_t length)
{
    static const struct rtp_extension_block none;
    uint8_t header[RTP_HEADER_LENGTH + RTP_EXTENSIONS_MAX];
    size_t header_length = rtp_header_write(header, fields, &none, -1);
    capture_sent(subscription->line->leg, subscription->line, header, header_length, payload,
                 length);
}

static void forward(struct subscription *subscription, struct stream *stream,
                    struct local_outlet *outlet, const struct packet *packet)
{
    struct rtp_fields fields;
    uint64_t index;
    unsigned from;
    bool marker = false;
    int pt = subscription_view(subscription, packet, &from);
    if (pt < 0) {
        subscription->no_codec++;
        subscription_skip(subscription, packet);
        return;
    }
    enum subscription_verdict verdict = subscription_judge(subscription, packet);
    if (verdict == SUBSCRIPTION_WAITS)
        stream_want_key_frame(stream);
    if (verdict != SUBSCRIPTION_TAKES)
        return;
    if (subscription->layering && !layering_take(subscription, packet, &marker)) {
        subscription_skip(subscription, packet);
        return;
    }
    subscription_rewrite(subscription, packet, (uint8_t)pt, &fields, &index);
    fields.marker |= marker;
    uint8_t copy[PACKET_PAYLOAD_MAX];
    const uint8_t *payload = layering_payload(subscription, packet, copy);
    size_t length = packet->length - from;
    if (!put_packet(outlet, packet->arrival, payload + from, length, &fields)) {
        subscription_interrupt(subscription);
        return;
    }
    if (G_UNLIKELY(subscription->line->leg->capture))
        look(subscription, &fields, payload + from, length);
    subscription->packets_out++;
    subscription->octets_out += RTP_HEADER_LENGTH + length;
    subscription->payload_octets_out += length;
    subscription->last_packet_out = stream->worker->now;
}

void local_sink_forward(struct subscription *subscription, struct stream *stream)
{
    struct media_line *line = subscription->line;
    struct local_outlet *outlet = outlet_of(line);
    if (!outlet || !line->media.send || !gate_open(line)) {
        subscription_interrupt(subscription);
        return;
    }
    const struct packet *first = stream->first;
    if (subscription->layering && !subscription->begun && stream->encodings)
        first = layers_begin(subscription, stream);
    for (const struct packet *packet = first; packet; packet = packet->next)
        forward(subscription, stream, outlet, packet);
    put_clock(outlet, subscription, stream->worker->now);
    publish(outlet);
}

void local_outlet_wants_key_frame(struct worker_leg *leg, unsigned medium)
{
    if (medium >= leg->local->outlets.n)
        return;
    atomic_store_explicit(&leg->local->outlets.list[medium]->wanting, false, memory_order_relaxed);
    if (medium < leg->n_lines && leg->lines[medium]->out.source)
        stream_want_key_frame(leg->lines[medium]->out.source);
}

/* --- the reader ------------------------------------------------------------------------------- */

int relay_local_descriptor(const struct relay_local *local, guint medium)
{
    return medium < local->outlets.n ? local->outlets.list[medium]->wake : -1;
}

guint relay_local_read(struct relay_local *local, guint medium,
                       const struct relay_local_reader *reader, void *to)
{
    struct local_outlet *outlet = local->outlets.list[medium];
    uint64_t count;
    guint n = 0;
    if (read(outlet->wake, &count, sizeof count) < 0)
        g_assert(errno == EAGAIN); /* nobody has woken us */
    atomic_store_explicit(&outlet->asleep, true, memory_order_seq_cst);
    if (!worker_ring_pending(outlet->ring))
        return 0;
    atomic_store_explicit(&outlet->asleep, false, memory_order_seq_cst);
    const struct outlet_record *record;
    size_t length;
    worker_ring_begin(outlet->ring);
    for (; (record = worker_ring_next(outlet->ring, &length)); n++) {
        if (record->length)
            reader->packet(to, (const uint8_t *)(record + 1), record->length, record->at);
        else
            reader->clock(to, record->timestamp, record->at);
    }
    worker_ring_release(outlet->ring);
    return n;
}

void relay_local_want_key_frame(struct relay_local *local, guint medium)
{
    if (medium >= local->outlets.n ||
        atomic_exchange_explicit(&local->outlets.list[medium]->wanting, true, memory_order_relaxed))
        return; /* asked for already */
    struct command *command = g_new0(struct command, 1);
    command->kind = COMMAND_LOCAL_WANTS;
    command->leg = local->leg;
    command->medium = medium;
    worker_post(local->worker, command);
}

uint64_t relay_local_overrun(const struct relay_local *local, guint medium)
{
    return atomic_load_explicit(&local->outlets.list[medium]->overrun, memory_order_relaxed);
}
