/* SPDX-License-Identifier: Apache-2.0 */
/* The OpenMetrics page: forms, escapes, bounds of label sets, counting from several threads. */
#include "base/metrics.h"

#include <string.h>

static void assert_has(const char *page, const char *lines)
{
    if (!strstr(page, lines))
        g_error("missing:\n%s\nin:\n%s", lines, page);
}

static void test_page(void)
{
    struct metric *requests =
        metric_register(METRIC_COUNTER, "link_requests", NULL,
                        "Requests by \"method\" and\nresult.", "method, result");
    struct metric *calls = metric_register(METRIC_GAUGE, "calls", NULL, "Calls now.", NULL);
    struct metric *uptime = metric_register(METRIC_GAUGE, "uptime", "seconds", "Up since.", NULL);
    struct metric *delay =
        metric_register(METRIC_HISTOGRAM, "setup", "seconds", "Time of a set-up.", "kind");
    metric_buckets(delay, (const double[]){0.1, 1}, 2);
    g_assert_true(metric_register(METRIC_GAUGE, "calls", NULL, "again", NULL) == calls);
    g_assert_true(metric_register(METRIC_GAUGE, "uptime_seconds", "seconds", "again", NULL) ==
                  uptime);

    const char *const add_ok[] = {"add", "ok"}, *const odd[] = {"a\"b\\c\nd", "\xff"};
    metric_add(requests, 1, add_ok);
    metric_add(requests, 2, add_ok);
    metric_add(requests, 1, odd);
    metric_set(calls, -1.5, NULL);
    metric_set(uptime, 1e17, NULL);
    const char *const audio[] = {"audio"};
    metric_observe(delay, 0.1, audio);
    metric_observe(delay, 0.5, audio);
    metric_observe(delay, 7, audio);
    g_assert_cmpfloat(metric_value(requests, add_ok), ==, 3);

    g_autofree char *page = metrics_text("wmcf");
    assert_has(page,
               "# TYPE wmcf_link_requests counter\n"
               "# HELP wmcf_link_requests Requests by \\\"method\\\" and\\nresult.\n"
               "wmcf_link_requests_total{method=\"a\\\"b\\\\c\\nd\",result=\"\xef\xbf\xbd\"} 1\n"
               "wmcf_link_requests_total{method=\"add\",result=\"ok\"} 3\n");
    assert_has(page, "# TYPE wmcf_calls gauge\n# HELP wmcf_calls Calls now.\nwmcf_calls -1.5\n");
    assert_has(page, "# UNIT wmcf_uptime_seconds seconds\n");
    assert_has(page, "\nwmcf_uptime_seconds 1e+17\n");
    assert_has(page, "wmcf_setup_seconds_bucket{kind=\"audio\",le=\"0.1\"} 1\n"
                     "wmcf_setup_seconds_bucket{kind=\"audio\",le=\"1.0\"} 2\n"
                     "wmcf_setup_seconds_bucket{kind=\"audio\",le=\"+Inf\"} 3\n"
                     "wmcf_setup_seconds_count{kind=\"audio\"} 3\n"
                     "wmcf_setup_seconds_sum{kind=\"audio\"} 7.6\n");
    g_assert_true(g_str_has_suffix(page, "\n# EOF\n"));
    g_assert_true(g_utf8_validate(page, -1, NULL));
}

static void test_bounded_labels(void)
{
    struct metric *metric = metric_register(METRIC_COUNTER, "bounded", NULL, "Bounded.", "one,two");
    for (int i = 0; i < 1000; i++) {
        g_autofree char *value = g_strdup_printf("v%d", i);
        metric_add(metric, 1, (const char *const[]){value, "x"});
    }
    g_assert_cmpfloat(metric_value(metric, (const char *const[]){"other", "other"}), ==, 744);
    g_assert_cmpfloat(metric_value(metric, (const char *const[]){"v0", "x"}), ==, 1);
    g_autofree char *huge = g_strnfill(100000, 'x');
    struct metric *cut = metric_register(METRIC_COUNTER, "cut", NULL, "Cut.", "one");
    metric_add(cut, 1, (const char *const[]){huge});
    g_autofree char *page = metrics_text("t");
    g_assert_cmpuint(strlen(page), <, 65536);
}

static void test_buckets(void)
{
    struct metric *metric =
        metric_register(METRIC_HISTOGRAM, "elsewhere", NULL, "Counted elsewhere.", "who");
    metric_buckets(metric, (const double[]){0.5, 2}, 2);
    const char *const who[] = {"me"};
    metric_set_buckets(metric, (const guint64[]){1, 1, 1}, 3, 9, who);
    metric_set_buckets(metric, (const guint64[]){2, 0, 3}, 3, 11.5, who);
    g_autofree char *page = metrics_text("t");
    g_assert_nonnull(strstr(page, "t_elsewhere_bucket{who=\"me\",le=\"0.5\"} 2\n"
                                  "t_elsewhere_bucket{who=\"me\",le=\"2.0\"} 2\n"
                                  "t_elsewhere_bucket{who=\"me\",le=\"+Inf\"} 5\n"
                                  "t_elsewhere_count{who=\"me\"} 5\n"
                                  "t_elsewhere_sum{who=\"me\"} 11.5\n"));
}

static void collect(void *user)
{
    metric_set(user, 42, NULL);
}

static void test_collector(void)
{
    struct metric *metric = metric_register(METRIC_GAUGE, "collected", NULL, "Collected.", NULL);
    metrics_add_collector(collect, metric);
    g_autofree char *page = metrics_text("t");
    assert_has(page, "\nt_collected 42\n");
}

static gpointer count(gpointer data)
{
    struct metric *const *metrics = data;
    for (int i = 0; i < 10000; i++) {
        metric_add(metrics[0], 1, NULL);
        metric_add(metrics[1], 1, (const char *const[]){i % 2 ? "odd" : "even"});
        metric_observe(metrics[2], i, NULL);
    }
    return NULL;
}

static void test_threads(void)
{
    struct metric *metrics[] = {
        metric_register(METRIC_COUNTER, "threads_plain", NULL, "Plain.", NULL),
        metric_register(METRIC_COUNTER, "threads_labelled", NULL, "Labelled.", "which"),
        metric_register(METRIC_HISTOGRAM, "threads_histogram", NULL, "Histogram.", NULL),
    };
    GThread *threads[4];
    for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("count", count, metrics);
    g_free(metrics_text("t"));
    for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
    g_assert_cmpfloat(metric_value(metrics[0], NULL), ==, 40000);
    g_assert_cmpfloat(metric_value(metrics[1], (const char *const[]){"odd"}), ==, 20000);
    g_autofree char *page = metrics_text("t");
    assert_has(page, "t_threads_histogram_count 40000\n");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/metrics/page", test_page);
    g_test_add_func("/metrics/bounded-labels", test_bounded_labels);
    g_test_add_func("/metrics/buckets", test_buckets);
    g_test_add_func("/metrics/collector", test_collector);
    g_test_add_func("/metrics/threads", test_threads);
    return g_test_run();
}
