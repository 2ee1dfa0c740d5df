/* SPDX-License-Identifier: Apache-2.0 */
/* Our RTP transform against libsrtp, both ways, with the index arithmetic of RFC 3711. */
#include "wmcf/relay/replay.h"
#include "wmcf/relay/srtcp.h"
#include "wmcf/relay/srtp.h"

#include <glib.h>
#include <srtp2/srtp.h>
#include <string.h>

#define SSRC 0xdeadbeefu

static uint8_t key[16], salt[14];

static void init_keys(void)
{
    for (unsigned i = 0; i < sizeof key; i++)
        key[i] = (uint8_t)(i * 17 + 3);
    for (unsigned i = 0; i < sizeof salt; i++)
        salt[i] = (uint8_t)(200 - i * 7);
}

static srtp_t oracle(srtp_ssrc_type_t direction)
{
    uint8_t joined[30];
    srtp_policy_t policy;
    srtp_t ret;
    memset(&policy, 0, sizeof policy);
    memcpy(joined, key, 16);
    memcpy(joined + 16, salt, 14);
    srtp_crypto_policy_set_rtp_default(&policy.rtp);
    srtp_crypto_policy_set_rtcp_default(&policy.rtcp);
    policy.ssrc.type = direction;
    policy.key = joined;
    policy.window_size = 1024;
    g_assert_cmpint(srtp_create(&ret, &policy), ==, srtp_err_status_ok);
    return ret;
}

static size_t header(uint8_t *out, uint16_t sequence)
{
    memset(out, 0, 12);
    out[0] = 0x80;
    out[1] = 96;
    out[2] = (uint8_t)(sequence >> 8);
    out[3] = (uint8_t)sequence;
    memcpy(out + 8, (const uint8_t[]){0xde, 0xad, 0xbe, 0xef}, 4);
    return 12;
}

static void fill(uint8_t *payload, size_t length, uint64_t seed)
{
    for (size_t i = 0; i < length; i++)
        payload[i] = (uint8_t)(seed * 31 + i * 7);
}

static void test_derivation(void)
{
    /* RFC 3711 B.3 */
    static const uint8_t master[16] = {0xe1, 0xf9, 0x7a, 0x0d, 0x3e, 0x01, 0x8b, 0xe0,
                                       0xd6, 0x4f, 0xa3, 0x2c, 0x06, 0xde, 0x41, 0x39};
    static const uint8_t master_salt[14] = {0x0e, 0xc6, 0x75, 0xad, 0x49, 0x8a, 0xfe,
                                            0xeb, 0xb6, 0x96, 0x0b, 0x3a, 0xab, 0xe6};
    static const uint8_t cipher[16] = {0xc6, 0x1e, 0x7a, 0x93, 0x74, 0x4f, 0x39, 0xee,
                                       0x10, 0x73, 0x4a, 0xfe, 0x3f, 0xf7, 0xa0, 0x87};
    static const uint8_t session_salt[14] = {0x30, 0xcb, 0xbc, 0x08, 0x86, 0x3d, 0x8c,
                                             0x85, 0xd4, 0x9d, 0xb3, 0x4a, 0x9a, 0xe1};
    static const uint8_t auth[20] = {0xce, 0xbe, 0x32, 0x1f, 0x6f, 0xf7, 0x71, 0x6b, 0x6f, 0xd4,
                                     0xab, 0x49, 0xaf, 0x25, 0x6a, 0x15, 0x6d, 0x38, 0xba, 0xa4};
    uint8_t out[20];
    g_assert_true(srtp_derive_key(master, 16, master_salt, SRTP_LABEL_CIPHER, out, 16));
    g_assert_cmpmem(out, 16, cipher, 16);
    g_assert_true(srtp_derive_key(master, 16, master_salt, SRTP_LABEL_SALT, out, 14));
    g_assert_cmpmem(out, 14, session_salt, 14);
    g_assert_true(srtp_derive_key(master, 16, master_salt, SRTP_LABEL_AUTH, out, 20));
    g_assert_cmpmem(out, 20, auth, 20);
}

/* What we protect libsrtp must take, over two roll-overs. */
static void test_protect(void)
{
    struct rtp_transform *transform =
        rtp_transform_new(RELAY_SRTP_AES128_CM_HMAC_SHA1_80, key, 16, salt, 14);
    srtp_t in = oracle(ssrc_any_inbound);
    g_assert_nonnull(transform);
    for (uint64_t index = 65000; index < 65000 + 2 * 65536; index += 97) {
        uint8_t packet[2000], payload[1700];
        size_t length = index % sizeof payload;
        fill(payload, length, index);
        size_t head = header(packet, (uint16_t)index);
        rtp_transform_protect(transform, packet, head, payload, length, SSRC, index);
        int octets = (int)(head + length + transform->class->tag_length);
        g_assert_cmpint(srtp_unprotect(in, packet, &octets), ==, srtp_err_status_ok);
        g_assert_cmpmem(packet + head, (size_t)octets - head, payload, length);
    }
    srtp_dealloc(in);
    rtp_transform_free(transform);
}

/* What libsrtp protects we must take: with our own guess of the index and our replay list. */
static void test_unprotect(void)
{
    struct rtp_transform *transform =
        rtp_transform_new(RELAY_SRTP_AES128_CM_HMAC_SHA1_80, key, 16, salt, 14);
    srtp_t out = oracle(ssrc_any_outbound);
    struct replay replay = {0};
    for (uint64_t expected = 65400; expected < 65400 + 65536 + 400; expected++) {
        uint8_t packet[1500], payload[300], clear[300];
        size_t length = expected % sizeof payload;
        uint64_t index;
        fill(payload, length, expected);
        size_t head = header(packet, (uint16_t)expected);
        memcpy(packet + head, payload, length);
        int octets = (int)(head + length);
        g_assert_cmpint(srtp_protect(out, packet, &octets), ==, srtp_err_status_ok);
        g_assert_true(replay_guess(&replay, (uint16_t)expected, &index));
        g_assert_cmpuint(index, ==, expected);
        g_assert_true(replay_check(&replay, index));
        g_assert_true(rtp_transform_unprotect(transform, packet, head, length, SSRC, index, clear));
        g_assert_cmpmem(clear, length, payload, length);
        replay_commit(&replay, index);
        g_assert_false(replay_check(&replay, index));
    }
    srtp_dealloc(out);
    rtp_transform_free(transform);
}

/* Any changed bit of header, payload, tag or roll-over counter is noticed. */
static void test_tampering(void)
{
    struct rtp_transform *transform =
        rtp_transform_new(RELAY_SRTP_AES128_CM_HMAC_SHA1_80, key, 16, salt, 14);
    uint8_t packet[200], payload[50], clear[50];
    fill(payload, sizeof payload, 1);
    size_t head = header(packet, 5);
    rtp_transform_protect(transform, packet, head, payload, sizeof payload, SSRC, 5);
    size_t all = head + sizeof payload + transform->class->tag_length;
    for (size_t bit = 0; bit < all * 8; bit++) {
        packet[bit / 8] ^= (uint8_t)(1u << bit % 8);
        g_assert_false(
            rtp_transform_unprotect(transform, packet, head, sizeof payload, SSRC, 5, clear));
        packet[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    g_assert_false(
        rtp_transform_unprotect(transform, packet, head, sizeof payload, SSRC, 5 + 65536, clear));
    g_assert_true(rtp_transform_unprotect(transform, packet, head, sizeof payload, SSRC, 5, clear));
    g_assert_cmpmem(clear, sizeof clear, payload, sizeof payload);
    rtp_transform_free(transform);
}

/* The roll-over counter is found by trying, and only the right one. */
static void test_find(void)
{
    struct rtp_transform *transform =
        rtp_transform_new(RELAY_SRTP_AES128_CM_HMAC_SHA1_80, key, 16, salt, 14);
    uint8_t packet[200], payload[50];
    uint64_t index, found;
    fill(payload, sizeof payload, 1);
    size_t head = header(packet, 5);
    for (unsigned wraps = 0; wraps < 40; wraps += 13) {
        index = 5 + ((uint64_t)wraps << 16);
        rtp_transform_protect(transform, packet, head, payload, sizeof payload, SSRC, index);
        g_assert_true(
            rtp_transform_find(transform, packet, head, sizeof payload, 5, wraps + 1, &found));
        g_assert_cmpuint(found, ==, index);
        g_assert_false(
            rtp_transform_find(transform, packet, head, sizeof payload, 5, wraps, &found));
        g_assert_false(rtp_transform_find(transform, packet, head, sizeof payload, index + 0x10000,
                                          1000, &found));
        packet[head] ^= 1;
        g_assert_false(
            rtp_transform_find(transform, packet, head, sizeof payload, 5, 1000, &found));
    }
    rtp_transform_free(transform);
}

static void test_refused(void)
{
    g_assert_null(rtp_transform_new(RELAY_SRTP_AES128_CM_HMAC_SHA1_80, key, 15, salt, 14));
    g_assert_null(rtp_transform_new(RELAY_SRTP_AES128_CM_HMAC_SHA1_80, key, 16, salt, 12));
    g_assert_null(rtp_transform_new((enum relay_srtp_profile)7, key, 16, salt, 12));
    rtp_transform_free(NULL);
}

static void keys_both_ways(struct relay_srtp_keys *keys)
{
    memset(keys, 0, sizeof *keys);
    keys->profile = RELAY_SRTP_AES128_CM_HMAC_SHA1_80;
    keys->key_length = 16;
    keys->salt_length = 14;
    memcpy(keys->local_key, key, 16);
    memcpy(keys->remote_key, key, 16);
    memcpy(keys->local_salt, salt, 14);
    memcpy(keys->remote_salt, salt, 14);
}

static size_t receiver_report(uint8_t *out, uint32_t ssrc)
{
    memcpy(out, (const uint8_t[]){0x80, 201, 0, 1}, 4);
    for (int i = 0; i < 4; i++)
        out[4 + i] = (uint8_t)(ssrc >> (24 - 8 * i));
    return 8;
}

static void test_srtcp(void)
{
    struct relay_srtp_keys keys;
    uint8_t packet[100];
    bool replayed;
    keys_both_ways(&keys);
    struct srtcp *srtcp = srtcp_new(&keys, 3);
    size_t length = receiver_report(packet, 1), protected;
    g_assert_true(srtcp_protect(srtcp, packet, &length));
    g_assert_cmpuint(length, ==, 8 + 4 + 10);
    protected = length;
    uint8_t again[100];
    memcpy(again, packet, sizeof again);
    g_assert_true(srtcp_unprotect(srtcp, packet, &length, &replayed));
    g_assert_cmpuint(length, ==, 8);
    g_assert_false(srtcp_unprotect(srtcp, again, &protected, &replayed));
    g_assert_true(replayed);
    /* Senders are limited; the limit is told apart from nothing but never grows. */
    for (uint32_t ssrc = 2; ssrc < 6; ssrc++) {
        length = receiver_report(packet, ssrc);
        g_assert_true(srtcp_protect(srtcp, packet, &length));
        g_assert_true(srtcp_unprotect(srtcp, packet, &length, &replayed) == (ssrc < 4));
    }
    length = 7;
    g_assert_false(srtcp_unprotect(srtcp, packet, &length, &replayed));
    srtcp_free(srtcp);
    srtcp_free(NULL);
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_test_init(&argc, &argv, NULL);
    init_keys();
    g_assert_true(srtcp_init(&error));
    g_assert_true(srtcp_init(&error));
    g_test_add_func("/srtp/derivation", test_derivation);
    g_test_add_func("/srtp/protect-for-libsrtp", test_protect);
    g_test_add_func("/srtp/unprotect-from-libsrtp", test_unprotect);
    g_test_add_func("/srtp/tampering", test_tampering);
    g_test_add_func("/srtp/find", test_find);
    g_test_add_func("/srtp/refused", test_refused);
    g_test_add_func("/srtp/srtcp", test_srtcp);
    return g_test_run();
}
