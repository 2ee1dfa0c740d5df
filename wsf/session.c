/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions, their legs and the tables that find them. Two machines: the state of each leg is what
 * its endpoint sees on the wire, the phase is where the call as a whole stands. Each has one table
 * of transitions and one setter, and the picture in the manual is printed from the same tables. */
#include "wsf/session.h"

#include "base/ids.h"

#include <string.h>

struct session_table {
    guint sessions_max, per_identity;
    const struct session_ops *ops;
    void *user;
    GHashTable *sessions;   /* id → struct session, owned */
    GHashTable *legs;       /* mediaSessionId → struct leg */
    GHashTable *contexts;   /* "wmcf\ncontextId" → GPtrArray of struct session */
    GHashTable *endpoints;  /* endpoint number → GPtrArray of struct leg */
    GHashTable *identities; /* webrtcId → count of sessions */
};

/* --- states --------------------------------------------------------------------------------------
 */

static const char *const state_names[SESSION_STATE_COUNT] = {
    [SESSION_INITIATING] = "initiating", [SESSION_PROCEEDING] = "proceeding",
    [SESSION_ALERTING] = "alerting",     [SESSION_ESTABLISHED] = "established",
    [SESSION_MODIFYING] = "modifying",   [SESSION_TERMINATED] = "terminated",
};

#define TO(state) (1u << (state))
static const guint state_followers[SESSION_STATE_COUNT] = {
    [SESSION_INITIATING] = TO(SESSION_PROCEEDING) | TO(SESSION_ALERTING) | TO(SESSION_TERMINATED),
    [SESSION_PROCEEDING] = TO(SESSION_ALERTING) | TO(SESSION_ESTABLISHED) | TO(SESSION_TERMINATED),
    [SESSION_ALERTING] = TO(SESSION_ESTABLISHED) | TO(SESSION_TERMINATED),
    [SESSION_ESTABLISHED] = TO(SESSION_MODIFYING) | TO(SESSION_TERMINATED),
    [SESSION_MODIFYING] = TO(SESSION_ESTABLISHED) | TO(SESSION_TERMINATED),
    [SESSION_TERMINATED] = 0,
};

static const char *const phase_names[CALL_PHASE_COUNT] = {
    [CALL_PREPARING] = "preparing",   [CALL_RINGING] = "ringing", [CALL_ANSWERED] = "answered",
    [CALL_CONNECTING] = "connecting", [CALL_ACTIVE] = "active",   [CALL_ENDED] = "ended",
};

static const guint phase_followers[CALL_PHASE_COUNT] = {
    [CALL_PREPARING] = TO(CALL_RINGING) | TO(CALL_ENDED),
    [CALL_RINGING] = TO(CALL_ANSWERED) | TO(CALL_ENDED),
    [CALL_ANSWERED] = TO(CALL_RINGING) | TO(CALL_CONNECTING) | TO(CALL_ENDED),
    [CALL_CONNECTING] = TO(CALL_ACTIVE) | TO(CALL_ENDED),
    [CALL_ACTIVE] = TO(CALL_ENDED),
    [CALL_ENDED] = 0,
};

const char *const disc_cause_names[] = {
#define DISC_CAUSE(name) #name,
    DISC_CAUSES(DISC_CAUSE)
#undef DISC_CAUSE
        NULL};

const char *session_state_name(enum session_state state)
{
    return state < SESSION_STATE_COUNT ? state_names[state] : "?";
}

bool session_state_parse(const char *text, enum session_state *ret)
{
    for (guint i = 0; i < SESSION_STATE_COUNT; i++)
        if (strcmp(text, state_names[i]) == 0) {
            *ret = i;
            return true;
        }
    return false;
}

bool session_state_may_follow(enum session_state from, enum session_state to)
{
    return state_followers[from] & TO(to);
}

const char *call_phase_name(enum call_phase phase)
{
    return phase < CALL_PHASE_COUNT ? phase_names[phase] : "?";
}

bool call_phase_may_follow(enum call_phase from, enum call_phase to)
{
    return phase_followers[from] & TO(to);
}

const char *disc_cause_name(enum disc_cause cause)
{
    return cause < DISC_CAUSE_COUNT ? disc_cause_names[cause] : "?";
}

static void print_machine(GString *out, const char *name, const char *const *names,
                          const guint *followers, guint n)
{
    g_string_append_printf(out, "  subgraph cluster_%s {\n    label=\"%s\";\n", name, name);
    for (guint from = 0; from < n; from++) {
        g_string_append_printf(out, "    %s_%s [label=\"%s\"];\n", name, names[from], names[from]);
        for (guint to = 0; to < n; to++)
            if (followers[from] & TO(to))
                g_string_append_printf(out, "    %s_%s -> %s_%s;\n", name, names[from], name,
                                       names[to]);
    }
    g_string_append(out, "  }\n");
}

char *session_print_fsm(void)
{
    GString *out = g_string_new("digraph session {\n");
    print_machine(out, "leg", state_names, state_followers, SESSION_STATE_COUNT);
    print_machine(out, "call", phase_names, phase_followers, CALL_PHASE_COUNT);
    g_string_append(out, "}\n");
    return g_string_free(out, FALSE);
}

void session_changed(const struct session *session)
{
    const struct session_table *table = session->table;
    if (table->ops->changed)
        table->ops->changed(session, table->user);
}

void leg_set_state(struct session_table *table, struct leg *leg, enum session_state state,
                   const char *reason)
{
    if (leg->state == state)
        return;
    g_assert(session_state_may_follow(leg->state, state));
    enum session_state from = leg->state;
    leg->state = state;
    table->ops->leg_changed(leg, from, reason, table->user);
    session_changed(leg->session);
}

void session_set_phase(struct session_table *table, struct session *session, enum call_phase phase,
                       const char *reason)
{
    if (session->phase == phase)
        return;
    g_assert(call_phase_may_follow(session->phase, phase));
    enum call_phase from = session->phase;
    session->phase = phase;
    table->ops->phase_changed(session, from, reason, table->user);
    session_changed(session);
}

/* --- objects -------------------------------------------------------------------------------------
 */

static void leg_free(struct leg *leg)
{
    if (!leg)
        return;
    g_free(leg->media_session_id);
    g_free(leg->webrtc_id);
    g_free(leg->asserted);
    g_free(leg->authority);
    g_free(leg->offer_sdp);
    g_free(leg->called);
    g_free(leg->peer_offer);
    g_free(leg->peer_offer_id);
    g_free(leg->our_answer);
    g_free(leg->last_answer);
    json_decref(leg->held_candidates);
    json_decref(leg->room_news);
    g_free(leg->resource);
    g_free(leg->termination_id);
    offer_template_free(leg->told);
    offer_template_free(leg->negotiated);
    quality_free(leg->quality);
    g_clear_error(&leg->end_error);
    g_free(leg);
}

static void session_destroy(struct session *session)
{
    if (!session)
        return;
    leg_free(session->caller);
    g_ptr_array_unref(session->branches);
    g_free(session->id);
    g_free(session->called);
    g_free(session->subject);
    g_free(session->asserted_caller);
    g_free(session->caller_authority);
    g_free(session->preferred_caller);
    g_free(session->pre_offer);
    json_decref(session->user_data);
    offer_template_free(session->wanted);
    g_free(session->wmcf);
    g_free(session->context_id);
    g_free(session->participant_id);
    g_free(session);
}

static void count_identity(struct session_table *table, const char *webrtc_id, int change)
{
    gpointer count = g_hash_table_lookup(table->identities, webrtc_id);
    int left = GPOINTER_TO_INT(count) + change;
    if (left > 0)
        g_hash_table_insert(table->identities, g_strdup(webrtc_id), GINT_TO_POINTER(left));
    else
        g_hash_table_remove(table->identities, webrtc_id);
}

static void index_leg(struct session_table *table, struct leg *leg)
{
    g_hash_table_insert(table->legs, leg->media_session_id, leg);
    if (!leg->endpoint)
        return; /* a local resource */
    GPtrArray *legs = g_hash_table_lookup(table->endpoints, &leg->endpoint);
    if (!legs) {
        legs = g_ptr_array_new();
        g_hash_table_insert(table->endpoints, g_memdup2(&leg->endpoint, sizeof leg->endpoint),
                            legs);
    }
    g_ptr_array_add(legs, leg);
}

static void forget_leg(struct session_table *table, struct leg *leg)
{
    g_hash_table_remove(table->legs, leg->media_session_id);
    if (!leg->endpoint)
        return;
    GPtrArray *legs = g_hash_table_lookup(table->endpoints, &leg->endpoint);
    g_ptr_array_remove(legs, leg);
    if (legs->len == 0)
        g_hash_table_remove(table->endpoints, &leg->endpoint);
}

static struct leg *leg_new(struct session *session, guint index, const char *media_session_id,
                           const char *webrtc_id, guint64 endpoint)
{
    static guint serials;
    struct leg *leg = g_new0(struct leg, 1);
    leg->serial = ++serials;
    leg->session = session;
    leg->index = index;
    leg->media_session_id = media_session_id ? g_strdup(media_session_id) : id_uuid();
    leg->webrtc_id = g_strdup(webrtc_id);
    leg->endpoint = endpoint;
    leg->quality = quality_new();
    return leg;
}

struct session *session_new(struct session_table *table, const char *media_session_id,
                            const char *caller, guint64 endpoint, const char *called, gint64 now)
{
    struct session *session = g_new0(struct session, 1);
    session->table = table;
    session->id = g_strdup(media_session_id);
    session->called = g_strdup(called);
    session->branches = g_ptr_array_new_with_free_func((GDestroyNotify)leg_free);
    session->caller = leg_new(session, 0, media_session_id, caller, endpoint);
    session->caller->caller = true;
    session->caller->acknowledged = true;
    session->created_at = now;
    session->created_wall = g_get_real_time();
    g_hash_table_insert(table->sessions, session->id, session);
    index_leg(table, session->caller);
    session->subject = g_strdup(caller);
    count_identity(table, caller, 1);
    if (strcmp(caller, called) != 0)
        count_identity(table, called, 1);
    session_changed(session);
    return session;
}

void session_set_called(struct session_table *table, struct session *session, const char *called)
{
    bool own = strcmp(session->subject, session->called) == 0;
    count_identity(table, session->called, own ? 0 : -1);
    g_free(session->called);
    session->called = g_strdup(called);
    own = strcmp(session->subject, session->called) == 0;
    count_identity(table, session->called, own ? 0 : 1);
    session_changed(session);
}

void session_set_subject(struct session_table *table, struct session *session, const char *subject)
{
    bool own = strcmp(session->subject, session->called) == 0;
    count_identity(table, session->subject, own ? 0 : -1);
    g_free(session->subject);
    session->subject = g_strdup(subject);
    own = strcmp(session->subject, session->called) == 0;
    count_identity(table, session->subject, own ? 0 : 1);
}

struct leg *session_add_branch(struct session_table *table, struct session *session,
                               const char *webrtc_id, guint64 endpoint)
{
    struct leg *leg = session_restore_branch(table, session, NULL, webrtc_id, endpoint);
    session_changed(session);
    return leg;
}

struct leg *session_reuse_branch(struct session_table *table, struct session *session,
                                 const char *webrtc_id, guint64 endpoint)
{
    for (guint i = 0; i < session->branches->len; i++) {
        struct leg *former = g_ptr_array_index(session->branches, i);
        if (leg_is_live(former) || former == session->winner)
            continue;
        struct leg *leg = leg_new(session, former->index, NULL, webrtc_id, endpoint);
        forget_leg(table, former);
        leg_free(former);
        session->branches->pdata[i] = leg;
        index_leg(table, leg);
        session_changed(session);
        return leg;
    }
    return session_add_branch(table, session, webrtc_id, endpoint);
}

struct leg *session_restore_branch(struct session_table *table, struct session *session,
                                   const char *media_session_id, const char *webrtc_id,
                                   guint64 endpoint)
{
    struct leg *leg =
        leg_new(session, session->branches->len + 1, media_session_id, webrtc_id, endpoint);
    g_ptr_array_add(session->branches, leg);
    index_leg(table, leg);
    return leg;
}

void leg_renew_id(struct session_table *table, struct leg *leg)
{
    g_assert(!leg->caller);
    g_hash_table_remove(table->legs, leg->media_session_id);
    g_free(leg->media_session_id);
    leg->media_session_id = id_uuid();
    g_hash_table_insert(table->legs, leg->media_session_id, leg);
    session_changed(leg->session);
}

static char *context_key(const char *wmcf, const char *context_id)
{
    return g_strconcat(wmcf, "\n", context_id, NULL);
}

void session_set_context(struct session_table *table, struct session *session,
                         const char *context_id)
{
    g_assert(!session->context_id);
    session->context_id = g_strdup(context_id);
    g_autofree char *key = context_key(session->wmcf, context_id);
    GPtrArray *sessions = g_hash_table_lookup(table->contexts, key);
    if (!sessions) {
        sessions = g_ptr_array_new();
        g_hash_table_insert(table->contexts, g_steal_pointer(&key), sessions);
    }
    g_ptr_array_add(sessions, session);
    session_changed(session);
}

static void forget_context(struct session_table *table, struct session *session)
{
    g_autofree char *key = context_key(session->wmcf, session->context_id);
    GPtrArray *sessions = g_hash_table_lookup(table->contexts, key);
    g_ptr_array_remove(sessions, session);
    if (sessions->len == 0)
        g_hash_table_remove(table->contexts, key);
}

void session_free(struct session_table *table, struct session *session)
{
    if (!session)
        return;
    forget_leg(table, session->caller);
    for (guint i = 0; i < session->branches->len; i++)
        forget_leg(table, g_ptr_array_index(session->branches, i));
    if (session->context_id)
        forget_context(table, session);
    count_identity(table, session->subject, -1);
    if (strcmp(session->subject, session->called) != 0)
        count_identity(table, session->called, -1);
    g_hash_table_remove(table->sessions, session->id);
}

/* --- table ---------------------------------------------------------------------------------------
 */

struct session_table *session_table_new(guint sessions_max, guint per_identity,
                                        const struct session_ops *ops, void *user)
{
    struct session_table *table = g_new0(struct session_table, 1);
    table->sessions_max = sessions_max;
    table->per_identity = per_identity;
    table->ops = ops;
    table->user = user;
    table->sessions =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)session_destroy);
    table->legs = g_hash_table_new(g_str_hash, g_str_equal);
    table->contexts =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_ptr_array_unref);
    table->endpoints = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free,
                                             (GDestroyNotify)g_ptr_array_unref);
    table->identities = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return table;
}

void session_table_free(struct session_table *table)
{
    if (!table)
        return;
    g_hash_table_unref(table->legs);
    g_hash_table_unref(table->contexts);
    g_hash_table_unref(table->endpoints);
    g_hash_table_unref(table->identities);
    g_hash_table_unref(table->sessions);
    g_free(table);
}

guint session_table_count(const struct session_table *table)
{
    return g_hash_table_size(table->sessions);
}

guint session_table_count_identity(const struct session_table *table, const char *webrtc_id)
{
    return GPOINTER_TO_INT(g_hash_table_lookup(table->identities, webrtc_id));
}

bool session_table_admit(const struct session_table *table, const struct session_limits *limits,
                         GError **error)
{
    guint of_caller = limits->per_caller ? limits->per_caller : table->per_identity;
    guint of_called = limits->per_called ? limits->per_called : table->per_identity;
    if (session_table_count(table) >= table->sessions_max) {
        problem_set_retry(error, PROBLEM_RESOURCES_UNAVAILABLE, 10,
                          "no more calls are possible here at the moment");
    } else if (limits->caller && session_table_count_identity(table, limits->caller) >= of_caller) {
        problem_set_retry(error, PROBLEM_RESOURCES_UNAVAILABLE, 10,
                          "you have %u calls, which is the limit; end one of them", of_caller);
    } else if (limits->called && session_table_count_identity(table, limits->called) >= of_called) {
        problem_set(error, PROBLEM_USER_BUSY, "the called user has too many calls already");
    } else {
        return true;
    }
    return false;
}

struct session *session_table_find(const struct session_table *table, const char *session_id)
{
    return g_hash_table_lookup(table->sessions, session_id);
}

struct leg *session_table_leg(const struct session_table *table, const char *media_session_id)
{
    return g_hash_table_lookup(table->legs, media_session_id);
}

struct session *session_table_context(const struct session_table *table, const char *wmcf,
                                      const char *context_id)
{
    g_autofree char *key = context_key(wmcf, context_id);
    const GPtrArray *sessions = g_hash_table_lookup(table->contexts, key);
    return sessions ? g_ptr_array_index(sessions, 0) : NULL;
}

GPtrArray *session_table_in_context(const struct session_table *table, const char *wmcf,
                                    const char *context_id)
{
    g_autofree char *key = context_key(wmcf, context_id);
    GPtrArray *sessions = g_hash_table_lookup(table->contexts, key);
    return sessions ? g_ptr_array_copy(sessions, NULL, NULL) : g_ptr_array_new();
}

GPtrArray *session_table_all(const struct session_table *table)
{
    GPtrArray *all = g_ptr_array_new();
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, table->sessions);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        g_ptr_array_add(all, value);
    return all;
}

GPtrArray *session_table_legs_of(const struct session_table *table, guint64 endpoint)
{
    const GPtrArray *legs = g_hash_table_lookup(table->endpoints, &endpoint);
    GPtrArray *copy = g_ptr_array_new();
    for (guint i = 0; legs && i < legs->len; i++)
        g_ptr_array_add(copy, g_ptr_array_index(legs, i));
    return copy;
}

/* --- rules ---------------------------------------------------------------------------------------
 */

struct leg *session_leg(const struct session *session, guint index)
{
    if (index == 0)
        return session->caller;
    return index <= session->branches->len ? g_ptr_array_index(session->branches, index - 1) : NULL;
}

struct leg *session_leg_of_termination(const struct session *session, const char *termination_id)
{
    for (guint i = 0; i <= session->branches->len; i++) {
        struct leg *leg = session_leg(session, i);
        if (g_strcmp0(leg->termination_id, termination_id) == 0)
            return leg;
    }
    return NULL;
}

struct leg *leg_far(const struct leg *leg)
{
    if (leg->caller)
        return leg->session->winner;
    return leg == leg->session->winner ? leg->session->caller : NULL;
}

bool leg_is_live(const struct leg *leg)
{
    return leg->state != SESSION_TERMINATED;
}

guint session_live_branches(const struct session *session)
{
    guint live = 0;
    for (guint i = 0; i < session->branches->len; i++)
        live += leg_is_live(g_ptr_array_index(session->branches, i));
    return live;
}

bool leg_is_established(const struct leg *leg)
{
    return leg->state == SESSION_ESTABLISHED || leg->state == SESSION_MODIFYING;
}

bool leg_is_connected(const struct leg *leg)
{
    return leg->ice_connected && leg->dtls_connected;
}

void leg_set_negotiated(struct leg *leg, struct offer_template *told,
                        struct offer_template *negotiated)
{
    if (told) {
        offer_template_free(leg->told);
        leg->told = told;
    }
    if (negotiated) {
        offer_template_free(leg->negotiated);
        leg->negotiated = negotiated;
    }
    session_changed(leg->session);
}

void leg_take_offer(struct leg *leg, const char *sdp, const char *offer_id)
{
    g_assert(leg->offer == OFFER_NONE);
    leg->offer = OFFER_PEERS;
    leg->peer_offer = g_strdup(sdp);
    leg->peer_offer_id = g_strdup(offer_id);
    session_changed(leg->session);
}

void leg_keep_our_answer(struct leg *leg, const char *sdp)
{
    g_free(leg->our_answer);
    leg->our_answer = g_strdup(sdp);
    session_changed(leg->session);
}

void leg_keep_last_answer(struct leg *leg, const char *sdp)
{
    g_free(leg->last_answer);
    leg->last_answer = g_strdup(sdp);
}

void leg_keep_room_news(struct leg *leg, const json_t *news)
{
    if (!leg->room_news)
        leg->room_news = json_object();
    json_object_update(leg->room_news, (json_t *)news);
}

bool leg_offer(struct leg *leg, const char *sdp, gint64 deadline, GError **error)
{
    if (leg->offer != OFFER_NONE) {
        problem_set_retry(error, PROBLEM_OFFER_GLARE, 1,
                          "an offer is outstanding on this media session");
        return false;
    }
    leg->offer = OFFER_OURS;
    leg->offer_number++;
    leg->withdrawn = 0;
    leg->offer_deadline = deadline;
    g_free(leg->offer_sdp);
    leg->offer_sdp = g_strdup(sdp);
    session_changed(leg->session);
    return true;
}

char *leg_offer_id(const struct leg *leg)
{
    return g_strdup_printf("%u", leg->offer_number);
}

bool leg_check_answer(const struct leg *leg, const char *offer_id, GError **error)
{
    if (leg->offer != OFFER_OURS || leg->answer_in_progress) {
        problem_set(error, PROBLEM_INVALID_STATE,
                    "no offer is outstanding on this media session, so there is nothing to answer");
        return false;
    }
    g_autofree char *ours = leg_offer_id(leg);
    if (offer_id && strcmp(offer_id, ours) != 0) {
        problem_set_param(error, PROBLEM_INVALID_STATE, "/offerId",
                          "the outstanding offer is %s, not this one", ours);
        return false;
    }
    return true;
}

void leg_offer_done(struct leg *leg)
{
    leg->offer = OFFER_NONE;
    leg->offer_deadline = 0;
    g_clear_pointer(&leg->offer_sdp, g_free);
    g_clear_pointer(&leg->peer_offer, g_free);
    g_clear_pointer(&leg->peer_offer_id, g_free);
    g_clear_pointer(&leg->our_answer, g_free);
    session_changed(leg->session);
}

const char *leg_offer_pending(const struct leg *leg)
{
    static const char *const names[] = {"none", "remote", "local"};
    /* An answer that has arrived is not void, whatever the endpoint saw of our response. */
    return names[leg->answer_in_progress ? OFFER_NONE : leg->offer];
}

static void consider(gint64 deadline, gint64 *next)
{
    if (deadline && (*next < 0 || deadline < *next))
        *next = deadline;
}

enum session_timeout session_due(const struct session *session, gint64 now, struct leg **ret_leg,
                                 gint64 *ret_next)
{
    *ret_next = -1;
    if (session->phase == CALL_ENDED)
        return SESSION_NO_TIMEOUT;
    if (session->no_answer_deadline && session->no_answer_deadline <= now)
        return SESSION_NO_ANSWER;
    if (session->connect_deadline && session->connect_deadline <= now)
        return SESSION_CONNECT;
    if (session->change_deadline && session->change_deadline <= now)
        return SESSION_CHANGE;
    if (session->retry_deadline && session->retry_deadline <= now)
        return SESSION_RETRY;
    for (guint i = 0; i <= session->branches->len; i++) {
        struct leg *leg = session_leg(session, i);
        if (!leg_is_live(leg))
            continue;
        *ret_leg = leg;
        if (leg->failure_deadline && leg->failure_deadline <= now)
            return SESSION_FAILURE;
        if (leg->offer_deadline && leg->offer_deadline <= now)
            return SESSION_OFFER;
        consider(leg->failure_deadline, ret_next);
        consider(leg->offer_deadline, ret_next);
    }
    consider(session->no_answer_deadline, ret_next);
    consider(session->connect_deadline, ret_next);
    consider(session->change_deadline, ret_next);
    consider(session->retry_deadline, ret_next);
    return SESSION_NO_TIMEOUT;
}
