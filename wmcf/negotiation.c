/* SPDX-License-Identifier: Apache-2.0 */
/* Offer and answer of a termination: which description is in force, which offer is outstanding. The
 * real descriptions live here and in the SDP engine; webrtcbin is started once, with the anchor,
 * when the endpoint's side is first known. An ICE restart is a step like any other: new credentials
 * of ours answer as soon as they are said, the former ones until the new ones carry media. */
#define LOG_CATEGORY "negotiation"
#include "wmcf/negotiation.h"

#include "base/ids.h"
#include "base/log.h"
#include "wmcf/data-relay.h"
#include "wmcf/topology.h"

enum step { STEP_OFFER, STEP_ACCEPT, STEP_ANSWER, STEP_ROLLBACK };

struct negotiation {
    struct termination *termination;
    enum step step;
    struct sdp_description *local, *remote; /* owned; NULL = as they are */
    char *sdp;
    bool restart;
    char ufrag[sizeof((struct termination *)0)->ice_ufrag];
    char pwd[sizeof((struct termination *)0)->ice_pwd];
    GPtrArray *medias, *fresh;
};

static bool no_offer_outstanding(struct termination *t, GError **error)
{
    if (!t->pending_local)
        return true;
    problem_set(
        error, PROBLEM_INVALID_STATE,
        "an offer of this termination waits for its answer; give the answer or roll it back");
    return false;
}

static struct negotiation *negotiation_new(struct termination *t, enum step step)
{
    struct negotiation *n = g_new0(struct negotiation, 1);
    g_assert(!t->proposed);
    n->termination = t;
    n->step = step;
    return n;
}

void negotiation_free(struct negotiation *n)
{
    if (!n)
        return;
    n->termination->proposed = NULL;
    g_clear_pointer(&n->local, sdp_description_free);
    g_clear_pointer(&n->remote, sdp_description_free);
    g_clear_pointer(&n->medias, g_ptr_array_unref);
    for (guint i = 0; n->fresh && i < n->fresh->len; i++)
        termination_media_free(g_ptr_array_index(n->fresh, i));
    g_clear_pointer(&n->fresh, g_ptr_array_unref);
    g_free(n->sdp);
    g_free(n);
}

const char *negotiation_sdp(const struct negotiation *n)
{
    return n->sdp;
}

const struct sdp_description *negotiation_remote(const struct negotiation *n)
{
    return n->remote ? n->remote : n->termination->remote;
}

/* From here on termination_media() finds what the step will leave. */
static bool propose(struct negotiation *n, const struct sdp_description *local, GError **error)
{
    n->medias = negotiation_propose_medias(n->termination, local, &n->fresh, error);
    n->termination->proposed = n->medias;
    return n->medias != NULL;
}

/* Credentials for our description: the ones in force, or new ones. RFC 8839 wants 24 and 128 bits:
 * 48 here, since the ufrag finds the leg among all others. */
static void choose_credentials(struct negotiation *n, bool restart, struct sdp_local *local)
{
    n->restart = restart;
    if (!restart)
        return;
    id_ice_chars(n->ufrag, sizeof n->ufrag - 1);
    id_ice_chars(n->pwd, sizeof n->pwd - 1);
    local->ice_ufrag = n->ufrag;
    local->ice_pwd = n->pwd;
}

/* --- working out ------------------------------------------------------------------------------ */

struct negotiation *negotiation_offer(struct termination *t, const struct sdp_template *wanted,
                                      bool restart, GError **error)
{
    if (!no_offer_outstanding(t, error))
        return NULL;
    if (restart && !t->remote) {
        problem_set_param(error, PROBLEM_INVALID_STATE, "/restartIce",
                          "there is no ICE to restart before the first answer");
        return NULL;
    }
    struct negotiation *n = negotiation_new(t, STEP_OFFER);
    struct local_candidates candidates;
    struct sdp_local local = negotiation_local(t, &candidates);
    choose_credentials(n, restart, &local);
    n->local = sdp_make_offer(wanted, &local, t->local, error);
    if (!n->local) {
        negotiation_free(n);
        return NULL;
    }
    n->sdp = sdp_print(n->local);
    if (!propose(n, n->local, error))
        g_clear_pointer(&n, negotiation_free);
    return n;
}

static bool check_answer(struct termination *t, const struct sdp_description *answer,
                         GError **error)
{
    if (!sdp_check_answer(t->pending_local, answer, error) ||
        !negotiation_same_peer(t, answer, error))
        return false;
    if (!t->remote || negotiation_restarts(t, answer) == (t->next_ufrag[0] != '\0'))
        return true;
    problem_set(error, PROBLEM_SDP_NOT_ACCEPTABLE, "%s",
                t->next_ufrag[0]
                    ? "the offer restarts ICE, so the answer needs new ICE credentials"
                    : "the answer has new ICE credentials, and the offer did not restart ICE");
    return false;
}

struct negotiation *negotiation_accept(struct termination *t, const char *sdp, GError **error)
{
    if (!t->pending_local) {
        problem_set(error, PROBLEM_INVALID_STATE,
                    "no offer of this termination waits for an answer");
        return NULL;
    }
    sdp_autoptr answer = sdp_parse(sdp, error);
    if (!answer || !check_answer(t, answer, error))
        return NULL;
    struct negotiation *n = negotiation_new(t, STEP_ACCEPT);
    n->remote = g_steal_pointer(&answer);
    if (!propose(n, t->pending_local, error))
        g_clear_pointer(&n, negotiation_free);
    return n;
}

struct negotiation *negotiation_answer(struct termination *t, const char *sdp,
                                       const struct sdp_template *wanted, GError **error)
{
    if (!no_offer_outstanding(t, error))
        return NULL;
    sdp_autoptr offer = sdp_parse(sdp, error);
    if (!offer)
        return NULL;
    struct negotiation *n = negotiation_new(t, STEP_ANSWER);
    struct local_candidates candidates;
    struct sdp_local local = negotiation_local(t, &candidates);
    local.ice_lite &= !offer->ice_lite;
    choose_credentials(n, negotiation_restarts(t, offer), &local);
    n->local = sdp_make_answer(offer, wanted, &local, t->local, error);
    if (!n->local || !negotiation_same_peer(t, offer, error)) {
        negotiation_free(n);
        return NULL;
    }
    n->remote = g_steal_pointer(&offer);
    n->sdp = sdp_print(n->local);
    if (!propose(n, n->local, error))
        g_clear_pointer(&n, negotiation_free);
    return n;
}

struct negotiation *negotiation_rollback(struct termination *t, GError **error)
{
    if (!t->pending_local) {
        problem_set(error, PROBLEM_INVALID_STATE, "no offer of this termination is outstanding");
        return NULL;
    }
    struct negotiation *n = negotiation_new(t, STEP_ROLLBACK);
    /* Media of the withdrawn offer alone go again. */
    if (!propose(n, t->local, error))
        g_clear_pointer(&n, negotiation_free);
    return n;
}

/* --- taking ----------------------------------------------------------------------------------- */

static void take_restart(struct negotiation *n)
{
    struct termination *t = n->termination;
    if (n->step == STEP_OFFER && n->restart) {
        g_strlcpy(t->next_ufrag, n->ufrag, sizeof t->next_ufrag);
        g_strlcpy(t->next_pwd, n->pwd, sizeof t->next_pwd);
        if (!t->traversal) /* which has but one pair at a time: the answer brings them into force */
            relay_leg_prepare_ice(t->relay_leg, t->next_ufrag, t->next_pwd);
    } else if (n->step == STEP_ROLLBACK && t->next_ufrag[0]) {
        if (!t->traversal)
            relay_leg_cancel_ice(t->relay_leg);
    } else if (n->step == STEP_ACCEPT && t->next_ufrag[0]) {
        memcpy(t->ice_ufrag, t->next_ufrag, sizeof t->ice_ufrag);
        memcpy(t->ice_pwd, t->next_pwd, sizeof t->ice_pwd);
        n->restart = true;
    } else if (n->step == STEP_ANSWER && n->restart) {
        memcpy(t->ice_ufrag, n->ufrag, sizeof t->ice_ufrag);
        memcpy(t->ice_pwd, n->pwd, sizeof t->ice_pwd);
        if (!t->traversal)
            relay_leg_prepare_ice(t->relay_leg, t->ice_ufrag, t->ice_pwd);
    }
    if (n->step != STEP_OFFER)
        t->next_ufrag[0] = t->next_pwd[0] = '\0';
}

/* Before webrtcbin is started, so that its anchor has them from the beginning. */
static void configure_data(struct termination *t)
{
    g_autoptr(GArray) negotiated = termination_negotiated(t);
    for (guint i = 0; i < negotiated->len; i++) {
        const struct sdp_negotiated_media *m =
            &g_array_index(negotiated, struct sdp_negotiated_media, i);
        if (m->kind != SDP_APPLICATION || m->direction == SDP_INACTIVE)
            continue;
        data_relay_set(t, m->mid, g_ptr_array_index(t->remote->medias, i));
        data_relay_update(t->context);
        return;
    }
    data_relay_set(t, NULL, NULL);
}

/* Both descriptions are in force: tells the relay, starts webrtcbin the first time. */
static bool apply(struct termination *t, bool we_offered, GError **error)
{
    negotiation_connect_ice(t, we_offered);
    negotiation_configure_relay(t);
    configure_data(t);
    if (!t->leg_started) {
        bool we_are_server =
            t->remote->setup == SDP_SETUP_ACTIVE ||
            (t->remote->setup == SDP_SETUP_ACTPASS && t->local->setup == SDP_SETUP_PASSIVE);
        if (!pl_leg_start(t->leg, t->remote, we_are_server, error))
            return false;
        t->leg_started = true;
        t->dtls_role = we_are_server ? SDP_SETUP_PASSIVE : SDP_SETUP_ACTIVE;
    }
    return true;
}

static void set_descriptions(struct negotiation *n)
{
    struct termination *t = n->termination;
    if (n->step == STEP_ACCEPT)
        n->local = g_steal_pointer(&t->pending_local);
    sdp_description_clear(&t->local);
    sdp_description_clear(&t->remote);
    t->local = g_steal_pointer(&n->local);
    t->remote = g_steal_pointer(&n->remote);
    if (n->step == STEP_ACCEPT)
        sdp_accept_rejections(t->local, t->remote);
}

bool negotiation_commit(struct negotiation *n, GError **error)
{
    struct termination *t = n->termination;
    take_restart(n);
    t->proposed = NULL;
    g_clear_pointer(&n->fresh, g_ptr_array_unref);
    switch (n->step) {
    case STEP_OFFER:
        t->pending_local = g_steal_pointer(&n->local);
        t->sdp_version++;
        negotiation_take_medias(t, n->medias);
        termination_set_negotiating(t, true);
        return true;
    case STEP_ROLLBACK:
        g_clear_pointer(&t->pending_local, sdp_description_free);
        negotiation_take_medias(t, n->medias);
        termination_set_negotiating(t, false);
        return true;
    case STEP_ANSWER:
        t->sdp_version++;
        break;
    case STEP_ACCEPT:
        break;
    }
    bool we_offered = n->step == STEP_ACCEPT;
    set_descriptions(n);
    negotiation_take_medias(t, n->medias);
    if (!apply(t, we_offered, error))
        return false;
    termination_begin_connecting(t, n->restart);
    t->joined = true;
    mesh_update(t->context);
    return true;
}
