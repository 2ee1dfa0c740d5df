/* SPDX-License-Identifier: Apache-2.0 */
/* SRTP for a generated leg: libsrtp for everything by default, because it is nobody's code here and
 * therefore a fair judge; RTP on EVP when the peer is asked to be fast. SRTCP is always libsrtp's.
 */
#include "tests/support/peer/srtp.h"
#include "tests/support/peer/srtp-evp.h"

#include <srtp2/srtp.h>
#include <string.h>

struct peer_srtp {
    srtp_t in, out;
    struct srtp_evp *fast_in, *fast_out;
};

static void init_once(void)
{
    static gsize once;
    if (g_once_init_enter(&once)) {
        srtp_init();
        g_once_init_leave(&once, 1);
    }
}

static srtp_t session_new(const guint8 *master, srtp_ssrc_type_t type)
{
    srtp_policy_t policy;
    srtp_t session = NULL;
    memset(&policy, 0, sizeof policy);
    srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(&policy.rtp);
    srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(&policy.rtcp);
    policy.ssrc.type = type;
    policy.key = (guint8 *)master;
    policy.window_size = 1024;
    policy.allow_repeat_tx = 1;
    srtp_create(&session, &policy);
    return session;
}

struct peer_srtp *peer_srtp_new(const struct peer_srtp_keys *keys, enum peer_srtp_engine engine)
{
    init_once();
    struct peer_srtp *srtp = g_new0(struct peer_srtp, 1);
    srtp->in = session_new(keys->remote, ssrc_any_inbound);
    srtp->out = session_new(keys->local, ssrc_any_outbound);
    if (engine == PEER_SRTP_EVP) {
        srtp->fast_in = srtp_evp_new(keys->remote);
        srtp->fast_out = srtp_evp_new(keys->local);
    }
    return srtp;
}

void peer_srtp_free(struct peer_srtp *srtp)
{
    if (!srtp)
        return;
    srtp_dealloc(srtp->in);
    srtp_dealloc(srtp->out);
    srtp_evp_free(srtp->fast_in);
    srtp_evp_free(srtp->fast_out);
    g_free(srtp);
}

static enum peer_srtp_result result_of(srtp_err_status_t status)
{
    if (status == srtp_err_status_ok)
        return PEER_SRTP_OK;
    return status == srtp_err_status_replay_fail || status == srtp_err_status_replay_old
               ? PEER_SRTP_REPLAYED
               : PEER_SRTP_FAILED;
}

bool peer_srtp_protect(struct peer_srtp *srtp, guint8 *packet, gsize *length)
{
    if (srtp->fast_out)
        return (*length = srtp_evp_protect(srtp->fast_out, packet, *length)) > 0;
    int n = (int)*length;
    srtp_err_status_t status = srtp_protect(srtp->out, packet, &n);
    *length = (gsize)n;
    return status == srtp_err_status_ok;
}

bool peer_srtp_protect_rtcp(struct peer_srtp *srtp, guint8 *packet, gsize *length)
{
    int n = (int)*length;
    srtp_err_status_t status = srtp_protect_rtcp(srtp->out, packet, &n);
    *length = (gsize)n;
    return status == srtp_err_status_ok;
}

enum peer_srtp_result peer_srtp_unprotect(struct peer_srtp *srtp, guint8 *packet, gsize *length)
{
    if (srtp->fast_in) {
        *length = srtp_evp_unprotect(srtp->fast_in, packet, *length);
        return *length ? PEER_SRTP_OK : PEER_SRTP_FAILED;
    }
    int n = (int)*length;
    srtp_err_status_t status = srtp_unprotect(srtp->in, packet, &n);
    *length = (gsize)n;
    return result_of(status);
}

enum peer_srtp_result peer_srtp_unprotect_rtcp(struct peer_srtp *srtp, guint8 *packet,
                                               gsize *length)
{
    int n = (int)*length;
    srtp_err_status_t status = srtp_unprotect_rtcp(srtp->in, packet, &n);
    *length = (gsize)n;
    return result_of(status);
}
