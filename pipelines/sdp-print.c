/* SPDX-License-Identifier: Apache-2.0 */
/* Description to text. Every m-line carries the whole transport with the same address, which a peer
 * without BUNDLE may use and one with it reads once; candidates stand in the first one only. The
 * default address is a real candidate's, as RFC 8839 4.2.1.2 asks of lite agents. */
#include "pipelines/sdp-model.h"

#include <gio/gio.h>
#include <gst/sdp/gstsdpmessage.h>
#include <string.h>

static void add(GstSDPMedia *section, const char *key, const char *value)
{
    /* GstSDPMessage prints "a=key" for an empty value, and may not be given NULL everywhere. */
    gst_sdp_media_add_attribute(section, key, value ? value : "");
}

static void add_format(GstSDPMedia *section, const char *key, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
static void add_format(GstSDPMedia *section, const char *key, const char *format, ...)
{
    char value[160]; /* most are short: no allocation */
    va_list args;

    va_start(args, format);
    int length = g_vsnprintf(value, sizeof(value), format, args);
    va_end(args);
    if (length < (int)sizeof(value)) {
        add(section, key, value);
        return;
    }
    va_start(args, format);
    g_autofree char *longer = g_strdup_vprintf(format, args);
    va_end(args);
    add(section, key, longer);
}

static const char *setup_name(enum sdp_setup setup)
{
    static const char *const names[] = {NULL, "actpass", "active", "passive"};
    return names[setup];
}

static char *fingerprint_text(const struct sdp_description *d)
{
    static const char digits[] = "0123456789ABCDEF";
    GString *text = g_string_sized_new(16 + 3 * d->fingerprint->len);

    g_string_append(text, d->fingerprint_hash);
    for (guint i = 0; i < d->fingerprint->len; i++) {
        g_string_append_c(text, i == 0 ? ' ' : ':');
        g_string_append_c(text, digits[d->fingerprint->data[i] >> 4]);
        g_string_append_c(text, digits[d->fingerprint->data[i] & 15]);
    }
    return g_string_free(text, FALSE);
}

/* The candidate that m= and c= name: the first over UDP with a numeric address. */
static const struct sdp_candidate *default_candidate(const struct sdp_description *d)
{
    for (guint i = 0; i < d->candidates->len; i++) {
        const struct sdp_candidate *c = &g_array_index(d->candidates, struct sdp_candidate, i);
        if (c->udp && c->component == 1 && g_hostname_is_ip_address(c->address))
            return c;
    }
    return NULL;
}

static void print_address(GstSDPMedia *section, const struct sdp_description *d, bool rejected)
{
    const struct sdp_candidate *c = default_candidate(d);

    if (rejected || !c) {
        gst_sdp_media_set_port_info(section, rejected ? 0 : 9, 1);
        gst_sdp_media_add_connection(section, "IN", "IP4", "0.0.0.0", 0, 0);
        return;
    }
    gst_sdp_media_set_port_info(section, c->port, 1);
    gst_sdp_media_add_connection(section, "IN", strchr(c->address, ':') ? "IP6" : "IP4", c->address,
                                 0, 0);
}

static void print_transport(GstSDPMedia *section, const struct sdp_description *d)
{
    if (d->ice_ufrag)
        add(section, "ice-ufrag", d->ice_ufrag);
    if (d->ice_pwd)
        add(section, "ice-pwd", d->ice_pwd);
    if (d->fingerprint) {
        g_autofree char *fingerprint = fingerprint_text(d);
        add(section, "fingerprint", fingerprint);
    }
    if (d->setup != SDP_SETUP_NONE)
        add(section, "setup", setup_name(d->setup));
}

/* RFC 8839 5.1; the base of a reflexive candidate stays ours (RFC 8839 5.1: 0.0.0.0 port 9). */
static void print_candidates(GstSDPMedia *section, const struct sdp_description *d)
{
    for (guint i = 0; i < d->candidates->len; i++) {
        const struct sdp_candidate *c = &g_array_index(d->candidates, struct sdp_candidate, i);
        const char *related = strcmp(c->type, "host") == 0      ? ""
                              : strchr(c->address, ':') != NULL ? " raddr :: rport 9"
                                                                : " raddr 0.0.0.0 rport 9";
        if (c->udp || *c->tcp_type)
            add_format(section, "candidate", "%s %u %s %u %s %u typ %s%s%s%s", c->foundation,
                       c->component, c->udp ? "udp" : "tcp", c->priority, c->address, c->port,
                       c->type, related, *c->tcp_type ? " tcptype " : "", c->tcp_type);
    }
    if (d->end_of_candidates)
        add(section, "end-of-candidates", NULL);
}

/* RFC 4588 8.6; its packets are asked for by the feedback of what they repeat. */
static void print_rtx(GstSDPMedia *section, const struct sdp_codec *codec)
{
    add_format(section, "rtpmap", "%u rtx/%u", codec->rtx_pt, codec->clock_rate);
    add_format(section, "fmtp", "%u apt=%u", codec->rtx_pt, codec->pt);
}

/* What all codecs have is said once, for all (RFC 4585 4.2). */
static struct sdp_codec common_feedback(const struct sdp_media *media)
{
    bool some = media->codecs->len > 0;
    struct sdp_codec all = {.transport_cc = some, .goog_remb = some};

    for (guint i = 0; i < media->codecs->len; i++) {
        const struct sdp_codec *codec = &g_array_index(media->codecs, struct sdp_codec, i);
        all.transport_cc &= codec->transport_cc;
        all.goog_remb &= codec->goog_remb;
    }
    return all;
}

static void print_codec(GstSDPMedia *section, const struct sdp_codec *codec,
                        const struct sdp_codec *all)
{
    static const char *const names[] = {"nack", "nack pli", "ccm fir", "transport-cc", "goog-remb"};
    const bool wanted[] = {codec->nack, codec->nack_pli, codec->ccm_fir,
                           codec->transport_cc && !all->transport_cc,
                           codec->goog_remb && !all->goog_remb};

    if (codec->channels > 1)
        add_format(section, "rtpmap", "%u %s/%u/%u", codec->pt, codec->name, codec->clock_rate,
                   codec->channels);
    else
        add_format(section, "rtpmap", "%u %s/%u", codec->pt, codec->name, codec->clock_rate);
    for (gsize i = 0; i < G_N_ELEMENTS(names); i++)
        if (wanted[i])
            add_format(section, "rtcp-fb", "%u %s", codec->pt, names[i]);
    if (codec->fmtp)
        add_format(section, "fmtp", "%u %s", codec->pt, codec->fmtp);
    if (codec->rtx_pt)
        print_rtx(section, codec);
}

static void print_codecs(GstSDPMedia *section, const struct sdp_media *media)
{
    struct sdp_codec all = common_feedback(media);

    for (guint i = 0; i < media->codecs->len; i++)
        print_codec(section, &g_array_index(media->codecs, struct sdp_codec, i), &all);
    if (all.transport_cc)
        add(section, "rtcp-fb", "* transport-cc");
    if (all.goog_remb)
        add(section, "rtcp-fb", "* goog-remb");
}

static guint32 rtx_ssrc(const struct sdp_media *media, guint i)
{
    return media->rtx_ssrcs && i < media->rtx_ssrcs->len
               ? g_array_index(media->rtx_ssrcs, guint32, i)
               : 0;
}

static void print_ssrcs(GstSDPMedia *section, const struct sdp_media *media)
{
    const char *cname = media->cname ? media->cname : "";

    for (guint i = 0; i < media->ssrcs->len; i++) {
        guint32 ssrc = g_array_index(media->ssrcs, guint32, i), rtx = rtx_ssrc(media, i);
        if (rtx) /* RFC 5576 4.2 */
            add_format(section, "ssrc-group", "FID %u %u", ssrc, rtx);
        add_format(section, "ssrc", "%u cname:%s", ssrc, cname);
        if (rtx)
            add_format(section, "ssrc", "%u cname:%s", rtx, cname);
    }
}

static void print_rids(GstSDPMedia *section, GString *simulcast, const char *direction,
                       const struct sdp_rid *rids, guint n)
{
    for (guint i = 0; i < n; i++) {
        add_format(section, "rid", "%s %s", rids[i].id, direction); /* RFC 8851 10 */
        if (i > 0)
            g_string_append(simulcast, ";");
        else
            g_string_append_printf(simulcast, "%s%s ", simulcast->len > 0 ? " " : "", direction);
        g_string_append_printf(simulcast, "%s%s", rids[i].paused ? "~" : "", rids[i].id);
    }
}

/* RFC 8853 5.1 */
static void print_simulcast(GstSDPMedia *section, const struct sdp_media *media)
{
    if (media->n_rids_send + media->n_rids_recv == 0)
        return;
    g_autoptr(GString) simulcast = g_string_new(NULL);
    print_rids(section, simulcast, "send", media->rids_send, media->n_rids_send);
    print_rids(section, simulcast, "recv", media->rids_recv, media->n_rids_recv);
    add(section, "simulcast", simulcast->str);
}

static void print_rtp(GstSDPMedia *section, const struct sdp_media *media)
{
    if (media->rtcp_mux)
        add(section, "rtcp-mux", NULL);
    if (media->rtcp_rsize)
        add(section, "rtcp-rsize", NULL);
    for (guint i = 0; i < media->extmaps->len; i++) {
        const struct sdp_extmap *e = &g_array_index(media->extmaps, struct sdp_extmap, i);
        if (e->direction == SDP_SENDRECV)
            add_format(section, "extmap", "%u %s", e->id, e->uri);
        else
            add_format(section, "extmap", "%u/%s %s", e->id, sdp_direction_name(e->direction),
                       e->uri);
    }
    print_codecs(section, media);
    if (media->msid_stream)
        add_format(section, "msid", "%s%s%s", media->msid_stream, media->msid_track ? " " : "",
                   media->msid_track ? media->msid_track : "");
    print_ssrcs(section, media);
    print_simulcast(section, media);
}

static void add_pt(GstSDPMedia *section, guint8 pt)
{
    char text[4];

    g_snprintf(text, sizeof(text), "%u", pt);
    gst_sdp_media_add_format(section, text);
}

static void print_formats(GstSDPMedia *section, const struct sdp_media *media)
{
    bool rtp = media->kind == SDP_AUDIO || media->kind == SDP_VIDEO;

    if (rtp && media->codecs->len > 0) {
        for (guint i = 0; i < media->codecs->len; i++) {
            const struct sdp_codec *codec = &g_array_index(media->codecs, struct sdp_codec, i);
            add_pt(section, codec->pt);
            if (codec->rtx_pt)
                add_pt(section, codec->rtx_pt);
        }
        return;
    }
    gst_sdp_media_add_format(section, media->formats                   ? media->formats
                                      : media->kind == SDP_APPLICATION ? "webrtc-datachannel"
                                                                       : "0");
}

static void print_media(GstSDPMessage *message, const struct sdp_description *d, guint index,
                        bool with_candidates)
{
    const struct sdp_media *media = g_ptr_array_index(d->medias, index);
    bool application = media->kind == SDP_APPLICATION;
    GstSDPMedia *section = NULL;

    gst_sdp_media_new(&section);
    gst_sdp_media_set_media(section, media->type ? media->type : sdp_kind_name(media->kind));
    gst_sdp_media_set_proto(section, media->protocol ? media->protocol
                                     : application   ? "UDP/DTLS/SCTP"
                                                     : "UDP/TLS/RTP/SAVPF");
    print_formats(section, media);
    print_address(section, d, media->rejected);
    if (media->mid)
        add(section, "mid", media->mid);
    if (!application)
        add(section, sdp_direction_name(media->direction), NULL);
    if (!media->rejected)
        print_transport(section, d);
    if (!media->rejected && !application && d->cryptex)
        add(section, "cryptex", NULL);
    if (application && media->sctp_port > 0) {
        add_format(section, "sctp-port", "%u", media->sctp_port);
        add_format(section, "max-message-size", "%u", media->max_message_size);
    }
    if (!application)
        print_rtp(section, media);
    if (with_candidates)
        print_candidates(section, d);
    gst_sdp_message_add_media(message, section);
    gst_sdp_media_free(section);
}

static void print_group(GstSDPMessage *message, const struct sdp_description *d)
{
    GString *group = g_string_new("BUNDLE");

    for (guint i = 0; i < d->medias->len; i++) {
        const struct sdp_media *media = g_ptr_array_index(d->medias, i);
        if (!media->rejected && media->mid)
            g_string_append_printf(group, " %s", media->mid);
    }
    gst_sdp_message_add_attribute(message, "group", group->str);
    g_string_free(group, TRUE);
}

char *sdp_print(const struct sdp_description *d)
{
    GstSDPMessage *message = NULL;
    g_autofree char *id = g_strdup_printf("%" G_GUINT64_FORMAT, d->session_id);
    g_autofree char *version = g_strdup_printf("%" G_GUINT64_FORMAT, d->session_version);
    bool candidates_printed = false;
    char *text;

    gst_sdp_message_new(&message);
    gst_sdp_message_set_version(message, "0");
    /* RFC 9429 5.2.1: an o= address that tells nothing */
    gst_sdp_message_set_origin(message, "-", id, version, "IN", "IP4", "127.0.0.1");
    gst_sdp_message_set_session_name(message, "-");
    gst_sdp_message_add_time(message, "0", "0", NULL);
    if (d->ice_lite)
        gst_sdp_message_add_attribute(message, "ice-lite", "");
    if (d->trickle)
        gst_sdp_message_add_attribute(message, "ice-options", "trickle");
    if (d->bundle)
        print_group(message, d);
    if (d->extmap_mixed)
        gst_sdp_message_add_attribute(message, "extmap-allow-mixed", "");
    gst_sdp_message_add_attribute(message, "msid-semantic", " WMS *");
    for (guint i = 0; i < d->medias->len; i++) {
        const struct sdp_media *media = g_ptr_array_index(d->medias, i);
        bool first = !media->rejected && !candidates_printed;
        print_media(message, d, i, first);
        candidates_printed |= first;
    }
    text = gst_sdp_message_as_text(message);
    gst_sdp_message_free(message);
    return text;
}
