/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of an answered call, their beginning: who may change it now, what an offer means for the
 * far side, and the far side's part. The far side is asked first, so that the initiator's answer
 * says what really holds; it costs a person's hold a round trip more than answering at once, and
 * spares all repair after a refusal. One change at a time per call: what comes meanwhile is glare.
 */
#define LOG_CATEGORY "update"
#include "wsf/call-change.h"

#include "base/metrics.h"
#include "wsf/call-transcode.h"
#include "wsf/recording.h"
#include "wsf/room.h"

const char *change_step_name(enum change_step step)
{
    static const char *const names[] = {
#define CHANGE_STEP(name, text) text,
        CHANGE_STEPS(CHANGE_STEP)
#undef CHANGE_STEP
    };
    return step < CHANGE_STEP_COUNT ? names[step] : "?";
}

/* --- object --------------------------------------------------------------------------------------
 */

static void memory_keep(struct change_memory *memory, const struct leg *leg)
{
    memory->told = leg->told ? offer_template_copy(leg->told) : NULL;
    memory->negotiated = leg->negotiated ? offer_template_copy(leg->negotiated) : NULL;
}

static void memory_clear(struct change_memory *memory)
{
    offer_template_free(memory->told);
    offer_template_free(memory->negotiated);
}

struct call_change *change_new(struct session *session, enum change_kind kind, struct leg *near)
{
    static guint numbers;
    g_assert(!session->change);
    struct call_change *change = g_new0(struct call_change, 1);
    change->number = ++numbers;
    change->kind = kind;
    change->near = near;
    change->far = kind == CHANGE_NETWORK ? NULL : leg_far(near);
    memory_keep(&change->near_before, near);
    if (change->far)
        memory_keep(&change->far_before, change->far);
    session->change = change;
    session_changed(session);
    return change;
}

void call_change_free(struct session *session)
{
    struct call_change *change = g_steal_pointer(&session->change);
    session->change_deadline = 0;
    if (!change)
        return;
    session_changed(session);
    if (change->request) /* the call is over */
        leg_fail_gone(change->request);
    offer_template_free(change->wanted);
    offer_template_free(change->far_wanted);
    offer_template_free(change->near_wanted);
    memory_clear(&change->near_before);
    memory_clear(&change->far_before);
    json_decref(change->user_data);
    json_decref(change->next_user_data);
    g_clear_error(&change->doom);
    g_clear_error(&change->refusal);
    g_free(change->called);
    g_free(change->next_sdp);
    g_free(change->next_offer_id);
    g_free(change);
}

void change_set_step(struct call_change *change, enum change_step step)
{
    struct log_ids ids = session_ids(change->near->session);
    log_debug(&ids, "change %u: %s -> %s", change->number, change_step_name(change->step),
              change_step_name(step));
    change->step = step;
    session_changed(change->near->session);
}

struct media_step *change_step_new(struct wsf *wsf, struct call_change *change, struct leg *leg,
                                   media_fn done)
{
    struct media_step *step = media_step_new(wsf, leg, done);
    step->number = change->number;
    change->in_flight = true;
    return step;
}

struct call_change *change_of(const struct media_step *step)
{
    struct call_change *change = step->session ? step->session->change : NULL;
    if (!change || change->number != step->number)
        return NULL;
    change->in_flight = false;
    return change;
}

bool change_is_doomed(struct wsf *wsf, struct call_change *change)
{
    if (!change->doom)
        return false;
    g_autoptr(GError) doom = g_steal_pointer(&change->doom);
    change_fail(wsf, change, doom, change->doomed_by);
    return true;
}

static void settle_state(struct wsf *wsf, struct leg *leg, const char *reason)
{
    if (leg && leg->state == SESSION_MODIFYING)
        leg_set_state(wsf->sessions, leg, SESSION_ESTABLISHED, reason);
}

/* --- who may -------------------------------------------------------------------------------------
 */

static bool set_glare(GError **error, const char *why)
{
    problem_set_retry(error, PROBLEM_OFFER_GLARE, 1, "%s", why);
    return false;
}

bool change_may_begin(const struct leg *leg, GError **error)
{
    const struct leg *far = leg_far(leg);
    const struct session *session = leg->session;
    if (leg->offer == OFFER_OURS)
        /* A6: the WSF wins; the client rolls its own back. */
        return set_glare(error, "an offer of the network is outstanding; answer it first");
    if (!far || !leg_is_established(leg)) {
        problem_set(error, PROBLEM_INVALID_STATE,
                    "the media session is not established yet; there is nothing to change");
        return false;
    }
    if (session->change || !leg_is_established(far) || leg->offer != OFFER_NONE ||
        far->offer != OFFER_NONE)
        return set_glare(error, "another change of the call is in progress");
    return true;
}

/* A6: between signalling functions the side that is the WebSocket server wins. Only an offer of
 * ours that waits for this very leg yields. */
static bool yields(const struct wsf *wsf, const struct leg *leg)
{
    const struct call_change *change = leg->session->change;
    const struct endpoint *endpoint = registrar_endpoint(wsf->registrar, leg->endpoint);
    if (!change || !endpoint || !endpoint_is_wsf(endpoint) || !endpoint->dialed || change->next)
        return false;
    bool as_far =
        leg == change->far && (change->step == CHANGE_FAR_OFFER || change->step == CHANGE_FAR_WAIT);
    bool as_near = leg == change->near && change->kind != CHANGE_OFFER &&
                   (change->step == CHANGE_NEAR_OFFER || change->step == CHANGE_NEAR_WAIT);
    return as_far || as_near;
}

/* --- beginning -----------------------------------------------------------------------------------
 */

static void ask_far(struct wsf *wsf, struct call_change *change)
{
    struct leg *far = change->far;
    offer_template_auto *wanted = offer_template_copy(change->wanted);
    if (far->endpoint)
        transcode_widen(wanted, call_transcode_skills(wsf, far->session));
    change->far_wanted = offer_template_towards(wanted, far->told ? far->told : wanted);
    if (change->near->session->stay)
        room_follow(far, change->wanted);
    bool asks = far->endpoint && (far->media->passes_descriptions ||
                                  offer_template_asks(wanted, far->told, far->negotiated));
    if (asks)
        change_offer(wsf, change, far);
    else
        change_settle_near(wsf, change);
}

static void begin_offer(struct wsf *wsf, struct leg *leg, struct offer_template *wanted,
                        const char *sdp, const char *offer_id, const json_t *user_data)
{
    struct call_change *change = change_new(leg->session, CHANGE_OFFER, leg);
    change->wanted = wanted;
    change->user_data = user_data ? json_deep_copy(user_data) : NULL;
    leg_take_offer(leg, sdp, offer_id);
    leg_note_description(leg, sdp);
    leg_set_state(wsf->sessions, leg, SESSION_MODIFYING, "offers");
    ask_far(wsf, change);
}

/* A3: an endpoint that does not say it knows them has no data channels. */
static void limit_to_endpoint(const struct wsf *wsf, const struct leg *leg,
                              struct offer_template *wanted)
{
    const struct endpoint *endpoint = registrar_endpoint(wsf->registrar, leg->endpoint);
    if (!endpoint || !endpoint_supports(endpoint, DATACHANNEL))
        offer_template_drop(wanted, MEDIA_APPLICATION);
}

static struct offer_template *read_offer(const struct wsf *wsf, const struct leg *leg,
                                         const char *sdp, GError **error)
{
    offer_template_auto *offer =
        offer_template_parse(sdp, conf_int(wsf->conf, "call", "sdp_max"), error);
    struct offer_template *own = offer ? offer_template_own(offer, error) : NULL;
    if (own)
        limit_to_endpoint(wsf, leg, own);
    if (own && !media_permit(wsf, leg->session, own, error))
        g_clear_pointer(&own, offer_template_free);
    return own;
}

/* The initiator's offer has lost against this one, which is taken as soon as all is undone. */
static void yield_to(struct wsf *wsf, struct leg *leg, const char *sdp, const char *offer_id,
                     const json_t *user_data, struct link_transaction *transaction)
{
    struct call_change *change = leg->session->change;
    g_autoptr(GError) glare = NULL;
    set_glare(&glare, "the other side has changed the call at the same moment");
    change->next = leg;
    change->next_sdp = g_strdup(sdp);
    change->next_offer_id = g_strdup(offer_id);
    change->next_user_data = user_data ? json_deep_copy(user_data) : NULL;
    leg_succeed(leg, transaction, NULL);
    change_fail(wsf, change, glare, leg);
}

void call_update_offer(struct wsf *wsf, struct leg *leg, const char *sdp, const char *offer_id,
                       const json_t *user_data, struct link_transaction *transaction)
{
    g_autoptr(GError) error = NULL;
    struct offer_template *wanted = read_offer(wsf, leg, sdp, &error);
    if (wanted && yields(wsf, leg)) {
        offer_template_free(wanted);
        yield_to(wsf, leg, sdp, offer_id, user_data, transaction);
        return;
    }
    if (!wanted || !change_may_begin(leg, &error)) {
        leg_fail(leg, transaction, error);
        offer_template_free(wanted);
        return;
    }
    /* 6.3.2.6.x.3.1 step 2: at once; the answer comes in a request of its own (step 4). What was
     * borrowed from the transaction is gone with its response. */
    begin_offer(wsf, leg, wanted, sdp, offer_id, user_data);
    leg_succeed(leg, transaction, NULL);
}

void call_update_wish(struct wsf *wsf, struct leg *leg, const char *pre_offer,
                      const json_t *user_data, struct link_transaction *transaction)
{
    g_autoptr(GError) error = NULL;
    offer_template_auto *wish =
        offer_template_parse(pre_offer, conf_int(wsf->conf, "call", "sdp_max"), &error);
    if (!wish || !change_may_begin(leg, &error) || !media_permit(wsf, leg->session, wish, &error)) {
        leg_fail(leg, transaction, error);
        return;
    }
    limit_to_endpoint(wsf, leg, wish);
    struct call_change *change = change_new(leg->session, CHANGE_WISH, leg);
    const struct offer_template *of_far = leg_far(leg)->told;
    change->wanted = offer_template_place(wish, leg->told, of_far ? of_far : leg->told);
    if (leg->session->stay)
        room_keep_slots(change->wanted, leg->told);
    change->user_data = user_data ? json_deep_copy(user_data) : NULL;
    leg_set_state(wsf->sessions, leg, SESSION_MODIFYING, "asks for an offer");
    leg_succeed(leg, transaction, NULL);
    ask_far(wsf, change);
}

static void count(const struct call_change *change)
{
    static const char *const kinds[] = {[CHANGE_OFFER] = "offer",
                                        [CHANGE_WISH] = "wish",
                                        [CHANGE_RESOURCE] = "resource",
                                        [CHANGE_NETWORK] = "network"};
    static struct metric *changes;
    if (!changes)
        changes = metric_register(METRIC_COUNTER, "call_changes", NULL,
                                  "Changes of answered calls, by who began them.", "kind,result");
    metric_add(changes, 1,
               (const char *const[]){kinds[change->kind],
                                     change->step == CHANGE_UNDO ? "undone" : "done"});
}

void change_finish(struct wsf *wsf, struct session *session)
{
    struct call_change *change = session->change;
    count(change);
    struct leg *next = change->next;
    g_autofree char *sdp = g_steal_pointer(&change->next_sdp);
    g_autofree char *offer_id = g_steal_pointer(&change->next_offer_id);
    json_auto_t *user_data = g_steal_pointer(&change->next_user_data);
    settle_state(wsf, change->near, "change over");
    settle_state(wsf, change->far, "change over");
    call_change_free(session);
    recording_follow(wsf, session);
    call_transcode_follow(wsf, session);
    if (session->stay)
        room_mix_follow(session->stay->room);
    offer_template_auto *wanted = next ? read_offer(wsf, next, sdp, NULL) : NULL;
    g_autoptr(GError) error = NULL;
    if (next && wanted && change_may_begin(next, &error)) {
        begin_offer(wsf, next, g_steal_pointer(&wanted), sdp, offer_id, user_data);
        return;
    }
    if (next && error)
        leg_send_refusal(wsf, next, error, offer_id);
    change_next(wsf, session);
}

/* --- our offers and their answers ----------------------------------------------------------------
 */

static void on_offer_made(struct media_step *step)
{
    struct call_change *change = change_of(step);
    struct wsf *wsf = step->wsf;
    struct leg *leg = step->leg;
    if (!change)
        return;
    if (step->error) {
        change_fail_step(wsf, change, step);
        return;
    }
    bool near = leg == change->near;
    g_autoptr(GError) error = NULL;
    if (!leg_offer(leg, step->sdp, 0, &error)) {
        change_fail(wsf, change, error, NULL);
        return;
    }
    leg_set_negotiated(leg, offer_template_copy(near ? change->near_wanted : change->far_wanted),
                       NULL);
    change_set_step(change, near ? CHANGE_NEAR_WAIT : CHANGE_FAR_WAIT);
    if (change_is_doomed(wsf, change))
        return;
    if (!leg->session->change_deadline || change->request)
        leg->session->change_deadline =
            loop_now() + conf_int(wsf->conf, "call", "offer_time") * G_USEC_PER_SEC;
    leg_set_state(wsf->sessions, leg, SESSION_MODIFYING, "is offered a change");
    wsf_schedule_sessions(wsf);
    if (change->request) { /* 6.3.2.6.x.3.4 step 2: the response carries the offer */
        g_autofree char *offer_id = leg_offer_id(leg);
        leg_succeed(leg, g_steal_pointer(&change->request),
                    json_pack("{s:s, s:s}", "sdpOffer", leg->offer_sdp, "offerId", offer_id));
        return;
    }
    leg_send_offer(wsf, leg, change->user_data);
}

void change_offer(struct wsf *wsf, struct call_change *change, struct leg *leg)
{
    bool near = leg == change->near;
    const struct media_offer offer = {
        .wanted = near ? change->near_wanted : change->far_wanted,
        .source = near ? NULL : change->near->peer_offer,
        .restart_ice = near && change->restart_ice,
    };
    change_set_step(change, near ? CHANGE_NEAR_OFFER : CHANGE_FAR_OFFER);
    media_offer(change_step_new(wsf, change, leg, on_offer_made), &offer);
}

static void on_rolled_back(struct media_step *step)
{
    struct call_change *change = change_of(step);
    /* Nothing to roll back is no error, and without a media centre the offer will fail. */
    if (change && !change_is_doomed(step->wsf, change))
        change_offer(step->wsf, change, step->leg);
}

bool call_update_resumed(struct wsf *wsf, struct leg *leg)
{
    struct call_change *change = leg->session->change;
    if (!change || change->in_flight || leg->offer != OFFER_OURS)
        return change != NULL;
    leg_offer_done(leg);
    media_rollback(change_step_new(wsf, change, leg, on_rolled_back));
    return true;
}

static void on_answer_applied(struct media_step *step)
{
    struct call_change *change = change_of(step);
    struct wsf *wsf = step->wsf;
    struct leg *leg = step->leg;
    if (!change) {
        leg_fail_gone(step->transaction);
        return;
    }
    leg->answer_in_progress = false;
    if (step->error) {
        leg_fail(leg, step->transaction, step->error);
        change_fail_step(wsf, change, step);
        return;
    }
    leg_offer_done(leg);
    call_candidates_ready(wsf, leg);
    leg->need = LEG_NEEDS_NOTHING;
    leg->settled = true;
    bool near = leg == change->near;
    if (!near && change->wanted && call_transcode_skills(wsf, leg->session) &&
        transcode_narrow(leg->told, change->wanted, leg->negotiated))
        leg->need = LEG_NEEDS_OFFER; /* it prefers what would have to be converted */
    *(near ? &change->near_changed : &change->far_changed) = true;
    settle_state(wsf, leg, "answered");
    leg_succeed(leg, step->transaction, NULL);
    if (step->user_data) {
        json_decref(change->user_data);
        change->user_data = g_steal_pointer(&step->user_data);
    } else if (!near) {
        g_clear_pointer(&change->user_data, json_decref); /* it has reached the far side */
    }
    if (change_is_doomed(wsf, change))
        return;
    if (near && change->kind == CHANGE_RESOURCE)
        change_switch(wsf, change);
    if (near)
        change_set_routes(wsf, change);
    else
        change_settle_near(wsf, change);
}

static struct call_change *waiting_for(const struct leg *leg)
{
    struct call_change *change = leg->session->change;
    bool waits = change && ((leg == change->far && change->step == CHANGE_FAR_WAIT) ||
                            (leg == change->near && change->step == CHANGE_NEAR_WAIT));
    return waits && !change->in_flight ? change : NULL;
}

void call_update_answer(struct wsf *wsf, struct leg *leg, const char *sdp, const json_t *user_data,
                        struct link_transaction *transaction)
{
    struct call_change *change = waiting_for(leg);
    g_autoptr(GError) error = NULL;
    offer_template_auto *answer = NULL;
    struct offer_template *chosen = NULL;
    if (!change) {
        problem_set(&error, PROBLEM_INVALID_STATE, "no offer waits for this answer any more");
        leg_fail(leg, transaction, error);
        return;
    }
    answer = offer_template_parse(sdp, conf_int(wsf->conf, "call", "sdp_max"), &error);
    if (answer)
        chosen = offer_template_chosen(answer, &error);
    if (!chosen) {
        /* The endpoint takes its answer for given; the network's next offer tells better. */
        leg->need = LEG_NEEDS_OFFER;
        leg_fail(leg, transaction, error);
        change_fail(wsf, change, error, leg);
        return;
    }
    leg_set_negotiated(leg, NULL, chosen);
    if (leg->media->passes_descriptions)
        leg_keep_last_answer(leg, sdp);
    leg->answer_in_progress = true;
    leg_note_description(leg, sdp);
    leg->session->change_deadline = 0;
    change_set_step(change, leg == change->near ? CHANGE_NEAR_APPLY : CHANGE_FAR_APPLY);
    struct media_step *step = change_step_new(wsf, change, leg, on_answer_applied);
    step->transaction = transaction;
    step->user_data = user_data ? json_deep_copy(user_data) : NULL;
    media_accept(step, sdp, NULL);
}

void call_update_late_answer(struct wsf *wsf, struct leg *leg, const char *offer_id)
{
    g_autofree char *withdrawn = g_strdup_printf("%u", leg->withdrawn);
    if (!leg->withdrawn || !leg_is_established(leg) || (offer_id && g_strcmp0(offer_id, withdrawn)))
        return;
    leg->withdrawn = 0;
    call_network_need(wsf, leg, LEG_NEEDS_OFFER);
}

void call_update_refused(struct wsf *wsf, struct leg *leg, const GError *error)
{
    struct call_change *change = waiting_for(leg);
    if (change)
        change_fail(wsf, change, error, leg);
}
