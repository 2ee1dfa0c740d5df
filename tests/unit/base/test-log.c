/* SPDX-License-Identifier: Apache-2.0 */
/* Levels, the JSON and text forms, foreign messages, and that a peer cannot forge a line. The
 * writer goes to stderr, so each test runs the logging in a subprocess and looks at what came out.
 */
#define LOG_CATEGORY "test"
#include "base/log.h"

#include "base/problem.h"

static void log_samples(void)
{
    const struct log_ids ids = {.session = "s-1", .transaction = "msetup/3"};
    log_error(&ids, "failed: %s", "why");
    log_info(NULL, "forged\n{\"level\":\"info\"} \"quoted\" \\ \033[31m \xff end");
    log_debug(NULL, "not told");
    log_set_level("test", LOG_DEBUG);
    log_debug(NULL, "told now");
    log_write("other", LOG_DEBUG, NULL, "not this one");
    g_log("Foreign", G_LOG_LEVEL_MESSAGE, "from a library");
    g_log("Foreign", G_LOG_LEVEL_DEBUG, "hidden");
    g_log_structured("Modern", G_LOG_LEVEL_INFO, "MESSAGE", "hidden too");
}

static void test_json(void)
{
    if (g_test_subprocess()) {
        log_init("prog", LOG_FORMAT_AUTO, LOG_INFO); /* stderr is a pipe here */
        log_samples();
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr(
        "{\"time\":\"20*Z\",\"level\":\"error\",\"program\":\"prog\",\"category\":\"test\","
        "\"message\":\"failed: why\",\"session\":\"s-1\",\"transaction\":\"msetup/3\"}\n*");
    g_test_trap_assert_stderr("*\"message\":\"forged\\n{\\\"level\\\":\\\"info\\\"} \\\"quoted\\\" "
                              "\\\\ \\u001b[31m \xef\xbf\xbd end\"}\n*");
    g_test_trap_assert_stderr("*\"level\":\"debug\"*\"message\":\"told now\"*");
    g_test_trap_assert_stderr("*\"category\":\"Foreign\",\"message\":\"from a library\"}\n*");
    g_test_trap_assert_stderr_unmatched("*not t*");
    g_test_trap_assert_stderr_unmatched("*hidden*");
}

static void test_text(void)
{
    if (g_test_subprocess()) {
        log_init("prog", LOG_FORMAT_TEXT, LOG_INFO);
        log_samples();
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr("*:* error   prog/test: failed: why session=s-1 "
                              "transaction=msetup/3\n*");
    g_test_trap_assert_stderr("*forged\\n{\"level\":\"info\"} *\\x1b[31m*\n*");
}

static void test_levels(void)
{
    g_autoptr(GError) error = NULL;
    g_assert_true(log_enabled("any", LOG_INFO));
    g_assert_false(log_enabled("any", LOG_DEBUG));
    g_assert_true(log_set_level_text("relay:debug", &error));
    g_assert_true(log_enabled("relay", LOG_DEBUG));
    g_assert_false(log_enabled("any", LOG_DEBUG));
    g_assert_true(log_set_level_text("warning", &error));
    g_assert_false(log_enabled("any", LOG_INFO));
    g_assert_true(log_enabled("relay", LOG_DEBUG));
    g_assert_no_error(error);
    static const char *const bad[] = {"", "loud", ":debug", "relay:", "relay:loud"};
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_false(log_set_level_text(bad[i], &error));
        g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_INVALID_MESSAGE);
        g_clear_error(&error);
    }
    log_set_level(NULL, LOG_INFO);
}

/* An operational error must not trip G_DEBUG=fatal-criticals nor the test framework. */
static void test_not_fatal(void)
{
    if (g_test_subprocess()) {
        log_error(NULL, "before log_init");
        log_init("prog", LOG_FORMAT_JSON, LOG_INFO);
        log_error(NULL, "after it");
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr("*after it*");
}

static gpointer chatter(gpointer data)
{
    for (int i = 0; i < 2000; i++) {
        log_debug(NULL, "chatter %d", i);
        log_set_level("chatter", i % 2 ? LOG_DEBUG : LOG_INFO);
        log_enabled("chatter", LOG_DEBUG);
    }
    return NULL;
}

static void test_threads(void)
{
    GThread *threads[4];
    for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("chatter", chatter, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/log/json", test_json);
    g_test_add_func("/log/text", test_text);
    g_test_add_func("/log/levels", test_levels);
    g_test_add_func("/log/not-fatal", test_not_fatal);
    g_test_add_func("/log/threads", test_threads);
    return g_test_run();
}
