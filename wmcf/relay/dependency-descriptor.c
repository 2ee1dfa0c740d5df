/* SPDX-License-Identifier: Apache-2.0 */
/* Reads bits in the order of the specification through a cursor that remembers running over the
 * end; counts are bounded before they are used. Chain differences are passed over: who decides what
 * to forward knows of each frame whether it has forwarded what the frame is predicted from, which
 * says more. */
#include "wmcf/relay/dependency-descriptor.h"

#include <string.h>

struct cursor {
    const uint8_t *p;
    size_t at, length; /* bits */
    bool over;
};

static unsigned bits(struct cursor *cursor, unsigned n)
{
    unsigned ret = 0;
    if (cursor->at + n > cursor->length) {
        cursor->over = true;
        return 0;
    }
    for (; n > 0; n--, cursor->at++)
        ret = ret << 1 | (cursor->p[cursor->at / 8] >> (7 - cursor->at % 8) & 1u);
    return ret;
}

/* A value below `n`, in as few bits as it takes (A.8.2, "ns"). */
static unsigned below(struct cursor *cursor, unsigned n)
{
    unsigned width = 0;
    for (unsigned x = n; x; x >>= 1)
        width++;
    unsigned shorter = (1u << width) - n, value = bits(cursor, width - 1);
    return value < shorter ? value : (value << 1 | bits(cursor, 1)) - shorter;
}

static bool parse_layers(struct cursor *cursor, struct dependency_structure *ret)
{
    uint8_t spatial = 0, temporal = 0;
    unsigned next;
    do {
        if (ret->n_templates == DEPENDENCY_TEMPLATES_MAX || cursor->over)
            return false;
        ret->templates[ret->n_templates++] =
            (struct dependency_template){.spatial = spatial, .temporal = temporal};
        next = bits(cursor, 2);
        temporal = (uint8_t)(next == 1 ? temporal + 1 : next == 2 ? 0 : temporal);
        spatial = (uint8_t)(next == 2 ? spatial + 1 : spatial);
    } while (next != 3);
    ret->spatial_layers = (uint8_t)(spatial + 1);
    return spatial < DEPENDENCY_SPATIAL_MAX;
}

static uint64_t parse_indications(struct cursor *cursor, unsigned targets)
{
    uint64_t ret = 0;
    for (unsigned i = 0; i < targets; i++)
        ret |= (uint64_t)bits(cursor, 2) << 2 * i;
    return ret;
}

static void add_difference(struct dependency_differences *differences, unsigned value)
{
    differences->more |= differences->n == DEPENDENCY_DIFFERENCES_MAX;
    if (!differences->more)
        differences->list[differences->n++] = (uint16_t)(value + 1);
}

static void parse_frame_differences(struct cursor *cursor, struct dependency_structure *ret)
{
    for (unsigned i = 0; i < ret->n_templates; i++) {
        while (bits(cursor, 1) && !cursor->over)
            add_difference(&ret->templates[i].differences, bits(cursor, 4));
    }
}

static void parse_chains(struct cursor *cursor, struct dependency_structure *ret)
{
    ret->n_chains = (uint8_t)below(cursor, ret->n_targets + 1u);
    for (unsigned i = 0; i < ret->n_targets && ret->n_chains; i++)
        ret->targets[i].chain = (uint8_t)below(cursor, ret->n_chains);
    for (unsigned i = 0; i < (unsigned)ret->n_templates * ret->n_chains && !cursor->over; i++)
        bits(cursor, 4);
}

/* The layers of a decode target are those of the frames that belong to it. */
static void derive_targets(struct dependency_structure *ret)
{
    for (unsigned t = 0; t < ret->n_targets; t++) {
        for (unsigned i = 0; i < ret->n_templates; i++) {
            const struct dependency_template *template = &ret->templates[i];
            if ((template->indications >> 2 * t & 3) == DEPENDENCY_NOT_PRESENT)
                continue;
            if (template->spatial > ret->targets[t].spatial)
                ret->targets[t].spatial = template->spatial;
            if (template->temporal > ret->targets[t].temporal)
                ret->targets[t].temporal = template->temporal;
        }
    }
}

static bool parse_structure(struct cursor *cursor, struct dependency_structure *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->offset = (uint8_t)bits(cursor, 6);
    ret->n_targets = (uint8_t)(bits(cursor, 5) + 1);
    ret->active = UINT32_MAX >> (DEPENDENCY_TARGETS_MAX - ret->n_targets);
    if (!parse_layers(cursor, ret))
        return false;
    for (unsigned i = 0; i < ret->n_templates; i++)
        ret->templates[i].indications = parse_indications(cursor, ret->n_targets);
    parse_frame_differences(cursor, ret);
    parse_chains(cursor, ret);
    derive_targets(ret);
    for (unsigned i = 0, told = bits(cursor, 1); told && i < ret->spatial_layers; i++) {
        /* minus one each: 65536 cannot be told apart from unknown, and nobody sends it */
        ret->widths[i] = (uint16_t)(bits(cursor, 16) + 1);
        ret->heights[i] = (uint16_t)(bits(cursor, 16) + 1);
    }
    return !cursor->over;
}

static void parse_custom(struct cursor *cursor, const struct dependency_structure *structure,
                         bool indications, bool differences, bool chains,
                         struct dependency_descriptor *ret)
{
    if (indications)
        ret->indications = parse_indications(cursor, structure->n_targets);
    if (differences)
        ret->differences = (struct dependency_differences){0};
    for (unsigned size = differences ? bits(cursor, 2) : 0; size && !cursor->over;
         size = bits(cursor, 2))
        add_difference(&ret->differences, bits(cursor, 4 * size));
    for (unsigned i = 0; chains && i < structure->n_chains; i++)
        bits(cursor, 8);
}

bool dependency_descriptor_parse(const uint8_t *data, size_t length,
                                 const struct dependency_structure *structure,
                                 struct dependency_descriptor *ret,
                                 struct dependency_structure *ret_structure)
{
    struct cursor cursor = {.p = data, .length = length * 8};
    struct dependency_structure own;
    *ret = (struct dependency_descriptor){.begins = bits(&cursor, 1), .ends = bits(&cursor, 1)};
    unsigned id = bits(&cursor, 6);
    ret->frame = (uint16_t)bits(&cursor, 16);
    bool extended = length > 3, active = false;
    bool indications = false, differences = false, chains = false;
    if (extended) {
        ret->has_structure = bits(&cursor, 1);
        active = bits(&cursor, 1);
        indications = bits(&cursor, 1);
        differences = bits(&cursor, 1);
        chains = bits(&cursor, 1);
    }
    if (ret->has_structure) {
        if (!parse_structure(&cursor, &own))
            return false;
        structure = &own;
        ret->has_active = true;
        ret->active = own.active;
    }
    if (!structure || structure->n_templates == 0)
        return false;
    if (active) {
        ret->has_active = true;
        ret->active = bits(&cursor, structure->n_targets);
    }
    unsigned n = (id + 64 - structure->offset) % 64;
    if (n >= structure->n_templates)
        return false;
    ret->spatial = structure->templates[n].spatial;
    ret->temporal = structure->templates[n].temporal;
    ret->indications = structure->templates[n].indications;
    ret->differences = structure->templates[n].differences;
    parse_custom(&cursor, structure, indications, differences, chains, ret);
    if (cursor.over)
        return false;
    if (ret->has_structure)
        *ret_structure = own;
    return true;
}

int dependency_target(const struct dependency_structure *structure, unsigned spatial,
                      unsigned temporal)
{
    int best = -1;
    for (int i = 0; i < structure->n_targets; i++) {
        if (structure->targets[i].spatial > spatial || structure->targets[i].temporal > temporal)
            continue;
        if (best < 0 || structure->targets[i].spatial > structure->targets[best].spatial ||
            (structure->targets[i].spatial == structure->targets[best].spatial &&
             structure->targets[i].temporal > structure->targets[best].temporal))
            best = i;
    }
    return best;
}

struct bit_writer {
    uint8_t *p;
    size_t at, length; /* bits */
};

static void write_bits(struct bit_writer *writer, unsigned value, unsigned n)
{
    for (; n > 0 && writer->at < writer->length; n--, writer->at++)
        writer->p[writer->at / 8] |= (uint8_t)((value >> (n - 1) & 1u) << (7 - writer->at % 8));
}

static void copy_bits(struct bit_writer *writer, struct cursor *from, size_t until)
{
    while (from->at < until) {
        unsigned n = until - from->at < 8 ? (unsigned)(until - from->at) : 8;
        write_bits(writer, bits(from, n), n);
    }
}

#define HEAD_BITS 24
#define FLAG_BITS 5

size_t dependency_descriptor_activate(const uint8_t *data, size_t length, unsigned n_targets,
                                      uint32_t active, uint8_t *out)
{
    struct cursor cursor = {.p = data, .at = HEAD_BITS, .length = length * 8};
    struct bit_writer writer = {.p = out, .length = DEPENDENCY_OCTETS_MAX * 8};
    bool extended = length > 3;
    if (length < 3)
        return 0;
    unsigned flags = extended ? bits(&cursor, FLAG_BITS) : 0;
    if (flags & 0x10) {
        struct dependency_structure own;
        if (!parse_structure(&cursor, &own))
            return 0;
        n_targets = own.n_targets;
    }
    size_t place = cursor.at;
    unsigned present = flags & 0x08 ? n_targets : 0;
    if (place + present > cursor.length ||
        (cursor.length + n_targets + FLAG_BITS + 7) / 8 > DEPENDENCY_OCTETS_MAX)
        return 0;
    memset(out, 0, DEPENDENCY_OCTETS_MAX);
    cursor.at = 0;
    copy_bits(&writer, &cursor, HEAD_BITS);
    write_bits(&writer, flags | 0x08, FLAG_BITS);
    cursor.at = extended ? HEAD_BITS + FLAG_BITS : HEAD_BITS;
    copy_bits(&writer, &cursor, extended ? place : HEAD_BITS);
    write_bits(&writer, active, n_targets);
    cursor.at = (extended ? place : HEAD_BITS) + present;
    copy_bits(&writer, &cursor, cursor.length);
    return (writer.at + 7) / 8;
}
