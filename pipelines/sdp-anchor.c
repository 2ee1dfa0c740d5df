/* SPDX-License-Identifier: Apache-2.0 */
/* The anchor: the offer that webrtcbin is given in place of the real one. It is as small as
 * webrtcbin takes it, one audio m-line and perhaps the data channel, because all that webrtcbin
 * does with it is DTLS (and SCTP) with the peer whose fingerprint stands here; media never follows
 * it. */
#include "pipelines/sdp-model.h"

static struct sdp_media *anchor_audio(void)
{
    struct sdp_media *audio = sdp_media_new(SDP_AUDIO);
    struct sdp_codec opus = {
        .pt = 111, .name = g_strdup("opus"), .clock_rate = 48000, .channels = 2};

    audio->mid = g_strdup("0");
    audio->direction = SDP_SENDRECV;
    audio->rtcp_mux = true;
    g_array_append_val(audio->codecs, opus);
    return audio;
}

static const struct sdp_media *find_application(const struct sdp_description *remote)
{
    for (guint i = 0; i < remote->medias->len; i++) {
        const struct sdp_media *media = g_ptr_array_index(remote->medias, i);
        if (media->kind == SDP_APPLICATION && !media->rejected)
            return media;
    }
    return NULL;
}

/* RFC 8841 5: 5000 is what everybody uses when the peer has not said another. */
static struct sdp_media *anchor_application(guint peer_sctp_port)
{
    struct sdp_media *application = sdp_media_new(SDP_APPLICATION);

    application->mid = g_strdup("1");
    application->sctp_port = peer_sctp_port ? peer_sctp_port : SDP_SCTP_PORT;
    /* How long a message may be is our own check, with the real description; between us and
     * webrtcbin messages are longer (sctp-elements.h). */
    application->max_message_size = 1073741823;
    return application;
}

char *sdp_make_anchor(const struct sdp_description *remote, enum sdp_setup peer_setup,
                      bool data_channel)
{
    sdp_autoptr anchor = sdp_description_new();

    anchor->session_id = remote->session_id;
    anchor->session_version = remote->session_version;
    anchor->ice_ufrag = g_strdup(remote->ice_ufrag);
    anchor->ice_pwd = g_strdup(remote->ice_pwd);
    anchor->fingerprint_hash = g_strdup(remote->fingerprint_hash);
    if (remote->fingerprint)
        anchor->fingerprint = g_byte_array_ref(remote->fingerprint);
    anchor->setup = peer_setup;
    anchor->bundle = true;
    g_ptr_array_add(anchor->medias, anchor_audio());
    if (data_channel) {
        const struct sdp_media *theirs = find_application(remote);

        g_ptr_array_add(anchor->medias, anchor_application(theirs ? theirs->sctp_port : 0));
    }
    return sdp_print(anchor);
}

char *sdp_renew_anchor(const char *anchor, guint peer_sctp_port)
{
    sdp_autoptr renewed = sdp_parse(anchor, NULL);

    if (!renewed)
        return NULL;
    renewed->session_version++;
    g_ptr_array_add(renewed->medias, anchor_application(peer_sctp_port));
    return sdp_print(renewed);
}
