/* SPDX-License-Identifier: Apache-2.0 */
/* Adapter `janus`: Janus 1.x over its WebSocket API, one connection and one session with a handle
 * for each peer connection, as an application server drives it. Two-way shapes are calls of the
 * videocall plugin, the others rooms of the videoroom plugin. Replies and events find their handle
 * in one table; a failure settles its end and nothing else. */
#include "tests/support/load/janus.h"

#include "base/loop.h"

#include <string.h>

#define KEEP_ALIVE_MS 20000 /* a session ends after 60 s of silence */

static json_t *addressed(const struct janus *janus, const struct janus_end *end)
{
    json_t *members = json_object();
    json_object_set_new(members, "session_id", json_integer(janus->session));
    if (end)
        json_object_set_new(members, "handle_id", json_integer(end->handle));
    return members;
}

const char *janus_sdp_of(const json_t *message)
{
    return json_string_value(json_object_get(json_object_get(message, "jsep"), "sdp"));
}

/* --- ends ------------------------------------------------------------------------------------ */

static void end_free(void *data)
{
    struct janus_end *end = data;
    g_free(end->problem);
    g_free(end);
}

struct janus_end *janus_end_new(struct janus *janus, struct load_leg *leg,
                                void (*done)(struct janus_end *end, const char *problem))
{
    struct janus_end *end = g_new0(struct janus_end, 1);
    end->janus = janus;
    end->leg = leg;
    end->done = done;
    g_ptr_array_add(janus->ends, end);
    return end;
}

void janus_end_settle(struct janus_end *end, const char *problem)
{
    if (end->settled)
        return;
    end->settled = true;
    end->done(end, problem);
}

static void look(struct janus_end *end)
{
    if (end->peer_up && (end->server_up || !end->waits_for_server))
        janus_end_settle(end, NULL);
}

static void on_attached(const json_t *reply, const char *problem, void *user)
{
    struct janus_end *end = user;
    if (problem) {
        janus_end_settle(end, problem);
        return;
    }
    end->handle = json_integer_value(json_object_get(json_object_get(reply, "data"), "id"));
    g_hash_table_insert(end->janus->handles, &end->handle, end);
    end->attached(end);
}

void janus_end_attach(struct janus_end *end, const char *plugin,
                      void (*attached)(struct janus_end *end))
{
    json_t *members = addressed(end->janus, NULL);
    json_object_set_new(members, "plugin", json_string(plugin));
    end->attached = attached;
    janus_link_ask(end->janus->link, "attach", members, on_attached, end);
}

struct message {
    struct janus_end *end;
    void (*fn)(struct janus_end *end, const json_t *reply);
};

static void on_reply(const json_t *reply, const char *problem, void *user)
{
    g_autofree struct message *message = user;
    if (problem)
        janus_end_settle(message->end, problem);
    else if (message->fn)
        message->fn(message->end, reply);
}

void janus_end_message(struct janus_end *end, json_t *body, const char *type, const char *sdp,
                       void (*fn)(struct janus_end *end, const json_t *reply))
{
    struct message *message = g_new(struct message, 1);
    json_t *members = addressed(end->janus, end);
    *message = (struct message){end, fn};
    json_object_set_new(members, "body", body);
    if (sdp)
        json_object_set_new(members, "jsep", json_pack("{s:s, s:s}", "type", type, "sdp", sdp));
    janus_link_ask(end->janus->link, "message", members, on_reply, message);
}

static void on_peer_state(struct peer *peer, enum peer_state state, void *user)
{
    struct janus_end *end = user;
    if (state == PEER_CONNECTED) {
        end->peer_up = true;
        look(end);
    } else if (state == PEER_FAILED) {
        janus_end_settle(end, peer_failure(peer));
    }
}

static const struct peer_ops peer_ops = {.state = on_peer_state};

bool janus_end_make_peer(struct janus_end *end, struct peer_config *config)
{
    g_autoptr(GError) error = NULL;
    config->ops = &peer_ops;
    config->user = end;
    end->peer = peer_new(end->janus->run->group, config, &error);
    if (!end->peer)
        janus_end_settle(end, error->message);
    return end->peer != NULL;
}

/* --- the session ----------------------------------------------------------------------------- */

static void on_event(const json_t *message, void *user)
{
    struct janus *janus = user;
    const char *kind = json_string_value(json_object_get(message, "janus"));
    json_int_t handle = json_integer_value(json_object_get(message, "sender"));
    struct janus_end *end = g_hash_table_lookup(janus->handles, &handle);
    if (!strcmp(kind, "timeout") && !janus->leaving) {
        load_fail(janus->run, "Janus ended the session");
    } else if (!end) {
        return;
    } else if (!strcmp(kind, "webrtcup")) {
        end->server_up = true;
        look(end);
    } else if (!strcmp(kind, "hangup")) {
        const char *reason = json_string_value(json_object_get(message, "reason"));
        janus_end_settle(end, reason ? reason : "Janus hung up");
    } else if (!strcmp(kind, "event") && end->leg->publishes && end->leg->subscribes) {
        janus_call_event(end, message);
    }
}

static void on_closed(const char *why, void *user)
{
    struct janus *janus = user;
    if (!janus->leaving)
        load_fail(janus->run, "%s", why);
}

static void keep_alive(void *data)
{
    struct janus *janus = data;
    janus_link_ask(janus->link, "keepalive", addressed(janus, NULL), NULL, NULL);
}

static void on_created(const json_t *reply, const char *problem, void *user)
{
    struct janus *janus = user;
    if (problem) {
        load_fail(janus->run, "create: %s", problem);
        return;
    }
    janus->session = json_integer_value(json_object_get(json_object_get(reply, "data"), "id"));
    janus->keep_alive = loop_timer_new("Janus keep-alive", keep_alive, janus);
    loop_timer_start_repeating(janus->keep_alive, KEEP_ALIVE_MS);
    load_opened(janus->run);
}

static void on_opened(void *user)
{
    struct janus *janus = user;
    janus_link_ask(janus->link, "create", NULL, on_created, janus);
}

static const struct janus_link_ops link_ops = {
    .opened = on_opened, .event = on_event, .closed = on_closed};

/* --- the adapter ----------------------------------------------------------------------------- */

static void adapter_open(struct load_run *run)
{
    struct janus *janus = g_new0(struct janus, 1);
    g_autoptr(GError) error = NULL;
    run->data = janus;
    janus->run = run;
    janus->handles = g_hash_table_new(g_int64_hash, g_int64_equal);
    janus->ends = g_ptr_array_new_with_free_func(end_free);
    janus->link = janus_link_new(run->options->url, &link_ops, janus, &error);
    if (!janus->link)
        load_fail(run, "%s", error->message);
}

static void adapter_add(struct load_run *run, struct load_leg *leg)
{
    if (run->options->two_way)
        janus_call_add(run->data, leg);
    else
        janus_room_add(run->data, leg);
}

static void adapter_join(struct load_run *run)
{
    if (run->options->room)
        janus_room_join(run->data);
    else
        load_joined(run);
}

static void on_destroyed(const json_t *reply, const char *problem, void *user)
{
    struct janus *janus = user;
    if (problem)
        load_fail(janus->run, "destroy: %s", problem);
    else
        load_left(janus->run);
}

static void adapter_leave(struct load_run *run)
{
    struct janus *janus = run->data;
    janus->leaving = true;
    janus_link_ask(janus->link, "destroy", addressed(janus, NULL), on_destroyed, janus);
}

static void adapter_free(struct load_run *run)
{
    struct janus *janus = run->data;
    if (!janus)
        return;
    janus_link_free(janus->link);
    loop_timer_free(janus->keep_alive);
    g_hash_table_unref(janus->handles);
    g_ptr_array_unref(janus->ends);
    g_free(janus);
}

const struct load_adapter load_janus_adapter = {
    .name = "janus",
    .open = adapter_open,
    .add = adapter_add,
    .join = adapter_join,
    .leave = adapter_leave,
    .free = adapter_free,
};
