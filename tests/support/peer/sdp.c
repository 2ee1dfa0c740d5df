/* SPDX-License-Identifier: Apache-2.0 */
/* Session descriptions for a generated leg: a line reader that keeps what ICE, DTLS and one opus or
 * VP8 stream per m-line need, and a printer. It reads leniently where a browser would, and fails
 * where a browser would refuse (no ICE credentials, no fingerprint, no m-line). */
#include "tests/support/peer/sdp.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WIDE_URI "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
#define FAIL(error, ...) g_set_error(error, PEER_ERROR, 0, __VA_ARGS__)

static void media_clear(void *data)
{
    struct peer_sdp_media *media = data;
    g_array_unref(media->codecs);
}

void peer_sdp_free(struct peer_sdp *sdp)
{
    if (!sdp)
        return;
    g_array_unref(sdp->medias);
    g_array_unref(sdp->candidates);
    g_free(sdp);
}

static const char *after(const char *line, const char *prefix)
{
    return g_str_has_prefix(line, prefix) ? line + strlen(prefix) : NULL;
}

static struct peer_sdp_codec *codec_of(struct peer_sdp_media *media, guint pt)
{
    for (guint i = 0; i < media->codecs->len; i++) {
        struct peer_sdp_codec *codec = &g_array_index(media->codecs, struct peer_sdp_codec, i);
        if (codec->pt == pt)
            return codec;
    }
    return NULL;
}

static bool parse_m_line(struct peer_sdp *sdp, const char *value)
{
    struct peer_sdp_media media = {.direction = PEER_SENDRECV};
    int used = 0;
    if (sscanf(value, "%15s %u %31s %n", media.kind, &media.port, media.proto, &used) < 3)
        return false;
    g_strlcpy(media.formats, value + used, sizeof media.formats);
    media.codecs = g_array_new(FALSE, TRUE, sizeof(struct peer_sdp_codec));
    if (strstr(media.proto, "RTP/")) {
        g_auto(GStrv) formats = g_strsplit(value + used, " ", -1);
        for (guint i = 0; formats[i]; i++) {
            struct peer_sdp_codec codec = {.pt = (guint8)atoi(formats[i]), .channels = 1};
            g_array_append_val(media.codecs, codec);
        }
    }
    g_array_append_val(sdp->medias, media);
    return true;
}

static void parse_candidate(struct peer_sdp *sdp, const char *value)
{
    char transport[8], address[64], type[16];
    guint component, port;
    if (sscanf(value, "%*s %u %7s %*u %63s %u typ %15s", &component, transport, address, &port,
               type) < 5)
        return;
    if (component != 1 || g_ascii_strcasecmp(transport, "udp") != 0)
        return;
    struct sockaddr_storage storage = {0};
    struct sockaddr_in *in = (struct sockaddr_in *)&storage;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&storage;
    if (inet_pton(AF_INET, address, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        in->sin_port = htons((guint16)port);
    } else if (inet_pton(AF_INET6, address, &in6->sin6_addr) == 1) {
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons((guint16)port);
    } else {
        return; /* a name (mDNS): not for us */
    }
    for (guint i = 0; i < sdp->candidates->len; i++)
        if (!memcmp(&g_array_index(sdp->candidates, struct sockaddr_storage, i), &storage,
                    sizeof storage))
            return; /* bundled m-lines repeat them */
    g_array_append_val(sdp->candidates, storage);
}

static bool parse_fingerprint(struct peer_sdp *sdp, const char *value)
{
    const char *hex = strchr(value, ' ');
    if (!hex || g_ascii_strncasecmp(value, "sha-256 ", 8) != 0)
        return true; /* another hash: not ours to judge */
    guint n = 0;
    for (hex++; *hex && n < 32; n++) {
        if (!g_ascii_isxdigit(hex[0]) || !g_ascii_isxdigit(hex[1]))
            return false;
        sdp->fingerprint[n] =
            (guint8)(g_ascii_xdigit_value(hex[0]) << 4 | g_ascii_xdigit_value(hex[1]));
        hex += hex[2] == ':' ? 3 : 2;
    }
    sdp->has_fingerprint = n == 32;
    return sdp->has_fingerprint;
}

static void parse_rtpmap(struct peer_sdp_media *media, const char *value)
{
    guint pt, clock_rate, channels = 1;
    char name[32];
    if (sscanf(value, "%u %31[^/]/%u/%u", &pt, name, &clock_rate, &channels) < 3)
        return;
    struct peer_sdp_codec *codec = codec_of(media, pt);
    if (!codec)
        return;
    g_strlcpy(codec->name, name, sizeof codec->name);
    codec->clock_rate = clock_rate;
    codec->channels = channels;
}

static void parse_fmtp(struct peer_sdp_media *media, const char *value)
{
    guint pt, apt;
    struct peer_sdp_codec *codec;
    if (sscanf(value, "%u apt=%u", &pt, &apt) == 2 && (codec = codec_of(media, pt)))
        codec->apt = (guint8)apt;
}

static void parse_fid(struct peer_sdp_media *media, const char *value)
{
    guint32 first, second;
    if (media->rtx_ssrc || sscanf(value, "%u %u", &first, &second) != 2)
        return;
    media->ssrc = first;
    media->rtx_ssrc = second;
}

static void parse_feedback(struct peer_sdp_media *media, const char *value)
{
    const char *what = strchr(value, ' ');
    if (!what)
        return;
    what++;
    for (guint i = 0; i < media->codecs->len; i++) {
        struct peer_sdp_codec *codec = &g_array_index(media->codecs, struct peer_sdp_codec, i);
        if (value[0] != '*' && (guint)atoi(value) != codec->pt)
            continue;
        codec->nack |= !strcmp(what, "nack");
        codec->pli |= !strcmp(what, "nack pli");
        codec->transport_cc |= !strcmp(what, "transport-cc");
        codec->fir |= !strcmp(what, "ccm fir");
    }
}

/* RFC 8853: names of one letter, which is what the project offers. */
static void parse_simulcast(struct peer_sdp_media *media, const char *value)
{
    guint n = 0;
    for (; n < PEER_ENCODINGS && g_ascii_isalnum(value[2 * n]); n++) {
        media->rids[n] = value[2 * n];
        if (value[2 * n + 1] != ';') {
            n++;
            break;
        }
    }
    media->rids[n] = 0;
}

static void parse_media_attribute(struct peer_sdp_media *media, const char *line)
{
    static const char *const directions[] = {"a=inactive", "a=sendonly", "a=recvonly",
                                             "a=sendrecv"};
    for (guint i = 0; i < G_N_ELEMENTS(directions); i++)
        if (!strcmp(line, directions[i]))
            media->direction = (enum peer_direction)i;
    const char *value;
    if ((value = after(line, "a=mid:")))
        g_strlcpy(media->mid, value, sizeof media->mid);
    else if ((value = after(line, "a=rtpmap:")))
        parse_rtpmap(media, value);
    else if ((value = after(line, "a=fmtp:")))
        parse_fmtp(media, value);
    else if ((value = after(line, "a=ssrc-group:FID ")))
        parse_fid(media, value);
    else if ((value = after(line, "a=rtcp-fb:")))
        parse_feedback(media, value);
    else if ((value = after(line, "a=extmap:")) &&
             strstr(value, "urn:ietf:params:rtp-hdrext:sdes:mid"))
        media->mid_extension = (guint8)atoi(value);
    else if ((value = after(line, "a=extmap:")) &&
             strstr(value, "urn:ietf:params:rtp-hdrext:ssrc-audio-level"))
        media->level_extension = (guint8)atoi(value);
    else if ((value = after(line, "a=extmap:")) &&
             strstr(value, "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"))
        media->rid_extension = (guint8)atoi(value);
    else if ((value = after(line, "a=simulcast:recv ")))
        parse_simulcast(media, value);
    else if ((value = after(line, "a=extmap:")) && strstr(value, WIDE_URI))
        media->wide_extension = (guint8)atoi(value);
    else if ((value = after(line, "a=ssrc:")) && !media->ssrc)
        media->ssrc = (guint32)strtoul(value, NULL, 10);
    else if (!strcmp(line, "a=rtcp-mux"))
        media->rtcp_mux = true;
    else if (!strcmp(line, "a=bundle-only"))
        media->bundle_only = true;
    else if (!strcmp(line, "a=cryptex"))
        media->cryptex = true;
}

static bool parse_line(struct peer_sdp *sdp, const char *line, GError **error)
{
    const char *value;
    if ((value = after(line, "m="))) {
        if (!parse_m_line(sdp, value)) {
            FAIL(error, "bad m-line \"%s\"", line);
            return false;
        }
        return true;
    }
    if ((value = after(line, "a=ice-ufrag:")))
        g_strlcpy(sdp->ufrag, value, sizeof sdp->ufrag);
    else if ((value = after(line, "a=ice-pwd:")))
        g_strlcpy(sdp->pwd, value, sizeof sdp->pwd);
    else if (!strcmp(line, "a=ice-lite"))
        sdp->lite = true;
    else if ((value = after(line, "a=setup:")))
        g_strlcpy(sdp->setup, value, sizeof sdp->setup);
    else if ((value = after(line, "a=group:BUNDLE")))
        g_strlcpy(sdp->bundle, value, sizeof sdp->bundle);
    else if ((value = after(line, "a=candidate:")))
        parse_candidate(sdp, value);
    else if ((value = after(line, "a=fingerprint:"))) {
        if (!parse_fingerprint(sdp, value)) {
            FAIL(error, "bad fingerprint \"%s\"", value);
            return false;
        }
    } else if (sdp->medias->len)
        parse_media_attribute(
            &g_array_index(sdp->medias, struct peer_sdp_media, sdp->medias->len - 1), line);
    else if (!strcmp(line, "a=cryptex"))
        sdp->cryptex = true;
    return true;
}

static bool check(const struct peer_sdp *sdp, GError **error)
{
    if (!sdp->medias->len)
        FAIL(error, "no m-line");
    else if (strlen(sdp->ufrag) < 4 || strlen(sdp->pwd) < 22) /* RFC 8839 5.4 */
        FAIL(error, "ICE credentials are absent or short");
    else if (!sdp->has_fingerprint)
        FAIL(error, "no sha-256 fingerprint");
    else if (!sdp->setup[0])
        FAIL(error, "no a=setup");
    else
        return true;
    return false;
}

bool peer_sdp_has_cryptex(const struct peer_sdp *sdp)
{
    for (guint i = 0; i < sdp->medias->len; i++) {
        const struct peer_sdp_media *media = &g_array_index(sdp->medias, struct peer_sdp_media, i);
        if (strcmp(media->kind, "application") && media->port && !media->cryptex && !sdp->cryptex)
            return false;
    }
    return true;
}

struct peer_sdp *peer_sdp_parse(const char *text, GError **error)
{
    struct peer_sdp *sdp = g_new0(struct peer_sdp, 1);
    sdp->medias = g_array_new(FALSE, TRUE, sizeof(struct peer_sdp_media));
    g_array_set_clear_func(sdp->medias, media_clear);
    sdp->candidates = g_array_new(FALSE, TRUE, sizeof(struct sockaddr_storage));
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (guint i = 0; lines[i]; i++) {
        g_strchomp(lines[i]);
        if (!parse_line(sdp, lines[i], error)) {
            peer_sdp_free(sdp);
            return NULL;
        }
    }
    if (!check(sdp, error)) {
        peer_sdp_free(sdp);
        return NULL;
    }
    return sdp;
}

/* --- writing --------------------------------------------------------------------------------- */

static void print_transport(GString *out, const struct peer_sdp_text *text)
{
    char address[INET6_ADDRSTRLEN];
    const struct sockaddr_in *in = (const struct sockaddr_in *)text->address;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)text->address;
    bool v4 = in->sin_family == AF_INET;
    inet_ntop(in->sin_family, v4 ? (const void *)&in->sin_addr : &in6->sin6_addr, address,
              sizeof address);
    g_string_append_printf(out, "a=ice-ufrag:%s\r\na=ice-pwd:%s\r\n", text->ufrag, text->pwd);
    g_string_append(out, "a=fingerprint:sha-256 ");
    for (guint i = 0; i < 32; i++)
        g_string_append_printf(out, "%s%02X", i ? ":" : "", text->fingerprint[i]);
    g_string_append_printf(out, "\r\na=setup:%s\r\n", text->setup);
    g_string_append_printf(out, "a=candidate:1 1 udp 2130706431 %s %u typ host\r\n", address,
                           ntohs(v4 ? in->sin_port : in6->sin6_port));
    g_string_append(out, "a=end-of-candidates\r\n");
}

static void print_line(GString *out, const struct peer_sdp_text *text,
                       const struct peer_sdp_line *line)
{
    static const char *const directions[] = {"inactive", "sendonly", "recvonly", "sendrecv"};
    if (line->rejected) {
        g_string_append_printf(out, "m=%s\r\nc=IN IP4 0.0.0.0\r\na=mid:%s\r\na=inactive\r\n",
                               line->rejected_line, line->mid);
        return;
    }
    if (line->application) { /* RFC 8841 */
        g_string_append_printf(out,
                               "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n"
                               "c=IN IP4 0.0.0.0\r\na=mid:%s\r\n",
                               line->mid);
        print_transport(out, text);
        g_string_append(out, "a=sctp-port:5000\r\na=max-message-size:65536\r\n");
        return;
    }
    bool audio = line->kind == PEER_AUDIO;
    g_string_append_printf(out, "m=%s 9 UDP/TLS/RTP/SAVPF %u", audio ? "audio" : "video", line->pt);
    if (line->rtx_pt)
        g_string_append_printf(out, " %u", line->rtx_pt);
    g_string_append(out, "\r\n");
    g_string_append_printf(out, "c=IN IP4 0.0.0.0\r\na=mid:%s\r\n", line->mid);
    print_transport(out, text);
    g_string_append_printf(out, "a=%s\r\na=rtcp-mux\r\na=rtcp-rsize\r\n%s",
                           directions[line->direction], text->cryptex ? "a=cryptex\r\n" : "");
    if (line->mid_extension)
        g_string_append_printf(out, "a=extmap:%u urn:ietf:params:rtp-hdrext:sdes:mid\r\n",
                               line->mid_extension);
    if (line->level_extension)
        g_string_append_printf(out, "a=extmap:%u urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n",
                               line->level_extension);
    if (line->wide_extension)
        g_string_append_printf(out, "a=extmap:%u " WIDE_URI "\r\n", line->wide_extension);
    if (audio)
        g_string_append_printf(out, "a=rtpmap:%u opus/48000/2\r\na=fmtp:%u useinbandfec=1\r\n",
                               line->pt, line->pt);
    else
        g_string_append_printf(
            out, "a=rtpmap:%u %s/90000\r\na=rtcp-fb:%u nack pli\r\na=rtcp-fb:%u ccm fir\r\n",
            line->pt, line->h264 ? "H264" : "VP8", line->pt, line->pt);
    if (line->h264)
        g_string_append_printf(out,
                               "a=fmtp:%u level-asymmetry-allowed=1;packetization-mode=1;"
                               "profile-level-id=42e01f\r\n",
                               line->pt);
    if (line->wide_extension)
        g_string_append_printf(out, "a=rtcp-fb:%u transport-cc\r\n", line->pt);
    if (line->nack)
        g_string_append_printf(out, "a=rtcp-fb:%u nack\r\n", line->pt);
    if (line->rtx_pt)
        g_string_append_printf(out, "a=rtpmap:%u rtx/90000\r\na=fmtp:%u apt=%u\r\n", line->rtx_pt,
                               line->rtx_pt, line->pt);
    if (line->rids) {
        g_string_append_printf(out, "a=extmap:%u urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n",
                               line->rid_extension);
        for (const char *rid = line->rids; *rid; rid++)
            g_string_append_printf(out, "a=rid:%c send\r\n", *rid);
        g_string_append(out, "a=simulcast:send ");
        for (const char *rid = line->rids; *rid; rid++)
            g_string_append_printf(out, "%c%s", *rid, rid[1] ? ";" : "\r\n");
    }
    if (line->direction & PEER_SENDONLY)
        g_string_append_printf(out, "a=msid:generated %s\r\n", line->mid);
    if (line->ssrc)
        g_string_append_printf(out, "a=ssrc:%u cname:%s\r\n", line->ssrc, text->cname);
    if (line->ssrc && line->rtx_ssrc)
        g_string_append_printf(out, "a=ssrc-group:FID %u %u\r\na=ssrc:%u cname:%s\r\n", line->ssrc,
                               line->rtx_ssrc, line->rtx_ssrc, text->cname);
}

char *peer_sdp_print(const struct peer_sdp_text *text, const struct peer_sdp_line *lines, guint n)
{
    GString *out = g_string_new("v=0\r\n");
    g_string_append_printf(out,
                           "o=- %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " IN IP4 127.0.0.1\r\n",
                           text->session_id, text->version);
    g_string_append(out, "s=-\r\nt=0 0\r\na=group:BUNDLE");
    for (guint i = 0; i < n; i++)
        if (!lines[i].rejected)
            g_string_append_printf(out, " %s", lines[i].mid);
    g_string_append(out, "\r\n");
    if (text->lite)
        g_string_append(out, "a=ice-lite\r\n");
    for (guint i = 0; i < n; i++)
        print_line(out, text, &lines[i]);
    return g_string_free(out, FALSE);
}
