/* SPDX-License-Identifier: Apache-2.0 */
/* Rates are of windows of half a second, smoothed over two: quick enough for an allocation that
 * runs several times a second, and steady over key frames. One writer per meter, so its numbers are
 * plain stores that any thread may load. */
#include "wmcf/relay/layer-meter.h"

#include <glib.h>
#include <string.h>

#define WINDOW_US 500000
#define FIRST_WINDOW_US 100000
#define OVERHEAD 54 /* octets around a payload: IP, UDP, RTP with extensions, tag */

static uint32_t load(const _Atomic uint32_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

static void close_window(struct layer_meter *meter, int64_t now)
{
    int64_t passed = now - meter->window;
    for (unsigned s = 0; s < SPATIAL_LAYERS; s++) {
        for (unsigned t = 0; t < TEMPORAL_LAYERS; t++) {
            uint64_t rate = (uint64_t)meter->octets[s][t] * 8000000u / (uint64_t)passed;
            uint64_t before = load(&meter->rate[s][t]);
            /* The first window of a layer is all that is known of it. */
            uint64_t smooth = before && rate ? (before + rate) / 2 : rate;
            atomic_store_explicit(&meter->rate[s][t], (uint32_t)MIN(smooth, UINT32_MAX),
                                  memory_order_relaxed);
            meter->octets[s][t] = 0;
        }
    }
    meter->window = now;
    meter->measured = true;
}

/* A layer may need less than all that is below it, where dependency descriptors tell. */
static void count(struct layer_meter *meter, const struct packet *packet)
{
    uint32_t octets = packet->length + OVERHEAD;
    struct dependency_frame frame;
    bool whole = packet_dependency(packet, &frame);
    atomic_store_explicit(&meter->whole, whole, memory_order_relaxed);
    if (!whole) {
        meter->octets[packet->spatial][packet->temporal] += octets;
        return;
    }
    for (unsigned pair = 0; pair < PAIRS; pair++) {
        if (frame.targets >> pair & 1 &&
            dependency_frame_indication(&frame, pair) != DEPENDENCY_NOT_PRESENT)
            meter->octets[pair / PAIR_TEMPORAL][pair % PAIR_TEMPORAL] += octets;
    }
}

bool layer_meter_packet(struct layer_meter *meter, const struct packet *packet)
{
    /* A repetition may come when the encoding has ended. */
    bool woke = !packet->recovered && !atomic_load_explicit(&meter->alive, memory_order_relaxed);
    if (!meter->window)
        meter->window = packet->arrival;
    if (packet->arrival - meter->window >= (meter->measured ? WINDOW_US : FIRST_WINDOW_US))
        close_window(meter, packet->arrival);
    count(meter, packet);
    if (packet->timestamp != meter->timestamp || !meter->last_packet) {
        meter->timestamp = packet->timestamp;
        meter->frames[meter->frame] = packet->arrival;
        meter->frame = (meter->frame + 1) % METER_FRAMES;
    }
    meter->last_packet = packet->arrival;
    if (woke)
        atomic_store_explicit(&meter->alive, true, memory_order_relaxed);
    return woke;
}

void layer_meter_tick(struct layer_meter *meter, int64_t now)
{
    if (meter->window && now - meter->window >= 2 * WINDOW_US)
        close_window(meter, now);
}

bool layer_meter_sizes(struct layer_meter *meter, const uint32_t *sizes, unsigned n)
{
    bool changed = false;
    for (unsigned i = 0; i < SPATIAL_LAYERS; i++) {
        uint32_t size = i < n ? sizes[i] : 0;
        changed |= size != load(&meter->size[i]);
        atomic_store_explicit(&meter->size[i], size, memory_order_relaxed);
    }
    return changed;
}

uint32_t layer_meter_size(const struct layer_meter *meter, unsigned spatial)
{
    uint32_t ret = 0;
    for (unsigned s = 0; s <= spatial && s < SPATIAL_LAYERS; s++) {
        uint32_t size = load(&meter->size[s]);
        if (size)
            ret = size;
    }
    return ret;
}

/* Of the best decode target within both. */
static uint32_t rate_of_target(const struct layer_meter *meter, unsigned spatial, unsigned temporal)
{
    for (unsigned s = MIN(spatial, SPATIAL_LAYERS - 1) + 1; s-- > 0;) {
        for (unsigned t = MIN(temporal, TEMPORAL_LAYERS - 1) + 1; t-- > 0;) {
            if (load(&meter->rate[s][t]))
                return load(&meter->rate[s][t]);
        }
    }
    return 0;
}

uint32_t layer_meter_rate(const struct layer_meter *meter, unsigned spatial, unsigned temporal)
{
    if (atomic_load_explicit(&meter->whole, memory_order_relaxed))
        return rate_of_target(meter, spatial, temporal);
    uint64_t sum = 0;
    for (unsigned s = 0; s <= spatial && s < SPATIAL_LAYERS; s++) {
        for (unsigned t = 0; t <= temporal && t < TEMPORAL_LAYERS; t++)
            sum += load(&meter->rate[s][t]);
    }
    return (uint32_t)MIN(sum, UINT32_MAX);
}

struct encoding_board *encoding_board_new(const struct relay_media *media)
{
    struct encoding_board *board = g_new0(struct encoding_board, 1);
    atomic_init(&board->refs, 1);
    board->n = MIN(media->n_rids, RELAY_ENCODINGS_MAX);
    memcpy(board->rids, media->rids, sizeof board->rids);
    return board;
}

struct encoding_board *encoding_board_ref(struct encoding_board *board)
{
    if (board)
        atomic_fetch_add_explicit(&board->refs, 1, memory_order_relaxed);
    return board;
}

void encoding_board_unref(struct encoding_board *board)
{
    if (board && atomic_fetch_sub_explicit(&board->refs, 1, memory_order_acq_rel) == 1)
        g_free(board);
}

bool encoding_board_serves(const struct encoding_board *board, const struct relay_media *media)
{
    unsigned n = media->kind == RELAY_VIDEO && media->n_rids > 1
                     ? MIN(media->n_rids, RELAY_ENCODINGS_MAX)
                     : 0;
    if (!board || n != board->n)
        return !board && n == 0;
    for (unsigned i = 0; i < n; i++) {
        if (strcmp(board->rids[i], media->rids[i]) != 0)
            return false;
    }
    return true;
}
