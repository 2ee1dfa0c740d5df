/* SPDX-License-Identifier: Apache-2.0 */
/* Mode `calls`: clients of wsf in pairs, the first of each calls the second. A round makes all
 * calls, measures media, hangs up and waits until both ends know; rounds follow one another over
 * the same registrations, and each notes what the measured program held afterwards. The callee
 * rings first and answers in a request of its own, the caller answers the network's offer in its
 * response: both ways that an answer may take. */
#include "base/loop.h"
#include "tests/support/load/load.h"
#include "wsf-link/link.h"

#include <string.h>

#define ROUND_PATIENCE_MS 30000
#define SETTLE_MS 500 /* after the last mdisc, before the program is looked at */
#define ATTEMPTS 20

struct calls;
struct call;

struct client {
    struct calls *calls;
    char *webrtc_id, *password;
    struct link_dialer *dialer;
    struct link *link;
    guint attempts;
    bool registered;
    struct call *call; /* its side there */
    guint side;        /* 0 = caller */
    char *session_id;
    struct load_leg *leg;
    bool settled, ended;
};

struct call {
    struct client *sides[2];
    bool failed;
};

struct calls {
    struct load_run *run;
    struct link_service *service;
    struct client *clients;
    guint n_clients, next_dial, registered;
    struct call *list;
    guint n_calls, next_call, ready, over, round;
    guint ok, failed;
    bool hanging_up, in_media, leaving;
    guint open; /* links */
    struct loop_timer *guard, *settle;
    struct load_process before;
    json_t *rounds;
};

static const char *const methods[] = {"msetup", "mupdate", "mdisc", NULL};
static const char *const extensions[] = {NULL};
static const struct link_protocol protocol = {
    .subprotocol = "eirtcw.v1", .methods = methods, .extensions = extensions};

static void begin_round(struct calls *calls);
static void start_more(struct calls *calls);
static void hang_up_all(void *user);

static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

/* --- the course of a round ---------------------------------------------------------------------
 */

static void call_ready(struct calls *calls)
{
    calls->ready++;
    start_more(calls);
    if (calls->ready < calls->n_calls)
        return;
    load_report_setup(calls->run);
    calls->in_media = true;
    load_media_phase(calls->run, hang_up_all, calls);
}

static void fail_call(struct client *client, const char *problem)
{
    struct calls *calls = client->calls;
    struct call *call = client->call;
    if (!call || call->failed)
        return;
    g_printerr("wmcf-load: %s: %s\n", client->webrtc_id, problem);
    call->failed = true;
    calls->failed++;
    calls->run->status = 1;
    bool waited = !(call->sides[0]->settled && call->sides[1]->settled);
    for (guint i = 0; i < 2; i++)
        if (!call->sides[i]->settled) {
            call->sides[i]->settled = true;
            load_leg_settled(calls->run, call->sides[i]->leg, false);
        }
    if (waited)
        call_ready(calls);
}

static void settle(struct client *client)
{
    struct call *call = client->call;
    if (client->settled)
        return;
    client->settled = true;
    load_leg_settled(client->calls->run, client->leg, true);
    if (call->sides[0]->settled && call->sides[1]->settled)
        call_ready(client->calls);
}

static void on_round_settled(void *data)
{
    struct calls *calls = data;
    struct load_run *run = calls->run;
    struct load_process process;
    load_process_read(run->options->pid, &process);
    json_t *round =
        json_pack("{s:O?, s:O?, s:o}", "setup", json_object_get(run->report, "setup"), "media",
                  json_object_get(run->report, "media"), "process", load_process_json(&process));
    json_array_append_new(calls->rounds, round);
    for (guint i = 0; i < calls->n_clients; i++) {
        struct client *client = &calls->clients[i];
        if (client->leg)
            peer_free(client->leg->peer);
        client->leg = NULL;
        g_clear_pointer(&client->session_id, g_free);
    }
    g_ptr_array_set_size(run->legs, 0);
    if (++calls->round < (guint)run->options->repeat) {
        begin_round(calls);
        return;
    }
    json_object_del(run->report, "setup");
    json_object_del(run->report, "media");
    json_object_set_new(run->report, "calls_ok", json_integer(calls->ok));
    json_object_set_new(run->report, "calls_failed", json_integer(calls->failed));
    json_object_set_new(run->report, "process_before", load_process_json(&calls->before));
    json_object_set(run->report, "rounds", calls->rounds);
    calls->leaving = true;
    for (guint i = 0; i < calls->n_clients; i++)
        if (calls->clients[i].link)
            link_close(calls->clients[i].link, LINK_CLOSE_NORMAL, "done");
    if (!calls->open)
        loop_quit();
}

static void side_over(struct client *client)
{
    struct calls *calls = client->calls;
    if (client->ended)
        return;
    client->ended = true;
    if (client->leg && client->leg->peer)
        peer_close(client->leg->peer);
    if (++calls->over < 2 * calls->n_calls)
        return;
    for (guint i = 0; i < calls->n_calls; i++)
        calls->ok += !calls->list[i].failed;
    loop_timer_stop(calls->guard);
    loop_timer_start(calls->settle, SETTLE_MS);
}

static void on_hung_up(struct link *link, const struct link_response *response, void *user)
{
    struct client *client = user;
    if (!response->success && !client->call->failed)
        fail_call(client, response->error->message);
    side_over(client);
}

static void hang_up(struct client *client)
{
    if (client->session_id && client->link)
        link_request(
            client->link, "mdisc",
            json_pack("{s:s, s:s}", "mediaSessionId", client->session_id, "cause", "NORMAL"), 0,
            on_hung_up, client);
    else
        side_over(client);
}

static void hang_up_all(void *user)
{
    struct calls *calls = user;
    calls->in_media = false;
    calls->hanging_up = true;
    loop_timer_start(calls->guard, ROUND_PATIENCE_MS);
    for (guint i = 0; i < calls->n_calls; i++) {
        struct call *call = &calls->list[i];
        hang_up(call->sides[0]);
        if (call->failed && !call->sides[1]->ended)
            hang_up(call->sides[1]);
    }
}

static void on_guard(void *data)
{
    struct calls *calls = data;
    if (calls->in_media)
        return;
    if (calls->hanging_up) {
        load_fail(calls->run, "an end did not hear of the hang-up");
        return;
    }
    for (guint i = 0; i < calls->n_calls; i++)
        fail_call(calls->list[i].sides[0], "the call did not come about in time");
}

/* --- one call ----------------------------------------------------------------------------------
 */

static void on_peer_state(struct peer *peer, enum peer_state state, void *user)
{
    struct client *client = user;
    if (state == PEER_CONNECTED)
        settle(client);
    else if (state == PEER_FAILED && !client->calls->hanging_up)
        fail_call(client, peer_failure(peer));
}

static const struct peer_ops peer_ops = {.state = on_peer_state};

/* The answer to an offer for this client, made by its peer. Transfer full; NULL when the call has
 * failed of it. */
static char *answer(struct client *client, const char *offer)
{
    struct load_run *run = client->calls->run;
    g_autoptr(GError) error = NULL;
    char *text = NULL;
    if (!client->leg->peer) {
        struct peer_config config;
        load_peer_config(run->options, &config, true, true);
        config.name = client->webrtc_id;
        config.ops = &peer_ops;
        config.user = client;
        client->leg->peer = peer_new(run->group, &config, &error);
    }
    if (client->leg->peer)
        text = peer_answer(client->leg->peer, offer, &error);
    if (!text)
        fail_call(client, error->message);
    return text;
}

static void on_invited(struct link *link, const struct link_response *response, void *user)
{
    struct client *client = user;
    const char *session_id = text_of(response->message, "mediaSessionId");
    if (!response->success)
        fail_call(client, response->error->message);
    else if (!session_id)
        fail_call(client, "no mediaSessionId in the response to msetup");
    else
        client->session_id = g_strdup(session_id);
}

static char *pre_offer(struct load_run *run)
{
    struct peer_config config;
    load_peer_config(run->options, &config, true, true);
    struct peer *peer = peer_new(run->group, &config, NULL);
    char *text = peer ? peer_offer(peer, NULL) : NULL;
    peer_free(peer);
    return text;
}

static void start_call(struct calls *calls, struct call *call)
{
    struct client *caller = call->sides[0];
    g_autofree char *offer = pre_offer(calls->run);
    for (guint i = 0; i < 2; i++)
        call->sides[i]->leg->begun_us = g_get_monotonic_time();
    if (!caller->link) {
        fail_call(caller, "not connected");
        return;
    }
    link_request(caller->link, "msetup",
                 json_pack("{s:s, s:s}", "resourceId", call->sides[1]->webrtc_id,
                           "preOfferDescription", offer),
                 0, on_invited, caller);
}

static void start_more(struct calls *calls)
{
    while (calls->next_call < calls->n_calls &&
           calls->next_call - calls->ready < (guint)calls->run->options->parallel)
        start_call(calls, &calls->list[calls->next_call++]);
}

static void begin_round(struct calls *calls)
{
    struct load_run *run = calls->run;
    calls->next_call = calls->ready = calls->over = 0;
    calls->hanging_up = false;
    run->connected = run->failed = 0;
    memset(&run->setup, 0, sizeof run->setup);
    run->begun_us = g_get_monotonic_time();
    for (guint i = 0; i < calls->n_calls; i++) {
        struct call *call = &calls->list[i];
        call->failed = false;
        for (guint s = 0; s < 2; s++) {
            struct client *client = &calls->clients[2 * i + s];
            struct load_leg *leg = g_new0(struct load_leg, 1);
            leg->context = i;
            leg->publishes = leg->subscribes = true;
            leg->n_sources = 1;
            g_ptr_array_add(run->legs, leg);
            client->leg = leg;
            client->call = call;
            client->side = s;
            client->settled = client->ended = false;
            call->sides[s] = client;
        }
    }
    loop_timer_start(calls->guard, ROUND_PATIENCE_MS);
    start_more(calls);
}

/* --- requests of the network -------------------------------------------------------------------
 */

static void echo_offer_id(json_t *members, const json_t *message)
{
    json_t *id = json_object_get(message, "offerId");
    if (id)
        json_object_set(members, "offerId", id);
}

static void on_answer_taken(struct link *link, const struct link_response *response, void *user)
{
    if (!response->success)
        fail_call(user, response->error->message);
}

static void refuse(struct link_transaction *transaction, enum problem problem, const char *why)
{
    g_autoptr(GError) error = NULL;
    problem_set(&error, problem, "%s", why);
    link_fail(transaction, error, NULL);
}

static void handle_msetup(struct client *client, struct link_transaction *transaction)
{
    const json_t *message = link_transaction_message(transaction);
    const char *session_id = text_of(message, "mediaSessionId");
    const char *offer = text_of(message, "sdpOffer");
    if (!client->leg || client->session_id || !session_id || !offer) {
        refuse(transaction, PROBLEM_USER_BUSY, "not waiting for a call");
        return;
    }
    g_autofree char *text = answer(client, offer);
    if (!text) {
        refuse(transaction, PROBLEM_SDP_NOT_ACCEPTABLE, "the offer cannot be answered");
        return;
    }
    client->session_id = g_strdup(session_id);
    json_t *members = json_pack("{s:s, s:s}", "mediaSessionId", session_id, "sdpAnswer", text);
    echo_offer_id(members, message);
    link_succeed(transaction, json_pack("{s:s}", "mediaSessionState", "alerting"));
    link_request(client->link, "mupdate", members, 0, on_answer_taken, client);
}

static void handle_mupdate(struct client *client, struct link_transaction *transaction)
{
    const json_t *message = link_transaction_message(transaction);
    const char *offer = text_of(message, "sdpOffer");
    if (!offer) {
        link_succeed(transaction, NULL);
        return;
    }
    g_autofree char *text = client->leg ? answer(client, offer) : NULL;
    if (!text) {
        refuse(transaction, PROBLEM_SDP_NOT_ACCEPTABLE, "the offer cannot be answered");
        return;
    }
    json_t *members = json_pack("{s:s}", "sdpAnswer", text);
    echo_offer_id(members, message);
    link_succeed(transaction, members);
}

static void handle_mdisc(struct client *client, struct link_transaction *transaction)
{
    const char *cause = text_of(link_transaction_message(transaction), "cause");
    g_autofree char *why = g_strdup_printf("ended by the network: %s", cause ? cause : "?");
    bool mine = !g_strcmp0(client->session_id,
                           text_of(link_transaction_message(transaction), "mediaSessionId"));
    link_succeed(transaction, NULL);
    if (!mine)
        return;
    g_clear_pointer(&client->session_id, g_free);
    if (!client->calls->hanging_up)
        fail_call(client, why);
    else
        side_over(client);
}

static void on_request(struct link *link, struct link_transaction *transaction, void *user)
{
    struct client *client = user;
    const char *method = link_transaction_method(transaction);
    if (!strcmp(method, "msetup"))
        handle_msetup(client, transaction);
    else if (!strcmp(method, "mupdate"))
        handle_mupdate(client, transaction);
    else
        handle_mdisc(client, transaction);
}

/* --- registration ------------------------------------------------------------------------------
 */

static void dial_more(struct calls *calls);

static void on_registered(struct link *link, const struct link_response *response, void *user)
{
    struct client *client = user;
    struct calls *calls = client->calls;
    if (!response->success) {
        load_fail(calls->run, "%s: %s", client->webrtc_id, response->error->message);
        return;
    }
    if (client->registered)
        return;
    client->registered = true;
    calls->registered++;
    dial_more(calls);
    if (calls->registered < calls->n_clients)
        return;
    json_object_set_new(
        calls->run->report, "registration",
        json_pack("{s:i, s:f}", "clients", (int)calls->n_clients, "seconds",
                  (double)(g_get_monotonic_time() - calls->run->begun_us) / G_USEC_PER_SEC));
    load_process_read(calls->run->options->pid, &calls->before);
    begin_round(calls);
}

static void on_opened(struct link *link, void *user)
{
    struct client *client = user;
    if (client->calls->leaving) /* the dialer is back already */
        return;
    g_autofree char *plain = g_strdup_printf("%s:%s", client->webrtc_id, client->password);
    g_autofree char *encoded = g_base64_encode((const guint8 *)plain, strlen(plain));
    g_autofree char *authorization = g_strconcat("Basic ", encoded, NULL);
    client->link = link;
    client->calls->open++;
    link_request(link, "auth",
                 json_pack("{s:s, s:s, s:s}", "authType", "basic", "webrtcId", client->webrtc_id,
                           "authorization", authorization),
                 0, on_registered, client);
}

static void on_closed(struct link *link, int code, const char *reason, void *user)
{
    struct client *client = user;
    if (client->link != link)
        return;
    client->link = NULL;
    client->calls->open--;
    if (client->calls->leaving) {
        if (!client->calls->open)
            loop_quit();
        return;
    }
    g_autofree char *why = g_strdup_printf("link closed: %d %s", code, reason ? reason : "");
    fail_call(client, why);
}

static void on_attempt_failed(const GError *error, guint next_ms, void *user)
{
    struct client *client = user;
    if (++client->attempts >= ATTEMPTS)
        load_fail(client->calls->run, "%s", error->message);
}

static const struct link_ops link_ops = {
    .opened = on_opened, .request = on_request, .closed = on_closed};

static void dial(struct client *client)
{
    static struct link_limits limits;
    const struct load_options *options = client->calls->run->options;
    g_autoptr(GError) error = NULL;
    limits = link_limits_client;
    limits.auth_timeout_ms = 0; /* we are the one who authenticates */
    limits.message_max_unauth = limits.message_max;
    limits.rate = 0;
    limits.response_timeout_ms = 10000; /* A2 */
    struct link_dialer_config config = {
        .url = options->url ? options->url : "ws://127.0.0.1:8080/eirtcw/v1",
        .protocol = &protocol,
        .limits = &limits,
        .ops = &link_ops,
        .user = client,
        .tls_ca = options->tls_ca,
        .backoff_min_ms = 500,
        .backoff_max_ms = 5000,
        .attempt_failed = on_attempt_failed,
    };
    client->dialer = link_dialer_new(client->calls->service, &config, &error);
    if (!client->dialer)
        load_fail(client->calls->run, "%s", error->message);
}

static void dial_more(struct calls *calls)
{
    while (calls->next_dial < calls->n_clients &&
           calls->next_dial - calls->registered < (guint)calls->run->options->parallel)
        dial(&calls->clients[calls->next_dial++]);
}

/* Two lines for each call: user@realm, white space, password. */
static bool read_users(struct calls *calls)
{
    g_autofree char *text = NULL;
    const char *file = calls->run->options->users;
    if (!file || !g_file_get_contents(file, &text, NULL, NULL))
        return false;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    guint n = 0;
    for (guint i = 0; lines[i] && n < calls->n_clients; i++) {
        g_auto(GStrv) words = g_strsplit_set(g_strstrip(lines[i]), " \t", 2);
        if (!words[0] || !words[1])
            continue;
        calls->clients[n].calls = calls;
        calls->clients[n].webrtc_id = g_strdup(words[0]);
        calls->clients[n++].password = g_strdup(g_strstrip(words[1]));
    }
    return n == calls->n_clients;
}

static void clean(void *user)
{
    struct calls *calls = user;
    calls->leaving = true;
    for (guint i = 0; i < calls->n_clients; i++) {
        struct client *client = &calls->clients[i];
        link_dialer_free(client->dialer);
        g_free(client->webrtc_id);
        g_free(client->password);
        g_free(client->session_id);
    }
    link_service_free(calls->service);
    loop_timer_free(calls->guard);
    loop_timer_free(calls->settle);
    json_decref(calls->rounds);
    g_free(calls->clients);
    g_free(calls->list);
    g_free(calls);
}

void load_calls_start(struct load_run *run)
{
    struct calls *calls = g_new0(struct calls, 1);
    g_autoptr(GError) error = NULL;
    calls->run = run;
    run->clean = clean;
    run->clean_user = calls;
    calls->n_calls = (guint)run->options->contexts;
    calls->n_clients = 2 * calls->n_calls;
    calls->clients = g_new0(struct client, calls->n_clients);
    calls->list = g_new0(struct call, calls->n_calls);
    calls->rounds = json_array();
    calls->guard = loop_timer_new("round guard", on_guard, calls);
    calls->settle = loop_timer_new("round settled", on_round_settled, calls);
    if (!read_users(calls)) {
        load_fail(run, "--users must name a file with %u users", calls->n_clients);
        return;
    }
    calls->service = link_service_new(run->options->trace_file, &error);
    if (!calls->service)
        load_fail(run, "%s", error->message);
    else
        dial_more(calls);
}
