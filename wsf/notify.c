/* SPDX-License-Identifier: Apache-2.0 */
/* What the media centres tell: events of terminations, lost links, contexts that are gone. An event
 * finds its session by media centre and context; what finds nothing is late and of no interest,
 * except a hanging termination, which nobody else would ever release. */
#define LOG_CATEGORY "notify"
#include "wsf/call-quality.h"
#include "wsf/call-transcode.h"
#include "wsf/call.h"
#include "wsf/room.h"

#include <string.h>

/* A page that is closed takes its media with it, and this event may overtake its last message: the
 * endpoint gets a moment to say itself why. */
#define FAILURE_GRACE G_USEC_PER_SEC

static void media_failed(struct wsf *wsf, struct leg *leg, const char *event, const char *detail,
                         const char *reason, bool path)
{
    struct log_ids ids = session_ids(leg->session);
    ids.termination = leg->termination_id;
    if (leg->failure)
        return;
    log_info(&ids, "%s on the leg of %s: %s (%s)", event, identity_log(leg->webrtc_id), detail,
             reason);
    leg->failure = detail;
    if (path && leg->settled && leg->ice_connected) {
        call_path_lost(wsf, leg);
        return;
    }
    leg->failure_deadline = loop_now() + FAILURE_GRACE;
    wsf_schedule_sessions(wsf);
}

static const struct {
    const char *event, *detail;
    bool path; /* found anew by ICE restart, when it has worked before */
} failures[] = {
    {"iceFailed", "no path between an endpoint and the media centre works", true},
    {"dtlsFailed", "the media encryption with an endpoint has ended or could not be set up"},
    {"consentExpired", "an endpoint's media path has gone silent", true},
    {"hangingTermination", "an endpoint never connected to the media centre"},
    {"resourceFailure", "the media centre has lost a resource of the call"},
};

void notify_event(struct wsf *wsf, struct leg *leg, const char *event, const json_t *details)
{
    struct log_ids ids = session_ids(leg->session);
    ids.termination = leg->termination_id;
    log_debug(&ids, "event %s", event);
    if (strcmp(event, "iceConnected") == 0) {
        bool news = !leg->ice_connected || leg->need == LEG_NEEDS_RESTART;
        leg->ice_connected = true;
        leg->failure = NULL;
        leg->failure_deadline = 0;
        if (leg->need == LEG_NEEDS_RESTART)
            leg->need = LEG_NEEDS_NOTHING;
        if (news)
            session_changed(leg->session);
        call_check_connected(wsf, leg->session);
        return;
    }
    if (strcmp(event, "dtlsConnected") == 0) {
        bool news = !leg->dtls_connected;
        leg->dtls_connected = true;
        if (news)
            session_changed(leg->session);
        call_check_connected(wsf, leg->session);
        return;
    }
    if (json_is_true(json_object_get(details, "bypassed"))) {
        const char *reason = json_string_value(json_object_get(details, "reason"));
        log_warning(&ids, "the filter of %s has failed, its media go by: %s",
                    identity_log(leg->webrtc_id), reason ? reason : "no reason given");
        return;
    }
    if (leg->session->stay && room_event(wsf, leg, event, details))
        return;
    if (strcmp(event, "endOfStream") == 0) {
        if (leg == leg->session->winner)
            call_end(wsf, leg->session, DISC_NORMAL, NULL, NULL, NULL);
        else /* a resource that is to come, or has just been left for another one */
            call_branch_end(wsf, leg, DISC_NORMAL, NULL, false);
        return;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(failures); i++)
        if (strcmp(event, failures[i].event) == 0) {
            const char *reason = json_string_value(json_object_get(details, "reason"));
            media_failed(wsf, leg, event, failures[i].detail, reason ? reason : "no reason given",
                         failures[i].path);
            return;
        }
}

static bool is_of_quality(const char *event)
{
    return strcmp(event, "mediaGated") == 0 || strcmp(event, "policingDiscard") == 0 ||
           strcmp(event, "qosReport") == 0;
}

static void on_notify(const char *wmcf, const json_t *message, void *user)
{
    struct wsf *wsf = user;
    const char *context_id = json_string_value(json_object_get(message, "contextId"));
    const char *termination_id = json_string_value(json_object_get(message, "terminationId"));
    const char *event = json_string_value(json_object_get(message, "event"));
    if (!context_id || !termination_id || !event)
        return;
    g_autoptr(GPtrArray) sessions = session_table_in_context(wsf->sessions, wmcf, context_id);
    if (sessions->len == 0) {
        if (strcmp(event, "hangingTermination") == 0)
            wmcf_pool_release(wsf->pool, wmcf, context_id);
        return;
    }
    if (context_pipelines_event(wsf->pipelines, wmcf, context_id, termination_id, event,
                                json_string_value(json_object_get(message, "mid")),
                                json_object_get(message, "details")))
        return;
    struct leg *leg = NULL;
    for (guint i = 0; !leg && i < sessions->len; i++)
        leg = session_leg_of_termination(g_ptr_array_index(sessions, i), termination_id);
    if (leg && leg_is_live(leg) && is_of_quality(event))
        quality_event(wsf, leg, event, json_string_value(json_object_get(message, "mid")),
                      json_object_get(message, "details"));
    else if (leg && leg_is_live(leg) && strcmp(event, "firstMedia") == 0)
        call_transcode_first_media(wsf, leg, json_string_value(json_object_get(message, "mid")));
    else if (leg && leg_is_live(leg))
        notify_event(wsf, leg, event, json_object_get(message, "details"));
    else if (!leg && strcmp(event, "hangingTermination") == 0)
        wmcf_pool_subtract(wsf->pool, wmcf, context_id, termination_id);
}

static void on_lost(const char *wmcf, const char *why, void *user)
{
    struct wsf *wsf = user;
    struct log_ids ids = {.link = wmcf};
    g_autoptr(GPtrArray) sessions = session_table_all(wsf->sessions);
    g_autoptr(GError) error = NULL;
    guint ended = 0;
    problem_set(&error, PROBLEM_WMCF_ERROR, "%s", why);
    for (guint i = 0; i < sessions->len; i++) {
        struct session *session = g_ptr_array_index(sessions, i);
        if (session->phase == CALL_ENDED || g_strcmp0(session->wmcf, wmcf) != 0)
            continue;
        call_end(wsf, session, DISC_MEDIA_FAILURE, error, NULL, NULL);
        ended++;
    }
    if (ended)
        log_error(&ids, "%s, %u calls ended", why, ended);
}

static void on_context_gone(const char *wmcf, const char *context_id, void *user)
{
    struct wsf *wsf = user;
    g_autoptr(GPtrArray) sessions = session_table_in_context(wsf->sessions, wmcf, context_id);
    g_autoptr(GError) error = NULL;
    problem_set(&error, PROBLEM_WMCF_ERROR, "the media centre no longer has the call");
    for (guint i = 0; i < sessions->len; i++)
        call_end(wsf, g_ptr_array_index(sessions, i), DISC_MEDIA_FAILURE, error, NULL, NULL);
}

static bool knows_context(const char *wmcf, const char *context_id, void *user)
{
    const struct wsf *wsf = user;
    g_autoptr(GPtrArray) sessions = session_table_in_context(wsf->sessions, wmcf, context_id);
    for (guint i = 0; i < sessions->len; i++)
        if (((struct session *)g_ptr_array_index(sessions, i))->phase != CALL_ENDED)
            return true;
    return false;
}

static void on_context_found(const char *wmcf, const char *context_id, void *user)
{
    struct wsf *wsf = user;
    if (knows_context(wmcf, context_id, wsf))
        call_reconcile(wsf, wmcf, context_id);
}

static void on_reconciled(const char *wmcf, void *user)
{
    call_network_media_back(user, wmcf);
    quality_follow(user, wmcf); /* the table may be another one than before a restart */
    room_table_check_mixers(user, wmcf);
}

static GPtrArray *contexts_on(const char *wmcf, void *user)
{
    const struct wsf *wsf = user;
    g_autoptr(GPtrArray) sessions = session_table_all(wsf->sessions);
    GPtrArray *contexts = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < sessions->len; i++) {
        const struct session *session = g_ptr_array_index(sessions, i);
        if (session->context_id && strcmp(session->wmcf, wmcf) == 0)
            g_ptr_array_add(contexts, g_strdup(session->context_id));
    }
    return contexts;
}

const struct wmcf_link_ops notify_wmcf_ops = {
    .notify = on_notify,
    .lost = on_lost,
    .context_gone = on_context_gone,
    .context_found = on_context_found,
    .reconciled = on_reconciled,
    .knows_context = knows_context,
    .contexts = contexts_on,
};
