/* SPDX-License-Identifier: Apache-2.0 */
/* Down at once, up where the stream says that nothing is missing then. A VP8 decoder waits for
 * pictures that it has not seen, so ids close up over what is left out; each picture's share is
 * remembered, since its packets, and repetitions of them, have to get the same number again. */
#include "wmcf/relay/layer-filter.h"

#include "wmcf/relay/layer-meter.h"
#include "wmcf/relay/vp8-descriptor.h"
#include "wmcf/relay/vp9-descriptor.h"

#include <glib.h>
#include <string.h>

#define PICTURE_MASK 0x7fff

struct numbers { /* in a payload */
    bool has_picture;
    unsigned bits;
    uint16_t picture;
    uint8_t level;
};

static size_t clear_length(const struct packet *packet)
{
    return packet->length - (packet->padding ? packet->payload[packet->length - 1] : 0);
}

static bool read_numbers(enum key_frame_codec codec, const struct packet *packet,
                         struct numbers *ret)
{
    struct vp8_descriptor vp8;
    struct vp9_descriptor vp9;
    if (codec == KEY_FRAME_VP8 &&
        vp8_descriptor_parse(packet->payload, clear_length(packet), &vp8) && vp8.picture_at) {
        *ret = (struct numbers){true, vp8.picture_bits, vp8.picture, vp8.level};
        return true;
    }
    if (codec == KEY_FRAME_VP9 &&
        vp9_descriptor_parse(packet->payload, clear_length(packet), &vp9) && vp9.picture_at) {
        *ret = (struct numbers){true, vp9.picture_bits, vp9.picture, vp9.level};
        return true;
    }
    return false;
}

/* a - b on the circle of `bits`. */
static int distance(uint16_t a, uint16_t b, unsigned bits)
{
    unsigned mask = (1u << bits) - 1, difference = (unsigned)(a - b) & mask;
    return difference > mask / 2 ? (int)difference - (int)mask - 1 : (int)difference;
}

static struct filtered_picture *slot_of(struct layer_filter *filter, uint16_t picture)
{
    return &filter->pictures[picture & (FILTER_PICTURES - 1)];
}

void layer_filter_begin(struct layer_filter *filter, const struct packet *packet)
{
    struct numbers numbers;
    filter->codec = key_frame_codec_of_format(packet->format);
    filter->spatial = filter->spatial_wanted;
    filter->temporal = filter->temporal_wanted;
    filter->timestamp = packet->timestamp;
    filter->from = packet->index;
    memset(filter->pictures, 0, sizeof filter->pictures);
    filter->frames.chosen = filter->frames.wants_key = false;
    if (!read_numbers(filter->codec, packet, &numbers))
        return;
    if (filter->numbered) {
        filter->offset = (uint16_t)(filter->last_out + 1 - numbers.picture) & PICTURE_MASK;
        filter->level_offset = (uint8_t)(filter->last_level + 1 - numbers.level);
    }
    filter->last_in = (uint16_t)(numbers.picture - 1);
}

void layer_filter_join(struct layer_filter *filter, const struct packet *packet)
{
    layer_filter_begin(filter, packet);
    filter->spatial = SPATIAL_LAYERS - 1;
    filter->temporal = TEMPORAL_LAYERS - 1;
}

/* --- which ------------------------------------------------------------------------------------ */

/* RFC 7741 4.2, Y: it depends on the base layer alone; RFC 9628 4.2, U: what is above and follows
 * depends on nothing before. One step at a time: of what lies between nothing is known. */
static void go_up(struct layer_filter *filter, const struct packet *packet)
{
    if (packet->layer_flags & PACKET_UP && packet->temporal == filter->temporal + 1 &&
        packet->temporal <= filter->temporal_wanted)
        filter->temporal = packet->temporal;
    /* A spatial layer that begins without its own past. */
    if (filter->codec == KEY_FRAME_VP9 && !(packet->layer_flags & PACKET_PREDICTED) &&
        packet->spatial == filter->spatial + 1 && packet->spatial <= filter->spatial_wanted)
        filter->spatial = packet->spatial;
}

static void begin_picture(struct layer_filter *filter, const struct packet *packet)
{
    filter->timestamp = packet->timestamp;
    filter->spatial = MIN(filter->spatial, filter->spatial_wanted);
    filter->temporal = MIN(filter->temporal, filter->temporal_wanted);
    if (!packet->key_frame)
        return;
    filter->spatial = filter->spatial_wanted;
    filter->temporal = filter->temporal_wanted;
}

/* Further back than that the clock has been set; nearer, the packet is late. */
#define LATE_TICKS (5 * 90000)

static bool judge(struct layer_filter *filter, const struct packet *packet)
{
    int32_t ahead = (int32_t)(packet->timestamp - filter->timestamp);
    if (ahead > 0 || (packet->key_frame && (ahead == 0 || ahead < -LATE_TICKS)))
        begin_picture(filter, packet);
    if (ahead >= 0 && packet->layer_flags & PACKET_FRAME_BEGINS)
        go_up(filter, packet);
    return packet->spatial <= filter->spatial && packet->temporal <= filter->temporal;
}

/* --- as what ---------------------------------------------------------------------------------- */

/* One that comes late has the place that its successor left for it. */
static uint16_t offset_of_late(struct layer_filter *filter, const struct numbers *numbers)
{
    for (unsigned i = 1; i < FILTER_PICTURES / 2; i++) {
        uint16_t picture = (uint16_t)(numbers->picture + i);
        const struct filtered_picture *slot =
            slot_of(filter, picture & ((1u << numbers->bits) - 1));
        if (slot->known && distance(slot->in, numbers->picture, numbers->bits) == (int)i)
            return slot->offset;
    }
    return filter->offset;
}

/* Half of the list is behind the newest picture, the other half is forgotten. */
static void forget_ahead(struct layer_filter *filter, const struct numbers *numbers, int passed)
{
    for (int i = 0; i < MIN(passed, FILTER_PICTURES); i++)
        slot_of(filter, (uint16_t)(numbers->picture + FILTER_PICTURES / 2 - i))->known = false;
}

static bool take_picture(struct layer_filter *filter, const struct packet *packet,
                         const struct numbers *numbers)
{
    struct filtered_picture *slot = slot_of(filter, numbers->picture);
    if (slot->known && slot->in == numbers->picture)
        return slot->kept;
    int passed = distance(numbers->picture, filter->last_in, numbers->bits);
    bool late = passed <= 0, kept = judge(filter, packet);
    if (!late)
        forget_ahead(filter, numbers, passed);
    *slot =
        (struct filtered_picture){.in = numbers->picture,
                                  .offset = late ? offset_of_late(filter, numbers) : filter->offset,
                                  .known = true,
                                  .kept = kept,
                                  .from = packet->index};
    if (late)
        return kept;
    filter->last_in = numbers->picture;
    if (kept)
        filter->last_out = (uint16_t)(numbers->picture + filter->offset) & PICTURE_MASK;
    else
        filter->offset = (uint16_t)(filter->offset - 1) & PICTURE_MASK;
    filter->numbered = true;
    filter->last_level = (uint8_t)(numbers->level + filter->level_offset);
    return kept;
}

/* VP9 pictures are told apart by their layers as well, and keep their distances. */
static void note_picture(struct layer_filter *filter, const struct numbers *numbers)
{
    if (distance(numbers->picture, filter->last_in, numbers->bits) <= 0)
        return;
    filter->last_in = numbers->picture;
    filter->last_out = (uint16_t)(numbers->picture + filter->offset) & PICTURE_MASK;
    filter->last_level = (uint8_t)(numbers->level + filter->level_offset);
    filter->numbered = true;
}

bool layer_filter_take(struct layer_filter *filter, const struct packet *packet, bool *ret_marker)
{
    struct numbers numbers;
    struct dependency_frame frame;
    if (packet_dependency(packet, &frame))
        return frame_filter_take(filter, packet, &frame, ret_marker);
    if (packet->descriptor || filter->codec == KEY_FRAME_AV1) /* of which nothing is known */
        return true;
    bool numbered = read_numbers(filter->codec, packet, &numbers);
    if (numbered && filter->codec == KEY_FRAME_VP8)
        return take_picture(filter, packet, &numbers);
    if (!judge(filter, packet))
        return false;
    if (numbered)
        note_picture(filter, &numbers);
    /* RFC 9628 4.1: the marker is on the last packet of the picture, of what is left of it. */
    if (packet->layer_flags & PACKET_FRAME_ENDS && packet->spatial == filter->spatial)
        *ret_marker = true;
    return true;
}

/* The offset that a picture was sent with; false: it is not known any more. *ret_from: the packet
 * since which it is that. */
static bool offset_of(const struct layer_filter *filter, const struct numbers *numbers,
                      uint16_t *ret, uint64_t *ret_from)
{
    *ret = filter->offset;
    *ret_from = filter->from;
    if (filter->codec == KEY_FRAME_VP9)
        return true;
    const struct filtered_picture *slot =
        &filter->pictures[numbers->picture & (FILTER_PICTURES - 1)];
    *ret = slot->offset;
    *ret_from = slot->from;
    return slot->known && slot->in == numbers->picture;
}

const uint8_t *layer_filter_payload(const struct layer_filter *filter, const struct packet *packet,
                                    uint8_t *copy)
{
    struct numbers numbers;
    uint16_t offset;
    uint64_t from;
    if (!read_numbers(filter->codec, packet, &numbers) ||
        !offset_of(filter, &numbers, &offset, &from) || (offset == 0 && filter->level_offset == 0))
        return packet->payload;
    struct vp8_descriptor vp8;
    struct vp9_descriptor vp9;
    uint16_t picture = (uint16_t)(numbers.picture + offset);
    uint8_t level = (uint8_t)(numbers.level + filter->level_offset);
    memcpy(copy, packet->payload, packet->length);
    if (filter->codec == KEY_FRAME_VP8 && vp8_descriptor_parse(copy, clear_length(packet), &vp8))
        vp8_descriptor_patch(&vp8, copy, picture, level);
    if (filter->codec == KEY_FRAME_VP9 && vp9_descriptor_parse(copy, clear_length(packet), &vp9))
        vp9_descriptor_patch(&vp9, copy, picture, level);
    return copy;
}

bool layer_filter_remembers(const struct layer_filter *filter, const struct packet *packet)
{
    struct numbers numbers;
    struct dependency_frame frame;
    uint16_t offset;
    uint64_t from;
    if (packet_dependency(packet, &frame))
        return frame_filter_remembers(filter, packet, &frame);
    return !read_numbers(filter->codec, packet, &numbers) ||
           (offset_of(filter, &numbers, &offset, &from) && packet->index >= from);
}

bool layer_filter_marker(const struct layer_filter *filter, const struct packet *packet,
                         bool *ret_marker)
{
    struct dependency_frame frame;
    if (packet_dependency(packet, &frame))
        return frame_filter_marker(filter, packet, &frame, ret_marker);
    bool may = packet->layer_flags & PACKET_FRAME_ENDS && !packet->marker;
    *ret_marker = packet->marker || (may && packet->spatial == filter->spatial);
    return !may;
}

const uint8_t *layer_filter_descriptor(const struct layer_filter *filter,
                                       const struct packet *packet, uint8_t *copy,
                                       size_t *ret_length)
{
    return frame_filter_descriptor(filter, packet, copy, ret_length);
}
