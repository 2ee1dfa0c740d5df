/* SPDX-License-Identifier: Apache-2.0 */
/* A publisher's packets with dependency descriptors, as a subscriber gets them that changes its
 * mind. Each packet of the input: an octet with the layers that are wanted (2 + 2 bits), whether it
 * is of a new picture (0x40) and of a new source (0x80); the length of the descriptor; the
 * descriptor. Properties: nothing beyond the input is read; a packet that comes twice has the same
 * fate; what is written is read again, by whoever got the structure, and differs in numbers alone;
 * it is found in a header of either form. */
#include "tests/fuzz/fuzz.h"
#include "wmcf/relay/layer-filter.h"
#include "wmcf/relay/rtp.h"

#include <glib.h>
#include <string.h>

#define PAYLOAD 4
#define NUMBERS_MAX 400 /* packets of one input */

struct run {
    struct layer_filter filter;
    struct dependency_structure *structure;
    uint32_t timestamp;
    bool begun;
};

static void check_header(const uint8_t *data, size_t length, uint8_t id)
{
    struct rtp_extension_block block;
    struct rtp_header header;
    uint8_t packet[RTP_HEADER_LENGTH + RTP_EXTENSIONS_MAX + RTP_ELEMENT_MAX];
    size_t found = 0;
    rtp_extension_block_build(&block, 3, "v", 0);
    rtp_extension_block_add_wide(&block, 5);
    size_t written = rtp_header_write(packet, &(struct rtp_fields){.pt = 96}, &block, -1);
    size_t before = written, wide_at = block.wide_at;
    const struct rtp_element element = {.id = id, .length = (uint8_t)length, .data = data};
    written = rtp_header_append(packet, written, &block, &element, &wide_at);
    g_assert_cmpuint(written, <=, before + rtp_element_cost(&block, length));
    packet[RTP_HEADER_LENGTH + wide_at] = 0xab;
    g_assert_true(rtp_header_parse(packet, written, &header));
    g_assert_cmpuint(header.length, ==, written);
    const uint8_t *octets = rtp_extension_find(&header, id, &found);
    g_assert_cmpmem(octets, found, data, length);
    octets = rtp_extension_find(&header, 3, &found);
    g_assert_cmpmem(octets, found, "v", 1);
    octets = rtp_extension_find(&header, 5, &found);
    g_assert_cmpuint(found, ==, 2);
    g_assert_cmpuint(octets[0], ==, 0xab);
}

/* What the subscriber gets of a descriptor that was understood. */
static void check_written(struct run *run, const struct packet *packet,
                          const struct dependency_frame *frame)
{
    uint8_t copy[DEPENDENCY_OCTETS_MAX];
    size_t length;
    const uint8_t *octets = layer_filter_descriptor(&run->filter, packet, copy, &length);
    struct dependency_descriptor before, after;
    struct dependency_structure own;
    g_assert_true(dependency_descriptor_parse(packet_descriptor(packet), packet->descriptor,
                                              run->structure, &before, &own));
    g_assert_true(dependency_descriptor_parse(octets, length, run->structure, &after, &own));
    g_assert_cmpuint(after.frame, ==, (uint16_t)(frame->number + run->filter.frames.offset));
    g_assert_cmpuint(after.spatial, ==, before.spatial);
    g_assert_cmpuint(after.temporal, ==, before.temporal);
    g_assert_true(after.indications == before.indications);
    g_assert_cmpint(memcmp(&after.differences, &before.differences, sizeof after.differences), ==,
                    0);
    g_assert_cmpint(after.has_structure, ==, before.has_structure);
    if (after.has_active && !before.has_active)
        g_assert_cmpuint(after.active, !=, 0);
    check_header(octets, length, 7);
    check_header(octets, length, 200);
}

static void take(struct run *run, uint8_t what, const uint8_t *data, size_t length)
{
    g_autofree struct packet *packet = g_malloc0(sizeof *packet + PACKET_PAYLOAD_MAX);
    struct picture_sizes sizes = {0};
    struct dependency_frame frame;
    bool marker = false, again = false;
    packet->size_class = 1;
    packet->length = PAYLOAD;
    packet->format = "video/AV1/90000;profile=0";
    run->timestamp += what & 0x40 ? 3000 : 0;
    packet->timestamp = run->timestamp;
    packet_add_dependency(packet, data, length, &run->structure, &sizes);
    g_assert_cmpuint(sizes.n, <=, DEPENDENCY_SPATIAL_MAX);
    g_assert_cmpuint(packet->spatial, <, DEPENDENCY_SPATIAL_MAX);
    run->filter.spatial_wanted = what & 3;
    run->filter.temporal_wanted = what >> 2 & 3;
    if (what & 0x80 || !run->begun)
        layer_filter_begin(&run->filter, packet);
    run->begun = true;
    bool kept = layer_filter_take(&run->filter, packet, &marker);
    g_assert_cmpuint(run->filter.spatial, <, DEPENDENCY_SPATIAL_MAX);
    if (!packet_dependency(packet, &frame))
        return;
    if (layer_filter_remembers(&run->filter, packet)) {
        g_assert_cmpint(layer_filter_take(&run->filter, packet, &again), ==, kept);
        g_assert_cmpint(again, ==, marker);
    }
    check_written(run, packet, &frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct run run = {.timestamp = 0};
    for (unsigned n = 0; size >= 2 && n < NUMBERS_MAX; n++) {
        size_t length = MIN(data[1], size - 2);
        g_autofree uint8_t *own = g_memdup2(data + 2, length); /* no slack behind it */
        take(&run, data[0], own, length);
        data += 2 + length;
        size -= 2 + length;
    }
    g_free(run.structure);
    return 0;
}
