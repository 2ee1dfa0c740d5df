/* SPDX-License-Identifier: Apache-2.0 */
/* Payload descriptors as encoders in browsers write them, and cut off at every octet; and what a
 * subscriber sees of a video of which layers are left out. */
#include "wmcf/relay/dependency-descriptor.h"
#include "wmcf/relay/h264-sps.h"
#include "wmcf/relay/layer-filter.h"
#include "wmcf/relay/layer-meter.h"
#include "wmcf/relay/layers-allocation.h"
#include "wmcf/relay/packet-describe.h"
#include "wmcf/relay/vp8-descriptor.h"
#include "wmcf/relay/vp9-descriptor.h"

#include <glib.h>
#include <string.h>

/* --- descriptors ------------------------------------------------------------------------------ */

static void test_vp8(void)
{
    /* X S, I L T K; 15-bit picture id 300, TL0PICIDX 7, TID 2 Y 1 KEYIDX 5; a key frame of 640×360
     */
    const uint8_t key[] = {0x90, 0xf0, 0x81, 0x2c, 0x07, 0xa5, 0x50, 0x42,
                           0x00, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01};
    struct vp8_descriptor vp8;
    g_assert_true(vp8_descriptor_parse(key, sizeof key, &vp8));
    g_assert_true(vp8.begins && vp8.key && vp8.sync && vp8.has_temporal);
    g_assert_cmpuint(vp8.length, ==, 6);
    g_assert_cmpuint(vp8.picture, ==, 300);
    g_assert_cmpuint(vp8.picture_bits, ==, 15);
    g_assert_cmpuint(vp8.level, ==, 7);
    g_assert_cmpuint(vp8.temporal, ==, 2);
    g_assert_cmpuint(vp8.width, ==, 640);
    g_assert_cmpuint(vp8.height, ==, 360);
    uint8_t copy[sizeof key];
    memcpy(copy, key, sizeof key);
    vp8_descriptor_patch(&vp8, copy, 0x7fff, 255);
    g_assert_true(vp8_descriptor_parse(copy, sizeof copy, &vp8));
    g_assert_cmpuint(vp8.picture, ==, 0x7fff);
    g_assert_cmpuint(vp8.level, ==, 255);
    g_assert_cmpint(memcmp(copy + 5, key + 5, sizeof key - 5), ==, 0);
    for (size_t length = 0; length <= 6; length++) {
        g_autofree uint8_t *cut = g_memdup2(key, length);
        g_assert_false(vp8_descriptor_parse(cut, length, &vp8));
    }
    g_assert_true(vp8_descriptor_parse(key, 10, &vp8)); /* no room for a size */
    g_assert_cmpuint(vp8.width, ==, 0);
    /* 7 bits, and none at all */
    const uint8_t small[] = {0x90, 0x80, 0x11, 0x11};
    g_assert_true(vp8_descriptor_parse(small, sizeof small, &vp8));
    g_assert_cmpuint(vp8.picture_bits, ==, 7);
    g_assert_cmpuint(vp8.picture, ==, 0x11);
    g_assert_false(vp8.key);
    g_assert_true(vp8_descriptor_parse((const uint8_t[]){0x10, 0x01}, 2, &vp8));
    g_assert_cmpuint(vp8.picture_at, ==, 0);
}

static void test_vp9(void)
{
    /* I L B V; id 5 in 15 bits; TID 1 U SID 0 D 0; TL0PICIDX 9; 2 layers with sizes, 1 picture of a
     * group with one reference */
    const uint8_t key[] = {0xaa, 0x80, 0x05, 0x30, 0x09, 0x38, 0x01, 0x40, 0x00,
                           0xb4, 0x02, 0x80, 0x01, 0x68, 0x01, 0x04, 0x01, 0x82};
    struct vp9_descriptor vp9;
    g_assert_true(vp9_descriptor_parse(key, sizeof key, &vp9));
    g_assert_true(vp9_descriptor_is_key(&vp9));
    g_assert_true(vp9.up && !vp9.inter && !vp9.ends && !vp9.flexible);
    g_assert_cmpuint(vp9.length, ==, sizeof key - 1);
    g_assert_cmpuint(vp9.picture, ==, 5);
    g_assert_cmpuint(vp9.level, ==, 9);
    g_assert_cmpuint(vp9.temporal, ==, 1);
    g_assert_cmpuint(vp9.spatial_layers, ==, 2);
    g_assert_cmpuint(vp9.widths[1], ==, 640);
    g_assert_cmpuint(vp9.heights[0], ==, 180);
    for (size_t length = 0; length < sizeof key; length++) {
        g_autofree uint8_t *cut = g_memdup2(key, length);
        g_assert_false(vp9_descriptor_parse(cut, length, &vp9));
    }
    /* flexible, predicted: two differences; spatial layer 1 that depends on 0 */
    const uint8_t flexible[] = {0xfc, 0x12, 0x03, 0x03, 0x04, 0x86};
    g_assert_true(vp9_descriptor_parse(flexible, sizeof flexible, &vp9));
    g_assert_true(vp9.flexible && vp9.predicted && vp9.inter && vp9.ends);
    g_assert_cmpuint(vp9.spatial, ==, 1);
    g_assert_cmpuint(vp9.length, ==, 5);
    g_assert_cmpuint(vp9.level_at, ==, 0);
    g_assert_false(vp9_descriptor_is_key(&vp9));
}

/* --- the dependency descriptor
 * --------------------------------------------------------------------
 */

struct writer {
    uint8_t octets[128];
    size_t at;
};

static void put(struct writer *writer, unsigned value, unsigned width)
{
    for (; width > 0; width--, writer->at++)
        writer->octets[writer->at / 8] |=
            (uint8_t)((value >> (width - 1) & 1u) << (7 - writer->at % 8));
}

/* L1T2: template 0 of both decode targets, template 1 of the second alone; one chain, one size. */
static size_t write_structure(struct writer *writer)
{
    const unsigned fields[][2] = {
        {1, 1}, {1, 1},    {5, 6},    {300, 16}, {1, 1}, {0, 1}, {0, 1}, {0, 1}, {0, 1}, /* head */
        {5, 6}, {1, 5},    {1, 2},    {3, 2}, /* two targets; T0, T1 */
        {2, 2}, {2, 2},    {0, 2},    {1, 2}, /* indications */
        {0, 1}, {1, 1},    {0, 4},    {0, 1}, /* differences */
        {2, 2},                               /* ns(3) = 1 chain */
        {1, 4}, {1, 4},                       /* chain differences */
        {1, 1}, {639, 16}, {359, 16},         /* a size */
    };
    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++)
        put(writer, fields[i][0], fields[i][1]);
    return (writer->at + 7) / 8;
}

static void test_dependency(void)
{
    struct writer writer = {.at = 0};
    struct dependency_structure structure = {0};
    struct dependency_descriptor descriptor;
    size_t length = write_structure(&writer);
    g_assert_true(
        dependency_descriptor_parse(writer.octets, length, NULL, &descriptor, &structure));
    g_assert_true(descriptor.begins && descriptor.ends && descriptor.has_structure);
    g_assert_cmpuint(descriptor.frame, ==, 300);
    g_assert_cmpuint(descriptor.active, ==, 3);
    g_assert_cmpuint(structure.n_targets, ==, 2);
    g_assert_cmpuint(structure.n_templates, ==, 2);
    g_assert_cmpuint(structure.n_chains, ==, 1);
    g_assert_cmpuint(structure.targets[1].temporal, ==, 1);
    g_assert_cmpuint(structure.widths[0], ==, 640);
    g_assert_cmpuint(structure.heights[0], ==, 360);
    g_assert_cmpint(dependency_target(&structure, 0, 0), ==, 0);
    g_assert_cmpint(dependency_target(&structure, 3, 3), ==, 1);
    g_assert_cmpint(dependency_indication_of(&descriptor, 1), ==, DEPENDENCY_SWITCH);
    for (size_t cut = 0; cut < length; cut++) {
        struct dependency_structure untouched = {0};
        g_autofree uint8_t *octets = g_memdup2(writer.octets, cut);
        g_assert_false(dependency_descriptor_parse(octets, cut, NULL, &descriptor, &untouched));
        g_assert_cmpuint(untouched.n_targets, ==, 0);
    }
    /* A frame of the upper layer, by the structure that came before; its template id is 6. */
    const uint8_t plain[] = {0x86, 0x01, 0x2d};
    g_assert_true(
        dependency_descriptor_parse(plain, sizeof plain, &structure, &descriptor, &structure));
    g_assert_cmpuint(descriptor.temporal, ==, 1);
    g_assert_cmpint(dependency_indication_of(&descriptor, 0), ==, DEPENDENCY_NOT_PRESENT);
    g_assert_cmpint(dependency_indication_of(&descriptor, 1), ==, DEPENDENCY_DISCARDABLE);
    g_assert_false(dependency_descriptor_parse(plain, sizeof plain, NULL, &descriptor, &structure));
    /* One with indications of its own, and fewer targets active: flags, 2 bits, 2 × 2 bits. */
    struct writer custom = {.at = 0};
    const unsigned fields[][2] = {{0, 1}, {1, 1}, {5, 6}, {302, 16}, {0, 1}, {1, 1},
                                  {1, 1}, {0, 1}, {0, 1}, {1, 2},    {3, 2}, {0, 2}};
    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++)
        put(&custom, fields[i][0], fields[i][1]);
    g_assert_true(dependency_descriptor_parse(custom.octets, (custom.at + 7) / 8, &structure,
                                              &descriptor, &structure));
    g_assert_cmpuint(descriptor.active, ==, 1);
    g_assert_cmpint(dependency_indication_of(&descriptor, 0), ==, DEPENDENCY_REQUIRED);
    /* A template that the structure does not have. */
    g_assert_false(dependency_descriptor_parse((const uint8_t[]){0x80, 0, 1}, 3, &structure,
                                               &descriptor, &structure));
}

/* --- H264's parameter sets -------------------------------------------------------------------- */

static void check_size(const uint8_t *octets, size_t length, unsigned width, unsigned height)
{
    uint16_t across = 0, down = 0;
    g_autofree uint8_t *own = g_memdup2(octets, length);
    g_assert_true(h264_find_size(own, length, &across, &down));
    g_assert_cmpuint(across, ==, width);
    g_assert_cmpuint(down, ==, height);
}

static void put_number(struct writer *writer, unsigned value) /* ue(v) */
{
    unsigned width = 0;
    while ((value + 1) >> (width + 1))
        width++;
    put(writer, 0, width);
    put(writer, value + 1, width + 1);
}

/* Fields, 4:2:2, a scaling list that ends early, cropped, the other kind of picture order. */
static size_t write_high(struct writer *writer)
{
    put(writer, 0x67, 8);
    put(writer, 122, 8);
    put(writer, 0x0028, 16);
    for (unsigned i = 0, values[] = {0, 2, 2, 2}; i < 4; i++) /* id, 4:2:2, depths */
        put_number(writer, values[i]);
    put(writer, 0, 1);
    put(writer, 1, 1);      /* scaling matrices: */
    put(writer, 1, 1);      /* the first one, */
    put_number(writer, 1);  /* + 1, */
    put_number(writer, 18); /* - 9: the rest is as the last */
    put(writer, 0, 7);
    put_number(writer, 0);
    put_number(writer, 1); /* picture order: */
    put(writer, 0, 1);
    put_number(writer, 3);
    put_number(writer, 4);
    put_number(writer, 2);
    put_number(writer, 1);
    put_number(writer, 1);
    put_number(writer, 4); /* references */
    put(writer, 0, 1);
    put_number(writer, 44); /* 720 */
    put_number(writer, 17); /* 2 × 288 */
    put(writer, 0, 1);
    put(writer, 1, 1);
    put(writer, 1, 1);
    put(writer, 1, 1);
    for (unsigned i = 0, values[] = {1, 3, 0, 2}; i < 4; i++) /* left, right, top, bottom */
        put_number(writer, values[i]);
    put(writer, 0, 1);
    return (writer->at + 7) / 8;
}

static void test_h264(void)
{
    static const uint8_t small[] = {0x67, 0x42, 0xc0, 0x0b, 0x8c, 0x8d, 0x41, 0x87,
                                    0xb1, 0x11, 0x00, 0xf0, 0x88, 0x46, 0xa0};
    static const uint8_t medium[] = {0x67, 0x42, 0xc0, 0x1e, 0x8c, 0x8d, 0x40, 0x50,
                                     0x17, 0xfc, 0xb0, 0x0f, 0x08, 0x84, 0x6a};
    /* With emulation prevention. */
    static const uint8_t large[] = {0x67, 0x64, 0x00, 0x28, 0xac, 0xd9, 0x40, 0x78, 0x02,
                                    0x27, 0xe5, 0xc0, 0x44, 0x00, 0x00, 0x03, 0x00, 0x04,
                                    0x00, 0x00, 0x03, 0x00, 0xf0, 0x3c, 0x60, 0xc6, 0x58};
    uint16_t width, height;
    check_size(small, sizeof small, 178, 98);
    check_size(medium, sizeof medium, 640, 360);
    check_size(large, sizeof large, 1920, 1080);
    struct writer writer = {.at = 0};
    size_t length = write_high(&writer);
    check_size(writer.octets, length, 720 - 2 * 4, 576 - 2 * 2);
    for (size_t cut = 0; cut < 9; cut++) {
        g_autofree uint8_t *octets = g_memdup2(medium, cut);
        g_assert_false(h264_find_size(octets, cut, &width, &height));
    }
    /* Behind a delimiter in an aggregation; told to the stream. */
    uint8_t aggregated[3 + 1 + 2 + sizeof medium] = {24, 0, 1, 9, 0, sizeof medium};
    memcpy(aggregated + 6, medium, sizeof medium);
    check_size(aggregated, sizeof aggregated, 640, 360);
    g_assert_false(h264_find_size(aggregated, sizeof aggregated - 1, &width, &height));
    struct picture_sizes sizes = {0};
    struct packet *packet = g_malloc0(sizeof *packet + sizeof aggregated);
    memcpy(packet->payload, aggregated, sizeof aggregated);
    packet_describe_video(packet, KEY_FRAME_H264, sizeof aggregated, &sizes);
    g_assert_true(packet->key_frame);
    g_assert_cmpuint(sizes.n, ==, 1);
    g_assert_cmpuint(sizes.sizes[0], ==, 640u << 16 | 360);
    g_free(packet);
}

/* --- what is left out ------------------------------------------------------------------------- */

static struct packet *packet_new(const char *format, const uint8_t *payload, size_t length,
                                 uint32_t timestamp)
{
    struct packet *packet = g_malloc0(sizeof *packet + length);
    struct picture_sizes sizes = {0};
    memcpy(packet->payload, payload, length);
    packet->length = (uint16_t)length;
    packet->timestamp = timestamp;
    packet->format = format;
    packet_describe_video(packet, key_frame_codec_of_format(format), length, &sizes);
    return packet;
}

static struct packet *vp8_new(uint16_t picture, uint8_t level, uint8_t temporal, bool sync,
                              bool key, uint32_t timestamp)
{
    const uint8_t payload[] = {0x90,
                               0xe0,
                               (uint8_t)(0x80 | picture >> 8),
                               (uint8_t)picture,
                               level,
                               (uint8_t)(temporal << 6 | (sync ? 0x20 : 0)),
                               key ? 0 : 1,
                               0};
    return packet_new("video/VP8/90000", payload, sizeof payload, timestamp);
}

/* The picture id and TL0PICIDX that the subscriber gets; -1 = nothing. */
static int take_vp8(struct layer_filter *filter, struct packet *packet, int *ret_level)
{
    uint8_t copy[PACKET_PAYLOAD_MAX];
    struct vp8_descriptor vp8;
    bool marker = false;
    if (!layer_filter_take(filter, packet, &marker))
        return -1;
    g_assert_false(marker);
    g_assert_true(layer_filter_remembers(filter, packet));
    const uint8_t *payload = layer_filter_payload(filter, packet, copy);
    g_assert_true(vp8_descriptor_parse(payload, packet->length, &vp8));
    if (ret_level)
        *ret_level = vp8.level;
    return vp8.picture;
}

static struct layer_filter filter_of(uint8_t spatial, uint8_t temporal)
{
    return (struct layer_filter){.spatial_wanted = spatial, .temporal_wanted = temporal};
}

/* L1T3 as libwebrtc sends it: 0 2 1 2, the first 2 and the 1 depend on layer 0 alone. */
static void test_temporal(void)
{
    static const uint8_t pattern[] = {0, 2, 1, 2};
    struct layer_filter filter = filter_of(3, 3);
    uint16_t next = 0x7ffc; /* over the wrap */
    uint32_t timestamp = 0xfffff000;
    int expected = 0x7ffc;
    for (unsigned i = 0; i < 60; i++) {
        uint8_t temporal = pattern[i % 4];
        g_autofree struct packet *packet = vp8_new(next & 0x7fff, (uint8_t)(i / 4), temporal,
                                                   i % 4 == 1 || i % 4 == 2, i == 0, timestamp);
        if (i == 0)
            layer_filter_begin(&filter, packet);
        if (i == 20)
            filter.temporal_wanted = 0;
        if (i == 40)
            filter.temporal_wanted = 2;
        int level, taken = take_vp8(&filter, packet, &level);
        bool wanted = i < 20 || temporal == 0 || (i >= 42 && temporal == 1) || i >= 45;
        g_assert_cmpint(taken >= 0, ==, wanted);
        if (wanted) {
            g_assert_cmpint(taken, ==, expected);
            g_assert_cmpint(level, ==, (uint8_t)(i / 4));
            expected = (expected + 1) & 0x7fff;
        }
        /* A second packet of the picture shares its fate and its number. */
        packet->layer_flags &= ~PACKET_FRAME_BEGINS;
        g_assert_cmpint(take_vp8(&filter, packet, NULL), ==, taken);
        next++;
        timestamp += 3000;
    }
}

/* Another encoding goes on with the numbers of the one before. */
static void test_switch(void)
{
    struct layer_filter filter = filter_of(3, 3);
    g_autofree struct packet *first = vp8_new(100, 50, 0, false, true, 1000);
    layer_filter_begin(&filter, first);
    g_assert_cmpint(take_vp8(&filter, first, NULL), ==, 100);
    uint8_t copy[PACKET_PAYLOAD_MAX];
    g_assert_true(layer_filter_payload(&filter, first, copy) == first->payload);
    g_autofree struct packet *other = vp8_new(0x7000, 200, 0, false, true, 90);
    layer_filter_begin(&filter, other);
    int level;
    g_assert_cmpint(take_vp8(&filter, other, &level), ==, 101);
    g_assert_cmpint(level, ==, 51);
    g_autofree struct packet *next = vp8_new(0x7001, 201, 0, false, false, 91);
    g_assert_cmpint(take_vp8(&filter, next, &level), ==, 102);
    g_assert_cmpint(level, ==, 52);
}

/* Pictures that come late have the place that was left for them. */
static void test_late(void)
{
    struct layer_filter filter = filter_of(3, 0);
    g_autofree struct packet *first = vp8_new(10, 0, 0, false, true, 1000);
    g_autofree struct packet *late = vp8_new(11, 1, 0, false, false, 4000);
    g_autofree struct packet *out = vp8_new(12, 1, 1, false, false, 7000);
    g_autofree struct packet *late_out = vp8_new(13, 1, 1, false, false, 8000);
    g_autofree struct packet *last = vp8_new(14, 2, 0, false, false, 10000);
    layer_filter_begin(&filter, first);
    g_assert_cmpint(take_vp8(&filter, first, NULL), ==, 10);
    g_assert_cmpint(take_vp8(&filter, out, NULL), ==, -1);
    g_assert_cmpint(take_vp8(&filter, last, NULL), ==, 13);
    g_assert_cmpint(take_vp8(&filter, late, NULL), ==, 11);
    g_assert_cmpint(take_vp8(&filter, late_out, NULL), ==, -1);
    g_assert_cmpint(take_vp8(&filter, last, NULL), ==, 13);
    g_autofree struct packet *old = vp8_new(9, 0, 0, false, false, 900);
    g_assert_false(layer_filter_remembers(&filter, old));
}

/* The id of a picture comes back before the picture is forgotten: repeating the first one with the
 * numbers of the second would cipher two texts with one keystream. */
static void test_id_again(void)
{
    struct layer_filter filter = filter_of(0, 0);
    g_autofree struct packet *first = vp8_new(10, 0, 0, false, true, 0);
    g_autofree struct packet *out = vp8_new(16010, 1, 3, false, false, 3000);
    g_autofree struct packet *far = vp8_new(32010, 2, 0, false, false, 6000);
    g_autofree struct packet *again = vp8_new(10, 3, 0, false, false, 9000);
    struct packet *const packets[] = {first, out, far, again};
    for (unsigned i = 0; i < G_N_ELEMENTS(packets); i++)
        packets[i]->index = 100 + i;
    layer_filter_begin(&filter, first);
    g_assert_cmpint(take_vp8(&filter, first, NULL), ==, 10);
    g_assert_cmpint(take_vp8(&filter, out, NULL), ==, -1);
    g_assert_cmpint(take_vp8(&filter, far, NULL), ==, 32009);
    g_assert_cmpint(take_vp8(&filter, again, NULL), ==, 9);
    g_assert_false(layer_filter_remembers(&filter, first));
    g_assert_true(layer_filter_remembers(&filter, again));
}

static struct packet *vp9_new(uint16_t picture, uint8_t spatial, bool predicted, bool ends,
                              uint32_t timestamp)
{
    const uint8_t payload[] = {(uint8_t)(0xa8 | (predicted ? 0x40 : 0) | (ends ? 0x04 : 0)),
                               (uint8_t)(0x80 | picture >> 8),
                               (uint8_t)picture,
                               (uint8_t)(spatial << 1 | (spatial ? 1 : 0)),
                               (uint8_t)picture,
                               0x82};
    return packet_new("video/VP9/90000", payload, sizeof payload, timestamp);
}

/* L3T1 with prediction between layers in each picture. */
static void test_spatial(void)
{
    struct layer_filter filter = filter_of(2, 3);
    for (uint16_t i = 0; i < 30; i++) {
        bool key = i % 10 == 0;
        if (i == 3)
            filter.spatial_wanted = 0;
        if (i == 6)
            filter.spatial_wanted = 1; /* begins with the next key picture */
        for (uint8_t s = 0; s < 3; s++) {
            g_autofree struct packet *packet = vp9_new(i, s, !key, true, i * 3000u);
            bool marker = false;
            if (i == 0 && s == 0)
                layer_filter_begin(&filter, packet);
            uint8_t top = i < 3 ? 2 : i < 10 ? 0 : 1;
            g_assert_cmpint(layer_filter_take(&filter, packet, &marker), ==, s <= top);
            g_assert_cmpint(marker, ==, s == top);
        }
    }
}

/* A key picture that is repaired late says nothing of the layers that follow by now. */
static void test_late_key(void)
{
    struct layer_filter filter = filter_of(0, 3);
    bool marker;
    for (uint16_t i = 0; i < 4; i++) {
        for (uint8_t s = 0; s < 2; s++) {
            g_autofree struct packet *packet = vp9_new(i, s, i > 0, true, i * 3000u);
            if (i == 0 && s == 0)
                layer_filter_begin(&filter, packet);
            g_assert_cmpint(layer_filter_take(&filter, packet, &marker), ==, s == 0);
        }
    }
    filter.spatial_wanted = 1;
    g_autofree struct packet *late = vp9_new(0, 0, false, true, 0);
    g_assert_true(layer_filter_take(&filter, late, &marker));
    g_autofree struct packet *above = vp9_new(4, 1, true, true, 12000);
    g_assert_false(layer_filter_take(&filter, above, &marker));
    /* One from a clock that was set back is none of the past. */
    g_autofree struct packet *anew = vp9_new(5, 0, false, true, 12000u - 100 * 90000u);
    g_autofree struct packet *next = vp9_new(5, 1, false, true, 12000u - 100 * 90000u);
    g_assert_true(layer_filter_take(&filter, anew, &marker));
    g_assert_true(layer_filter_take(&filter, next, &marker));
}

/* Behind the masks come bitrates and sizes, which are not looked at. */
static void test_allocation(void)
{
    static const struct {
        uint8_t data[5];
        size_t length;
        int active; /* -1 = broken */
    } cases[] = {
        {{0x21, 0, 80, 100, 120}, 5, 7},   /* three of one layer each */
        {{0x41, 0, 80}, 3, 1},             /* the first alone, said in the second */
        {{0x20, 0x10, 0x10, 0, 80}, 5, 5}, /* each its own: not the one in the middle */
        {{0x30, 0x00, 0x01, 0, 80}, 5, 8},
        {{0x10, 0x31, 0}, 3, 3},
        {{0x00}, 1, 0}, /* nothing */
        {{0x20, 0x10}, 2, -1},
        {{0x10}, 1, -1},
        {{0}, 0, -1},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        unsigned active;
        g_autofree uint8_t *data = g_memdup2(cases[i].data, MAX(cases[i].length, 1));
        bool good = layers_allocation_read(data, cases[i].length, &active);
        g_assert_cmpint(good, ==, cases[i].active >= 0);
        if (good)
            g_assert_cmpint((int)active, ==, cases[i].active);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/payload-layers/vp8", test_vp8);
    g_test_add_func("/payload-layers/vp9", test_vp9);
    g_test_add_func("/payload-layers/dependency", test_dependency);
    g_test_add_func("/payload-layers/h264", test_h264);
    g_test_add_func("/payload-layers/temporal", test_temporal);
    g_test_add_func("/payload-layers/switch", test_switch);
    g_test_add_func("/payload-layers/late", test_late);
    g_test_add_func("/payload-layers/id-again", test_id_again);
    g_test_add_func("/payload-layers/spatial", test_spatial);
    g_test_add_func("/payload-layers/late-key", test_late_key);
    g_test_add_func("/payload-layers/allocation", test_allocation);
    return g_test_run();
}
