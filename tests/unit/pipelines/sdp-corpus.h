/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the tests of the SDP engine share: the corpus of tests/data/sdp and our side of a transport.
 */
#include "base/problem.h"
#include "pipelines/sdp.h"

#include <glib.h>
#include <string.h>

static const guint8 corpus_fingerprint[32] = {1, 2, 3, 0xfe};
static const struct sdp_candidate corpus_candidates[] = {
    {.foundation = (char *)"1",
     .address = (char *)"198.51.100.20",
     .type = (char *)"host",
     .component = 1,
     .port = 40000,
     .priority = 2130706431,
     .udp = true},
    {.foundation = (char *)"2",
     .address = (char *)"2001:db8:1::20",
     .type = (char *)"host",
     .component = 1,
     .port = 40000,
     .priority = 2130706175,
     .udp = true},
};

static inline struct sdp_local corpus_local(void)
{
    return (struct sdp_local){
        .ice_ufrag = "ourufrag",
        .ice_pwd = "ourpasswordourpassword12",
        .ice_lite = true,
        .fingerprint_hash = "sha-256",
        .fingerprint = corpus_fingerprint,
        .fingerprint_length = sizeof(corpus_fingerprint),
        .candidates = corpus_candidates,
        .n_candidates = G_N_ELEMENTS(corpus_candidates),
        .session_id = 4711,
        .session_version = 1,
        .cname = "ourcname",
    };
}

/* All that a relay can do. */
static inline struct sdp_local corpus_local_full(void)
{
    struct sdp_local local = corpus_local();

    local.rtx = local.transport_cc = local.simulcast = local.red = true;
    local.dependency = local.orientation = local.cryptex = true;
    return local;
}

/* Transfer full. */
static inline char *corpus_text(const char *name)
{
    g_autofree char *path = g_build_filename(TEST_DATA, "sdp", name, NULL);
    g_autoptr(GError) error = NULL;
    char *text = NULL;

    g_file_get_contents(path, &text, NULL, &error);
    g_assert_no_error(error);
    return text;
}

static inline struct sdp_description *corpus_parse(const char *name)
{
    g_autofree char *text = corpus_text(name);
    g_autoptr(GError) error = NULL;
    struct sdp_description *description = sdp_parse(text, &error);

    g_assert_no_error(error);
    g_assert_nonnull(description);
    return description;
}

/* Calls fn for each .sdp file of tests/data/sdp/`folder` whose name contains `part`; at least one.
 */
static inline void corpus_each(const char *folder, const char *part, void (*fn)(const char *name))
{
    g_autofree char *path = g_build_filename(TEST_DATA, "sdp", folder, NULL);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;
    guint n = 0;

    g_assert_nonnull(dir);
    while ((name = g_dir_read_name(dir))) {
        g_autofree char *file = g_build_filename(folder, name, NULL);
        if (!g_str_has_suffix(name, ".sdp") || !strstr(name, part))
            continue;
        g_test_message("%s", file);
        fn(file);
        n++;
    }
    g_assert_cmpuint(n, >, 0);
}

static inline struct sdp_media *corpus_media(const struct sdp_description *description, guint index)
{
    g_assert_cmpuint(index, <, description->medias->len);
    return g_ptr_array_index(description->medias, index);
}

static inline struct sdp_codec *corpus_codec(const GArray *codecs, guint index)
{
    g_assert_cmpuint(index, <, codecs->len);
    return &g_array_index(codecs, struct sdp_codec, index);
}

/* `codecs` parted by commas, or NULL for all. */
static inline void corpus_want(struct sdp_template *wanted, const char *mid, enum sdp_kind kind,
                               enum sdp_direction direction, const char *codecs)
{
    struct sdp_template_media media = {.kind = kind, .direction = direction};

    g_strlcpy(media.mid, mid, sizeof(media.mid));
    media.codecs = codecs ? g_strsplit(codecs, ",", -1) : NULL;
    g_array_append_val(wanted->medias, media);
}

static inline struct sdp_template *corpus_template(enum sdp_direction direction)
{
    struct sdp_template *wanted = sdp_template_new();

    corpus_want(wanted, "", SDP_AUDIO, direction, NULL);
    corpus_want(wanted, "", SDP_VIDEO, direction, NULL);
    return wanted;
}
