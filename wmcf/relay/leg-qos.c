/* SPDX-License-Identifier: Apache-2.0 */
/* The leg as the kernel's partner: what the level of enforcement is told (the pair in use, whose
 * SSRCs are whose), and what is done with its verdicts. The list of what it holds is kept here,
 * since a verdict counts only when kernel and relay mean the same medium: then the packet is not
 * judged again, else the relay judges. Everything is told from the worker, a map's system call
 * each, so each has its limit: a peer that asks for changes all the time gets its packets dropped
 * instead. */
#include "wmcf/relay/leg.h"

#include "wmcf/relay/worker.h"

#define UNANNOUNCED_MAX 16 /* SSRCs of one medium */
#define MOVES_PER_SECOND 10

struct bound_ssrc { /* what the kernel holds */
    uint32_t ssrc;
    enum qos_direction direction;
    const struct qos_slot *slot;
};

GArray *worker_leg_bound_new(void)
{
    return g_array_new(FALSE, FALSE, sizeof(struct bound_ssrc));
}

/* --- the pair --------------------------------------------------------------------------------- */

void worker_leg_bind_pair(struct worker_leg *leg, const struct ice_path *path)
{
    const struct qos *qos = leg->worker->qos;
    leg->trusted = path && qos && qos_has_trusted(qos) && qos_trusts(qos, &path->remote.any);
    if (!leg->transport)
        return;
    if (path)
        qos_transport_set_pair(leg->transport, &path->socket->local.any, &path->remote.any);
    else
        qos_transport_set_pair(leg->transport, NULL, NULL);
}

void worker_leg_bind_sockets(struct worker_leg *leg)
{
    for (unsigned i = 0; leg->transport && leg->own && !leg->tunnel && i < leg->own->n; i++)
        qos_transport_add_local(leg->transport, &leg->own->sockets[i].local.any);
}

/* --- SSRCs ------------------------------------------------------------------------------------ */

static guint find_bound(const struct worker_leg *leg, enum qos_direction direction, uint32_t ssrc)
{
    guint i = 0;
    for (; i < leg->bound->len; i++) {
        const struct bound_ssrc *bound = &g_array_index(leg->bound, struct bound_ssrc, i);
        if (bound->ssrc == ssrc && bound->direction == direction)
            break;
    }
    return i;
}

/* `slot` NULL = it is nobody's any more. */
static void hold(struct worker_leg *leg, enum qos_direction direction, uint32_t ssrc,
                 const struct qos_slot *slot)
{
    guint i = find_bound(leg, direction, ssrc);
    bool known = i < leg->bound->len;
    if (known && g_array_index(leg->bound, struct bound_ssrc, i).slot == slot)
        return;
    if (slot && qos_transport_add_ssrc(leg->transport, direction, ssrc, slot)) {
        struct bound_ssrc bound = {.ssrc = ssrc, .direction = direction, .slot = slot};
        if (known)
            g_array_index(leg->bound, struct bound_ssrc, i) = bound;
        else
            g_array_append_val(leg->bound, bound);
    } else if (known) {
        qos_transport_remove_ssrc(leg->transport, direction, ssrc);
        g_array_remove_index_fast(leg->bound, i);
    }
}

static const struct qos_slot *held_for(const struct worker_leg *leg, uint32_t ssrc)
{
    guint i = find_bound(leg, QOS_UPLINK, ssrc);
    return i < leg->bound->len ? g_array_index(leg->bound, struct bound_ssrc, i).slot : NULL;
}

static const struct media_line *sender_of(const struct worker_leg *leg, uint32_t ssrc)
{
    for (unsigned i = 0; i < leg->n_lines; i++) {
        const struct relay_media *media = &leg->lines[i]->media;
        if (media->local_ssrc == ssrc || media->local_rtx_ssrc == ssrc)
            return leg->lines[i];
    }
    return NULL;
}

/* Whose packets with this SSRC are; NULL = nobody's. */
static const struct qos_slot *owner(struct worker_leg *leg, const struct bound_ssrc *bound)
{
    if (bound->direction == QOS_DOWNLINK) {
        const struct media_line *line = sender_of(leg, bound->ssrc);
        return line ? line->media.slot[QOS_DOWNLINK] : NULL;
    }
    const struct source *source = worker_leg_source(leg, bound->ssrc);
    if (source)
        return source->line->media.slot[QOS_UPLINK];
    for (unsigned i = 0; i < leg->n_lines; i++) {
        if (media_line_announces(leg->lines[i], bound->ssrc))
            return leg->lines[i]->media.slot[QOS_UPLINK];
    }
    return NULL;
}

static void bind_announced(struct worker_leg *leg, uint32_t ssrc)
{
    const struct bound_ssrc bound = {.ssrc = ssrc, .direction = QOS_UPLINK};
    hold(leg, QOS_UPLINK, ssrc, owner(leg, &bound));
}

void worker_leg_bind_ssrcs(struct worker_leg *leg)
{
    if (!leg->transport)
        return;
    /* First what goes: there may be no room for both. */
    for (guint i = leg->bound->len; i-- > 0;) {
        struct bound_ssrc bound = g_array_index(leg->bound, struct bound_ssrc, i);
        if (!owner(leg, &bound))
            hold(leg, bound.direction, bound.ssrc, NULL);
    }
    for (unsigned i = 0; i < leg->n_lines; i++) {
        const struct relay_media *media = &leg->lines[i]->media;
        if (media->local_ssrc)
            hold(leg, QOS_DOWNLINK, media->local_ssrc, media->slot[QOS_DOWNLINK]);
        if (media->local_rtx_ssrc)
            hold(leg, QOS_DOWNLINK, media->local_rtx_ssrc, media->slot[QOS_DOWNLINK]);
        for (guint s = 0; s < media->n_remote_ssrcs; s++) {
            bind_announced(leg, media->remote_ssrcs[s]);
            if (media->remote_rtx_ssrcs[s])
                bind_announced(leg, media->remote_rtx_ssrcs[s]);
        }
    }
    for (unsigned i = 0; i < leg->n_sources; i++)
        worker_leg_bind_source(leg, leg->sources[i]);
}

void worker_leg_bind_source(struct worker_leg *leg, struct source *source)
{
    if (!leg->transport)
        return;
    hold(leg, QOS_UPLINK, source->ssrc, source->line->media.slot[QOS_UPLINK]);
    source->bound = held_for(leg, source->ssrc);
}

void worker_leg_unbind(struct worker_leg *leg)
{
    if (!leg->transport)
        return;
    worker_leg_bind_pair(leg, NULL);
    while (leg->bound->len) {
        struct bound_ssrc bound = g_array_index(leg->bound, struct bound_ssrc, leg->bound->len - 1);
        hold(leg, bound.direction, bound.ssrc, NULL);
    }
}

bool worker_leg_may_add(const struct worker_leg *leg, uint32_t ssrc, const struct media_line *line)
{
    unsigned n = 0;
    if (media_line_announces(line, ssrc))
        return true;
    for (unsigned i = 0; i < leg->n_sources; i++)
        n += leg->sources[i]->line == line && !media_line_announces(line, leg->ssrcs[i]);
    return n < UNANNOUNCED_MAX;
}

bool worker_leg_may_move(struct worker_leg *leg, int64_t now)
{
    if (now - leg->move_window >= G_USEC_PER_SEC) {
        leg->move_window = now;
        leg->move_count = 0;
    }
    return leg->move_count++ < MOVES_PER_SECOND;
}

/* --- verdicts --------------------------------------------------------------------------------- */

bool worker_leg_trusts_verdict(const struct worker_leg *leg, const struct source *source,
                               uint32_t ssrc, const struct media_line *line)
{
    const struct qos_slot *slot = line->media.slot[QOS_UPLINK];
    const struct qos_slot *held = source ? source->bound : held_for(leg, ssrc);
    if (held || !slot)
        return held == slot;
    /* A transport's only medium: the kernel need not know its SSRCs. */
    return leg->n_lines == 1 && qos_slot_open(slot);
}

bool worker_leg_admit(struct worker_leg *leg, struct qos_slot *slot, const char *mid,
                      enum qos_direction direction, size_t octets)
{
    struct worker *worker = leg->worker;
    enum qos_verdict verdict = qos_slot_judge(slot, (uint32_t)octets, (uint64_t)worker->now * 1000);
    if (verdict == QOS_PASS)
        return true;
    count_verdict(worker, verdict);
    if (qos_slot_newly_gated(slot))
        worker_raise_media(leg, EVENT_MEDIA_GATED, mid, direction, 0);
    return false;
}

int worker_leg_dscp(const struct worker_leg *leg, const struct qos_slot *slot)
{
    uint32_t mark = slot ? __atomic_load_n(&slot->mark, __ATOMIC_RELAXED) : 0;
    if (mark & QOS_MARK_COPY) /* never the kernel's: it has not seen what came */
        return (int)(mark & QOS_MARK_DSCP);
    if (!(mark & QOS_MARK_SET))
        return -1;
    /* Also where the kernel marks: routing may take an interface without a filter, such as loopback
     * towards an endpoint on this machine. A pair that changes too quickly is not the kernel's yet.
     */
    if (leg->transport && !leg->nomination_pending && qos_transport_marks(leg->transport))
        return (int)(mark & QOS_MARK_DSCP) | SEND_DSCP_SEEN;
    return (int)(mark & QOS_MARK_DSCP);
}

/* --- events ----------------------------------------------------------------------------------- */

static void look(struct worker_leg *leg, struct qos_slot *slot, struct slot_watch *watch,
                 const char *mid, enum qos_direction direction, int64_t now)
{
    if (!slot)
        return;
    if (qos_slot_newly_gated(slot)) /* the kernel has dropped */
        worker_raise_media(leg, EVENT_MEDIA_GATED, mid, direction, 0);
    uint64_t discarded = __atomic_load_n(&slot->policing_discarded, __ATOMIC_RELAXED);
    if (discarded == watch->told ||
        (watch->told_at && now - watch->told_at < leg->worker->limits.discard_report))
        return;
    worker_raise_media(leg, EVENT_POLICING_DISCARD, mid, direction, discarded - watch->told);
    *watch = (struct slot_watch){.told = discarded, .told_at = now};
}

/* What a level counts late, after the gate has opened, must not be taken for the cause of a loss
 * much later. */
static void settle_gates(struct worker_leg *leg)
{
    for (unsigned i = 0; i < leg->n_lines; i++) {
        struct media_line *line = leg->lines[i];
        const struct qos_slot *slot = line->media.slot[QOS_UPLINK];
        uint64_t counted = slot ? __atomic_load_n(&slot->gate_discarded, __ATOMIC_RELAXED) : 0;
        bool settled = slot && qos_slot_open(slot) && counted == line->gate_counted;
        line->gate_counted = counted;
        for (unsigned s = 0; settled && s < leg->n_sources; s++) {
            if (leg->sources[s]->line == line)
                leg->sources[s]->gate_seen = counted;
        }
    }
}

void worker_leg_watch_slots(struct worker_leg *leg, int64_t now)
{
    settle_gates(leg);
    for (unsigned d = 0; d < 2; d++) {
        for (unsigned i = 0; i < leg->n_lines; i++) {
            struct media_line *line = leg->lines[i];
            look(leg, line->media.slot[d], &line->watch[d], line->media.mid, d, now);
        }
        look(leg, leg->data_slot[d], &leg->data_watch[d], leg->data_mid, d, now);
    }
}
