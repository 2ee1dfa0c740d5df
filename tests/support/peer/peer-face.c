/* SPDX-License-Identifier: Apache-2.0 */
/* The small change of a peer's face: getters, switches, statistics, and the raw and foreign
 * datagrams of a hostile peer. */
#include "tests/support/peer/internal.h"

#include <string.h>

enum peer_state peer_get_state(const struct peer *peer)
{
    return peer->state;
}

const char *peer_failure(const struct peer *peer)
{
    return peer->failure;
}

const char *peer_name(const struct peer *peer)
{
    return peer->name;
}

enum peer_srtp_profile peer_srtp_profile(const struct peer *peer)
{
    return peer->srtp_profile;
}

void *peer_user(const struct peer *peer)
{
    return peer->config.user;
}

void peer_set_sending(struct peer *peer, bool sending)
{
    peer->sending = sending;
    peer_media_update(peer, g_get_monotonic_time());
    if (peer->state == PEER_CONNECTED)
        peer_group_schedule(peer, g_get_monotonic_time());
}

void peer_set_faults(struct peer *peer, const struct peer_faults *faults)
{
    peer->config.faults = *faults;
}

bool peer_speak(struct peer *peer, guint index, const struct peer_speech *steps, guint n)
{
    struct peer_line *line = index < peer->lines->len ? peer->lines->pdata[index] : NULL;
    if (!line || n > PEER_SPEECH_STEPS)
        return false;
    line->source.n_speech = n;
    memcpy(line->source.speech, steps, n * sizeof *steps);
    return true;
}

bool peer_set_payloads(struct peer *peer, guint index, GPtrArray *payloads)
{
    struct peer_line *line = index < peer->lines->len ? peer->lines->pdata[index] : NULL;
    if (!line || !payloads->len)
        return false;
    g_clear_pointer(&line->source.payloads, g_ptr_array_unref);
    line->source.payloads = g_ptr_array_ref(payloads);
    return true;
}

void peer_set_tos(struct peer *peer, uint8_t tos)
{
    int value = tos;
    if (peer->local.ss_family == AF_INET)
        setsockopt(peer->watch.fd, IPPROTO_IP, IP_TOS, &value, sizeof value);
    else
        setsockopt(peer->watch.fd, IPPROTO_IPV6, IPV6_TCLASS, &value, sizeof value);
}

void peer_request_key_frame(struct peer *peer, const char *mid)
{
    for (guint i = 0; i < peer->sinks->len; i++) {
        struct peer_sink *sink = peer->sinks->pdata[i];
        if (sink->stats.kind == PEER_VIDEO && (!mid || !strcmp(mid, sink->stats.mid)))
            sink->pli_due_us = 0;
    }
    if (peer->state == PEER_CONNECTED)
        peer_group_schedule(peer, g_get_monotonic_time());
}

void peer_reset_stats(struct peer *peer)
{
    for (guint i = 0; i < peer->sinks->len; i++)
        peer_sink_reset(peer->sinks->pdata[i]);
    for (guint i = 0; i < peer->lines->len; i++) {
        struct peer_line *line = peer->lines->pdata[i];
        struct peer_send_stats *stats = &line->source.stats;
        stats->packets = stats->octets = stats->frames = stats->key_frames = 0;
        stats->nack_received = stats->retransmitted = stats->nack_unknown = 0;
        stats->pli_received = stats->fir_received = stats->rr_received = 0;
    }
    memset(&peer->latency, 0, sizeof peer->latency);
}

/* --- raw ------------------------------------------------------------------------------------- */

const struct sockaddr_storage *peer_local_address(const struct peer *peer)
{
    return &peer->local;
}

const struct sockaddr_storage *peer_remote_address(const struct peer *peer)
{
    return peer->has_remote ? &peer->remote : peer_ice_remote(&peer->ice);
}

bool peer_send_raw(struct peer *peer, const void *data, size_t length)
{
    const struct sockaddr_storage *to = peer_remote_address(peer);
    if (to)
        peer_group_send(peer, peer->watch.fd, to, data, length);
    return to != NULL;
}

/* Over a header that is there: what makes it the next packet of the m-line. */
static bool number_packet(struct peer *peer, guint index, guint8 *packet, gsize length)
{
    struct peer_line *line = index < peer->lines->len ? peer->lines->pdata[index] : NULL;
    guint8 header[PEER_PACKET_MAX];
    if (!line || !line->has_source || length < 12)
        return false;
    struct peer_source *source = &line->source;
    peer_rtp_write_header(header, source->pt, packet[1] & 0x80, source->sequence++,
                          peer_source_timestamp(source, g_get_monotonic_time()), source->ssrc, 0,
                          NULL);
    memcpy(packet + 1, header + 1, 11);
    return true;
}

bool peer_send_protected(struct peer *peer, bool rtcp, int line, const void *data, size_t length)
{
    guint8 packet[PEER_PACKET_MAX];
    gsize protected = length;
    if (!peer->srtp || length > sizeof packet - 64)
        return false;
    memcpy(packet, data, length);
    if (line >= 0 && !number_packet(peer, (guint)line, packet, length))
        return false;
    return (rtcp ? peer_srtp_protect_rtcp(peer->srtp, packet, &protected)
                 : peer_srtp_protect(peer->srtp, packet, &protected)) &&
           peer_send_raw(peer, packet, protected);
}

bool peer_send_application(struct peer *peer, const void *data, size_t length)
{
    return peer->state == PEER_CONNECTED && peer->has_dtls &&
           peer_dtls_write(&peer->dtls, data, length);
}

static bool open_stranger(struct peer *peer)
{
    if (peer->stranger.fd >= 0)
        return true;
    struct sockaddr_storage address = peer->local;
    if (address.ss_family == AF_INET)
        ((struct sockaddr_in *)&address)->sin_port = 0;
    else
        ((struct sockaddr_in6 *)&address)->sin6_port = 0;
    peer->stranger.fd = socket(address.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return peer->stranger.fd >= 0 &&
           bind(peer->stranger.fd, (const struct sockaddr *)&address,
                peer_address_length(&address)) == 0 &&
           peer_group_watch(peer->group, &peer->stranger);
}

bool peer_send_from_stranger(struct peer *peer, const void *data, size_t length)
{
    const struct sockaddr_storage *to = peer_remote_address(peer);
    if (!to || !open_stranger(peer))
        return false;
    peer_group_send(peer, peer->stranger.fd, to, data, length);
    return true;
}

bool peer_send_rtp_from_stranger(struct peer *peer, guint index)
{
    guint8 packet[PEER_PACKET_MAX];
    if (index >= peer->lines->len || !peer->srtp)
        return false;
    struct peer_line *line = peer->lines->pdata[index];
    struct peer_source *source = &line->source;
    if (!line->has_source)
        return false;
    gsize header = peer_rtp_write_header(packet, source->pt, true, source->sequence++,
                                         peer_source_timestamp(source, g_get_monotonic_time()),
                                         source->ssrc, source->mid_extension, source->mid);
    gsize length = header + 100;
    struct peer_trailer trailer = {
        .counter = source->counter++, .origin = source->ssrc, .sent_us = g_get_monotonic_time()};
    memset(packet + header, 0, 8);
    peer_payload_fill(packet + header, 1, 100, &trailer);
    return peer_srtp_protect(peer->srtp, packet, &length) &&
           peer_send_from_stranger(peer, packet, length);
}

/* --- statistics --------------------------------------------------------------------------------
 */

void peer_get_stats(const struct peer *peer, struct peer_stats *ret)
{
    *ret = peer->stats;
    ret->wide = peer->wide.stats;
    ret->stun_requests_in = peer->ice.requests_in;
    ret->stun_responses_in = peer->ice.responses_in;
    ret->stun_rejected = peer->ice.rejected;
}

guint peer_recv_count(const struct peer *peer)
{
    return peer->sinks->len;
}

void peer_get_recv(const struct peer *peer, guint index, struct peer_recv_stats *ret)
{
    const struct peer_sink *sink = peer->sinks->pdata[index];
    *ret = sink->stats;
}

uint32_t peer_recv_tos(const struct peer *peer, guint index, uint8_t tos)
{
    const struct peer_sink *sink = peer->sinks->pdata[index];
    return sink->tos[tos];
}

/* Sources by m-line, those of a simulcast one after the other. */
static const struct peer_source *sending_source(const struct peer *peer, guint index)
{
    for (guint i = 0; i < peer->lines->len; i++) {
        struct peer_source *sources[PEER_ENCODINGS];
        guint n = peer_line_sources(peer->lines->pdata[i], sources);
        if (index < n)
            return sources[index];
        index -= n;
    }
    return NULL;
}

guint peer_send_count(const struct peer *peer)
{
    guint n = 0;
    while (sending_source(peer, n))
        n++;
    return n;
}

void peer_get_send(const struct peer *peer, guint index, struct peer_send_stats *ret)
{
    *ret = sending_source(peer, index)->stats;
}

void peer_set_encodings(struct peer *peer, const char *rids)
{
    for (guint i = 0; i < peer->lines->len; i++) {
        struct peer_source *sources[PEER_ENCODINGS];
        for (guint n = peer_line_sources(peer->lines->pdata[i], sources); n-- > 0;)
            sources[n]->halted = sources[n]->rid && !strchr(rids, sources[n]->rid);
    }
    peer_media_update(peer, g_get_monotonic_time());
    if (peer->state == PEER_CONNECTED)
        peer_group_schedule(peer, g_get_monotonic_time());
}

const struct histogram *peer_latency(const struct peer *peer)
{
    return &peer->latency;
}
