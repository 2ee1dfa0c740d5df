/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 6184 8.2.2 wants profile and packetization mode to be the same on both sides, RFC 9628 7.2
 * the profile of VP9, AV1's RTP specification its profile. One text for each codec, with the
 * parameters as they were said, serves lists, records and messages without a structure of its own,
 * and so a level reaches the other side as its receiver has told it. */
#include "wsf/codec-text.h"

#include "base/h264-profile.h"

#include <string.h>

#define VALUE_MAX 12

struct parameter {
    const char *name, *absent; /* what it means when it is not said */
};

static const struct format {
    const char *name;
    struct parameter parameters[3]; /* the first by which two differ, ended by an empty one */
} formats[] = {
    {"H264",
     {{"packetization-mode", "0"}, {"profile-level-id", H264_DEFAULT_PROFILE_LEVEL_ID}, {0}}},
    {"VP9", {{"profile-id", "0"}, {0}}},
    {"AV1", {{"profile", "0"}, {0}}},
};

static gsize name_length(const char *codec)
{
    return strcspn(codec, ";");
}

static const struct format *format_of(const char *codec)
{
    for (gsize i = 0; i < G_N_ELEMENTS(formats); i++)
        if (codec_text_is_named(codec, formats[i].name))
            return &formats[i];
    return NULL;
}

/* The value of one `name=value` in a list parted by semicolons; false: it is not there. One that no
 * such parameter has is as good as none. */
static bool value_of(const char *list, const char *name, char *ret)
{
    gsize length = strlen(name);
    for (const char *p = list; p && *p; p += strcspn(p, ";")) {
        p += strspn(p, "; ");
        if (g_ascii_strncasecmp(p, name, length) != 0 || p[length] != '=')
            continue;
        const char *value = p + length + 1;
        gsize n = 0;
        while (n < VALUE_MAX - 1 && g_ascii_isalnum(value[n]))
            n++;
        if (n == 0 || (value[n] && !strchr("; ", value[n])))
            return false;
        memcpy(ret, value, n);
        ret[n] = '\0';
        return true;
    }
    return false;
}

char *codec_text(const char *name, const char *fmtp)
{
    const struct format *format = format_of(name);
    GString *text = g_string_new(name);
    for (const struct parameter *p = format ? format->parameters : NULL; p && p->name; p++) {
        char value[VALUE_MAX];
        if (value_of(fmtp, p->name, value))
            g_string_append_printf(text, ";%s=%s", p->name, value);
    }
    return g_string_free(text, FALSE);
}

char *codec_text_name(const char *codec)
{
    return g_strndup(codec, name_length(codec));
}

bool codec_text_is_named(const char *codec, const char *name)
{
    gsize length = name_length(codec);
    return length == strlen(name) && g_ascii_strncasecmp(codec, name, length) == 0;
}

bool codec_text_says_more(const char *codec)
{
    return codec[name_length(codec)] != '\0';
}

static bool same_value(const struct parameter *p, const char *one, const char *other)
{
    char a[VALUE_MAX], b[VALUE_MAX];
    if (!value_of(one, p->name, a))
        g_strlcpy(a, p->absent, sizeof a);
    if (!value_of(other, p->name, b))
        g_strlcpy(b, p->absent, sizeof b);
    if (g_ascii_strcasecmp(a, b) == 0)
        return true;
    if (strcmp(p->name, "profile-level-id") != 0)
        return false;
    const char *profile = h264_profile(a);
    return profile && g_strcmp0(profile, h264_profile(b)) == 0;
}

bool codec_text_fits(const char *one, const char *other)
{
    const struct format *format = format_of(one);
    if (name_length(one) != name_length(other) ||
        g_ascii_strncasecmp(one, other, name_length(one)) != 0)
        return false;
    if (!format || !codec_text_says_more(one) || !codec_text_says_more(other))
        return true;
    for (const struct parameter *p = format->parameters; p->name; p++)
        if (!same_value(p, one + name_length(one), other + name_length(other)))
            return false;
    return true;
}
