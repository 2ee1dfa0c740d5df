/* SPDX-License-Identifier: Apache-2.0 */
/* The message parser (protocol A2): octets → envelope → members → octets. Properties: a message
 * that is accepted is accepted again, with the same id and method, when we write it ourselves; one
 * that is refused says why. */
#include "base/problem.h"
#include "tests/fuzz/fuzz.h"
#include "wsf-link/envelope.h"
#include "wsf-link/extension.h"
#include "wsf-link/json-read.h"

#include <string.h>

/* Every reader on every member: none may trust a type. */
static void read_members(const json_t *message)
{
    static const char *const words[] = {"basic", "bearer", "reauth", "tls", NULL};
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)message, name, value)
    {
        const char *text;
        gint64 number;
        bool yes;
        const json_t *inner;
        int word;
        GError *errors[6] = {NULL};
        bool good[] = {
            json_read_string(message, "", name, JSON_REQUIRED, 320, &text, &errors[0]),
            json_read_integer(message, "", name, JSON_REQUIRED, 0, 3600, &number, &errors[1]),
            json_read_boolean(message, "", name, JSON_REQUIRED, &yes, &errors[2]),
            json_read_object(message, "", name, JSON_REQUIRED, &inner, &errors[3]),
            json_read_array(message, "", name, JSON_REQUIRED, 16, &inner, &errors[4]),
            json_read_choice(message, "", name, JSON_REQUIRED, words, &word, &errors[5]),
        };
        for (guint i = 0; i < G_N_ELEMENTS(good); i++) {
            g_assert(good[i] == (errors[i] == NULL));
            g_clear_error(&errors[i]);
        }
    }
}

static void write_again(const struct envelope *envelope, enum envelope_verdict verdict)
{
    bool request = verdict == ENVELOPE_REQUEST;
    g_autoptr(GBytes) text =
        request ? envelope_request(envelope->id, envelope->method, envelope->message)
                : envelope_response(envelope->id, envelope->method, envelope->success,
                                    envelope->message);
    gsize size;
    const char *data = g_bytes_get_data(text, &size);
    struct envelope again;
    g_autoptr(GError) error = NULL;
    g_assert_cmpint(envelope_parse(data, size, &again, &error), ==, verdict);
    g_assert_cmpuint(again.id, ==, envelope->id);
    if (envelope->method) /* a response needs none: its transactionId says which */
        g_assert_cmpstr(again.method, ==, envelope->method);
    g_assert(again.success == envelope->success);
    envelope_clear(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const extensions[] = {"trickle-ice", NULL};
    struct envelope envelope = {0};
    g_autoptr(GError) error = NULL;
    enum envelope_verdict verdict = envelope_parse((const char *)data, size, &envelope, &error);
    bool refused = verdict == ENVELOPE_INVALID || verdict == ENVELOPE_UNUSABLE;
    g_assert(refused == (error != NULL));
    g_assert((verdict == ENVELOPE_UNUSABLE) == (envelope.message == NULL));
    if (!refused) {
        read_members(envelope.message);
        write_again(&envelope, verdict);
        json_decref(extension_missing(envelope.message, extensions));
    }
    if (verdict == ENVELOPE_RESPONSE && !envelope.success)
        g_error_free(envelope_take_problem(envelope.message));
    envelope_clear(&envelope);
    return 0;
}
