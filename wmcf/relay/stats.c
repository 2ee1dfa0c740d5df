/* SPDX-License-Identifier: Apache-2.0 */
/* A snapshot of a leg, taken between two batches, so its numbers belong together. */
#include "wmcf/relay/encodings.h"
#include "wmcf/relay/resend.h"
#include "wmcf/relay/leg-bandwidth.h"
#include "wmcf/relay/stats-layers.h"
#include "wmcf/relay/worker.h"

/* One encoding; those of a medium are added up. */
static void add_received(const struct stream *stream, struct relay_media_stats *ret)
{
    const struct source *source = stream->active;
    ret->packets_in += stream->packets_in;
    ret->octets_in += stream->octets_in;
    ret->retransmitted_in += stream->retransmitted_in;
    ret->retransmitted_octets_in += stream->retransmitted_octets_in;
    ret->rtx_redundant_in += stream->rtx_redundant_in;
    ret->rtx_padding_in += stream->rtx_padding_in;
    ret->rtx_unknown_in += stream->rtx_unknown_in;
    ret->duplicates_in += stream->duplicates_in;
    ret->decrypt_failed += stream->decrypt_failed;
    ret->last_packet_in = MAX(ret->last_packet_in, stream->last_packet);
    ret->last_key_frame = MAX(ret->last_key_frame, stream->last_key_frame);
    ret->key_frames += stream->key_frame_count;
    ret->nack_sent += stream->nack_sent;
    ret->pli_sent += stream->pli_sent;
    if (!source)
        return;
    ret->lost_in += reception_lost(&source->reception);
    ret->jitter_in = MAX(ret->jitter_in, reception_jitter(&source->reception));
    ret->ssrc_in = source->ssrc;
    ret->pt_in = source->pt;
}

static void fill_sent(const struct subscription *subscription, struct relay_media_stats *ret)
{
    const struct rtx_sender *rtx = subscription->rtx;
    ret->packets_out = subscription->packets_out;
    ret->octets_out = subscription->octets_out;
    if (rtx) { /* W3C: retransmissions are part of what is sent */
        ret->packets_out += rtx->packets;
        ret->octets_out += rtx->octets;
        ret->retransmitted_octets_out = rtx->octets;
        ret->padding_octets_out = rtx->padding_octets;
        ret->rtx_ssrc_out = rtx->ssrc;
    }
    ret->retransmitted_out = subscription->retransmitted_out;
    ret->nack_received = subscription->nack_received;
    ret->pli_received = subscription->pli_received;
    ret->no_codec = subscription->no_codec;
    ret->ssrc_out = subscription->ssrc;
    ret->last_packet_out = subscription->last_packet_out;
    ret->lost_remote = subscription->lost_remote;
    ret->fraction_lost_remote = subscription->fraction_lost_remote;
    ret->jitter_remote = subscription->jitter_remote;
    ret->round_trip_us = subscription->round_trip_us;
}

void worker_leg_stats(const struct worker_leg *leg, struct relay_leg_stats *ret)
{
    ret->worker = leg->worker->number;
    ret->srtp = leg->in != NULL;
    ret->last_stun = leg->last_stun;
    ret->stun_requests = leg->stun_requests;
    ret->unvalidated_dropped = leg->unvalidated_dropped;
    ret->unknown_ssrc_dropped = leg->unknown_ssrc_dropped;
    ret->moved_ssrc_dropped = leg->moved_ssrc_dropped;
    ret->cryptex_dropped = leg->cryptex_dropped;
    ret->rtcp_gated = leg->rtcp_gated;
    ret->srtp_failed = leg->srtp_failed;
    ret->replayed = leg->replayed;
    ret->send_failed = leg->send_failed;
    if (leg->nominated >= 0) {
        const struct ice_path *path = &leg->paths[leg->nominated];
        ret->ice_connected = true;
        socket_address_to_storage(&path->socket->local, &ret->local);
        socket_address_to_storage(&path->remote, &ret->remote);
    }
    if (leg->bandwidth)
        leg_bandwidth_stats(leg->bandwidth, ret);
    ret->n_medias = leg->n_lines;
    for (unsigned i = 0; i < leg->n_lines; i++) {
        struct media_line *line = leg->lines[i];
        struct stream *streams[RELAY_ENCODINGS_MAX + 1];
        g_strlcpy(ret->medias[i].mid, line->media.mid, sizeof ret->medias[i].mid);
        ret->medias[i].kind = line->media.kind;
        for (unsigned n = media_line_streams(line, streams); n-- > 0;)
            add_received(streams[n], &ret->medias[i]);
        fill_sent(&line->out, &ret->medias[i]);
        if (leg->bandwidth)
            leg_bandwidth_media_stats(leg->bandwidth, line, &ret->medias[i]);
        stats_layers(line, leg->worker->now, &ret->medias[i]);
    }
}
