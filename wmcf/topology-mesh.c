/* SPDX-License-Identifier: Apache-2.0 */
/* Mesh: everybody gets everybody else. An endpoint's receivable m-lines are slots; streams of the
 * others fill free slots in order of joining, m-lines that also send first. A stream that finds no
 * slot raises negotiationNeeded with a template that has the missing ones: what is there in the
 * same order, then recvonly (for the endpoint) m-lines. */
#include "wmcf/topology.h"

#include "base/loop.h"
#include "base/problem.h"

#define NEGOTIATION_INTERVAL_MS 200

static bool sends_to_us(const GArray *negotiated, const char *mid)
{
    for (guint i = 0; i < negotiated->len; i++) {
        const struct sdp_negotiated_media *m =
            &g_array_index(negotiated, struct sdp_negotiated_media, i);
        if (strcmp(m->mid, mid) == 0)
            return m->direction & SDP_RECVONLY;
    }
    return false;
}

static bool fed_already(struct termination *to, const struct termination *from, const char *mid)
{
    for (guint i = 0; i < to->medias->len; i++) {
        const struct termination_media *media = g_ptr_array_index(to->medias, i);
        if (media->source == from && strcmp(media->source_mid, mid) == 0)
            return true;
    }
    return false;
}

/* A free m-line of this kind on which we may send; sendrecv ones first. */
static struct termination_media *free_slot(struct termination *to, const GArray *negotiated,
                                           enum sdp_kind kind)
{
    struct termination_media *sendonly = NULL;
    for (guint i = 0; i < negotiated->len; i++) {
        const struct sdp_negotiated_media *m =
            &g_array_index(negotiated, struct sdp_negotiated_media, i);
        struct termination_media *media = termination_media(to, m->mid);
        if (!media || media->source || m->kind != kind || !(m->direction & SDP_SENDONLY))
            continue;
        if (m->direction == SDP_SENDRECV)
            return media;
        if (!sendonly)
            sendonly = media;
    }
    return sendonly;
}

static void drop_ended_sources(struct termination *to)
{
    for (guint i = 0; i < to->medias->len; i++) {
        struct termination_media *media = g_ptr_array_index(to->medias, i);
        if (!media->source)
            continue;
        g_autoptr(GArray) negotiated = termination_negotiated(media->source);
        if (!negotiated || !sends_to_us(negotiated, media->source_mid))
            termination_connect_media(to, media, NULL, NULL);
    }
}

static guint count_kind(const struct termination *t, enum sdp_kind kind)
{
    guint n = 0;
    for (guint i = 0; i < t->medias->len; i++)
        n += ((struct termination_media *)g_ptr_array_index(t->medias, i))->kind == kind;
    return n;
}

static json_t *wanted_template(struct termination *to, const guint missing[2])
{
    json_t *medias = json_array();
    json_t *present = termination_medias_json(to);
    size_t i;
    json_t *item;
    json_array_foreach(present, i, item)
    {
        json_t *media = json_object();
        static const char *const keys[] = {"mid", "mediaType", "direction", "codecs"};
        for (size_t k = 0; k < G_N_ELEMENTS(keys); k++)
            json_object_set(media, keys[k], json_object_get(item, keys[k]));
        json_array_append_new(medias, media);
    }
    json_decref(present);
    guint limit = conf_int(to->wmcf->conf, "limits", "max_slots");
    for (enum sdp_kind kind = SDP_AUDIO; kind <= SDP_VIDEO; kind++) {
        guint have = count_kind(to, kind);
        for (guint n = 0; n < missing[kind] && have < limit; n++, have++)
            json_array_append_new(medias, json_pack("{s:s, s:s}", "mediaType", sdp_kind_name(kind),
                                                    "direction", "sendonly"));
    }
    return json_pack("{s:o, s:b}", "medias", medias, "bundle", 1);
}

static void fill(struct context *context, struct termination *to)
{
    g_autoptr(GArray) slots = termination_negotiated(to);
    guint missing[2] = {0, 0};
    if (!slots)
        return;
    for (guint i = 0; i < context->order->len; i++) {
        struct termination *from = g_ptr_array_index(context->order, i);
        g_autoptr(GArray) streams =
            from == to || !from->joined ? NULL : termination_negotiated(from);
        for (guint s = 0; streams && s < streams->len; s++) {
            const struct sdp_negotiated_media *m =
                &g_array_index(streams, struct sdp_negotiated_media, s);
            if (m->kind == SDP_APPLICATION || !(m->direction & SDP_RECVONLY) ||
                fed_already(to, from, m->mid))
                continue;
            struct termination_media *slot = free_slot(to, slots, m->kind);
            if (slot)
                termination_connect_media(to, slot, from, m->mid);
            else
                missing[m->kind]++;
        }
    }
    guint limit = conf_int(to->wmcf->conf, "limits", "max_slots");
    bool can_grow = (missing[SDP_AUDIO] && count_kind(to, SDP_AUDIO) < limit) ||
                    (missing[SDP_VIDEO] && count_kind(to, SDP_VIDEO) < limit);
    if (!can_grow || to->pending_local)
        return;
    gint64 now = loop_now();
    gint64 next = to->negotiation_asked + NEGOTIATION_INTERVAL_MS * 1000;
    if (to->negotiation_asked && now < next) {
        loop_timer_start(to->mesh_timer, (next - now) / 1000 + 1);
        return;
    }
    to->negotiation_asked = now;
    event_notify(to, EVENT_NEGOTIATION_NEEDED, NULL,
                 json_pack("{s:o}", "offerTemplate", wanted_template(to, missing)));
}

void mesh_update(struct context *context)
{
    for (guint i = 0; i < context->order->len; i++)
        drop_ended_sources(g_ptr_array_index(context->order, i));
    for (guint i = 0; i < context->order->len; i++) {
        struct termination *to = g_ptr_array_index(context->order, i);
        if (to->joined && !to->pipeline)
            fill(context, to);
    }
}
