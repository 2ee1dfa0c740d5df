/* SPDX-License-Identifier: Apache-2.0 */
/* What holds the policies of this process: read from the configuration, told once at the start and
 * again at each change, to the log and to the WSFs. A required level that does not work is no
 * reason not to start: calls with closed gates, audits and statistics go on, and what would have to
 * be held is refused with the sentence that stands in the log. */
#define LOG_CATEGORY "enforcement"
#include "wmcf/enforcement.h"

#include "base/log.h"
#include "base/metrics.h"
#include "wmcf/controller.h"

#include <unistd.h>

static const char *const choices[] = {"auto", "tc-bpf", "tc-flower", "relay", NULL};
/* What qos_level_name() may be. */
static const char *const level_names[] = {"tc-bpf", "tc-flower", "relay", "none"};

struct qos *enforcement_new(const struct conf *conf, GError **error)
{
    /* Filters that a crashed process has left are ours if they carry our media port; with ports
     * chosen by the kernel nobody can tell. */
    guint port = conf_int(conf, "media", "port");
    g_autofree char *owner =
        port ? g_strdup_printf("wmcf-%u", port) : g_strdup_printf("wmcf-pid-%d", (int)getpid());
    struct qos_config config = {
        .owner = owner,
        .interfaces = conf_list(conf, "qos", "interfaces"),
        .trusted = conf_list(conf, "qos", "trusted"),
        .flows_max = conf_int(conf, "qos", "flows"),
        .transports_max = conf_int(conf, "limits", "terminations"),
        .priority = conf_int(conf, "qos", "priority"),
        .judged_mark = UINT32_C(1) << conf_int(conf, "qos", "mark_bit"),
        .default_marking = conf_bool(conf, "qos", "default_marking"),
    };
    const char *chosen = conf_string(conf, "qos", "level");
    while (choices[config.level] && strcmp(choices[config.level], chosen) != 0)
        config.level++;
    struct qos *qos = qos_new(&config, error);
    if (!qos)
        g_prefix_error(error, "section [qos]: ");
    return qos;
}

/* --- what is told ----------------------------------------------------------------------------- */

static bool holds_nothing(const struct qos *qos)
{
    struct qos_policy any = {.has_policing = true, .policing = {.present = true}};
    g_autoptr(GError) refused = NULL;
    return !qos_check(qos, &any, &refused);
}

static void on_changed(void *user)
{
    struct wmcf *wmcf = user;
    const char *level = qos_level_name(wmcf->qos), *reason = qos_level_reason(wmcf->qos);
    if (holds_nothing(wmcf->qos))
        log_warning(NULL, "enforcement \"%s\" holds no policies now, they are refused: %s", level,
                    reason);
    else if (strcmp(reason, wmcf->enforcement_reason) != 0)
        log_warning(NULL, "enforcement by \"%s\" now: %s", level, reason);
    else
        log_info(NULL, "enforcement by \"%s\" as it was: %s", level, reason);
    controllers_broadcast(wmcf, "serviceChange", service_state_json);
}

void enforcement_start(struct wmcf *wmcf)
{
    const char *level = qos_level_name(wmcf->qos), *reason = qos_level_reason(wmcf->qos);
    wmcf->enforcement_reason = g_strdup(reason);
    if (holds_nothing(wmcf->qos))
        log_warning(NULL,
                    "the required level of enforcement \"%s\" (qos.level) does not work, so "
                    "policies are refused and gates stay closed: %s",
                    conf_string(wmcf->conf, "qos", "level"), reason);
    else
        log_info(NULL, "enforcement by \"%s\": %s", level, reason);
    g_autofree char *swept = qos_sweep(wmcf->qos);
    if (swept)
        log_warning(NULL, "%s", swept);
    qos_set_listener(wmcf->qos, on_changed, wmcf);
}

void enforcement_stop(struct wmcf *wmcf)
{
    if (wmcf->qos)
        qos_set_listener(wmcf->qos, NULL, NULL);
    g_clear_pointer(&wmcf->enforcement_reason, g_free);
}

/* --- figures ---------------------------------------------------------------------------------- */

struct discards {
    guint64 gate, policing, unattributed;
};

static struct discards by_relay(const struct wmcf *wmcf)
{
    struct discards sum = {0};
    for (guint i = 0; i < relay_workers(wmcf->relay); i++) {
        struct relay_worker_stats s;
        relay_worker_stats(wmcf->relay, i, &s);
        sum.gate += s.gate_discarded;
        sum.policing += s.policing_discarded;
    }
    return sum;
}

json_t *enforcement_json(const struct wmcf *wmcf)
{
    struct qos_stats s;
    qos_stats(wmcf->qos, &s);
    struct discards relay = by_relay(wmcf);
    return json_pack("{s:i, s:i, s:i, s:{s:I, s:I, s:I}, s:{s:I, s:I}}", "flows", (int)s.flows,
                     "transports", (int)s.transports, "interfaces", (int)s.interfaces, "kernel",
                     "gateDiscarded", (json_int_t)s.gate_discarded, "policingDiscarded",
                     (json_int_t)s.policing_discarded, "unattributedDiscarded",
                     (json_int_t)s.unknown_discarded, "relay", "gateDiscarded",
                     (json_int_t)relay.gate, "policingDiscarded", (json_int_t)relay.policing);
}

void enforcement_collect(const struct wmcf *wmcf)
{
    static struct metric *level, *refuses, *flows, *transports, *interfaces, *discarded;
    if (!level) {
        level = metric_register(METRIC_GAUGE, "enforcement_level", NULL,
                                "1 for the level of enforcement that is in force.", "level");
        refuses = metric_register(METRIC_GAUGE, "enforcement_refuses", NULL,
                                  "1 while the required level holds no policies: they are refused.",
                                  NULL);
        flows = metric_register(METRIC_GAUGE, "enforcement_flows", NULL,
                                "Media of peer connections under a policy.", NULL);
        transports = metric_register(METRIC_GAUGE, "enforcement_transports", NULL,
                                     "Peer connections under a policy.", NULL);
        interfaces = metric_register(METRIC_GAUGE, "enforcement_interfaces", NULL,
                                     "Interfaces that carry our filters.", NULL);
        discarded = metric_register(METRIC_COUNTER, "enforcement_discarded_packets", NULL,
                                    "Packets dropped by policy since the start, by who has judged "
                                    "them and why.",
                                    "judge,reason");
    }
    struct qos_stats s;
    qos_stats(wmcf->qos, &s);
    struct discards relay = by_relay(wmcf);
    const char *now = qos_level_name(wmcf->qos);
    for (size_t i = 0; i < G_N_ELEMENTS(level_names); i++)
        metric_set(level, strcmp(level_names[i], now) == 0, &level_names[i]);
    metric_set(refuses, holds_nothing(wmcf->qos), NULL);
    metric_set(flows, s.flows, NULL);
    metric_set(transports, s.transports, NULL);
    metric_set(interfaces, s.interfaces, NULL);
    const struct {
        const char *labels[2];
        guint64 value;
    } rows[] = {
        {{"kernel", "gate"}, s.gate_discarded},
        {{"kernel", "policing"}, s.policing_discarded},
        {{"kernel", "unattributed"}, s.unknown_discarded},
        {{"relay", "gate"}, relay.gate},
        {{"relay", "policing"}, relay.policing},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        metric_set(discarded, rows[i].value, rows[i].labels);
}
