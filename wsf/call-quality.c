/* SPDX-License-Identifier: Apache-2.0 */
/* What a call does about its quality of service. The media centre enforces; here is decided what it
 * is asked for, and what becomes of its reports: one line in the log per call and medium, a count,
 * and a word to the endpoint, if it has said that it understands (extension qos-report). Before the
 * gates are opened nothing is reported: they are closed on purpose then, and an endpoint that sends
 * early does nothing wrong. */
#define LOG_CATEGORY "quality"
#include "wsf/call-quality.h"

#include "base/metrics.h"

#include <string.h>

/* --- what is asked for ---------------------------------------------------------------------------
 */

static struct policy_leg policy_leg_of(const struct wsf *wsf, const struct leg *leg)
{
    const struct session *session = leg->session;
    const struct endpoint *caller = registrar_endpoint(wsf->registrar, session->caller->endpoint);
    return (struct policy_leg){
        .from = {session->subject, caller ? caller->kind : ENDPOINT_CLIENT},
        .to = leg->called ? leg->called : session->called,
        .side = leg->caller ? POLICY_CALLER : POLICY_CALLEE,
    };
}

json_t *quality_at_start(const struct wsf *wsf, const struct leg *leg,
                         const struct offer_template *medias)
{
    const struct policy_leg asked = policy_leg_of(wsf, leg);
    json_auto_t *policy = policy_media_json(wsf->policy, &asked, medias);
    return quality_closed(policy);
}

json_t *quality_media_path(const struct wsf *wsf, const struct leg *leg)
{
    const struct policy_leg asked = policy_leg_of(wsf, leg);
    return leg->resource ? NULL : policy_media_path(wsf->policy, &asked);
}

bool quality_is_optional(const struct wsf *wsf, const struct leg *leg,
                         const struct offer_template *medias)
{
    const struct policy_leg asked = policy_leg_of(wsf, leg);
    return policy_media_best_effort(wsf->policy, &asked, medias);
}

json_t *media_policy(const struct wsf *wsf, const struct leg *leg)
{
    const struct policy_leg asked = policy_leg_of(wsf, leg);
    /* What a resource gives is the operator's own; what becomes of it is said on the other side. */
    if (leg->resource)
        return json_pack("[{s:s, s:s}]", "mid", "*", "flowStatus", "ENABLED");
    json_auto_t *policy = policy_media_json(wsf->policy, &asked, leg->negotiated);
    return leg->without_policy ? quality_gates(policy)
                               : quality_lift(leg->quality, policy, leg->negotiated);
}

/* --- what the endpoint hears ---------------------------------------------------------------------
 */

static bool understands(const struct wsf *wsf, const struct leg *leg)
{
    const struct endpoint *endpoint = registrar_endpoint(wsf->registrar, leg->endpoint);
    /* How a network treats its users' packets is not another network's business. */
    return endpoint && !endpoint_is_wsf(endpoint) && endpoint_supports(endpoint, QOS_REPORT);
}

bool quality_wants_reports(const struct wsf *wsf, const struct leg *leg)
{
    return !leg->resource && understands(wsf, leg) &&
           conf_bool(wsf->conf, "media", "quality_reports");
}

static void tell(struct wsf *wsf, struct leg *leg, json_t *qos)
{
    if (understands(wsf, leg))
        leg_send_update(wsf, leg, json_pack("{s:O}", "qos", qos));
    json_decref(qos);
}

static void tell_news(struct wsf *wsf, struct leg *leg)
{
    json_t *news = quality_news(leg->quality, leg->negotiated);
    if (news)
        tell(wsf, leg, news);
}

void quality_in_force(struct wsf *wsf, struct leg *leg, json_t *policy)
{
    quality_set_policy(leg->quality, policy);
    session_changed(leg->session);
    if (leg->session->gates_asked && leg_is_established(leg))
        tell_news(wsf, leg);
}

void quality_tell_again(struct wsf *wsf, struct leg *leg)
{
    if (!leg->session->gates_asked || !leg_is_established(leg))
        return;
    quality_forget_told(leg->quality);
    tell_news(wsf, leg);
}

/* --- what the media centre tells -----------------------------------------------------------------
 */

static void count(const char *event, enum media_kind kind)
{
    static struct metric *events;
    if (!events)
        events = metric_register(METRIC_COUNTER, "quality_events", NULL,
                                 "What media centres have told of closed gates and policing.",
                                 "event,media");
    metric_add(events, 1, (const char *const[]){event, media_kind_name(kind)});
}

static void gated(struct wsf *wsf, struct leg *leg, const struct offer_media *media, bool uplink)
{
    struct log_ids ids = session_ids(leg->session);
    ids.termination = leg->termination_id;
    /* The policy lets it pass: the gate was closed while the call was set up. */
    if (quality_opens(leg->quality, media->mid, uplink))
        return;
    count("gated", media->kind);
    if (quality_first(leg->quality, media->mid,
                      uplink ? QUALITY_GATED_UPLINK : QUALITY_GATED_DOWNLINK))
        log_info(&ids, "the %s %s %s (mid %s) is stopped at a closed gate",
                 media_kind_name(media->kind), uplink ? "of" : "for", identity_log(leg->webrtc_id),
                 media->mid);
    tell(wsf, leg,
         json_pack("[{s:s, s:s, s:s}]", "mid", media->mid, "flowStatus",
                   quality_flow_status(leg->quality, media->mid), "gated",
                   uplink ? "uplink" : "downlink"));
}

static void policed(struct wsf *wsf, struct leg *leg, const struct offer_media *media, bool uplink,
                    const json_t *details)
{
    struct log_ids ids = session_ids(leg->session);
    json_int_t packets = json_integer_value(json_object_get(details, "packets"));
    ids.termination = leg->termination_id;
    count("policed", media->kind);
    if (quality_first(leg->quality, media->mid, QUALITY_POLICED))
        log_info(&ids, "the %s %s %s (mid %s) is above its rate, the excess is dropped",
                 media_kind_name(media->kind), uplink ? "of" : "for", identity_log(leg->webrtc_id),
                 media->mid);
    tell(wsf, leg,
         json_pack("[{s:s, s:{s:I, s:s}}]", "mid", media->mid, "policingDiscarded", "packets",
                   MAX(packets, 1), "direction", uplink ? "uplink" : "downlink"));
}

static void tell_measured(struct wsf *wsf, struct leg *leg)
{
    json_t *news = quality_take_measured(leg->quality);
    if (news && leg_is_established(leg))
        tell(wsf, leg, news);
    else
        json_decref(news);
}

void quality_event(struct wsf *wsf, struct leg *leg, const char *event, const char *mid,
                   const json_t *details)
{
    const char *direction = json_string_value(json_object_get(details, "direction"));
    bool uplink = g_strcmp0(direction, "downlink") != 0;
    const struct offer_media *media =
        mid && leg->negotiated ? offer_template_media(leg->negotiated, mid) : NULL;
    if (!media || !leg->session->gates_asked)
        return;
    if (strcmp(event, "qosReport") == 0) {
        quality_measured(leg->quality, mid, details);
        quality_soon(leg->quality, tell_measured, wsf, leg);
    } else if (strcmp(event, "mediaGated") == 0)
        gated(wsf, leg, media, uplink);
    else
        policed(wsf, leg, media, uplink, details);
}

/* --- another table -------------------------------------------------------------------------------
 */

void quality_count_refusal(const char *outcome)
{
    static struct metric *refusals;
    if (!refusals)
        refusals = metric_register(METRIC_COUNTER, "policy_unheld", NULL,
                                   "Policies that a media centre could not hold, by what became of "
                                   "the call's: held elsewhere, gone on without, refused.",
                                   "outcome");
    metric_add(refusals, 1, (const char *const[]){outcome});
}

static void on_reapplied(struct media_step *step)
{
    if (!step->session || !step->error)
        return;
    struct log_ids ids = session_ids(step->session);
    ids.termination = step->leg->termination_id;
    log_warning(&ids, "the new policy does not hold for the media of %s: %s; the former stands",
                identity_log(step->leg->webrtc_id), step->error->message);
}

/* True when the leg is asked for another policy than the one in force. */
static bool follow(struct wsf *wsf, struct leg *leg)
{
    if (!leg->termination_id) /* a room's side */
        return false;
    json_t *policy = media_policy(wsf, leg);
    if (json_equal(policy, quality_policy(leg->quality))) {
        json_decref(policy);
        return false;
    }
    media_set(media_step_new(wsf, leg, on_reapplied), NULL, policy);
    return true;
}

guint quality_follow(struct wsf *wsf, const char *wmcf)
{
    g_autoptr(GPtrArray) sessions = session_table_all(wsf->sessions);
    guint changed = 0;
    for (guint i = 0; i < sessions->len; i++) {
        const struct session *session = g_ptr_array_index(sessions, i);
        if (session->phase == CALL_ENDED || !session->gates_asked || !session->wmcf ||
            (wmcf && strcmp(session->wmcf, wmcf) != 0))
            continue;
        if (!wmcf) /* a new table: what could not be held is tried again */
            session->caller->without_policy = session->winner->without_policy = false;
        bool caller = follow(wsf, session->caller), winner = follow(wsf, session->winner);
        changed += caller || winner;
    }
    return changed;
}
