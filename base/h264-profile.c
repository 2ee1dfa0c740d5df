/* SPDX-License-Identifier: Apache-2.0 */
/* Two descriptions can name one profile in several ways, so they are compared by what the table
 * makes of them. Levels stay out: they say how much is sent, not how. */
#include "base/h264-profile.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>

const char *h264_profile(const char *profile_level_id)
{
    /* RFC 6184 8.1 table 5: the pairs of profile_idc and profile-iop that mean one profile. */
    static const struct {
        guint8 idc, iop_mask, iop_value;
        const char *key;
    } profiles[] = {
        {0x42, 0x4f, 0x40, "42e0"}, {0x4d, 0x8f, 0x80, "42e0"}, {0x58, 0xcf, 0xc0, "42e0"},
        {0x42, 0x4f, 0x00, "4200"}, {0x58, 0xcf, 0x80, "4200"}, {0x4d, 0xaf, 0x00, "4d00"},
        {0x64, 0xff, 0x00, "6400"}, {0x64, 0xff, 0x0c, "640c"}, {0xf4, 0xff, 0x00, "f400"},
    };
    guint value = 0;

    if (strlen(profile_level_id) != 6)
        return NULL;
    for (gsize i = 0; i < 6; i++) {
        if (!g_ascii_isxdigit(profile_level_id[i]))
            return NULL;
        value = value << 4 | (guint)g_ascii_xdigit_value(profile_level_id[i]);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(profiles); i++)
        if (value >> 16 == profiles[i].idc &&
            (value >> 8 & profiles[i].iop_mask) == profiles[i].iop_value)
            return profiles[i].key;
    return NULL;
}

unsigned h264_level(const char *profile_level_id)
{
    if (!h264_profile(profile_level_id))
        return 0;
    unsigned value = (unsigned)strtoul(profile_level_id, NULL, 16);
    unsigned level = value & 0xff, profile = value >> 16;
    /* Table A-1 of H.264: 1b lies between 1 and 1.1; below High it is 11 with constraint_set3. */
    if (level == 9 || (level == 11 && profile < 0x64 && (value & 0x1000)))
        return 105;
    return level * 10;
}
