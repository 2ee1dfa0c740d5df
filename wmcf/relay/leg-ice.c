/* SPDX-License-Identifier: Apache-2.0 */
/* Paths: addresses from which the endpoint has sent an authenticated Binding request. One of them
 * is nominated and gets what we send. An endpoint may nominate as often as it likes; the control
 * thread hears of it at most ten times a second. */
#include "wmcf/relay/leg.h"

#include "wmcf/relay/worker.h"

#include <string.h>

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
        now - owner->paths[i].last_request <= leg->worker->limits.consent_timeout)
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
    struct event *event = g_new0(struct event, 1);
    event->kind = EVENT_ICE_CONNECTED;
    event->leg = leg->handle;
    socket_address_to_storage(&path->socket->local, &event->pair.local);
    socket_address_to_storage(&path->remote, &event->pair.remote);
    worker_post_event(leg->worker, event);
}

/* Is the nominated address there? */
static void ask(struct worker_leg *leg, int64_t now)
{
    struct ice_path *path = worker_leg_nominated(leg);
    if (!path || path->proven || (path->asked && now - path->asked < ASK_INTERVAL_US))
        return;
    struct send_batch *batch = leg->worker->batches[path->socket->index];
    uint8_t *out = send_batch_reserve(batch);
    size_t length = ice_server_ask(leg->worker->ice, &leg->credentials, out, path->transaction);
    if (!length || !ice_path_admit(path, length))
        return;
    path->asked = now;
    send_batch_commit(batch, &path->remote, length, &leg->send_failed);
}

bool worker_leg_answered(struct worker_leg *leg, struct media_socket *socket,
                         const union socket_address *remote, const uint8_t *transaction)
{
    int i = find_path(leg, socket, remote);
    if (i < 0 || !leg->paths[i].asked ||
        memcmp(leg->paths[i].transaction, transaction, ICE_TRANSACTION) != 0)
        return false;
    leg->paths[i].proven = true;
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

static void nominate(struct worker_leg *leg, int i, int64_t now)
{
    leg->nominated = i;
    leg->nominations++;
    leg->connected = true;
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

bool worker_leg_validate(struct worker_leg *leg, struct media_socket *socket,
                         const union socket_address *remote, size_t length,
                         const struct ice_request *request, int64_t now)
{
    if (!take_over(leg, socket, remote, now))
        return false;
    leg->last_stun = now;
    leg->stun_requests++;
    int i = find_path(leg, socket, remote);
    if (i < 0) {
        if (leg->n_paths == ICE_PATHS_MAX)
            remove_path(leg, oldest_path(leg));
        i = (int)leg->n_paths++;
        leg->paths[i] = (struct ice_path){.remote = *remote, .socket = socket};
        address_table_put(leg->worker->addresses, socket->index, remote, leg);
    }
    struct ice_path *path = &leg->paths[i];
    path->last_request = now;
    path->received += length;
    path->priority = request->priority;
    if (request->use_candidate) {
        if (leg->nominated != i && supersedes(leg, i, now))
            nominate(leg, i, now);
        path->last_nomination = now;
    }
    ask(leg, now);
    return true;
}

/* The nominated pair has fallen silent and another one that was nominated has not: the endpoint
 * has settled there. */
static void follow(struct worker_leg *leg, int64_t now)
{
    const struct ice_path *present = worker_leg_nominated(leg);
    if (!present || now - present->last_request < SILENT_US)
        return;
    for (unsigned i = 0; i < leg->n_paths; i++) {
        const struct ice_path *path = &leg->paths[i];
        if (path->last_nomination && now - path->last_request < SILENT_US / 2) {
            nominate(leg, (int)i, now);
            return;
        }
    }
}

void worker_leg_forget_paths(struct worker_leg *leg)
{
    while (leg->n_paths)
        remove_path(leg, leg->n_paths - 1);
}

void worker_leg_check_consent(struct worker_leg *leg, int64_t now)
{
    if (leg->nomination_pending)
        worker_leg_tell_nomination(leg, now);
    int64_t timeout = leg->worker->limits.consent_timeout;
    follow(leg, now);
    ask(leg, now);
    struct ice_path *path = worker_leg_nominated(leg);
    int64_t heard = path ? path->last_request : leg->last_stun;
    if (leg->connected && now - heard > timeout) {
        leg->connected = false;
        /* RFC 7675 5.1: without consent nothing may be sent. */
        worker_leg_forget_paths(leg);
        worker_raise(leg, EVENT_CONSENT_EXPIRED);
        return;
    }
    for (unsigned i = leg->n_paths; i-- > 0;) {
        if ((int)i != leg->nominated && now - leg->paths[i].last_request > timeout)
            remove_path(leg, i);
    }
}
