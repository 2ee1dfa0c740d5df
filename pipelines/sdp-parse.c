/* SPDX-License-Identifier: Apache-2.0 */
/* Text to description. The lines are checked first (sdp-lines.c), GstSDPMessage cuts them up, and
 * the files beside this one read the attributes; here the whole is put together: the o= line, the
 * BUNDLE group, and the one transport that a bundled session has (RFC 9143). */
#include "pipelines/sdp-parse.h"
#include "pipelines/sdp-lines.h"

#include <string.h>

struct parser {
    struct sdp_description *description;
    struct sdp_lines lines;
    struct sdp_transport session;
    struct sdp_transport transports[SDP_MAX_MEDIAS];
    bool bundle_only[SDP_MAX_MEDIAS];
    guint n_transports;
    GPtrArray *groups; /* char *: the mids of each BUNDLE group */
};

static bool parse_origin(struct parser *p, const GstSDPMessage *message, GError **error)
{
    const GstSDPOrigin *origin = gst_sdp_message_get_origin(message);
    const char *id = origin->sess_id ? origin->sess_id : "";
    const char *version = origin->sess_version ? origin->sess_version : "";

    /* RFC 8866 5.2: both are numeric strings */
    if (!sdp_scan_number(&id, G_MAXUINT64, &p->description->session_id) || *id ||
        !sdp_scan_number(&version, G_MAXUINT64, &p->description->session_version) || *version)
        return sdp_fail_line(error, 2, "o= needs a numeric session id and version");
    return true;
}

static bool parse_session(struct parser *p, const GstSDPMessage *message, GError **error)
{
    guint n = gst_sdp_message_attributes_len(message);

    if (n != p->lines.session->len)
        return sdp_fail_line(error, 1, "the attributes of the session cannot be read");
    for (guint i = 0; i < n; i++) {
        const GstSDPAttribute *attribute = gst_sdp_message_get_attribute(message, i);
        const char *key = attribute->key ? attribute->key : "";
        const char *value = attribute->value ? attribute->value : "";
        guint line = g_array_index(p->lines.session, guint, i);

        if (strcmp(key, "ice-lite") == 0)
            p->description->ice_lite = true;
        else if (strcmp(key, "extmap-allow-mixed") == 0)
            p->description->extmap_mixed = true;
        else if (strcmp(key, "group") == 0 && g_str_has_prefix(value, "BUNDLE "))
            g_ptr_array_add(p->groups, g_strdup(value + strlen("BUNDLE ")));
        if (p->groups->len > SDP_MAX_MEDIAS)
            return sdp_fail_line(error, line, "too many groups");
        if (!sdp_transport_read(&p->session, key, value, line, error))
            return false;
    }
    return true;
}

static bool parse_medias(struct parser *p, const GstSDPMessage *message, GError **error)
{
    guint n = gst_sdp_message_medias_len(message);

    if (n != p->lines.medias->len || n > SDP_MAX_MEDIAS)
        return sdp_fail_line(error, 1, "the media descriptions cannot be read");
    for (guint i = 0; i < n; i++) {
        const GArray *lines = g_ptr_array_index(p->lines.medias, i);
        sdp_transport_init(&p->transports[i]);
        p->n_transports++;
        struct sdp_media *media = sdp_parse_media(gst_sdp_message_get_media(message, i), lines,
                                                  &p->transports[i], &p->bundle_only[i], error);
        if (!media)
            return false;
        if (sdp_description_media_index(p->description, media->mid) >= 0) {
            sdp_media_free(media);
            return sdp_fail_line(error, g_array_index(lines, guint, 0), "its mid stands twice");
        }
        g_ptr_array_add(p->description->medias, media);
    }
    return true;
}

/* Index of the group's first media that is not rejected (RFC 9143 7.3.1), -1 when there is none;
 * marks the members. */
static int mark_group(struct parser *p, const char *group, bool *members)
{
    int tagged = -1;

    for (;;) {
        g_autofree char *mid = sdp_scan_word(&group);
        int index = sdp_description_media_index(p->description, mid);
        if (!mid)
            return tagged;
        if (index < 0)
            continue;
        struct sdp_media *media = g_ptr_array_index(p->description->medias, index);
        members[index] = true;
        if (p->bundle_only[index])
            media->rejected = false; /* RFC 9143 6: port 0 is only to say so */
        if (tagged < 0 && !media->rejected)
            tagged = index;
    }
}

/* The index of the media whose transport is the session's, and whether all share it. */
static int find_transport(struct parser *p)
{
    GPtrArray *medias = p->description->medias;
    bool members[SDP_MAX_MEDIAS] = {false};
    int tagged = -1;

    for (guint g = 0; g < p->groups->len; g++) {
        int first = mark_group(p, g_ptr_array_index(p->groups, g), members);
        if (tagged < 0)
            tagged = first;
    }
    /* More than one group is more than one transport. */
    p->description->bundle = p->groups->len == 1 && tagged >= 0;
    for (guint i = 0; i < medias->len; i++) {
        const struct sdp_media *media = g_ptr_array_index(medias, i);
        if (media->rejected)
            continue;
        if (tagged < 0)
            tagged = (int)i;
        if (!members[i])
            p->description->bundle = false;
    }
    return tagged;
}

static const char *effective(const char *media, const char *session)
{
    return media ? media : session;
}

/* RFC 9335 4: at session level, or in every m-line with media; one of data channels, which may be
 * the tagged one, need not tell. */
static bool has_cryptex(const struct parser *p)
{
    const GPtrArray *medias = p->description->medias;
    bool some = false;
    for (guint i = 0; i < medias->len; i++) {
        const struct sdp_media *media = g_ptr_array_index(medias, i);
        if (media->rejected || media->kind == SDP_APPLICATION)
            continue;
        if (!p->transports[i].cryptex && !p->session.cryptex)
            return false;
        some = true;
    }
    return some;
}

static void take_transport(struct parser *p, int tagged)
{
    struct sdp_description *d = p->description;
    struct sdp_transport *media = tagged >= 0 ? &p->transports[tagged] : &p->session;
    struct sdp_transport *dtls = media->fingerprint ? media : &p->session;

    d->ice_ufrag = g_strdup(effective(media->ufrag, p->session.ufrag));
    d->ice_pwd = g_strdup(effective(media->pwd, p->session.pwd));
    d->trickle = media->trickle || p->session.trickle;
    d->end_of_candidates = media->end_of_candidates || p->session.end_of_candidates;
    d->cryptex = has_cryptex(p);
    d->setup = media->setup != SDP_SETUP_NONE ? media->setup : p->session.setup;
    d->fingerprint_hash = g_strdup(dtls->hash);
    if (dtls->fingerprint)
        d->fingerprint = g_byte_array_ref(dtls->fingerprint);
    for (guint i = 0; i < media->candidates->len; i++) {
        struct sdp_candidate candidate;
        sdp_candidate_copy(&candidate, &g_array_index(media->candidates, struct sdp_candidate, i));
        g_array_append_val(d->candidates, candidate);
    }
    for (guint i = 0; i < d->medias->len; i++) {
        const struct sdp_media *other = g_ptr_array_index(d->medias, i);
        const char *ufrag = effective(p->transports[i].ufrag, p->session.ufrag);
        if (!other->rejected && ufrag && g_strcmp0(ufrag, d->ice_ufrag) != 0)
            d->split_transport = true;
    }
}

static bool parse(struct parser *p, const char *text, GstSDPMessage *message, GError **error)
{
    if (!sdp_lines_read(&p->lines, text, error))
        return false;
    if (gst_sdp_message_parse_buffer((const guint8 *)p->lines.text->str, (guint)p->lines.text->len,
                                     message) != GST_SDP_OK)
        return sdp_fail_line(error, 1, "the description cannot be read");
    if (!parse_origin(p, message, error) || !parse_session(p, message, error) ||
        !parse_medias(p, message, error))
        return false;
    take_transport(p, find_transport(p));
    return true;
}

struct sdp_description *sdp_parse(const char *text, GError **error)
{
    struct parser p = {.description = sdp_description_new()};
    GstSDPMessage *message = NULL;
    bool parsed;

    g_return_val_if_fail(text != NULL, NULL);
    gst_sdp_message_new(&message);
    sdp_lines_init(&p.lines);
    sdp_transport_init(&p.session);
    p.groups = g_ptr_array_new_with_free_func(g_free);
    parsed = parse(&p, text, message, error);

    for (guint i = 0; i < p.n_transports; i++)
        sdp_transport_finish(&p.transports[i]);
    g_ptr_array_unref(p.groups);
    sdp_transport_finish(&p.session);
    sdp_lines_finish(&p.lines);
    gst_sdp_message_free(message);
    if (!parsed)
        g_clear_pointer(&p.description, sdp_description_free);
    return p.description;
}
