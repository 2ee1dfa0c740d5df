/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The dependency descriptor (AV1 RTP specification 1.0, appendix A): which decode targets a frame
 * is part of and which frames it is predicted from, without a look into the bit stream. Pure;
 * whatever the octets are, nothing beyond `length` is read. Threads: any. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DEPENDENCY_TARGETS_MAX 32
#define DEPENDENCY_TEMPLATES_MAX 64
#define DEPENDENCY_SPATIAL_MAX 4
#define DEPENDENCY_DIFFERENCES_MAX 8
#define DEPENDENCY_OCTETS_MAX 255 /* of an element in the two-byte form */

enum dependency_indication { /* of a frame for a decode target (A.5) */
                             DEPENDENCY_NOT_PRESENT,
                             DEPENDENCY_DISCARDABLE,
                             DEPENDENCY_SWITCH, /* who has this frame can decode the target from
                                                   here on */
                             DEPENDENCY_REQUIRED,
};

struct dependency_differences { /* to the frames that one is predicted from */
    uint8_t n;
    bool more; /* than there is room for: not all are known */
    uint16_t list[DEPENDENCY_DIFFERENCES_MAX];
};

struct dependency_template {
    uint8_t spatial, temporal;
    uint64_t indications; /* two bits for each decode target */
    struct dependency_differences differences;
};

/* What a key frame tells for the frames that follow. */
struct dependency_structure {
    uint32_t active; /* decode targets, by bit: all; who follows the stream keeps it up */
    uint8_t nesting; /* … notes how its decode targets contain one another, */
    uint64_t index;  /* … and the packet that told of it last */
    uint8_t offset;  /* of template ids */
    uint8_t n_templates, n_targets, n_chains;
    struct dependency_template templates[DEPENDENCY_TEMPLATES_MAX];
    struct {
        uint8_t spatial, temporal, chain;
    } targets[DEPENDENCY_TARGETS_MAX];
    uint8_t spatial_layers;
    uint16_t widths[DEPENDENCY_SPATIAL_MAX], heights[DEPENDENCY_SPATIAL_MAX]; /* 0 = not told */
};

struct dependency_descriptor {
    bool begins, ends; /* a frame */
    uint16_t frame;
    bool has_structure;
    bool has_active;
    uint32_t active; /* decode targets, by bit */
    uint8_t spatial, temporal;
    uint64_t indications;
    struct dependency_differences differences;
};

/* `structure`: of the last key frame; NULL = none has come. One that the descriptor brings is
 * written to *ret_structure, which may be the same. False: not to be understood, or cut off. */
bool dependency_descriptor_parse(const uint8_t *data, size_t length,
                                 const struct dependency_structure *structure,
                                 struct dependency_descriptor *ret,
                                 struct dependency_structure *ret_structure);
static inline enum dependency_indication
dependency_indication_of(const struct dependency_descriptor *descriptor, unsigned target)
{
    return (enum dependency_indication)(descriptor->indications >> 2 * target & 3);
}
/* The decode target with the most layers of those within both; -1 = none. */
int dependency_target(const struct dependency_structure *structure, unsigned spatial,
                      unsigned temporal);
/* Writes the descriptor with other decode targets active, by bit, of `n_targets` of the structure
 * in force; one that the descriptor brings counts itself. `out` has DEPENDENCY_OCTETS_MAX octets.
 * Returns its length; 0: it is no descriptor, or there is no room. */
size_t dependency_descriptor_activate(const uint8_t *data, size_t length, unsigned n_targets,
                                      uint32_t active, uint8_t *out);
