/* SPDX-License-Identifier: Apache-2.0 */
/* Good and bad messages (protocol A2), and problems on the wire (A4). */
#include "wsf-link/envelope.h"

#include "base/problem.h"

#include <string.h>

static enum envelope_verdict parse(const char *text, struct envelope *ret, GError **error)
{
    /* An exact copy, so that a sanitizer sees every octet read too many. */
    gsize length = strlen(text);
    g_autofree char *exact = g_memdup2(text, length);
    return envelope_parse(exact, length, ret, error);
}

static void test_good(void)
{
    static const struct {
        const char *text;
        enum envelope_verdict verdict;
        guint64 id;
        const char *method;
        bool success;
    } rows[] = {
        {"{\"messageType\":\"request\",\"method\":\"auth\",\"transactionId\":0}", ENVELOPE_REQUEST,
         0, "auth", false},
        {"{\"transactionId\":9223372036854775807,\"messageType\":\"request\",\"method\":\"m\"}",
         ENVELOPE_REQUEST, G_MAXINT64, "m", false},
        {"{\"transactionId\":9223372036854775808,\"messageType\":\"request\",\"method\":\"m\"}",
         ENVELOPE_REQUEST, G_GUINT64_CONSTANT(9223372036854775808), "m", false},
        {" {\"transactionId\" : 18446744073709551615 "
         ",\"messageType\":\"request\",\"method\":\"m\"}\n",
         ENVELOPE_REQUEST, G_MAXUINT64, "m", false},
        {"{\"transaction\\u0049d\":6,\"messageType\":\"request\",\"method\":\"m\"}",
         ENVELOPE_REQUEST, 6, "m", false},
        {"{\"messageType\":\"request\",\"method\":\"m\",\"transactionId\":4,\"x\":{\"y\":[1,null]}"
         "}",
         ENVELOPE_REQUEST, 4, "m", false},
        {"{\"messageType\":\"response\",\"method\":\"m\",\"transactionId\":3,\"success\":true}",
         ENVELOPE_RESPONSE, 3, "m", true},
        {"{\"messageType\":\"response\",\"method\":\"m\",\"transactionId\":3,\"success\":false}",
         ENVELOPE_RESPONSE, 3, "m", false},
        {"{\"messageType\":\"response\",\"transactionId\":3}", ENVELOPE_RESPONSE, 3, NULL, false},
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct envelope envelope;
        g_autoptr(GError) error = NULL;
        g_assert_cmpint(parse(rows[i].text, &envelope, &error), ==, rows[i].verdict);
        g_assert_no_error(error);
        g_assert_cmpuint(envelope.id, ==, rows[i].id);
        g_assert_cmpstr(envelope.method, ==, rows[i].method);
        g_assert_cmpint(envelope.success, ==, rows[i].success);
        envelope_clear(&envelope);
    }
}

static void test_invalid(void)
{
    static const struct {
        const char *text, *param;
        int code;
    } rows[] = {
        {"{\"transactionId\":2}", "/messageType", PROBLEM_MISSING_PARAMETER},
        {"{\"messageType\":\"query\",\"method\":\"m\",\"transactionId\":2}", "/messageType",
         PROBLEM_INVALID_MESSAGE},
        {"{\"messageType\":1,\"method\":\"m\",\"transactionId\":2}", "/messageType",
         PROBLEM_INVALID_MESSAGE},
        {"{\"messageType\":null,\"method\":\"m\",\"transactionId\":2}", "/messageType",
         PROBLEM_INVALID_MESSAGE},
        {"{\"messageType\":\"request\",\"transactionId\":2}", "/method", PROBLEM_MISSING_PARAMETER},
        {"{\"messageType\":\"request\",\"method\":\"\",\"transactionId\":2}", "/method",
         PROBLEM_INVALID_MESSAGE},
        {"{\"messageType\":\"request\",\"method\":[],\"transactionId\":2}", "/method",
         PROBLEM_INVALID_MESSAGE},
        {"{\"messageType\":\"request\",\"method\":\"m\",\"transactionId\":2,"
         "\"requiredExtension\":\"x\"}",
         "/requiredExtension", PROBLEM_INVALID_MESSAGE},
        {"{\"messageType\":\"request\",\"method\":\"m\",\"transactionId\":2,"
         "\"supportedExtension\":[\"a\",1]}",
         "/supportedExtension/1", PROBLEM_INVALID_MESSAGE},
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct envelope envelope;
        g_autoptr(GError) error = NULL;
        g_assert_cmpint(parse(rows[i].text, &envelope, &error), ==, ENVELOPE_INVALID);
        g_assert_cmpuint(envelope.id, ==, 2);
        g_assert_error(error, PROBLEM_DOMAIN, rows[i].code);
        g_assert_cmpstr(problem_param(error), ==, rows[i].param);
        envelope_clear(&envelope);
    }
}

static void test_unusable(void)
{
    static const char *const rows[] = {
        "",
        " ",
        "x",
        "null",
        "7",
        "\"text\"",
        "[]",
        "{}",
        "{\"messageType\":\"request\",\"method\":\"m\"}",
        "{\"transactionId\":2,}",
        "{\"transactionId\":2}{}",
        "{\"transactionId\":2",
        "{\"transactionId\":\"2\"}",
        "{\"transactionId\":null}",
        "{\"transactionId\":true}",
        "{\"transactionId\":[2]}",
        "{\"transactionId\":-2}",
        "{\"transactionId\":-0}",
        "{\"transactionId\":2.0}",
        "{\"transactionId\":2e0}",
        "{\"transactionId\":02}",
        "{\"transactionId\":18446744073709551616}",
        "{\"transactionId\":2,\"transactionId\":4}",
        "{\"transactionId\":9223372036854775808,\"transactionId\":2}",
        "{\"transactionId\":2,\"transaction\\u0049d\":4}",
        "{\"transactionId\":2,\"a\":1,\"a\":1}",
        "{\"transactionId\":2,\"a\":{\"b\":1,\"b\":2}}",
        "{\"transactionId\":2,\"a\":1e999}",
        "{\"transactionId\":2,\"a\":\"\\u0000\"}",
        "{\"transactionId\":2,\"a\":\"\\ud800\"}",
        "{\"transactionId\":2,\"a\":\"\x01\"}",
        "{'transactionId':2}",
        "{\"transactionId\":NaN}",
        "\xef\xbb\xbf{\"transactionId\":2}",
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct envelope envelope;
        g_autoptr(GError) error = NULL;
        g_assert_cmpint(parse(rows[i], &envelope, &error), ==, ENVELOPE_UNUSABLE);
        g_assert_null(envelope.message);
        g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_INVALID_MESSAGE);
    }
}

static void assert_text(GBytes *bytes, const char *text)
{
    g_autofree char *got = g_strndup(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
    g_assert_cmpstr(got, ==, text);
    g_bytes_unref(bytes);
}

static void test_write(void)
{
    json_auto_t *members = json_pack("{s:s, s:[i], s:i, s:s}", "a", "\"\xc3\xa4\n", "b", 1,
                                     "transactionId", 9, "method", "evil");
    assert_text(envelope_request(2, "m", members), "{\"messageType\":\"request\",\"method\":\"m\","
                                                   "\"transactionId\":2,\"a\":\"\\\"\xc3\xa4\\n\","
                                                   "\"b\":[1]}");
    assert_text(envelope_response(G_MAXUINT64, "q\"q", true, NULL),
                "{\"messageType\":\"response\",\"method\":\"q\\\"q\","
                "\"transactionId\":18446744073709551615,\"success\":true}");
    assert_text(envelope_response(3, NULL, false, NULL),
                "{\"messageType\":\"response\",\"method\":\"\",\"transactionId\":3,"
                "\"success\":false}");
}

static void test_problem_there_and_back(void)
{
    g_autoptr(GError) error = NULL;
    problem_set_param(&error, PROBLEM_INVALID_SDP, "/sdpOffer", "line 3 is broken");
    json_auto_t *members = json_object();
    envelope_put_problem(members, error);
    const json_t *details = json_object_get(members, "problemDetails");
    g_assert_cmpstr(json_string_value(json_object_get(details, "type")), ==,
                    "urn:eirtcw:problem:invalid_sdp");
    g_assert_cmpstr(json_string_value(json_object_get(details, "cause")), ==, "INVALID_SDP");
    g_assert_cmpint(json_integer_value(json_object_get(details, "status")), ==, 400);
    g_autoptr(GError) back = envelope_take_problem(members);
    g_assert_error(back, PROBLEM_DOMAIN, PROBLEM_INVALID_SDP);
    g_assert_cmpstr(back->message, ==, "line 3 is broken");
    g_assert_cmpstr(problem_param(back), ==, "/sdpOffer");
}

static void test_problem_retry(void)
{
    g_autoptr(GError) error = NULL;
    problem_set_retry(&error, PROBLEM_TOO_MANY_REQUESTS, 3, "slow down");
    json_auto_t *members = json_object();
    envelope_put_problem(members, error);
    g_assert_cmpint(json_integer_value(json_object_get(members, "retryAfter")), ==, 3);
    g_autoptr(GError) back = envelope_take_problem(members);
    g_assert_cmpuint(problem_retry_after(back), ==, 3);
}

static void test_foreign_error_stays_inside(void)
{
    g_autoptr(GError) error =
        g_error_new_literal(G_FILE_ERROR, G_FILE_ERROR_NOENT, "/etc/secret is missing");
    json_auto_t *members = json_object();
    envelope_put_problem(members, error);
    char *text = json_dumps(members, 0);
    g_assert_null(strstr(text, "secret"));
    g_assert_nonnull(strstr(text, "INTERNAL_ERROR"));
    free(text);
}

static void test_problem_of_others(void)
{
    static const struct {
        const char *text;
        int code;
    } rows[] = {
        {"{}", PROBLEM_INTERNAL_ERROR},
        {"{\"problemDetails\":7}", PROBLEM_INTERNAL_ERROR},
        {"{\"problemDetails\":{\"cause\":\"NEW_ONE\",\"status\":504}}", PROBLEM_PEER_TIMEOUT},
        {"{\"problemDetails\":{\"cause\":\"NEW_ONE\",\"status\":418}}", PROBLEM_INVALID_MESSAGE},
        {"{\"problemDetails\":{\"cause\":\"NEW_ONE\",\"status\":599}}", PROBLEM_INTERNAL_ERROR},
        {"{\"problemDetails\":{\"cause\":\"USER_BUSY\",\"status\":200}}", PROBLEM_USER_BUSY},
        {"{\"problemDetails\":{\"cause\":5,\"detail\":5,\"title\":5,\"invalidParams\":5}}",
         PROBLEM_INTERNAL_ERROR},
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        json_auto_t *message = json_loads(rows[i].text, 0, NULL);
        g_autoptr(GError) error = envelope_take_problem(message);
        g_assert_error(error, PROBLEM_DOMAIN, rows[i].code);
        g_assert_cmpstr(error->message, !=, "");
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/envelope/good", test_good);
    g_test_add_func("/envelope/invalid", test_invalid);
    g_test_add_func("/envelope/unusable", test_unusable);
    g_test_add_func("/envelope/write", test_write);
    g_test_add_func("/envelope/problem-there-and-back", test_problem_there_and_back);
    g_test_add_func("/envelope/problem-retry", test_problem_retry);
    g_test_add_func("/envelope/foreign-error-stays-inside", test_foreign_error_stays_inside);
    g_test_add_func("/envelope/problem-of-others", test_problem_of_others);
    return g_test_run();
}
