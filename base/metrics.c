/* SPDX-License-Identifier: Apache-2.0 */
/* Owns every metric family of the process and prints them as OpenMetrics 1.0. Families are made
 * once and never freed. A value without labels is one atomic; a labelled one is found in its
 * family's table under the family's lock, which is fine for control events and not for packets: the
 * packet path counts by itself and hands its sums over in a collector. */
#include "base/metrics.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

#define LABEL_SETS_MAX 256
#define LABELS_MAX 8
#define BOUNDS_MAX 32
#define VALUE_MAX 128 /* octets of one label value */

/* One label set of a family. */
struct sample {
    char **values; /* NULL-terminated, in the order of the label names */
    _Atomic double value;
    guint64 buckets[BOUNDS_MAX + 1]; /* not cumulative; the last is +Inf; family lock */
};

struct metric {
    enum metric_kind kind;
    char *name; /* with the unit, without prefix and _total */
    char *unit;
    char *help;
    char **labels;
    guint n_labels;
    pthread_mutex_t lock; /* samples, bounds, buckets */
    GHashTable *samples;  /* joined values → struct sample */
    struct sample *plain; /* the only sample of a family without labels */
    double bounds[BOUNDS_MAX];
    size_t n_bounds;
};

struct collector {
    void (*collect)(void *user);
    void *user;
};

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static GHashTable *registry; /* name → struct metric */
static GArray *collectors;

static const double default_bounds[] = {0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10};

/* --- families ----------------------------------------------------------------------------- */

static bool is_name(const char *text)
{
    for (const char *p = text; *p; p++)
        if (!(g_ascii_isalpha(*p) || *p == '_' || (p > text && g_ascii_isdigit(*p))))
            return false;
    return *text != '\0';
}

static struct metric *make_metric(enum metric_kind kind, char *name, const char *unit,
                                  const char *help, const char *labels)
{
    struct metric *metric = g_new0(struct metric, 1);
    metric->kind = kind;
    metric->name = name;
    metric->unit = g_strdup(unit);
    metric->help = g_strdup(help);
    metric->labels = g_strsplit(labels ? labels : "", ",", -1);
    metric->n_labels = g_strv_length(metric->labels);
    g_assert(is_name(name) && metric->n_labels <= LABELS_MAX);
    for (guint i = 0; i < metric->n_labels; i++)
        g_assert(is_name(g_strstrip(metric->labels[i])));
    pthread_mutex_init(&metric->lock, NULL);
    metric->samples = g_hash_table_new(g_str_hash, g_str_equal);
    if (metric->n_labels == 0) {
        metric->plain = g_new0(struct sample, 1);
        metric->plain->values = g_new0(char *, 1);
        g_hash_table_insert(metric->samples, g_strdup(""), metric->plain);
    }
    if (kind == METRIC_HISTOGRAM) {
        memcpy(metric->bounds, default_bounds, sizeof default_bounds);
        metric->n_bounds = G_N_ELEMENTS(default_bounds);
    }
    return metric;
}

struct metric *metric_register(enum metric_kind kind, const char *name, const char *unit,
                               const char *help, const char *labels)
{
    g_autofree char *suffix = unit ? g_strconcat("_", unit, NULL) : g_strdup("");
    /* OpenMetrics 1.0: the name of a family with a unit ends in it. */
    char *full = g_str_has_suffix(name, suffix) ? g_strdup(name) : g_strconcat(name, suffix, NULL);
    pthread_mutex_lock(&registry_lock);
    if (!registry)
        registry = g_hash_table_new(g_str_hash, g_str_equal);
    struct metric *metric = g_hash_table_lookup(registry, full);
    if (metric) {
        g_free(full);
        g_assert(metric->kind == kind);
    } else {
        metric = make_metric(kind, full, unit, help, labels);
        g_hash_table_insert(registry, metric->name, metric);
    }
    pthread_mutex_unlock(&registry_lock);
    return metric;
}

void metric_buckets(struct metric *metric, const double *bounds, size_t n)
{
    g_return_if_fail(metric->kind == METRIC_HISTOGRAM && n > 0 && n <= BOUNDS_MAX);
    pthread_mutex_lock(&metric->lock);
    memcpy(metric->bounds, bounds, n * sizeof *bounds);
    metric->n_bounds = n;
    pthread_mutex_unlock(&metric->lock);
}

/* --- values ------------------------------------------------------------------------------- */

static struct sample *find_sample_locked(struct metric *metric, const char *const *values)
{
    g_autoptr(GString) key = g_string_new(NULL);
    for (guint i = 0; i < metric->n_labels; i++) {
        g_assert(values && values[i]);
        g_string_append_len(key, values[i], (gssize)strnlen(values[i], VALUE_MAX));
        g_string_append_c(key, '\x1f');
    }
    struct sample *sample = g_hash_table_lookup(metric->samples, key->str);
    if (sample)
        return sample;
    bool full = g_hash_table_size(metric->samples) >= LABEL_SETS_MAX;
    if (full) {
        g_string_truncate(key, 0);
        for (guint i = 0; i < metric->n_labels; i++)
            g_string_append(key, "other\x1f");
        sample = g_hash_table_lookup(metric->samples, key->str);
        if (sample)
            return sample;
    }
    sample = g_new0(struct sample, 1);
    sample->values = g_new0(char *, metric->n_labels + 1);
    for (guint i = 0; i < metric->n_labels; i++) {
        g_autofree char *cut = g_strndup(values[i], VALUE_MAX);
        sample->values[i] = full ? g_strdup("other") : g_utf8_make_valid(cut, -1);
    }
    g_hash_table_insert(metric->samples, g_strdup(key->str), sample);
    return sample;
}

/* Samples live as long as the process, so the pointer is good without the lock. */
static struct sample *find_sample(struct metric *metric, const char *const *values)
{
    if (metric->plain)
        return metric->plain;
    pthread_mutex_lock(&metric->lock);
    struct sample *sample = find_sample_locked(metric, values);
    pthread_mutex_unlock(&metric->lock);
    return sample;
}

static void add_atomic(_Atomic double *value, double amount)
{
    double old = atomic_load_explicit(value, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(value, &old, old + amount, memory_order_relaxed,
                                                  memory_order_relaxed))
        ;
}

void metric_add(struct metric *metric, double amount, const char *const *label_values)
{
    g_return_if_fail(metric->kind != METRIC_HISTOGRAM);
    g_return_if_fail(metric->kind != METRIC_COUNTER || amount >= 0);
    add_atomic(&find_sample(metric, label_values)->value, amount);
}

void metric_set(struct metric *metric, double value, const char *const *label_values)
{
    g_return_if_fail(metric->kind != METRIC_HISTOGRAM);
    atomic_store_explicit(&find_sample(metric, label_values)->value, value, memory_order_relaxed);
}

void metric_observe(struct metric *metric, double value, const char *const *label_values)
{
    g_return_if_fail(metric->kind == METRIC_HISTOGRAM);
    struct sample *sample = find_sample(metric, label_values);
    pthread_mutex_lock(&metric->lock);
    size_t i = 0;
    while (i < metric->n_bounds && value > metric->bounds[i])
        i++;
    sample->buckets[i]++;
    add_atomic(&sample->value, value);
    pthread_mutex_unlock(&metric->lock);
}

void metric_set_buckets(struct metric *metric, const guint64 *buckets, size_t n, double sum,
                        const char *const *label_values)
{
    g_return_if_fail(metric->kind == METRIC_HISTOGRAM && n == metric->n_bounds + 1);
    struct sample *sample = find_sample(metric, label_values);
    pthread_mutex_lock(&metric->lock);
    memcpy(sample->buckets, buckets, n * sizeof *buckets);
    atomic_store_explicit(&sample->value, sum, memory_order_relaxed);
    pthread_mutex_unlock(&metric->lock);
}

double metric_value(struct metric *metric, const char *const *label_values)
{
    return atomic_load_explicit(&find_sample(metric, label_values)->value, memory_order_relaxed);
}

/* --- the page ----------------------------------------------------------------------------- */

void metrics_add_collector(void (*collect)(void *user), void *user)
{
    struct collector collector = {collect, user};
    if (!collectors)
        collectors = g_array_new(FALSE, FALSE, sizeof collector);
    g_array_append_val(collectors, collector);
}

static void append_escaped(GString *out, const char *text)
{
    for (const char *p = text; *p; p++) {
        if (*p == '\n')
            g_string_append(out, "\\n");
        else if (*p == '"' || *p == '\\')
            g_string_append_printf(out, "\\%c", *p);
        else
            g_string_append_c(out, *p);
    }
}

/* The shortest text that reads back as the same number; `canonical` as bucket bounds want it, with
 * a decimal point. */
static void append_number(GString *out, double value, bool canonical)
{
    char text[G_ASCII_DTOSTR_BUF_SIZE];
    if (isnan(value) || isinf(value)) {
        g_string_append(out, isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf");
        return;
    }
    g_ascii_formatd(text, sizeof text, "%.15g", value);
    if (g_ascii_strtod(text, NULL) != value)
        g_ascii_formatd(text, sizeof text, "%.17g", value);
    g_string_append(out, text);
    if (canonical && !strpbrk(text, ".e"))
        g_string_append(out, ".0");
}

static void append_labels(GString *out, const struct metric *metric, const struct sample *sample,
                          const double *bound)
{
    if (metric->n_labels == 0 && !bound)
        return;
    g_string_append_c(out, '{');
    for (guint i = 0; i < metric->n_labels; i++) {
        g_string_append_printf(out, "%s%s=\"", i ? "," : "", metric->labels[i]);
        append_escaped(out, sample->values[i]);
        g_string_append_c(out, '"');
    }
    if (bound) {
        g_string_append(out, metric->n_labels ? ",le=\"" : "le=\"");
        append_number(out, *bound, true);
        g_string_append_c(out, '"');
    }
    g_string_append_c(out, '}');
}

static void append_line(GString *out, const char *name, const char *suffix,
                        const struct metric *metric, const struct sample *sample,
                        const double *bound, double value)
{
    g_string_append_printf(out, "%s%s", name, suffix);
    append_labels(out, metric, sample, bound);
    g_string_append_c(out, ' ');
    append_number(out, value, false);
    g_string_append_c(out, '\n');
}

static void append_histogram(GString *out, const char *name, const struct metric *metric,
                             const struct sample *sample)
{
    guint64 count = 0;
    for (size_t i = 0; i <= metric->n_bounds; i++) {
        double bound = i < metric->n_bounds ? metric->bounds[i] : INFINITY;
        count += sample->buckets[i];
        append_line(out, name, "_bucket", metric, sample, &bound, (double)count);
    }
    append_line(out, name, "_count", metric, sample, NULL, (double)count);
    append_line(out, name, "_sum", metric, sample, NULL, atomic_load(&sample->value));
}

static void append_family(GString *out, const char *prefix, struct metric *metric)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    g_autofree char *name = g_strconcat(prefix, "_", metric->name, NULL);
    g_string_append_printf(out, "# TYPE %s %s\n", name, types[metric->kind]);
    if (metric->unit)
        g_string_append_printf(out, "# UNIT %s %s\n", name, metric->unit);
    g_string_append_printf(out, "# HELP %s ", name);
    append_escaped(out, metric->help);
    g_string_append_c(out, '\n');

    pthread_mutex_lock(&metric->lock);
    g_autoptr(GList) keys =
        g_list_sort(g_hash_table_get_keys(metric->samples), (GCompareFunc)strcmp);
    for (GList *key = keys; key; key = key->next) {
        const struct sample *sample = g_hash_table_lookup(metric->samples, key->data);
        if (metric->kind == METRIC_HISTOGRAM)
            append_histogram(out, name, metric, sample);
        else
            append_line(out, name, metric->kind == METRIC_COUNTER ? "_total" : "", metric, sample,
                        NULL, atomic_load_explicit(&sample->value, memory_order_relaxed));
    }
    pthread_mutex_unlock(&metric->lock);
}

char *metrics_text(const char *prefix)
{
    for (guint i = 0; collectors && i < collectors->len; i++) {
        struct collector *collector = &g_array_index(collectors, struct collector, i);
        collector->collect(collector->user);
    }
    GString *out = g_string_new(NULL);
    pthread_mutex_lock(&registry_lock);
    g_autoptr(GList) names =
        registry ? g_list_sort(g_hash_table_get_keys(registry), (GCompareFunc)strcmp) : NULL;
    for (GList *name = names; name; name = name->next)
        append_family(out, prefix, g_hash_table_lookup(registry, name->data));
    pthread_mutex_unlock(&registry_lock);
    g_string_append(out, "# EOF\n");
    return g_string_free(out, FALSE);
}
