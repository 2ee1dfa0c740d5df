/* SPDX-License-Identifier: Apache-2.0 */
/* Owns what SRTCP needs to remember: the index of what we send, and per SSRC of the peer which
 * indices have come. Both directions use the transforms of RTP with keys of their own. libsrtp did
 * this before: on NSS, whose list of keys it walks for each new session, that was a fifth of a
 * leg's set-up and a quarter of its memory; it is the oracle of the tests now. A peer may report
 * from as many SSRCs as it likes, so their number has a limit. */
#include "wmcf/relay/srtcp.h"

#include "wmcf/relay/srtp.h"

#include <string.h>

#define CIPHERED 0x80000000u /* RFC 3711 3.4: the E flag */
#define WINDOW 128

struct sender {
    uint32_t ssrc;
    uint32_t highest;
    uint64_t seen[WINDOW / 64]; /* bit i: highest - i */
};

struct srtcp {
    struct rtp_transform *in, *out;
    uint32_t next; /* index; one for all SSRCs of ours, since receivers read it from each packet */
    guint n_senders, senders_room, senders_max;
    struct sender *senders;
};

static uint32_t read_word(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

struct srtcp *srtcp_new(const struct relay_srtp_keys *keys, guint senders_max)
{
    struct srtcp *srtcp = g_new0(struct srtcp, 1);

    srtcp->senders_max = senders_max;
    srtcp->in = rtcp_transform_new(keys->profile, keys->remote_key, keys->key_length,
                                   keys->remote_salt, keys->salt_length);
    srtcp->out = rtcp_transform_new(keys->profile, keys->local_key, keys->key_length,
                                    keys->local_salt, keys->salt_length);
    if (!srtcp->in || !srtcp->out)
        g_clear_pointer(&srtcp, srtcp_free);
    return srtcp;
}

void srtcp_free(struct srtcp *srtcp)
{
    if (!srtcp)
        return;
    rtp_transform_free(srtcp->in);
    rtp_transform_free(srtcp->out);
    g_free(srtcp->senders);
    g_free(srtcp);
}

bool srtcp_protect(struct srtcp *srtcp, uint8_t *packet, size_t *length)
{
    /* RFC 3711 9.2: no more than 2^31 packets with one key. */
    if (*length < SRTCP_CLEAR || srtcp->next > SRTCP_INDEX_MAX)
        return false;
    rtp_transform_protect_rtcp(srtcp->out, packet, *length, read_word(packet + 4),
                               CIPHERED | srtcp->next++);
    *length += SRTCP_WORD + srtcp->out->class->tag_length;
    return true;
}

/* --- replay, RFC 3711 3.3.2 ------------------------------------------------------------------- */

static bool is_replayed(const struct sender *sender, uint32_t index)
{
    if (index > sender->highest)
        return false;
    uint32_t age = sender->highest - index;
    return age >= WINDOW || sender->seen[age / 64] >> (age % 64) & 1;
}

static void note(struct sender *sender, uint32_t index)
{
    if (index <= sender->highest) {
        uint32_t age = sender->highest - index;
        sender->seen[age / 64] |= UINT64_C(1) << age % 64;
        return;
    }
    uint32_t by = index - sender->highest;
    sender->highest = index;
    sender->seen[1] = by >= WINDOW ? 0
                      : by >= 64   ? sender->seen[0] << (by - 64)
                                   : sender->seen[1] << by | sender->seen[0] >> (64 - by);
    sender->seen[0] = (by < 64 ? sender->seen[0] << by : 0) | 1;
}

static struct sender *find_sender(struct srtcp *srtcp, uint32_t ssrc)
{
    for (guint i = 0; i < srtcp->n_senders; i++) {
        if (srtcp->senders[i].ssrc == ssrc)
            return &srtcp->senders[i];
    }
    return NULL;
}

static void add_sender(struct srtcp *srtcp, uint32_t ssrc, uint32_t index)
{
    if (srtcp->n_senders == srtcp->senders_room) {
        srtcp->senders_room = MIN(MAX(4, 2 * srtcp->senders_room), srtcp->senders_max);
        srtcp->senders = g_renew(struct sender, srtcp->senders, srtcp->senders_room);
    }
    srtcp->senders[srtcp->n_senders++] =
        (struct sender){.ssrc = ssrc, .highest = index, .seen = {1}};
}

bool srtcp_unprotect(struct srtcp *srtcp, uint8_t *packet, size_t *length, bool *ret_replayed)
{
    const struct rtp_transform_class *class = srtcp->in->class;
    size_t trailer = SRTCP_WORD + class->tag_length;

    *ret_replayed = false;
    if (*length < SRTCP_CLEAR + trailer)
        return false;
    size_t clear = *length - trailer;
    uint32_t ssrc = read_word(packet + 4), word = read_word(packet + clear + class->rtcp_index_at);
    uint32_t index = word & SRTCP_INDEX_MAX;
    struct sender *sender = find_sender(srtcp, ssrc);
    if (!(word & CIPHERED) || (!sender && srtcp->n_senders == srtcp->senders_max))
        return false;
    if (sender && is_replayed(sender, index)) {
        *ret_replayed = true;
        return false;
    }
    if (!rtp_transform_unprotect_rtcp(srtcp->in, packet, clear, ssrc, word))
        return false;
    if (sender)
        note(sender, index);
    else
        add_sender(srtcp, ssrc, index);
    *length = clear;
    return true;
}
