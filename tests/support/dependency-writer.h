/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Dependency descriptors (AV1 RTP specification 1.0, appendix A) as a publisher writes them: a
 * *pattern* is a structure and the order in which its templates come. Those here are the ones of
 * the specification's examples (L1T3, L2T2, L2T2_KEY). Shares nothing with what reads them in the
 * relay. Threads: any. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PATTERN_TEMPLATES 8
#define PATTERN_FRAMES 16

struct pattern_template {
    uint8_t spatial, temporal;
    const char *indications; /* of each decode target: '-' not present, D, S, R */
    uint8_t differences[3];  /* 0 = no more */
    uint8_t chains[2];
};

struct dependency_pattern {
    unsigned n_targets, n_chains, spatial_layers, n_templates;
    uint8_t protected_by[4]; /* the chain of each decode target */
    struct pattern_template templates[PATTERN_TEMPLATES];
    /* Of each frame the template, in coding order: of the key picture and those after it, then from
     * `again` on once more. */
    unsigned n_frames, again;
    uint8_t frames[PATTERN_FRAMES];
};

extern const struct dependency_pattern pattern_l1t3, pattern_l2t2, pattern_l2t2_key;

/* The template of the n-th frame since the key frame. */
const struct pattern_template *pattern_frame(const struct dependency_pattern *pattern, unsigned n,
                                             uint8_t *ret_template);
enum { DESCRIPTOR_BEGINS = 1, DESCRIPTOR_ENDS = 2, DESCRIPTOR_STRUCTURE = 4 };
/* The descriptor of a packet of a frame with this template; sizes are 320 × 180 and twice that.
 * `out` has 255 octets. Returns its length. */
size_t dependency_write(const struct dependency_pattern *pattern, uint8_t template, uint16_t frame,
                        unsigned flags, uint8_t *out);
