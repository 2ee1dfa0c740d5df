/* SPDX-License-Identifier: Apache-2.0 */
/* Reads offerTemplate and answerTemplate into what the SDP engine takes. */
#include "wmcf/template-read.h"

#include "base/problem.h"
#include "wsf-link/json-read.h"

#define CODEC_MAX 32
#define FORMAT_MAX 80

/* codecs or formats, texts of at most so many characters; NULL: there are none. */
static char **read_texts(const json_t *media, const char *base, const char *member, size_t most,
                         GError **error)
{
    const json_t *array = NULL;
    if (!json_read_array(media, base, member, JSON_OPTIONAL, SDP_MAX_CODECS, &array, error) ||
        !array || json_array_size(array) == 0)
        return NULL;
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    size_t i;
    json_t *item;
    json_array_foreach(array, i, item)
    {
        const char *name = json_string_value(item);
        if (!name || !*name || json_string_length(item) > most) {
            g_autofree char *pointer = g_strdup_printf("%s/%s/%zu", base, member, i);
            problem_set_param(error, PROBLEM_INVALID_MESSAGE, pointer,
                              "%s has texts of 1 to %zu characters", member, most);
            return NULL;
        }
        g_ptr_array_add(names, g_strdup(name));
    }
    g_ptr_array_add(names, NULL);
    return (char **)g_ptr_array_steal(names, NULL);
}

static bool read_media(const json_t *item, const char *base, struct sdp_template_media *media,
                       GError **error)
{
    static const char *const kinds[] = {"audio", "video", "application", NULL};
    static const char *const directions[] = {"inactive", "sendonly", "recvonly", "sendrecv", NULL};
    static const enum sdp_direction direction_values[] = {SDP_INACTIVE, SDP_SENDONLY, SDP_RECVONLY,
                                                          SDP_SENDRECV};
    const char *mid = NULL;
    int kind = 0, direction = 3;
    if (!json_is_object(item)) {
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, base,
                          "a medium of a template is an object with a mediaType");
        return false;
    }
    if (!json_read_string(item, base, "mid", JSON_OPTIONAL, SDP_MAX_MID, &mid, error) ||
        !json_read_choice(item, base, "mediaType", JSON_REQUIRED, kinds, &kind, error) ||
        !json_read_choice(item, base, "direction", JSON_OPTIONAL, directions, &direction, error) ||
        !json_read_boolean(item, base, "simulcast", JSON_OPTIONAL, &media->simulcast, error))
        return false;
    GError *failed = NULL;
    char **codecs = read_texts(item, base, "codecs", CODEC_MAX, &failed);
    char **formats = failed ? NULL : read_texts(item, base, "formats", FORMAT_MAX, &failed);
    if (failed) {
        g_strfreev(codecs);
        g_propagate_error(error, failed);
        return false;
    }
    if (mid)
        g_strlcpy(media->mid, mid, sizeof media->mid);
    media->kind = kind;
    media->direction = direction_values[direction];
    media->codecs = codecs;
    media->formats = formats;
    return true;
}

struct sdp_template *template_read(const json_t *message, const char *name, GError **error)
{
    const json_t *object = NULL, *medias = NULL;
    bool bundle = true;
    if (!json_read_object(message, "", name, JSON_OPTIONAL, &object, error) || !object)
        return NULL;
    g_autofree char *base = g_strconcat("/", name, NULL);
    if (!json_read_array(object, base, "medias", JSON_REQUIRED, SDP_MAX_MEDIAS, &medias, error) ||
        !json_read_boolean(object, base, "bundle", JSON_OPTIONAL, &bundle, error))
        return NULL;
    struct sdp_template *wanted = sdp_template_new();
    wanted->bundle = bundle;
    size_t i;
    json_t *item;
    json_array_foreach(medias, i, item)
    {
        g_autofree char *pointer = g_strdup_printf("%s/medias/%zu", base, i);
        struct sdp_template_media media = {0};
        if (!read_media(item, pointer, &media, error)) {
            sdp_template_free(wanted);
            return NULL;
        }
        g_array_append_val(wanted->medias, media);
    }
    if (wanted->medias->len == 0) {
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, base,
                          "a template names one medium or more");
        g_clear_pointer(&wanted, sdp_template_free);
    }
    return wanted;
}
