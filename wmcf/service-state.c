/* SPDX-License-Identifier: Apache-2.0 */
/* What the media centre tells of itself: in service, overloaded, draining; its load and the level
 * of enforcement. Overload has hysteresis, so that one call more or less does not make it flap. */
#define LOG_CATEGORY "service"
#include "wmcf/wmcf.h"

#include "base/log.h"
#include "base/loop.h"
#include "base/metrics.h"
#include "wmcf/controller.h"

#include <stdio.h>
#include <unistd.h>

#define LOAD_INTERVAL_MS 2000
#define LOAD_STEP 5        /* per cent of change that is worth a message */
#define OVERLOAD_ENTER 100 /* per cent of limits.terminations */
#define OVERLOAD_LEAVE 90

static const char *const state_names[] = {"inService", "overloaded", "draining", "outOfService"};

const char *service_state_name(enum service_state state)
{
    g_return_val_if_fail(state < G_N_ELEMENTS(state_names), "");
    return state_names[state];
}

struct drain {
    void (*done)(void *user);
    void *user;
};
static struct drain drain; /* one at a time: the process drains or does not */

static guint load_now(const struct wmcf *wmcf)
{
    return 100 * wmcf->n_terminations / conf_int(wmcf->conf, "limits", "terminations");
}

json_t *service_state_json(const struct wmcf *wmcf)
{
    return json_pack("{s:s, s:I, s:i, s:{s:s, s:s}}", "serviceState",
                     service_state_name(wmcf->state), "restartCounter",
                     (json_int_t)wmcf->restart_counter, "load", (int)load_now(wmcf), "enforcement",
                     "level", qos_level_name(wmcf->qos), "reason", qos_level_reason(wmcf->qos));
}

static void set_state(struct wmcf *wmcf, enum service_state state, const char *reason)
{
    if (state == wmcf->state)
        return;
    log_info(NULL, "service state %s -> %s (%s)", service_state_name(wmcf->state),
             service_state_name(state), reason);
    wmcf->state = state;
    wmcf->load = load_now(wmcf);
    controllers_broadcast(wmcf, "serviceChange", service_state_json);
}

static void on_load_timer(void *user)
{
    struct wmcf *wmcf = user;
    guint load = load_now(wmcf);
    if (wmcf->state == SERVICE_IN_SERVICE && load >= OVERLOAD_ENTER)
        set_state(wmcf, SERVICE_OVERLOADED, "all terminations are in use");
    else if (wmcf->state == SERVICE_OVERLOADED && load < OVERLOAD_LEAVE)
        set_state(wmcf, SERVICE_IN_SERVICE, "terminations are free again");
    else if (ABS((int)load - (int)wmcf->load) >= LOAD_STEP) {
        wmcf->load = load;
        controllers_broadcast(wmcf, "serviceChange", service_state_json);
    }
}

static void on_drain_deadline(void *user)
{
    struct wmcf *wmcf = user;
    log_warning(NULL, "drain deadline is over with %u contexts left",
                g_hash_table_size(wmcf->contexts));
    if (drain.done)
        drain.done(drain.user);
}

void service_state_start(struct wmcf *wmcf)
{
    wmcf->load_timer = loop_timer_new("service load", on_load_timer, wmcf);
    wmcf->drain_timer = loop_timer_new("drain deadline", on_drain_deadline, wmcf);
    loop_timer_start_repeating(wmcf->load_timer, LOAD_INTERVAL_MS);
}

void service_state_drain(struct wmcf *wmcf, guint deadline_s, void (*done)(void *user), void *user)
{
    drain = (struct drain){done, user};
    set_state(wmcf, SERVICE_DRAINING, "drain was asked for");
    if (deadline_s)
        loop_timer_start(wmcf->drain_timer, 1000 * deadline_s);
    service_state_context_ended(wmcf);
}

void service_state_undrain(struct wmcf *wmcf)
{
    drain = (struct drain){0};
    loop_timer_stop(wmcf->drain_timer);
    if (wmcf->state == SERVICE_DRAINING)
        set_state(wmcf, SERVICE_IN_SERVICE, "the drain was called off");
}

bool service_state_ends(const struct wmcf *wmcf)
{
    return wmcf->state == SERVICE_DRAINING && drain.done;
}

void service_state_context_ended(struct wmcf *wmcf)
{
    if (wmcf->state == SERVICE_DRAINING && g_hash_table_size(wmcf->contexts) == 0 && drain.done)
        drain.done(drain.user);
}

static guint64 resident_mib(void)
{
    unsigned long size = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file) {
        if (fscanf(file, "%lu %lu", &size, &resident) != 2)
            resident = 0;
        fclose(file);
    }
    return (guint64)resident * sysconf(_SC_PAGESIZE) >> 20;
}

bool service_state_admit(struct wmcf *wmcf, bool new_context, GError **error)
{
    guint limit = conf_int(wmcf->conf, "limits", "terminations");
    gint64 memory = conf_int(wmcf->conf, "limits", "memory");
    if (new_context && wmcf->state == SERVICE_DRAINING) {
        problem_set(error, PROBLEM_DRAINING,
                    "this media centre is being taken out of service; use another one");
        return false;
    }
    if (wmcf->n_terminations >= limit) {
        problem_set_retry(error, PROBLEM_RESOURCES_UNAVAILABLE, 5,
                          "all %u terminations are in use (limits.terminations)", limit);
        return false;
    }
    if (memory && resident_mib() >= (guint64)memory) {
        problem_set_retry(error, PROBLEM_RESOURCES_UNAVAILABLE, 10,
                          "the process holds more than %" G_GINT64_FORMAT " MiB (limits.memory)",
                          memory);
        return false;
    }
    return true;
}
