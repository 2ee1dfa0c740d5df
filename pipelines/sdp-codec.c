/* SPDX-License-Identifier: Apache-2.0 */
/* The known codecs. One table gives what we offer; one function turns what a peer wrote into
 * canonical keys, so that matching two codecs anywhere is the comparison of two pointers. Levels,
 * and whatever else does not stop a receiver from understanding the payload, stay out of the key:
 * the media centre passes payloads through and decodes none. */
#include "pipelines/sdp-codec.h"

#include "base/h264-profile.h"
#include "pipelines/sdp-model.h"

#include <string.h>

#define H264_FMTP(mode, plid)                                                                      \
    "level-asymmetry-allowed=1;packetization-mode=" mode ";profile-level-id=" plid

#define FORMAT_OPUS "audio/opus/48000/2"
#define FORMAT_RED "audio/red/48000/2"

/* Payload types stay inside 96..127: RFC 5761 4 with rtcp-mux. */
const struct sdp_known_codec sdp_known_codecs[] = {
    {SDP_AUDIO, "opus", 48000, 2, "minptime=10;useinbandfec=1", 111},
    {SDP_AUDIO, "red", 48000, 2, NULL, 110}, /* its parameters name the opus of the same m-line */
    {SDP_VIDEO, "VP8", 90000, 1, NULL, 96},
    {SDP_VIDEO, "VP9", 90000, 1, "profile-id=0", 98},
    {SDP_VIDEO, "VP9", 90000, 1, "profile-id=2", 100},
    {SDP_VIDEO, "H264", 90000, 1, H264_FMTP("1", "42e01f"), 102},
    {SDP_VIDEO, "H264", 90000, 1, H264_FMTP("0", "42e01f"), 104},
    {SDP_VIDEO, "H264", 90000, 1, H264_FMTP("1", "42001f"), 106},
    {SDP_VIDEO, "H264", 90000, 1, H264_FMTP("0", "42001f"), 108},
    {SDP_VIDEO, "H264", 90000, 1, H264_FMTP("1", "4d001f"), 112},
    {SDP_VIDEO, "H264", 90000, 1, H264_FMTP("0", "4d001f"), 114},
    {SDP_VIDEO, "H264", 90000, 1, H264_FMTP("1", "64001f"), 116},
    {SDP_VIDEO, "AV1", 90000, 1, "level-idx=5;profile=0;tier=0", 118},
};
const gsize sdp_n_known_codecs = G_N_ELEMENTS(sdp_known_codecs);

const struct sdp_known_codec *sdp_known_codec_find(enum sdp_kind kind, const char *name)
{
    for (gsize i = 0; i < sdp_n_known_codecs; i++)
        if (sdp_known_codecs[i].kind == kind &&
            g_ascii_strcasecmp(sdp_known_codecs[i].name, name) == 0)
            return &sdp_known_codecs[i];
    return NULL;
}

/* The value of one `name=value` in a list parted by semicolons; false when it is not there, and the
 * empty text, which no parameter means, when it does not fit. */
static bool fmtp_value(const char *fmtp, const char *name, char *value, gsize size)
{
    gsize name_length = strlen(name);

    for (const char *p = fmtp; p && *p;) {
        p += strspn(p, "; ");
        gsize length = strcspn(p, ";");
        if (length > name_length && g_ascii_strncasecmp(p, name, name_length) == 0 &&
            p[name_length] == '=') {
            gsize value_length = length - name_length - 1;
            while (value_length > 0 && p[name_length + value_length] == ' ')
                value_length--;
            if (value_length >= size)
                value_length = 0;
            memcpy(value, p + name_length + 1, value_length);
            value[value_length] = '\0';
            return true;
        }
        p += length;
    }
    return false;
}

/* A small number, or `fallback` when the parameter is absent, or -1 when it is not a number. */
static int fmtp_number(const char *fmtp, const char *name, int fallback)
{
    char value[8];
    const char *cursor = value;
    guint64 number;

    if (!fmtp_value(fmtp, name, value, sizeof(value)))
        return fallback;
    return sdp_scan_number(&cursor, 255, &number) && *cursor == '\0' ? (int)number : -1;
}

static const char *h264_format(const char *fmtp)
{
    char plid[8] = H264_DEFAULT_PROFILE_LEVEL_ID;
    char key[64];
    int mode = fmtp_number(fmtp, "packetization-mode", 0);
    const char *profile;

    fmtp_value(fmtp, "profile-level-id", plid, sizeof(plid));
    profile = h264_profile(plid);
    if (!profile || mode < 0 || mode > 1)
        return NULL;
    g_snprintf(key, sizeof(key), "video/H264/90000;packetization-mode=%d;profile=%s", mode,
               profile);
    return g_intern_string(key);
}

static const char *profile_format(const char *name, const char *fmtp, const char *parameter,
                                  int highest)
{
    char key[64];
    int profile = fmtp_number(fmtp, parameter, 0);

    if (profile < 0 || profile > highest)
        return NULL;
    g_snprintf(key, sizeof(key), "video/%s/90000;%s=%d", name, parameter, profile);
    return g_intern_string(key);
}

const char *sdp_codec_format(enum sdp_kind kind, const struct sdp_codec *codec)
{
    if (kind == SDP_AUDIO) {
        if (codec->clock_rate != 48000 || codec->channels != 2) /* RFC 7587 7: always 48000/2 */
            return NULL;
        if (g_ascii_strcasecmp(codec->name, "opus") == 0)
            return g_intern_static_string(FORMAT_OPUS);
        if (g_ascii_strcasecmp(codec->name, "red") == 0)
            return g_intern_static_string(FORMAT_RED);
        return NULL;
    }
    if (kind != SDP_VIDEO || codec->clock_rate != 90000)
        return NULL;
    if (g_ascii_strcasecmp(codec->name, "VP8") == 0)
        return g_intern_static_string("video/VP8/90000");
    if (g_ascii_strcasecmp(codec->name, "VP9") == 0)
        return profile_format("VP9", codec->fmtp, "profile-id", 3);
    if (g_ascii_strcasecmp(codec->name, "AV1") == 0)
        return profile_format("AV1", codec->fmtp, "profile", 2);
    if (g_ascii_strcasecmp(codec->name, "H264") == 0)
        return h264_format(codec->fmtp);
    return NULL;
}

int sdp_codec_red_primary(const struct sdp_codec *codec)
{
    const char *cursor = codec->fmtp ? codec->fmtp : "";
    guint64 first, other;

    if (!sdp_scan_number(&cursor, 127, &first) || *cursor != '/')
        return -1;
    while (*cursor == '/') {
        cursor++;
        if (!sdp_scan_number(&cursor, 127, &other) || other != first)
            return -1;
    }
    return *cursor == '\0' ? (int)first : -1;
}

bool sdp_codec_is_red(const struct sdp_codec *codec)
{
    return codec->format && strcmp(codec->format, FORMAT_RED) == 0;
}

const struct sdp_codec *sdp_media_opus(const struct sdp_media *media)
{
    for (guint i = 0; i < media->codecs->len; i++) {
        const struct sdp_codec *codec = &g_array_index(media->codecs, struct sdp_codec, i);
        if (codec->format && strcmp(codec->format, FORMAT_OPUS) == 0)
            return codec;
    }
    return NULL;
}

/* Copies the named parameters of an offered codec, and none that tells of the offerer's own stream
 * (sprop-…) or of wishes that are not ours to repeat. */
static char *kept_parameters(const char *fmtp, const char *const *names)
{
    GString *kept = g_string_new(NULL);

    for (; *names; names++) {
        char value[16];
        if (fmtp_value(fmtp, *names, value, sizeof(value)) && *value)
            g_string_append_printf(kept, "%s%s=%s", kept->len > 0 ? ";" : "", *names, value);
    }
    return g_string_free(kept, kept->len == 0);
}

/* RFC 6184 8.2.2: mode and profile symmetric. We decode nothing, so the offered level is one that
 * we accept, unless a receiver behind us has a level of its own: then that, or, where both
 * directions have the same, the lower one. */
static char *h264_answer(const char *offered, const char *wanted)
{
    static const char *const names[] = {"level-asymmetry-allowed", "packetization-mode",
                                        "profile-level-id", NULL};
    char theirs[8] = H264_DEFAULT_PROFILE_LEVEL_ID, own[8] = "";
    bool asymmetric = fmtp_number(offered, "level-asymmetry-allowed", 0) == 1;

    fmtp_value(offered, "profile-level-id", theirs, sizeof(theirs));
    if (!wanted || !fmtp_value(wanted, "profile-level-id", own, sizeof(own)) ||
        !h264_profile(own) || (!asymmetric && h264_level(own) >= h264_level(theirs)))
        return kept_parameters(offered, names);
    return g_strdup_printf("%spacketization-mode=%d;profile-level-id=%s",
                           asymmetric ? "level-asymmetry-allowed=1;" : "",
                           fmtp_number(offered, "packetization-mode", 0), own);
}

char *sdp_codec_offer_fmtp(const char *name, const char *wanted)
{
    bool h264 = g_ascii_strcasecmp(name, "H264") == 0;

    wanted += strspn(wanted, "; ");
    return g_strconcat(h264 ? "level-asymmetry-allowed=1;" : "", wanted, NULL);
}

char *sdp_codec_answer_fmtp(const struct sdp_codec *offered, const char *wanted)
{
    static const char *const vp9[] = {"profile-id", NULL};
    static const char *const av1[] = {"level-idx", "profile", "tier", NULL};

    if (g_ascii_strcasecmp(offered->name, "opus") == 0)
        return g_strdup("minptime=10;useinbandfec=1");
    if (sdp_codec_is_red(offered)) {
        int primary = sdp_codec_red_primary(offered);
        return primary < 0 ? NULL : g_strdup_printf("%d/%d", primary, primary);
    }
    if (g_ascii_strcasecmp(offered->name, "H264") == 0)
        return h264_answer(offered->fmtp, wanted);
    if (g_ascii_strcasecmp(offered->name, "VP9") == 0)
        return kept_parameters(offered->fmtp, vp9);
    if (g_ascii_strcasecmp(offered->name, "AV1") == 0)
        return kept_parameters(offered->fmtp, av1);
    return NULL;
}

void sdp_codec_init_known(struct sdp_codec *codec, const struct sdp_known_codec *known, guint8 pt)
{
    bool video = known->kind == SDP_VIDEO;

    *codec = (struct sdp_codec){
        .pt = pt,
        .name = g_strdup(known->name),
        .clock_rate = known->clock_rate,
        .channels = known->channels,
        .fmtp = g_strdup(known->fmtp),
        .nack = video,
        .nack_pli = video,
        .ccm_fir = video,
    };
    codec->format = sdp_codec_format(known->kind, codec);
}
