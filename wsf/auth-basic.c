/* SPDX-License-Identifier: Apache-2.0 */
/* The credentials file and its hashes. The whole file is held in memory and replaced as a whole on
 * reload, so a broken file never replaces a good one. Unknown identities are checked against a real
 * hash of the same cost: the answer and its time then tell nothing about who exists. */
#include "wsf/auth-basic.h"

#include "base/ids.h"
#include "base/problem.h"
#include "wsf/registrar.h"

#include <crypt.h>
#include <glib/gstdio.h>
#include <string.h>

/* The prefix and cost of new hashes: yescrypt with its default cost. */
#define HASH_PREFIX "$y$"
#define FILE_MAX (64 * 1024 * 1024)
#define PASSWORD_MAX 1024

struct auth_basic {
    GHashTable *hashes; /* webrtcId → hash */
    char *decoy;        /* hash for unknown identities */
};

static char *make_hash(const char *password)
{
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    if (!crypt_gensalt_rn(HASH_PREFIX, 0, NULL, 0, setting, sizeof setting))
        return NULL;
    struct crypt_data *data = g_new0(struct crypt_data, 1);
    const char *hash = crypt_r(password, setting, data);
    char *copy = hash && hash[0] != '*' ? g_strdup(hash) : NULL;
    explicit_bzero(data, sizeof *data);
    g_free(data);
    return copy;
}

static bool load_line(struct auth_basic *basic, char *line, const char *file, guint number,
                      GError **error)
{
    g_strstrip(line);
    if (!*line || *line == '#')
        return true;
    char *colon = strchr(line, ':');
    g_autofree char *webrtc_id = NULL;
    if (colon) {
        *colon = 0;
        webrtc_id = registrar_normalise(line);
    }
    if (!webrtc_id || crypt_checksalt(colon + 1) != CRYPT_SALT_OK) {
        problem_set(
            error, PROBLEM_INVALID_MESSAGE,
            "%s line %u is not user@realm:hash with a hash of crypt(5) that is not outdated", file,
            number);
        return false;
    }
    if (!basic->decoy)
        basic->decoy = g_strdup(colon + 1);
    g_hash_table_insert(basic->hashes, g_steal_pointer(&webrtc_id), g_strdup(colon + 1));
    return true;
}

struct auth_basic *auth_basic_load(const char *file, GError **error)
{
    g_autofree char *text = NULL;
    gsize length = 0;
    g_autoptr(GError) failed = NULL;
    if (!g_file_get_contents(file, &text, &length, &failed)) {
        problem_set(error, PROBLEM_INVALID_MESSAGE, "credentials file: %s", failed->message);
        return NULL;
    }
    if (length > FILE_MAX) {
        problem_set(error, PROBLEM_INVALID_MESSAGE, "credentials file %s is too large", file);
        return NULL;
    }
    struct auth_basic *basic = g_new0(struct auth_basic, 1);
    basic->hashes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (guint i = 0; lines[i]; i++)
        if (!load_line(basic, lines[i], file, i + 1, error)) {
            auth_basic_free(basic);
            return NULL;
        }
    if (!basic->decoy) {
        g_autofree char *random = id_token(128);
        basic->decoy = make_hash(random);
    }
    return basic;
}

void auth_basic_free(struct auth_basic *basic)
{
    if (!basic)
        return;
    g_hash_table_unref(basic->hashes);
    g_free(basic->decoy);
    g_free(basic);
}

guint auth_basic_count(const struct auth_basic *basic)
{
    return g_hash_table_size(basic->hashes);
}

char *auth_basic_hash(const struct auth_basic *basic, const char *webrtc_id, bool *ret_known)
{
    const char *hash = g_hash_table_lookup(basic->hashes, webrtc_id);
    *ret_known = hash != NULL;
    return g_strdup(hash ? hash : basic->decoy);
}

bool auth_basic_verify(const char *hash, const char *password)
{
    if (!hash || strlen(password) > PASSWORD_MAX)
        return false;
    struct crypt_data *data = g_new0(struct crypt_data, 1);
    const char *computed = crypt_r(password, hash, data);
    bool equal = computed && computed[0] != '*' && id_secret_equal(computed, hash);
    explicit_bzero(data, sizeof *data);
    g_free(data);
    return equal;
}

void auth_secret_free(char *secret)
{
    if (!secret)
        return;
    explicit_bzero(secret, strlen(secret));
    g_free(secret);
}

bool auth_basic_parse(const char *authorization, char **ret_user, char **ret_password,
                      GError **error)
{
    static const char scheme[] = "Basic ";
    gsize length = 0;
    g_autofree guchar *plain = NULL;
    char *colon = NULL;
    bool good = g_ascii_strncasecmp(authorization, scheme, strlen(scheme)) == 0;
    if (good) {
        plain = g_base64_decode(authorization + strlen(scheme), &length);
        /* g_base64_decode leaves room for the NUL that it does not write */
        g_autofree char *text = g_strndup((const char *)plain, length);
        good = strlen(text) == length && g_utf8_validate(text, length, NULL) &&
               (colon = strchr(text, ':'));
        if (good) {
            *ret_user = g_strndup(text, colon - text);
            *ret_password = g_strdup(colon + 1);
        }
        explicit_bzero(text, strlen(text));
        if (plain)
            explicit_bzero(plain, length);
    }
    if (!good)
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, "/authorization",
                          "expected \"Basic \" and the base64 of user-id:password in UTF-8");
    return good;
}

static bool write_lines(const char *file, const GString *text, GError **error)
{
    g_autoptr(GError) failed = NULL;
    if (g_file_set_contents_full(file, text->str, text->len,
                                 G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600,
                                 &failed))
        return true;
    problem_set(error, PROBLEM_INTERNAL_ERROR, "credentials file: %s", failed->message);
    return false;
}

bool auth_basic_add_user(const char *file, const char *webrtc_id, const char *password,
                         GError **error)
{
    g_autofree char *normal = registrar_normalise(webrtc_id);
    g_autofree char *hash =
        normal && *password && strlen(password) <= PASSWORD_MAX ? make_hash(password) : NULL;
    if (!hash) {
        problem_set(error, PROBLEM_INVALID_MESSAGE, "%s",
                    normal ? "a password has 1 to 1024 octets" : "the identity is not user@realm");
        return false;
    }
    g_autofree char *old = NULL;
    if (g_file_test(file, G_FILE_TEST_EXISTS)) {
        g_autoptr(GError) failed = NULL;
        if (!g_file_get_contents(file, &old, NULL, &failed)) {
            problem_set(error, PROBLEM_INTERNAL_ERROR, "credentials file: %s", failed->message);
            return false;
        }
    }
    g_autoptr(GString) text = g_string_new(NULL);
    g_auto(GStrv) lines = g_strsplit(old ? old : "", "\n", -1);
    for (guint i = 0; lines[i]; i++) {
        g_autofree char *name = g_strndup(lines[i], strcspn(lines[i], ":"));
        g_autofree char *other = registrar_normalise(g_strstrip(name));
        if ((other && strcmp(other, normal) == 0) || (!*lines[i] && !lines[i + 1]))
            continue;
        g_string_append_printf(text, "%s\n", lines[i]);
    }
    g_string_append_printf(text, "%s:%s\n", normal, hash);
    return write_lines(file, text, error);
}
