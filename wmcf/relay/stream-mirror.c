/* SPDX-License-Identifier: Apache-2.0 */
/* The far end: a stream without a leg behind it. What its subscribers look at besides packets (the
 * history, the publisher's clock, a wish for key frames) hangs on one stand-in source; another
 * source of the publisher's is another epoch of this one, and begins with an empty history. */
#include "wmcf/relay/stream-mirror.h"

#include "wmcf/relay/encodings.h"
#include "wmcf/relay/layering.h"
#include "wmcf/relay/packet-dependency.h"
#include "wmcf/relay/worker.h"

#include <string.h>

struct mirror_end { /* of one encoding */
    struct stream stream;
    struct source source;
};

struct stream_mirror {
    uint32_t id;
    struct worker_link *link;
    struct worker *worker;
    enum relay_kind kind;
    struct publisher_clock clock;
    struct encodings *encodings;                  /* NULL = no simulcast */
    unsigned used;                                /* … of them, as the feed was told last */
    struct mirror_end *ends[RELAY_ENCODINGS_MAX]; /* NULL = never needed */
};

static struct stream_mirror *find(const struct worker *worker, uint32_t id)
{
    return g_hash_table_lookup(worker->links.mirrors, GUINT_TO_POINTER(id));
}

void stream_mirror_add(struct stream_mirror *mirror, unsigned encoding)
{
    struct mirror_end *end = g_new0(struct mirror_end, 1);
    end->source.stream = &end->stream;
    end->stream = (struct stream){.worker = mirror->worker,
                                  .kind = mirror->kind,
                                  .mirror = mirror,
                                  .encodings = mirror->encodings,
                                  .encoding = (uint8_t)encoding,
                                  .clock = &mirror->clock,
                                  .active = &end->source,
                                  .active_since = mirror->worker->now};
    mirror->ends[encoding] = end;
    if (mirror->encodings)
        mirror->encodings->streams[encoding] = &end->stream;
}

static void count_mirrors(struct worker *worker)
{
    atomic_store_explicit(&worker->counters.mirrors, g_hash_table_size(worker->links.mirrors),
                          memory_order_relaxed);
}

void stream_mirror_begin(struct worker *worker, uint32_t id, enum relay_kind kind,
                         struct encoding_board *board, struct worker_link *link)
{
    struct stream_mirror *mirror = g_new0(struct stream_mirror, 1);
    mirror->id = id;
    mirror->link = link;
    mirror->worker = worker;
    mirror->kind = kind;
    if (board) {
        mirror->encodings = encodings_new(worker, board);
        mirror->encodings->mirror = mirror;
    }
    stream_mirror_add(mirror, 0);
    g_hash_table_insert(worker->links.mirrors, GUINT_TO_POINTER(id), mirror);
    count_mirrors(worker);
    worker_link_serve(link);
}

void stream_mirror_end(struct worker *worker, uint32_t id)
{
    struct stream_mirror *mirror = find(worker, id);
    if (!mirror)
        return;
    g_hash_table_remove(worker->links.mirrors, GUINT_TO_POINTER(id));
    count_mirrors(worker);
    for (unsigned i = 0; i < RELAY_ENCODINGS_MAX; i++) {
        if (mirror->ends[i])
            stream_finish(&mirror->ends[i]->stream);
    }
    encodings_free(mirror->encodings);
    for (unsigned i = 0; i < RELAY_ENCODINGS_MAX; i++) {
        if (mirror->ends[i])
            packet_buffer_free(mirror->ends[i]->source.buffer);
        g_free(mirror->ends[i]);
    }
    g_free(mirror);
}

struct stream *stream_mirror_find(const struct worker *worker, uint32_t id)
{
    struct stream_mirror *mirror = find(worker, id);
    return mirror ? &mirror->ends[0]->stream : NULL;
}

void stream_mirrors_expire(struct worker *worker)
{
    GHashTableIter iter;
    struct stream_mirror *mirror;
    g_hash_table_iter_init(&iter, worker->links.mirrors);
    while (g_hash_table_iter_next(&iter, NULL, (void **)&mirror)) {
        for (unsigned i = 0; i < RELAY_ENCODINGS_MAX; i++) {
            if (mirror->ends[i] && mirror->ends[i]->source.buffer)
                packet_buffer_expire(mirror->ends[i]->source.buffer, worker->now);
        }
    }
}

void stream_mirrors_end(struct worker *worker)
{
    g_autoptr(GList) ids = g_hash_table_get_keys(worker->links.mirrors);
    for (GList *i = ids; i; i = i->next)
        stream_mirror_end(worker, GPOINTER_TO_UINT(i->data));
}

/* --- what comes ------------------------------------------------------------------------------- */

static void begin_epoch(struct mirror_end *mirror, uint32_t epoch)
{
    mirror->stream.epoch = epoch;
    mirror->source.has_report = mirror->source.anchored = false;
    if (mirror->source.buffer)
        packet_buffer_clear(mirror->source.buffer);
}

static void keep(struct mirror_end *mirror, struct packet *packet)
{
    struct worker *worker = mirror->stream.worker;
    if (!mirror->source.buffer) {
        bool video = mirror->stream.kind == RELAY_VIDEO;
        mirror->source.buffer =
            packet_buffer_new(worker->pool, worker->limits.buffer_packets,
                              video ? worker->limits.video_buffer : worker->limits.audio_buffer);
    }
    packet_buffer_put(mirror->source.buffer, packet);
}

static void take_packet(struct mirror_end *mirror, const struct mirror_record *record)
{
    struct stream *stream = &mirror->stream;
    struct worker *worker = stream->worker;
    size_t annex = record->descriptor ? packet_dependency_room(record->descriptor) : 0;
    struct packet *packet = packet_pool_take(worker->pool, record->length + annex);
    if (!packet) {
        counter_add(&worker->counters.ring_dropped, 1);
        return;
    }
    packet->pt = record->pt;
    packet->marker = record->marker;
    packet->padding = record->padding;
    packet->key_frame = record->key_frame;
    packet->entry = record->entry;
    packet->note = record->note;
    packet->dscp = record->dscp;
    packet->spatial = record->spatial;
    packet->temporal = record->temporal;
    packet->layer_flags = record->layer_flags;
    packet->descriptor = record->descriptor;
    packet->length = record->length;
    packet->timestamp = record->timestamp;
    packet->clock_rate = record->clock_rate;
    packet->index = record->index;
    packet->epoch = record->epoch;
    packet->arrival = record->arrival;
    packet->format = record->format;
    memcpy(packet->payload, record->payload, record->length + annex);
    if (record->epoch != stream->epoch)
        begin_epoch(mirror, record->epoch);
    stream->last_packet = mirror->source.last_packet = packet->arrival;
    stream->packets_in++;
    stream->octets_in += packet->length + RTP_HEADER_LENGTH;
    mirror->source.clock_rate = packet->clock_rate;
    stream_note_key_frame(stream, packet);
    if (packet->key_frame && !stream->encodings) { /* else they are on the board */
        struct picture_sizes sizes = {0};
        if (packet->descriptor)
            packet_dependency_sizes(packet, &sizes);
        else
            packet_describe_video(packet, key_frame_codec_of_format(packet->format), packet->length,
                                  &sizes);
        if (sizes.n)
            stream_note_sizes(stream, &sizes);
    }
    if (G_UNLIKELY(stream->meter || packet->spatial || packet->temporal))
        stream_measure(stream, packet);
    if (stream->keep_history)
        keep(mirror, packet);
    router_queue(worker, stream, packet);
}

static void take_clock(struct stream_mirror *mirror, struct mirror_end *end,
                       const struct mirror_record *record)
{
    struct mirror_clock clock;
    if (record->epoch != end->stream.epoch)
        return;
    memcpy(&clock, record->payload, sizeof clock);
    struct source *source = &end->source;
    source->ssrc = clock.ssrc;
    source->clock_rate = clock.clock_rate;
    source->has_report = clock.has_report;
    source->report = clock.report;
    source->report_arrival = clock.report_arrival;
    source->anchored = clock.anchored;
    source->anchor_at = clock.anchor_at;
    source->anchor_timestamp = clock.anchor_timestamp;
    mirror->clock = clock.clock;
}

void stream_mirrors_take(struct worker *worker, const struct mirror_record *record)
{
    struct stream_mirror *mirror = find(worker, record->id);
    struct mirror_end *end = mirror ? mirror->ends[record->encoding] : NULL;
    if (!end)
        return;
    if (record->kind == MIRROR_PACKET)
        take_packet(end, record);
    else
        take_clock(mirror, end, record);
}

/* --- what goes back --------------------------------------------------------------------------- */

/* The other worker throttles its requests, and repeats them until a key frame comes: it hears of a
 * new wish at once (but not of every packet that comes too early for somebody), then once per
 * interval. */
void stream_mirror_request_key_frame(struct stream *stream, int64_t now)
{
    struct stream_mirror *mirror = stream->mirror;
    if (!stream_is_used(stream)) /* nobody is waiting any more */
        key_frame_request_satisfied(&stream->key_frames);
    int64_t interval = stream->worker->limits.pli_interval;
    if (stream->key_frames.tries == 0)
        interval = MIN(interval, WORKER_TICK_US);
    if (!key_frame_request_due(&stream->key_frames, now, interval, stream->last_packet))
        return;
    stream_mirror_update(mirror);
    struct command *command = g_new0(struct command, 1);
    command->kind = COMMAND_MIRROR_WANTS;
    command->mirror.id = mirror->id;
    command->mirror.encoding = stream->encoding;
    stream->pli_sent++;
    worker_post(mirror->link->from, command);
}

static bool is_needed(const struct stream *stream)
{
    for (const struct subscription *i = stream->subscribers; i; i = i->next) {
        if (!i->layering || !i->layering->paused)
            return true;
    }
    return stream->waiting;
}

void stream_mirror_update(struct stream_mirror *mirror)
{
    unsigned used = 0;
    if (!mirror->encodings)
        return;
    for (unsigned i = 0; i < mirror->encodings->n; i++)
        used |= mirror->ends[i] && is_needed(&mirror->ends[i]->stream) ? 1u << i : 0;
    if (used == mirror->used)
        return;
    mirror->used = used;
    struct command *command = g_new0(struct command, 1);
    command->kind = COMMAND_MIRROR_USES;
    command->mirror.id = mirror->id;
    command->mirror.encodings = (uint8_t)used;
    worker_post(mirror->link->from, command);
}
