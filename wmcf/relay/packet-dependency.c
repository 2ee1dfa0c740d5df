/* SPDX-License-Identifier: Apache-2.0 */
/* Read once, where the packet comes from the publisher, since only who has followed the stream
 * knows the structure; what is left for subscribers, mirrors and the history needs no structure any
 * more. Decode targets are told by their layers, so that all that chooses layers can go on naming
 * these. The price is 30 octets behind the payload of such packets. */
#include "wmcf/relay/packet-dependency.h"

#include "wmcf/relay/layer-meter.h"

#include <glib.h>
#include <string.h>

_Static_assert(DEPENDENCY_SPATIAL_MAX == SPATIAL_LAYERS && PAIR_TEMPORAL == TEMPORAL_LAYERS,
               "pairs are what meters measure");

static unsigned pair_of(const struct dependency_structure *structure, unsigned target)
{
    return dependency_pair(structure->targets[target].spatial, structure->targets[target].temporal);
}

/* By bit, the templates whose frames belong to a decode target. */
static uint64_t frames_of(const struct dependency_structure *structure, unsigned target)
{
    uint64_t ret = 0;
    for (unsigned i = 0; i < structure->n_templates; i++)
        ret |= (uint64_t)((structure->templates[i].indications >> 2 * target & 3) != 0) << i;
    return ret;
}

static uint8_t nesting(const struct dependency_structure *structure)
{
    uint64_t frames[DEPENDENCY_TARGETS_MAX];
    uint8_t ret = FRAME_STEPS | FRAME_NESTED;
    for (unsigned i = 0; i < structure->n_targets; i++)
        frames[i] = frames_of(structure, i);
    for (unsigned a = 0; a < structure->n_targets; a++) {
        for (unsigned b = 0; b < structure->n_targets; b++) {
            bool same = structure->targets[a].spatial == structure->targets[b].spatial;
            if (structure->targets[a].spatial > structure->targets[b].spatial ||
                structure->targets[a].temporal > structure->targets[b].temporal ||
                !(frames[a] & ~frames[b]))
                continue;
            ret = same ? 0 : (uint8_t)(ret & ~FRAME_NESTED);
        }
    }
    return ret & FRAME_STEPS ? ret : 0;
}

static void fill(struct dependency_frame *frame, const struct dependency_structure *structure,
                 const struct dependency_descriptor *descriptor)
{
    for (unsigned i = 0; i < structure->n_targets; i++) {
        unsigned pair = pair_of(structure, i);
        frame->targets |= (uint16_t)(1u << pair);
        if (structure->active >> i & 1)
            frame->active |= (uint16_t)(1u << pair);
        frame->indications &= ~(3u << 2 * pair);
        frame->indications |= (uint32_t)dependency_indication_of(descriptor, i) << 2 * pair;
    }
    frame->n_targets = structure->n_targets;
    frame->number = descriptor->frame;
    frame->flags = FRAME_KNOWN | structure->nesting;
    if (descriptor->has_structure)
        frame->flags |= FRAME_STRUCTURE;
    else if (descriptor->has_active)
        frame->flags |= FRAME_ACTIVE;
    if (descriptor->differences.more)
        frame->flags |= FRAME_OPEN;
    frame->n_differences = descriptor->differences.n;
    memcpy(frame->differences, descriptor->differences.list, sizeof frame->differences);
}

static void fill_sizes(const struct dependency_structure *structure, struct picture_sizes *ret)
{
    ret->n = structure->widths[0] ? structure->spatial_layers : 0;
    for (unsigned i = 0; i < ret->n; i++)
        ret->sizes[i] = (uint32_t)structure->widths[i] << 16 | structure->heights[i];
}

static void describe(struct packet *packet, const struct dependency_descriptor *descriptor)
{
    packet->spatial = MIN(descriptor->spatial, SPATIAL_LAYERS - 1);
    packet->temporal = MIN(descriptor->temporal, TEMPORAL_LAYERS - 1);
    packet->layer_flags |=
        (descriptor->begins ? PACKET_FRAME_BEGINS : 0) | (descriptor->ends ? PACKET_FRAME_ENDS : 0);
    /* Whatever the payload looks like, it may be encrypted from end to end. */
    if (descriptor->begins && descriptor->has_structure && !descriptor->differences.n)
        packet->key_frame = packet->entry = true;
}

/* Keeps *structure up; returns the one that the descriptor is of. What comes late, by a
 * retransmission, takes nothing back that was told behind it. */
static const struct dependency_structure *follow(struct dependency_structure **structure,
                                                 struct dependency_structure *own,
                                                 const struct dependency_descriptor *descriptor,
                                                 uint64_t index, struct picture_sizes *ret_sizes)
{
    bool late = *structure && index < (*structure)->index;
    if (descriptor->has_structure) {
        own->nesting = nesting(own);
        own->active = descriptor->active;
        own->index = index;
        if (late)
            return own;
        if (!*structure)
            *structure = g_new(struct dependency_structure, 1);
        **structure = *own;
        fill_sizes(own, ret_sizes);
    } else if (descriptor->has_active && !late) {
        (*structure)->active = descriptor->active;
        (*structure)->index = index;
    }
    return *structure;
}

void packet_add_dependency(struct packet *packet, const uint8_t *data, size_t length,
                           struct dependency_structure **structure, struct picture_sizes *ret_sizes)
{
    struct dependency_descriptor descriptor;
    struct dependency_structure own;
    struct dependency_frame frame = {.flags = 0};
    if (length == 0 || length > DEPENDENCY_OCTETS_MAX ||
        packet->length + packet_dependency_room(length) > packet_room(packet))
        return;
    if (dependency_descriptor_parse(data, length, *structure, &descriptor, &own)) {
        fill(&frame, follow(structure, &own, &descriptor, packet->index, ret_sizes), &descriptor);
        describe(packet, &descriptor);
    }
    packet->descriptor = (uint8_t)length;
    memcpy(packet->payload + packet->length, &frame, sizeof frame);
    memcpy(packet->payload + packet->length + sizeof frame, data, length);
}

bool packet_dependency(const struct packet *packet, struct dependency_frame *ret)
{
    if (!packet->descriptor)
        return false;
    memcpy(ret, packet->payload + packet->length, sizeof *ret);
    return ret->flags & FRAME_KNOWN;
}

static bool read_structure(const struct packet *packet, struct dependency_structure *ret)
{
    struct dependency_descriptor descriptor;
    return packet->descriptor &&
           dependency_descriptor_parse(packet_descriptor(packet), packet->descriptor, NULL,
                                       &descriptor, ret);
}

unsigned packet_dependency_pairs(const struct packet *packet, uint8_t ret[DEPENDENCY_TARGETS_MAX])
{
    struct dependency_structure structure;
    if (!read_structure(packet, &structure))
        return 0;
    for (unsigned i = 0; i < structure.n_targets; i++)
        ret[i] = (uint8_t)pair_of(&structure, i);
    return structure.n_targets;
}

void packet_dependency_sizes(const struct packet *packet, struct picture_sizes *ret)
{
    struct dependency_structure structure;
    if (read_structure(packet, &structure))
        fill_sizes(&structure, ret);
}
