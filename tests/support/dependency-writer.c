/* SPDX-License-Identifier: Apache-2.0 */
/* Bits in the order of the specification's syntax; every field is written out, whatever it is. */
#include "tests/support/dependency-writer.h"

#include <string.h>

#define OFFSET 61 /* of template ids, so that they roll over */

const struct dependency_pattern pattern_l1t3 = {
    .n_targets = 3,
    .n_chains = 1,
    .spatial_layers = 1,
    .n_templates = 5,
    .templates = {{0, 0, "SSS", {0}, {0}},
                  {0, 0, "SSS", {4}, {4}},
                  {0, 1, "-DS", {2}, {2}},
                  {0, 2, "--D", {1}, {1}},
                  {0, 2, "--D", {1}, {3}}},
    .n_frames = 8,
    .again = 4,
    .frames = {0, 3, 2, 4, 1, 3, 2, 4},
};

const struct dependency_pattern pattern_l2t2 = {
    .n_targets = 4,
    .n_chains = 2,
    .spatial_layers = 2,
    .protected_by = {0, 0, 1, 1},
    .n_templates = 6,
    .templates = {{0, 0, "SSSS", {0}, {0, 0}},
                  {0, 0, "SSRR", {4}, {4, 3}},
                  {0, 1, "-D-R", {2}, {2, 1}},
                  {1, 0, "--SS", {1}, {1, 1}},
                  {1, 0, "--SS", {4, 1}, {1, 1}},
                  {1, 1, "---D", {2, 1}, {3, 2}}},
    .n_frames = 8,
    .again = 4,
    .frames = {0, 3, 2, 5, 1, 4, 2, 5},
};

const struct dependency_pattern pattern_l2t2_key = {
    .n_targets = 4,
    .n_chains = 2,
    .spatial_layers = 2,
    .protected_by = {0, 0, 1, 1},
    .n_templates = 6,
    .templates = {{0, 0, "SSSS", {0}, {0, 0}},
                  {0, 0, "SS--", {4}, {4, 3}},
                  {0, 1, "-D--", {2}, {2, 1}},
                  {1, 0, "--SS", {1}, {1, 1}},
                  {1, 0, "--SS", {4}, {1, 4}},
                  {1, 1, "---D", {2}, {3, 2}}},
    .n_frames = 8,
    .again = 4,
    .frames = {0, 3, 2, 5, 1, 4, 2, 5},
};

const struct pattern_template *pattern_frame(const struct dependency_pattern *pattern, unsigned n,
                                             uint8_t *ret_template)
{
    unsigned again = pattern->again;
    *ret_template =
        pattern->frames[n < again ? n : again + (n - again) % (pattern->n_frames - again)];
    return &pattern->templates[*ret_template];
}

struct bits {
    uint8_t *p;
    size_t at;
};

static void put(struct bits *bits, unsigned value, unsigned width)
{
    for (; width > 0; width--, bits->at++)
        bits->p[bits->at / 8] |= (uint8_t)((value >> (width - 1) & 1u) << (7 - bits->at % 8));
}

/* "ns": a value below n (A.8.2). */
static void put_below(struct bits *bits, unsigned value, unsigned n)
{
    unsigned width = 0;
    while (n >> width)
        width++;
    unsigned shorter = (1u << width) - n;
    if (value < shorter)
        put(bits, value, width - 1);
    else
        put(bits, value + shorter, width);
}

static void put_layers(struct bits *bits, const struct dependency_pattern *pattern)
{
    for (unsigned i = 0; i < pattern->n_templates; i++) {
        const struct pattern_template *this = &pattern->templates[i], *next = this + 1;
        put(bits,
            i + 1 == pattern->n_templates      ? 3
            : next->spatial != this->spatial   ? 2
            : next->temporal != this->temporal ? 1
                                               : 0,
            2);
    }
}

static void put_structure(struct bits *bits, const struct dependency_pattern *pattern)
{
    put(bits, OFFSET, 6);
    put(bits, pattern->n_targets - 1, 5);
    put_layers(bits, pattern);
    for (unsigned i = 0; i < pattern->n_templates; i++) {
        for (const char *p = pattern->templates[i].indications; *p; p++)
            put(bits, (unsigned)(strchr("-DSR", *p) - "-DSR"), 2);
    }
    for (unsigned i = 0; i < pattern->n_templates; i++) {
        const uint8_t *differences = pattern->templates[i].differences;
        for (unsigned k = 0; k < 3 && differences[k]; k++) {
            put(bits, 1, 1);
            put(bits, differences[k] - 1u, 4);
        }
        put(bits, 0, 1);
    }
    put_below(bits, pattern->n_chains, pattern->n_targets + 1);
    for (unsigned i = 0; i < pattern->n_targets; i++)
        put_below(bits, pattern->protected_by[i], pattern->n_chains);
    for (unsigned i = 0; i < pattern->n_templates; i++) {
        for (unsigned k = 0; k < pattern->n_chains; k++)
            put(bits, pattern->templates[i].chains[k], 4);
    }
    put(bits, 1, 1);
    for (unsigned i = 0; i < pattern->spatial_layers; i++) {
        put(bits, (320u << i) - 1, 16);
        put(bits, (180u << i) - 1, 16);
    }
}

size_t dependency_write(const struct dependency_pattern *pattern, uint8_t template, uint16_t frame,
                        unsigned flags, uint8_t *out)
{
    struct bits bits = {.p = out};
    memset(out, 0, 255);
    put(&bits, !!(flags & DESCRIPTOR_BEGINS), 1);
    put(&bits, !!(flags & DESCRIPTOR_ENDS), 1);
    put(&bits, (OFFSET + template) % 64, 6);
    put(&bits, frame, 16);
    if (flags & DESCRIPTOR_STRUCTURE) {
        put(&bits, 0x10, 5);
        put_structure(&bits, pattern);
    }
    return (bits.at + 7) / 8;
}
