/* SPDX-License-Identifier: Apache-2.0 */
/* Reads one m= section. Attributes may come in any order, so the payload types of the m= line are
 * laid down first and rtpmap, fmtp and rtcp-fb fill them; what stays without a name at the end is
 * left out. Attributes that the engine does not know are passed over, as RFC 8866 5.13 asks. */
#include "pipelines/sdp-parse.h"
#include "pipelines/sdp-codec.h"
#include "pipelines/sdp-extensions.h"

#include <string.h>

/* RFC 8841 6.1: what an absent max-message-size means. */
#define DEFAULT_MAX_MESSAGE_SIZE (64 * 1024)

struct partner {
    guint32 ssrc, repairs;
    bool fid;
};

struct reader {
    struct sdp_media *media;
    struct sdp_transport *transport;
    struct partner partners[SDP_MAX_SSRCS]; /* of repair streams */
    guint n_partners;
    struct sdp_rids rids;
    bool bundle_only, has_direction;
    guint n_extmaps, line;
};

static struct sdp_codec *find_pt(struct sdp_media *media, guint64 pt)
{
    for (guint i = 0; i < media->codecs->len; i++) {
        struct sdp_codec *codec = &g_array_index(media->codecs, struct sdp_codec, i);
        if (codec->pt == pt)
            return codec;
    }
    return NULL;
}

static bool read_formats(struct reader *r, const GstSDPMedia *section, GError **error)
{
    guint n = gst_sdp_media_formats_len(section);
    bool rtp = r->media->kind == SDP_AUDIO || r->media->kind == SDP_VIDEO;
    GString *formats = g_string_new(NULL);

    for (guint i = 0; i < n; i++)
        g_string_append_printf(formats, "%s%s", i > 0 ? " " : "",
                               gst_sdp_media_get_format(section, i));
    r->media->formats = g_string_free(formats, FALSE);
    if (n > SDP_MAX_CODECS)
        return sdp_fail_line(error, r->line, "more than %d formats", SDP_MAX_CODECS);
    for (guint i = 0; rtp && i < n; i++) {
        const char *cursor = gst_sdp_media_get_format(section, i);
        guint64 pt;
        if (!sdp_scan_number(&cursor, 127, &pt) || *cursor != '\0')
            return sdp_fail_line(error, r->line, "an RTP payload type is a number up to 127");
        if (find_pt(r->media, pt))
            return sdp_fail_line(error, r->line, "payload type %u stands twice", (guint)pt);
        struct sdp_codec codec = {.pt = (guint8)pt, .channels = 1};
        g_array_append_val(r->media->codecs, codec);
    }
    return true;
}

/* RFC 8866 6.6: pt SP name/clock[/channels] */
static bool read_rtpmap(struct reader *r, const char *value, GError **error)
{
    guint64 pt, clock_rate, channels = 1;
    bool good = sdp_scan_number(&value, 127, &pt) && *value == ' ';
    g_autofree char *encoding = good ? sdp_scan_word(&value) : NULL;
    char *slash = encoding ? strchr(encoding, '/') : NULL;
    const char *cursor = slash ? slash + 1 : "";

    good = good && slash && slash > encoding && sdp_scan_number(&cursor, G_MAXINT32, &clock_rate);
    if (good && *cursor == '/') {
        cursor++;
        good = sdp_scan_number(&cursor, 255, &channels) && channels > 0;
    }
    if (!good || *cursor != '\0' || slash - encoding > 32)
        return sdp_fail_line(error, r->line, "a=rtpmap does not have the form of RFC 8866");
    struct sdp_codec *codec = find_pt(r->media, pt);
    if (!codec)
        return true; /* not on the m= line: no effect */
    if (codec->name)
        return sdp_fail_line(error, r->line, "payload type %u is mapped twice", (guint)pt);
    codec->name = g_strndup(encoding, (gsize)(slash - encoding));
    codec->clock_rate = (guint)clock_rate;
    codec->channels = (guint)channels;
    return true;
}

static bool read_fmtp(struct reader *r, const char *value, GError **error)
{
    guint64 pt;

    if (r->media->kind == SDP_APPLICATION)
        return true; /* the old form of the data channel's parameters */
    if (!sdp_scan_number(&value, 127, &pt) || *value != ' ')
        return sdp_fail_line(error, r->line, "a=fmtp begins with a payload type");
    struct sdp_codec *codec = find_pt(r->media, pt);
    if (codec && !codec->fmtp)
        codec->fmtp = g_strdup(value + strspn(value, " "));
    return true;
}

/* RFC 4585 4.2: (pt | *) SP type */
static bool read_feedback(struct reader *r, const char *value, GError **error)
{
    bool all = *value == '*';
    guint64 pt = 0;

    if (all)
        value++;
    else if (!sdp_scan_number(&value, 127, &pt))
        return sdp_fail_line(error, r->line, "a=rtcp-fb begins with a payload type or *");
    if (*value != ' ')
        return sdp_fail_line(error, r->line, "a=rtcp-fb needs a type");
    value += strspn(value, " ");
    for (guint i = 0; i < r->media->codecs->len; i++) {
        struct sdp_codec *codec = &g_array_index(r->media->codecs, struct sdp_codec, i);
        if (!all && codec->pt != pt)
            continue;
        codec->nack |= strcmp(value, "nack") == 0;
        codec->nack_pli |= strcmp(value, "nack pli") == 0;
        codec->ccm_fir |= strcmp(value, "ccm fir") == 0;
        codec->transport_cc |= strcmp(value, "transport-cc") == 0;
        codec->goog_remb |= strcmp(value, "goog-remb") == 0;
    }
    return true;
}

/* RFC 8285 8: id[/direction] SP uri [SP attributes] */
static bool read_extmap(struct reader *r, const char *value, GError **error)
{
    guint64 id;
    enum sdp_direction direction = SDP_SENDRECV;
    g_autofree char *first = sdp_scan_word(&value);
    g_autofree char *uri = sdp_scan_word(&value);
    const char *cursor = first, *known;
    bool good = uri && sdp_scan_number(&cursor, 4096 + 255, &id) && id > 0;

    if (good && *cursor == '/')
        good = sdp_direction_parse(cursor + 1, &direction);
    else
        good = good && *cursor == '\0';
    if (!good)
        return sdp_fail_line(error, r->line, "a=extmap does not have the form of RFC 8285");
    if (++r->n_extmaps > SDP_MAX_EXTMAPS)
        return sdp_fail_line(error, r->line, "more than %d header extensions", SDP_MAX_EXTMAPS);
    known = sdp_known_extension(uri);
    for (guint i = 0; i < r->media->extmaps->len; i++)
        if (g_array_index(r->media->extmaps, struct sdp_extmap, i).id == id)
            return sdp_fail_line(error, r->line, "extension id %u stands twice", (guint)id);
    /* RFC 8285 4.3: ids above 255 are placeholders that an answer would renumber. */
    if (known && id <= 255 && sdp_media_extmap(r->media, known) == 0)
        sdp_media_add_extmap(r->media, (guint8)id, known, direction);
    return true;
}

static bool contains(const GArray *ssrcs, guint32 ssrc)
{
    for (guint i = 0; i < ssrcs->len; i++)
        if (g_array_index(ssrcs, guint32, i) == ssrc)
            return true;
    return false;
}

/* RFC 5576 4.1 */
static bool read_ssrc(struct reader *r, const char *value, GError **error)
{
    guint64 number;

    if (!sdp_scan_number(&value, G_MAXUINT32, &number) || *value != ' ')
        return sdp_fail_line(error, r->line, "a=ssrc needs a number up to 2^32-1 and an attribute");
    guint32 ssrc = (guint32)number;
    value += strspn(value, " ");
    if (g_str_has_prefix(value, "cname:") && !r->media->cname)
        r->media->cname = g_strdup(value + strlen("cname:"));
    if (contains(r->media->ssrcs, ssrc))
        return true;
    if (r->media->ssrcs->len == SDP_MAX_SSRCS)
        return sdp_fail_line(error, r->line, "more than %d sources", SDP_MAX_SSRCS);
    g_array_append_val(r->media->ssrcs, ssrc);
    return true;
}

/* RFC 5576 4.2: the sources behind the first of a FID or FEC-FR group only repair it. */
static bool read_ssrc_group(struct reader *r, const char *value, GError **error)
{
    g_autofree char *semantics = sdp_scan_word(&value);
    bool fid = g_strcmp0(semantics, "FID") == 0;
    guint64 ssrc;
    guint32 first = 0;
    guint n = 0;

    for (value += strspn(value, " "); *value; value += strspn(value, " ")) {
        if (!sdp_scan_number(&value, G_MAXUINT32, &ssrc) || (*value != ' ' && *value != '\0') ||
            ++n > SDP_MAX_SSRCS)
            return sdp_fail_line(error, r->line, "a=ssrc-group does not have the form of RFC 5576");
        if (n == 1)
            first = (guint32)ssrc;
        else if ((fid || strcmp(semantics, "FEC-FR") == 0) && r->n_partners < SDP_MAX_SSRCS)
            r->partners[r->n_partners++] = (struct partner){(guint32)ssrc, first, fid && n == 2};
    }
    return true;
}

/* RFC 8830 2: stream [SP track]; the first one names the media. */
static void read_msid(struct reader *r, const char *value)
{
    if (r->media->msid_stream)
        return;
    r->media->msid_stream = sdp_scan_word(&value);
    r->media->msid_track = sdp_scan_word(&value);
}

static bool read_mid(struct reader *r, const char *value, GError **error)
{
    if (!sdp_is_mid(value) || r->media->mid)
        return sdp_fail_line(error, r->line, "a=mid is one token of at most %d characters",
                             SDP_MAX_MID);
    r->media->mid = g_strdup(value);
    return true;
}

static bool read_sctp(struct reader *r, const char *value, guint *to, guint64 max, GError **error)
{
    guint64 number;

    if (!sdp_scan_number(&value, max, &number))
        return sdp_fail_line(error, r->line, "a number up to %" G_GUINT64_FORMAT " is needed", max);
    *to = (guint)number;
    return true;
}

static bool read_attribute(struct reader *r, const char *key, const char *value, GError **error)
{
    struct sdp_media *media = r->media;

    if (strcmp(key, "rtpmap") == 0)
        return media->kind == SDP_APPLICATION || read_rtpmap(r, value, error);
    if (strcmp(key, "fmtp") == 0)
        return read_fmtp(r, value, error);
    if (strcmp(key, "rtcp-fb") == 0)
        return read_feedback(r, value, error);
    if (strcmp(key, "extmap") == 0)
        return read_extmap(r, value, error);
    if (strcmp(key, "ssrc") == 0)
        return read_ssrc(r, value, error);
    if (strcmp(key, "ssrc-group") == 0)
        return read_ssrc_group(r, value, error);
    if (strcmp(key, "mid") == 0)
        return read_mid(r, value, error);
    if (strcmp(key, "rid") == 0)
        return sdp_rids_read_rid(&r->rids, value, r->line, error);
    if (strcmp(key, "simulcast") == 0)
        return sdp_rids_read_simulcast(media, value, r->line, error);
    if (strcmp(key, "sctp-port") == 0 || strcmp(key, "sctpmap") == 0)
        return read_sctp(r, value, &media->sctp_port, G_MAXUINT16, error);
    if (strcmp(key, "max-message-size") == 0)
        return read_sctp(r, value, &media->max_message_size, G_MAXUINT32, error);
    if (strcmp(key, "msid") == 0)
        read_msid(r, value);
    else if (strcmp(key, "rtcp-mux") == 0)
        media->rtcp_mux = true;
    else if (strcmp(key, "rtcp-rsize") == 0)
        media->rtcp_rsize = true;
    else if (strcmp(key, "bundle-only") == 0)
        r->bundle_only = true;
    else if (!*value && sdp_direction_parse(key, &media->direction))
        r->has_direction = true;
    return sdp_transport_read(r->transport, key, value, r->line, error);
}

/* The kind, by type and protocol: only those of RFC 8829 5.1.2 are read as what they claim to be.
 */
static enum sdp_kind kind_of(const char *type, const char *protocol)
{
    enum sdp_kind kind;

    if (!sdp_kind_parse(type, &kind))
        return SDP_OTHER;
    if (kind == SDP_APPLICATION)
        return g_str_has_suffix(protocol, "DTLS/SCTP") ? kind : SDP_OTHER;
    return g_str_has_suffix(protocol, "RTP/SAVPF") || g_str_has_suffix(protocol, "RTP/SAVP")
               ? kind
               : SDP_OTHER;
}

static void finish_ssrcs(struct reader *r)
{
    GArray *ssrcs = r->media->ssrcs;

    for (guint p = 0; p < r->n_partners; p++)
        for (guint i = ssrcs->len; i-- > 0;)
            if (g_array_index(ssrcs, guint32, i) == r->partners[p].ssrc)
                g_array_remove_index(ssrcs, i);
    for (guint p = 0; p < r->n_partners; p++)
        for (guint i = 0; r->partners[p].fid && i < ssrcs->len; i++) {
            if (g_array_index(ssrcs, guint32, i) != r->partners[p].repairs)
                continue;
            if (!r->media->rtx_ssrcs) {
                r->media->rtx_ssrcs = g_array_new(FALSE, TRUE, sizeof(guint32));
                g_array_set_size(r->media->rtx_ssrcs, ssrcs->len);
            }
            g_array_index(r->media->rtx_ssrcs, guint32, i) = r->partners[p].ssrc;
        }
}

/* RFC 4588 8.6: the payload type whose packets it repeats; 128 when none is named. */
static guint64 repeated_pt(const struct sdp_codec *rtx)
{
    const char *apt = rtx->fmtp ? strstr(rtx->fmtp, "apt=") : NULL;
    guint64 pt = 128;

    if (apt)
        apt += strlen("apt=");
    return apt && sdp_scan_number(&apt, 127, &pt) ? pt : 128;
}

/* RTX becomes a property of what it repeats; of what is not there it repeats nothing. */
static void finish_codecs(struct sdp_media *media)
{
    for (guint i = media->codecs->len; i-- > 0;) {
        struct sdp_codec *codec = &g_array_index(media->codecs, struct sdp_codec, i);
        bool rtx = codec->name && g_ascii_strcasecmp(codec->name, "rtx") == 0;
        struct sdp_codec *repeated = rtx ? find_pt(media, repeated_pt(codec)) : NULL;
        if (repeated && repeated->clock_rate == codec->clock_rate && repeated != codec &&
            repeated->rtx_pt == 0)
            repeated->rtx_pt = codec->pt;
        if (codec->name && !rtx)
            codec->format = sdp_codec_format(media->kind, codec);
        else
            g_array_remove_index(media->codecs, i);
    }
}

static bool read_section(struct reader *r, const GstSDPMedia *section, const GArray *lines,
                         GError **error)
{
    guint n = gst_sdp_media_attributes_len(section);

    r->line = g_array_index(lines, guint, 0);
    if (n + 1 != lines->len)
        return sdp_fail_line(error, r->line, "this section cannot be read");
    if (!read_formats(r, section, error))
        return false;
    for (guint i = 0; i < n; i++) {
        const GstSDPAttribute *attribute = gst_sdp_media_get_attribute(section, i);
        r->line = g_array_index(lines, guint, i + 1);
        if (!read_attribute(r, attribute->key ? attribute->key : "",
                            attribute->value ? attribute->value : "", error))
            return false;
    }
    return true;
}

struct sdp_media *sdp_parse_media(const GstSDPMedia *section, const GArray *lines,
                                  struct sdp_transport *transport, bool *ret_bundle_only,
                                  GError **error)
{
    const char *type = gst_sdp_media_get_media(section);
    const char *protocol = gst_sdp_media_get_proto(section);
    struct reader r = {
        .media = sdp_media_new(kind_of(type, protocol)),
        .transport = transport,
    };

    r.media->type = g_strdup(type);
    r.media->protocol = g_strdup(protocol);
    if (r.media->kind == SDP_APPLICATION)
        r.media->max_message_size = DEFAULT_MAX_MESSAGE_SIZE;
    if (!read_section(&r, section, lines, error)) {
        sdp_media_free(r.media);
        return NULL;
    }
    finish_ssrcs(&r);
    finish_codecs(r.media);
    sdp_rids_finish(&r.rids, r.media);
    r.media->rejected = gst_sdp_media_get_port(section) == 0;
    /* RFC 8866 6.7: sendrecv when nothing is said; a session-level direction is older than JSEP. */
    if (!r.has_direction)
        r.media->direction = SDP_SENDRECV;
    *ret_bundle_only = r.bundle_only;
    return r.media;
}
