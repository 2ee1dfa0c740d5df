/* SPDX-License-Identifier: Apache-2.0 */
/* `mdisc` from a client: hanging up, declining, and ending what it no longer has after a
 * resumption. Two ends that cross are not an error: the second is answered with success as well. */
#define LOG_CATEGORY "mdisc"
#include "wsf-link/json-read.h"
#include "wsf/call.h"
#include "wsf/methods/methods.h"

static void succeed(struct link_transaction *txn, const char *media_session_id)
{
    link_succeed(txn, json_pack("{s:s, s:s}", "mediaSessionId", media_session_id,
                                "mediaSessionState", session_state_name(SESSION_TERMINATED)));
}

/* The endpoint's own problem, for the far side and the call record. */
static GError *read_problem(const json_t *message)
{
    const json_t *problem = json_object_get(message, "problemDetails");
    const char *cause = json_string_value(json_object_get(problem, "cause"));
    const char *detail = json_string_value(json_object_get(problem, "detail"));
    int code = cause ? problem_from_cause(cause) : -1;
    GError *error = NULL;
    if (code >= 0)
        problem_set(&error, code, "%.200s", detail ? detail : problem_title(code));
    return error;
}

void handle_mdisc(struct client *client, struct link_transaction *txn)
{
    const json_t *message = link_transaction_message(txn), *user_data = NULL;
    int cause = DISC_NORMAL;
    GError *error = NULL;
    const char *id = json_string_value(json_object_get(message, "mediaSessionId"));
    if (!json_read_choice(message, "", "cause", JSON_OPTIONAL, disc_cause_names, &cause, &error) ||
        !method_user_data(client, message, &user_data, &error)) {
        method_fail(client, txn, error, id);
        return;
    }
    struct leg *leg = method_leg(client, message, &error);
    if (!leg) {
        bool over = problem_code(error) == PROBLEM_MEDIA_SESSION_GONE ||
                    problem_code(error) == PROBLEM_ANSWERED_ELSEWHERE;
        struct endpoint *endpoint = client_endpoint(client);
        if (over && endpoint) {
            endpoint_acknowledge_ended(endpoint, id);
            succeed(txn, id);
            g_error_free(error);
        } else {
            method_fail(client, txn, error, id);
        }
        return;
    }
    g_autoptr(GError) problem = read_problem(message);
    json_auto_t *kept =
        user_data ? json_deep_copy(user_data) : NULL; /* the answer ends the message */
    succeed(txn, leg->media_session_id);
    call_hang_up(client->wsf, leg, cause, problem, kept);
}
