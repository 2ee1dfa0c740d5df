/* SPDX-License-Identifier: Apache-2.0 */
/* The encodings of a medium: a=rid (RFC 8851) and a=simulcast (RFC 8853). The two may come in any
 * order, so both are laid down as written and put together at the end of the section. Restrictions
 * of a rid are not read: what we receive is passed on and never decoded, so all that keeps to them
 * suits; an alternative is as good as the first of its list. */
#include "pipelines/sdp-parse.h"

#include <string.h>

static bool direction_parse(const char *word, enum sdp_direction *ret)
{
    bool send = word && strcmp(word, "send") == 0;
    *ret = send ? SDP_SENDONLY : SDP_RECVONLY;
    return send || (word && strcmp(word, "recv") == 0);
}

/* RFC 8851 10: id SP direction [SP restrictions] */
bool sdp_rids_read_rid(struct sdp_rids *rids, const char *value, guint line, GError **error)
{
    g_autofree char *id = sdp_scan_word(&value);
    g_autofree char *word = sdp_scan_word(&value);
    enum sdp_direction direction;

    if (!id || !direction_parse(word, &direction))
        return sdp_fail_line(error, line, "a=rid does not have the form of RFC 8851");
    if (rids->n == G_N_ELEMENTS(rids->list) || !sdp_is_rid(id))
        return true; /* no encoding of ours: as if it were not explained */
    g_strlcpy(rids->list[rids->n].id, id, sizeof(rids->list[0].id));
    rids->list[rids->n++].direction = direction;
    return true;
}

/* One stream: alternatives parted by commas, of which the first counts. */
static void take_stream(struct sdp_rid *to, guint *n, const char *stream)
{
    g_autofree char *first = g_strndup(stream, strcspn(stream, ","));
    bool paused = *first == '~';

    if (*n == SDP_MAX_RIDS || !sdp_is_rid(first + paused))
        return;
    for (guint i = 0; i < *n; i++)
        if (strcmp(to[i].id, first + paused) == 0)
            return;
    g_strlcpy(to[*n].id, first + paused, sizeof(to->id));
    to[(*n)++].paused = paused;
}

/* RFC 8853 5.1: direction SP stream *(";" stream), once for each direction */
bool sdp_rids_read_simulcast(struct sdp_media *media, const char *value, guint line, GError **error)
{
    guint parts = 0;

    for (;; parts++) {
        enum sdp_direction direction;
        g_autofree char *word = sdp_scan_word(&value);
        g_autofree char *streams = sdp_scan_word(&value);
        if (!word && parts > 0)
            return true;
        if (!streams || parts == 2 || !direction_parse(word, &direction))
            return sdp_fail_line(error, line, "a=simulcast does not have the form of RFC 8853");
        bool send = direction == SDP_SENDONLY;
        guint *n = send ? &media->n_rids_send : &media->n_rids_recv;
        if (*n > 0)
            return sdp_fail_line(error, line, "a=simulcast tells a direction twice");
        g_auto(GStrv) list = g_strsplit(streams, ";", SDP_MAX_RIDS + 1);
        for (guint i = 0; list[i]; i++)
            take_stream(send ? media->rids_send : media->rids_recv, n, list[i]);
    }
}

static void keep_explained(struct sdp_rid *list, guint *n, const struct sdp_rids *rids,
                           enum sdp_direction direction)
{
    guint kept = 0;

    for (guint i = 0; i < *n; i++)
        for (guint k = 0; k < rids->n; k++)
            if (rids->list[k].direction == direction && strcmp(rids->list[k].id, list[i].id) == 0) {
                list[kept++] = list[i];
                break;
            }
    *n = kept;
}

/* RFC 8853 5.2: what no a=rid explains is not there. */
void sdp_rids_finish(const struct sdp_rids *rids, struct sdp_media *media)
{
    keep_explained(media->rids_send, &media->n_rids_send, rids, SDP_SENDONLY);
    keep_explained(media->rids_recv, &media->n_rids_recv, rids, SDP_RECVONLY);
}
