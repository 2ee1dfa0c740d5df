/* SPDX-License-Identifier: Apache-2.0 */
/* Paths: addresses from which the endpoint has sent an authenticated Binding request, or answered
 * one. One of them is nominated and gets what we send. An endpoint may nominate as often as it
 * likes; the control thread hears of it at most ten times a second. */
#include "wmcf/relay/leg.h"

#include "wmcf/relay/leg-bandwidth.h"
#include "wmcf/relay/worker.h"

#include <string.h>

#define PRIORITY 0x6e7fffff /* RFC 8445 5.1.2: of a peer-reflexive candidate */
#define TELL_INTERVAL_US 100000
#define ASK_INTERVAL_US 50000
#define ALTERNATE_US 1000000 /* two nominations closer than that are no move */
#define SILENT_US 10000000   /* consent is renewed every 5 s (RFC 7675 5.1) */

static int find_path(const struct worker_leg *leg, const struct media_socket *socket,
                     const union socket_address *remote)
{
    for (unsigned i = 0; i < leg->n_paths; i++) {
        if (leg->paths[i].socket == socket && socket_address_equal(&leg->paths[i].remote, remote))
            return (int)i;
    }
    return -1;
}

static void remove_path(struct worker_leg *leg, unsigned i)
{
    struct ice_path *path = &leg->paths[i];
    address_table_remove(leg->worker->addresses, path->socket->index, &path->remote, leg);
    leg->n_paths--;
    if (leg->nominated == (int)i)
        leg->nominated = -1;
    else if (leg->nominated == (int)leg->n_paths)
        leg->nominated = (int)i;
    leg->paths[i] = leg->paths[leg->n_paths];
}

static unsigned oldest_path(const struct worker_leg *leg)
{
    unsigned oldest = leg->nominated == 0 ? 1 : 0;
    for (unsigned i = 0; i < leg->n_paths; i++) {
        if ((int)i != leg->nominated &&
            leg->paths[i].last_request < leg->paths[oldest].last_request)
            oldest = i;
    }
    return oldest;
}

/* True when the address is free for us: nobody's, or its owner no longer lives on it. */
static bool take_over(struct worker_leg *leg, struct media_socket *socket,
                      const union socket_address *remote, int64_t now)
{
    struct worker_leg *owner = address_table_find(leg->worker->addresses, socket->index, remote);
    if (!owner || owner == leg)
        return true;
    int i = find_path(owner, socket, remote);
    g_return_val_if_fail(i >= 0, true);
    if (i == owner->nominated &&
        now - MAX(owner->paths[i].last_request, owner->paths[i].last_answer) <=
            leg->worker->limits.consent_timeout)
        return false;
    remove_path(owner, (unsigned)i);
    return true;
}

void worker_leg_tell_nomination(struct worker_leg *leg, int64_t now)
{
    struct ice_path *path = worker_leg_nominated(leg);
    if (!path)
        return;
    leg->nomination_pending = false;
    leg->nomination_told = now;
    worker_leg_bind_pair(leg, path);
    struct event *event = g_new0(struct event, 1);
    event->kind = EVENT_ICE_CONNECTED;
    event->leg = leg->handle;
    socket_address_to_storage(&path->socket->local, &event->pair.local);
    socket_address_to_storage(&path->remote, &event->pair.remote);
    worker_post_event(leg->worker, event);
}

/* Is the nominated address there? A full agent has asked before it nominated. */
static void ask(struct worker_leg *leg, int64_t now)
{
    struct ice_path *path = worker_leg_nominated(leg);
    if (!path || path->proven || worker_leg_checks(leg) ||
        (path->asked && now - path->asked < ASK_INTERVAL_US))
        return;
    struct send_batch *batch = worker_batch(leg->worker, path->socket);
    struct ice_question question = {.priority = PRIORITY};
    size_t length = ice_server_ask(leg->worker->ice, worker_leg_nominated_ice(leg), &question,
                                   send_batch_reserve(batch), path->transaction);
    if (!length || !ice_path_admit(path, length))
        return;
    path->asked = now;
    send_batch_commit(batch, &path->remote, length, &leg->send_failed);
}

bool worker_leg_answered(struct worker_leg *leg, struct media_socket *socket,
                         const union socket_address *remote, const uint8_t *message, size_t length,
                         int64_t now)
{
    int i = find_path(leg, socket, remote);
    if (i < 0 || !leg->paths[i].asked ||
        memcmp(leg->paths[i].transaction, message + 8, ICE_TRANSACTION) != 0 ||
        ice_server_judge(leg->worker->ice, worker_leg_nominated_ice(leg), message, length) !=
            ICE_ANSWER_GOOD)
        return false;
    leg->paths[i].proven = true;
    leg->paths[i].last_answer = now;
    leg->paths[i].asked = 0;
    if (worker_leg_checks(leg))
        leg->last_stun = now;
    return true;
}

void worker_leg_count_received(struct worker_leg *leg, struct media_socket *socket,
                               const union socket_address *remote, size_t length)
{
    int i = find_path(leg, socket, remote);
    if (i >= 0)
        leg->paths[i].received += length;
}

void worker_leg_prove_by_handshake(struct worker_leg *leg)
{
    if (leg->nominated >= 0 && leg->nominations == 1)
        leg->paths[leg->nominated].proven = true;
}

void worker_leg_nominate(struct worker_leg *leg, unsigned i, unsigned generation, int64_t now)
{
    if (leg->nominated == (int)i && leg->nominated_generation == generation && leg->connected)
        return;
    /* What waits was counted for the former one, and must not go in a burst to where nobody may be.
     */
    if (leg->nominated >= 0 && leg->nominated != (int)i)
        leg_bandwidth_flush(leg);
    leg->nominated = (int)i;
    leg->nominated_generation = generation;
    leg->nominations++;
    leg_bandwidth_move(leg, &leg->paths[i], now);
    leg->connected = true;
    leg->trusted = false; /* until the new pair has been looked at */
    if (worker_leg_checks(leg) && !leg->paths[i].last_answer) { /* known by its pair alone */
        leg->paths[i].last_answer = now;
        leg->consent_due = now;
    }
    if (leg->nomination_told && now - leg->nomination_told < TELL_INTERVAL_US)
        leg->nomination_pending = true;
    else
        worker_leg_tell_nomination(leg, now);
}

/* A browser names one pair, another one when it moves: the latest counts. Agents with aggressive
 * nomination (RFC 5245 8.1.1.2) name every pair in turn: once two are seen to alternate, the one
 * with the higher priority stays. */
static bool supersedes(const struct worker_leg *leg, int i, int64_t now)
{
    if (leg->nominated < 0)
        return true;
    const struct ice_path *present = &leg->paths[leg->nominated], *other = &leg->paths[i];
    return !other->last_nomination || now - present->last_nomination > ALTERNATE_US ||
           other->priority > present->priority;
}

struct ice_path *worker_leg_path(struct worker_leg *leg, struct media_socket *socket,
                                 const union socket_address *remote, int64_t now)
{
    if (!take_over(leg, socket, remote, now))
        return NULL;
    int i = find_path(leg, socket, remote);
    if (i < 0) {
        if (leg->n_paths == ICE_PATHS_MAX)
            remove_path(leg, oldest_path(leg));
        i = (int)leg->n_paths++;
        leg->paths[i] = (struct ice_path){.remote = *remote, .socket = socket};
        address_table_put(leg->worker->addresses, socket->index, remote, leg);
    }
    return &leg->paths[i];
}

/* USE-CANDIDATE in a request that these credentials have authenticated. */
static void name_path(struct worker_leg *leg, struct ice_path *path,
                      const struct ice_credentials *credentials, int64_t now)
{
    unsigned i = (unsigned)(path - leg->paths);
    unsigned generation = credentials->generation;
    if (credentials == leg->next_ice) {
        path->named_early = true;
        return;
    }
    /* Former credentials say nothing any more once the new ones have named a pair. */
    if (leg->nominated < 0 || generation > leg->nominated_generation ||
        (generation == leg->nominated_generation && leg->nominated != (int)i &&
         supersedes(leg, (int)i, now)))
        worker_leg_nominate(leg, i, generation, now);
    path->last_nomination = now;
}

bool worker_leg_validate(struct worker_leg *leg, struct media_socket *socket,
                         const union socket_address *remote, size_t length,
                         const struct ice_request *request, int64_t now)
{
    const struct ice_credentials *credentials = request->credentials;
    struct ice_path *path = worker_leg_path(leg, socket, remote, now);
    if (!path)
        return false;
    leg->last_stun = now;
    leg->stun_requests++;
    path->last_request = now;
    path->received += length;
    path->sent += request->reply_length; /* which is shorter than the request, so it always goes */
    path->priority = request->priority;
    path->generation = MAX(path->generation, credentials->generation);
    if (request->role_changed && credentials == leg->ice)
        ice_checklist_set_controlling(&leg->checks, leg->ice->role == ICE_CONTROLLING);
    bool use = request->use_candidate;
    if (credentials == leg->ice && worker_leg_checks(leg)) {
        path->named_early |= use && !leg->checks.pairs;
        use = worker_leg_trigger_check(leg, path, use, now);
        if (use)
            ice_checklist_conclude(&leg->checks);
    }
    if (use)
        name_path(leg, path, credentials, now);
    ask(leg, now);
    return true;
}

/* The nominated pair has fallen silent and another one that was nominated has not: the endpoint
 * has settled there. */
static void follow(struct worker_leg *leg, int64_t now)
{
    const struct ice_path *present = worker_leg_nominated(leg);
    if (!present || worker_leg_checks(leg) || now - present->last_request < SILENT_US)
        return;
    for (unsigned i = 0; i < leg->n_paths; i++) {
        const struct ice_path *path = &leg->paths[i];
        if (path->last_nomination && now - path->last_request < SILENT_US / 2) {
            worker_leg_nominate(leg, i, leg->nominated_generation, now);
            return;
        }
    }
}

void worker_leg_forget_paths(struct worker_leg *leg)
{
    while (leg->n_paths)
        remove_path(leg, leg->n_paths - 1);
}

void worker_leg_forget_former_paths(struct worker_leg *leg)
{
    for (unsigned i = leg->n_paths; i-- > 0;) {
        if ((int)i != leg->nominated && leg->paths[i].generation < leg->ice->generation)
            remove_path(leg, i);
    }
}

/* When the path was last known to agree: a full agent asks, a lite one is asked. */
static int64_t last_heard(const struct worker_leg *leg, const struct ice_path *path)
{
    return worker_leg_checks(leg) ? path->last_answer : path->last_request;
}

void worker_leg_check_consent(struct worker_leg *leg, int64_t now)
{
    if (leg->nomination_pending)
        worker_leg_tell_nomination(leg, now);
    if (leg->tunnel)
        return;
    int64_t timeout = leg->worker->limits.consent_timeout;
    worker_leg_retire_ice(leg, now);
    follow(leg, now);
    ask(leg, now);
    worker_leg_ask_consent(leg, now);
    struct ice_path *path = worker_leg_nominated(leg);
    int64_t heard = path ? last_heard(leg, path) : leg->last_stun;
    if (leg->connected && now - heard > timeout) {
        leg->connected = false;
        /* RFC 7675 5.1: without consent nothing may be sent. */
        worker_leg_forget_paths(leg);
        ice_checklist_lose(&leg->checks);
        worker_raise(leg, EVENT_CONSENT_EXPIRED);
        return;
    }
    for (unsigned i = leg->n_paths; i-- > 0;) {
        const struct ice_path *other = &leg->paths[i];
        if ((int)i != leg->nominated &&
            now - MAX(other->last_request, other->last_answer) > timeout)
            remove_path(leg, i);
    }
}
