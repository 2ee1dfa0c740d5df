/* SPDX-License-Identifier: Apache-2.0 */
/* SRTP and SRTCP for a generated leg: all by libsrtp, which is nobody's code here and therefore a
 * fair judge, or all on EVP when the peer is asked to be fast. Sessions are made when the first
 * packet wants one, since a leg that is only set up needs none; with libsrtp on NSS each searches a
 * list of all that there are, which is a good part of what such a leg costs. */
#include "tests/support/peer/srtp.h"
#include "tests/support/peer/srtcp-evp.h"
#include "tests/support/peer/srtp-evp.h"

#include <srtp2/srtp.h>
#include <string.h>

/* One direction; what is NULL was not needed yet. */
struct direction {
    const guint8 *master;
    srtp_ssrc_type_t type;
    srtp_t session;
    struct srtp_evp *rtp;
    struct srtcp_evp *rtcp;
};

struct peer_srtp {
    struct peer_srtp_keys keys;
    enum peer_srtp_engine engine;
    struct direction in, out;
};

static void init_once(void)
{
    static gsize once;
    if (g_once_init_enter(&once)) {
        srtp_init();
        g_once_init_leave(&once, 1);
    }
}

static srtp_t session_of(struct peer_srtp *srtp, struct direction *direction)
{
    srtp_policy_t policy;
    if (direction->session)
        return direction->session;
    init_once();
    memset(&policy, 0, sizeof policy);
    srtp_crypto_policy_set_from_profile_for_rtp(&policy.rtp, (srtp_profile_t)srtp->keys.profile);
    srtp_crypto_policy_set_from_profile_for_rtcp(&policy.rtcp, (srtp_profile_t)srtp->keys.profile);
    policy.ssrc.type = direction->type;
    policy.key = (guint8 *)direction->master;
    policy.window_size = 1024;
    policy.allow_repeat_tx = 1;
    srtp_create(&direction->session, &policy);
    return direction->session;
}

static struct srtp_evp *rtp_of(struct peer_srtp *srtp, struct direction *direction)
{
    if (!direction->rtp)
        direction->rtp = srtp_evp_new(srtp->keys.profile, direction->master);
    return direction->rtp;
}

static struct srtcp_evp *rtcp_of(struct peer_srtp *srtp, struct direction *direction)
{
    if (!direction->rtcp)
        direction->rtcp = srtcp_evp_new(srtp->keys.profile, direction->master);
    return direction->rtcp;
}

void peer_srtp_set_cryptex(struct peer_srtp *srtp, bool on)
{
    srtp_evp_set_cryptex(rtp_of(srtp, &srtp->in), on);
    srtp_evp_set_cryptex(rtp_of(srtp, &srtp->out), on);
}

bool peer_srtp_was_cryptex(const struct peer_srtp *srtp)
{
    return srtp->in.rtp && srtp_evp_was_cryptex(srtp->in.rtp);
}

struct peer_srtp *peer_srtp_new(const struct peer_srtp_keys *keys, enum peer_srtp_engine engine)
{
    struct peer_srtp *srtp = g_new0(struct peer_srtp, 1);
    srtp->keys = *keys;
    srtp->engine = engine;
    srtp->in = (struct direction){.master = srtp->keys.remote, .type = ssrc_any_inbound};
    srtp->out = (struct direction){.master = srtp->keys.local, .type = ssrc_any_outbound};
    return srtp;
}

static void finish(struct direction *direction)
{
    if (direction->session)
        srtp_dealloc(direction->session);
    srtp_evp_free(direction->rtp);
    srtcp_evp_free(direction->rtcp);
}

void peer_srtp_free(struct peer_srtp *srtp)
{
    if (!srtp)
        return;
    finish(&srtp->in);
    finish(&srtp->out);
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
    if (srtp->engine == PEER_SRTP_EVP)
        return (*length = srtp_evp_protect(rtp_of(srtp, &srtp->out), packet, *length)) > 0;
    int n = (int)*length;
    srtp_err_status_t status = srtp_protect(session_of(srtp, &srtp->out), packet, &n);
    *length = (gsize)n;
    return status == srtp_err_status_ok;
}

bool peer_srtp_protect_rtcp(struct peer_srtp *srtp, guint8 *packet, gsize *length)
{
    if (srtp->engine == PEER_SRTP_EVP)
        return (*length = srtcp_evp_protect(rtcp_of(srtp, &srtp->out), packet, *length)) > 0;
    int n = (int)*length;
    srtp_err_status_t status = srtp_protect_rtcp(session_of(srtp, &srtp->out), packet, &n);
    *length = (gsize)n;
    return status == srtp_err_status_ok;
}

enum peer_srtp_result peer_srtp_unprotect(struct peer_srtp *srtp, guint8 *packet, gsize *length)
{
    if (srtp->engine == PEER_SRTP_EVP) {
        *length = srtp_evp_unprotect(rtp_of(srtp, &srtp->in), packet, *length);
        return *length ? PEER_SRTP_OK : PEER_SRTP_FAILED;
    }
    int n = (int)*length;
    srtp_err_status_t status = srtp_unprotect(session_of(srtp, &srtp->in), packet, &n);
    *length = (gsize)n;
    return result_of(status);
}

enum peer_srtp_result peer_srtp_unprotect_rtcp(struct peer_srtp *srtp, guint8 *packet,
                                               gsize *length)
{
    if (srtp->engine == PEER_SRTP_EVP) {
        *length = srtcp_evp_unprotect(rtcp_of(srtp, &srtp->in), packet, *length);
        return *length ? PEER_SRTP_OK : PEER_SRTP_FAILED;
    }
    int n = (int)*length;
    srtp_err_status_t status = srtp_unprotect_rtcp(session_of(srtp, &srtp->in), packet, &n);
    *length = (gsize)n;
    return result_of(status);
}
