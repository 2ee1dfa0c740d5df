/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a leg and how they are joined. Everything that happens here is rare (commands, the
 * first packet of an SSRC), so it may allocate; what happens per packet is in leg-receive.c and
 * router.c. A route is a subscription in a stream's list; both ends belong to the same worker. */
#include "wmcf/relay/leg.h"

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
        if (source->line == line && source != line->in.active &&
            (!oldest || source->last_packet < oldest->last_packet))
            oldest = source;
    }
    if (!oldest || leg->worker->now - oldest->last_packet < leg->worker->limits.source_timeout)
        return false;
    worker_leg_remove_source(leg, oldest);
    worker_leg_bind_ssrcs(leg);
    return true;
}

struct source *worker_leg_add_source(struct worker_leg *leg, uint32_t ssrc, struct media_line *line)
{
    unsigned max = leg->worker->limits.streams_max;
    if ((leg->n_sources == max || !worker_leg_may_add(leg, ssrc, line)) && !make_room(leg, line))
        return NULL;
    if (!leg->sources) {
        leg->sources = g_new0(struct source *, max);
        leg->ssrcs = g_new0(uint32_t, max);
    }
    struct source *source = source_new(ssrc, line);
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
    if (source->line->in.active == source) {
        source->line->in.active = NULL;
        source->line->in.epoch++;
    }
    unlink_feedback(leg->worker, source);
    worker_forget_ssrc(leg->worker, source->ssrc, leg);
    source_free(source);
}

/* --- m-lines ---------------------------------------------------------------------------------- */

void media_line_route(struct media_line *from, struct media_line *to)
{
    struct subscription *subscription = &to->out;
    struct stream *old = subscription->source;
    if (old == (from ? &from->in : NULL))
        return;
    if (old)
        stream_remove(old, subscription);
    subscription_interrupt(subscription);
    if (!from)
        return;
    stream_add(&from->in, subscription);
    stream_want_key_frame(&from->in);
}

static void note_announced(const struct media_line *line, bool known)
{
    for (guint i = 0; i < line->media.n_remote_ssrcs; i++) {
        if (known)
            worker_note_ssrc(line->leg->worker, line->media.remote_ssrcs[i], line->leg);
        else
            worker_forget_ssrc(line->leg->worker, line->media.remote_ssrcs[i], line->leg);
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

/* The m-line is about to send with another SSRC, or not any more. */
static void retire_ssrc(struct worker_leg *leg, const struct subscription *subscription)
{
    if (!subscription->ever_sent)
        return;
    struct sent_ssrc now = {.ssrc = subscription->ssrc,
                            .last_index = subscription->last_index,
                            .index_base = subscription->index_base};
    struct sent_ssrc *sent = find_sent(leg, now.ssrc);
    if (sent)
        *sent = now;
    else
        g_array_append_val(leg->sent, now);
}

static void change_ssrc(struct worker_leg *leg, struct subscription *subscription, uint32_t ssrc)
{
    retire_ssrc(leg, subscription);
    const struct sent_ssrc *sent = find_sent(leg, ssrc);
    subscription_interrupt(subscription);
    if (sent) {
        subscription->last_index = sent->last_index;
        subscription->index_base = sent->index_base;
    } else { /* a new SSRC begins with roll-over counter 0 */
        subscription->index_base = subscription->last_index & ~UINT64_C(0xffff);
    }
}

static void line_free(struct media_line *line)
{
    struct worker_leg *leg = line->leg;
    note_announced(line, false);
    retire_ssrc(leg, &line->out);
    for (unsigned i = leg->n_sources; i-- > 0;) {
        if (leg->sources[i]->line == line)
            worker_leg_remove_source(leg, leg->sources[i]);
    }
    while (line->in.subscribers)
        media_line_route(NULL, line->in.subscribers->line);
    media_line_route(NULL, line);
    if (line->in.wanting) {
        struct stream **at = &leg->worker->wanting;
        while (*at != &line->in)
            at = &(*at)->next_wanting;
        *at = line->in.next_wanting;
    }
    g_assert(!line->in.queued); /* commands run between batches */
    g_free(line);
}

static struct media_line *line_new(struct worker_leg *leg)
{
    struct media_line *line = g_new0(struct media_line, 1);
    line->leg = leg;
    line->in.line = line;
    subscription_init(&line->out, line, g_random_int());
    return line;
}

static void configure(struct media_line *line, const struct relay_media *media, int64_t now)
{
    bool received = line->media.receive, sent = line->media.send;
    note_announced(line, false);
    for (unsigned d = 0; d < 2; d++) {
        if (media->slot[d] != line->media.slot[d])
            line->watch[d] = (struct slot_watch){0};
    }
    bool other_gate = media->slot[QOS_UPLINK] != line->media.slot[QOS_UPLINK];
    line->media = *media;
    for (unsigned i = 0; other_gate && i < line->leg->n_sources; i++) {
        if (line->leg->sources[i]->line == line)
            source_note_discards(line->leg->sources[i]);
    }
    line->media.n_recv_codecs = MIN(media->n_recv_codecs, RELAY_CODECS_MAX);
    line->media.n_send_codecs = MIN(media->n_send_codecs, RELAY_CODECS_MAX);
    line->media.n_remote_ssrcs = MIN(media->n_remote_ssrcs, RELAY_SSRCS_MAX);
    note_announced(line, true);
    memset(line->codec_of, -1, sizeof line->codec_of);
    for (guint i = 0; i < line->media.n_recv_codecs; i++) {
        line->codec_of[line->media.recv_codecs[i].pt & 0x7f] = (int8_t)i;
        line->key_frame_of[i] = key_frame_codec_of_format(line->media.recv_codecs[i].format);
    }
    if (media->receive != received)
        line->in.active_since = media->receive ? now : 0;
    if (line->out.ssrc != media->local_ssrc)
        change_ssrc(line->leg, &line->out, media->local_ssrc);
    subscription_configure(&line->out, &line->media);
    if (line->out.source)
        stream_refresh(line->out.source);
    /* Resumed: whoever waits for a picture needs a whole one. */
    if (!received && media->receive && line->in.subscribers)
        stream_want_key_frame(&line->in);
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

void worker_leg_set_medias(struct worker_leg *leg, const struct relay_media *medias, unsigned n,
                           int64_t now)
{
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
    for (unsigned i = 0; i < n; i++)
        configure(lines[i], &medias[i], now);
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
        subscription->index_base = subscription->last_index & ~UINT64_C(0xffff);
    }
}

void worker_leg_free(struct worker_leg *leg)
{
    if (!leg)
        return;
    for (unsigned i = 0; i < leg->n_lines; i++)
        line_free(leg->lines[i]);
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
