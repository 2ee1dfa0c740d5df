/* SPDX-License-Identifier: Apache-2.0 */
/* Measured traffic of a generated leg: packets of an exact number, size and pace, so that a test
 * can hold what came through a gate or a policer against what was offered. Each packet is a whole
 * frame, so that none is useless without another. A pace that the machine could not keep is made
 * good in a burst; the longest pause is told, because a bucket that was full meanwhile has lost
 * something. */
#include "tests/support/peer/internal.h"

#include <string.h>

#define BURST_MAX 64 /* also the most segments of a UDP_SEGMENT run */

guint peer_ip_overhead(const struct peer *peer)
{
    return (peer->local.ss_family == AF_INET ? 20 : 40) + 8;
}

static struct peer_line *sending_line(const struct peer *peer, guint index)
{
    struct peer_line *line = index < peer->lines->len ? peer->lines->pdata[index] : NULL;
    return line && line->has_source && !line->rejected ? line : NULL;
}

bool peer_traffic_start(struct peer *peer, const struct peer_traffic_config *config, GError **error)
{
    const char *wrong = NULL;
    if (peer->state != PEER_CONNECTED)
        wrong = "not connected";
    else if (peer->n_traffics == PEER_TRAFFICS)
        wrong = "no more traffic";
    else if (!config->count || config->size < peer_ip_overhead(peer) + 80 || config->size > 1500)
        wrong = "traffic needs a count and a size of up to 1500 octets";
    for (guint i = 0; i < config->n_lines && !wrong; i++)
        if (!sending_line(peer, config->lines[i]))
            wrong = "no such m-line to send on";
    if (!wrong && config->ssrc_of >= 0 && !sending_line(peer, (guint)config->ssrc_of))
        wrong = "no such m-line to take the SSRC of";
    if (wrong) {
        g_set_error_literal(error, PEER_ERROR, 0, wrong);
        return false;
    }
    peer->traffics[peer->n_traffics++] = (struct peer_traffic){.config = *config};
    peer_group_schedule(peer, g_get_monotonic_time());
    return true;
}

static void change_ssrc(struct peer_traffic *traffic, gint64 now)
{
    const struct peer_traffic_config *config = &traffic->config;
    bool due = config->ssrc_every_us < 0 ||
               (config->ssrc_every_us > 0 && now - traffic->ssrc_us >= config->ssrc_every_us);
    if (!due)
        return;
    traffic->ssrc = g_random_int();
    traffic->sequence = (guint16)g_random_int_range(0, 0x8000); /* no roll-over near: RFC 3711 */
    traffic->ssrc_us = now;
    traffic->stats.ssrcs++;
}

static void emit(struct peer *peer, struct peer_traffic *traffic, gint64 now)
{
    const struct peer_traffic_config *config = &traffic->config;
    guint turn = (guint)(traffic->emitted % config->n_lines);
    struct peer_source *source = &sending_line(peer, config->lines[turn])->source;
    struct peer_source *numbers = source;
    struct peer_burst *burst = &peer->group->burst;
    guint8 *packet = burst->data + burst->used;
    gsize length = config->size - peer_ip_overhead(peer) -
                   peer_srtp_profile_find(peer->srtp_profile, NULL)->tag_length;
    if (config->ssrc_of >= 0)
        numbers = &sending_line(peer, (guint)config->ssrc_of)->source;
    guint32 ssrc = numbers->ssrc;
    guint16 *sequence = &numbers->sequence;
    if (config->ssrc_every_us) {
        guint64 before = traffic->stats.ssrcs;
        change_ssrc(traffic, now);
        source->key_wanted |= traffic->stats.ssrcs != before;
        ssrc = traffic->ssrc;
        sequence = &traffic->sequence;
    }
    peer_source_single(source, now, ssrc, (*sequence)++, packet, length);
    traffic->emitted++;
    if (!peer_srtp_protect(peer->srtp, packet, &length))
        return;
    burst->offsets[burst->n] = burst->used;
    burst->lengths[burst->n++] = (guint16)length;
    burst->used += length;
}

/* A token bucket by the book (RFC 2216), as far as it is full. */
static void fill_bucket(struct peer_traffic *traffic, gint64 now, guint packets)
{
    const struct peer_traffic_config *config = &traffic->config;
    if (!config->sdr)
        return;
    if (!traffic->stats.first_us)
        traffic->tokens = config->mbs;
    else
        traffic->tokens += (double)(now - traffic->stats.last_us) * config->sdr / G_USEC_PER_SEC;
    if (traffic->tokens > config->mbs) {
        traffic->stats.full_us +=
            (gint64)((traffic->tokens - config->mbs) * G_USEC_PER_SEC / config->sdr);
        traffic->tokens = config->mbs;
    }
    for (guint i = 0; i < packets && traffic->tokens >= config->size; i++)
        traffic->tokens -= config->size;
}

static void flush(struct peer *peer, struct peer_traffic *traffic)
{
    struct peer_group *group = peer->group;
    struct peer_traffic_stats *stats = &traffic->stats;
    guint64 sent = peer->stats.datagrams_out, failed = peer->stats.send_failed;
    bool gso = group->config.gso;
    group->config.gso = gso || traffic->config.gso;
    gint64 before = g_get_monotonic_time();
    fill_bucket(traffic, before, group->burst.n);
    peer_group_flush(peer);
    group->config.gso = gso;
    if (!stats->first_us)
        stats->first_us = before;
    else
        stats->longest_gap_us = MAX(stats->longest_gap_us, before - stats->last_us);
    stats->last_us = g_get_monotonic_time();
    if (!traffic->first_end_us)
        traffic->first_end_us = stats->last_us;
    stats->least_us = MAX(before - traffic->first_end_us, 0);
    stats->packets += peer->stats.datagrams_out - sent;
    stats->octets += (peer->stats.datagrams_out - sent) * traffic->config.size;
    stats->failed += peer->stats.send_failed - failed;
}

static gint64 due_of(const struct peer_traffic *traffic)
{
    const struct peer_traffic_config *config = &traffic->config;
    if (!traffic->begun_us || !config->rate)
        return 0;
    return traffic->begun_us +
           (gint64)(traffic->emitted * config->size * G_USEC_PER_SEC / config->rate);
}

static gint64 tick_one(struct peer *peer, struct peer_traffic *traffic, gint64 now)
{
    if (traffic->stats.done)
        return G_MAXINT64;
    if (!traffic->begun_us)
        traffic->begun_us = now;
    struct peer_burst *burst = &peer->group->burst;
    while (traffic->emitted < traffic->config.count && due_of(traffic) <= now) {
        emit(peer, traffic, now);
        if (burst->n == BURST_MAX)
            flush(peer, traffic);
    }
    if (burst->n)
        flush(peer, traffic);
    traffic->stats.done = traffic->emitted == traffic->config.count;
    return traffic->stats.done ? G_MAXINT64 : due_of(traffic);
}

gint64 peer_traffic_tick(struct peer *peer, gint64 now)
{
    gint64 next = G_MAXINT64;
    for (guint i = 0; i < peer->n_traffics; i++) {
        gint64 due = tick_one(peer, &peer->traffics[i], now);
        next = MIN(next, due);
    }
    return next;
}

guint peer_traffic_count(const struct peer *peer)
{
    return peer->n_traffics;
}

void peer_get_traffic(const struct peer *peer, guint index, struct peer_traffic_stats *ret)
{
    *ret = peer->traffics[index].stats;
}
