/* SPDX-License-Identifier: Apache-2.0 */
/* Templates: what the controller of a leg asks for (protocol B). They come out of JSON that was
 * checked for types; here they are checked for meaning. */
#include "pipelines/sdp-model.h"
#include "pipelines/sdp-codec.h"

#include <string.h>

static void media_clear(struct sdp_template_media *media)
{
    g_strfreev(media->codecs);
    g_strfreev(media->formats);
}

struct sdp_template *sdp_template_new(void)
{
    struct sdp_template *sdp_template = g_new0(struct sdp_template, 1);

    sdp_template->medias = g_array_new(FALSE, TRUE, sizeof(struct sdp_template_media));
    g_array_set_clear_func(sdp_template->medias, (GDestroyNotify)media_clear);
    sdp_template->bundle = true;
    return sdp_template;
}

void sdp_template_free(struct sdp_template *sdp_template)
{
    if (!sdp_template)
        return;
    g_array_unref(sdp_template->medias);
    g_free(sdp_template);
}

static bool knows_one(const struct sdp_template_media *media)
{
    for (gsize i = 0; i < sdp_n_known_codecs; i++)
        if (sdp_known_codecs[i].kind == media->kind && strcmp(sdp_known_codecs[i].name, "red") &&
            sdp_template_media_codec(media, sdp_known_codecs[i].name, NULL))
            return true;
    return false;
}

bool sdp_template_check(const struct sdp_template *sdp_template, GError **error)
{
    const GArray *medias = sdp_template->medias;
    guint data = 0;

    if (!sdp_template->bundle) {
        problem_set(error, PROBLEM_SDP_NOT_ACCEPTABLE,
                    "Every termination is one transport: bundle must be true.");
        return false;
    }
    if (medias->len == 0 || medias->len > SDP_MAX_MEDIAS) {
        problem_set(error, PROBLEM_INVALID_MESSAGE, "A template names between 1 and %d medias.",
                    SDP_MAX_MEDIAS);
        return false;
    }
    for (guint i = 0; i < medias->len; i++) {
        const struct sdp_template_media *media =
            &g_array_index(medias, struct sdp_template_media, i);
        if (media->mid[0] && !sdp_is_mid(media->mid)) {
            problem_set(error, PROBLEM_INVALID_MESSAGE,
                        "The mid of the template's media %u is not a token.", i);
            return false;
        }
        for (guint k = 0; media->mid[0] && k < i; k++)
            if (strcmp(media->mid, g_array_index(medias, struct sdp_template_media, k).mid) == 0) {
                problem_set(error, PROBLEM_INVALID_MESSAGE, "The template names mid \"%s\" twice.",
                            media->mid);
                return false;
            }
        if (media->kind == SDP_APPLICATION) {
            if (!data++)
                continue;
            problem_set(error, PROBLEM_INVALID_MESSAGE,
                        "A template names data channels once: they share one association.");
            return false;
        }
        if (media->kind != SDP_AUDIO && media->kind != SDP_VIDEO) {
            problem_set(error, PROBLEM_SDP_NOT_ACCEPTABLE,
                        "Only audio, video and data channels are offered and answered here.");
            return false;
        }
        if (!knows_one(media)) {
            problem_set(error, PROBLEM_SDP_NOT_ACCEPTABLE,
                        "None of the codecs of the template's media %u is known.", i);
            return false;
        }
    }
    return true;
}

bool sdp_template_check_data(const struct sdp_template *sdp_template, const struct sdp_local *local,
                             GError **error)
{
    for (guint i = 0; local->max_message_size == 0 && i < sdp_template->medias->len; i++) {
        if (g_array_index(sdp_template->medias, struct sdp_template_media, i).kind !=
            SDP_APPLICATION)
            continue;
        problem_set(error, PROBLEM_SDP_NOT_ACCEPTABLE,
                    "Data channels cannot be had here: they join two terminations, and this "
                    "context is a mesh, or they are switched off.");
        return false;
    }
    return true;
}

bool sdp_template_media_codec(const struct sdp_template_media *media, const char *name,
                              guint *ret_rank)
{
    guint rank = 0;

    for (char **codec = media->codecs; codec && *codec; codec++, rank++)
        if (g_ascii_strcasecmp(*codec, name) == 0)
            break;
    if (media->codecs && !media->codecs[rank])
        return false;
    if (ret_rank)
        *ret_rank = rank;
    return true;
}

const char *sdp_template_media_fmtp(const struct sdp_template_media *media, const char *name,
                                    guint index)
{
    gsize length = strlen(name);

    for (char **format = media->formats; format && *format; format++)
        if (strcspn(*format, ";") == length && g_ascii_strncasecmp(*format, name, length) == 0 &&
            index-- == 0)
            return *format + length;
    return NULL;
}

bool sdp_template_media_format(const struct sdp_template_media *media,
                               const struct sdp_codec *codec, const char **ret_fmtp)
{
    struct sdp_codec meant = *codec;
    guint n = 0;

    for (; (meant.fmtp = (char *)sdp_template_media_fmtp(media, codec->name, n)); n++)
        if (sdp_codec_format(media->kind, &meant) == codec->format) {
            *ret_fmtp = meant.fmtp;
            return true;
        }
    *ret_fmtp = NULL;
    return n == 0;
}
