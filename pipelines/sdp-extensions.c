/* SPDX-License-Identifier: Apache-2.0 */
/* Which header extensions (RFC 8285) a medium of ours has. One table names all that the engine
 * reads, with the ids of our offers; one function tells which of them our side wants, so that
 * offers and answers agree. An extension that asks for work in the relay is wanted only where
 * sdp_local says that the work is done. */
#include "pipelines/sdp-extensions.h"

#include <string.h>

const struct sdp_known_extension sdp_known_extensions[SDP_N_EXTENSIONS] = {
    {SDP_URI_MID, 1},           {SDP_URI_AUDIO_LEVEL, 2}, {SDP_URI_TRANSPORT_CC, 3},
    {SDP_URI_ABS_SEND_TIME, 4}, {SDP_URI_RID, 5},         {SDP_URI_REPAIRED_RID, 6},
    {SDP_URI_ORIENTATION, 7},   {SDP_URI_DEPENDENCY, 8},  {SDP_URI_ALLOCATION, 9},
};

const char *sdp_known_extension(const char *uri)
{
    int index = sdp_extension_index(uri);
    return index < 0 ? NULL : sdp_known_extensions[index].uri;
}

int sdp_extension_index(const char *uri)
{
    for (int i = 0; i < SDP_N_EXTENSIONS; i++)
        if (uri == sdp_known_extensions[i].uri || strcmp(uri, sdp_known_extensions[i].uri) == 0)
            return i;
    return -1;
}

static bool any_congestion_control(const struct sdp_media *media)
{
    for (guint i = 0; i < media->codecs->len; i++) {
        const struct sdp_codec *codec = &g_array_index(media->codecs, struct sdp_codec, i);
        if (codec->transport_cc || codec->goog_remb)
            return true;
    }
    return false;
}

/* Other codecs tell of their layers in the payload. */
static bool has_av1(const struct sdp_media *media)
{
    for (guint i = 0; i < media->codecs->len; i++)
        if (g_ascii_strcasecmp(g_array_index(media->codecs, struct sdp_codec, i).name, "AV1") == 0)
            return true;
    return false;
}

bool sdp_extension_wanted(guint index, const struct sdp_media *media, const struct sdp_local *local)
{
    const char *uri = sdp_known_extensions[index].uri;
    bool video = media->kind == SDP_VIDEO;

    if (strcmp(uri, SDP_URI_MID) == 0)
        return true;
    if (strcmp(uri, SDP_URI_AUDIO_LEVEL) == 0)
        return media->kind == SDP_AUDIO;
    if (strcmp(uri, SDP_URI_TRANSPORT_CC) == 0)
        return sdp_media_has_transport_cc(media);
    if (strcmp(uri, SDP_URI_ABS_SEND_TIME) == 0) /* what REMB is reckoned from */
        return video && any_congestion_control(media);
    if (strcmp(uri, SDP_URI_RID) == 0) /* RFC 8853 5.5 */
        return media->n_rids_recv > 0;
    if (strcmp(uri, SDP_URI_ALLOCATION) == 0)
        return media->n_rids_recv > 0;
    if (strcmp(uri, SDP_URI_REPAIRED_RID) == 0)
        return media->n_rids_recv > 0 && sdp_media_has_rtx(media);
    if (strcmp(uri, SDP_URI_ORIENTATION) == 0)
        return video && local->orientation;
    return video && local->dependency && has_av1(media);
}

bool sdp_media_has_rtx(const struct sdp_media *media)
{
    for (guint i = 0; i < media->codecs->len; i++)
        if (g_array_index(media->codecs, struct sdp_codec, i).rtx_pt)
            return true;
    return false;
}

bool sdp_media_has_transport_cc(const struct sdp_media *media)
{
    for (guint i = 0; i < media->codecs->len; i++)
        if (g_array_index(media->codecs, struct sdp_codec, i).transport_cc)
            return true;
    return false;
}
