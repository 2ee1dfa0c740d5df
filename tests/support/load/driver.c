/* SPDX-License-Identifier: Apache-2.0 */
/* The order of a run against any server that has an adapter: legs are added, the first of each
 * context before its others and so many at a time; when all are settled they are joined; then media
 * flows, or nothing does for a while, or the set-up was all there is to see; then everything is
 * taken down. Between these steps the server's process is looked at, so that a leg's price in time,
 * memory, threads and descriptors comes out whatever the server is. */
#include "base/loop.h"
#include "tests/support/load/adapter.h"

#define SETTLE_MS 1000 /* the server's own clearing up is given a moment before it is looked at */

struct load_driver {
    const struct load_adapter *adapter;
    GQueue ready; /* struct load_leg: may be added now */
    GArray *open; /* bool by context: its other legs may follow */
    guint under_way;
    bool pumping, settled;
    struct loop_timer *timer;
    void (*next)(struct load_run *run); /* when the timer comes */
    struct load_process before, at;
    gint64 generator_us, begun_us;
};

static void pump(struct load_run *run)
{
    struct load_driver *driver = run->driver;
    struct load_leg *leg;
    if (driver->pumping) /* an adapter that is done inside of add() */
        return;
    driver->pumping = true;
    while (!driver->settled && driver->under_way < (guint)run->options->parallel &&
           (leg = g_queue_pop_head(&driver->ready))) {
        driver->under_way++;
        leg->begun_us = g_get_monotonic_time();
        driver->adapter->add(run, leg);
    }
    driver->pumping = false;
}

static void on_timer(void *data)
{
    struct load_run *run = data;
    run->driver->next(run);
}

static void wait_then(struct load_run *run, guint ms, void (*next)(struct load_run *run))
{
    run->driver->next = next;
    loop_timer_start(run->driver->timer, ms);
}

/* --- what a step has cost -------------------------------------------------------------------- */

static void begin_step(struct load_run *run)
{
    struct load_driver *driver = run->driver;
    load_process_read(run->options->pid, &driver->at);
    driver->generator_us = load_own_cpu_us();
    driver->begun_us = g_get_monotonic_time();
}

/* Into the object of the report that is named; made when there is none. */
static void end_step(struct load_run *run, const char *name)
{
    struct load_driver *driver = run->driver;
    struct load_process now;
    double seconds = (double)(g_get_monotonic_time() - driver->begun_us) / G_USEC_PER_SEC;
    gint64 generator_us = load_own_cpu_us() - driver->generator_us;
    json_t *step = json_object_get(run->report, name);
    if (!step) {
        step = json_object();
        json_object_set_new(run->report, name, step);
    }
    json_object_set_new(step, "seconds", json_real(seconds));
    json_object_set_new(
        step, "generator_share",
        json_real(seconds > 0 ? (double)generator_us / G_USEC_PER_SEC / seconds : 0));
    if (!run->options->pid)
        return;
    load_process_read(run->options->pid, &now);
    gint64 cpu_us = now.cpu_us - driver->at.cpu_us;
    json_object_set_new(step, "cpu_us", json_integer(cpu_us));
    json_object_set_new(step, "cpu_share",
                        json_real(seconds > 0 ? (double)cpu_us / G_USEC_PER_SEC / seconds : 0));
    json_object_set_new(step, "process", load_process_json(&now));
}

/* --- the end --------------------------------------------------------------------------------- */

static void finish(struct load_run *run)
{
    struct load_process after;
    load_process_read(run->options->pid, &after);
    json_object_set_new(run->report, "process_before", load_process_json(&run->driver->before));
    json_object_set_new(run->report, "process_after", load_process_json(&after));
    loop_quit();
}

void load_left(struct load_run *run)
{
    end_step(run, "teardown");
    wait_then(run, SETTLE_MS, finish);
}

static void leave(struct load_run *run)
{
    const struct load_adapter *adapter = run->driver->adapter;
    begin_step(run);
    if (run->options->keep || !adapter->leave)
        wait_then(run, SETTLE_MS, finish);
    else
        adapter->leave(run);
}

/* --- what is measured ------------------------------------------------------------------------ */

static void on_media_measured(void *user)
{
    leave(user);
}

static void on_idled(struct load_run *run)
{
    end_step(run, "idle");
    leave(run);
}

static void begin_idling(struct load_run *run)
{
    begin_step(run);
    wait_then(run, (guint)(run->options->seconds * 1000), on_idled);
}

void load_joined(struct load_run *run)
{
    if (run->options->idle)
        wait_then(run, SETTLE_MS + (guint)(run->options->warm_up * 1000), begin_idling);
    else
        load_media_phase(run, on_media_measured, run);
}

static void all_settled(struct load_run *run)
{
    run->driver->settled = true;
    load_report_setup(run);
    end_step(run, "setup");
    if (!run->connected)
        load_fail(run, "no leg connected");
    else if (run->options->setup_only)
        leave(run);
    else if (run->driver->adapter->join)
        run->driver->adapter->join(run);
    else
        load_joined(run);
}

/* --- legs ------------------------------------------------------------------------------------ */

static guint legs_per_context(const struct load_options *options)
{
    if (options->room)
        return (guint)options->room;
    return options->two_way ? 2 : 1 + (guint)options->fan_out;
}

struct load_leg *load_leg_of(const struct load_run *run, guint context, guint number)
{
    return run->legs->pdata[context * legs_per_context(run->options) + number];
}

static void make_legs(struct load_run *run)
{
    const struct load_options *options = run->options;
    bool all = options->room || options->two_way;
    guint n = legs_per_context(options);
    for (guint c = 0; c < (guint)options->contexts; c++)
        for (guint i = 0; i < n; i++) {
            struct load_leg *leg = g_new0(struct load_leg, 1);
            leg->context = c;
            leg->number = i;
            leg->index = run->legs->len;
            leg->publishes = all || i == 0;
            leg->subscribes = all || i > 0;
            leg->n_sources = all ? n - 1 : i > 0;
            g_ptr_array_add(run->legs, leg);
        }
}

void load_context_ready(struct load_run *run, guint context)
{
    struct load_driver *driver = run->driver;
    bool *open = &g_array_index(driver->open, bool, context);
    if (*open)
        return;
    *open = true;
    for (guint i = legs_per_context(run->options); i-- > 1;)
        g_queue_push_head(&driver->ready, load_leg_of(run, context, i));
    pump(run);
}

static void settle(struct load_run *run, struct load_leg *leg, const char *problem)
{
    leg->settled = true;
    leg->connected = !problem;
    load_leg_settled(run, leg, !problem);
    if (problem)
        g_printerr("wmcf-load: leg %u of context %u: %s\n", leg->number, leg->context, problem);
}

void load_leg_done(struct load_run *run, struct load_leg *leg, const char *problem)
{
    struct load_driver *driver = run->driver;
    if (leg->settled)
        return;
    settle(run, leg, problem);
    driver->under_way--;
    if (problem && !g_array_index(driver->open, bool, leg->context))
        for (guint i = 1; i < legs_per_context(run->options); i++)
            settle(run, load_leg_of(run, leg->context, i), "its context was never made");
    if (run->connected + run->failed == run->legs->len)
        all_settled(run);
    else
        pump(run);
}

/* --- life ------------------------------------------------------------------------------------ */

void load_opened(struct load_run *run)
{
    struct load_driver *driver = run->driver;
    begin_step(run);
    driver->before = driver->at;
    run->begun_us = g_get_monotonic_time();
    for (guint c = 0; c < (guint)run->options->contexts; c++)
        g_queue_push_tail(&driver->ready, load_leg_of(run, c, 0));
    pump(run);
}

static void clean(void *user)
{
    struct load_run *run = user;
    struct load_driver *driver = run->driver;
    driver->adapter->free(run);
    loop_timer_free(driver->timer);
    g_queue_clear(&driver->ready);
    g_array_unref(driver->open);
    g_free(driver);
}

void load_drive(struct load_run *run, const struct load_adapter *adapter)
{
    struct load_driver *driver = g_new0(struct load_driver, 1);
    driver->adapter = adapter;
    driver->timer = loop_timer_new("driver", on_timer, run);
    driver->open = g_array_new(FALSE, TRUE, sizeof(bool));
    g_array_set_size(driver->open, (guint)run->options->contexts);
    run->driver = driver;
    run->clean = clean;
    run->clean_user = run;
    make_legs(run);
    adapter->open(run);
}
