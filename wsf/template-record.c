/* SPDX-License-Identifier: Apache-2.0 */
/* Templates to and from JSON. The form is the one that a media centre is told (protocol B), plus
 * what only we know: that an m-line was refused, and which bandwidth
 * was asked for. */
#include "wsf/template-record.h"

#include "base/problem.h"
#include "wsf-link/json-read.h"

#include <string.h>

static const char *const kind_names[] = {
    [MEDIA_AUDIO] = "audio", [MEDIA_VIDEO] = "video", [MEDIA_APPLICATION] = "application", NULL};
static const char *const direction_names[] = {
    [MEDIA_INACTIVE] = "inactive",
    [MEDIA_SENDONLY] = "sendonly",
    [MEDIA_RECVONLY] = "recvonly",
    [MEDIA_SENDRECV] = "sendrecv",
    NULL,
};

json_t *template_record_write(const struct offer_template *offer)
{
    json_t *medias = json_array();
    for (guint i = 0; i < offer->medias->len; i++) {
        const struct offer_media *media = g_ptr_array_index(offer->medias, i);
        json_t *codecs = json_array();
        for (guint c = 0; c < media->codecs->len; c++)
            json_array_append_new(codecs, json_string(g_ptr_array_index(media->codecs, c)));
        json_t *item = json_pack("{s:s, s:s, s:s, s:o}", "mid", media->mid, "mediaType",
                                 kind_names[media->kind], "direction",
                                 direction_names[media->direction], "codecs", codecs);
        if (media->rejected)
            json_object_set_new(item, "rejected", json_true());
        if (media->bandwidth)
            json_object_set_new(item, "bandwidth", json_integer(media->bandwidth));
        json_array_append_new(medias, item);
    }
    return json_pack("{s:o}", "medias", medias);
}

static void media_free(void *data)
{
    struct offer_media *media = data;
    g_ptr_array_unref(media->codecs);
    g_free(media);
}

static bool read_media(const json_t *item, struct offer_media *media, GError **error)
{
    const char *mid = NULL;
    const json_t *codecs = NULL;
    int kind = 0, direction = 0;
    gint64 bandwidth = 0;
    if (!json_read_string(item, "/medias", "mid", JSON_REQUIRED, OFFER_MAX_MID, &mid, error) ||
        !json_read_choice(item, "/medias", "mediaType", JSON_REQUIRED, kind_names, &kind, error) ||
        !json_read_choice(item, "/medias", "direction", JSON_REQUIRED, direction_names, &direction,
                          error) ||
        !json_read_array(item, "/medias", "codecs", JSON_REQUIRED, OFFER_MAX_CODECS, &codecs,
                         error) ||
        !json_read_boolean(item, "/medias", "rejected", JSON_OPTIONAL, &media->rejected, error) ||
        !json_read_integer(item, "/medias", "bandwidth", JSON_OPTIONAL, 1, G_MAXINT, &bandwidth,
                           error))
        return false;
    media->bandwidth = (guint)bandwidth;
    g_strlcpy(media->mid, mid, sizeof media->mid);
    media->kind = kind;
    media->direction = direction;
    for (size_t i = 0; i < json_array_size(codecs); i++) {
        const char *name = json_string_value(json_array_get(codecs, i));
        if (!name) {
            problem_set(error, PROBLEM_INVALID_MESSAGE, "a codec's name is no text");
            return false;
        }
        g_ptr_array_add(media->codecs, g_strdup(name));
    }
    return true;
}

struct offer_template *template_record_read(const json_t *record, GError **error)
{
    const json_t *medias = NULL;
    if (!json_read_array(record, "", "medias", JSON_REQUIRED, OFFER_MAX_MEDIAS, &medias, error))
        return NULL;
    offer_template_auto *offer = g_new0(struct offer_template, 1);
    offer->medias = g_ptr_array_new_with_free_func(media_free);
    for (size_t i = 0; i < json_array_size(medias); i++) {
        struct offer_media *media = g_new0(struct offer_media, 1);
        media->codecs = g_ptr_array_new_with_free_func(g_free);
        g_ptr_array_add(offer->medias, media);
        if (!read_media(json_array_get(medias, i), media, error))
            return NULL;
    }
    return g_steal_pointer(&offer);
}
