/* SPDX-License-Identifier: Apache-2.0 */
/* One decode target is forwarded, frame by frame as its indications say. Fewer layers begin at once
 * where those who decode the present target can decode the other one; any other target begins at a
 * frame that is a switch to it (A.5) if everything that this frame is predicted from was forwarded,
 * which is looked up frame by frame, so that chains need not be followed. Where no such frame can
 * come (more spatial layers; other ones, where each goes its own way from key frame to key frame) a
 * key frame is asked for, and until then what is too much is made less by temporal layers. Frame
 * numbers keep their gaps: a receiver is told by the descriptors what it needs. */
#include "wmcf/relay/frame-filter.h"

#include "wmcf/relay/layer-filter.h"

#include <glib.h>
#include <string.h>

#define TOLD 0x100 /* beside the pair: this frame tells which decode targets are active */

static unsigned present(const struct layer_filter *filter)
{
    return dependency_pair(filter->spatial, filter->temporal);
}

static void set_present(struct layer_filter *filter, unsigned pair)
{
    filter->spatial = (uint8_t)(pair / PAIR_TEMPORAL);
    filter->temporal = (uint8_t)(pair % PAIR_TEMPORAL);
}

static struct filtered_picture *slot_of(struct layer_filter *filter, uint16_t number)
{
    return &filter->pictures[number & (FILTER_PICTURES - 1)];
}

static const struct filtered_picture *find(const struct layer_filter *filter, uint16_t number)
{
    const struct filtered_picture *slot = &filter->pictures[number & (FILTER_PICTURES - 1)];
    return slot->known && slot->in == number ? slot : NULL;
}

/* --- which ------------------------------------------------------------------------------------ */

/* The best decode target that is active within both; else the least there is. */
static unsigned target_of(const struct dependency_frame *frame, unsigned spatial, unsigned temporal)
{
    uint16_t among =
        frame->targets & frame->active ? frame->targets & frame->active : frame->targets;
    int least = -1;
    for (int pair = PAIRS - 1; pair >= 0; pair--) {
        if (!(among >> pair & 1))
            continue;
        if ((unsigned)pair / PAIR_TEMPORAL <= spatial && (unsigned)pair % PAIR_TEMPORAL <= temporal)
            return (unsigned)pair;
        least = pair;
    }
    return least < 0 ? 0 : (unsigned)least;
}

static bool is_within(const struct dependency_frame *frame, unsigned part, unsigned whole)
{
    if (part % PAIR_TEMPORAL > whole % PAIR_TEMPORAL)
        return false;
    return part / PAIR_TEMPORAL == whole / PAIR_TEMPORAL
               ? frame->flags & FRAME_STEPS
               : part / PAIR_TEMPORAL < whole / PAIR_TEMPORAL && frame->flags & FRAME_NESTED;
}

/* Everything that it is predicted from was forwarded. */
static bool is_decodable(const struct layer_filter *filter, const struct dependency_frame *frame)
{
    if (frame->flags & FRAME_OPEN)
        return false;
    for (unsigned i = 0; i < frame->n_differences; i++) {
        const struct filtered_picture *slot =
            find(filter, (uint16_t)(frame->number - frame->differences[i]));
        if (!slot || !slot->kept)
            return false;
    }
    return true;
}

static bool try_target(struct layer_filter *filter, const struct dependency_frame *frame,
                       unsigned pair, bool begins)
{
    if (pair == present(filter))
        return true;
    bool less = begins && is_within(frame, pair, present(filter));
    if (!less && (dependency_frame_indication(frame, pair) != DEPENDENCY_SWITCH ||
                  !is_decodable(filter, frame)))
        return false;
    set_present(filter, pair);
    return true;
}

/* `begins`: with a new picture. */
static void choose(struct layer_filter *filter, const struct dependency_frame *frame, bool begins)
{
    unsigned wanted = target_of(frame, filter->spatial_wanted, filter->temporal_wanted);
    filter->frames.wants_key = false;
    if (try_target(filter, frame, wanted, begins))
        return;
    unsigned spatial = present(filter) / PAIR_TEMPORAL;
    filter->frames.wants_key = wanted / PAIR_TEMPORAL != spatial;
    /* Within the present spatial layer as near as can be. */
    unsigned temporal = wanted / PAIR_TEMPORAL < spatial ? 0 : filter->temporal_wanted;
    for (unsigned near = target_of(frame, spatial, temporal); near / PAIR_TEMPORAL == spatial;
         near--) {
        if (frame->targets >> near & 1 && try_target(filter, frame, near, begins))
            return;
        if (near % PAIR_TEMPORAL == 0)
            return;
    }
}

/* --- as what ---------------------------------------------------------------------------------- */

static void forget(struct layer_filter *filter, uint16_t number)
{
    uint16_t passed = (uint16_t)(number - filter->frames.last_in);
    for (unsigned i = 0; i < passed && i < FILTER_PICTURES; i++)
        slot_of(filter, (uint16_t)(number - i))->known = false;
}

/* With a key frame; or with any where nothing was left out before, which all can be decoded. */
static void begin(struct layer_filter *filter, const struct dependency_frame *frame)
{
    struct frame_filter *frames = &filter->frames;
    if (frames->numbered)
        frames->offset = (uint16_t)(frames->last_out + 1 - frame->number);
    frames->last_in = (uint16_t)(frame->number - 1);
    frames->n_targets = 0;
    frames->wants_key = frames->tell = false;
    frames->chosen = true;
    set_present(filter, target_of(frame, filter->spatial_wanted, filter->temporal_wanted));
}

/* Another slot for what had one before would not say how it was sent. */
static const struct filtered_picture too_old;

static const struct filtered_picture *take_frame(struct layer_filter *filter,
                                                 const struct packet *packet,
                                                 const struct dependency_frame *frame)
{
    struct frame_filter *frames = &filter->frames;
    bool newer = (int16_t)(frame->number - frames->last_in) > 0;
    unsigned before = present(filter);
    if (newer) {
        bool begins = packet->timestamp != filter->timestamp;
        forget(filter, frame->number);
        if (frame->flags & FRAME_STRUCTURE)
            frames->n_targets = (uint8_t)packet_dependency_pairs(packet, frames->pairs);
        choose(filter, frame, begins);
        frames->last_in = frame->number;
        filter->timestamp = packet->timestamp;
    }
    if (newer)
        frames->tell |=
            frame->flags & (FRAME_STRUCTURE | FRAME_ACTIVE) || present(filter) != before;
    else if ((uint16_t)(frames->last_in - frame->number) >= FILTER_PICTURES)
        return &too_old;
    bool kept = dependency_frame_indication(frame, present(filter)) != DEPENDENCY_NOT_PRESENT;
    bool tells = newer && kept && frames->tell;
    struct filtered_picture *slot = slot_of(filter, frame->number);
    *slot = (struct filtered_picture){.in = frame->number,
                                      .offset = (uint16_t)(present(filter) | (tells ? TOLD : 0)),
                                      .known = true,
                                      .kept = kept,
                                      .from = packet->index};
    if (tells)
        frames->tell = false;
    if (newer && slot->kept)
        frames->last_out = (uint16_t)(frame->number + frames->offset);
    frames->numbered = true;
    return slot;
}

/* The last packet of the highest layer that is forwarded ends the picture (AV1 RTP 4.2). */
static bool marks(const struct packet *packet, const struct filtered_picture *slot)
{
    return packet->marker || (packet->layer_flags & PACKET_FRAME_ENDS &&
                              packet->spatial == (slot->offset & ~TOLD) / PAIR_TEMPORAL);
}

bool frame_filter_take(struct layer_filter *filter, const struct packet *packet,
                       const struct dependency_frame *frame, bool *ret_marker)
{
    if (!filter->frames.chosen)
        begin(filter, frame);
    const struct filtered_picture *slot = find(filter, frame->number);
    if (!slot)
        slot = take_frame(filter, packet, frame);
    if (slot->kept)
        *ret_marker = marks(packet, slot);
    return slot->kept;
}

bool frame_filter_remembers(const struct layer_filter *filter, const struct packet *packet,
                            const struct dependency_frame *frame)
{
    const struct filtered_picture *slot = find(filter, frame->number);
    return slot && packet->index >= slot->from;
}

bool frame_filter_marker(const struct layer_filter *filter, const struct packet *packet,
                         const struct dependency_frame *frame, bool *ret_marker)
{
    const struct filtered_picture *slot = find(filter, frame->number);
    *ret_marker = slot ? marks(packet, slot) : packet->marker;
    return slot && !(slot->offset & TOLD && packet->layer_flags & PACKET_FRAME_BEGINS);
}

/* The publisher's decode targets that can be decoded from what is forwarded; 0 = not known. */
static uint32_t active_of(const struct frame_filter *frames, const struct dependency_frame *frame,
                          unsigned pair)
{
    uint32_t ret = 0;
    for (unsigned i = 0; frames->n_targets == frame->n_targets && i < frames->n_targets; i++) {
        unsigned at = frames->pairs[i];
        if (frame->active >> at & 1 && (at == pair || is_within(frame, at, pair)))
            ret |= 1u << i;
    }
    return ret;
}

const uint8_t *frame_filter_descriptor(const struct layer_filter *filter,
                                       const struct packet *packet, uint8_t *copy,
                                       size_t *ret_length)
{
    const struct frame_filter *frames = &filter->frames;
    const uint8_t *own = packet_descriptor(packet);
    struct dependency_frame frame;
    size_t length = 0;
    *ret_length = packet->descriptor;
    if (!packet_dependency(packet, &frame))
        return own;
    const struct filtered_picture *slot = find(filter, frame.number);
    uint32_t active = slot && slot->offset & TOLD && packet->layer_flags & PACKET_FRAME_BEGINS
                          ? active_of(frames, &frame, slot->offset & ~TOLD)
                          : 0;
    if (active)
        length = dependency_descriptor_activate(own, packet->descriptor, frames->n_targets, active,
                                                copy);
    if (!length && frames->offset == 0)
        return own;
    if (length)
        *ret_length = length;
    else
        memcpy(copy, own, packet->descriptor);
    uint16_t number = (uint16_t)(frame.number + frames->offset);
    copy[1] = (uint8_t)(number >> 8);
    copy[2] = (uint8_t)number;
    return copy;
}
