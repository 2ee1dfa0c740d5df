/* SPDX-License-Identifier: Apache-2.0 */
/* Offer and answer of a termination: which description is in force, which offer is outstanding, and
 * what both mean for the relay. The real descriptions live here and in the SDP engine; webrtcbin is
 * started once, with the anchor, when the endpoint's side is first known. */
#define LOG_CATEGORY "negotiation"
#include "wmcf/termination.h"

#include "base/ids.h"
#include "base/log.h"
#include "base/loop.h"
#include "wmcf/audit.h"
#include "wmcf/topology.h"

#include <arpa/inet.h>

struct termination_media *termination_media(struct termination *t, const char *mid)
{
    for (guint i = 0; i < t->medias->len; i++) {
        struct termination_media *media = g_ptr_array_index(t->medias, i);
        if (strcmp(media->mid, mid) == 0)
            return media;
    }
    return NULL;
}

bool termination_in_force(const struct termination *t, const char *mid)
{
    return t->local && sdp_description_media(t->local, mid);
}

static bool no_offer_outstanding(struct termination *t, GError **error)
{
    if (!t->pending_local)
        return true;
    problem_set(
        error, PROBLEM_INVALID_STATE,
        "an offer of this termination waits for its answer; give the answer or roll it back");
    return false;
}

/* --- our side of the transport ------------------------------------------------------------- */

#define ADDRESSES_MAX SDP_MAX_CANDIDATES
struct candidates {
    struct sdp_candidate list[ADDRESSES_MAX];
    char text[ADDRESSES_MAX][INET6_ADDRSTRLEN];
    char foundations[ADDRESSES_MAX][4];
    gsize n;
};

/* RFC 8445 5.1.2: host candidates; IPv6 before IPv4 (RFC 8421), then in the order of the sockets.
 */
static void make_candidates(struct termination *t, struct candidates *c)
{
    gsize n = 0;
    const struct relay_address *addresses = relay_leg_addresses(t->relay_leg, &n);
    c->n = 0;
    for (int family = 0; family < 2; family++)
        for (gsize i = 0; i < n && c->n < ADDRESSES_MAX; i++) {
            const struct sockaddr_storage *a = &addresses[i].advertised;
            if ((a->ss_family == AF_INET6) != (family == 0))
                continue;
            struct sdp_candidate *candidate = &c->list[c->n];
            guint port;
            if (a->ss_family == AF_INET6) {
                const struct sockaddr_in6 *in6 = (const void *)a;
                inet_ntop(AF_INET6, &in6->sin6_addr, c->text[c->n], INET6_ADDRSTRLEN);
                port = ntohs(in6->sin6_port);
            } else {
                const struct sockaddr_in *in = (const void *)a;
                inet_ntop(AF_INET, &in->sin_addr, c->text[c->n], INET6_ADDRSTRLEN);
                port = ntohs(in->sin_port);
            }
            g_snprintf(c->foundations[c->n], sizeof c->foundations[0], "%u", (guint)c->n + 1);
            *candidate = (struct sdp_candidate){
                .foundation = c->foundations[c->n],
                .address = c->text[c->n],
                .type = (char *)"host",
                .component = 1,
                .port = port,
                .priority = addresses[i].priority,
                .udp = true,
            };
            c->n++;
        }
}

static struct sdp_local local_side(struct termination *t, const struct candidates *candidates)
{
    return (struct sdp_local){
        .ice_ufrag = t->ice_ufrag,
        .ice_pwd = t->ice_pwd,
        .ice_lite = !t->ice_full,
        .fingerprint_hash = "sha-256",
        .fingerprint = pl_certificate_sha256(),
        .fingerprint_length = 32,
        .candidates = candidates->list,
        .n_candidates = candidates->n,
        .session_id = t->sdp_session_id,
        .session_version = ++t->sdp_version,
        .cname = t->cname,
    };
}

/* Media exist from our first description on, so that a policy can name them before the answer. */
static void ensure_medias(struct termination *t, const struct sdp_description *local)
{
    for (guint i = t->medias->len; i < local->medias->len; i++) {
        const struct sdp_media *m = g_ptr_array_index(local->medias, i);
        struct termination_media *media = g_new0(struct termination_media, 1);
        g_strlcpy(media->mid, m->mid, sizeof media->mid);
        media->kind = m->kind;
        media->flow = qos_flow_new();
        struct qos_policy policy = policy_set_for(&t->policies, media->mid);
        qos_flow_apply(media->flow, &policy);
        g_ptr_array_add(t->medias, media);
    }
}

/* --- into the relay ------------------------------------------------------------------------ */

static guint copy_codecs(const GArray *codecs, struct relay_codec *out)
{
    guint n = 0;
    for (guint i = 0; codecs && i < codecs->len && n < RELAY_CODECS_MAX; i++) {
        const struct sdp_codec *codec = &g_array_index(codecs, struct sdp_codec, i);
        out[n++] = (struct relay_codec){
            .pt = codec->pt,
            .clock_rate = codec->clock_rate,
            .format = codec->format,
            .nack = codec->nack,
            .pli = codec->nack_pli,
        };
    }
    return n;
}

static void configure_relay(struct termination *t)
{
    g_autoptr(GArray) negotiated = termination_negotiated(t);
    g_autofree struct relay_media *medias = g_new0(struct relay_media, RELAY_MEDIAS_MAX);
    guint n = 0;
    for (guint i = 0; i < negotiated->len && n < RELAY_MEDIAS_MAX; i++) {
        const struct sdp_negotiated_media *m =
            &g_array_index(negotiated, struct sdp_negotiated_media, i);
        struct termination_media *own = termination_media(t, m->mid);
        if (m->kind == SDP_APPLICATION || !own)
            continue;
        struct relay_media *media = &medias[n++];
        g_strlcpy(media->mid, m->mid, sizeof media->mid);
        media->kind = m->kind == SDP_AUDIO ? RELAY_AUDIO : RELAY_VIDEO;
        media->receive = m->direction & SDP_RECVONLY;
        media->send = m->direction & SDP_SENDONLY;
        media->mid_extmap = m->mid_extmap;
        media->audio_level_extmap = m->audio_level_extmap;
        media->n_recv_codecs = copy_codecs(m->recv_codecs, media->recv_codecs);
        media->n_send_codecs = copy_codecs(m->send_codecs, media->send_codecs);
        for (guint s = 0; m->remote_ssrcs && s < m->remote_ssrcs->len && s < RELAY_SSRCS_MAX; s++)
            media->remote_ssrcs[media->n_remote_ssrcs++] =
                g_array_index(m->remote_ssrcs, guint32, s);
        media->local_ssrc = m->local_ssrc;
        media->rtcp_rsize = m->rtcp_rsize;
        media->slot[QOS_UPLINK] = qos_flow_slot(own->flow, QOS_UPLINK);
        media->slot[QOS_DOWNLINK] = qos_flow_slot(own->flow, QOS_DOWNLINK);
    }
    relay_leg_set_medias(t->relay_leg, medias, n);
}

/* Names (mDNS) and TCP are passed over: the endpoint's own checks show what they stand for. */
static guint copy_candidates(const GArray *candidates, struct relay_candidate *out)
{
    guint n = 0;
    for (guint i = 0; i < candidates->len && n < SDP_MAX_CANDIDATES; i++) {
        const struct sdp_candidate *from = &g_array_index(candidates, struct sdp_candidate, i);
        struct relay_candidate *to = &out[n];
        struct sockaddr_in *in = (struct sockaddr_in *)&to->address;
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&to->address;
        *to = (struct relay_candidate){.priority = from->priority};
        if (!from->udp || from->component != 1)
            continue;
        if (inet_pton(AF_INET, from->address, &in->sin_addr) == 1) {
            in->sin_family = AF_INET;
            in->sin_port = htons((guint16)from->port);
        } else if (inet_pton(AF_INET6, from->address, &in6->sin6_addr) == 1) {
            in6->sin6_family = AF_INET6;
            in6->sin6_port = htons((guint16)from->port);
        } else {
            continue;
        }
        n++;
    }
    return n;
}

static void connect_ice(struct termination *t, bool we_offered)
{
    struct relay_candidate candidates[SDP_MAX_CANDIDATES];
    t->ice_full |= t->remote->ice_lite; /* somebody must check */
    struct relay_remote_ice ice = {
        .ufrag = t->remote->ice_ufrag,
        .pwd = t->remote->ice_pwd,
        /* RFC 8445 6.1.1: a full agent controls a lite one, else who offers. */
        .role = !t->ice_full                        ? RELAY_ICE_LITE
                : we_offered || t->remote->ice_lite ? RELAY_ICE_CONTROLLING
                                                    : RELAY_ICE_CONTROLLED,
        .candidates = candidates,
        .n_candidates = copy_candidates(t->remote->candidates, candidates),
        .complete = !t->remote->trickle || t->remote->end_of_candidates,
    };
    relay_leg_set_remote_ice(t->relay_leg, &ice);
}

/* Both descriptions are in force: tells the relay, starts webrtcbin the first time. */
static bool apply(struct termination *t, bool we_offered, GError **error)
{
    connect_ice(t, we_offered);
    configure_relay(t);
    if (!t->leg_started) {
        bool we_are_server =
            t->remote->setup == SDP_SETUP_ACTIVE ||
            (t->remote->setup == SDP_SETUP_ACTPASS && t->local->setup == SDP_SETUP_PASSIVE);
        if (!pl_leg_start(t->leg, t->remote, we_are_server, error))
            return false;
        t->leg_started = true;
    }
    termination_begin_connecting(t);
    if (!t->joined) {
        t->joined = true;
        if (t->context->topology == TOPOLOGY_MESH)
            mesh_update(t->context);
    }
    return true;
}

/* The transport of a leg stays for its life: another peer or an ICE restart would need new ones. */
static bool same_transport(const struct termination *t, const struct sdp_description *remote,
                           GError **error)
{
    if (!t->remote)
        return true;
    if (strcmp(remote->ice_ufrag, t->remote->ice_ufrag) != 0 ||
        strcmp(remote->ice_pwd, t->remote->ice_pwd) != 0) {
        problem_set(error, PROBLEM_SDP_NOT_ACCEPTABLE,
                    "ICE restart is not supported by this release; set up a new termination");
        return false;
    }
    if (remote->fingerprint->len != t->remote->fingerprint->len ||
        memcmp(remote->fingerprint->data, t->remote->fingerprint->data, remote->fingerprint->len)) {
        problem_set(error, PROBLEM_SDP_NOT_ACCEPTABLE,
                    "the certificate's fingerprint has changed; set up a new termination");
        return false;
    }
    return true;
}

/* --- the four operations ------------------------------------------------------------------- */

char *termination_make_offer(struct termination *t, const struct sdp_template *wanted,
                             GError **error)
{
    if (!no_offer_outstanding(t, error))
        return NULL;
    struct candidates candidates;
    make_candidates(t, &candidates);
    struct sdp_local local = local_side(t, &candidates);
    struct sdp_description *offer = sdp_make_offer(wanted, &local, t->local, error);
    if (!offer)
        return NULL;
    t->pending_local = offer;
    ensure_medias(t, offer);
    termination_set_negotiating(t, true);
    return sdp_print(offer);
}

bool termination_accept_answer(struct termination *t, const char *sdp, GError **error)
{
    if (!t->pending_local) {
        problem_set(error, PROBLEM_INVALID_STATE,
                    "no offer of this termination waits for an answer");
        return false;
    }
    sdp_autoptr answer = sdp_parse(sdp, error);
    if (!answer || !sdp_check_answer(t->pending_local, answer, error) ||
        !same_transport(t, answer, error))
        return false;
    sdp_description_clear(&t->local);
    t->local = g_steal_pointer(&t->pending_local);
    sdp_description_clear(&t->remote);
    t->remote = g_steal_pointer(&answer);
    return apply(t, true, error);
}

char *termination_make_answer(struct termination *t, const char *sdp,
                              const struct sdp_template *wanted, GError **error)
{
    if (!no_offer_outstanding(t, error))
        return NULL;
    sdp_autoptr offer = sdp_parse(sdp, error);
    if (!offer || !same_transport(t, offer, error))
        return NULL;
    struct candidates candidates;
    make_candidates(t, &candidates);
    struct sdp_local local = local_side(t, &candidates);
    local.ice_lite &= !offer->ice_lite;
    sdp_autoptr answer = sdp_make_answer(offer, wanted, &local, t->local, error);
    if (!answer)
        return NULL;
    g_autofree char *text = sdp_print(answer);
    sdp_description_clear(&t->local);
    sdp_description_clear(&t->remote);
    t->local = g_steal_pointer(&answer);
    t->remote = g_steal_pointer(&offer);
    ensure_medias(t, t->local);
    return apply(t, false, error) ? g_steal_pointer(&text) : NULL;
}

bool termination_rollback(struct termination *t, GError **error)
{
    if (!t->pending_local) {
        problem_set(error, PROBLEM_INVALID_STATE, "no offer of this termination is outstanding");
        return false;
    }
    g_clear_pointer(&t->pending_local, sdp_description_free);
    termination_set_negotiating(t, false);
    /* Media of the withdrawn offer that no description in force knows go again. */
    guint keep = t->local ? t->local->medias->len : 0;
    if (t->medias->len > keep)
        g_ptr_array_set_size(t->medias, keep);
    return true;
}

/* --- what is negotiated -------------------------------------------------------------------- */

GArray *termination_negotiated(const struct termination *t)
{
    return t->local && t->remote ? sdp_negotiate(t->local, t->remote) : NULL;
}

static json_t *codec_names(const GArray *codecs)
{
    json_t *array = json_array();
    for (guint i = 0; codecs && i < codecs->len; i++) {
        const char *name = g_array_index(codecs, struct sdp_codec, i).name;
        bool known = false;
        size_t k;
        json_t *item;
        json_array_foreach(array, k, item) known |=
            g_ascii_strcasecmp(json_string_value(item), name) == 0;
        if (!known)
            json_array_append_new(array, json_string(name));
    }
    return array;
}

static json_t *media_json(const struct termination_media *own, enum sdp_direction direction,
                          const GArray *codecs)
{
    json_t *media = json_pack("{s:s, s:s, s:s, s:o, s:s}", "mid", own->mid, "mediaType",
                              sdp_kind_name(own->kind), "direction", sdp_direction_name(direction),
                              "codecs", codec_names(codecs), "flowStatus",
                              qos_flow_status_name(qos_flow_get_status(own->flow)));
    if (own->source)
        json_object_set_new(
            media, "source",
            json_pack("{s:s, s:s}", "terminationId", own->source->id, "mid", own->source_mid));
    return media;
}

json_t *termination_medias_json(const struct termination *t)
{
    json_t *array = json_array();
    g_autoptr(GArray) negotiated = t->pending_local ? NULL : termination_negotiated(t);
    const struct sdp_description *offer = t->pending_local ? t->pending_local : t->local;
    for (guint i = 0; i < t->medias->len; i++) {
        const struct termination_media *own = g_ptr_array_index(t->medias, i);
        if (negotiated && i < negotiated->len) {
            const struct sdp_negotiated_media *m =
                &g_array_index(negotiated, struct sdp_negotiated_media, i);
            /* What the endpoint sends tells best what it chose; what it only receives, the other.
             */
            const GArray *codecs = m->direction & SDP_RECVONLY ? m->recv_codecs : m->send_codecs;
            json_array_append_new(array, media_json(own, m->direction, codecs));
        } else if (offer && i < offer->medias->len) {
            const struct sdp_media *m = g_ptr_array_index(offer->medias, i);
            json_array_append_new(array, media_json(own, m->direction, m->codecs));
        }
    }
    return array;
}
