/* SPDX-License-Identifier: Apache-2.0 */
/* The control link to one media centre. Contexts outlive the link, so after every connect both
 * sides are compared by `audit`: a context of ours that is gone ends its call; one that no call
 * knows may belong to a call of our former life, so it is left alone for a time and then
 * subtracted; one that we wanted to release while the link was away is subtracted at once. */
#define LOG_CATEGORY "wmcf-link"
#include "wsf/wmcf-link.h"

#include "base/ids.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/metrics.h"
#include "wsf-link/json-read.h"

#include <string.h>

#define LIVE_BACKOFF_MS 5000

struct wmcf_link {
    char *name, *section;
    const struct conf *conf;
    char *identity, *instance_id;
    struct link_service *service;
    const struct wmcf_link_ops *ops;
    void *user;
    struct link_limits limits;
    struct link_dialer *dialer;
    struct link *link; /* NULL while there is no connection */
    bool up;           /* authenticated */
    bool expected;     /* not up, but the grace is not over */
    bool fresh;        /* no audit since it came up */
    bool told_failure; /* one warning per outage */
    bool accepting;    /* serviceState inService or overloaded */
    guint load;
    guint members;          /* that one of its pipelines may have; 0: not told yet */
    const char *level;      /* of enforcement, one of levels[]; NULL: not told yet */
    gint64 restart_counter; /* -1: not known yet */
    GHashTable *released;   /* contextIds to subtract as soon as possible */
    GPtrArray *releasing;   /* struct release, owned: asked for, without a response yet */
    GHashTable *orphans;    /* contextId → gint64 deadline */
    GPtrArray *audited;     /* contextIds that calls held when the audit was sent */
    GQueue waiting;         /* struct pending, for the link to come up */
    struct loop_timer *grace_timer, *audit_timer, *orphan_timer, *redial_timer;
};

static const char *const methods[] = {"notify", "serviceChange", NULL};
static const char *const extensions[] = {NULL};
static const struct link_protocol control_protocol = {
    .subprotocol = "eirtcw-mc.v1", .methods = methods, .extensions = extensions};

static struct log_ids ids_of(const struct wmcf_link *link)
{
    return (struct log_ids){.link = link->name};
}

static void count_up(const struct wmcf_link *link)
{
    static struct metric *up;
    if (!up)
        up = metric_register(METRIC_GAUGE, "wmcf_up", NULL,
                             "Whether the control link to a media centre is up.", "wmcf");
    metric_set(up, link->up, (const char *const[]){link->name});
}

/* --- requests ------------------------------------------------------------------------------------
 */

struct pending {
    wmcf_response_fn done;
    void *user;
    char *method; /* with the members: while it waits */
    json_t *members;
    GError *error; /* when nobody has answered */
};

struct release {
    struct wmcf_link *link;
    char *context_id;
};

static void release_free(void *data)
{
    struct release *release = data;
    g_free(release->context_id);
    g_free(release);
}

static void pending_free(struct pending *pending)
{
    g_free(pending->method);
    json_decref(pending->members);
    g_clear_error(&pending->error);
    g_free(pending);
}

static void on_unanswered(void *data)
{
    struct pending *pending = data;
    const struct link_response response = {.error = pending->error};
    pending->done(&response, pending->user);
    pending_free(pending);
}

static void on_response(struct link *wire, const struct link_response *response, void *user)
{
    struct pending *pending = user;
    if (!response->message) {
        /* The link may be going at this moment: what is asked next must find it gone. */
        pending->error = g_error_copy(response->error);
        loop_post("media centre silent", on_unanswered, pending);
        return;
    }
    pending->done(response, pending->user);
    pending_free(pending);
}

static void refuse(struct pending *pending)
{
    problem_set_retry(&pending->error, PROBLEM_WMCF_ERROR, 5, "the media centre is not linked");
    loop_post("media centre not linked", on_unanswered, pending);
}

static void send_waiting(struct wmcf_link *link)
{
    struct pending *pending;
    while ((pending = g_queue_pop_head(&link->waiting)))
        link_request(link->link, pending->method, g_steal_pointer(&pending->members), 0,
                     on_response, pending);
}

static void refuse_waiting(struct wmcf_link *link)
{
    struct pending *pending;
    while ((pending = g_queue_pop_head(&link->waiting)))
        refuse(pending);
}

static void expect(struct wmcf_link *link)
{
    link->expected = true;
    link_dialer_set_backoff_max(link->dialer, LIVE_BACKOFF_MS); /* A1: calls may live over there */
    loop_timer_start(link->grace_timer, MAX(conf_int(link->conf, "media", "lost_grace") * 1000, 1));
}

/* --- reconciling ---------------------------------------------------------------------------------
 */

static void subtract(struct wmcf_link *link, const char *context_id)
{
    link_request(link->link, "subtract", json_pack("{s:s}", "contextId", context_id), 0, NULL,
                 NULL);
}

static void schedule_orphans(struct wmcf_link *link)
{
    GHashTableIter iter;
    gpointer deadline;
    gint64 next = -1;
    g_hash_table_iter_init(&iter, link->orphans);
    while (g_hash_table_iter_next(&iter, NULL, &deadline))
        next = next < 0 ? *(gint64 *)deadline : MIN(next, *(gint64 *)deadline);
    gint64 left = next - loop_now();
    if (next >= 0 && link->up)
        loop_timer_start(link->orphan_timer, (guint)(MAX(left, 0) / 1000 + 1));
    else
        loop_timer_stop(link->orphan_timer);
}

static void on_orphan_timer(void *data)
{
    struct wmcf_link *link = data;
    GHashTableIter iter;
    gpointer context_id, deadline;
    struct log_ids ids = ids_of(link);
    g_hash_table_iter_init(&iter, link->orphans);
    while (link->up && g_hash_table_iter_next(&iter, &context_id, &deadline)) {
        if (*(gint64 *)deadline > loop_now())
            continue;
        if (!link->ops->knows_context(link->name, context_id, link->user)) {
            ids.context = context_id;
            log_info(&ids, "context without a call released");
            subtract(link, context_id);
        }
        g_hash_table_iter_remove(&iter);
    }
    schedule_orphans(link);
}

/* Sorts one context of the audit: known, to be released, or an orphan. */
static void reconcile_context(struct wmcf_link *link, const char *context_id)
{
    if (g_hash_table_contains(link->released, context_id)) {
        subtract(link, context_id);
        return;
    }
    if (link->ops->knows_context(link->name, context_id, link->user) ||
        g_hash_table_contains(link->orphans, context_id))
        return;
    gint64 deadline = loop_now() + conf_int(link->conf, "media", "orphan_ttl") * G_USEC_PER_SEC;
    g_hash_table_insert(link->orphans, g_strdup(context_id), g_memdup2(&deadline, sizeof deadline));
    struct log_ids ids = ids_of(link);
    ids.context = context_id;
    log_info(&ids, "context without a call found, left alone for %d s",
             (int)conf_int(link->conf, "media", "orphan_ttl"));
}

static gboolean not_listed(gpointer context_id, gpointer value, gpointer listed)
{
    return !g_hash_table_contains(listed, context_id);
}

static void read_limits(struct wmcf_link *link, const json_t *capabilities)
{
    const json_t *limits = json_object_get(capabilities, "limits");
    json_int_t members = json_integer_value(json_object_get(limits, "pipelineMembers"));
    link->members = (guint)CLAMP(members, 0, G_MAXINT);
}

static void on_audit(struct link *wire, const struct link_response *response, void *user)
{
    struct wmcf_link *link = user;
    g_autoptr(GPtrArray) audited = g_steal_pointer(&link->audited);
    struct log_ids ids = ids_of(link);
    const json_t *contexts = NULL;
    if (response->success)
        contexts = json_object_get(response->message, "contexts");
    if (!json_is_array(contexts)) {
        log_warning(&ids, "audit failed: %s, continuing",
                    response->error ? response->error->message : "no contexts in the response");
        return;
    }
    g_autoptr(GHashTable) listed = g_hash_table_new(g_str_hash, g_str_equal);
    bool fresh = link->fresh;
    link->fresh = false;
    if (fresh)
        read_limits(link, json_object_get(response->message, "capabilities"));
    size_t i;
    json_t *item;
    json_array_foreach(contexts, i, item)
    {
        const char *context_id = json_string_value(json_object_get(item, "contextId"));
        if (!context_id)
            continue;
        g_hash_table_add(listed, (gpointer)context_id);
        reconcile_context(link, context_id);
        if (fresh && link->ops->knows_context(link->name, context_id, link->user))
            link->ops->context_found(link->name, context_id, link->user);
    }
    g_hash_table_remove_all(link->released);
    g_hash_table_foreach_remove(link->orphans, not_listed, listed);
    schedule_orphans(link);
    for (guint c = 0; audited && c < audited->len; c++) {
        const char *context_id = g_ptr_array_index(audited, c);
        if (!g_hash_table_contains(listed, context_id) &&
            link->ops->knows_context(link->name, context_id, link->user))
            link->ops->context_gone(link->name, context_id, link->user);
    }
    link->ops->reconciled(link->name, link->user);
}

static void audit(void *data)
{
    struct wmcf_link *link = data;
    if (!link->up || link->audited)
        return;
    link->audited = link->ops->contexts(link->name, link->user);
    json_t *what = json_array();
    json_array_append_new(what, json_string("state"));
    if (link->fresh)
        json_array_append_new(what, json_string("capabilities"));
    link_request(link->link, "audit", json_pack("{s:o}", "what", what), 0, on_audit, link);
}

/* --- state ---------------------------------------------------------------------------------------
 */

/* Other words count as "other": a label of a metric is not for others to choose. */
static const char *const levels[] = {"tc-bpf", "tc-flower", "relay", "none", "other"};

static void read_enforcement(struct wmcf_link *link, const json_t *enforcement)
{
    static struct metric *in_force;
    const char *text = json_string_value(json_object_get(enforcement, "level"));
    const char *reason = json_string_value(json_object_get(enforcement, "reason"));
    struct log_ids ids = ids_of(link);
    size_t i = 0;
    if (!text)
        return;
    while (i < G_N_ELEMENTS(levels) - 1 && strcmp(levels[i], text) != 0)
        i++;
    if (!in_force)
        in_force = metric_register(METRIC_GAUGE, "wmcf_enforcement", NULL,
                                   "The level of enforcement of a media centre.", "wmcf,level");
    if (link->level && link->level != levels[i])
        metric_set(in_force, 0, (const char *const[]){link->name, link->level});
    metric_set(in_force, 1, (const char *const[]){link->name, levels[i]});
    if (link->level != levels[i] && strcmp(text, "none") == 0)
        log_warning(&ids, "the media centre enforces no policies: %s",
                    reason ? reason : "no reason given");
    else if (link->level != levels[i])
        log_info(&ids, "the media centre enforces policies by %s%s%s", text, reason ? ": " : "",
                 reason ? reason : "");
    link->level = levels[i];
}

/* Members of serviceChange and of the response to auth. */
static void read_service(struct wmcf_link *link, const json_t *message)
{
    const char *state = json_string_value(json_object_get(message, "serviceState"));
    const json_t *load = json_object_get(message, "load");
    const json_t *counter = json_object_get(message, "restartCounter");
    struct log_ids ids = ids_of(link);
    if (state) {
        bool accepting = strcmp(state, "inService") == 0;
        if (accepting != link->accepting && link->up)
            log_info(&ids, "media centre is %s", state);
        link->accepting = accepting;
    }
    read_enforcement(link, json_object_get(message, "enforcement"));
    if (json_is_number(load))
        link->load = (guint)CLAMP(json_number_value(load), 0, 1000);
    if (!json_is_integer(counter))
        return;
    gint64 was = link->restart_counter;
    link->restart_counter = json_integer_value(counter);
    if (was >= 0 && was != link->restart_counter) {
        g_hash_table_remove_all(link->released);
        g_hash_table_remove_all(link->orphans);
        refuse_waiting(link); /* they are about contexts that are gone */
        link->ops->lost(link->name, "the media centre has restarted", link->user);
    }
}

static void on_auth(struct link *wire, const struct link_response *response, void *user)
{
    struct wmcf_link *link = user;
    struct log_ids ids = ids_of(link);
    if (!response->success) {
        if (!link->told_failure)
            log_error(&ids, "media centre refused our authentication: %s",
                      response->error->message);
        link->told_failure = true;
        link_close(wire, LINK_CLOSE_NORMAL, "authentication failed");
        return;
    }
    link_set_authenticated(wire, link->name);
    link->up = link->fresh = true;
    link->expected = false;
    link->told_failure = false;
    link->accepting = true;
    loop_timer_stop(link->grace_timer);
    link_dialer_set_backoff_max(link->dialer, 0);
    read_service(link, response->message);
    log_info(&ids, "media centre is linked");
    count_up(link);
    audit(link);
    send_waiting(link);
    loop_timer_start_repeating(link->audit_timer,
                               conf_int(link->conf, "media", "audit_interval") * 1000);
}

static void authenticate(struct wmcf_link *link)
{
    json_t *members =
        json_pack("{s:s, s:s}", "webrtcId", link->identity, "instanceId", link->instance_id);
    g_autoptr(GError) error = NULL;
    g_autofree char *token = conf_secret(link->conf, link->section, "token_file", &error);
    if (error) {
        struct log_ids ids = ids_of(link);
        log_error(&ids, "token of the media centre: %s", error->message);
    }
    json_object_set_new(members, "authType", json_string(token ? "bearer" : "tls"));
    if (token)
        json_object_set_new(members, "authorization", json_sprintf("Bearer %s", token));
    link_request(link->link, "auth", members, 0, on_auth, link);
}

static void on_opened(struct link *wire, void *user)
{
    struct wmcf_link *link = user;
    link->link = wire;
    authenticate(link);
}

static void on_request(struct link *wire, struct link_transaction *transaction, void *user)
{
    struct wmcf_link *link = user;
    const json_t *message = link_transaction_message(transaction);
    if (strcmp(link_transaction_method(transaction), "notify") == 0)
        link->ops->notify(link->name, message, link->user);
    else
        read_service(link, message);
    link_succeed(transaction, NULL);
}

static void on_closed(struct link *wire, int code, const char *reason, void *user)
{
    struct wmcf_link *link = user;
    struct log_ids ids = ids_of(link);
    link->link = NULL;
    g_clear_pointer(&link->audited, g_ptr_array_unref);
    loop_timer_stop(link->audit_timer);
    loop_timer_stop(link->orphan_timer);
    if (link->up)
        log_warning(&ids, "control link lost (%d %s), reconnecting", code, reason ? reason : "");
    if (link->up)
        expect(link);
    link->up = false;
    count_up(link);
    /* The dialer obeys these codes and stops; an operator may mend the other side meanwhile. */
    if (code == LINK_CLOSE_NOT_AUTHENTICATED || code == LINK_CLOSE_SUPERSEDED)
        loop_timer_start(link->redial_timer, conf_int(link->conf, "media", "backoff_max") * 1000);
}

static void on_attempt_failed(const GError *error, guint next_attempt_ms, void *user)
{
    struct wmcf_link *link = user;
    struct log_ids ids = ids_of(link);
    if (!link->told_failure)
        log_warning(&ids, "media centre cannot be reached: %s, trying on", error->message);
    link->told_failure = true;
}

static void on_grace(void *data)
{
    struct wmcf_link *link = data;
    link_dialer_set_backoff_max(link->dialer, 0);
    link->expected = false;
    refuse_waiting(link);
    link->ops->lost(link->name, "the control link to the media centre was lost", link->user);
}

static const struct link_ops control_ops = {
    .opened = on_opened, .request = on_request, .closed = on_closed};

static bool dial(struct wmcf_link *link, GError **error)
{
    const struct link_dialer_config config = {
        .url = conf_string(link->conf, link->section, "url"),
        .protocol = &control_protocol,
        .limits = &link->limits,
        .ops = &control_ops,
        .user = link,
        .tls_ca = conf_string(link->conf, link->section, "tls_ca"),
        .tls_certificate = conf_string(link->conf, link->section, "tls_certificate"),
        .tls_key = conf_string(link->conf, link->section, "tls_key"),
        .backoff_min_ms = 1000, /* A1 */
        .backoff_max_ms = conf_int(link->conf, "media", "backoff_max") * 1000,
        .attempt_failed = on_attempt_failed,
    };
    if (!config.url) {
        problem_set(error, PROBLEM_INVALID_MESSAGE, "[%s] needs url", link->section);
        return false;
    }
    link->dialer = link_dialer_new(link->service, &config, error);
    return link->dialer != NULL;
}

static void on_redial(void *data)
{
    struct wmcf_link *link = data;
    g_autoptr(GError) error = NULL;
    struct log_ids ids = ids_of(link);
    g_clear_pointer(&link->dialer, link_dialer_free);
    if (!dial(link, &error))
        log_error(&ids, "media centre cannot be dialled: %s", error->message);
}

/* --- face ----------------------------------------------------------------------------------------
 */

struct wmcf_link *wmcf_link_new(const struct conf *conf, const char *section, const char *identity,
                                struct link_service *service, const struct wmcf_link_ops *ops,
                                void *user, GError **error)
{
    struct wmcf_link *link = g_new0(struct wmcf_link, 1);
    char *name = conf_instance_name(section);
    link->name = name ? name : g_strdup(section);
    link->section = g_strdup(section);
    link->conf = conf;
    link->identity = g_strdup(identity);
    link->instance_id = id_uuid();
    link->service = service;
    link->ops = ops;
    link->user = user;
    link->limits = link_limits_trusted;
    link->limits.auth_timeout_ms = 0;
    link->limits.response_timeout_ms = conf_int(conf, "media", "response_time") * 1000;
    link->restart_counter = -1;
    link->released = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    link->releasing = g_ptr_array_new_with_free_func(release_free);
    link->orphans = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    link->grace_timer = loop_timer_new("wmcf grace", on_grace, link);
    link->audit_timer = loop_timer_new("wmcf audit", audit, link);
    link->orphan_timer = loop_timer_new("wmcf orphans", on_orphan_timer, link);
    link->redial_timer = loop_timer_new("wmcf redial", on_redial, link);
    count_up(link);
    if (!dial(link, error)) {
        wmcf_link_free(link);
        return NULL;
    }
    expect(link); /* calls of our former life wait for it */
    return link;
}

void wmcf_link_free(struct wmcf_link *link)
{
    if (!link)
        return;
    loop_timer_free(link->grace_timer);
    loop_timer_free(link->audit_timer);
    loop_timer_free(link->orphan_timer);
    loop_timer_free(link->redial_timer);
    link_dialer_free(link->dialer);
    g_clear_pointer(&link->audited, g_ptr_array_unref);
    g_hash_table_unref(link->released);
    g_ptr_array_unref(link->releasing);
    g_hash_table_unref(link->orphans);
    g_queue_clear_full(&link->waiting, (GDestroyNotify)pending_free);
    g_free(link->name);
    g_free(link->section);
    g_free(link->identity);
    g_free(link->instance_id);
    g_free(link);
}

const char *wmcf_link_name(const struct wmcf_link *link)
{
    return link->name;
}

bool wmcf_link_is_up(const struct wmcf_link *link)
{
    return link->up;
}

bool wmcf_link_is_ready(const struct wmcf_link *link)
{
    return link->up && link->accepting;
}

guint wmcf_link_load(const struct wmcf_link *link)
{
    return link->load;
}

bool wmcf_link_enforces(const struct wmcf_link *link)
{
    return g_strcmp0(link->level, "none") != 0;
}

guint wmcf_link_members(const struct wmcf_link *link)
{
    return link->members;
}

void wmcf_link_request(struct wmcf_link *link, const char *method, json_t *members,
                       wmcf_response_fn done, void *user)
{
    struct pending *pending = g_new0(struct pending, 1);
    pending->done = done;
    pending->user = user;
    if (link && link->up) {
        link_request(link->link, method, members, 0, on_response, pending);
    } else if (link && link->expected &&
               g_queue_get_length(&link->waiting) <
                   (guint)conf_int(link->conf, "media", "waiting_max")) {
        pending->method = g_strdup(method);
        pending->members = members;
        g_queue_push_tail(&link->waiting, pending);
    } else {
        json_decref(members);
        refuse(pending);
    }
}

static void on_released(struct link *wire, const struct link_response *response, void *user)
{
    struct release *release = user;
    /* Without an answer the context may still be there: the next audit tells. */
    if (!response->message)
        g_hash_table_add(release->link->released, g_steal_pointer(&release->context_id));
    g_ptr_array_remove_fast(release->link->releasing, release);
}

void wmcf_link_release(struct wmcf_link *link, const char *context_id)
{
    if (!link->up) {
        g_hash_table_add(link->released, g_strdup(context_id));
        return;
    }
    struct release *release = g_new(struct release, 1);
    *release = (struct release){link, g_strdup(context_id)};
    g_ptr_array_add(link->releasing, release);
    link_request(link->link, "subtract", json_pack("{s:s}", "contextId", context_id), 0,
                 on_released, release);
}
