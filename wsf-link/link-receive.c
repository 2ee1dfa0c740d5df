/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the way from received octets to the program's request callback. The checks stand in rising
 * order of cost and each has one place: size and kind of the pieces, UTF-8, form, parity and
 * replay, rate, gate, method, extensions, number in progress. What fails a check of form costs the
 * link, what fails a later one gets a problem and costs only its own transaction. */
#define LOG_CATEGORY "link"
#include "wsf-link/link-core.h"

#include "base/log.h"
#include "wsf-link/envelope.h"
#include "wsf-link/extension.h"

#include <string.h>

struct link_transaction {
    struct link *link; /* NULL once the link is gone */
    guint64 id;
    json_t *message;
    gsize octets;
    const char *method; /* in message */
    char *name;
};

#define MESSAGES_IN_PROGRESS 4 /* of the largest size; more small ones */
#define PARTIAL_KEEP 4096      /* octets of reassembly buffer that an idle link keeps */

/* --- answers --------------------------------------------------------------------------------- */

/* `keep`: the response ends a transaction and is stored for replay. Takes `members`. */
static void respond(struct link *link, guint64 id, const char *method, const GError *error,
                    json_t *members, bool keep)
{
    json_auto_t *owned = members ? members : json_object();
    if (error)
        envelope_put_problem(owned, error);
    g_autoptr(GBytes) text = envelope_response(id, method, !error, owned);
    link_count_request(link, true, method, error);
    if (!text) { /* nobody would learn what became of the request */
        link_problem_close(link, LINK_CLOSE_INTERNAL_ERROR, "internal error");
        return;
    }
    if (keep)
        transaction_peer_answered(&link->peer, id, text, g_get_monotonic_time());
    link_send(link, text);
}

static void transaction_free(struct link_transaction *transaction)
{
    if (transaction->link) {
        g_queue_remove(&transaction->link->transactions, transaction);
        transaction->link->transaction_octets -= transaction->octets;
    }
    json_decref(transaction->message);
    g_free(transaction->name);
    g_free(transaction);
}

static void answer(struct link_transaction *transaction, const GError *error, json_t *members)
{
    struct link *link = transaction->link;
    if (link)
        respond(link, transaction->id, transaction->method, error, members, true);
    else
        json_decref(members);
    transaction_free(transaction);
    if (link)
        link_check_doomed(link);
}

void link_succeed(struct link_transaction *transaction, json_t *members)
{
    g_return_if_fail(transaction);
    answer(transaction, NULL, members);
}

void link_fail(struct link_transaction *transaction, const GError *error, json_t *members)
{
    g_return_if_fail(transaction && error);
    answer(transaction, error, members);
}

const char *link_transaction_method(const struct link_transaction *transaction)
{
    return transaction->method;
}

const json_t *link_transaction_message(const struct link_transaction *transaction)
{
    return transaction->message;
}

const char *link_transaction_name(const struct link_transaction *transaction)
{
    return transaction->name;
}

bool link_transaction_supports(const struct link_transaction *transaction, const char *extension)
{
    return extension_listed(transaction->message, "supportedExtension", extension) ||
           extension_listed(transaction->message, "requiredExtension", extension);
}

void link_check_doomed(struct link *link)
{
    if (!link->auth_doomed)
        return;
    for (GList *at = link->transactions.head; at; at = at->next) {
        const struct link_transaction *transaction = at->data;
        if (!strcmp(transaction->method, "auth"))
            return; /* its response goes first */
    }
    link_close(link, LINK_CLOSE_NOT_AUTHENTICATED, "authentication failed");
}

/* --- rates ------------------------------------------------------------------------------------ */

static bool gate_open(const struct link *link)
{
    return link->authenticated || !link->limits.auth_timeout_ms;
}

static void rates(const struct link *link, guint *ret_rate, guint *ret_burst)
{
    *ret_rate = gate_open(link) ? link->limits.rate : link->limits.rate_unauth;
    *ret_burst = gate_open(link) ? link->limits.burst : 2 * link->limits.rate_unauth;
}

static void pause_reading(struct link *link)
{
    if (link->paused)
        return;
    link->paused = true;
    link->wire_ops->read(link->wire, false);
    link_schedule(link);
}

/* A1: sustained abuse is a budget of refusals of its own. */
static void note_refusal(struct link *link, guint rate, guint burst, gint64 now)
{
    if (!rate_take(&link->abuse, MAX(rate / 5, 1), 2 * burst, now))
        link_problem_close(link, LINK_CLOSE_RATE_LIMIT, "too many requests");
}

/* False: refused, with the wait. */
static bool within_rates(struct link *link, gint64 now, guint *ret_wait_ms)
{
    guint rate, burst;
    rates(link, &rate, &burst);
    if (link->limits.slow_instead_of_refuse) {
        /* A1: trusted links are slowed by not reading, never closed for it. */
        if (!rate_charge(&link->requests, rate, burst, 1, now))
            pause_reading(link);
        return true;
    }
    if (!rate_take(&link->requests, rate, burst, now)) {
        *ret_wait_ms = rate_wait_ms(&link->requests, rate, burst, now);
        note_refusal(link, rate, burst, now);
        return false;
    }
    return link->wire_ops->admit(link->wire, now, ret_wait_ms);
}

static void too_many(GError **error, guint wait_ms)
{
    problem_set_retry(error, PROBLEM_TOO_MANY_REQUESTS, (wait_ms + 999) / 1000,
                      "Too many requests; wait before the next one.");
}

/* What is neither a request nor an answer to one of ours still costs a token. */
static void charge_junk(struct link *link)
{
    guint wait_ms = 0;
    within_rates(link, g_get_monotonic_time(), &wait_ms);
}

static gsize message_max(const struct link *link)
{
    return gate_open(link) ? link->limits.message_max : link->limits.message_max_unauth;
}

/* What requests may count, their octets may weigh: parsing costs before any refusal does. An
 * untrusted peer has one largest message a second and four at once; above it is slowed. */
static void charge_octets(struct link *link, gsize octets, gint64 now)
{
    guint rate = (guint)message_max(link);
    if (link->role == LINK_SERVER && !link->limits.slow_instead_of_refuse && link->limits.rate &&
        !rate_charge(&link->octets, rate, 4 * rate, (guint)octets, now))
        pause_reading(link);
}

static guint wait_for_rates(struct link *link, gint64 now)
{
    guint rate, burst, octets = (guint)message_max(link);
    if (!link->limits.slow_instead_of_refuse)
        return rate_wait_ms(&link->octets, octets, 4 * octets, now);
    rates(link, &rate, &burst);
    return rate_wait_ms(&link->requests, rate, burst, now);
}

void link_receive_tick(struct link *link, gint64 now, gint64 *next)
{
    if (!link->paused)
        return;
    guint wait_ms = wait_for_rates(link, now);
    if (wait_ms) {
        *next = MIN(*next, now + (gint64)wait_ms * 1000);
        return;
    }
    link->paused = false;
    link->heard_at = now; /* its silence was our doing */
    if (link->message_deadline)
        link->message_deadline = now + (gint64)link->limits.keepalive_ms * 2000;
    link->wire_ops->read(link->wire, true);
}

/* --- requests -----------------------------------------------------------------------------------
 */

static bool check_method(const struct link *link, const char *method, GError **error)
{
    if (!gate_open(link) && strcmp(method, "auth") != 0) {
        problem_set(error, PROBLEM_NOT_AUTHENTICATED, "Send auth before %s.", method);
        return false;
    }
    if (link_method_known(link->protocol, method))
        return true;
    if (!strchr(method, '.') || !link->protocol->application_methods) {
        problem_set(error, PROBLEM_METHOD_NOT_SUPPORTED, "The method %s is not known here.",
                    method);
        return false;
    }
    if (link_method_is_application(method))
        return true;
    problem_set_param(error, PROBLEM_INVALID_MESSAGE, "/method",
                      "An application method is a name, a dot and a domain name.");
    return false;
}

/* A3 */
static bool check_extensions(struct link *link, const struct envelope *envelope,
                             json_t **ret_members, GError **error)
{
    json_t *missing = extension_missing(envelope->message, link->protocol->extensions);
    if (!missing)
        return true;
    *ret_members = json_pack("{s:o}", "unsupportedExtension", missing);
    problem_set(error, PROBLEM_EXTENSION_NOT_SUPPORTED,
                "The request requires an extension that is not supported here.");
    return false;
}

static bool check_request(struct link *link, const struct envelope *envelope, json_t **ret_members,
                          GError **error)
{
    if (!check_method(link, envelope->method, error) ||
        !check_extensions(link, envelope, ret_members, error))
        return false;
    if (link->transactions.length >= link->limits.transactions_max ||
        link->transaction_octets >= MESSAGES_IN_PROGRESS * (gsize)link->limits.message_max) {
        problem_set_retry(error, PROBLEM_TOO_MANY_REQUESTS, 1,
                          "Too many requests of this connection are in progress.");
        return false;
    }
    return true;
}

static void deliver(struct link *link, struct envelope *envelope)
{
    struct link_transaction *transaction = g_new0(struct link_transaction, 1);
    transaction->link = link;
    transaction->id = envelope->id;
    transaction->method = envelope->method;
    transaction->name = g_strdup_printf("%s/%" G_GUINT64_FORMAT, envelope->method, envelope->id);
    transaction->message = g_steal_pointer(&envelope->message);
    transaction->octets = link->partial->len;
    link->transaction_octets += transaction->octets;
    g_queue_push_tail(&link->transactions, transaction);
    link->ops->request(link, transaction, link->user);
}

static void handle_new_request(struct link *link, struct envelope *envelope, gint64 now)
{
    g_autoptr(GError) error = NULL;
    json_t *members = NULL;
    guint wait_ms = 0;
    if (!within_rates(link, now, &wait_ms))
        too_many(&error, wait_ms);
    else if (!strcmp(envelope->method, "keepalive"))
        check_extensions(link, envelope, &members, &error);
    else if (check_request(link, envelope, &members, &error)) {
        deliver(link, envelope);
        return;
    }
    respond(link, envelope->id, envelope->method, error, members, true);
}

static void handle_request(struct link *link, struct envelope *envelope)
{
    gint64 now = g_get_monotonic_time();
    GBytes *stored = NULL;
    guint wait_ms = 0;
    enum transaction_verdict verdict =
        transaction_peer_request(&link->peer, envelope->id, now, &stored);
    g_autoptr(GError) error = NULL;
    switch (verdict) {
    case TRANSACTION_NEW:
        handle_new_request(link, envelope, now);
        return;
    case TRANSACTION_IN_PROGRESS:
        charge_junk(link);
        return;
    case TRANSACTION_REPLAY:
        /* Above the rate a replay is dropped: a 429 would look like the answer to the first. */
        if (within_rates(link, now, &wait_ms))
            link_send(link, stored);
        return;
    case TRANSACTION_REUSED:
        problem_set_param(&error, PROBLEM_TRANSACTION_ID_REUSED, "/transactionId",
                          "This transactionId was used before on this connection.");
        break;
    case TRANSACTION_PARITY:
        problem_set_param(&error, PROBLEM_TRANSACTION_ID_PARITY, "/transactionId",
                          "This side of the connection uses %s transactionIds.",
                          link->peer.parity ? "odd" : "even");
        break;
    }
    if (!within_rates(link, now, &wait_ms)) {
        g_clear_error(&error);
        too_many(&error, wait_ms);
    }
    respond(link, envelope->id, envelope->method, error, NULL, false);
}

static void handle_invalid(struct link *link, const struct envelope *envelope, GError *problem)
{
    g_autoptr(GError) error = problem;
    guint wait_ms = 0;
    if (!within_rates(link, g_get_monotonic_time(), &wait_ms)) {
        g_clear_error(&error);
        too_many(&error, wait_ms);
    }
    respond(link, envelope->id, envelope->method, error, NULL, false);
}

/* --- messages --------------------------------------------------------------------------------- */

static void handle_message(struct link *link, const char *text, gsize length)
{
    link_trace(link, true, text, length);
    /* A NUL is valid UTF-8 but never JSON. */
    if (!memchr(text, 0, length) && !g_utf8_validate(text, (gssize)length, NULL)) {
        link_problem_close(link, LINK_CLOSE_INVALID_TEXT, "the text is not UTF-8");
        return;
    }
    struct envelope envelope;
    GError *error = NULL;
    switch (envelope_parse(text, length, &envelope, &error)) {
    case ENVELOPE_REQUEST:
        handle_request(link, &envelope);
        break;
    case ENVELOPE_RESPONSE:
        if (!g_hash_table_contains(link->calls, &envelope.id))
            charge_junk(link);
        link_calls_response(link, envelope.id, envelope.success, envelope.message);
        break;
    case ENVELOPE_INVALID:
        handle_invalid(link, &envelope, error);
        break;
    case ENVELOPE_UNUSABLE: {
        struct log_ids ids = {.link = link->name};
        log_debug(&ids, "malformed message: %s", error->message);
        g_clear_error(&error);
        link_problem_close(link, LINK_CLOSE_MALFORMED, "malformed message");
        break;
    }
    }
    envelope_clear(&envelope);
}

static bool take_piece(struct link *link, const void *data, gsize length)
{
    gsize max = message_max(link);
    if (length > max - MIN(max, link->partial->len)) { /* A1: over all fragments */
        link_problem_close(link, LINK_CLOSE_TOO_LARGE, "the message is too large");
        return false;
    }
    g_byte_array_append(link->partial, data, (guint)length);
    return true;
}

void link_wire_received(struct link *link, const void *data, gsize length, bool first, bool last,
                        bool binary)
{
    if (link->state != LINK_OPEN)
        return;
    link_count_octets(true, length);
    if (binary) {
        link_problem_close(link, LINK_CLOSE_UNSUPPORTED_DATA, "only text messages");
        return;
    }
    gint64 now = g_get_monotonic_time();
    charge_octets(link, length, now);
    if (first) {
        g_byte_array_set_size(link->partial, 0);
        /* The time of a message is limited as a whole: a peer that sends an octet a second is as
         * silent as one that sends none. */
        link->message_deadline = now + (gint64)link->limits.keepalive_ms * 2000;
        if (!last && link->limits.keepalive_ms)
            link_schedule(link);
    }
    if (!take_piece(link, data, length) || !last)
        return;
    link->message_deadline = 0;
    link->heard_at = now;
    const char *text = link->partial->len ? (const char *)link->partial->data : "";
    handle_message(link, text, link->partial->len);
    if (link->partial->len > PARTIAL_KEEP) {
        g_byte_array_unref(link->partial);
        link->partial = g_byte_array_new();
    } else {
        g_byte_array_set_size(link->partial, 0);
    }
}

void link_receive_finish(struct link *link)
{
    struct link_transaction *transaction;
    while ((transaction = g_queue_pop_head(&link->transactions)))
        transaction->link = NULL; /* the program still owns it and may answer in vain */
}
