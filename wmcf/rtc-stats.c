/* SPDX-License-Identifier: Apache-2.0 */
/* What an operator's tools know from browsers, told of the media centre's own side: the same names
 * and units as getStats() has (W3C webrtc-stats). Only what a relay truly knows stands here: it
 * decodes nothing, so there are no frames and no delays of a decoder, and where a number means
 * something else than in a browser it has another name in `statistics`. */
#include "wmcf/rtc-stats.h"

double rtc_stats_clock(enum relay_kind kind)
{
    return kind == RELAY_AUDIO ? 48000 : 90000; /* RFC 7587 4.1; all video formats that we know */
}

const char *rtc_stats_limitation(enum relay_limitation limitation)
{
    static const char *const names[] = {[RELAY_LIMITED_NOT] = "none",
                                        [RELAY_LIMITED_BANDWIDTH] = "bandwidth",
                                        [RELAY_LIMITED_OTHER] = "other"};
    g_return_val_if_fail((guint)limitation < G_N_ELEMENTS(names), "other");
    return names[limitation];
}

static void set_count(json_t *object, const char *key, guint64 value)
{
    json_object_set_new(object, key, json_integer((json_int_t)value));
}

/* Those that say something only where it happens. */
static void set_some(json_t *object, const char *key, guint64 value)
{
    if (value)
        set_count(object, key, value);
}

static json_t *entry(const char *type, char letter, const struct relay_media_stats *m)
{
    char id[RELAY_MID_MAX + 2];
    g_snprintf(id, sizeof id, "%c%s", letter, m->mid);
    return json_pack("{s:s, s:s, s:s, s:s}", "type", type, "id", id, "mid", m->mid, "kind",
                     m->kind == RELAY_AUDIO ? "audio" : "video");
}

static void set_size(json_t *object, guint width, guint height)
{
    set_some(object, "frameWidth", width);
    set_some(object, "frameHeight", height);
}

/* Of a simulcast: one stream each, as in a browser. */
static json_t *inbound_encoding(const struct relay_media_stats *m,
                                const struct relay_encoding_stats *e)
{
    g_autofree char *id = g_strdup_printf("I%s:%s", m->mid, e->rid);
    json_t *object = entry("inbound-rtp", 'I', m);
    json_object_set_new(object, "id", json_string(id));
    json_object_set_new(object, "rid", json_string(e->rid));
    set_some(object, "ssrc", e->ssrc_in);
    set_count(object, "packetsReceived", e->packets_in);
    set_count(object, "bytesReceived", e->octets_in);
    json_object_set_new(object, "packetsLost", json_integer((json_int_t)e->lost_in));
    json_object_set_new(object, "jitter", json_real(e->jitter_in / rtc_stats_clock(m->kind)));
    set_count(object, "nackCount", e->nack_sent);
    set_count(object, "pliCount", e->pli_sent);
    set_some(object, "retransmittedPacketsReceived", e->retransmitted_in);
    set_some(object, "retransmittedBytesReceived", e->retransmitted_octets_in);
    set_size(object, e->width, e->height);
    return object;
}

static json_t *inbound(const struct relay_media_stats *m)
{
    json_t *object = entry("inbound-rtp", 'I', m);
    set_some(object, "ssrc", m->ssrc_in);
    set_count(object, "packetsReceived", m->packets_in);
    set_count(object, "bytesReceived", m->octets_in);
    json_object_set_new(object, "packetsLost", json_integer((json_int_t)m->lost_in));
    json_object_set_new(object, "jitter", json_real(m->jitter_in / rtc_stats_clock(m->kind)));
    set_count(object, "nackCount", m->nack_sent);
    set_some(object, "retransmittedPacketsReceived", m->retransmitted_in);
    set_some(object, "retransmittedBytesReceived", m->retransmitted_octets_in);
    if (m->kind == RELAY_VIDEO)
        set_count(object, "pliCount", m->pli_sent);
    return object;
}

static json_t *outbound(const struct relay_media_stats *m)
{
    json_t *object = entry("outbound-rtp", 'O', m);
    set_count(object, "ssrc", m->ssrc_out);
    set_some(object, "rtxSsrc", m->rtx_ssrc_out);
    set_count(object, "packetsSent", m->packets_out);
    set_count(object, "bytesSent", m->octets_out);
    set_count(object, "nackCount", m->nack_received);
    set_count(object, "retransmittedPacketsSent", m->retransmitted_out);
    set_some(object, "retransmittedBytesSent", m->retransmitted_octets_out);
    if (m->kind != RELAY_VIDEO)
        return object;
    set_count(object, "pliCount", m->pli_received);
    if (m->layered && m->layer.rid[0])
        json_object_set_new(object, "rid", json_string(m->layer.rid));
    if (m->layered)
        set_size(object, m->layer.width, m->layer.height);
    set_some(object, "targetBitrate", m->target_bitrate);
    json_object_set_new(object, "qualityLimitationReason",
                        json_string(rtc_stats_limitation(m->limitation)));
    return object;
}

/* From the endpoint's receiver reports (RFC 3550 6.4.1). */
static json_t *remote_inbound(const struct relay_media_stats *m)
{
    char local[RELAY_MID_MAX + 2];
    g_snprintf(local, sizeof local, "O%s", m->mid);
    json_t *object = entry("remote-inbound-rtp", 'R', m);
    json_object_set_new(object, "localId", json_string(local));
    set_count(object, "ssrc", m->ssrc_out);
    json_object_set_new(object, "packetsLost", json_integer(m->lost_remote));
    json_object_set_new(object, "fractionLost", json_real(m->fraction_lost_remote / 256.0));
    json_object_set_new(object, "jitter", json_real(m->jitter_remote / rtc_stats_clock(m->kind)));
    if (m->round_trip_us)
        json_object_set_new(object, "roundTripTime", json_real(m->round_trip_us / 1e6));
    return object;
}

static bool reported_on(const struct relay_media_stats *m)
{
    return m->round_trip_us || m->lost_remote || m->jitter_remote || m->fraction_lost_remote;
}

static json_t *candidate_pair(const struct relay_leg_stats *stats)
{
    json_t *object = json_pack("{s:s, s:s, s:b, s:s}", "type", "candidate-pair", "id", "P",
                               "nominated", 1, "state", "succeeded");
    guint64 received = 0, sent = 0;
    for (guint i = 0; i < stats->n_medias; i++) {
        received += stats->medias[i].octets_in;
        sent += stats->medias[i].octets_out;
    }
    set_count(object, "bytesReceived", received);
    set_count(object, "bytesSent", sent);
    set_count(object, "requestsReceived", stats->stun_requests);
    set_some(object, "availableOutgoingBitrate", stats->available_outgoing_bitrate);
    return object;
}

json_t *rtc_stats_json(const struct relay_leg_stats *stats)
{
    json_t *array = json_array();
    for (guint i = 0; i < stats->n_medias; i++) {
        const struct relay_media_stats *m = &stats->medias[i];
        if (!*m->mid)
            continue;
        for (guint e = 0; e < m->n_encodings; e++)
            if (m->encodings[e].packets_in)
                json_array_append_new(array, inbound_encoding(m, &m->encodings[e]));
        if (m->packets_in && m->n_encodings == 0)
            json_array_append_new(array, inbound(m));
        if (m->packets_out)
            json_array_append_new(array, outbound(m));
        if (m->packets_out && reported_on(m))
            json_array_append_new(array, remote_inbound(m));
    }
    if (stats->ice_connected)
        json_array_append_new(array, candidate_pair(stats));
    return array;
}
