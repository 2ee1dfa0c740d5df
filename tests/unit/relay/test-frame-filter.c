/* SPDX-License-Identifier: Apache-2.0 */
/* Layers chosen by dependency descriptors. Whatever is chosen and when, each frame that is left can
 * be decoded: everything that it is predicted from is left as well; that is checked for every frame
 * of every test. */
#include "tests/support/dependency-writer.h"
#include "wmcf/relay/layer-filter.h"
#include "wmcf/relay/layer-meter.h"

#include <glib.h>
#include <string.h>

#define ROOM 1500
#define DONE 512 /* frames of a show at most */

struct show {
    const struct dependency_pattern *pattern;
    struct layer_filter filter;
    struct dependency_structure *structure; /* the stream's */
    unsigned n;                             /* frames since the key frame */
    uint16_t number, first;
    uint32_t timestamp;
    unsigned total;
    bool kept[DONE];                     /* by number - first */
    struct dependency_structure *theirs; /* the subscriber's */
    uint32_t active;                     /* decode targets, as it was told last */
};

static void begin(struct show *show, const struct dependency_pattern *pattern, uint8_t spatial,
                  uint8_t temporal)
{
    *show = (struct show){.pattern = pattern, .number = 65530, .first = 65530, .timestamp = 900};
    show->filter.spatial_wanted = spatial;
    show->filter.temporal_wanted = temporal;
}

static void end(struct show *show)
{
    g_free(show->structure);
    g_free(show->theirs);
}

static struct packet *packet_new(struct show *show, uint8_t template, bool key, bool marker)
{
    uint8_t descriptor[DEPENDENCY_OCTETS_MAX];
    struct packet *packet = g_malloc0(sizeof *packet + ROOM);
    struct picture_sizes sizes = {0};
    size_t length = dependency_write(
        show->pattern, template, show->number,
        DESCRIPTOR_BEGINS | DESCRIPTOR_ENDS | (key ? DESCRIPTOR_STRUCTURE : 0), descriptor);
    packet->size_class = 1;
    packet->format = "video/AV1/90000;profile=0";
    packet->length = 9;
    packet->timestamp = show->timestamp;
    packet->marker = marker;
    packet_add_dependency(packet, descriptor, length, &show->structure, &sizes);
    g_assert_cmpuint(packet->descriptor, ==, length);
    g_assert_cmpint(packet->key_frame, ==, key);
    if (key) {
        g_assert_cmpuint(sizes.n, ==, show->pattern->spatial_layers);
        g_assert_cmpuint(sizes.sizes[sizes.n - 1], ==,
                         (320u << (sizes.n - 1)) << 16 | 180u << (sizes.n - 1));
    }
    return packet;
}

/* What the subscriber reads of a packet that it gets. */
static uint16_t read_descriptor(struct show *show, const struct packet *packet)
{
    uint8_t copy[DEPENDENCY_OCTETS_MAX];
    size_t length;
    const uint8_t *octets = layer_filter_descriptor(&show->filter, packet, copy, &length);
    struct dependency_descriptor descriptor;
    struct dependency_structure own;
    g_assert_true(dependency_descriptor_parse(octets, length, show->theirs, &descriptor, &own));
    if (descriptor.has_structure) {
        g_free(show->theirs);
        show->theirs = g_memdup2(&own, sizeof own);
    }
    if (descriptor.has_active)
        show->active = descriptor.active;
    return descriptor.frame;
}

/* One frame; -1 = left out, else whether it has the marker. */
static int frame(struct show *show, bool key)
{
    uint8_t template;
    bool marker = false;
    if (key)
        show->n = 0;
    const struct pattern_template *this = pattern_frame(show->pattern, show->n, &template);
    bool last = this->spatial + 1u == show->pattern->spatial_layers;
    g_autofree struct packet *packet = packet_new(show, template, key && show->n == 0, last);
    unsigned at = (uint16_t)(show->number - show->first);
    if (show->total == 0)
        layer_filter_begin(&show->filter, packet);
    g_assert_cmpuint(at, <, DONE);
    bool kept = show->kept[at] = layer_filter_take(&show->filter, packet, &marker);
    for (unsigned i = 0; kept && i < 3 && this->differences[i]; i++)
        g_assert_true(show->kept[at - this->differences[i]]);
    if (kept)
        g_assert_cmpuint(read_descriptor(show, packet), ==, show->number);
    show->n++;
    show->number++;
    show->total++;
    if (last)
        show->timestamp += 3000;
    return kept ? marker : -1;
}

/* A picture, of all its spatial layers: those that are left, by bit. */
static unsigned picture(struct show *show, bool key)
{
    unsigned ret = 0;
    int marker = -1;
    for (unsigned s = 0; s < show->pattern->spatial_layers; s++) {
        int taken = frame(show, key && s == 0);
        marker = taken >= 0 ? taken : marker;
        ret |= taken >= 0 ? 1u << s : 0;
    }
    if (ret) /* the last frame that is left ends it */
        g_assert_cmpint(marker, ==, 1);
    return ret;
}

static void want(struct show *show, uint8_t spatial, uint8_t temporal)
{
    show->filter.spatial_wanted = spatial;
    show->filter.temporal_wanted = temporal;
}

/* --- temporal layers -------------------------------------------------------------------------- */

static void test_temporal(void)
{
    struct show show;
    begin(&show, &pattern_l1t3, 3, 3);
    for (unsigned i = 0; i < 12; i++)
        g_assert_cmpuint(picture(&show, i == 0), ==, 1);
    g_assert_cmpuint(show.active, ==, 7);
    want(&show, 0, 0);
    for (unsigned i = 0; i < 12; i++)
        g_assert_cmpuint(picture(&show, false), ==, i % 4 == 0);
    g_assert_cmpuint(show.active, ==, 1);
    /* Up in the midst: with the frame of layer 1 that layer 0 alone leads to. */
    g_assert_cmpuint(picture(&show, false), ==, 1);
    want(&show, 0, 2);
    static const unsigned expected[] = {0, 1, 1, 1, 1, 1, 1};
    for (unsigned i = 0; i < G_N_ELEMENTS(expected); i++)
        g_assert_cmpuint(picture(&show, false), ==, expected[i]);
    g_assert_cmpuint(show.active, ==, 7);
    g_assert_false(show.filter.frames.wants_key);
    want(&show, 0, 1);
    unsigned n = 0;
    for (unsigned i = 0; i < 16; i++)
        n += picture(&show, false);
    g_assert_cmpuint(n, ==, 8);
    g_assert_cmpuint(show.active, ==, 3);
    g_assert_cmpuint(show.filter.temporal, ==, 1);
    end(&show);
}

/* --- spatial layers --------------------------------------------------------------------------- */

static void test_nested(void)
{
    struct show show;
    begin(&show, &pattern_l2t2, 0, 3);
    for (unsigned i = 0; i < 6; i++)
        g_assert_cmpuint(picture(&show, i == 0), ==, 1);
    g_assert_cmpuint(show.active, ==, 3);
    g_assert_false(show.filter.frames.wants_key);
    want(&show, 3, 3);
    for (unsigned i = 0; i < 6; i++)
        g_assert_cmpuint(picture(&show, false), ==, 1);
    g_assert_true(show.filter.frames.wants_key);
    for (unsigned i = 0; i < 6; i++)
        g_assert_cmpuint(picture(&show, i == 0), ==, 3);
    g_assert_false(show.filter.frames.wants_key);
    g_assert_cmpuint(show.active, ==, 15);
    want(&show, 0, 3); /* down at once */
    g_assert_cmpuint(picture(&show, false), ==, 1);
    g_assert_false(show.filter.frames.wants_key);
    g_assert_cmpuint(picture(&show, false), ==, 1);
    g_assert_cmpuint(show.active, ==, 3);
    end(&show);
}

/* Each spatial layer goes its own way: either way leads over a key frame, and on the way down the
 * upper one has fewer pictures. */
static void test_apart(void)
{
    struct show show;
    begin(&show, &pattern_l2t2_key, 3, 3);
    g_assert_cmpuint(picture(&show, true), ==, 3);
    for (unsigned i = 0; i < 5; i++)
        g_assert_cmpuint(picture(&show, false), ==, 2);
    g_assert_cmpuint(show.active, ==, 12);
    want(&show, 0, 3);
    for (unsigned i = 0; i < 6; i++)
        g_assert_cmpuint(picture(&show, false), ==, i % 2 ? 0 : 2);
    g_assert_true(show.filter.frames.wants_key);
    for (unsigned i = 0; i < 6; i++)
        g_assert_cmpuint(picture(&show, i == 0), ==, 1);
    g_assert_false(show.filter.frames.wants_key);
    g_assert_cmpuint(show.active, ==, 3);
    want(&show, 1, 0);
    for (unsigned i = 0; i < 4; i++) /* pictures 6 to 9 */
        g_assert_cmpuint(picture(&show, false), ==, i % 2 == 0);
    g_assert_true(show.filter.frames.wants_key);
    g_assert_cmpuint(picture(&show, true), ==, 3);
    for (unsigned i = 0; i < 6; i++)
        g_assert_cmpuint(picture(&show, false), ==, i % 2 ? 2 : 0);
    end(&show);
}

/* Any wishes at any time; that nothing is left that cannot be decoded is checked in frame(). */
static void test_random(void)
{
    static const struct dependency_pattern *const all[] = {&pattern_l1t3, &pattern_l2t2,
                                                           &pattern_l2t2_key};
    for (unsigned round = 0; round < 300; round++) {
        struct show show;
        begin(&show, all[round % 3], 0, 0);
        unsigned kept = 0;
        for (unsigned i = 0; i < 200; i++) {
            if (g_test_rand_int_range(0, 8) == 0)
                want(&show, (uint8_t)g_test_rand_int_range(0, 4),
                     (uint8_t)g_test_rand_int_range(0, 4));
            kept += picture(&show, i == 0 || g_test_rand_int_range(0, 20) == 0) != 0;
        }
        g_assert_cmpuint(kept, >, 40); /* a fourth at least */
        end(&show);
    }
}

/* --- numbers ---------------------------------------------------------------------------------- */

/* Another source: frame numbers go on, whatever its own are. */
static void test_switch(void)
{
    struct show show, other;
    begin(&show, &pattern_l2t2, 0, 3);
    for (unsigned i = 0; i < 5; i++)
        picture(&show, i == 0);
    uint16_t last = (uint16_t)(show.number - 2); /* of layer 0 */
    begin(&other, &pattern_l1t3, 3, 3);
    other.number = 7;
    g_autofree struct packet *packet = packet_new(&other, 0, true, true);
    bool marker = false;
    layer_filter_begin(&show.filter, packet);
    g_assert_true(layer_filter_take(&show.filter, packet, &marker));
    g_assert_cmpuint(read_descriptor(&show, packet), ==, (uint16_t)(last + 1));
    other.number = 8;
    other.timestamp += 3000;
    g_autofree struct packet *second = packet_new(&other, 3, false, true);
    g_assert_true(layer_filter_take(&show.filter, second, &marker));
    g_assert_cmpuint(read_descriptor(&show, second), ==, (uint16_t)(last + 2));
    /* Sent once more, it is the same; the first one, which told of decode targets, may not be. */
    g_assert_true(layer_filter_remembers(&show.filter, second));
    g_assert_true(layer_filter_marker(&show.filter, second, &marker));
    g_assert_true(marker);
    g_assert_false(layer_filter_marker(&show.filter, packet, &marker));
    end(&show);
    end(&other);
}

/* One that comes late has the fate of its picture, or none at all. */
static void test_late(void)
{
    struct show show;
    begin(&show, &pattern_l1t3, 0, 1);
    for (unsigned i = 0; i < 4; i++)
        picture(&show, i == 0);
    uint8_t template;
    pattern_frame(show.pattern, 6, &template);
    show.number = (uint16_t)(show.first + 6);
    g_autofree struct packet *late = packet_new(&show, template, false, true);
    show.number = (uint16_t)(show.first + 4);
    frame(&show, false);
    g_assert_cmpint(frame(&show, false), ==, -1);
    show.number++; /* the late one's */
    show.n++;
    g_assert_cmpint(frame(&show, false), ==, -1);
    bool marker;
    g_assert_false(layer_filter_remembers(&show.filter, late));
    g_assert_true(layer_filter_take(&show.filter, late, &marker));
    g_assert_true(layer_filter_remembers(&show.filter, late));
    show.kept[6] = true;
    for (unsigned i = 0; i < 200; i++)
        picture(&show, false);
    g_assert_false(layer_filter_remembers(&show.filter, late));
    g_assert_false(layer_filter_take(&show.filter, late, &marker)); /* it would be new */
    end(&show);
}

/* A key frame that is repaired after another one has come does not bring its structure back. */
static void test_late_structure(void)
{
    static const struct dependency_pattern *const patterns[] = {&pattern_l1t3, &pattern_l2t2};
    struct dependency_structure *structure = NULL;
    struct dependency_frame read;
    const struct {
        uint64_t index;
        unsigned pattern, n;
        uint8_t spatial, targets;
    } packets[] = {
        {20, 1, 0, 0, 4}, {10, 0, 0, 0, 3}, {24, 1, 3, 1, 4}, {30, 0, 0, 0, 3}, {31, 0, 1, 0, 3}};
    for (unsigned i = 0; i < G_N_ELEMENTS(packets); i++) {
        uint8_t descriptor[DEPENDENCY_OCTETS_MAX], template;
        const struct dependency_pattern *pattern = patterns[packets[i].pattern];
        g_autofree struct packet *packet = g_malloc0(sizeof *packet + ROOM);
        struct picture_sizes sizes = {0};
        pattern_frame(pattern, packets[i].n, &template);
        size_t length = dependency_write(pattern, template, (uint16_t)packets[i].index,
                                         DESCRIPTOR_BEGINS | DESCRIPTOR_ENDS |
                                             (packets[i].n == 0 ? DESCRIPTOR_STRUCTURE : 0),
                                         descriptor);
        packet->size_class = 1;
        packet->index = packets[i].index;
        packet_add_dependency(packet, descriptor, length, &structure, &sizes);
        g_assert_true(packet_dependency(packet, &read));
        g_assert_cmpuint(read.n_targets, ==, packets[i].targets);
        g_assert_cmpuint(packet->spatial, ==, packets[i].spatial);
        g_assert_cmpuint(sizes.n, ==,
                         packets[i].n || packets[i].index == 10 ? 0 : pattern->spatial_layers);
    }
    g_free(structure);
}

/* What cannot be understood is passed on, and nothing is chosen by it. */
static void test_unknown(void)
{
    static const uint8_t odd[] = {0xc0 | 30, 1, 2};
    struct show show;
    begin(&show, &pattern_l1t3, 0, 0);
    picture(&show, true);
    g_autofree struct packet *packet = g_malloc0(sizeof *packet + ROOM);
    struct picture_sizes sizes = {0};
    struct dependency_frame frame;
    bool marker;
    packet->size_class = 1;
    packet->timestamp = show.timestamp;
    packet->format = "video/AV1/90000;profile=0";
    packet_add_dependency(packet, odd, sizeof odd, &show.structure, &sizes);
    g_assert_cmpuint(packet->descriptor, ==, sizeof odd);
    g_assert_false(packet_dependency(packet, &frame));
    g_assert_true(layer_filter_take(&show.filter, packet, &marker));
    uint8_t copy[DEPENDENCY_OCTETS_MAX];
    size_t length;
    const uint8_t *octets = layer_filter_descriptor(&show.filter, packet, copy, &length);
    g_assert_cmpmem(octets, length, odd, sizeof odd);
    g_assert_cmpuint(picture(&show, false), ==, 0);
    /* One that has no room behind the payload is not kept. */
    packet->length = ROOM - 2;
    packet->descriptor = 0;
    packet_add_dependency(packet, odd, sizeof odd, &show.structure, &sizes);
    g_assert_cmpuint(packet->descriptor, ==, 0);
    end(&show);
}

/* --- what is measured ------------------------------------------------------------------------- */

static void test_rates(void)
{
    struct show show;
    struct layer_meter meter = {0};
    begin(&show, &pattern_l2t2_key, 3, 3);
    for (unsigned i = 0; i < 80; i++) {
        uint8_t template;
        pattern_frame(show.pattern, i, &template);
        g_autofree struct packet *packet = packet_new(&show, template, i == 0, i % 2);
        packet->arrival = 1000 + i * 10000;
        packet->length = 946; /* 1000 with what is around it */
        memmove(packet->payload + 946, packet->payload + 9, packet_annex(packet));
        layer_meter_packet(&meter, packet);
        show.number++;
    }
    layer_meter_tick(&meter, 3000000);
    uint32_t low = layer_meter_rate(&meter, 0, 3), high = layer_meter_rate(&meter, 1, 3);
    /* The upper layer does without the lower one. */
    g_assert_cmpuint(low, >, 0);
    g_assert_cmpuint(high, <, low * 3 / 2);
    g_assert_cmpuint(layer_meter_rate(&meter, 1, 0), <, high * 3 / 4);
    g_assert_cmpuint(layer_meter_rate(&meter, 3, 3), ==, high);
    end(&show);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/frame-filter/temporal", test_temporal);
    g_test_add_func("/frame-filter/nested", test_nested);
    g_test_add_func("/frame-filter/apart", test_apart);
    g_test_add_func("/frame-filter/random", test_random);
    g_test_add_func("/frame-filter/switch", test_switch);
    g_test_add_func("/frame-filter/late", test_late);
    g_test_add_func("/frame-filter/late-structure", test_late_structure);
    g_test_add_func("/frame-filter/unknown", test_unknown);
    g_test_add_func("/frame-filter/rates", test_rates);
    return g_test_run();
}
