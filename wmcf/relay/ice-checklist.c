/* SPDX-License-Identifier: Apache-2.0 */
/* Which pair is asked when. Host candidates alone on our side make RFC 8445 small: one stream, one
 * component, so foundations and frozen pairs do not matter, and the list needs no order: the best
 * of a few dozen is found by looking. Nomination is regular (RFC 8445 8.1.1): as soon as no better
 * pair can be expected, at the latest a moment after the first good one. */
#include "wmcf/relay/ice-checklist.h"

#include <string.h>

void ice_checklist_init(struct ice_checklist *list, unsigned pairs_max, unsigned checks_max)
{
    *list = (struct ice_checklist){.max = pairs_max, .checks_max = checks_max};
}

void ice_checklist_finish(struct ice_checklist *list)
{
    g_clear_pointer(&list->pairs, g_free);
    list->n = 0;
}

void ice_checklist_reset(struct ice_checklist *list, bool controlling)
{
    if (!list->pairs)
        list->pairs = g_new0(struct ice_pair, list->max);
    *list = (struct ice_checklist){.pairs = list->pairs,
                                   .max = list->max,
                                   .checks_left = list->checks_max,
                                   .checks_max = list->checks_max,
                                   .controlling = controlling};
}

/* RFC 8445 6.1.2.3 */
static uint64_t pair_priority(const struct ice_checklist *list, const struct ice_pair *pair)
{
    uint64_t g = list->controlling ? pair->local_priority : pair->remote_priority;
    uint64_t d = list->controlling ? pair->remote_priority : pair->local_priority;
    return (MIN(g, d) << 32) + 2 * MAX(g, d) + (g > d);
}

void ice_checklist_set_controlling(struct ice_checklist *list, bool controlling)
{
    list->controlling = controlling;
    for (unsigned i = 0; i < list->n; i++)
        list->pairs[i].priority = pair_priority(list, &list->pairs[i]);
}

static struct ice_pair *find(struct ice_checklist *list, const struct media_socket *socket,
                             const union socket_address *remote)
{
    for (unsigned i = 0; i < list->n; i++)
        if (list->pairs[i].socket == socket && socket_address_equal(&list->pairs[i].remote, remote))
            return &list->pairs[i];
    return NULL;
}

static struct ice_pair *place(struct ice_checklist *list, bool may_replace)
{
    if (list->n < list->max)
        return &list->pairs[list->n++];
    for (unsigned i = 0; may_replace && i < list->n; i++)
        if (list->pairs[i].state == ICE_PAIR_FAILED)
            return &list->pairs[i];
    return NULL;
}

static struct ice_pair *add(struct ice_checklist *list, struct media_socket *socket,
                            uint32_t local_priority, const union socket_address *remote,
                            uint32_t remote_priority, bool may_replace)
{
    struct ice_pair *pair = place(list, may_replace);
    if (!pair)
        return NULL;
    *pair = (struct ice_pair){.socket = socket,
                              .remote = *remote,
                              .local_priority = local_priority,
                              .remote_priority = remote_priority};
    pair->priority = pair_priority(list, pair);
    return pair;
}

bool ice_checklist_add(struct ice_checklist *list, struct media_socket *socket,
                       uint32_t local_priority, const union socket_address *remote,
                       uint32_t remote_priority)
{
    if (find(list, socket, remote))
        return true;
    if (!add(list, socket, local_priority, remote, remote_priority, false))
        return false;
    list->failed = false;
    return true;
}

struct ice_pair *ice_checklist_find(struct ice_checklist *list,
                                    const uint8_t transaction[ICE_TRANSACTION])
{
    for (unsigned i = 0; i < list->n; i++)
        if (list->pairs[i].outstanding &&
            memcmp(list->pairs[i].transaction, transaction, ICE_TRANSACTION) == 0)
            return &list->pairs[i];
    return NULL;
}

/* --- what is due ------------------------------------------------------------------------------ */

static struct ice_pair *ask(struct ice_checklist *list, struct ice_pair *pair, bool nominates,
                            int64_t now)
{
    list->checks_left--;
    pair->tries = 1;
    pair->due = now + ICE_RTO_US;
    pair->outstanding = true;
    pair->nominates = nominates;
    pair->triggered = false;
    if (pair->state != ICE_PAIR_SUCCEEDED)
        pair->state = ICE_PAIR_IN_PROGRESS;
    return pair;
}

static void fail(struct ice_pair *pair)
{
    pair->outstanding = pair->nominates = pair->triggered = pair->wanted = false;
    pair->state = ICE_PAIR_FAILED;
}

static struct ice_pair *repeat(struct ice_checklist *list, int64_t now)
{
    for (unsigned i = 0; i < list->n; i++) {
        struct ice_pair *pair = &list->pairs[i];
        if (!pair->outstanding || now < pair->due)
            continue;
        if (pair->tries >= ICE_TRIES) {
            fail(pair);
            continue;
        }
        list->checks_left--;
        pair->due = now + ((int64_t)ICE_RTO_US << MIN(pair->tries, 3u));
        pair->tries++;
        return pair;
    }
    return NULL;
}

static struct ice_pair *best(struct ice_checklist *list, enum ice_pair_state state, bool triggered)
{
    struct ice_pair *found = NULL;
    for (unsigned i = 0; i < list->n; i++) {
        struct ice_pair *pair = &list->pairs[i];
        if (pair->state == state && (!triggered || pair->triggered) &&
            (!found || pair->priority > found->priority))
            found = pair;
    }
    return found;
}

static bool nominating(const struct ice_checklist *list)
{
    for (unsigned i = 0; i < list->n; i++)
        if (list->pairs[i].outstanding && list->pairs[i].nominates)
            return true;
    return false;
}

/* RFC 8445 8.1.1: the controlling agent names the pair. */
static struct ice_pair *to_nominate(struct ice_checklist *list, int64_t now)
{
    if (!list->controlling || list->concluded || nominating(list))
        return NULL;
    struct ice_pair *good = best(list, ICE_PAIR_SUCCEEDED, false);
    for (unsigned i = 0; good && now < list->settle_at && i < list->n; i++)
        if (list->pairs[i].state <= ICE_PAIR_IN_PROGRESS &&
            list->pairs[i].priority > good->priority)
            return NULL;
    return good;
}

struct ice_pair *ice_checklist_next(struct ice_checklist *list, int64_t now)
{
    if (list->checks_left == 0)
        return NULL;
    struct ice_pair *pair = repeat(list, now);
    if (pair || list->checks_left == 0)
        return pair;
    if ((pair = to_nominate(list, now)))
        return ask(list, pair, true, now);
    if (now < list->next_check)
        return NULL;
    pair = best(list, ICE_PAIR_WAITING, true);
    if (!pair && !list->concluded)
        pair = best(list, ICE_PAIR_WAITING, false);
    if (!pair)
        return NULL;
    list->next_check = now + ICE_TA_US;
    return ask(list, pair, false, now);
}

/* --- what comes ------------------------------------------------------------------------------- */

bool ice_checklist_answered(struct ice_checklist *list, struct ice_pair *pair,
                            enum ice_answer answer, int64_t now)
{
    bool nominates = pair->nominates;
    pair->outstanding = pair->nominates = false;
    if (answer == ICE_ANSWER_CONFLICT) { /* RFC 8445 7.2.5.1: once more, in the other role */
        pair->state = ICE_PAIR_WAITING;
        pair->triggered = true;
        return false;
    }
    if (answer != ICE_ANSWER_GOOD) {
        fail(pair);
        return false;
    }
    pair->state = ICE_PAIR_SUCCEEDED;
    list->failed = false;
    if (!list->settle_at)
        list->settle_at = now + ICE_SETTLE_US;
    if (list->controlling)
        return nominates;
    bool wanted = pair->wanted; /* RFC 8445 7.3.1.5 */
    pair->wanted = false;
    return wanted;
}

bool ice_checklist_request(struct ice_checklist *list, struct media_socket *socket,
                           uint32_t local_priority, const union socket_address *remote,
                           uint32_t remote_priority, bool use_candidate, int64_t now)
{
    struct ice_pair *pair = find(list, socket, remote);
    if (list->concluded && list->controlling)
        return false; /* we have named our pair */
    if (!pair)        /* a peer-reflexive candidate, RFC 8445 7.3.1.3 */
        pair = add(list, socket, local_priority, remote, remote_priority, true);
    if (!pair)
        return false;
    use_candidate &= !list->controlling;
    switch (pair->state) {
    case ICE_PAIR_SUCCEEDED:
        return use_candidate;
    case ICE_PAIR_IN_PROGRESS: /* the way is open now: ask again at once */
        pair->due = now;
        break;
    case ICE_PAIR_FAILED:
        pair->state = ICE_PAIR_WAITING;
        list->failed = false;
        G_GNUC_FALLTHROUGH;
    case ICE_PAIR_WAITING:
        pair->triggered = true;
        break;
    }
    pair->wanted |= use_candidate;
    return false;
}

void ice_checklist_conclude(struct ice_checklist *list)
{
    list->concluded = true;
    for (unsigned i = 0; i < list->n; i++)
        if (list->pairs[i].state != ICE_PAIR_SUCCEEDED)
            fail(&list->pairs[i]);
}

void ice_checklist_refill(struct ice_checklist *list)
{
    if (list->concluded && list->checks_left < list->checks_max)
        list->checks_left++;
}

void ice_checklist_lose(struct ice_checklist *list)
{
    for (unsigned i = 0; i < list->n; i++)
        fail(&list->pairs[i]);
    list->concluded = false;
    list->settle_at = 0;
    list->checks_left = list->checks_max;
    list->failed = true; /* the caller knows */
}

bool ice_checklist_exhausted(struct ice_checklist *list)
{
    if (list->concluded || list->failed || list->n == 0)
        return false;
    for (unsigned i = 0; i < list->n && list->checks_left; i++)
        if (list->pairs[i].state != ICE_PAIR_FAILED || !list->complete)
            return false;
    list->failed = true;
    return true;
}

bool ice_checklist_active(const struct ice_checklist *list)
{
    if (list->checks_left == 0)
        return false;
    for (unsigned i = 0; i < list->n; i++) {
        const struct ice_pair *pair = &list->pairs[i];
        if (pair->outstanding || pair->triggered ||
            (!list->concluded && pair->state != ICE_PAIR_FAILED))
            return true;
    }
    return false;
}
