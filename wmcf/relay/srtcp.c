/* SPDX-License-Identifier: Apache-2.0 */
/* The only user of libsrtp. Reports are a few per second and leg, so its 5 µs do not matter, and
 * whatever profile is added later, its SRTCP is already here. libsrtp keeps state per SSRC of the
 * peer and would let a peer make as many as it likes: the list of known senders here is the limit.
 */
#include "wmcf/relay/srtcp.h"

#include <openssl/crypto.h>
#include <srtp2/srtp.h>
#include <string.h>

struct srtcp {
    srtp_t in, out;
    guint n_senders, senders_max;
    uint32_t senders[];
};

static bool create(srtp_t *ret, enum relay_srtp_profile profile, const uint8_t *key,
                   size_t key_length, const uint8_t *salt, size_t salt_length,
                   srtp_ssrc_type_t direction)
{
    uint8_t joined[46];
    if (key_length + salt_length > sizeof joined)
        return false;
    memcpy(joined, key, key_length);
    memcpy(joined + key_length, salt, salt_length);
    srtp_policy_t policy;
    memset(&policy, 0, sizeof policy);
    srtp_profile_t theirs = (srtp_profile_t)profile; /* both are RFC 5764's numbers */
    bool ok =
        srtp_crypto_policy_set_from_profile_for_rtp(&policy.rtp, theirs) == srtp_err_status_ok &&
        srtp_crypto_policy_set_from_profile_for_rtcp(&policy.rtcp, theirs) == srtp_err_status_ok;
    policy.ssrc.type = direction;
    policy.key = joined;
    policy.window_size = 128;
    policy.allow_repeat_tx = 0;
    ok = ok && srtp_create(ret, &policy) == srtp_err_status_ok;
    OPENSSL_cleanse(joined, sizeof joined);
    return ok;
}

bool srtcp_init(GError **error)
{
    static bool done;
    if (done)
        return true;
    /* The library may be initialised once per process, and a GStreamer plugin may have been first:
     * what counts is whether a session can be made. */
    srtp_err_status_t status = srtp_init();
    static const uint8_t zero[16];
    srtp_t probe;
    if (!create(&probe, RELAY_SRTP_AES128_CM_HMAC_SHA1_80, zero, 16, zero, 14, ssrc_any_inbound)) {
        problem_set(error, PROBLEM_INTERNAL_ERROR, "libsrtp could not be initialised (%d)",
                    (int)status);
        return false;
    }
    srtp_dealloc(probe);
    done = true;
    return true;
}

struct srtcp *srtcp_new(const struct relay_srtp_keys *keys, guint senders_max)
{
    struct srtcp *srtcp = g_malloc0(sizeof *srtcp + senders_max * sizeof srtcp->senders[0]);
    srtcp->senders_max = senders_max;
    if (create(&srtcp->in, keys->profile, keys->remote_key, keys->key_length, keys->remote_salt,
               keys->salt_length, ssrc_any_inbound) &&
        create(&srtcp->out, keys->profile, keys->local_key, keys->key_length, keys->local_salt,
               keys->salt_length, ssrc_any_outbound))
        return srtcp;
    srtcp_free(srtcp);
    return NULL;
}

void srtcp_free(struct srtcp *srtcp)
{
    if (!srtcp)
        return;
    if (srtcp->in)
        srtp_dealloc(srtcp->in);
    if (srtcp->out)
        srtp_dealloc(srtcp->out);
    g_free(srtcp);
}

bool srtcp_protect(struct srtcp *srtcp, uint8_t *packet, size_t *length)
{
    int octets = (int)*length;
    if (srtp_protect_rtcp(srtcp->out, packet, &octets) != srtp_err_status_ok)
        return false;
    *length = (size_t)octets;
    return true;
}

bool srtcp_unprotect(struct srtcp *srtcp, uint8_t *packet, size_t *length, bool *ret_replayed)
{
    *ret_replayed = false;
    if (*length < 8)
        return false;
    uint32_t sender = (uint32_t)packet[4] << 24 | (uint32_t)packet[5] << 16 |
                      (uint32_t)packet[6] << 8 | packet[7];
    guint i = 0;
    while (i < srtcp->n_senders && srtcp->senders[i] != sender)
        i++;
    if (i == srtcp->senders_max)
        return false;
    int octets = (int)*length;
    srtp_err_status_t status = srtp_unprotect_rtcp(srtcp->in, packet, &octets);
    if (status != srtp_err_status_ok) {
        *ret_replayed =
            status == srtp_err_status_replay_fail || status == srtp_err_status_replay_old;
        return false;
    }
    if (i == srtcp->n_senders)
        srtcp->senders[srtcp->n_senders++] = sender;
    *length = (size_t)octets;
    return true;
}
