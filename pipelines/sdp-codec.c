/* SPDX-License-Identifier: Apache-2.0 */
/* The known codecs. One table gives what we offer; one function turns what a peer wrote into
 * canonical keys, so that matching two codecs anywhere is the comparison of two pointers. Levels,
 * and whatever else does not stop a receiver from understanding the payload, stay out of the key:
 * the media centre passes payloads through and decodes none. */
#include "pipelines/sdp-codec.h"
#include "pipelines/sdp-model.h"

#include <string.h>

#define H264_FMTP(mode, plid)                                                                      \
    "level-asymmetry-allowed=1;packetization-mode=" mode ";profile-level-id=" plid

/* Payload types stay inside 96..127: RFC 5761 4 with rtcp-mux. */
const struct sdp_known_codec sdp_known_codecs[] = {
    {SDP_AUDIO, "opus", 48000, 2, "minptime=10;useinbandfec=1", 111},
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

/* Known so that a description keeps them; only mid and audio level are negotiated. */
static const char *const extensions[] = {
    SDP_URI_MID,
    SDP_URI_AUDIO_LEVEL,
    "urn:ietf:params:rtp-hdrext:csrc-audio-level",
    "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
    "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
    "urn:ietf:params:rtp-hdrext:toffset",
    "urn:3gpp:video-orientation",
    "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
    "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
    "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension",
};

const char *sdp_known_extension(const char *uri)
{
    for (gsize i = 0; i < G_N_ELEMENTS(extensions); i++)
        if (strcmp(uri, extensions[i]) == 0)
            return extensions[i];
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

/* RFC 6184 8.1 table 5: the pairs of profile_idc and profile-iop that mean one profile. */
static const char *h264_profile(const char *plid)
{
    static const struct {
        guint8 idc, iop_mask, iop_value;
        const char *key;
    } profiles[] = {
        {0x42, 0x4f, 0x40, "42e0"}, {0x4d, 0x8f, 0x80, "42e0"}, {0x58, 0xcf, 0xc0, "42e0"},
        {0x42, 0x4f, 0x00, "4200"}, {0x58, 0xcf, 0x80, "4200"}, {0x4d, 0xaf, 0x00, "4d00"},
        {0x64, 0xff, 0x00, "6400"}, {0x64, 0xff, 0x0c, "640c"}, {0xf4, 0xff, 0x00, "f400"},
    };
    guint value = 0;

    if (strlen(plid) != 6)
        return NULL;
    for (gsize i = 0; i < 6; i++) {
        if (!g_ascii_isxdigit(plid[i]))
            return NULL;
        value = value << 4 | (guint)g_ascii_xdigit_value(plid[i]);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(profiles); i++)
        if (value >> 16 == profiles[i].idc &&
            (value >> 8 & profiles[i].iop_mask) == profiles[i].iop_value)
            return profiles[i].key;
    return NULL;
}

static const char *h264_format(const char *fmtp)
{
    char plid[8] = "420010"; /* RFC 6184 8.1: what an absent profile-level-id means */
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
        bool opus = g_ascii_strcasecmp(codec->name, "opus") == 0 && codec->clock_rate == 48000 &&
                    codec->channels == 2; /* RFC 7587 7: always 48000/2 */
        return opus ? g_intern_static_string("audio/opus/48000/2") : NULL;
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

char *sdp_codec_answer_fmtp(const struct sdp_codec *offered)
{
    /* RFC 6184 8.2.2: mode and profile symmetric; the offered level is one that we accept, as we
     * decode nothing. */
    static const char *const h264[] = {"level-asymmetry-allowed", "packetization-mode",
                                       "profile-level-id", NULL};
    static const char *const vp9[] = {"profile-id", NULL};
    static const char *const av1[] = {"level-idx", "profile", "tier", NULL};

    if (g_ascii_strcasecmp(offered->name, "opus") == 0)
        return g_strdup("minptime=10;useinbandfec=1");
    if (g_ascii_strcasecmp(offered->name, "H264") == 0)
        return kept_parameters(offered->fmtp, h264);
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
