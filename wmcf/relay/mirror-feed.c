/* SPDX-License-Identifier: Apache-2.0 */
/* The near end: copies a batch into the ring. A ring that is full loses packets and never waits. A
 * hole in a picture is not repaired from here, the other worker's subscribers could ask for what
 * nobody there has; so what follows it is left out until a key frame begins and half of the ring is
 * free again, and a new epoch tells the far end that nothing is missing. Audio has a hole as from a
 * network. */
#include "wmcf/relay/encodings.h"
#include "wmcf/relay/packet-dependency.h"
#include "wmcf/relay/stream-mirror.h"
#include "wmcf/relay/worker.h"

#include <string.h>

#define CLOCK_REPEAT_US G_USEC_PER_SEC

struct mirror_feed;

struct feed_tap {          /* of one stream */
    struct stream_tap tap; /* first */
    struct mirror_feed *feed;
    struct worker_link *link;
    struct stream *stream;
    uint32_t cuts; /* beginnings after a loss */
    bool cut;      /* packets were lost, nothing has begun since */
    struct mirror_clock told;
    uint32_t told_epoch;
    int64_t told_at; /* 0 = never */
};

struct mirror_feed {
    uint32_t id;
    struct worker_link *link;
    struct encodings *encodings; /* NULL = no simulcast; else they outlive the feed */
    struct feed_tap *taps[RELAY_ENCODINGS_MAX];
};

static struct mirror_record *put(struct feed_tap *feed, size_t length)
{
    struct mirror_record *record = worker_ring_put(feed->link->ring, sizeof *record + length);
    if (record) {
        record->id = feed->feed->id;
        record->encoding = feed->stream->encoding;
        record->epoch = feed->stream->epoch + feed->cuts;
        record->length = (uint16_t)length;
    }
    return record;
}

static void lose(struct feed_tap *feed)
{
    struct worker *worker = feed->stream->worker;
    counter_add(&worker->counters.ring_dropped, 1);
    if (feed->stream->kind != RELAY_VIDEO)
        return;
    feed->cuts += !feed->cut;
    feed->cut = true;
    stream_want_key_frame(feed->stream);
}

static void put_packet(struct feed_tap *feed, const struct packet *packet)
{
    if (feed->cut && (!packet->entry || worker_ring_room(feed->link->ring) <
                                            worker_ring_size(feed->link->ring) / 2)) {
        lose(feed);
        return;
    }
    /* Without a format it is forwarded to nobody: its number is all that counts. */
    uint16_t length = packet->format ? packet->length : 0;
    size_t annex = packet->format ? packet_annex(packet) : 0;
    struct mirror_record *record = put(feed, length + annex);
    if (!record) {
        lose(feed);
        return;
    }
    feed->cut = false;
    record->epoch = packet->epoch + feed->cuts;
    record->kind = MIRROR_PACKET;
    record->pt = packet->pt;
    record->marker = packet->marker;
    record->padding = packet->padding;
    record->key_frame = packet->key_frame;
    record->entry = packet->entry;
    record->note = packet->note;
    record->dscp = packet->dscp;
    record->spatial = packet->spatial;
    record->temporal = packet->temporal;
    record->layer_flags = packet->layer_flags;
    record->descriptor = annex ? packet->descriptor : 0;
    record->length = length;
    record->timestamp = packet->timestamp;
    record->clock_rate = packet->clock_rate;
    record->index = packet->index;
    record->arrival = packet->arrival;
    record->format = packet->format;
    memcpy(record->payload, packet->payload, length + annex);
}

static bool differs(const struct mirror_clock *a, const struct mirror_clock *b)
{
    return a->ssrc != b->ssrc || a->has_report != b->has_report ||
           a->report_arrival != b->report_arrival || a->clock.offset != b->clock.offset ||
           a->anchored != b->anchored;
}

/* After the packets, so that it never holds for others; again each second, should it have been lost
 * or an anchor have moved. */
static void put_clock(struct feed_tap *feed)
{
    const struct source *source = feed->stream->active;
    if (!source || feed->cut)
        return;
    int64_t now = feed->stream->worker->now;
    struct mirror_clock clock = {.ssrc = source->ssrc,
                                 .clock_rate = source->clock_rate,
                                 .clock = *feed->stream->clock,
                                 .has_report = source->has_report,
                                 .anchored = source->anchored,
                                 .report = source->report,
                                 .report_arrival = source->report_arrival,
                                 .anchor_at = source->anchor_at,
                                 .anchor_timestamp = source->anchor_timestamp};
    uint32_t epoch = feed->stream->epoch + feed->cuts;
    if (feed->told_at && now - feed->told_at < CLOCK_REPEAT_US && feed->told_epoch == epoch &&
        !differs(&clock, &feed->told))
        return;
    struct mirror_record *record = put(feed, sizeof clock);
    if (!record)
        return;
    record->kind = MIRROR_CLOCK;
    memcpy(record->payload, &clock, sizeof clock);
    feed->told = clock;
    feed->told_epoch = epoch;
    feed->told_at = now;
}

static void on_packets(struct stream_tap *tap, struct stream *stream, const struct packet *first)
{
    struct feed_tap *feed = (struct feed_tap *)tap;
    for (const struct packet *packet = first; packet; packet = packet->next)
        put_packet(feed, packet);
    put_clock(feed);
    worker_link_touch(feed->link);
}

static void on_ended(struct stream_tap *tap)
{
    struct feed_tap *ended = (struct feed_tap *)tap;
    for (unsigned i = 0; i < RELAY_ENCODINGS_MAX; i++) {
        if (ended->feed->taps[i] == ended)
            ended->feed->taps[i] = NULL;
    }
    g_free(ended);
}

static const struct stream_tap_ops ops = {.packets = on_packets, .ended = on_ended};

static void tap(struct mirror_feed *feed, unsigned encoding, struct stream *stream)
{
    struct feed_tap *new = g_new0(struct feed_tap, 1);
    new->tap.ops = &ops;
    new->feed = feed;
    new->link = feed->link;
    new->stream = stream;
    feed->taps[encoding] = new;
    stream_tap_add(stream, &new->tap);
}

static void untap(struct feed_tap *old)
{
    stream_tap_remove(old->stream, &old->tap);
    on_ended(&old->tap);
}

static struct mirror_feed *find(struct worker *worker, uint32_t id)
{
    return g_hash_table_lookup(worker->links.feeds, GUINT_TO_POINTER(id));
}

void mirror_feed_begin(struct media_line *line, uint32_t id, struct worker_link *link)
{
    struct mirror_feed *feed = g_new0(struct mirror_feed, 1);
    feed->id = id;
    feed->link = link;
    feed->encodings = line->encodings;
    g_hash_table_insert(line->in.worker->links.feeds, GUINT_TO_POINTER(id), feed);
    if (!feed->encodings)
        tap(feed, 0, &line->in);
}

void mirror_feed_use(struct worker *worker, uint32_t id, unsigned encodings)
{
    struct mirror_feed *feed = find(worker, id);
    for (unsigned i = 0; feed && feed->encodings && i < feed->encodings->n; i++) {
        bool used = encodings & 1u << i;
        if (used && !feed->taps[i])
            tap(feed, i, feed->encodings->streams[i]);
        else if (!used && feed->taps[i])
            untap(feed->taps[i]);
    }
}

void mirror_feed_end(struct worker *worker, uint32_t id)
{
    struct mirror_feed *feed = find(worker, id);
    if (!feed)
        return;
    g_hash_table_remove(worker->links.feeds, GUINT_TO_POINTER(id));
    for (unsigned i = 0; i < RELAY_ENCODINGS_MAX; i++) {
        if (feed->taps[i])
            untap(feed->taps[i]);
    }
    g_free(feed);
}

void mirror_feed_want_key_frame(struct worker *worker, uint32_t id, unsigned encoding)
{
    struct mirror_feed *feed = find(worker, id);
    if (feed && feed->taps[encoding])
        stream_want_key_frame(feed->taps[encoding]->stream);
}

void mirror_feeds_end(struct worker *worker)
{
    g_autoptr(GList) ids = g_hash_table_get_keys(worker->links.feeds);
    for (GList *i = ids; i; i = i->next)
        mirror_feed_end(worker, GPOINTER_TO_UINT(i->data));
}
