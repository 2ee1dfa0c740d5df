/* SPDX-License-Identifier: Apache-2.0 */
/* Two-way calls in Janus' videocall plugin, which relays between two peer connections. Caller and
 * callee register, the caller's offer comes to the callee as Janus' own, and the callee's answer to
 * the caller. A call cannot stand by halves, so that both legs are set up when the first is asked
 * for; the second is found done, or waited for, when its turn comes. */
#include "tests/support/load/janus.h"

#include <string.h>

static char *user_name(const struct janus_end *end)
{
    return g_strdup_printf("leg-%u-%u", end->leg->context, end->leg->number);
}

static const char *event_of(const json_t *message)
{
    const json_t *data = json_object_get(json_object_get(message, "plugindata"), "data");
    const char *event =
        json_string_value(json_object_get(json_object_get(data, "result"), "event"));
    return event ? event : "";
}

/* --- a call ---------------------------------------------------------------------------------- */

static void on_registered(struct janus_end *end, const json_t *reply)
{
    struct janus_end *caller = end->leg->number == 0 ? end : end->other;
    struct peer_config config;
    g_autoptr(GError) error = NULL;
    end->registered = true;
    if (!end->other->registered || caller->settled)
        return;
    load_peer_config(caller->janus->run->options, &config, true, true);
    if (!janus_end_make_peer(caller, &config))
        return;
    g_autofree char *offer = peer_offer(caller->peer, &error);
    if (!offer) {
        janus_end_settle(caller, error->message);
        return;
    }
    g_autofree char *callee = user_name(caller->other);
    janus_end_message(caller, json_pack("{s:s, s:s}", "request", "call", "username", callee),
                      "offer", offer, NULL);
}

static void answer(struct janus_end *end, const char *offer)
{
    struct peer_config config;
    g_autoptr(GError) error = NULL;
    load_peer_config(end->janus->run->options, &config, true, true);
    if (!janus_end_make_peer(end, &config))
        return;
    g_autofree char *text = peer_answer(end->peer, offer, &error);
    if (!text)
        janus_end_settle(end, error->message);
    else
        janus_end_message(end, json_pack("{s:s}", "request", "accept"), "answer", text, NULL);
}

void janus_call_event(struct janus_end *end, const json_t *message)
{
    const char *event = event_of(message), *sdp = janus_sdp_of(message);
    g_autoptr(GError) error = NULL;
    if (!strcmp(event, "incomingcall") && sdp && !end->peer)
        answer(end, sdp);
    else if (!strcmp(event, "accepted") && sdp && end->peer &&
             !peer_set_answer(end->peer, sdp, &error))
        janus_end_settle(end, error->message);
    else if (!strcmp(event, "hangup"))
        janus_end_settle(end, "the call was hung up");
}

/* --- legs ------------------------------------------------------------------------------------ */

static void register_user(struct janus_end *end)
{
    g_autofree char *name = user_name(end);
    janus_end_message(end, json_pack("{s:s, s:s}", "request", "register", "username", name), NULL,
                      NULL, on_registered);
}

static void tell(struct janus_end *end)
{
    if (end->asked && end->settled)
        load_leg_done(end->janus->run, end->leg, end->problem);
}

static void on_end_done(struct janus_end *end, const char *problem)
{
    end->problem = g_strdup(problem);
    end->leg->peer = end->peer;
    if (problem)
        janus_end_settle(end->other, problem);
    else if (end->leg->number == 0)
        load_context_ready(end->janus->run, end->leg->context);
    tell(end);
}

void janus_call_add(struct janus *janus, struct load_leg *leg)
{
    if (leg->number == 0) {
        struct load_leg *other = load_leg_of(janus->run, leg->context, 1);
        struct janus_end *caller = janus_end_new(janus, leg, on_end_done);
        struct janus_end *callee = janus_end_new(janus, other, on_end_done);
        leg->data = caller;
        other->data = callee;
        caller->other = callee;
        callee->other = caller;
        caller->asked = true;
        janus_end_attach(caller, "janus.plugin.videocall", register_user);
        janus_end_attach(callee, "janus.plugin.videocall", register_user);
    } else {
        struct janus_end *callee = leg->data;
        callee->asked = true;
        tell(callee);
    }
}
