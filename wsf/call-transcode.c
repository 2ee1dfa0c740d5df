/* SPDX-License-Identifier: Apache-2.0 */
/* A call's transcoders follow from what both sides have agreed to, and from nothing else: after
 * every change they are worked out anew, and transcoding.c sees to the difference. They begin with
 * the open gates, for before that nothing comes that they could convert. */
#define LOG_CATEGORY "transcode"
#include "wsf/call-transcode.h"

#include "wsf/room.h"
#include "wsf/transcoding.h"

#include <string.h>

const struct transcode_skills *call_transcode_skills(const struct wsf *wsf,
                                                     const struct session *session)
{
    const struct transcode_skills *skills = transcoding_skills(wsf->transcoding);
    return session->caller->media->passes_descriptions ? NULL : skills;
}

const struct transcode_skills *call_transcode_spare(const struct wsf *wsf,
                                                    const struct session *session)
{
    return transcoding_has_room(wsf->transcoding) ? call_transcode_skills(wsf, session) : NULL;
}

static void add_wants(GArray *wants, const struct leg *from, const struct leg *to,
                      const struct transcode_skills *skills)
{
    for (guint i = 0; i < from->negotiated->medias->len; i++) {
        const struct offer_media *sent = g_ptr_array_index(from->negotiated->medias, i);
        const struct offer_media *taken = offer_template_media(to->negotiated, sent->mid);
        const char *target =
            taken && (sent->direction & MEDIA_SENDONLY) && (taken->direction & MEDIA_RECVONLY)
                ? transcode_target(sent, taken, skills)
                : NULL;
        const struct transcode_want want = {
            .from = from->termination_id,
            .from_mid = sent->mid,
            .codec = target ? g_ptr_array_index(sent->codecs, 0) : NULL,
            .target = target,
            .to = to->termination_id,
            .to_mid = sent->mid,
            .bandwidth = taken ? taken->bandwidth : 0,
        };
        if (target)
            g_array_append_val(wants, want);
    }
}

static bool is_negotiated(const struct leg *leg)
{
    return leg && leg->termination_id && leg->negotiated;
}

void call_transcode_follow(struct wsf *wsf, struct session *session)
{
    const struct leg *caller = session->caller, *winner = session->winner;
    const struct transcode_skills *skills = call_transcode_skills(wsf, session);
    if (!skills || !session->context_id ||
        !context_pipelines_are_known(wsf->pipelines, session->wmcf, session->context_id))
        return;
    if (session->stay) {
        room_transcode_follow(session->stay->room);
        return;
    }
    if (session->phase != CALL_ACTIVE || session->change || !is_negotiated(caller) ||
        !is_negotiated(winner) || caller->need || winner->need)
        return; /* … an offer that is due may make them needless */
    g_autoptr(GArray) wants = g_array_new(FALSE, TRUE, sizeof(struct transcode_want));
    add_wants(wants, caller, winner, skills);
    add_wants(wants, winner, caller, skills);
    transcoding_want(wsf->transcoding, session->wmcf, session->context_id,
                     (const struct transcode_want *)(const void *)wants->data, wants->len);
}

void call_transcode_first_media(struct wsf *wsf, const struct leg *leg, const char *mid)
{
    const struct session *session = leg->session;
    if (session->context_id && leg->termination_id && mid)
        transcoding_source_sends(wsf->transcoding, session->wmcf, session->context_id,
                                 leg->termination_id, mid);
}

void call_transcode_looked(struct wsf *wsf, const char *wmcf, const char *context_id)
{
    struct session *session = session_table_context(wsf->sessions, wmcf, context_id);
    if (session && session->phase != CALL_ENDED)
        call_transcode_follow(wsf, session);
}
