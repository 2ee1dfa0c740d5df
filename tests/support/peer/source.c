/* SPDX-License-Identifier: Apache-2.0 */
/* Generated media. Video keeps a credit of octets filled by the bitrate: a frame takes whole
 * packets of one size from it, a key frame takes several times as many and the frames after it pay
 * it back, so the mean is exact and bursts are like those of an encoder. The VP8 payload descriptor
 * (RFC 7741 4.2) and frame header are real and, where packets are long enough, so is what a decoder
 * reads of a frame (vp8.h); the rest is pattern. */
#include "tests/support/peer/source.h"

#include "tests/support/peer/wide.h"

#include "tests/support/peer/vp8.h"

#include <string.h>

#define AUDIO_INTERVAL_US 20000
#define AUDIO_SAMPLES 960
#define SILENT 127         /* -dBov, RFC 6464 */
#define CATCH_UP_US 200000 /* a longer stall is not made good */

struct peer_history {
    struct {
        guint16 sequence, length;
        guint8 data[1500];
    } packets[PEER_HISTORY];
};

void peer_source_init(struct peer_source *source, const struct peer_media_config *config)
{
    memset(source, 0, sizeof *source);
    source->config = *config;
    struct peer_media_config *c = &source->config;
    bool video = c->kind == PEER_VIDEO;
    c->bitrate = c->bitrate ? c->bitrate : 1000000;
    c->fps = c->fps ? c->fps : 30;
    c->packet_size = c->packet_size ? c->packet_size : (video ? 1200 : 100);
    c->packet_size = CLAMP(c->packet_size, 72u, 1450u);
    c->key_factor = c->key_factor ? c->key_factor : 3;
    source->clock_rate = video ? 90000 : 48000;
    source->interval_us = video ? (gint64)G_USEC_PER_SEC / c->fps : AUDIO_INTERVAL_US;
    source->ssrc = g_random_int();
    source->sequence = (guint16)g_random_int();
    source->rtx_ssrc = g_random_int();
    source->rtx_sequence = (guint16)g_random_int();
    source->timestamp_base = g_random_int();
    source->picture_id = (guint16)(g_random_int() & 0x7fff);
    source->stats.ssrc = source->ssrc;
    source->stats.kind = c->kind;
    if (c->nack)
        source->history = g_new0(struct peer_history, 1);
}

void peer_source_finish(struct peer_source *source)
{
    g_clear_pointer(&source->payloads, g_ptr_array_unref);
    g_clear_pointer(&source->history, g_free);
}

void peer_source_start(struct peer_source *source, gint64 now)
{
    if (!source->base_us)
        source->base_us = now;
    /* peers that start together do not send together */
    source->next_us = now + g_random_int_range(0, (gint32)source->interval_us);
    source->credit = 0;
    source->frame_left = 0;
    source->key_wanted = true;
}

guint32 peer_source_timestamp(const struct peer_source *source, gint64 now)
{
    return source->timestamp_base +
           (guint32)((now - source->base_us) * (gint64)source->clock_rate / G_USEC_PER_SEC);
}

/* Three temporal layers, 0 2 1 2: the first frame of layer 2 and that of layer 1 need layer 0 alone
 * (RFC 7741 4.2, Y). */
static void place_frame(struct peer_source *source)
{
    static const guint8 layers[] = {0, 2, 1, 2};
    source->place = source->frame_key ? 0 : (source->place + 1) % G_N_ELEMENTS(layers);
    source->temporal = layers[source->place];
    source->temporal_sync = source->place == 1 || source->place == 2;
    source->base_pictures += source->temporal == 0;
}

/* `room`: octets of the payload, its trailer included. */
static gsize write_vp8_start(struct peer_source *source, guint8 *p, gsize room, bool first)
{
    p[0] = first ? 0x90 : 0x80;                   /* X, and S at the first packet of partition 0 */
    p[1] = source->config.temporal ? 0xe0 : 0x80; /* I, with layers L and T */
    peer_put16(p + 2, 0x8000u | source->picture_id);
    gsize n = 4;
    if (source->config.temporal) {
        p[n++] = source->base_pictures;
        p[n++] = (guint8)(source->temporal << 6 | (source->temporal_sync ? 0x20 : 0));
    }
    if (!first)
        return n;
    /* RFC 6386 9.1: frame tag, shown, size of the first partition */
    gsize size = peer_vp8_size(source->frame_key, source->config.halvings);
    bool shown = room >= n + 10 + PEER_VP8_KEY + PEER_TRAILER;
    guint32 tag = (source->frame_key ? 0u : 1u) | 1u << 4 | (shown ? (guint32)size : 64u) << 5;
    p[n++] = (guint8)tag;
    p[n++] = (guint8)(tag >> 8);
    p[n++] = (guint8)(tag >> 16);
    if (source->frame_key) {
        guint width = PEER_VP8_WIDTH >> source->config.halvings;
        guint height = PEER_VP8_HEIGHT >> source->config.halvings;
        const guint8 start[] = {0x9d,
                                0x01,
                                0x2a,
                                (guint8)width,
                                (guint8)(width >> 8),
                                (guint8)height,
                                (guint8)(height >> 8)};
        memcpy(p + n, start, sizeof start);
        n += sizeof start;
    }
    return shown ? n + peer_vp8_write(p + n, source->frame_key, source->config.halvings) : n;
}

static int level_now(const struct peer_source *source, gint64 now)
{
    int level = SILENT;
    for (guint i = 0; i < source->n_speech && source->speech[i].at_us <= now; i++)
        level = source->speech[i].level;
    return level;
}

static bool emit_packet(struct peer_source *source, bool first, bool marker, guint32 timestamp,
                        gint64 now, const struct peer_source_ops *ops, void *user)
{
    guint8 *packet = ops->room(user);
    if (!packet)
        return false;
    gsize header = peer_rtp_write_header(packet, source->pt, marker, source->sequence, timestamp,
                                         source->ssrc, source->mid_extension, source->mid);
    if (source->rid_extension)
        header = peer_rtp_add_extension(packet, header, source->rid_extension, &source->rid, 1);
    int level = level_now(source, now);
    if (source->level_extension && level >= 0)
        header = peer_rtp_add_extension(packet, header, source->level_extension,
                                        &(guint8){(guint8)level}, 1);
    if (source->wide_extension)
        header = peer_wide_add(packet, header, source->wide_extension);
    guint8 *payload = packet + header;
    gsize length = source->config.packet_size - header, from = 1;
    if (source->config.kind == PEER_VIDEO)
        from = write_vp8_start(source, payload, length, first);
    else
        payload[0] = 0x78; /* RFC 6716 3.1: CELT fullband 20 ms, one frame */
    struct peer_trailer trailer = {.counter = source->counter,
                                   .origin = source->ssrc,
                                   .sent_us = source->clock_us ? source->clock_us : now};
    if (source->payloads) {
        GBytes *given = source->payloads->pdata[source->counter % source->payloads->len];
        length = g_bytes_get_size(given);
        memcpy(payload, g_bytes_get_data(given, NULL), length);
    } else {
        peer_payload_fill(payload, from, length, &trailer);
    }
    source->sequence++;
    source->counter++;
    source->stats.packets++;
    source->stats.octets += header + length;
    ops->emit(source, header + length, user);
    return true;
}

static gint64 tick_audio(struct peer_source *source, gint64 now, const struct peer_source_ops *ops,
                         void *user)
{
    while (source->next_us <= now) {
        guint32 timestamp = source->timestamp_base + source->counter * AUDIO_SAMPLES;
        if (!emit_packet(source, true, source->counter == 0, timestamp, now, ops, user))
            return now;
        source->stats.frames++;
        source->next_us += AUDIO_INTERVAL_US;
    }
    return source->next_us;
}

static void begin_frame(struct peer_source *source, gint64 now)
{
    gint64 size = source->config.packet_size;
    source->credit += (gint64)source->config.bitrate / 8 / source->config.fps;
    source->frame_key = source->key_wanted;
    source->key_wanted = false;
    gint64 packets = MAX((source->credit + size / 2) / size, 1);
    if (source->frame_key)
        packets = MAX(packets, (gint64)source->config.bitrate / 8 / source->config.fps / size) *
                  source->config.key_factor;
    if (source->payloads)
        packets = 1;
    source->credit -= packets * size;
    source->frame_left = (guint)packets;
    source->frame_begun = false;
    source->frame_timestamp = peer_source_timestamp(source, now);
    source->picture_id = (source->picture_id + 1) & 0x7fff;
    place_frame(source);
    source->stats.frames++;
    source->stats.key_frames += source->frame_key;
}

static gint64 tick_video(struct peer_source *source, gint64 now, const struct peer_source_ops *ops,
                         void *user)
{
    for (;;) {
        while (source->frame_left) {
            if (!emit_packet(source, !source->frame_begun, source->frame_left == 1,
                             source->frame_timestamp, now, ops, user))
                return now;
            source->frame_begun = true;
            source->frame_left--;
        }
        if (source->next_us > now)
            return source->next_us;
        begin_frame(source, source->next_us);
        source->next_us += source->interval_us;
    }
}

gint64 peer_source_tick(struct peer_source *source, gint64 now, const struct peer_source_ops *ops,
                        void *user)
{
    if (now - source->next_us > CATCH_UP_US)
        source->next_us = now;
    return source->config.kind == PEER_VIDEO ? tick_video(source, now, ops, user)
                                             : tick_audio(source, now, ops, user);
}

void peer_source_single(struct peer_source *source, gint64 now, guint32 ssrc, guint16 sequence,
                        guint8 *packet, gsize length)
{
    bool video = source->config.kind == PEER_VIDEO;
    if (!source->base_us) {
        source->base_us = now;
        source->key_wanted = true;
    }
    guint32 timestamp = peer_source_timestamp(source, now);
    gsize header = peer_rtp_write_header(packet, source->pt, video, sequence, timestamp, ssrc,
                                         source->mid_extension, source->mid);
    gsize from = 1;
    if (video) {
        source->frame_key = source->key_wanted;
        source->key_wanted = false;
        source->picture_id = (source->picture_id + 1) & 0x7fff;
        source->stats.key_frames += source->frame_key;
        from = write_vp8_start(source, packet + header, length - header, true);
    } else {
        packet[header] = 0x78;
    }
    struct peer_trailer trailer = {
        .counter = source->counter++, .origin = source->ssrc, .sent_us = now};
    peer_payload_fill(packet + header, from, length - header, &trailer);
    source->stats.packets++;
    source->stats.frames++;
    source->stats.octets += length;
}

void peer_source_remember(struct peer_source *source, guint16 sequence, const guint8 *packet,
                          gsize length)
{
    if (!source->history || length > sizeof source->history->packets[0].data)
        return;
    guint slot = sequence % PEER_HISTORY;
    source->history->packets[slot].sequence = sequence;
    source->history->packets[slot].length = (guint16)length;
    memcpy(source->history->packets[slot].data, packet, length);
}

const guint8 *peer_source_recall(const struct peer_source *source, guint16 sequence,
                                 gsize *ret_length)
{
    if (!source->history)
        return NULL;
    guint slot = sequence % PEER_HISTORY;
    if (!source->history->packets[slot].length ||
        source->history->packets[slot].sequence != sequence)
        return NULL;
    *ret_length = source->history->packets[slot].length;
    return source->history->packets[slot].data;
}

gsize peer_source_wrap(struct peer_source *source, const guint8 *packet, gsize length, guint8 *out)
{
    gsize header = 12;
    if (packet[0] & 0x10)
        header += 4 + 4 * (gsize)peer_get16(packet + 14);
    memcpy(out, packet, header);
    out[1] = (guint8)((packet[1] & 0x80) | source->rtx_pt);
    memcpy(out + header, packet + 2, 2);
    memcpy(out + header + 2, packet + header, length - header);
    peer_put16(out + 2, source->rtx_sequence++);
    peer_put32(out + 8, source->rtx_ssrc);
    return length + 2;
}
