/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Metrics as OpenMetrics text (one table per program, bounded labels, never a session or peer id).
 *
 * A metric is declared where it is counted, as a static variable, and registers itself at the first
 * use; counters and gauges are atomics, so they may be touched from any thread (the packet path has
 * its own per-worker counters and registers a collector).
 *
 * Threads: metric_* any; metrics_text() and collectors on the control thread. */
#include <glib.h>
#include <stdatomic.h>
#include <stdbool.h>

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct metric;

/* Registers a family. `name` without the program's prefix and without _total ("link_requests"),
 * `help` a sentence, `labels` the comma-separated label names ("method,result") or NULL, `unit`
 * NULL or "seconds"/"bytes". Idempotent by name. Never freed. */
struct metric *metric_register(enum metric_kind kind, const char *name, const char *unit,
                               const char *help, const char *labels);
/* Upper bounds of a histogram's buckets (rising). Before the first observation. */
void metric_buckets(struct metric *metric, const double *bounds, size_t n);
/* Label values in the order of the declaration, NULL when the family has none. A family keeps at
 * most 256 label sets; more are counted under the value "other". */
void metric_add(struct metric *metric, double amount, const char *const *label_values);
void metric_set(struct metric *metric, double value, const char *const *label_values);
void metric_observe(struct metric *metric, double value, const char *const *label_values);
/* For a histogram that is counted elsewhere: what each of its buckets has counted so far (n of
 * them, one more than bounds), and the sum of all values. */
void metric_set_buckets(struct metric *metric, const guint64 *buckets, size_t n, double sum,
                        const char *const *label_values);
double metric_value(struct metric *metric, const char *const *label_values);

/* A collector fills gauges and counters just before they are printed. */
void metrics_add_collector(void (*collect)(void *user), void *user);
/* The whole page, OpenMetrics 1.0 with "# EOF"; names get `prefix` + "_". Transfer full. */
char *metrics_text(const char *prefix);
#define METRICS_CONTENT_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"
