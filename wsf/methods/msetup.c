/* SPDX-License-Identifier: Apache-2.0 */
/* `msetup` from a client (6.3.2.6.x.2.1): answered at once, always with a mediaSessionId; whatever
 * the far end says later comes as mupdate or mdisc. Everything is read and decided before the first
 * request goes anywhere, so a refusal leaves nothing behind. */
#define LOG_CATEGORY "msetup"
#include "base/ids.h"
#include "wsf-link/json-read.h"
#include "wsf/call.h"
#include "wsf/methods/methods.h"
#include "wsf/routing.h"

#include <string.h>

#define ANONYMOUS "anonymous@anonymous.invalid" /* A7 */

struct setup {
    struct client *client;
    const json_t *message;
    const struct endpoint *caller;
    struct route route;
    const char *asserted;
    const json_t *user_data;
    struct offer_template *wanted;
    const char *wmcf;
    guint policy;
};

static void setup_finish(struct setup *setup)
{
    route_finish(&setup->route);
    offer_template_free(setup->wanted);
}

/* --- reading -------------------------------------------------------------------------------------
 */

static bool read_asserted(struct setup *setup, GError **error)
{
    const char *preferred = NULL;
    if (!json_read_string(setup->message, "", "preferredOriginatingId", JSON_OPTIONAL, 320,
                          &preferred, error))
        return false;
    setup->asserted = setup->caller->webrtc_id;
    if (!preferred)
        return true;
    g_autofree char *normal = registrar_normalise(preferred);
    if (g_strcmp0(normal, ANONYMOUS) == 0) {
        setup->asserted = ANONYMOUS;
        return true;
    }
    if (g_strcmp0(normal, setup->caller->webrtc_id) == 0)
        return true;
    problem_set_param(error, PROBLEM_NOT_AUTHORIZED, "/preferredOriginatingId",
                      "this identity is not one of yours");
    return false;
}

static bool read_wanted(struct setup *setup, GError **error)
{
    const struct conf *conf = setup->client->wsf->conf;
    gsize max = conf_int(conf, "call", "sdp_max");
    const char *pre_offer = NULL;
    if (!json_read_string(setup->message, "", "preOfferDescription", JSON_OPTIONAL, max, &pre_offer,
                          error))
        return false;
    if (!pre_offer) {
        /* 6.3.2.6.x.2.2: neither received, so from the local configuration. */
        setup->wanted = offer_template_default(conf_list(conf, "call", "default_audio"),
                                               conf_list(conf, "call", "default_video"));
        return true;
    }
    offer_template_auto *offer = offer_template_parse(pre_offer, max, error);
    if (offer)
        setup->wanted = offer_template_wanted(offer, error);
    return setup->wanted != NULL;
}

static bool read_setup(struct setup *setup, GError **error)
{
    if (json_object_get(setup->message, "sdpOffer")) {
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, "/sdpOffer",
                          "a client sends preOfferDescription; the network makes the offer");
        return false;
    }
    return method_user_data(setup->client, setup->message, &setup->user_data, error) &&
           read_asserted(setup, error) && read_wanted(setup, error);
}

/* --- admission -----------------------------------------------------------------------------------
 */

static bool route(struct setup *setup, GError **error)
{
    const char *resource_id = NULL;
    if (!json_read_string(setup->message, "", "resourceId", JSON_REQUIRED, 320, &resource_id,
                          error))
        return false;
    return routing_find(setup->client->wsf, resource_id, setup->caller, &setup->route, error);
}

static bool admit(struct setup *setup, GError **error)
{
    struct wsf *wsf = setup->client->wsf;
    if (wsf->draining) {
        problem_set_retry(error, PROBLEM_DRAINING, 5,
                          "this server is about to stop; try again shortly");
        return false;
    }
    if (!session_table_admit(wsf->sessions, setup->caller->webrtc_id, setup->route.called, error))
        return false;
    setup->wmcf = wmcf_pool_choose(wsf->pool, error);
    return setup->wmcf != NULL;
}

static bool permit(struct setup *setup, GError **error)
{
    const char *resource_id = json_string_value(json_object_get(setup->message, "resourceId"));
    g_autofree char *to = resource_id ? g_ascii_strdown(resource_id, -1) : NULL;
    return policy_permit(setup->client->wsf->policy, setup->caller->webrtc_id, to ? to : "",
                         &setup->policy, error);
}

void handle_msetup(struct client *client, struct link_transaction *txn)
{
    g_autofree char *media_session_id = id_uuid();
    GError *error = NULL;
    struct setup setup = {.client = client,
                          .message = link_transaction_message(txn),
                          .caller = client_endpoint(client)};
    if (!read_setup(&setup, &error) || !permit(&setup, &error) || !route(&setup, &error) ||
        !admit(&setup, &error)) {
        method_fail(client, txn, error, media_session_id);
        setup_finish(&setup);
        return;
    }
    const struct call_request request = {
        .media_session_id = media_session_id,
        .caller = setup.caller,
        .called = setup.route.called,
        .asserted_caller = setup.asserted,
        .endpoints = setup.route.endpoints,
        .wanted = g_steal_pointer(&setup.wanted),
        .user_data = setup.user_data,
        .wmcf = setup.wmcf,
        .policy = setup.policy,
    };
    call_start(client->wsf, &request);
    struct log_ids ids = {.link = link_name(client->link), .session = media_session_id};
    log_info(&ids, "%s calls %s on %u endpoints", setup.caller->webrtc_id, setup.route.called,
             setup.route.endpoints->len);
    link_succeed(txn, json_pack("{s:s, s:s}", "mediaSessionId", media_session_id,
                                "mediaSessionState", session_state_name(SESSION_PROCEEDING)));
    setup_finish(&setup);
}
