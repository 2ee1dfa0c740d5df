/* SPDX-License-Identifier: Apache-2.0 */
/* The table of methods and what the handlers share. */
#define LOG_CATEGORY "method"
#include "wsf/methods/methods.h"

#include "base/ids.h"
#include "wsf-link/json-read.h"

#include <string.h>

static const struct method table[] = {
    {"auth", handle_auth},     {"getinfo", handle_getinfo}, {"mdisc", handle_mdisc},
    {"msetup", handle_msetup}, {"mupdate", handle_mupdate},
};
static const struct method application = {"application method", handle_application};

const char *const method_names[] = {"auth", "getinfo", "mdisc", "msetup", "mupdate", NULL};

const struct method *method_find(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
        if (strcmp(name, table[i].name) == 0)
            return &table[i];
    return &application; /* the link library lets nothing else pass */
}

void method_fail(struct client *client, struct link_transaction *txn, GError *error,
                 const char *media_session_id)
{
    struct log_ids ids = {.link = client->link ? link_name(client->link) : NULL,
                          .session = media_session_id,
                          .transaction = link_transaction_name(txn)};
    log_info(&ids, "refused: %s (%s)", error->message, problem_cause(problem_code(error)));
    /* It may be what the client said; only an id is repeated. */
    bool named = media_session_id && id_is_uuid(media_session_id);
    json_t *members = json_object();
    if (named)
        json_object_set_new(members, "mediaSessionId", json_string(media_session_id));
    /* A3. The link refuses what is required by name; this is for members of an extension. */
    if (problem_code(error) == PROBLEM_EXTENSION_NOT_SUPPORTED)
        json_object_set_new(members, "unsupportedExtension", json_pack("[s]", TRICKLE_ICE));
    link_fail(txn, error, members);
    g_error_free(error);
}

static void set_gone(const char *cause, GError **error)
{
    if (g_strcmp0(cause, disc_cause_name(DISC_ANSWERED_ELSEWHERE)) == 0)
        problem_set(error, PROBLEM_ANSWERED_ELSEWHERE, "another endpoint has taken the call");
    else
        problem_set(error, PROBLEM_MEDIA_SESSION_GONE, "the media session has ended");
}

struct leg *method_leg(struct client *client, const json_t *message, GError **error)
{
    const char *id = NULL;
    if (!json_read_string(message, "", "mediaSessionId", JSON_REQUIRED, 64, &id, error))
        return NULL;
    struct leg *leg = session_table_leg(client->wsf->sessions, id);
    if (leg && leg->endpoint == client->endpoint) {
        if (leg_is_live(leg))
            return leg;
        set_gone(disc_cause_name(leg->end_cause), error);
        return NULL;
    }
    /* Another endpoint's session is answered like one that never was. */
    const struct endpoint *endpoint = client_endpoint(client);
    const struct ended_session *ended = endpoint ? endpoint_find_ended(endpoint, id) : NULL;
    if (ended)
        set_gone(ended->state_cause, error);
    else
        problem_set_param(error, PROBLEM_MEDIA_SESSION_NOT_FOUND, "/mediaSessionId",
                          "you have no media session of this id");
    return NULL;
}

bool method_user_data(struct client *client, const json_t *message, const json_t **ret,
                      GError **error)
{
    const json_t *user_data = json_object_get(message, "userData");
    gsize max = conf_int(client->wsf->conf, "call", "user_data_max");
    if (user_data) {
        size_t length = json_dumpb(user_data, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY);
        if (length > max) {
            problem_set_param(error, PROBLEM_MESSAGE_TOO_LARGE, "/userData",
                              "userData has at most %" G_GSIZE_FORMAT " octets", max);
            return false;
        }
    }
    *ret = user_data;
    return true;
}
