/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the files tc-u32*.c share. Threads: control. */
#include "qos/tc-u32.h"

#include "qos/tc-private.h"

/* The kernel's own tables, the roots of u32, have numbers from here on. */
#define U32_ROOTS 0x800

/* One u32 filter, table or root of a dump. */
struct u32_entry {
    enum tc_hook hook;
    uint32_t handle;
    uint16_t priority, protocol;
    bool is_link;
    bool has_cookie;
    struct tc_cookie cookie;
};
struct u32_survey {
    GArray *entries; /* struct u32_entry, of u32 in chain 0 */
    GArray *taken;   /* uint16_t, the priorities of everybody */
    bool clsact;     /* a WMCF has made the clsact, as a filter says */
};
/* What is at one hook now. u32_survey_clear() frees it. */
bool u32_look(struct tc *tc, unsigned ifindex, enum tc_hook hook, struct u32_survey *ret);
void u32_survey_clear(struct u32_survey *survey);

bool u32_cookie_is_of(const struct tc_cookie *cookie, const char *owner);
/* Whether a WMCF's, whichever, that says it has made the clsact. */
bool u32_cookie_made_clsact(const struct tc_cookie *cookie);
/* The filters alone; whether the clsact is a WMCF's. */
bool u32_clean_filters(struct tc *tc, unsigned ifindex, const char *owner);
