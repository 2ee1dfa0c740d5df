/* SPDX-License-Identifier: Apache-2.0 */
/* Who sends a codec that somebody else in the room cannot take gets a transcoder for it, one for
 * all who cannot, and the mesh shows them its picture in place of the other (protocol B, standsIn).
 * Those who can take the first one do not notice. */
#include "wsf/call-transcode.h"
#include "wsf/room.h"
#include "wsf/transcoding.h"

#include <string.h>

/* An m-line on which it can be shown the picture of others; all of them have the same codecs. */
static const struct offer_media *place_of(const struct room_stay *stay)
{
    const struct offer_template *negotiated = stay->session->caller->negotiated;
    for (guint i = 0; i < negotiated->medias->len; i++) {
        const struct offer_media *media = g_ptr_array_index(negotiated->medias, i);
        if (media->kind == MEDIA_VIDEO && !media->rejected && (media->direction & MEDIA_RECVONLY))
            return media;
    }
    return NULL;
}

static bool takes_part(const struct room_stay *stay)
{
    const struct leg *leg = stay->session->caller;
    return room_stay_is_present(stay) && leg->negotiated && leg->termination_id;
}

/* Several who want the same codec share it: the least bandwidth of them counts. */
static void add_want(GArray *wants, const struct transcode_want *want)
{
    for (guint i = 0; i < wants->len; i++) {
        struct transcode_want *other = &g_array_index(wants, struct transcode_want, i);
        if (strcmp(other->from, want->from) != 0 || strcmp(other->from_mid, want->from_mid) != 0 ||
            g_ascii_strcasecmp(other->target, want->target) != 0)
            continue;
        if (want->bandwidth && (!other->bandwidth || want->bandwidth < other->bandwidth))
            other->bandwidth = want->bandwidth;
        return;
    }
    g_array_append_val(wants, *want);
}

static void add_wants(GArray *wants, const struct room_stay *from, const struct room_stay *to,
                      const struct transcode_skills *skills)
{
    const struct leg *leg = from->session->caller;
    const struct offer_media *place = place_of(to);
    for (guint i = 0; place && i < leg->negotiated->medias->len; i++) {
        const struct offer_media *sent = g_ptr_array_index(leg->negotiated->medias, i);
        const char *target =
            sent->direction & MEDIA_SENDONLY ? transcode_target(sent, place, skills) : NULL;
        const struct transcode_want want = {
            .from = leg->termination_id,
            .from_mid = sent->mid,
            .codec = target ? g_ptr_array_index(sent->codecs, 0) : NULL,
            .target = target,
            .bandwidth = place->bandwidth,
        };
        if (target)
            add_want(wants, &want);
    }
}

const char *room_unseen(const struct room_stay *from, const struct room_stay *to)
{
    const struct transcode_skills *skills = transcoding_skills(from->room->wsf->transcoding);
    const struct offer_media *place = takes_part(from) && takes_part(to) ? place_of(to) : NULL;
    const struct offer_template *given = from->session->caller->negotiated;
    const char *lack = NULL;
    for (guint i = 0; place && i < given->medias->len && !lack; i++) {
        const struct offer_media *sent = g_ptr_array_index(given->medias, i);
        if (sent->direction & MEDIA_SENDONLY)
            lack = transcode_lack(sent, place, skills);
    }
    return lack;
}

void room_transcode_follow(struct room *room)
{
    struct wsf *wsf = room->wsf;
    const struct transcode_skills *skills = transcoding_skills(wsf->transcoding);
    const GPtrArray *stays = room->stays;
    if (!skills || !room->context_id ||
        !context_pipelines_are_known(wsf->pipelines, room->wmcf, room->context_id))
        return;
    g_autoptr(GArray) wants = g_array_new(FALSE, TRUE, sizeof(struct transcode_want));
    for (guint from = 0; from < stays->len; from++)
        for (guint to = 0; to < stays->len; to++) {
            const struct room_stay *sender = g_ptr_array_index(stays, from),
                                   *receiver = g_ptr_array_index(stays, to);
            if (from != to && takes_part(sender) && takes_part(receiver))
                add_wants(wants, sender, receiver, skills);
        }
    transcoding_want(wsf->transcoding, room->wmcf, room->context_id,
                     (const struct transcode_want *)(const void *)wants->data, wants->len);
}
