/* SPDX-License-Identifier: Apache-2.0 */
/* A full agent's own checks: the check list says whom to ask, here the questions are written, sent
 * and their answers led back. A leg is on the worker's list only while it has something to ask; one
 * that is connected costs a question every five seconds. An answer finds its leg by the first half
 * of the transaction, since its address may not be known before. */
#include "wmcf/relay/leg.h"

#include "wmcf/relay/worker.h"

#include <string.h>

#define PEER_REFLEXIVE(priority) (((priority)&0x00ffffffu) | 110u << 24) /* RFC 8445 5.1.2.2 */

/* RFC 7675 5.1: six times before it expires (5 s of 30), 0.8 to 1.2 times that: the upper fifth
 * comes from looking once a second. */
static int64_t consent_interval(const struct worker_leg *leg)
{
    int64_t most = leg->worker->limits.consent_timeout / 6;
    return most - g_random_int() % (most / 5);
}

static void schedule(struct worker_leg *leg)
{
    struct worker *worker = leg->worker;
    if (leg->checking || !ice_checklist_active(&leg->checks))
        return;
    leg->checking = true;
    leg->next_checking = worker->checking;
    worker->checking = leg;
}

static void choose_tag(struct worker_leg *leg)
{
    struct worker *worker = leg->worker;
    if (leg->tag)
        g_hash_table_remove(worker->by_tag, GUINT_TO_POINTER(leg->tag));
    do
        leg->tag = g_random_int();
    while (!leg->tag || g_hash_table_contains(worker->by_tag, GUINT_TO_POINTER(leg->tag)));
    g_hash_table_insert(worker->by_tag, GUINT_TO_POINTER(leg->tag), leg);
}

void worker_leg_begin_checks(struct worker_leg *leg, int64_t now)
{
    choose_tag(leg);
    ice_checklist_reset(&leg->checks, leg->ice->role == ICE_CONTROLLING);
    if (!leg->consent_due)
        leg->consent_due = now;
}

void worker_leg_end_checks(struct worker_leg *leg)
{
    struct worker_leg **at = &leg->worker->checking;
    while (leg->checking && *at != leg)
        at = &(*at)->next_checking;
    if (leg->checking)
        *at = leg->next_checking;
    leg->checking = false;
    if (leg->tag)
        g_hash_table_remove(leg->worker->by_tag, GUINT_TO_POINTER(leg->tag));
    leg->tag = 0;
}

/* RFC 8445 6.1.2.2: pairs of one family; a link-local address would need to say of which link. */
static bool can_pair(const struct media_socket *socket, const union socket_address *remote)
{
    if (socket->local.any.sa_family != remote->any.sa_family || !socket_address_port(remote))
        return false;
    if (remote->any.sa_family == AF_INET)
        return remote->v4.sin_addr.s_addr != INADDR_ANY &&
               !IN_MULTICAST(ntohl(remote->v4.sin_addr.s_addr)) &&
               remote->v4.sin_addr.s_addr != INADDR_BROADCAST;
    const struct in6_addr *a = &remote->v6.sin6_addr;
    return !IN6_IS_ADDR_UNSPECIFIED(a) && !IN6_IS_ADDR_MULTICAST(a) && !IN6_IS_ADDR_LINKLOCAL(a);
}

void worker_leg_add_candidates(struct worker_leg *leg, const struct ice_candidate *candidates,
                               unsigned n, bool complete, int64_t now)
{
    if (!leg->checks.pairs) /* the endpoint's credentials are not known yet */
        return;
    struct media_socket *sockets = leg->own ? leg->own->sockets : leg->worker->sockets;
    unsigned n_sockets = leg->own ? leg->own->n : leg->worker->n_sockets;
    for (unsigned i = 0; i < n; i++)
        for (unsigned s = 0; s < n_sockets; s++)
            if (can_pair(&sockets[s], &candidates[i].address))
                ice_checklist_add(&leg->checks, &sockets[s], sockets[s].priority,
                                  &candidates[i].address, candidates[i].priority);
    leg->checks.complete |= complete;
    if (worker_leg_run_checks(leg, now))
        schedule(leg);
}

bool worker_leg_trigger_check(struct worker_leg *leg, const struct ice_path *path,
                              bool use_candidate, int64_t now)
{
    if (!leg->checks.pairs) /* the endpoint's credentials are not known yet */
        return false;
    bool nominate = ice_checklist_request(&leg->checks, path->socket, path->socket->priority,
                                          &path->remote, path->priority, use_candidate, now);
    if (worker_leg_run_checks(leg, now))
        schedule(leg);
    return nominate;
}

static void send_check(struct worker_leg *leg, struct ice_pair *pair)
{
    struct worker *worker = leg->worker;
    struct send_batch *batch = worker_batch(worker, pair->socket);
    struct ice_question question = {.priority = PEER_REFLEXIVE(pair->local_priority),
                                    .use_candidate = pair->nominates,
                                    .again = true};
    if (pair->tries == 1) {
        memcpy(pair->transaction, &leg->tag, sizeof leg->tag);
        for (size_t i = sizeof leg->tag; i < ICE_TRANSACTION; i += sizeof(uint32_t)) {
            uint32_t random = g_random_int();
            memcpy(pair->transaction + i, &random, sizeof random);
        }
    }
    size_t length = ice_server_ask(worker->ice, leg->ice, &question, send_batch_reserve(batch),
                                   pair->transaction);
    if (length)
        send_batch_commit(batch, &pair->remote, length, &leg->send_failed);
}

bool worker_leg_run_checks(struct worker_leg *leg, int64_t now)
{
    struct ice_pair *pair;
    while ((pair = ice_checklist_next(&leg->checks, now)))
        send_check(leg, pair);
    if (ice_checklist_exhausted(&leg->checks)) {
        struct event *event = g_new0(struct event, 1);
        event->kind = EVENT_ICE_FAILED;
        event->leg = leg->handle;
        event->reason = leg->checks.checks_left
                            ? "no candidate of the endpoint has answered our connectivity checks"
                            : "the limit of connectivity checks is reached, none was answered";
        worker_post_event(leg->worker, event);
    }
    return ice_checklist_active(&leg->checks);
}

static void nominate(struct worker_leg *leg, const struct ice_path *path, int64_t now)
{
    ice_checklist_conclude(&leg->checks);
    leg->consent_due = now + consent_interval(leg);
    worker_leg_nominate(leg, (unsigned)(path - leg->paths), leg->ice->generation, now);
}

bool worker_leg_check_answered(struct worker_leg *leg, struct media_socket *socket,
                               const union socket_address *remote, const uint8_t *message,
                               size_t length, int64_t now)
{
    struct ice_pair *pair = ice_checklist_find(&leg->checks, message + 8);
    if (!pair)
        return false;
    enum ice_answer answer = ice_server_judge(leg->worker->ice, leg->ice, message, length);
    if (answer == ICE_ANSWER_FORGED)
        return false;
    /* RFC 8445 7.2.5.2.1: from where it was asked. */
    if (pair->socket != socket || !socket_address_equal(&pair->remote, remote))
        answer = ICE_ANSWER_REFUSED;
    if (answer == ICE_ANSWER_CONFLICT) {
        ice_credentials_switch_role(leg->ice);
        ice_checklist_set_controlling(&leg->checks, leg->ice->role == ICE_CONTROLLING);
    }
    struct ice_path *path =
        answer == ICE_ANSWER_GOOD ? worker_leg_path(leg, socket, remote, now) : NULL;
    if (answer == ICE_ANSWER_GOOD && !path)
        answer = ICE_ANSWER_REFUSED; /* the address is another leg's */
    bool use = ice_checklist_answered(&leg->checks, pair, answer, now);
    if (path) {
        leg->last_stun = now;
        path->proven = true;
        path->last_answer = now;
        path->generation = leg->ice->generation;
    }
    if (path && use)
        nominate(leg, path, now);
    if (worker_leg_run_checks(leg, now))
        schedule(leg);
    return answer == ICE_ANSWER_GOOD || answer == ICE_ANSWER_CONFLICT;
}

void worker_leg_ask_consent(struct worker_leg *leg, int64_t now)
{
    struct ice_path *path = worker_leg_nominated(leg);
    if (!path || !worker_leg_checks(leg))
        return;
    ice_checklist_refill(&leg->checks);
    if (now < leg->consent_due)
        return;
    struct send_batch *batch = worker_batch(leg->worker, path->socket);
    struct ice_question question = {
        .priority = PEER_REFLEXIVE(path->socket->priority),
        /* what a controlling agent asks on its pair repeats what it has said of it */
        .use_candidate = worker_leg_nominated_ice(leg)->role == ICE_CONTROLLING};
    size_t length = ice_server_ask(leg->worker->ice, worker_leg_nominated_ice(leg), &question,
                                   send_batch_reserve(batch), path->transaction);
    if (!length)
        return;
    path->asked = now;
    leg->consent_due = now + consent_interval(leg);
    send_batch_commit(batch, &path->remote, length, &leg->send_failed);
}
