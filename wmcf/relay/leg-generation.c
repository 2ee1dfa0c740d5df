/* SPDX-License-Identifier: Apache-2.0 */
/* ICE generations of a leg (RFC 8445 9): the credentials in force, those of a restart that has no
 * answer yet, and the former ones, which go on while the pair that they nominated is in use. The
 * endpoint may check with new credentials before we are told that they are in force; what it names
 * then is remembered and acted on later, so that a rollback finds the old pair untouched. */
#include "wmcf/relay/leg.h"

#include "wmcf/relay/worker.h"

#include <string.h>

#define FORMER_US 3000000 /* RFC 8445 8.3: so long after the nomination the old is answered */

static void drop(struct worker_leg *leg, struct ice_credentials **credentials)
{
    if (!*credentials)
        return;
    ice_server_remove(leg->worker->ice, *credentials);
    g_clear_pointer(credentials, ice_credentials_free);
}

void worker_leg_add_ice(struct worker_leg *leg)
{
    ice_server_add(leg->worker->ice, leg->ice);
}

void worker_leg_forget_ice(struct worker_leg *leg)
{
    drop(leg, &leg->former_ice);
    drop(leg, &leg->next_ice);
    drop(leg, &leg->ice);
}

void worker_leg_prepare_ice(struct worker_leg *leg, const char *ufrag, const char *pwd)
{
    worker_leg_cancel_ice(leg);
    leg->next_ice = ice_credentials_new(ufrag, pwd, leg->ice->role, leg);
    leg->next_ice->generation = ++leg->generations;
    ice_server_add(leg->worker->ice, leg->next_ice);
}

void worker_leg_cancel_ice(struct worker_leg *leg)
{
    if (!leg->next_ice)
        return;
    for (unsigned i = 0; i < leg->n_paths; i++) {
        struct ice_path *path = &leg->paths[i];
        if (path->generation == leg->next_ice->generation) {
            path->generation = leg->ice->generation;
            path->named_early = false;
        }
    }
    drop(leg, &leg->next_ice);
}

/* The prepared credentials come into force. */
static void begin_generation(struct worker_leg *leg)
{
    bool in_use = leg->nominated >= 0 && leg->nominated_generation == leg->ice->generation;
    if (in_use || !leg->former_ice) {
        drop(leg, &leg->former_ice);
        leg->former_ice = leg->ice;
        leg->former_until = 0;
    } else {
        drop(leg, &leg->ice); /* it came to nothing; an older one still carries media */
    }
    leg->ice = g_steal_pointer(&leg->next_ice);
}

/* What the endpoint did with these credentials before they were in force. */
static void catch_up(struct worker_leg *leg, int64_t now)
{
    for (unsigned i = 0; i < leg->n_paths; i++) {
        struct ice_path *path = &leg->paths[i];
        if (path->generation != leg->ice->generation)
            continue;
        bool named = path->named_early;
        path->named_early = false;
        if (worker_leg_checks(leg))
            worker_leg_trigger_check(leg, path, named, now);
        else if (named)
            worker_leg_nominate(leg, i, leg->ice->generation, now);
    }
}

void worker_leg_set_remote_ice(struct worker_leg *leg, const struct ice_remote *remote,
                               const struct ice_candidate *candidates, unsigned n, int64_t now)
{
    struct ice_credentials *ice = leg->ice;
    bool same = !leg->next_ice && strcmp(ice->remote_ufrag, remote->ufrag) == 0 &&
                strcmp(ice->remote_pwd, remote->pwd) == 0;
    if (!same) {
        if (leg->next_ice)
            begin_generation(leg);
        ice = leg->ice;
        g_strlcpy(ice->remote_ufrag, remote->ufrag, sizeof ice->remote_ufrag);
        g_strlcpy(ice->remote_pwd, remote->pwd, sizeof ice->remote_pwd);
        ice->role = remote->role;
        if (worker_leg_checks(leg))
            worker_leg_begin_checks(leg, now);
        catch_up(leg, now);
    }
    if (worker_leg_checks(leg))
        worker_leg_add_candidates(leg, candidates, n, remote->complete, now);
}

const struct ice_credentials *worker_leg_nominated_ice(const struct worker_leg *leg)
{
    if (leg->former_ice && leg->nominated_generation <= leg->former_ice->generation)
        return leg->former_ice;
    return leg->ice;
}

void worker_leg_retire_ice(struct worker_leg *leg, int64_t now)
{
    if (!leg->former_ice || leg->nominated_generation != leg->ice->generation)
        return;
    if (!leg->former_until)
        leg->former_until = now + FORMER_US;
    if (now < leg->former_until)
        return;
    drop(leg, &leg->former_ice);
    worker_leg_forget_former_paths(leg);
}
