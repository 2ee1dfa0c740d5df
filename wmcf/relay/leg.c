/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a leg and how they are joined. Everything that happens here is rare (commands, the
 * first packet of an SSRC), so it may allocate; what happens per packet is in leg-receive.c and
 * router.c. A route is a subscription in a stream's list; both belong to the same worker, where the
 * publisher is in another one the stream is a mirror. */
#include "wmcf/relay/leg.h"

#include "wmcf/relay/capture.h"
#include "wmcf/relay/encodings.h"
#include "wmcf/relay/layering.h"
#include "wmcf/relay/leg-arrivals.h"
#include "wmcf/relay/leg-bandwidth.h"
#include "wmcf/relay/red.h"
#include "wmcf/relay/resend.h"
#include "wmcf/relay/worker.h"

#include <openssl/crypto.h>
#include <string.h>

struct worker_leg *worker_leg_new(struct worker *worker, struct relay_leg *handle,
                                  _Atomic unsigned *dtls_pending, const char *ufrag,
                                  const char *pwd, bool ice_full, const char *cname,
                                  struct qos_transport *transport)
{
    struct worker_leg *leg = g_new0(struct worker_leg, 1);
    leg->worker = worker;
    leg->handle = handle;
    leg->dtls_pending = dtls_pending;
    leg->nominated = -1;
    /* Until the endpoint is known: who offers controls (RFC 8445 6.1.1). */
    leg->ice = ice_credentials_new(ufrag, pwd, ice_full ? ICE_CONTROLLING : ICE_LITE, leg);
    ice_checklist_init(&leg->checks, worker->limits.ice_pairs_max, worker->limits.ice_checks_max);
    g_strlcpy(leg->cname, cname, sizeof leg->cname);
    leg->sent = g_array_new(FALSE, FALSE, sizeof(struct sent_ssrc));
    leg->transport = transport;
    leg->bound = worker_leg_bound_new();
    return leg;
}

static void drop_keys(struct worker_leg *leg)
{
    g_clear_pointer(&leg->in, rtp_transform_free);
    g_clear_pointer(&leg->out, rtp_transform_free);
    g_clear_pointer(&leg->srtcp, srtcp_free);
    OPENSSL_cleanse(&leg->keys, sizeof leg->keys);
    leg->has_keys = false;
}

/* --- sources ---------------------------------------------------------------------------------- */

struct source *worker_leg_source(struct worker_leg *leg, uint32_t ssrc)
{
    for (unsigned i = 0; i < leg->n_sources; i++) {
        if (leg->ssrcs[i] == ssrc)
            return leg->sources[i];
    }
    return NULL;
}

/* A sender that takes a new SSRC now and then is within its rights for ever, so who was silent for
 * long (RFC 3550 6.3.5) makes room. Its replay list goes with it: nobody without the keys can bring
 * that about. */
static bool make_room(struct worker_leg *leg, const struct media_line *line)
{
    struct source *oldest = NULL;
    for (unsigned i = 0; i < leg->n_sources; i++) {
        struct source *source = leg->sources[i];
        if (source->line == line && source != source->stream->active &&
            (!oldest || source->last_packet < oldest->last_packet))
            oldest = source;
    }
    if (!oldest || leg->worker->now - oldest->last_packet < leg->worker->limits.source_timeout)
        return false;
    worker_leg_remove_source(leg, oldest);
    worker_leg_bind_ssrcs(leg);
    return true;
}

struct source *worker_leg_add_source(struct worker_leg *leg, uint32_t ssrc, struct stream *stream)
{
    struct media_line *line = stream->line;
    unsigned max = leg->worker->limits.streams_max;
    if ((leg->n_sources == max || !worker_leg_may_add(leg, ssrc, line)) && !make_room(leg, line))
        return NULL;
    if (!leg->sources) {
        leg->sources = g_new0(struct source *, max);
        leg->ssrcs = g_new0(uint32_t, max);
    }
    struct source *source = source_new(ssrc, stream);
    leg->ssrcs[leg->n_sources] = ssrc;
    leg->sources[leg->n_sources++] = source;
    worker_leg_bind_source(leg, source);
    worker_note_ssrc(leg->worker, ssrc, leg);
    return source;
}

static void unlink_feedback(struct worker *worker, struct source *source)
{
    if (!source->feedback_queued)
        return;
    struct source **at = &worker->feedback;
    while (*at != source)
        at = &(*at)->next_feedback;
    *at = source->next_feedback;
}

void worker_leg_remove_source(struct worker_leg *leg, struct source *source)
{
    for (unsigned i = 0; i < leg->n_sources; i++) {
        if (leg->sources[i] != source)
            continue;
        leg->n_sources--;
        leg->sources[i] = leg->sources[leg->n_sources];
        leg->ssrcs[i] = leg->ssrcs[leg->n_sources];
        break;
    }
    if (source->stream->active == source) {
        source->stream->active = NULL;
        source->stream->epoch++;
    }
    unlink_feedback(leg->worker, source);
    worker_forget_ssrc(leg->worker, source->ssrc, leg);
    source_free(source);
}

/* --- m-lines ---------------------------------------------------------------------------------- */

void media_line_route(struct stream *from, struct media_line *to)
{
    struct subscription *subscription = &to->out;
    struct stream *old = subscription->source;
    if (old == from || (old && from && old->encodings && old->encodings == from->encodings))
        return;
    stream_unwait(subscription);
    if (old)
        stream_remove(old, subscription);
    subscription_interrupt(subscription);
    leg_bandwidth_reroute(to);
    if (!from)
        return;
    stream_add(layers_enter(subscription, from), subscription);
    layers_lead(subscription, to->leg->worker->now);
    stream_want_key_frame(subscription->source);
}

static void note(const struct media_line *line, uint32_t ssrc, bool known)
{
    if (ssrc && known)
        worker_note_ssrc(line->leg->worker, ssrc, line->leg);
    else if (ssrc)
        worker_forget_ssrc(line->leg->worker, ssrc, line->leg);
}

static void note_announced(const struct media_line *line, bool known)
{
    for (guint i = 0; i < line->media.n_remote_ssrcs; i++) {
        note(line, line->media.remote_ssrcs[i], known);
        note(line, line->media.remote_rtx_ssrcs[i], known);
    }
}

static struct sent_ssrc *find_sent(const struct worker_leg *leg, uint32_t ssrc)
{
    for (guint i = 0; i < leg->sent->len; i++) {
        struct sent_ssrc *sent = &g_array_index(leg->sent, struct sent_ssrc, i);
        if (sent->ssrc == ssrc)
            return sent;
    }
    return NULL;
}

/* The m-line will not send with the SSRC any more. */
static void retire_ssrc(struct worker_leg *leg, const struct sent_ssrc *now)
{
    struct sent_ssrc *sent = find_sent(leg, now->ssrc);
    if (sent)
        *sent = *now;
    else
        g_array_append_val(leg->sent, *now);
}

static void retire_subscription(struct worker_leg *leg, const struct subscription *subscription)
{
    const struct rtx_sender *rtx = subscription->rtx;
    if (subscription->ever_sent)
        retire_ssrc(leg, &(struct sent_ssrc){.ssrc = subscription->ssrc,
                                             .last_index = subscription->last_index,
                                             .index_base = subscription->index_base});
    if (rtx && rtx->ever_sent)
        retire_ssrc(leg, &(struct sent_ssrc){.ssrc = rtx->ssrc,
                                             .last_index = rtx->last_index,
                                             .index_base = rtx->index_base});
}

/* For the numbers behind it to begin with roll-over counter 0, as the receiver does. */
static uint64_t base_behind(uint64_t last_index)
{
    return (last_index + 1) & ~UINT64_C(0xffff);
}

/* Where the numbering of an SSRC goes on; a new one begins with roll-over counter 0. */
static void resume_ssrc(const struct worker_leg *leg, uint32_t ssrc, uint64_t *last_index,
                        uint64_t *index_base)
{
    const struct sent_ssrc *sent = find_sent(leg, ssrc);
    if (sent)
        *last_index = sent->last_index;
    *index_base = sent ? sent->index_base : base_behind(*last_index);
}

/* SSRCs that the m-line sends with: media's, and that of retransmissions (0 = none). */
static void change_ssrcs(struct worker_leg *leg, struct subscription *subscription, uint32_t ssrc,
                         uint32_t rtx_ssrc)
{
    uint32_t rtx_before = subscription->rtx ? subscription->rtx->ssrc : 0;
    if (subscription->ssrc == ssrc && rtx_before == rtx_ssrc)
        return;
    retire_subscription(leg, subscription);
    if (subscription->ssrc != ssrc) {
        subscription_interrupt(subscription);
        resume_ssrc(leg, ssrc, &subscription->last_index, &subscription->index_base);
    }
    if (rtx_before == rtx_ssrc)
        return;
    g_clear_pointer(&subscription->rtx, g_free);
    if (!rtx_ssrc)
        return;
    struct rtx_sender *rtx = rtx_sender_new(g_random_int());
    rtx->ssrc = rtx_ssrc;
    resume_ssrc(leg, rtx_ssrc, &rtx->last_index, &rtx->index_base);
    subscription->rtx = rtx;
}

static void line_free(struct media_line *line)
{
    struct worker_leg *leg = line->leg;
    note_announced(line, false);
    leg_bandwidth_drop(leg, line);
    retire_subscription(leg, &line->out);
    for (unsigned i = leg->n_sources; i-- > 0;) {
        if (leg->sources[i]->line == line)
            worker_leg_remove_source(leg, leg->sources[i]);
    }
    media_line_set_encodings(line, NULL, leg->worker->now);
    stream_finish(&line->in);
    media_line_route(NULL, line);
    g_free(line->out.rtx);
    layering_free(line->out.layering);
    g_free(line);
}

static struct media_line *line_new(struct worker_leg *leg)
{
    struct media_line *line = g_new0(struct media_line, 1);
    line->leg = leg;
    stream_init(&line->in, line);
    subscription_init(&line->out, line, g_random_int());
    return line;
}

void media_line_want_pictures(struct media_line *line)
{
    struct stream *streams[RELAY_ENCODINGS_MAX + 1];
    for (unsigned n = media_line_streams(line, streams); n-- > 0;) {
        if (stream_is_used(streams[n]))
            stream_want_key_frame(streams[n]);
    }
}

static void configure(struct media_line *line, const struct relay_media *media,
                      struct encoding_board *board, int64_t now)
{
    bool received = line->media.receive, sent = line->media.send;
    note_announced(line, false);
    for (unsigned d = 0; d < 2; d++) {
        if (media->slot[d] != line->media.slot[d])
            line->watch[d] = (struct slot_watch){0};
    }
    bool other_gate = media->slot[QOS_UPLINK] != line->media.slot[QOS_UPLINK];
    line->media = *media;
    line->in.kind = media->kind;
    for (unsigned i = 0; other_gate && i < line->leg->n_sources; i++) {
        if (line->leg->sources[i]->line == line)
            source_note_discards(line->leg->sources[i]);
    }
    line->media.n_recv_codecs = MIN(media->n_recv_codecs, RELAY_CODECS_MAX);
    line->media.n_send_codecs = MIN(media->n_send_codecs, RELAY_CODECS_MAX);
    line->media.n_remote_ssrcs = MIN(media->n_remote_ssrcs, RELAY_SSRCS_MAX);
    note_announced(line, true);
    memset(line->codec_of, -1, sizeof line->codec_of);
    line->red_codecs = 0;
    for (guint i = 0; i < line->media.n_recv_codecs; i++) {
        line->codec_of[line->media.recv_codecs[i].pt & 0x7f] = (int8_t)i;
        line->key_frame_of[i] = key_frame_codec_of_format(line->media.recv_codecs[i].format);
        if (red_is_format(line->media.recv_codecs[i].format))
            line->red_codecs |= (uint16_t)(1u << i);
    }
    if (media->receive != received)
        line->in.active_since = media->receive ? now : 0;
    change_ssrcs(line->leg, &line->out, media->local_ssrc, media->local_rtx_ssrc);
    subscription_configure(&line->out, &line->media);
    if (line->out.source)
        stream_refresh(line->out.source);
    if (line->out.wanted)
        stream_refresh(line->out.wanted);
    media_line_set_encodings(line, board, now);
    /* Resumed: whoever waits for a picture needs a whole one. */
    if (!received && media->receive)
        media_line_want_pictures(line);
    if (!sent && media->send && line->out.source)
        stream_want_key_frame(line->out.source);
}

struct media_line *worker_leg_line(struct worker_leg *leg, const char *mid)
{
    for (unsigned i = 0; i < leg->n_lines; i++) {
        if (strcmp(leg->lines[i]->media.mid, mid) == 0)
            return leg->lines[i];
    }
    return NULL;
}

struct media_line *worker_leg_line_by_local_ssrc(struct worker_leg *leg, uint32_t ssrc)
{
    for (unsigned i = 0; i < leg->n_lines; i++) {
        if (leg->lines[i]->out.ssrc == ssrc)
            return leg->lines[i];
    }
    return NULL;
}

void worker_leg_set_medias(struct worker_leg *leg, const struct relay_media *medias,
                           struct encoding_board *const *boards, unsigned n, int64_t now)
{
    leg_bandwidth_flush(leg); /* what waits is of these m-lines and SSRCs */
    n = MIN(n, RELAY_MEDIAS_MAX);
    struct media_line **old = leg->lines, **lines = g_new0(struct media_line *, n);
    unsigned n_old = leg->n_lines;
    for (unsigned i = 0; i < n; i++) {
        for (unsigned o = 0; o < n_old && !lines[i]; o++) {
            if (old[o] && strcmp(old[o]->media.mid, medias[i].mid) == 0 &&
                old[o]->media.kind == medias[i].kind)
                lines[i] = g_steal_pointer(&old[o]);
        }
        if (!lines[i])
            lines[i] = line_new(leg);
    }
    for (unsigned o = 0; o < n_old; o++) {
        if (old[o])
            line_free(old[o]);
    }
    g_free(old);
    leg->lines = lines;
    leg->n_lines = n;
    leg->cryptex = false;
    for (unsigned i = 0; i < n; i++) {
        configure(lines[i], &medias[i], boards[i], now);
        leg->cryptex |= medias[i].cryptex;
    }
    leg_arrivals_configure(leg);
    leg_bandwidth_configure(leg);
    worker_leg_bind_ssrcs(leg);
}

void worker_leg_gate_opened(struct worker_leg *leg, struct media_line *line)
{
    for (unsigned i = 0; i < leg->n_sources; i++)
        leg->sources[i]->withheld |= leg->sources[i]->line == line;
}

/* --- keys ------------------------------------------------------------------------------------- */

void worker_leg_set_keys(struct worker_leg *leg, const struct relay_srtp_keys *keys, int64_t now)
{
    /* The same keys again must not begin with roll-over counter 0 again: one keystream would
     * protect two texts. */
    if (leg->has_keys && CRYPTO_memcmp(&leg->keys, keys, sizeof *keys) == 0)
        return;
    leg_bandwidth_flush(leg);
    drop_keys(leg);
    leg->in = rtp_transform_new(keys->profile, keys->remote_key, keys->key_length,
                                keys->remote_salt, keys->salt_length);
    leg->out = rtp_transform_new(keys->profile, keys->local_key, keys->key_length, keys->local_salt,
                                 keys->salt_length);
    leg->srtcp = srtcp_new(keys, leg->worker->limits.streams_max + RELAY_MEDIAS_MAX);
    if (!leg->in || !leg->out || !leg->srtcp) {
        drop_keys(leg);
        return;
    }
    if (!leg->has_keys)
        worker_leg_prove_by_handshake(leg);
    leg->keys = *keys;
    leg->has_keys = true;
    leg->keyed_at = now;
    /* A new association numbers from roll-over counter 0 in both directions (RFC 5764 5.2). */
    while (leg->n_sources)
        worker_leg_remove_source(leg, leg->sources[leg->n_sources - 1]);
    worker_leg_bind_ssrcs(leg);
    g_array_set_size(leg->sent, 0);
    for (unsigned i = 0; i < leg->n_lines; i++) {
        struct subscription *subscription = &leg->lines[i]->out;
        subscription->index_base = base_behind(subscription->last_index);
        if (subscription->rtx)
            subscription->rtx->index_base = base_behind(subscription->rtx->last_index);
    }
}

void worker_leg_free(struct worker_leg *leg)
{
    if (!leg)
        return;
    leg_bandwidth_drop(leg, NULL);
    for (unsigned i = 0; i < leg->n_lines; i++)
        line_free(leg->lines[i]);
    leg_bandwidth_free(leg);
    leg_arrivals_free(leg);
    worker_leg_set_capture(leg, NULL);
    g_free(leg->lines);
    g_free(leg->sources);
    g_free(leg->ssrcs);
    g_array_unref(leg->sent);
    g_array_unref(leg->bound);
    drop_keys(leg);
    ice_checklist_finish(&leg->checks);
    ice_credentials_free(leg->ice);
    ice_credentials_free(leg->next_ice);
    ice_credentials_free(leg->former_ice);
    g_free(leg);
}
