/* SPDX-License-Identifier: Apache-2.0 */
/* Payload descriptors of VP8 and VP9, dependency descriptors, and parameter sets of H264, as any
 * publisher may send them. The first octet says which; a dependency descriptor is read once more
 * with the structure that it brought. Properties: nothing beyond the input is read, layers and
 * counts stay within their bounds, numbers that are written are read again and nothing else has
 * changed. */
#include "tests/fuzz/fuzz.h"
#include "wmcf/relay/dependency-descriptor.h"
#include "wmcf/relay/h264-sps.h"
#include "wmcf/relay/vp8-descriptor.h"
#include "wmcf/relay/vp9-descriptor.h"

#include <glib.h>
#include <string.h>

#define PICTURE 0x2a55
#define LEVEL 0xa7

static void check_vp8(const uint8_t *data, size_t size)
{
    struct vp8_descriptor vp8, again;
    if (!vp8_descriptor_parse(data, size, &vp8))
        return;
    g_assert_cmpuint(vp8.length, <, size);
    g_assert_cmpuint(vp8.temporal, <, 4);
    g_autofree uint8_t *copy = g_memdup2(data, size);
    vp8_descriptor_patch(&vp8, copy, PICTURE, LEVEL);
    g_assert_true(vp8_descriptor_parse(copy, size, &again));
    g_assert_cmpuint(again.length, ==, vp8.length);
    g_assert_cmpint(memcmp(copy + vp8.length, data + vp8.length, size - vp8.length), ==, 0);
    if (vp8.picture_at)
        g_assert_cmpuint(again.picture, ==, PICTURE & ((1u << vp8.picture_bits) - 1));
    vp8_descriptor_patch(&vp8, copy, vp8.picture, vp8.level);
    g_assert_cmpint(memcmp(copy, data, size), ==, 0);
}

static void check_vp9(const uint8_t *data, size_t size)
{
    struct vp9_descriptor vp9, again;
    if (!vp9_descriptor_parse(data, size, &vp9))
        return;
    g_assert_cmpuint(vp9.length, <, size);
    g_assert_cmpuint(vp9.spatial, <, VP9_SPATIAL_MAX);
    g_assert_cmpuint(vp9.spatial_layers, <=, VP9_SPATIAL_MAX);
    g_autofree uint8_t *copy = g_memdup2(data, size);
    vp9_descriptor_patch(&vp9, copy, PICTURE, LEVEL);
    g_assert_true(vp9_descriptor_parse(copy, size, &again));
    g_assert_cmpuint(again.length, ==, vp9.length);
    g_assert_cmpuint(again.spatial, ==, vp9.spatial);
    vp9_descriptor_patch(&vp9, copy, vp9.picture, vp9.level);
    g_assert_cmpint(memcmp(copy, data, size), ==, 0);
}

static void check_dependency(const uint8_t *data, size_t size)
{
    struct dependency_descriptor descriptor, again;
    struct dependency_structure structure = {0};
    if (!dependency_descriptor_parse(data, size, NULL, &descriptor, &structure))
        return;
    g_assert_true(descriptor.has_structure); /* without one nothing can be understood */
    g_assert_cmpuint(structure.n_targets, <=, DEPENDENCY_TARGETS_MAX);
    g_assert_cmpuint(structure.n_templates, <=, DEPENDENCY_TEMPLATES_MAX);
    g_assert_cmpuint(descriptor.spatial, <, DEPENDENCY_SPATIAL_MAX);
    int target = dependency_target(&structure, DEPENDENCY_SPATIAL_MAX, DEPENDENCY_TEMPLATES_MAX);
    g_assert_cmpint(target, >=, 0);
    g_assert_cmpint(target, <, structure.n_targets);
    const uint8_t plain[] = {data[0], data[1], data[2]};
    g_assert_true(dependency_descriptor_parse(plain, sizeof plain, &structure, &again, &structure));
    g_assert_cmpuint(again.spatial, ==, descriptor.spatial);
}

static void check_h264(const uint8_t *data, size_t size)
{
    uint16_t width = 0, height = 0;
    if (!h264_find_size(data, size, &width, &height))
        return;
    g_assert_cmpuint(width, >, 0);
    g_assert_cmpuint(height, >, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    g_autofree uint8_t *own = g_memdup2(data + 1, size - 1); /* no slack behind it */
    if (data[0] == 'h')
        check_h264(own, size - 1);
    else if (data[0] % 3 == 0)
        check_vp8(own, size - 1);
    else if (data[0] % 3 == 1)
        check_vp9(own, size - 1);
    else
        check_dependency(own, size - 1);
    return 0;
}
