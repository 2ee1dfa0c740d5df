/* SPDX-License-Identifier: Apache-2.0 */
/* `msetup` from a client (6.3.2.6.x.2.1) or another WSF (6.3.2.6.x.2.3): answered at once, always
 * with a mediaSessionId; whatever the far end says later comes as mupdate or mdisc. Everything is
 * read and decided before the first request goes anywhere, so a refusal leaves nothing behind. */
#define LOG_CATEGORY "msetup"
#include "base/ids.h"
#include "wsf-link/json-read.h"
#include "wsf/admission.h"
#include "wsf/call-direct.h"
#include "wsf/call-resource.h"
#include "wsf/call.h"
#include "wsf/identity.h"
#include "wsf/methods/methods.h"
#include "wsf/room.h"
#include "wsf/routing.h"

#include <string.h>

struct setup {
    struct client *client;
    const json_t *message;
    const struct endpoint *caller;
    struct route route;
    bool by_wsf; /* the caller is a signalling function: it names the session and offers */
    const char *media_session_id;
    struct caller_id id;
    const char *pre_offer;
    const char *sdp_offer, *offer_id; /* to be answered, or NULL */
    guint hop_limit;
    const json_t *user_data;
    struct offer_template *wanted;
    const struct leg_media *media;
    const char *wmcf; /* NULL in direct media */
    guint policy;
};

static void setup_finish(struct setup *setup)
{
    route_finish(&setup->route);
    caller_id_finish(&setup->id);
    offer_template_free(setup->wanted);
}

/* --- reading -------------------------------------------------------------------------------------
 */

/* The id is the requesting WSF's to choose (A5), and never used again. */
static bool read_session_id(struct setup *setup, GError **error)
{
    const char *id = NULL;
    if (!setup->by_wsf)
        return true;
    if (!json_read_string(setup->message, "", "mediaSessionId", JSON_REQUIRED, 64, &id, error))
        return false;
    if (!id_is_uuid(id)) {
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, "/mediaSessionId",
                          "a mediaSessionId is a UUID");
        return false;
    }
    if (session_table_leg(setup->client->wsf->sessions, id) ||
        endpoint_find_ended(setup->caller, id)) {
        problem_set_param(error, PROBLEM_INVALID_STATE, "/mediaSessionId",
                          "a media session of this id exists or has ended");
        return false;
    }
    setup->media_session_id = id;
    return true;
}

/* What the caller would like, and whether that is an offer to be answered. */
static bool read_wanted(struct setup *setup, struct link_transaction *txn, GError **error)
{
    const struct conf *conf = setup->client->wsf->conf;
    gsize max = conf_int(conf, "call", "sdp_max");
    if (!json_read_string(setup->message, "", "preOfferDescription", JSON_OPTIONAL, max,
                          &setup->pre_offer, error) ||
        !json_read_string(setup->message, "", "sdpOffer", JSON_OPTIONAL, max, &setup->sdp_offer,
                          error) ||
        !json_read_string(setup->message, "", "offerId", JSON_OPTIONAL, 64, &setup->offer_id,
                          error))
        return false;
    if (!setup->sdp_offer && link_transaction_supports(txn, PRE_OFFER_AS_OFFER) &&
        conf_bool(conf, "call", "pre_offer_as_offer"))
        setup->sdp_offer = setup->pre_offer;
    const char *description = setup->sdp_offer ? setup->sdp_offer : setup->pre_offer;
    if (!description) {
        /* 6.3.2.6.x.2.2: neither received, so from the local configuration. */
        setup->wanted = offer_template_default(conf_list(conf, "call", "default_audio"),
                                               conf_list(conf, "call", "default_video"));
        return true;
    }
    offer_template_auto *offer = offer_template_parse(description, max, error);
    if (offer)
        setup->wanted = setup->sdp_offer ? offer_template_own(offer, error)
                                         : offer_template_wanted(offer, error);
    if (setup->wanted && !endpoint_supports(setup->caller, DATACHANNEL))
        offer_template_drop(setup->wanted, MEDIA_APPLICATION);
    return setup->wanted != NULL;
}

static bool read_setup(struct setup *setup, struct link_transaction *txn, GError **error)
{
    setup->by_wsf = endpoint_is_wsf(setup->caller);
    if (!setup->by_wsf && json_object_get(setup->message, "sdpOffer")) {
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, "/sdpOffer",
                          "a client sends preOfferDescription; the network makes the offer");
        return false;
    }
    return read_session_id(setup, error) &&
           method_user_data(setup->client, setup->message, &setup->user_data, error) &&
           identity_originating(setup->client->wsf, setup->caller, setup->message, &setup->id,
                                error) &&
           read_wanted(setup, txn, error);
}

/* --- admission -----------------------------------------------------------------------------------
 */

static bool route(struct setup *setup, GError **error)
{
    const char *resource_id = NULL;
    if (!json_read_string(setup->message, "", "resourceId", JSON_REQUIRED, 320, &resource_id,
                          error))
        return false;
    return routing_find(setup->client->wsf, resource_id, setup->caller, &setup->route, error) &&
           routing_hop_limit(setup->client->wsf, &setup->route, setup->message, setup->caller,
                             &setup->hop_limit, error);
}

/* A6: direct media when everybody can and the policy allows it, "else the call is anchored". */
static void choose_media(struct setup *setup, struct link_transaction *txn)
{
    const struct policy_caller from = {setup->id.subject, setup->caller->kind};
    const char *to = json_string_value(json_object_get(setup->message, "resourceId"));
    bool direct =
        setup->sdp_offer && !setup->by_wsf &&
        !policy_has_media_path(setup->client->wsf->policy, &from, to ? to : "") &&
        direct_is_possible(setup->client->wsf, txn, setup->caller, &setup->route, setup->policy);
    setup->media = direct ? &media_direct : &media_anchored;
}

static bool admit(struct setup *setup, struct link_transaction *txn, GError **error)
{
    struct wsf *wsf = setup->client->wsf;
    if (wsf->draining) {
        problem_set_retry(error, PROBLEM_DRAINING, 5,
                          "this server is about to stop; try again shortly");
        return false;
    }
    const struct admission_request request = {
        .caller = setup->caller,
        .subject = setup->id.subject,
        .route = &setup->route,
        .row = setup->policy,
    };
    if (!admission_check(wsf, &request, loop_now(), error))
        return false;
    choose_media(setup, txn);
    if (setup->media == &media_direct)
        return true;
    const struct policy_caller from = {setup->id.subject, setup->caller->kind};
    if (setup->route.kind == ROUTE_ROOM &&
        !room_admit(wsf, setup->route.called, &from, &setup->wmcf, error))
        return false;
    if (!setup->wmcf)
        setup->wmcf = wmcf_pool_choose(wsf->pool, error);
    return setup->wmcf != NULL;
}

static bool permit(struct setup *setup, GError **error)
{
    const struct policy *policy = setup->client->wsf->policy;
    const struct policy_caller from = {setup->id.subject, setup->caller->kind};
    const char *resource_id = json_string_value(json_object_get(setup->message, "resourceId"));
    const char *to = resource_id ? resource_id : "";
    return policy_permit(policy, &from, to, &setup->policy, error) &&
           policy_limit_media(policy, &from, to, setup->wanted, error);
}

void handle_msetup(struct client *client, struct link_transaction *txn)
{
    g_autofree char *made_id = id_uuid();
    GError *error = NULL;
    struct setup setup = {.client = client,
                          .message = link_transaction_message(txn),
                          .caller = client_endpoint(client),
                          .media_session_id = made_id};
    if (!read_setup(&setup, txn, &error) || !permit(&setup, &error) || !route(&setup, &error) ||
        !admit(&setup, txn, &error)) {
        const char *named = json_string_value(json_object_get(setup.message, "mediaSessionId"));
        method_fail(client, txn, error, setup.by_wsf ? named : made_id);
        setup_finish(&setup);
        return;
    }
    struct log_ids ids = {.link = link_name(client->link), .session = setup.media_session_id};
    log_info(&ids, "%s calls %s on %u endpoints", identity_log(setup.id.subject),
             identity_log(setup.route.called), setup.route.endpoints->len);
    bool room = setup.route.kind == ROUTE_ROOM;
    const struct call_request request = {
        .media_session_id = setup.media_session_id,
        .caller = setup.caller,
        .called = setup.route.called,
        .id = &setup.id,
        .hop_limit = setup.hop_limit,
        .endpoints = setup.route.endpoints,
        .resource = setup.route.resource,
        .resource_media = room                   ? &media_room
                          : setup.route.resource ? &media_resource
                                                 : NULL,
        .media = setup.media,
        .wanted = g_steal_pointer(&setup.wanted),
        .pre_offer = setup.pre_offer,
        .sdp_offer = setup.sdp_offer,
        .offer_id = setup.offer_id,
        .user_data = setup.user_data,
        .wmcf = setup.wmcf,
        .policy = setup.policy,
        .transaction = txn,
    };
    call_start(client->wsf, &request);
    setup_finish(&setup);
}
