/* SPDX-License-Identifier: Apache-2.0 */
/* A publisher stops and starts encodings as its own bandwidth and CPU allow, without a word. So an
 * encoding counts as silent when others of the same video have gone on for some frames without it;
 * when all are silent nothing is concluded. A publisher that tells which it sends is believed at
 * once. Whoever must know of a change reads one number on the
 * board at its tick: the worker of the publisher and those of the mirrors alike, and no message has
 * to cross. */
#include "wmcf/relay/encodings.h"

#include "wmcf/relay/layering.h"
#include "wmcf/relay/stream-mirror.h"
#include "wmcf/relay/worker.h"

#include <string.h>

#define SILENT_US 300000
#define LEAD_US G_USEC_PER_SEC /* at least so often, for what waits for time */

struct encodings *encodings_new(struct worker *worker, struct encoding_board *board)
{
    struct encodings *encodings = g_new0(struct encodings, 1);
    encodings->worker = worker;
    encodings->board = encoding_board_ref(board);
    encodings->n = board->n;
    encodings->link = &worker->encodings;
    encodings->next = worker->encodings;
    if (encodings->next)
        encodings->next->link = &encodings->next;
    worker->encodings = encodings;
    return encodings;
}

void encodings_free(struct encodings *encodings)
{
    if (!encodings)
        return;
    *encodings->link = encodings->next;
    if (encodings->next)
        encodings->next->link = encodings->link;
    encoding_board_unref(encodings->board);
    g_free(encodings);
}

struct stream *encodings_stream(struct encodings *encodings, unsigned n)
{
    if (!encodings->streams[n])
        stream_mirror_add(encodings->mirror, n);
    return encodings->streams[n];
}

/* --- what changes ----------------------------------------------------------------------------- */

void encodings_lead(struct encodings *encodings, int64_t now)
{
    encodings->seen = atomic_load_explicit(&encodings->board->version, memory_order_acquire);
    encodings->led_at = now;
    for (unsigned i = 0; i < encodings->n; i++) {
        struct subscription *next = NULL;
        struct subscription *at = encodings->streams[i] ? encodings->streams[i]->subscribers : NULL;
        for (; at; at = next) {
            next = at->next; /* it may go to another list, to be led once more there */
            layers_lead(at, now);
        }
    }
    if (encodings->mirror)
        stream_mirror_update(encodings->mirror);
}

static bool fell_silent(const struct encoding_board *board, unsigned n, int64_t now)
{
    const struct layer_meter *meter = &board->meters[n];
    if (now - meter->last_packet < SILENT_US)
        return false;
    for (unsigned i = 0; i < board->n; i++) {
        if (i != n && layer_meter_oldest_frame(&board->meters[i]) > meter->last_packet)
            return true;
    }
    return false;
}

void encodings_told(struct encodings *encodings, unsigned active, int64_t now)
{
    bool changed = false;
    for (unsigned i = 0; i < encodings->n; i++) {
        struct layer_meter *meter = &encodings->board->meters[i];
        if (active >> i & 1 || !atomic_load_explicit(&meter->alive, memory_order_relaxed))
            continue;
        atomic_store_explicit(&meter->alive, false, memory_order_relaxed);
        changed = true;
    }
    if (!changed)
        return;
    encoding_board_changed(encodings->board);
    encodings_lead(encodings, now);
}

static void measure(struct encoding_board *board, int64_t now)
{
    for (unsigned i = 0; i < board->n; i++) {
        struct layer_meter *meter = &board->meters[i];
        layer_meter_tick(meter, now);
        if (!atomic_load_explicit(&meter->alive, memory_order_relaxed) ||
            !fell_silent(board, i, now))
            continue;
        atomic_store_explicit(&meter->alive, false, memory_order_relaxed);
        encoding_board_changed(board);
    }
}

static void end_waits(struct encodings *encodings, int64_t now)
{
    for (unsigned i = 0; i < encodings->n; i++) {
        struct subscription *next = NULL;
        struct subscription *at = encodings->streams[i] ? encodings->streams[i]->waiting : NULL;
        for (; at; at = next) {
            next = at->next_waiting;
            if (now >= at->layering->wait_until)
                layers_give_up(at, now);
        }
    }
}

void encodings_tick(struct worker *worker)
{
    int64_t now = worker->now;
    for (struct encodings *i = worker->encodings; i; i = i->next) {
        if (i->line)
            measure(i->board, now);
        end_waits(i, now);
        if (now - i->led_at >= LEAD_US ||
            i->seen != atomic_load_explicit(&i->board->version, memory_order_acquire))
            encodings_lead(i, now);
        else if (i->mirror)
            stream_mirror_update(i->mirror);
    }
}

/* --- of an m-line ----------------------------------------------------------------------------- */

unsigned media_line_streams(struct media_line *line, struct stream *ret[RELAY_ENCODINGS_MAX + 1])
{
    unsigned n = 0;
    ret[n++] = &line->in;
    for (unsigned i = 0; line->encodings && i < line->encodings->n; i++) {
        if (line->encodings->streams[i] != &line->in)
            ret[n++] = line->encodings->streams[i];
    }
    return n;
}

/* RFC 8852 3.1: by its rid, or that of what it repairs, which come until the sender knows that they
 * are known. */
static const uint8_t *find_rid(const struct relay_media *media, const struct rtp_header *header,
                               size_t *ret_length)
{
    const uint8_t *rid = rtp_extension_find(header, media->rid_extmap, ret_length);
    return rid ? rid : rtp_extension_find(header, media->repaired_rid_extmap, ret_length);
}

struct stream *media_line_stream(struct media_line *line, const struct rtp_header *header)
{
    const struct encodings *encodings = line->encodings;
    const struct relay_media *media = &line->media;
    size_t length;
    const uint8_t *rid = find_rid(media, header, &length);
    for (unsigned i = 0; rid && i < encodings->n; i++) {
        const char *name = encodings->board->rids[i];
        if (strlen(name) == length && memcmp(name, rid, length) == 0)
            return encodings->streams[i];
    }
    /* Without rids, SSRCs that were announced are the encodings in their order. */
    for (guint i = 0; !rid && i < media->n_remote_ssrcs && i < encodings->n; i++) {
        if (media->remote_ssrcs[i] == header->ssrc || media->remote_rtx_ssrcs[i] == header->ssrc)
            return encodings->streams[i];
    }
    return NULL;
}

struct moved { /* a subscription while the encodings change */
    struct subscription *subscription;
    struct stream *from;
};

static GArray *take_subscriptions(struct media_line *line)
{
    GArray *moved = g_array_new(FALSE, FALSE, sizeof(struct moved));
    struct stream *streams[RELAY_ENCODINGS_MAX + 1];
    for (unsigned n = media_line_streams(line, streams); n-- > 0;) {
        while (streams[n]->waiting)
            stream_unwait(streams[n]->waiting);
        while (streams[n]->subscribers) {
            struct moved one = {streams[n]->subscribers, streams[n]};
            stream_remove(one.from, one.subscription);
            g_array_append_val(moved, one);
        }
    }
    return moved;
}

/* Where they were, if that is still there. */
static void return_subscriptions(struct media_line *line, const GArray *moved)
{
    for (guint i = 0; i < moved->len; i++) {
        const struct moved *one = &g_array_index(moved, struct moved, i);
        struct stream *streams[RELAY_ENCODINGS_MAX + 1], *back = NULL;
        for (unsigned n = media_line_streams(line, streams); n-- > 0;) {
            if (streams[n] == one->from && streams[n]->encodings == line->encodings)
                back = streams[n];
        }
        if (back)
            stream_add(back, one->subscription);
        else
            media_line_route(media_line_first(line), one->subscription->line);
    }
}

static struct stream *stream_of_rid(const struct encodings *encodings, const char *rid)
{
    for (unsigned i = 0; encodings && i < encodings->n; i++) {
        if (strcmp(encodings->board->rids[i], rid) == 0)
            return encodings->streams[i];
    }
    return NULL;
}

static void remove_sources(struct worker_leg *leg, const struct stream *stream)
{
    for (unsigned i = leg->n_sources; i-- > 0;) {
        if (leg->sources[i]->stream == stream)
            worker_leg_remove_source(leg, leg->sources[i]);
    }
}

static bool is_among(const struct encodings *encodings, const struct stream *stream)
{
    for (unsigned i = 0; encodings && i < encodings->n; i++) {
        if (encodings->streams[i] == stream)
            return true;
    }
    return false;
}

/* Streams go on by their rid; a new one is the m-line's own if that is free, or made. */
static void fill(struct encodings *encodings, const struct encodings *old, struct media_line *line)
{
    for (unsigned i = 0; i < encodings->n; i++)
        encodings->streams[i] = stream_of_rid(old, encodings->board->rids[i]);
    for (unsigned i = 0; i < encodings->n; i++) {
        struct stream *stream = encodings->streams[i];
        if (!stream && !is_among(encodings, &line->in)) {
            stream = &line->in;
            remove_sources(line->leg, stream); /* it was another encoding, or none */
        } else if (!stream) {
            stream = g_new0(struct stream, 1);
            stream_init(stream, line);
        }
        if (!stream->encodings)
            g_free(stream->meter);
        stream->encodings = encodings;
        stream->encoding = (uint8_t)i;
        stream->meter = &encodings->board->meters[i];
        encodings->streams[i] = stream;
    }
}

void media_line_set_encodings(struct media_line *line, struct encoding_board *board, int64_t now)
{
    struct encodings *old = line->encodings, *new = NULL;
    if (board == (old ? old->board : NULL))
        return;
    g_autoptr(GArray) moved = take_subscriptions(line);
    if (board) {
        new = encodings_new(line->leg->worker, board);
        new->line = line;
        fill(new, old, line);
    }
    for (unsigned i = 0; old && i < old->n; i++) {
        struct stream *stream = old->streams[i];
        if (is_among(new, stream))
            continue;
        remove_sources(line->leg, stream);
        stream->encodings = NULL;
        stream->meter = NULL;
        if (stream == &line->in)
            continue;
        stream_finish(stream);
        g_free(stream);
    }
    line->encodings = new;
    return_subscriptions(line, moved);
    encodings_free(old);
    if (new)
        encodings_lead(new, now);
}
