/* SPDX-License-Identifier: Apache-2.0 */
/* The transport of a termination as descriptions tell it: our candidates and credentials, what of
 * the endpoint's side may change and what not, and candidates that come by themselves (RFC 8838).
 * Those that come before the description they belong to wait for it, a bounded number of them. */
#define LOG_CATEGORY "negotiation"
#include "wmcf/negotiation.h"

#include "wmcf/ice-traversal.h"

#include "wsf-link/json-read.h"

#include <arpa/inet.h>

/* --- our side --------------------------------------------------------------------------------- */

/* Those that were gathered; borrowed as the others are. */
static void take_gathered(const struct termination *t, struct local_candidates *c)
{
    const GArray *gathered = ice_traversal_candidates(t);
    for (c->n = 0; c->n < MIN(gathered->len, SDP_MAX_CANDIDATES); c->n++)
        c->list[c->n] = g_array_index(gathered, struct sdp_candidate, c->n);
}

/* RFC 8445 5.1.2: host candidates; IPv6 before IPv4 (RFC 8421), then in the order of the sockets.
 */
static void make_candidates(const struct termination *t, struct local_candidates *c)
{
    gsize n = 0;
    const struct relay_address *addresses = relay_leg_addresses(t->relay_leg, &n);
    c->n = 0;
    for (int family = 0; family < 2; family++)
        for (gsize i = 0; i < n && c->n < SDP_MAX_CANDIDATES; i++) {
            const struct sockaddr_storage *a = &addresses[i].advertised;
            if ((a->ss_family == AF_INET6) != (family == 0))
                continue;
            struct sdp_candidate *candidate = &c->list[c->n];
            guint port;
            if (a->ss_family == AF_INET6) {
                const struct sockaddr_in6 *in6 = (const void *)a;
                inet_ntop(AF_INET6, &in6->sin6_addr, c->text[c->n], sizeof c->text[0]);
                port = ntohs(in6->sin6_port);
            } else {
                const struct sockaddr_in *in = (const void *)a;
                inet_ntop(AF_INET, &in->sin_addr, c->text[c->n], sizeof c->text[0]);
                port = ntohs(in->sin_port);
            }
            g_snprintf(c->foundations[c->n], sizeof c->foundations[0], "%u", (guint)c->n + 1);
            *candidate = (struct sdp_candidate){
                .foundation = c->foundations[c->n],
                .address = c->text[c->n],
                .type = (char *)"host",
                .component = 1,
                .port = port,
                .priority = addresses[i].priority,
                .udp = true,
            };
            c->n++;
        }
}

struct sdp_local negotiation_local(const struct termination *t, struct local_candidates *candidates)
{
    if (t->traversal)
        take_gathered(t, candidates);
    else
        make_candidates(t, candidates);
    return (struct sdp_local){
        .ice_ufrag = t->ice_ufrag,
        .ice_pwd = t->ice_pwd,
        .ice_lite = !t->ice_full,
        .fingerprint_hash = "sha-256",
        .fingerprint = pl_certificate_sha256(),
        .fingerprint_length = 32,
        .candidates = candidates->list,
        .n_candidates = candidates->n,
        .session_id = t->sdp_session_id,
        .session_version = t->sdp_version + 1,
        .cname = t->cname,
        .role = t->dtls_role,
        /* A mesh has no two ends that a channel could join. */
        .max_message_size = t->context->topology == TOPOLOGY_EXPLICIT
                                ? conf_int(t->wmcf->conf, "limits", "data_message")
                                : 0,
        .rtx = conf_bool(t->wmcf->conf, "media", "rtx"),
        .transport_cc = conf_bool(t->wmcf->conf, "media", "congestion_control"),
        .simulcast = conf_bool(t->wmcf->conf, "media", "simulcast"),
        .red = conf_bool(t->wmcf->conf, "media", "red"),
        .orientation = conf_bool(t->wmcf->conf, "media", "video_orientation"),
        .cryptex = conf_bool(t->wmcf->conf, "media", "cryptex"),
        .dependency = conf_bool(t->wmcf->conf, "media", "dependency_descriptor"),
    };
}

/* --- the endpoint's side ---------------------------------------------------------------------- */

bool negotiation_restarts(const struct termination *t, const struct sdp_description *remote)
{
    return t->remote && (g_strcmp0(remote->ice_ufrag, t->remote->ice_ufrag) != 0 ||
                         g_strcmp0(remote->ice_pwd, t->remote->ice_pwd) != 0);
}

bool negotiation_same_peer(const struct termination *t, const struct sdp_description *remote,
                           GError **error)
{
    if (!t->remote)
        return true;
    if (remote->fingerprint->len != t->remote->fingerprint->len ||
        memcmp(remote->fingerprint->data, t->remote->fingerprint->data, remote->fingerprint->len)) {
        problem_set(error, PROBLEM_SDP_NOT_ACCEPTABLE,
                    "the certificate's fingerprint has changed; set up a new termination");
        return false;
    }
    if (remote->setup == t->dtls_role) {
        problem_set(error, PROBLEM_SDP_NOT_ACCEPTABLE,
                    "a=setup would change the DTLS roles; set up a new termination");
        return false;
    }
    return true;
}

/* Names (mDNS) and TCP are passed over: the endpoint's own checks show what they stand for. */
static bool to_relay(const struct sdp_candidate *from, struct relay_candidate *to)
{
    struct sockaddr_in *in = (struct sockaddr_in *)&to->address;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&to->address;
    *to = (struct relay_candidate){.priority = from->priority};
    if (!from->udp || from->component != 1)
        return false;
    if (inet_pton(AF_INET, from->address, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        in->sin_port = htons((guint16)from->port);
        return true;
    }
    if (inet_pton(AF_INET6, from->address, &in6->sin6_addr) == 1) {
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons((guint16)from->port);
        return true;
    }
    return false;
}

static void candidate_clear(struct trickled_candidate *candidate)
{
    sdp_candidate_clear(&candidate->candidate);
}

static GArray *trickled_candidates_new(void)
{
    GArray *array = g_array_new(FALSE, TRUE, sizeof(struct trickled_candidate));
    g_array_set_clear_func(array, (GDestroyNotify)candidate_clear);
    return array;
}

/* Those that waited for this description go to the relay; the rest is of a former one, or of one
 * yet to come. */
static gsize take_early(struct termination *t, struct relay_candidate *out, gsize max)
{
    gsize n = 0;
    for (guint i = 0; t->early_candidates && i < t->early_candidates->len;) {
        const struct trickled_candidate *early =
            &g_array_index(t->early_candidates, struct trickled_candidate, i);
        if (strcmp(early->ufrag, t->remote->ice_ufrag) != 0) {
            i++;
            continue;
        }
        if (t->traversal)
            ice_traversal_add_candidate(t, &early->candidate);
        else
            n += n < max && to_relay(&early->candidate, &out[n]);
        g_array_remove_index(t->early_candidates, i);
    }
    return n;
}

void negotiation_connect_ice(struct termination *t, bool we_offered)
{
    struct relay_candidate candidates[2 * SDP_MAX_CANDIDATES];
    gsize n = 0;
    if (t->traversal) {
        ice_traversal_connect(t, we_offered || t->remote->ice_lite);
        take_early(t, NULL, 0);
        return;
    }
    for (guint i = 0; i < t->remote->candidates->len; i++)
        n += to_relay(&g_array_index(t->remote->candidates, struct sdp_candidate, i),
                      &candidates[n]);
    n += take_early(t, candidates + n, G_N_ELEMENTS(candidates) - n);
    t->ice_full |= t->remote->ice_lite; /* somebody must check */
    struct relay_remote_ice ice = {
        .ufrag = t->remote->ice_ufrag,
        .pwd = t->remote->ice_pwd,
        /* RFC 8445 6.1.1: a full agent controls a lite one, else who offers. */
        .role = !t->ice_full                        ? RELAY_ICE_LITE
                : we_offered || t->remote->ice_lite ? RELAY_ICE_CONTROLLING
                                                    : RELAY_ICE_CONTROLLED,
        .candidates = candidates,
        .n_candidates = n,
        .complete = !t->remote->trickle || t->remote->end_of_candidates,
    };
    relay_leg_set_remote_ice(t->relay_leg, &ice);
}

/* --- candidates that come by themselves ------------------------------------------------------- */

static bool read_one(const json_t *item, const char *base, const struct sdp_description *remote,
                     struct trickled *into, GError **error)
{
    const char *text = NULL, *mid = NULL, *ufrag = NULL;
    struct trickled_candidate candidate = {0};
    if (!json_is_object(item)) {
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, base,
                          "a candidate is an object with the member candidate");
        return false;
    }
    if (!json_read_string(item, base, "candidate", JSON_REQUIRED, 1024, &text, error) ||
        !json_read_string(item, base, "sdpMid", JSON_OPTIONAL, SDP_MAX_MID, &mid, error) ||
        !json_read_string(item, base, "usernameFragment", JSON_OPTIONAL, 256, &ufrag, error))
        return false;
    bool of_present = !ufrag || (remote && strcmp(ufrag, remote->ice_ufrag) == 0);
    if (of_present && !remote) {
        problem_set_param(error, PROBLEM_INVALID_STATE, base,
                          "a candidate that comes before its description needs usernameFragment");
        return false;
    }
    if (of_present && mid && !sdp_description_media(remote, mid)) {
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, base,
                          "the endpoint's description has no mid %s", mid);
        return false;
    }
    if (!*text) { /* W3C: an empty one ends them */
        into->end |= of_present;
        return true;
    }
    g_autoptr(GError) reason = NULL;
    if (!sdp_candidate_parse(text, &candidate.candidate, &reason)) {
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, base, "%s", reason->message);
        return false;
    }
    g_strlcpy(candidate.ufrag, of_present ? remote->ice_ufrag : ufrag, sizeof candidate.ufrag);
    g_array_append_val(into->candidates, candidate);
    return true;
}

bool trickled_read(const json_t *message, const struct sdp_description *remote,
                   struct trickled *ret, GError **error)
{
    const json_t *array = NULL;
    if (!json_read_array(message, "", "candidates", JSON_OPTIONAL, SDP_MAX_CANDIDATES, &array,
                         error) ||
        !json_read_boolean(message, "", "endOfCandidates", JSON_OPTIONAL, &ret->end, error))
        return false;
    ret->candidates = trickled_candidates_new();
    size_t i;
    json_t *item;
    json_array_foreach(array, i, item)
    {
        g_autofree char *base = g_strdup_printf("/candidates/%zu", i);
        if (!read_one(item, base, remote, ret, error))
            return false;
    }
    return true;
}

void trickled_clear(struct trickled *trickled)
{
    g_clear_pointer(&trickled->candidates, g_array_unref);
}

void termination_trickle(struct termination *t, struct trickled *trickled)
{
    struct relay_candidate candidates[SDP_MAX_CANDIDATES];
    gsize n = 0;
    if (!trickled->candidates || (!trickled->candidates->len && !trickled->end))
        return;
    if (!t->early_candidates)
        t->early_candidates = trickled_candidates_new();
    g_array_append_vals(t->early_candidates, trickled->candidates->data, trickled->candidates->len);
    g_array_set_clear_func(trickled->candidates, NULL); /* their strings have moved */
    g_array_set_size(trickled->candidates, 0);
    if (t->remote)
        n = take_early(t, candidates, G_N_ELEMENTS(candidates));
    if (t->early_candidates->len > SDP_MAX_CANDIDATES) /* the oldest give way */
        g_array_remove_range(t->early_candidates, 0, t->early_candidates->len - SDP_MAX_CANDIDATES);
    if (!t->remote)
        return;
    if (!t->traversal)
        relay_leg_add_candidates(t->relay_leg, candidates, n, trickled->end);
    else if (trickled->end)
        ice_traversal_complete(t);
}
