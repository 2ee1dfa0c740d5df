/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the ICE and DTLS attributes of one level (RFC 8839, 8842, 8122). Values that a later step
 * would have to trust, such as the length of a fingerprint, are checked here once. */
#include "pipelines/sdp-parse.h"

#include <string.h>

void sdp_transport_init(struct sdp_transport *transport)
{
    *transport = (struct sdp_transport){.candidates =
                                            g_array_new(FALSE, TRUE, sizeof(struct sdp_candidate))};
}

void sdp_transport_finish(struct sdp_transport *transport)
{
    for (guint i = 0; i < transport->candidates->len; i++) {
        struct sdp_candidate *c = &g_array_index(transport->candidates, struct sdp_candidate, i);
        g_free(c->foundation);
        g_free(c->address);
        g_free(c->type);
    }
    g_array_unref(transport->candidates);
    if (transport->fingerprint)
        g_byte_array_unref(transport->fingerprint);
    g_free(transport->ufrag);
    g_free(transport->pwd);
    g_free(transport->hash);
}

/* RFC 8839 5.4: ice-char, with its lengths. */
static bool is_ice_chars(const char *text, gsize min, gsize max)
{
    gsize length = strlen(text);

    for (const char *p = text; *p; p++)
        if (!g_ascii_isalnum(*p) && *p != '+' && *p != '/')
            return false;
    return length >= min && length <= max;
}

static bool read_secret(char **to, const char *value, gsize min, guint line, GError **error)
{
    if (!is_ice_chars(value, min, 256))
        return sdp_fail_line(
            error, line, "an ICE credential of %" G_GSIZE_FORMAT " to 256 ICE characters is needed",
            min);
    g_free(*to);
    *to = g_strdup(value);
    return true;
}

/* RFC 8122 5: hash SP hex pairs parted by colons. Hashes that are broken or not known are passed
 * over: another line may have a good one, and a description with none is refused later. */
static bool read_fingerprint(struct sdp_transport *transport, const char *value, guint line,
                             GError **error)
{
    static const struct {
        const char *name;
        guint length;
    } hashes[] = {{"sha-256", 32}, {"sha-384", 48}, {"sha-512", 64}};
    g_autofree char *hash = sdp_scan_word(&value);
    g_autofree char *hex = sdp_scan_word(&value);
    g_autoptr(GByteArray) octets = NULL;
    guint length = 0;

    if (!hash || !hex)
        return sdp_fail_line(error, line, "a=fingerprint needs a hash and its value");
    for (gsize i = 0; i < G_N_ELEMENTS(hashes); i++)
        if (g_ascii_strcasecmp(hash, hashes[i].name) == 0)
            length = hashes[i].length;
    if (length == 0)
        return true;
    if (strlen(hex) != length * 3 - 1)
        return sdp_fail_line(error, line, "a %u octet fingerprint has another length", length);
    octets = g_byte_array_sized_new(length);
    for (const char *p = hex;; p += 3) {
        if (!g_ascii_isxdigit(p[0]) || !g_ascii_isxdigit(p[1]) || (p[2] != ':' && p[2] != '\0'))
            return sdp_fail_line(error, line, "the fingerprint is not pairs of hex digits");
        guint8 octet = (guint8)(g_ascii_xdigit_value(p[0]) << 4 | g_ascii_xdigit_value(p[1]));
        g_byte_array_append(octets, &octet, 1);
        if (p[2] == '\0')
            break;
    }
    if (transport->fingerprint)
        return true; /* the first of the good ones */
    transport->fingerprint = g_steal_pointer(&octets);
    transport->hash = g_ascii_strdown(hash, -1);
    return true;
}

static bool read_setup(struct sdp_transport *transport, const char *value, guint line,
                       GError **error)
{
    if (strcmp(value, "actpass") == 0)
        transport->setup = SDP_SETUP_ACTPASS;
    else if (strcmp(value, "active") == 0)
        transport->setup = SDP_SETUP_ACTIVE;
    else if (strcmp(value, "passive") == 0)
        transport->setup = SDP_SETUP_PASSIVE;
    else
        return sdp_fail_line(error, line, "a=setup is none of actpass, active, passive");
    return true;
}

/* Among the attributes at its end, names and values in turn. */
static void read_tcp_type(struct sdp_candidate *candidate, const char *rest)
{
    for (;;) {
        g_autofree char *name = sdp_scan_word(&rest);
        g_autofree char *value = sdp_scan_word(&rest);
        if (!name || !value)
            return;
        if (strcmp(name, "tcptype") == 0 && !candidate->udp &&
            (strcmp(value, "active") == 0 || strcmp(value, "passive") == 0 ||
             strcmp(value, "so") == 0))
            g_strlcpy(candidate->tcp_type, value, sizeof candidate->tcp_type);
    }
}

/* RFC 8839 5.1: foundation component transport priority address port "typ" type … */
static bool scan_candidate(const char *value, struct sdp_candidate *ret)
{
    g_autofree char *foundation = sdp_scan_word(&value);
    guint64 component = 0, priority = 0, port = 0;
    bool good = foundation && strlen(foundation) <= 32;

    value += strspn(value, " ");
    good = good && sdp_scan_number(&value, 256, &component) && component > 0 && *value == ' ';
    g_autofree char *protocol = sdp_scan_word(&value);
    value += strspn(value, " ");
    good = good && protocol && sdp_scan_number(&value, G_MAXUINT32, &priority) && *value == ' ';
    g_autofree char *address = sdp_scan_word(&value);
    value += strspn(value, " ");
    good = good && address && strlen(address) <= 253 &&
           sdp_scan_number(&value, G_MAXUINT16, &port) && *value == ' ';
    g_autofree char *typ = sdp_scan_word(&value);
    g_autofree char *type = sdp_scan_word(&value);
    good = good && typ && strcmp(typ, "typ") == 0 && type && strlen(type) <= 16;
    if (!good)
        return false;
    *ret = (struct sdp_candidate){
        .foundation = g_steal_pointer(&foundation),
        .address = g_steal_pointer(&address),
        .type = g_steal_pointer(&type),
        .component = (guint)component,
        .port = (guint)port,
        .priority = (guint32)priority,
        .udp = g_ascii_strcasecmp(protocol, "udp") == 0,
    };
    read_tcp_type(ret, value);
    return true;
}

static bool read_candidate(struct sdp_transport *transport, const char *value, guint line,
                           GError **error)
{
    struct sdp_candidate candidate;

    if (transport->candidates->len == SDP_MAX_CANDIDATES)
        return sdp_fail_line(error, line, "more than %d candidates", SDP_MAX_CANDIDATES);
    if (!scan_candidate(value, &candidate))
        return sdp_fail_line(error, line, "a=candidate does not have the form of RFC 8839");
    g_array_append_val(transport->candidates, candidate);
    return true;
}

bool sdp_candidate_parse(const char *text, struct sdp_candidate *ret, GError **error)
{
    if (g_str_has_prefix(text, "a="))
        text += 2;
    if (g_str_has_prefix(text, "candidate:") && scan_candidate(text + strlen("candidate:"), ret))
        return true;
    problem_set(error, PROBLEM_INVALID_SDP, "the candidate does not have the form of RFC 8839");
    return false;
}

static bool has_word(const char *list, const char *word)
{
    for (;;) {
        g_autofree char *found = sdp_scan_word(&list);
        if (!found || strcmp(found, word) == 0)
            return found != NULL;
    }
}

bool sdp_transport_read(struct sdp_transport *transport, const char *key, const char *value,
                        guint line, GError **error)
{
    if (strcmp(key, "ice-ufrag") == 0)
        return read_secret(&transport->ufrag, value, 4, line, error);
    if (strcmp(key, "ice-pwd") == 0)
        return read_secret(&transport->pwd, value, 22, line, error);
    if (strcmp(key, "fingerprint") == 0)
        return read_fingerprint(transport, value, line, error);
    if (strcmp(key, "setup") == 0)
        return read_setup(transport, value, line, error);
    if (strcmp(key, "candidate") == 0)
        return read_candidate(transport, value, line, error);
    if (strcmp(key, "end-of-candidates") == 0)
        transport->end_of_candidates = true;
    else if (strcmp(key, "cryptex") == 0)
        transport->cryptex = true;
    else if (strcmp(key, "ice-options") == 0 && has_word(value, "trickle"))
        transport->trickle = true;
    return true;
}
