/* SPDX-License-Identifier: Apache-2.0 */
/* The choice of the level, and what keeps it from working. In "auto" a level that fails gives way
 * to the next one, at the start for all and later transport by transport; a level that the operator
 * has named is required, and what it cannot hold is refused. */
#define LOG_CATEGORY "qos"
#include "qos/level.h"

#include "base/problem.h"
#include "qos/tc.h"
#include "qos/trust.h"

#include <string.h>

static const struct level_ops *const levels[] = {&level_bpf, &level_flower};

static bool is_wanted(const struct qos *qos, const struct level_ops *ops)
{
    switch (qos->config.level) {
    case QOS_AUTO:
        return true;
    case QOS_TC_BPF:
        return ops == &level_bpf;
    case QOS_TC_FLOWER:
        return ops == &level_flower;
    case QOS_RELAY:
        return false;
    }
    return false;
}

static void choose(struct qos *qos)
{
    g_autoptr(GString) why = g_string_new(NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(levels) && !qos->level; i++) {
        g_autoptr(GError) error = NULL;
        if (!is_wanted(qos, levels[i]))
            continue;
        qos->level = levels[i]->start(qos, &error);
        if (qos->level)
            qos->ops = levels[i];
        else
            g_string_append_printf(why, "%s%s: %s", why->len ? "; " : "", levels[i]->name,
                                   error->message);
    }
    if (qos->level && qos->ops == levels[0])
        g_string_assign(why, "the highest level");
    else if (qos->config.level == QOS_RELAY || (qos->config.level == QOS_TC_FLOWER && qos->level))
        g_string_assign(why, "chosen by the configuration");
    g_free(qos->reason); /* a level reports while it starts */
    qos->reason = g_strdup(why->str);
    if (qos_is_required(qos) && !qos->level)
        qos->impediment = g_strdup(why->str);
}

struct qos *qos_new(const struct qos_config *config, GError **error)
{
    g_autoptr(GArray) trusted = trust_read(config->trusted, error);
    if (!trusted)
        return NULL;
    struct qos *qos = g_new0(struct qos, 1);
    qos->config = *config;
    qos->config.owner = g_strdup(config->owner);
    qos->config.interfaces = (const char *const *)g_strdupv((char **)config->interfaces);
    qos->config.trusted = NULL;
    qos->trusted = g_steal_pointer(&trusted);
    choose(qos);
    return qos;
}

void qos_free(struct qos *qos)
{
    if (!qos)
        return;
    g_warn_if_fail(qos->transports == 0);
    if (qos->level)
        qos->ops->stop(qos->level);
    g_free((char *)qos->config.owner);
    g_strfreev((char **)qos->config.interfaces);
    g_array_unref(qos->trusted);
    g_free(qos->reason);
    g_free(qos->impediment);
    g_free(qos);
}

const char *qos_level_name(const struct qos *qos)
{
    if (qos->ops)
        return qos->ops->name;
    return qos_is_required(qos) ? "none" : "relay";
}

const char *qos_level_reason(const struct qos *qos)
{
    return qos->impediment ? qos->impediment : qos->reason;
}

void qos_set_listener(struct qos *qos, void (*changed)(void *user), void *user)
{
    qos->changed = changed;
    qos->changed_user = user;
}

void qos_report(struct qos *qos, const char *reason, const char *impediment)
{
    if (g_strcmp0(qos->reason, reason) == 0 && g_strcmp0(qos->impediment, impediment) == 0)
        return;
    g_free(qos->reason);
    g_free(qos->impediment);
    qos->reason = g_strdup(reason);
    qos->impediment = g_strdup(impediment);
    if (qos->changed)
        qos->changed(qos->changed_user);
}

char *qos_sweep(struct qos *qos)
{
    if (qos->level && qos->ops->sweep)
        return qos->ops->sweep(qos->level);
    /* Without BPF, what an earlier run with it has left behind would judge our packets by gates
     * that nobody moves any more. */
    struct tc *tc = tc_new(NULL);
    char *told = tc ? tc_sweep(tc, qos->config.owner, NULL, NULL) : NULL;
    tc_free(tc);
    return told;
}

bool qos_check(const struct qos *qos, const struct qos_policy *policy, GError **error)
{
    if (!qos || !qos->impediment || !qos_is_required(qos))
        return true;
    /* What takes something away is always possible. */
    bool holds =
        (policy->has_status && policy->status != QOS_DISABLED && policy->status != QOS_REMOVED) ||
        (policy->has_policing && policy->policing.present) || policy->tagging != QOS_TAGGING_NONE;
    if (!holds)
        return true;
    problem_set(error, PROBLEM_ENFORCEMENT_UNAVAILABLE, "the policy cannot be enforced: %s",
                qos->impediment);
    return false;
}

void qos_add_address(struct qos *qos, const struct sockaddr *local)
{
    if (qos->level && qos->ops->add_address)
        qos->ops->add_address(qos->level, local);
}

void qos_add_port(struct qos *qos, uint16_t port)
{
    if (qos->level && qos->ops->add_port)
        qos->ops->add_port(qos->level, port);
}

void qos_remove_port(struct qos *qos, uint16_t port)
{
    if (qos->level && qos->ops->remove_port)
        qos->ops->remove_port(qos->level, port);
}

uint32_t qos_judged_mark(const struct qos *qos)
{
    return qos->level ? qos->config.judged_mark : 0;
}

bool qos_allows_runs(const struct qos *qos)
{
    return !qos->level || !qos->ops->blind_to_runs;
}

bool qos_trusts(const struct qos *qos, const struct sockaddr *remote)
{
    return trust_holds(qos->trusted, remote);
}

bool qos_has_trusted(const struct qos *qos)
{
    return qos->trusted->len > 0;
}

void qos_stats(const struct qos *qos, struct qos_stats *ret)
{
    *ret = (struct qos_stats){.flows = qos->flows, .transports = qos->transports};
    if (qos->level && qos->ops->stats)
        qos->ops->stats(qos->level, ret);
}
