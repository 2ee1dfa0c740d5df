/* SPDX-License-Identifier: Apache-2.0 */
/* Calls to and from JSON. As with endpoints, all of a record is checked before anything is made,
 * unknown members are ignored, and missing ones have the value that they had before they were
 * invented. Descriptions are not kept: an offer that was outstanding is made anew and never said
 * again, so that it was outstanding is all that must be known. */
#include "wsf/session-record.h"

#include "base/ids.h"
#include "base/problem.h"
#include "wsf-link/json-read.h"
#include "wsf/call.h"
#include "wsf/room.h"
#include "wsf/template-record.h"

#include <string.h>

#define VERSION 1
#define LEGS_MAX 65 /* the caller, and [call] forks_max at its greatest */

static const char *const need_names[] = {[LEG_NEEDS_NOTHING] = "nothing",
                                         [LEG_NEEDS_OFFER] = "offer",
                                         [LEG_NEEDS_RESTART] = "restart",
                                         NULL};
static const char *const offer_names[] = {
    [OFFER_NONE] = "none", [OFFER_OURS] = "ours", [OFFER_PEERS] = "peers", NULL};

/* --- writing -------------------------------------------------------------------------------------
 */

static void set_text(json_t *record, const char *name, const char *text)
{
    if (text)
        json_object_set_new(record, name, json_string(text));
}

static void set_flag(json_t *record, const char *name, bool flag)
{
    if (flag)
        json_object_set_new(record, name, json_true());
}

static void set_template(json_t *record, const char *name, const struct offer_template *offer)
{
    if (offer)
        json_object_set_new(record, name, template_record_write(offer));
}

/* A monotonic time as ms since 1970; 0, not set, is left out. */
static void set_time(json_t *record, const char *name, gint64 time,
                     const struct record_clock *clock)
{
    if (time)
        json_object_set_new(record, name, json_integer((clock->wall + time - clock->now) / 1000));
}

static json_t *write_end(const struct leg *leg)
{
    json_t *end = json_pack("{s:s}", "cause", disc_cause_name(leg->end_cause));
    if (leg->end_error) {
        set_text(end, "problem", problem_cause(problem_code(leg->end_error)));
        set_text(end, "detail", leg->end_error->message);
    }
    return end;
}

static json_t *write_leg(const struct leg *leg, const struct session_record_names *names)
{
    json_t *record = json_pack("{s:s, s:s, s:s}", "mediaSessionId", leg->media_session_id,
                               "webrtcId", leg->webrtc_id, "state", session_state_name(leg->state));
    const struct endpoint *endpoint = registrar_endpoint(names->registrar, leg->endpoint);
    if (endpoint)
        json_object_set_new(record, "instanceId", json_string(endpoint->instance_id));
    if (!leg_is_live(leg)) {
        json_object_set_new(record, "end", write_end(leg));
        return record;
    }
    /* A change in progress is lost with the process: the record has what was before. */
    const struct leg_former former = call_update_former(leg);
    set_text(record, "asserted", leg->asserted);
    set_text(record, "authority", leg->authority);
    set_text(record, "media", leg->media ? leg->media->name : NULL);
    set_text(record, "resource", leg->resource);
    set_flag(record, "acknowledged", leg->acknowledged);
    set_text(record, "offer", offer_names[leg->offer]);
    set_flag(record, "answered", leg->our_answer != NULL);
    json_object_set_new(record, "offerNumber", json_integer(leg->offer_number));
    set_text(record, "terminationId", leg->termination_id);
    set_template(record, "told", former.told);
    set_template(record, "negotiated", former.negotiated);
    json_object_set_new(record, "need", json_string(need_names[former.need]));
    set_flag(record, "unheard", former.unheard);
    set_flag(record, "settled", leg->settled);
    set_flag(record, "iceConnected", leg->ice_connected);
    json_object_set_new(record, "dtlsConnected", json_boolean(leg->dtls_connected));
    if (quality_policy(leg->quality))
        json_object_set(record, "mediaPolicy", (json_t *)quality_policy(leg->quality));
    set_flag(record, "gateOpen", leg->gate_open);
    return record;
}

char *session_record_write(const struct session *session, const struct session_record_names *names,
                           const struct record_clock *clock)
{
    if (session->phase == CALL_ENDED)
        return NULL;
    json_t *legs = json_array();
    for (guint i = 0; i <= session->branches->len; i++)
        json_array_append_new(legs, write_leg(session_leg(session, i), names));
    json_auto_t *record = json_pack("{s:i, s:s, s:s, s:s, s:i, s:o}", "version", VERSION, "phase",
                                    call_phase_name(session->phase), "called", session->called,
                                    "policy", policy_row_name(names->policy, session->policy),
                                    "hopLimit", (int)session->hop_limit, "legs", legs);
    set_text(record, "subject", session->subject);
    set_text(record, "assertedCaller", session->asserted_caller);
    set_text(record, "callerAuthority", session->caller_authority);
    set_text(record, "preferredCaller", session->preferred_caller);
    set_template(record, "wanted", session->wanted);
    set_text(record, "wmcf", session->wmcf);
    set_text(record, "contextId", session->context_id);
    set_text(record, "participantId", session->participant_id);
    set_flag(record, "gatesAsked", session->gates_asked);
    if (session->user_data)
        json_object_set(record, "userData", session->user_data);
    if (session->winner)
        json_object_set_new(record, "winner", json_integer(session->winner->index));
    set_time(record, "noAnswerAt", session->no_answer_deadline, clock);
    set_time(record, "createdAt", session->created_at, clock);
    set_time(record, "answeredAt", session->answered_at, clock);
    set_time(record, "activeAt", session->active_at, clock);
    return json_dumps(record, JSON_COMPACT);
}

/* --- reading: what a record says, checked --------------------------------------------------------
 */

struct leg_draft {
    const char *media_session_id, *webrtc_id, *instance_id, *resource, *termination_id;
    const char *asserted, *authority;
    const struct leg_media *media;
    int state, offer, need;
    gint64 offer_number;
    bool acknowledged, answered, ice_connected, dtls_connected, gate_open, settled, unheard;
    const json_t *policy;
    struct offer_template *told, *negotiated;
    int end_cause;
    const char *end_problem, *end_detail;
};

struct draft {
    const char *called, *subject, *asserted, *authority, *preferred, *wmcf, *context_id, *policy;
    const char *participant_id;
    int phase;
    gint64 winner, hop_limit;
    gint64 no_answer, created, answered, active; /* ms since 1970, 0 = not set */
    bool gates_asked;
    const json_t *user_data;
    struct offer_template *wanted;
    struct leg_draft legs[LEGS_MAX];
    size_t n_legs;
};

static void draft_free(struct draft **owned)
{
    struct draft *draft = *owned;
    for (size_t i = 0; i < draft->n_legs; i++) {
        offer_template_free(draft->legs[i].told);
        offer_template_free(draft->legs[i].negotiated);
    }
    offer_template_free(draft->wanted);
    g_free(draft);
}
#define draft_auto __attribute__((cleanup(draft_free))) struct draft

static bool refuse(GError **error, const char *what)
{
    problem_set(error, PROBLEM_INVALID_MESSAGE, "%s", what);
    return false;
}

static bool read_template(const json_t *record, const char *name, struct offer_template **ret,
                          GError **error)
{
    const json_t *template = NULL;
    if (!json_read_object(record, "", name, JSON_OPTIONAL, &template, error))
        return false;
    if (template)
        *ret = template_record_read(template, error);
    return !template || *ret;
}

static bool read_time(const json_t *record, const char *name, gint64 *ret, GError **error)
{
    return json_read_integer(record, "", name, JSON_OPTIONAL, 1, G_MAXINT64 / 2000, ret, error);
}

static bool read_way(const json_t *item, struct leg_draft *leg, GError **error)
{
    const char *name = NULL;
    if (!json_read_string(item, "/legs", "media", JSON_REQUIRED, 64, &name, error))
        return false;
    leg->media = leg_media_by_name(name);
    return leg->media || refuse(error, "media of a leg are made in a way that is not known");
}

static bool read_end(const json_t *item, struct leg_draft *leg, GError **error)
{
    const json_t *end = NULL;
    return json_read_object(item, "/legs", "end", JSON_REQUIRED, &end, error) &&
           json_read_choice(end, "/legs/end", "cause", JSON_REQUIRED, disc_cause_names,
                            &leg->end_cause, error) &&
           json_read_string(end, "/legs/end", "problem", JSON_OPTIONAL, 64, &leg->end_problem,
                            error) &&
           json_read_string(end, "/legs/end", "detail", JSON_OPTIONAL, 4096, &leg->end_detail,
                            error);
}

static bool read_leg(const json_t *item, struct leg_draft *leg, GError **error)
{
    const char *state = NULL;
    enum session_state parsed;
    if (!json_read_string(item, "/legs", "mediaSessionId", JSON_REQUIRED, 64,
                          &leg->media_session_id, error) ||
        !json_read_string(item, "/legs", "webrtcId", JSON_REQUIRED, 320, &leg->webrtc_id, error) ||
        !json_read_string(item, "/legs", "instanceId", JSON_OPTIONAL, 64, &leg->instance_id,
                          error) ||
        !json_read_string(item, "/legs", "state", JSON_REQUIRED, 32, &state, error))
        return false;
    if (!id_is_uuid(leg->media_session_id) || !session_state_parse(state, &parsed))
        return refuse(error, "a leg's id or state is none");
    leg->state = parsed;
    if (leg->state == SESSION_TERMINATED)
        return read_end(item, leg, error);
    leg->dtls_connected = json_object_get(item, "iceConnected") != NULL; /* before it was said */
    return read_way(item, leg, error) &&
           json_read_boolean(item, "/legs", "dtlsConnected", JSON_OPTIONAL, &leg->dtls_connected,
                             error) &&
           json_read_array(item, "/legs", "mediaPolicy", JSON_OPTIONAL, 2 * OFFER_MAX_MEDIAS,
                           &leg->policy, error) &&
           json_read_string(item, "/legs", "asserted", JSON_OPTIONAL, 320, &leg->asserted, error) &&
           json_read_string(item, "/legs", "authority", JSON_OPTIONAL, 320, &leg->authority,
                            error) &&
           json_read_string(item, "/legs", "resource", JSON_OPTIONAL, 320, &leg->resource, error) &&
           json_read_boolean(item, "/legs", "acknowledged", JSON_OPTIONAL, &leg->acknowledged,
                             error) &&
           json_read_choice(item, "/legs", "offer", JSON_REQUIRED, offer_names, &leg->offer,
                            error) &&
           json_read_boolean(item, "/legs", "answered", JSON_OPTIONAL, &leg->answered, error) &&
           json_read_integer(item, "/legs", "offerNumber", JSON_REQUIRED, 0, G_MAXINT32,
                             &leg->offer_number, error) &&
           json_read_string(item, "/legs", "terminationId", JSON_OPTIONAL, 64, &leg->termination_id,
                            error) &&
           json_read_choice(item, "/legs", "need", JSON_OPTIONAL, need_names, &leg->need, error) &&
           json_read_boolean(item, "/legs", "unheard", JSON_OPTIONAL, &leg->unheard, error) &&
           json_read_boolean(item, "/legs", "settled", JSON_OPTIONAL, &leg->settled, error) &&
           read_template(item, "told", &leg->told, error) &&
           read_template(item, "negotiated", &leg->negotiated, error) &&
           json_read_boolean(item, "/legs", "iceConnected", JSON_OPTIONAL, &leg->ice_connected,
                             error) &&
           json_read_boolean(item, "/legs", "gateOpen", JSON_OPTIONAL, &leg->gate_open, error);
}

static bool read_legs(const json_t *record, struct draft *draft, GError **error)
{
    const json_t *legs = NULL;
    if (!json_read_array(record, "", "legs", JSON_REQUIRED, LEGS_MAX, &legs, error))
        return false;
    for (size_t i = 0; i < json_array_size(legs); i++) {
        draft->n_legs = i + 1;
        if (!read_leg(json_array_get(legs, i), &draft->legs[i], error))
            return false;
    }
    return draft->n_legs >= 2 || refuse(error, "a call has two legs at least");
}

static bool read_phase(const json_t *record, struct draft *draft, GError **error)
{
    const char *phase = NULL;
    if (!json_read_string(record, "", "phase", JSON_REQUIRED, 32, &phase, error))
        return false;
    for (guint i = 0; i < CALL_ENDED; i++)
        if (strcmp(phase, call_phase_name(i)) == 0) {
            draft->phase = i;
            return true;
        }
    return refuse(error, "phase is none of a call that lives");
}

/* What the code relies on: a winner where there must be one, and what both sides have agreed on. */
static bool check_whole(const struct draft *draft, GError **error)
{
    if (draft->winner < 0 || draft->winner >= (gint64)draft->n_legs)
        return refuse(error, "winner is not the number of a leg");
    const struct leg_draft *caller = &draft->legs[0], *winner = &draft->legs[draft->winner];
    bool settled = draft->phase >= CALL_CONNECTING;
    if (settled && (draft->winner == 0 || !winner->negotiated))
        return refuse(error, "an answered call needs a winner with what it has answered");
    if (settled && (caller->state == SESSION_TERMINATED || winner->state == SESSION_TERMINATED))
        return refuse(error, "a leg of an answered call has ended");
    if ((caller->state == SESSION_ESTABLISHED || caller->state == SESSION_MODIFYING) &&
        !caller->negotiated)
        return refuse(error, "an established leg needs what was negotiated");
    if (draft->context_id && !draft->wmcf)
        return refuse(error, "a context needs its media centre");
    return draft->wanted || refuse(error, "wanted is missing");
}

static bool read_draft(const json_t *record, struct draft *draft, GError **error)
{
    gint64 version = 0;
    draft->user_data = json_object_get(record, "userData");
    return json_read_integer(record, "", "version", JSON_REQUIRED, 1, VERSION, &version, error) &&
           read_phase(record, draft, error) &&
           json_read_string(record, "", "called", JSON_REQUIRED, 320, &draft->called, error) &&
           json_read_string(record, "", "subject", JSON_OPTIONAL, 320, &draft->subject, error) &&
           json_read_string(record, "", "assertedCaller", JSON_OPTIONAL, 320, &draft->asserted,
                            error) &&
           json_read_string(record, "", "callerAuthority", JSON_OPTIONAL, 320, &draft->authority,
                            error) &&
           json_read_string(record, "", "preferredCaller", JSON_OPTIONAL, 320, &draft->preferred,
                            error) &&
           json_read_string(record, "", "policy", JSON_OPTIONAL, 256, &draft->policy, error) &&
           json_read_string(record, "", "wmcf", JSON_OPTIONAL, 256, &draft->wmcf, error) &&
           json_read_string(record, "", "contextId", JSON_OPTIONAL, 64, &draft->context_id,
                            error) &&
           json_read_string(record, "", "participantId", JSON_OPTIONAL, 64, &draft->participant_id,
                            error) &&
           json_read_integer(record, "", "hopLimit", JSON_OPTIONAL, 0, 255, &draft->hop_limit,
                             error) &&
           json_read_integer(record, "", "winner", JSON_OPTIONAL, 1, LEGS_MAX, &draft->winner,
                             error) &&
           json_read_boolean(record, "", "gatesAsked", JSON_OPTIONAL, &draft->gates_asked, error) &&
           read_time(record, "noAnswerAt", &draft->no_answer, error) &&
           read_time(record, "createdAt", &draft->created, error) &&
           read_time(record, "answeredAt", &draft->answered, error) &&
           read_time(record, "activeAt", &draft->active, error) &&
           read_template(record, "wanted", &draft->wanted, error) &&
           read_legs(record, draft, error) && check_whole(draft, error);
}

/* --- reading: what is made of it -----------------------------------------------------------------
 */

static gint64 monotonic(gint64 ms, const struct record_clock *clock)
{
    gint64 time = clock->now + ms * 1000 - clock->wall; /* negative: before the machine's start */
    return !ms ? 0 : time ? time : 1;
}

static guint64 endpoint_number(const struct leg_draft *leg,
                               const struct session_record_names *names)
{
    if (leg->resource)
        return 0;
    const struct endpoint *endpoint =
        leg->instance_id ? registrar_find(names->registrar, leg->webrtc_id, leg->instance_id)
                         : NULL;
    return endpoint ? endpoint->number : SESSION_NO_ENDPOINT;
}

static void fill_leg(struct leg *leg, struct leg_draft *draft)
{
    leg->state = draft->state;
    leg->media = draft->media;
    leg->resource = g_strdup(draft->resource);
    leg->asserted = g_strdup(draft->asserted);
    leg->authority = g_strdup(draft->authority);
    leg->acknowledged = draft->acknowledged;
    leg->offer = draft->offer;
    leg->offer_number = (guint)draft->offer_number;
    /* That there was one counts; it is never sent again. */
    leg->our_answer = draft->answered ? g_strdup("") : NULL;
    leg->termination_id = g_strdup(draft->termination_id);
    leg->need = draft->told ? draft->need : LEG_NEEDS_NOTHING;
    leg->unheard = draft->unheard;
    leg->settled = draft->settled;
    leg->told = g_steal_pointer(&draft->told);
    leg->negotiated = g_steal_pointer(&draft->negotiated);
    leg->ice_connected = draft->ice_connected;
    leg->dtls_connected = draft->dtls_connected;
    if (draft->policy)
        quality_set_policy(leg->quality, json_deep_copy(draft->policy));
    leg->gate_open = draft->gate_open;
    leg->end_cause = draft->end_cause;
    if (draft->end_problem) {
        int code = problem_from_cause(draft->end_problem);
        problem_set(&leg->end_error, code >= 0 ? code : PROBLEM_INTERNAL_ERROR, "%s",
                    draft->end_detail ? draft->end_detail : "");
    }
}

static void fill(struct session_table *table, struct session *session, struct draft *draft,
                 const struct session_record_names *names, const struct record_clock *clock)
{
    session->phase = draft->phase;
    if (draft->subject)
        session_set_subject(table, session, draft->subject);
    session->asserted_caller = g_strdup(draft->asserted);
    session->caller_authority = g_strdup(draft->authority);
    session->preferred_caller = g_strdup(draft->preferred);
    session->hop_limit = (guint)draft->hop_limit;
    session->user_data = draft->user_data ? json_deep_copy(draft->user_data) : NULL;
    session->wanted = g_steal_pointer(&draft->wanted);
    session->wmcf = g_strdup(draft->wmcf);
    session->participant_id = g_strdup(draft->participant_id);
    session->policy = policy_row_by_name(names->policy, draft->policy);
    session->gates_asked = draft->gates_asked;
    if (draft->context_id)
        session_set_context(table, session, draft->context_id);
    session->no_answer_deadline = monotonic(draft->no_answer, clock);
    session->created_at = monotonic(draft->created, clock);
    session->answered_at = monotonic(draft->answered, clock);
    session->active_at = monotonic(draft->active, clock);
    session->created_wall = draft->created * 1000;
    fill_leg(session->caller, &draft->legs[0]);
    for (size_t i = 1; i < draft->n_legs; i++) {
        struct leg_draft *leg = &draft->legs[i];
        fill_leg(session_restore_branch(table, session, leg->media_session_id, leg->webrtc_id,
                                        endpoint_number(leg, names)),
                 leg);
    }
    session->winner = draft->winner ? session_leg(session, (guint)draft->winner) : NULL;
}

/* Ids that are taken would hide another call. */
static bool check_ids(const struct session_table *table, const struct draft *draft, GError **error)
{
    for (size_t i = 0; i < draft->n_legs; i++) {
        if (session_table_leg(table, draft->legs[i].media_session_id))
            return refuse(error, "another call has a mediaSessionId of this one");
        for (size_t j = 0; j < i; j++)
            if (strcmp(draft->legs[i].media_session_id, draft->legs[j].media_session_id) == 0)
                return refuse(error, "two legs have one mediaSessionId");
    }
    const struct session *other =
        draft->context_id ? session_table_context(table, draft->wmcf, draft->context_id) : NULL;
    bool same_room = other && draft->participant_id && other->participant_id &&
                     strcmp(other->called, draft->called) == 0;
    if (other && !same_room)
        return refuse(error, "another call has the context of this one");
    return true;
}

struct session *session_record_read(struct session_table *table, const char *text,
                                    const struct session_record_names *names,
                                    const struct record_clock *clock, GError **error)
{
    json_error_t why;
    draft_auto *draft = g_new0(struct draft, 1);
    json_auto_t *record = json_loads(text, JSON_REJECT_DUPLICATES, &why);
    if (!json_is_object(record)) {
        problem_set(error, PROBLEM_INVALID_MESSAGE, "the record is no JSON object: %s",
                    record ? "another type" : why.text);
        return NULL;
    }
    if (!read_draft(record, draft, error) || !check_ids(table, draft, error))
        return NULL;
    const struct leg_draft *caller = &draft->legs[0];
    struct session *session =
        session_new(table, caller->media_session_id, caller->webrtc_id,
                    endpoint_number(caller, names), draft->called, clock->now);
    fill(table, session, draft, names, clock);
    return session;
}
