/* SPDX-License-Identifier: Apache-2.0 */
/* The SDP engine. The text is read, printed and read again, answered as an offer, checked as an
 * answer to an offer of ours, and followed by a second offer. Properties: what we print we can
 * read, and it prints the same; our own answer to whatever we accept passes our own check. */
#include "base/problem.h"
#include "pipelines/sdp.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static const guint8 fingerprint[32] = {1, 2, 3};
static const struct sdp_candidate candidate = {
    .foundation = (char *)"1",
    .address = (char *)"192.0.2.20",
    .type = (char *)"host",
    .component = 1,
    .port = 40000,
    .priority = 2130706431,
    .udp = true,
};
static const struct sdp_local local = {
    .ice_ufrag = "abcd",
    .ice_pwd = "0123456789012345678901",
    .ice_lite = true,
    .fingerprint_hash = "sha-256",
    .fingerprint = fingerprint,
    .fingerprint_length = sizeof fingerprint,
    .candidates = &candidate,
    .n_candidates = 1,
    .session_id = 7,
    .session_version = 1,
    .cname = "cname",
    .rtx = true,
    .transport_cc = true,
    .simulcast = true,
    .red = true,
    .dependency = true,
    .orientation = true,
    .cryptex = true,
};

static void check_prints(const struct sdp_description *description)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = sdp_print(description);
    sdp_autoptr again = sdp_parse(text, &error);
    g_assert_no_error(error);
    g_autofree char *second = sdp_print(again);
    g_assert_cmpstr(text, ==, second);
}

static struct sdp_description *offer_audio_video(const struct sdp_description *previous)
{
    struct sdp_template *wanted = sdp_template_new();
    for (guint i = 0; i < 2; i++) {
        struct sdp_template_media media = {
            .kind = i == 0 ? SDP_AUDIO : SDP_VIDEO,
            .direction = SDP_SENDRECV,
            .simulcast = i == 1,
        };
        g_array_append_val(wanted->medias, media);
    }
    GError *error = NULL;
    struct sdp_description *offer = sdp_make_offer(wanted, &local, previous, &error);
    g_clear_error(&error);
    sdp_template_free(wanted);
    return offer;
}

static void use_as_offer(const struct sdp_description *offer)
{
    g_autoptr(GError) error = NULL;
    sdp_autoptr answer = sdp_make_answer(offer, NULL, &local, NULL, &error);
    if (!answer) {
        g_assert_nonnull(error);
        return;
    }
    check_prints(answer);
    g_autoptr(GArray) negotiated = sdp_negotiate(answer, offer);
    g_assert_cmpuint(negotiated->len, ==, answer->medias->len);
    g_free(sdp_make_anchor(offer, SDP_SETUP_ACTIVE, false));
    sdp_autoptr second = offer_audio_video(answer);
    if (second)
        check_prints(second);
}

static void use_as_answer(const struct sdp_description *answer)
{
    g_autoptr(GError) error = NULL;
    sdp_autoptr offer = offer_audio_video(NULL);
    if (sdp_check_answer(offer, answer, &error))
        g_array_unref(sdp_negotiate(offer, answer));
    else
        g_assert_nonnull(error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    g_autoptr(GError) error = NULL;
    sdp_autoptr description = sdp_parse(text, &error);
    g_assert((description == NULL) == (error != NULL));
    if (description) {
        check_prints(description);
        use_as_offer(description);
        use_as_answer(description);
    }
    return 0;
}
