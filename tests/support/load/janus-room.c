/* SPDX-License-Identifier: Apache-2.0 */
/* Fan-out and rooms in Janus' videoroom plugin. A context is a room; who publishes joins with an
 * offer, who subscribes gets one offer with the streams of all whom it sees. Janus has a peer
 * connection for each direction, so a participant of a room is two legs here; the second one is set
 * up when all publish. Nothing of the room limits or transforms the media. */
#include "tests/support/load/janus.h"

static json_int_t room_of(const struct load_leg *leg)
{
    return (json_int_t)leg->context + 1;
}

static json_int_t feed_of(const struct load_leg *leg)
{
    return (json_int_t)leg->number + 1;
}

/* --- publishers ------------------------------------------------------------------------------ */

static void on_published(struct janus_end *end, const json_t *reply)
{
    g_autoptr(GError) error = NULL;
    const char *answer = janus_sdp_of(reply);
    if (!answer)
        janus_end_settle(end, "the answer to an offer is missing");
    else if (!peer_set_answer(end->peer, answer, &error))
        janus_end_settle(end, error->message);
}

static void publish(struct janus_end *end)
{
    struct peer_config config;
    g_autoptr(GError) error = NULL;
    load_peer_config(end->janus->run->options, &config, true, false);
    if (!janus_end_make_peer(end, &config))
        return;
    end->leg->peer = end->peer;
    g_autofree char *offer = peer_offer(end->peer, &error);
    if (!offer) {
        janus_end_settle(end, error->message);
        return;
    }
    janus_end_message(end,
                      json_pack("{s:s, s:s, s:I, s:I}", "request", "joinandconfigure", "ptype",
                                "publisher", "room", room_of(end->leg), "id", feed_of(end->leg)),
                      "offer", offer, on_published);
}

static void on_room_created(struct janus_end *end, const json_t *reply)
{
    publish(end);
}

static void create_room(struct janus_end *end)
{
    janus_end_message(end,
                      json_pack("{s:s, s:I, s:i, s:i, s:s, s:s}", "request", "create", "room",
                                room_of(end->leg), "publishers",
                                MAX(end->janus->run->options->room, 1), "bitrate", 0, "audiocodec",
                                "opus", "videocodec", "vp8"),
                      NULL, NULL, on_room_created);
}

/* --- subscribers ----------------------------------------------------------------------------- */

static void on_offered(struct janus_end *end, const json_t *reply)
{
    const struct load_options *options = end->janus->run->options;
    const char *offer = janus_sdp_of(reply);
    struct peer_config config;
    g_autoptr(GError) error = NULL;
    if (!offer) {
        janus_end_settle(end, "the offer to a subscriber is missing");
        return;
    }
    load_peer_config(options, &config, false, true);
    guint medias = config.n_medias;
    for (guint i = medias; i < medias * end->leg->n_sources && i < PEER_MEDIA_CONFIGS; i++)
        config.medias[config.n_medias++] = config.medias[i % medias];
    if (!janus_end_make_peer(end, &config))
        return;
    if (end->leg->publishes)
        end->leg->second = end->peer;
    else
        end->leg->peer = end->peer;
    g_autofree char *answer = peer_answer(end->peer, offer, &error);
    if (!answer)
        janus_end_settle(end, error->message);
    else
        janus_end_message(end, json_pack("{s:s}", "request", "start"), "answer", answer, NULL);
}

static void subscribe(struct janus_end *end)
{
    const struct load_run *run = end->janus->run;
    json_t *streams = json_array();
    for (guint i = 0; i < run->legs->len; i++) {
        const struct load_leg *from = run->legs->pdata[i];
        if (from != end->leg && from->context == end->leg->context && from->publishes &&
            from->connected)
            json_array_append_new(streams, json_pack("{s:I}", "feed", feed_of(from)));
    }
    janus_end_message(end,
                      json_pack("{s:s, s:s, s:I, s:o}", "request", "join", "ptype", "subscriber",
                                "room", room_of(end->leg), "streams", streams),
                      NULL, NULL, on_offered);
}

/* --- legs ------------------------------------------------------------------------------------ */

static void on_leg_done(struct janus_end *end, const char *problem)
{
    struct load_leg *leg = end->leg;
    struct load_run *run = end->janus->run;
    if (leg->number == 0 && !problem)
        load_context_ready(run, leg->context);
    load_leg_done(run, leg, problem);
}

void janus_room_add(struct janus *janus, struct load_leg *leg)
{
    struct janus_end *end = janus_end_new(janus, leg, on_leg_done);
    end->waits_for_server = leg->publishes; /* who is not yet a feed cannot be subscribed to */
    janus_end_attach(end, "janus.plugin.videoroom",
                     !leg->publishes    ? subscribe
                     : leg->number == 0 ? create_room
                                        : publish);
}

/* --- the second peer connection of a room's participants ---------------------------------------
 */

static void join_more(struct janus *janus);

static void on_second_done(struct janus_end *end, const char *problem)
{
    struct janus *janus = end->janus;
    if (problem) {
        load_fail(janus->run, "subscriber of room %u: %s", end->leg->context, problem);
        return;
    }
    janus->joining--;
    join_more(janus);
    if (!janus->joining)
        load_joined(janus->run);
}

static void join_more(struct janus *janus)
{
    const GPtrArray *legs = janus->run->legs;
    while (janus->joining < (guint)janus->run->options->parallel && janus->next_join < legs->len) {
        struct load_leg *leg = legs->pdata[janus->next_join++];
        if (!leg->connected)
            continue;
        janus->joining++;
        janus_end_attach(janus_end_new(janus, leg, on_second_done), "janus.plugin.videoroom",
                         subscribe);
    }
}

void janus_room_join(struct janus *janus)
{
    join_more(janus);
}
