/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the few lines of a session description (RFC 8866) that a template needs. A full parser is
 * not wanted here: the media centre checks descriptions, this file only must never be led astray by
 * one. Everything is bounded: octets, m-lines, codecs per m-line, length of a name. */
#include "wsf/offer-template.h"

#include "base/problem.h"
#include "wsf/codec-text.h"

#include <string.h>

#define CODEC_NAME_MAX 32
#define FMTP_MAX 128 /* octets that are read of one */

/* Formats that repair or accompany others; the media centre adds its own (RFC 4588, 2198, 5109,
 * 8627, 4733, 3389). */
static const char *const auxiliary[] = {
    "rtx", "red", "ulpfec", "flexfec", "flexfec-03", "telephone-event", "CN"};
/* Static payload types without a=rtpmap (RFC 3551). */
static const struct {
    int pt;
    const char *name;
} static_formats[] = {{0, "PCMU"}, {8, "PCMA"}, {9, "G722"}};

static const char *const kind_names[] = {"audio", "video", "application"};
static const char *const direction_names[] = {"inactive", "sendonly", "recvonly", "sendrecv"};

const char *media_kind_name(enum media_kind kind)
{
    return kind < G_N_ELEMENTS(kind_names) ? kind_names[kind] : "?";
}

const char *media_direction_name(enum media_direction direction)
{
    return direction < G_N_ELEMENTS(direction_names) ? direction_names[direction] : "?";
}

static void media_free(struct offer_media *media)
{
    if (!media)
        return;
    g_ptr_array_unref(media->codecs);
    g_free(media);
}

static struct offer_media *media_new(enum media_kind kind, enum media_direction direction)
{
    struct offer_media *media = g_new0(struct offer_media, 1);
    media->kind = kind;
    media->direction = direction;
    media->codecs = g_ptr_array_new_with_free_func(g_free);
    return media;
}

static struct offer_template *template_new(void)
{
    struct offer_template *offer = g_new0(struct offer_template, 1);
    offer->medias = g_ptr_array_new_with_free_func((GDestroyNotify)media_free);
    return offer;
}

void offer_template_free(struct offer_template *offer)
{
    if (!offer)
        return;
    g_ptr_array_unref(offer->medias);
    g_free(offer);
}

static void add_codec(struct offer_media *media, const char *codec)
{
    for (size_t i = 0; i < G_N_ELEMENTS(auxiliary); i++)
        if (codec_text_is_named(codec, auxiliary[i]))
            return;
    for (guint i = 0; i < media->codecs->len; i++)
        if (g_ascii_strcasecmp(codec, g_ptr_array_index(media->codecs, i)) == 0)
            return;
    g_ptr_array_add(media->codecs, g_strdup(codec));
}

/* --- the reader ------------------------------------------------------------------------------- */

struct rtpmap {
    int pt;
    char name[CODEC_NAME_MAX + 1];
};

struct fmtp {
    int pt;
    char text[FMTP_MAX + 1];
};

struct reader {
    struct offer_template *offer;
    struct offer_media *media; /* the m-line being read, or NULL in the session part */
    enum media_direction session_direction;
    bool port_zero, bundle_only, direction_said;
    int formats[OFFER_MAX_CODECS]; /* payload types of the m-line in order of preference */
    guint n_formats;
    struct rtpmap maps[OFFER_MAX_CODECS];
    guint n_maps;
    struct fmtp fmtps[OFFER_MAX_CODECS];
    guint n_fmtps;
    guint line;
};

static bool fail(const struct reader *reader, GError **error, const char *reason)
{
    problem_set(error, PROBLEM_INVALID_SDP, "line %u: %s", reader->line, reason);
    return false;
}

static const char *format_name(const struct reader *reader, int pt)
{
    for (guint i = 0; i < reader->n_maps; i++)
        if (reader->maps[i].pt == pt)
            return reader->maps[i].name;
    for (size_t i = 0; i < G_N_ELEMENTS(static_formats); i++)
        if (static_formats[i].pt == pt)
            return static_formats[i].name;
    return NULL;
}

static const char *format_fmtp(const struct reader *reader, int pt)
{
    for (guint i = 0; i < reader->n_fmtps; i++)
        if (reader->fmtps[i].pt == pt)
            return reader->fmtps[i].text;
    return NULL;
}

static bool finish_media(struct reader *reader, GError **error)
{
    struct offer_media *media = reader->media;
    if (!media)
        return true;
    reader->media = NULL;
    media->rejected = reader->port_zero && !reader->bundle_only; /* RFC 8843 6 */
    if (!reader->direction_said)
        media->direction = reader->session_direction;
    if (media->kind == MEDIA_APPLICATION)
        media->direction = MEDIA_SENDRECV; /* RFC 8841 knows none */
    if (media->kind != MEDIA_APPLICATION)
        for (guint i = 0; i < reader->n_formats; i++) {
            const char *name = format_name(reader, reader->formats[i]);
            g_autofree char *codec =
                name ? codec_text(name, format_fmtp(reader, reader->formats[i])) : NULL;
            if (codec)
                add_codec(media, codec);
        }
    if (!media->mid[0])
        g_snprintf(media->mid, sizeof media->mid, "%u", reader->offer->medias->len - 1);
    for (guint i = 0; i + 1 < reader->offer->medias->len; i++) {
        const struct offer_media *other = g_ptr_array_index(reader->offer->medias, i);
        if (strcmp(other->mid, media->mid) == 0)
            return fail(reader, error, "two m-lines have the same a=mid");
    }
    return true;
}

static bool read_port(const char *text, bool *ret_zero)
{
    guint64 port;
    g_autofree char *head = g_strndup(text, strcspn(text, "/"));
    if (!g_ascii_string_to_unsigned(head, 10, 0, 65535, &port, NULL))
        return false;
    *ret_zero = port == 0;
    return true;
}

/* m=<media> <port> <proto> <fmt> … (RFC 8866 5.14) */
static bool read_m_line(struct reader *reader, const char *value, GError **error)
{
    if (!finish_media(reader, error))
        return false;
    if (reader->offer->medias->len >= OFFER_MAX_MEDIAS)
        return fail(reader, error, "too many m-lines");
    g_auto(GStrv) words = g_strsplit(value, " ", OFFER_MAX_CODECS + 4);
    guint n = g_strv_length(words), kind = 0;
    while (kind < G_N_ELEMENTS(kind_names) && n && strcmp(words[0], kind_names[kind]) != 0)
        kind++;
    reader->port_zero = reader->bundle_only = reader->direction_said = false;
    reader->n_formats = reader->n_maps = reader->n_fmtps = 0;
    if (n < 4 || !read_port(words[1], &reader->port_zero))
        return fail(reader, error, "an m-line needs media, port, protocol and a format");
    if (n > OFFER_MAX_CODECS + 3)
        return fail(reader, error, "too many formats");
    if (kind == G_N_ELEMENTS(kind_names))
        return fail(reader, error, "media are audio, video or application");
    reader->media = media_new(kind, MEDIA_SENDRECV);
    g_ptr_array_add(reader->offer->medias, reader->media);
    for (guint i = 3; kind != MEDIA_APPLICATION && i < n; i++) {
        guint64 pt;
        if (!g_ascii_string_to_unsigned(words[i], 10, 0, 127, &pt, NULL))
            return fail(reader, error, "a format is a payload type from 0 to 127");
        reader->formats[reader->n_formats++] = (int)pt;
    }
    return true;
}

/* a=rtpmap:<payload type> <name>/<clock rate>[/<channels>] (RFC 8866 6.6) */
static bool read_rtpmap(struct reader *reader, const char *value, GError **error)
{
    const char *space = strchr(value, ' ');
    if (!reader->media || !space)
        return fail(reader, error, "this a=rtpmap cannot be read");
    g_autofree char *number = g_strndup(value, space - value);
    guint64 pt;
    gsize length = strcspn(space + 1, "/");
    if (!g_ascii_string_to_unsigned(number, 10, 0, 127, &pt, NULL) || length == 0 ||
        length > CODEC_NAME_MAX || space[1 + length] != '/')
        return fail(reader, error, "this a=rtpmap cannot be read");
    for (gsize i = 0; i < length; i++)
        if (!g_ascii_isalnum(space[1 + i]) && !strchr("-_.+!#$%&'*^`{|}~", space[1 + i]))
            return fail(reader, error, "a codec name has characters that are not allowed");
    if (reader->n_maps == OFFER_MAX_CODECS)
        return fail(reader, error, "too many a=rtpmap lines");
    struct rtpmap *map = &reader->maps[reader->n_maps++];
    map->pt = (int)pt;
    memcpy(map->name, space + 1, length);
    map->name[length] = 0;
    return true;
}

/* a=fmtp:<payload type> <parameters> (RFC 8866 6.15). What it says may be anything: one that makes
 * no sense here, or comes after too many, says nothing. */
static void read_fmtp(struct reader *reader, const char *value)
{
    char *end = NULL;
    guint64 pt = g_ascii_strtoull(value, &end, 10);
    if (!reader->media || end == value || *end != ' ' || pt > 127 ||
        reader->n_fmtps == OFFER_MAX_CODECS)
        return;
    struct fmtp *fmtp = &reader->fmtps[reader->n_fmtps++];
    fmtp->pt = (int)pt;
    g_strlcpy(fmtp->text, end + 1, sizeof fmtp->text);
}

static bool read_mid(struct reader *reader, const char *value, GError **error)
{
    gsize length = strlen(value);
    if (!reader->media || length == 0 || length > OFFER_MAX_MID)
        return fail(reader, error, "a=mid has 1 to 16 characters and stands below an m-line");
    for (gsize i = 0; i < length; i++)
        if (!g_ascii_isgraph(value[i]))
            return fail(reader, error, "a=mid has characters that are not allowed");
    g_strlcpy(reader->media->mid, value, sizeof reader->media->mid);
    return true;
}

/* b=AS:<kbit/s> (RFC 8866 5.8), b=TIAS:<bit/s> (RFC 3890 6.2); others say nothing here. */
static bool read_bandwidth(struct reader *reader, const char *value, GError **error)
{
    bool tias = g_str_has_prefix(value, "TIAS:");
    guint64 number;
    if (!reader->media || (!tias && !g_str_has_prefix(value, "AS:")))
        return true;
    if (!g_ascii_string_to_unsigned(strchr(value, ':') + 1, 10, 0, G_MAXINT, &number, NULL))
        return fail(reader, error, "a bandwidth is a number");
    reader->media->bandwidth = (guint)(tias ? (number + 999) / 1000 : number);
    return true;
}

static bool read_attribute(struct reader *reader, const char *value, GError **error)
{
    for (guint i = 0; i < G_N_ELEMENTS(direction_names); i++)
        if (strcmp(value, direction_names[i]) == 0) {
            if (reader->media) {
                reader->media->direction = i;
                reader->direction_said = true;
            } else
                reader->session_direction = i;
            return true;
        }
    if (strcmp(value, "bundle-only") == 0)
        reader->bundle_only = true;
    else if (g_str_has_prefix(value, "rtpmap:"))
        return read_rtpmap(reader, value + strlen("rtpmap:"), error);
    else if (g_str_has_prefix(value, "fmtp:"))
        read_fmtp(reader, value + strlen("fmtp:"));
    else if (g_str_has_prefix(value, "mid:"))
        return read_mid(reader, value + strlen("mid:"), error);
    return true;
}

static bool read_line(struct reader *reader, char *line, gsize length, GError **error)
{
    if (length && line[length - 1] == '\r')
        line[--length] = 0;
    if (length < 2 || line[1] != '=' || !g_ascii_islower(line[0]))
        return fail(reader, error, "a line is a lower-case letter, = and a value");
    if (reader->line == 1 && strcmp(line, "v=0") != 0)
        return fail(reader, error, "a session description begins with v=0");
    if (line[0] == 'm')
        return read_m_line(reader, line + 2, error);
    if (line[0] == 'b')
        return read_bandwidth(reader, line + 2, error);
    if (line[0] == 'a')
        return read_attribute(reader, line + 2, error);
    return true;
}

struct offer_template *offer_template_parse(const char *sdp, gsize max, GError **error)
{
    gsize length = strlen(sdp);
    if (length > max) {
        problem_set(error, PROBLEM_MESSAGE_TOO_LARGE,
                    "a session description has at most %" G_GSIZE_FORMAT " octets", max);
        return NULL;
    }
    offer_template_auto *offer = template_new();
    struct reader reader = {.offer = offer, .session_direction = MEDIA_SENDRECV};
    g_autofree char *text = g_strdup(sdp);
    for (char *line = text, *end = text + length; line < end;) {
        char *newline = memchr(line, '\n', end - line);
        char *stop = newline ? newline : end;
        *stop = 0;
        reader.line++;
        if (!read_line(&reader, line, stop - line, error))
            return NULL;
        line = stop + 1;
    }
    if (!finish_media(&reader, error))
        return NULL;
    if (offer->medias->len == 0) {
        fail(&reader, error, "there is no m-line");
        return NULL;
    }
    return g_steal_pointer(&offer);
}

/* --- making others from it ----------------------------------------------------------------------
 */

static struct offer_media *media_copy(const struct offer_media *from)
{
    struct offer_media *media = media_new(from->kind, from->direction);
    g_strlcpy(media->mid, from->mid, sizeof media->mid);
    media->bandwidth = from->bandwidth;
    for (guint i = 0; i < from->codecs->len; i++)
        add_codec(media, g_ptr_array_index(from->codecs, i));
    return media;
}

static bool usable(const struct offer_media *media)
{
    return !media->rejected && (media->kind == MEDIA_APPLICATION || media->codecs->len > 0);
}

static struct offer_template *copy_usable(const struct offer_template *offer, bool new_mids,
                                          const char *nothing, GError **error)
{
    offer_template_auto *copy = template_new();
    for (guint i = 0; i < offer->medias->len; i++) {
        const struct offer_media *from = g_ptr_array_index(offer->medias, i);
        if (!usable(from))
            continue;
        struct offer_media *media = media_copy(from);
        if (new_mids)
            g_snprintf(media->mid, sizeof media->mid, "%u", copy->medias->len);
        g_ptr_array_add(copy->medias, media);
    }
    if (copy->medias->len)
        return g_steal_pointer(&copy);
    problem_set(error, PROBLEM_SDP_NOT_ACCEPTABLE, "%s", nothing);
    return NULL;
}

struct offer_template *offer_template_wanted(const struct offer_template *offer, GError **error)
{
    return copy_usable(
        offer, true,
        "the description offers no data channels, and neither audio nor video with a named codec",
        error);
}

struct offer_template *offer_template_chosen(const struct offer_template *answer, GError **error)
{
    return copy_usable(answer, false, "the answer accepts no medium", error);
}

struct offer_template *offer_template_own(const struct offer_template *offer, GError **error)
{
    return copy_usable(
        offer, false,
        "the description offers no data channels, and neither audio nor video with a named codec",
        error);
}

void offer_template_add(struct offer_template *offer, enum media_kind kind,
                        enum media_direction direction, const GPtrArray *codecs)
{
    struct offer_media *media = media_new(kind, direction);
    for (guint i = 0; i < codecs->len; i++)
        add_codec(media, g_ptr_array_index(codecs, i));
    guint number = 0;
    do
        g_snprintf(media->mid, sizeof media->mid, "%u", number++);
    while (offer_template_media(offer, media->mid));
    g_ptr_array_add(offer->medias, media);
}

void offer_template_append(struct offer_template *offer, const struct offer_media *media,
                           enum media_direction direction)
{
    struct offer_media *copy = media_copy(media);
    copy->direction = direction;
    g_ptr_array_add(offer->medias, copy);
}

guint offer_template_count(const struct offer_template *offer, enum media_kind kind,
                           enum media_direction direction)
{
    guint n = 0;
    for (guint i = 0; i < offer->medias->len; i++) {
        const struct offer_media *media = g_ptr_array_index(offer->medias, i);
        n += media->kind == kind && !media->rejected && (media->direction & direction) == direction;
    }
    return n;
}

bool offer_template_drop(struct offer_template *offer, enum media_kind kind)
{
    guint before = offer->medias->len;
    for (guint i = before; i > 0; i--) {
        const struct offer_media *media = g_ptr_array_index(offer->medias, i - 1);
        if (media->kind == kind && offer->medias->len > 1)
            g_ptr_array_remove_index(offer->medias, i - 1);
    }
    return offer->medias->len < before;
}

struct offer_template *offer_template_copy(const struct offer_template *from)
{
    struct offer_template *copy = template_new();
    for (guint i = 0; i < from->medias->len; i++)
        g_ptr_array_add(copy->medias, media_copy(g_ptr_array_index(from->medias, i)));
    return copy;
}

struct offer_template *offer_template_mirror(const struct offer_template *from)
{
    struct offer_template *copy = offer_template_copy(from);
    for (guint i = 0; i < copy->medias->len; i++) {
        struct offer_media *media = g_ptr_array_index(copy->medias, i);
        guint direction = media->direction;
        media->direction = (direction & MEDIA_SENDONLY ? MEDIA_RECVONLY : 0) |
                           (direction & MEDIA_RECVONLY ? MEDIA_SENDONLY : 0);
    }
    return copy;
}

struct offer_template *offer_template_limit(const struct offer_template *offer,
                                            const struct offer_template *by)
{
    struct offer_template *limit = template_new();
    for (guint i = 0; i < by->medias->len; i++) {
        const struct offer_media *media = g_ptr_array_index(by->medias, i);
        const struct offer_media *offered = offer_template_media(offer, media->mid);
        if (offered && offered->kind == media->kind && usable(offered))
            g_ptr_array_add(limit->medias, media_copy(media));
    }
    return limit;
}

/* --- modifications ----------------------------------------------------------------------------
 */

struct offer_template *offer_template_towards(const struct offer_template *wanted,
                                              const struct offer_template *told)
{
    struct offer_template *offer = offer_template_copy(wanted);
    for (guint i = 0; i < told->medias->len; i++) {
        const struct offer_media *former = g_ptr_array_index(told->medias, i);
        /* Data channels have no direction: what is not named is rejected. */
        if (offer_template_media(wanted, former->mid) || former->kind == MEDIA_APPLICATION)
            continue;
        struct offer_media *media = media_copy(former);
        media->direction = MEDIA_INACTIVE;
        g_ptr_array_add(offer->medias, media);
    }
    return offer;
}

static bool has_codec(const struct offer_media *media, const char *codec)
{
    for (guint i = 0; i < media->codecs->len; i++)
        if (codec_text_fits(g_ptr_array_index(media->codecs, i), codec))
            return true;
    return false;
}

static bool asks_codec(const struct offer_media *wanted, const struct offer_media *told,
                       const struct offer_media *agreed)
{
    for (guint i = 0; i < agreed->codecs->len; i++)
        if (!has_codec(wanted, g_ptr_array_index(agreed->codecs, i)))
            return true; /* it may send what is not understood any more */
    const char *preferred = g_ptr_array_index(wanted->codecs, 0);
    return !has_codec(agreed, preferred) && !has_codec(told, preferred);
}

static bool asks_media(const struct offer_media *wanted, const struct offer_media *told,
                       const struct offer_media *agreed)
{
    if (!told || told->kind != wanted->kind)
        return wanted->direction != MEDIA_INACTIVE || told;
    if (told->direction != wanted->direction)
        return true;
    if (wanted->direction == MEDIA_INACTIVE)
        return false;
    if (wanted->kind == MEDIA_APPLICATION)
        return !agreed;
    return !agreed || asks_codec(wanted, told, agreed);
}

bool offer_template_asks(const struct offer_template *wanted, const struct offer_template *told,
                         const struct offer_template *agreed)
{
    for (guint i = 0; i < wanted->medias->len; i++) {
        const struct offer_media *media = g_ptr_array_index(wanted->medias, i);
        if (asks_media(media, offer_template_media(told, media->mid),
                       offer_template_media(agreed, media->mid)))
            return true;
    }
    for (guint i = 0; i < told->medias->len; i++) {
        const struct offer_media *media = g_ptr_array_index(told->medias, i);
        if (media->direction != MEDIA_INACTIVE && !offer_template_media(wanted, media->mid))
            return true;
    }
    return false;
}

static const struct offer_media *next_of_kind(const struct offer_template *told,
                                              const struct offer_template *placed,
                                              enum media_kind kind)
{
    for (guint i = 0; i < told->medias->len; i++) {
        const struct offer_media *media = g_ptr_array_index(told->medias, i);
        if (media->kind == kind && !offer_template_media(placed, media->mid))
            return media;
    }
    return NULL;
}

struct offer_template *offer_template_place(const struct offer_template *pre_offer,
                                            const struct offer_template *told,
                                            const struct offer_template *other)
{
    struct offer_template *placed = template_new();
    guint number = 0;
    for (guint i = 0; i < pre_offer->medias->len; i++) {
        const struct offer_media *from = g_ptr_array_index(pre_offer->medias, i);
        if (!usable(from))
            continue;
        const struct offer_media *slot = next_of_kind(told, placed, from->kind);
        struct offer_media *media = media_copy(from);
        if (slot)
            g_strlcpy(media->mid, slot->mid, sizeof media->mid);
        else
            do
                g_snprintf(media->mid, sizeof media->mid, "%u", number++);
            while (offer_template_media(told, media->mid) ||
                   offer_template_media(other, media->mid) ||
                   offer_template_media(placed, media->mid));
        g_ptr_array_add(placed->medias, media);
    }
    return placed;
}

/* --- the default ------------------------------------------------------------------------------ */

static void add_default(struct offer_template *offer, enum media_kind kind,
                        const char *const *codecs)
{
    if (!codecs || !codecs[0])
        return;
    struct offer_media *media = media_new(kind, MEDIA_SENDRECV);
    g_snprintf(media->mid, sizeof media->mid, "%u", offer->medias->len);
    for (guint i = 0; codecs[i]; i++)
        add_codec(media, codecs[i]);
    g_ptr_array_add(offer->medias, media);
}

struct offer_template *offer_template_default(const char *const *audio, const char *const *video)
{
    struct offer_template *offer = template_new();
    add_default(offer, MEDIA_AUDIO, audio);
    add_default(offer, MEDIA_VIDEO, video);
    return offer;
}

const struct offer_media *offer_template_media(const struct offer_template *offer, const char *mid)
{
    for (guint i = 0; i < offer->medias->len; i++) {
        const struct offer_media *media = g_ptr_array_index(offer->medias, i);
        if (strcmp(media->mid, mid) == 0)
            return media;
    }
    return NULL;
}

static bool lists(const json_t *names, const char *name)
{
    for (size_t i = 0; i < json_array_size(names); i++)
        if (g_ascii_strcasecmp(json_string_value(json_array_get(names, i)), name) == 0)
            return true;
    return false;
}

/* `codecs` has each name once, `formats` what is said beyond names. */
static json_t *media_json(const struct offer_media *media)
{
    json_t *codecs = json_array();
    json_auto_t *formats = json_array();
    for (guint c = 0; c < media->codecs->len; c++) {
        const char *codec = g_ptr_array_index(media->codecs, c);
        g_autofree char *name = codec_text_name(codec);
        if (!lists(codecs, name))
            json_array_append_new(codecs, json_string(name));
        if (codec_text_says_more(codec))
            json_array_append_new(formats, json_string(codec));
    }
    json_t *object = json_pack("{s:s, s:s, s:s, s:o}", "mid", media->mid, "mediaType",
                               media_kind_name(media->kind), "direction",
                               media_direction_name(media->direction), "codecs", codecs);
    if (json_array_size(formats) > 0)
        json_object_set(object, "formats", formats);
    return object;
}

json_t *offer_template_json(const struct offer_template *offer)
{
    json_t *medias = json_array();
    for (guint i = 0; i < offer->medias->len; i++)
        json_array_append_new(medias, media_json(g_ptr_array_index(offer->medias, i)));
    return json_pack("{s:o, s:b}", "medias", medias, "bundle", 1);
}
