/* SPDX-License-Identifier: Apache-2.0 */
/* Codecs are compared by what a receiver has to know of them (codec-text.h). The far side is
 * offered what the near side has, and behind that what could be converted; so two that have a codec
 * in common find it, as if there were no transcoders, and only the answer tells that they have not.
 * The other way, to ask the far side twice, would spare offers their longer lists and cost every
 * call that needs a transcoder a second ringing. */
#include "wsf/transcode-plan.h"

#include "base/problem.h"
#include "wsf/codec-text.h"

/* RFC 7742 6.2: the profile of H264 that every WebRTC endpoint with H264 takes, and that our
 * templates give. Any profile is taken in. */
#define GIVEN_H264 "H264;packetization-mode=1;profile-level-id=42e01f"

static const char *given_as(const char *name)
{
    return g_ascii_strcasecmp(name, "H264") == 0 ? GIVEN_H264 : name;
}

static bool in_list(const char *const *list, const char *codec)
{
    for (; list && *list; list++)
        if (codec_text_is_named(codec, *list))
            return true;
    return false;
}

/* The name in the list of what is given that this one is, or NULL. */
static const char *given_in(const char *const *list, const char *codec)
{
    for (; list && *list; list++)
        if (codec_text_fits(given_as(*list), codec))
            return *list;
    return NULL;
}

static bool has(const struct offer_media *media, const char *codec)
{
    for (guint i = 0; i < media->codecs->len; i++)
        if (codec_text_fits(g_ptr_array_index(media->codecs, i), codec))
            return true;
    return false;
}

static const char *first_given(const struct offer_media *media, const char *const *list)
{
    const char *name = NULL;
    for (guint i = 0; i < media->codecs->len && !name; i++)
        name = given_in(list, g_ptr_array_index(media->codecs, i));
    return name;
}

/* Whether a side that sends and receives as `direction` says, from its own view, may have this
 * codec when each of its streams is converted. */
static bool convertible(const char *codec, enum media_direction direction,
                        const struct transcode_skills *skills)
{
    return (!(direction & MEDIA_SENDONLY) || in_list(skills->from, codec)) &&
           (!(direction & MEDIA_RECVONLY) || given_in(skills->to, codec));
}

static enum media_direction reverse(enum media_direction direction)
{
    return (direction & MEDIA_SENDONLY ? MEDIA_RECVONLY : 0) |
           (direction & MEDIA_RECVONLY ? MEDIA_SENDONLY : 0);
}

static bool is_video(const struct offer_media *media)
{
    return media->kind == MEDIA_VIDEO && !media->rejected;
}

static void keep_common(struct offer_media *media, const struct offer_media *other)
{
    for (guint i = media->codecs->len; i > 0; i--)
        if (!has(other, g_ptr_array_index(media->codecs, i - 1)))
            g_ptr_array_remove_index(media->codecs, i - 1);
}

void transcode_widen(struct offer_template *offered, const struct transcode_skills *skills)
{
    for (guint i = 0; skills && i < offered->medias->len; i++) {
        struct offer_media *media = g_ptr_array_index(offered->medias, i);
        /* Our side sends what the near side sends, and receives what that receives. */
        enum media_direction near = media->direction;
        bool fits = false;
        if (!is_video(media))
            continue;
        for (guint c = 0; c < media->codecs->len && !fits; c++)
            fits = convertible(g_ptr_array_index(media->codecs, c), near, skills);
        for (const char *const *name = skills->to ? skills->to : skills->from; fits && *name;
             name++)
            if (!has(media, given_as(*name)) &&
                convertible(given_as(*name), reverse(near), skills) &&
                media->codecs->len < OFFER_MAX_CODECS)
                g_ptr_array_add(media->codecs, g_strdup(given_as(*name)));
    }
}

static bool have_common(const struct offer_media *a, const struct offer_media *b)
{
    for (guint i = 0; i < a->codecs->len; i++)
        if (has(b, g_ptr_array_index(a->codecs, i)))
            return true;
    return false;
}

/* Leaves it as it is when nothing of `own` can be converted. */
static void take_convertible(struct offer_media *media, const struct offer_media *own,
                             enum media_direction direction, const struct transcode_skills *skills)
{
    GPtrArray *codecs = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < own->codecs->len; i++)
        if (convertible(g_ptr_array_index(own->codecs, i), direction, skills))
            g_ptr_array_add(codecs, g_strdup(g_ptr_array_index(own->codecs, i)));
    if (codecs->len > 0) {
        GPtrArray *former = media->codecs;
        media->codecs = codecs;
        codecs = former;
    }
    g_ptr_array_unref(codecs);
}

struct offer_template *transcode_adapt(const struct offer_template *wanted,
                                       const struct offer_template *chosen,
                                       const struct transcode_skills *skills)
{
    struct offer_template *adapted = offer_template_copy(chosen);
    for (guint i = 0; i < adapted->medias->len; i++) {
        struct offer_media *media = g_ptr_array_index(adapted->medias, i);
        const struct offer_media *own = offer_template_media(wanted, media->mid);
        if (!own || !is_video(media) || own->kind != media->kind)
            continue;
        if (have_common(media, own))
            keep_common(media, own);
        else if (skills) /* the view of `chosen` is the far side's */
            take_convertible(media, own, reverse(media->direction), skills);
    }
    return adapted;
}

bool transcode_narrow(struct offer_template *told, const struct offer_template *wanted,
                      const struct offer_template *chosen)
{
    bool narrowed = false;
    for (guint i = 0; i < told->medias->len; i++) {
        struct offer_media *media = g_ptr_array_index(told->medias, i);
        const struct offer_media *own = offer_template_media(wanted, media->mid);
        const struct offer_media *taken = offer_template_media(chosen, media->mid);
        if (!own || !taken || !is_video(taken) || own->kind != MEDIA_VIDEO ||
            media->kind != MEDIA_VIDEO || !(taken->direction & MEDIA_SENDONLY) ||
            taken->codecs->len == 0 || !have_common(taken, own) ||
            has(own, g_ptr_array_index(taken->codecs, 0)))
            continue;
        keep_common(media, own);
        narrowed = true;
    }
    return narrowed;
}

const char *transcode_target(const struct offer_media *from, const struct offer_media *to,
                             const struct transcode_skills *skills)
{
    if (!skills || !is_video(from) || !is_video(to) || from->codecs->len == 0)
        return NULL;
    const char *sent = g_ptr_array_index(from->codecs, 0);
    return has(to, sent) || !in_list(skills->from, sent) ? NULL : first_given(to, skills->to);
}

const char *transcode_lack(const struct offer_media *from, const struct offer_media *to,
                           const struct transcode_skills *skills)
{
    if (!is_video(from) || !is_video(to) || from->codecs->len == 0)
        return NULL;
    const char *sent = g_ptr_array_index(from->codecs, 0);
    return has(to, sent) || transcode_target(from, to, skills) ? NULL : sent;
}

/* --- words ------------------------------------------------------------------------------------ */

/* Each name once. */
static char *names_of(const struct offer_media *media)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < media->codecs->len; i++) {
        g_autofree char *name = codec_text_name(g_ptr_array_index(media->codecs, i));
        if (!g_ptr_array_find_with_equal_func(names, name, g_str_equal, NULL))
            g_ptr_array_add(names, g_steal_pointer(&name));
    }
    g_ptr_array_add(names, NULL);
    return g_strjoinv(", ", (char **)names->pdata);
}

void transcode_refuse(const struct offer_template *wanted, const struct transcode_skills *skills,
                      GError **error)
{
    g_autoptr(GString) offered = g_string_new(NULL);
    for (guint i = 0; i < wanted->medias->len; i++) {
        const struct offer_media *media = g_ptr_array_index(wanted->medias, i);
        g_autofree char *names = names_of(media);
        g_string_append_printf(offered, "%s%s%s%s", offered->len ? "; " : "",
                               media->kind == MEDIA_APPLICATION ? "data channels"
                                                                : media_kind_name(media->kind),
                               *names ? " with " : "", names);
    }
    g_autofree char *from = skills ? g_strjoinv(", ", (char **)skills->from) : NULL;
    g_autofree char *to = skills ? g_strjoinv(", ", (char **)skills->to) : NULL;
    problem_set(error, PROBLEM_SDP_NOT_ACCEPTABLE,
                "the side that was called accepts nothing of what the other one has (%s), and this "
                "network converts %s%s%s%s",
                offered->str, skills ? from : "no codec", skills ? " into " : " into another",
                skills ? to : "", skills ? " only" : "");
}
