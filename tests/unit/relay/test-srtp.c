/* SPDX-License-Identifier: Apache-2.0 */
/* Our RTP transform against libsrtp, both ways, with the index arithmetic of RFC 3711. */
#include "wmcf/relay/replay.h"
#include "wmcf/relay/srtcp.h"
#include "wmcf/relay/srtp.h"

#include <glib.h>
#include <srtp2/srtp.h>
#include <string.h>

#define SSRC 0xdeadbeefu

static const struct profile {
    const char *name;
    enum relay_srtp_profile profile;
    size_t key_length, salt_length, tag_length;
} profiles[] = {
    {"aes-cm", RELAY_SRTP_AES128_CM_HMAC_SHA1_80, 16, 14, 10},
    {"gcm-128", RELAY_SRTP_AEAD_AES_128_GCM, 16, 12, 16},
    {"gcm-256", RELAY_SRTP_AEAD_AES_256_GCM, 32, 12, 16},
};

static uint8_t key[32], salt[14];

static struct rtp_transform *transform_new(const struct profile *profile)
{
    struct rtp_transform *transform =
        rtp_transform_new(profile->profile, key, profile->key_length, salt, profile->salt_length);
    g_assert_nonnull(transform);
    g_assert_cmpuint(transform->class->tag_length, ==, profile->tag_length);
    return transform;
}

static void init_keys(void)
{
    for (unsigned i = 0; i < sizeof key; i++)
        key[i] = (uint8_t)(i * 17 + 3);
    for (unsigned i = 0; i < sizeof salt; i++)
        salt[i] = (uint8_t)(200 - i * 7);
}

static srtp_t oracle(const struct profile *profile, srtp_ssrc_type_t direction)
{
    uint8_t joined[44];
    srtp_policy_t policy;
    srtp_t ret;
    memset(&policy, 0, sizeof policy);
    memcpy(joined, key, profile->key_length);
    memcpy(joined + profile->key_length, salt, profile->salt_length);
    srtp_crypto_policy_set_from_profile_for_rtp(&policy.rtp, (srtp_profile_t)profile->profile);
    srtp_crypto_policy_set_from_profile_for_rtcp(&policy.rtcp, (srtp_profile_t)profile->profile);
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
static void test_protect(gconstpointer profile)
{
    struct rtp_transform *transform = transform_new(profile);
    srtp_t in = oracle(profile, ssrc_any_inbound);
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
static void test_unprotect(gconstpointer profile)
{
    struct rtp_transform *transform = transform_new(profile);
    srtp_t out = oracle(profile, ssrc_any_outbound);
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
        g_assert_true(
            rtp_transform_unprotect(transform, packet, head, 0, length, SSRC, index, clear));
        g_assert_cmpmem(clear, length, payload, length);
        replay_commit(&replay, index);
        g_assert_false(replay_check(&replay, index));
    }
    srtp_dealloc(out);
    rtp_transform_free(transform);
}

/* Any changed bit of header, payload, tag or roll-over counter is noticed. */
static void test_tampering(gconstpointer profile)
{
    struct rtp_transform *transform = transform_new(profile);
    uint8_t packet[200], payload[50], clear[50];
    fill(payload, sizeof payload, 1);
    size_t head = header(packet, 5);
    rtp_transform_protect(transform, packet, head, payload, sizeof payload, SSRC, 5);
    size_t all = head + sizeof payload + transform->class->tag_length;
    for (size_t bit = 0; bit < all * 8; bit++) {
        packet[bit / 8] ^= (uint8_t)(1u << bit % 8);
        g_assert_false(
            rtp_transform_unprotect(transform, packet, head, 0, sizeof payload, SSRC, 5, clear));
        packet[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    g_assert_false(rtp_transform_unprotect(transform, packet, head, 0, sizeof payload, SSRC,
                                           5 + 65536, clear));
    g_assert_true(
        rtp_transform_unprotect(transform, packet, head, 0, sizeof payload, SSRC, 5, clear));
    g_assert_cmpmem(clear, sizeof payload, payload, sizeof payload);
    rtp_transform_free(transform);
}

/* The roll-over counter is found by trying, and only the right one. */
static void test_find(gconstpointer profile)
{
    struct rtp_transform *transform = transform_new(profile);
    uint8_t packet[2000], payload[1700], clear[1700];
    uint64_t index, found;
    fill(payload, sizeof payload, 1);
    size_t head = header(packet, 5);
    for (unsigned wraps = 0; wraps < 40; wraps += 13) {
        /* 1560: the pieces of a search that does not keep what it deciphers end within a block */
        size_t length = wraps * 40;
        index = 5 + ((uint64_t)wraps << 16);
        rtp_transform_protect(transform, packet, head, payload, length, SSRC, index);
        g_assert_true(
            rtp_transform_find(transform, packet, head, 0, length, SSRC, 5, wraps + 1, &found));
        g_assert_cmpuint(found, ==, index);
        g_assert_false(
            rtp_transform_find(transform, packet, head, 0, length, SSRC, 5, wraps, &found));
        g_assert_false(rtp_transform_find(transform, packet, head, 0, length, SSRC, index + 0x10000,
                                          1000, &found));
        packet[head] ^= 1;
        g_assert_false(
            rtp_transform_find(transform, packet, head, 0, length, SSRC, 5, 1000, &found));
        packet[head] ^= 1;
        /* The search leaves nothing behind that disturbs what follows. */
        g_assert_true(
            rtp_transform_unprotect(transform, packet, head, 0, length, SSRC, index, clear));
        g_assert_cmpmem(clear, length, payload, length);
    }
    rtp_transform_free(transform);
}

/* One transform both ways, with SSRCs in turn, as a leg with several streams uses it: what one
 * packet leaves in the context is nothing to the next, forged ones in between included. */
static void test_turns(gconstpointer profile)
{
    struct rtp_transform *transform = transform_new(profile);
    for (uint64_t index = 0; index < 300; index++) {
        uint8_t packet[300], payload[200], clear[200];
        uint32_t ssrc = SSRC + index % 3;
        size_t length = index % sizeof payload;
        fill(payload, length, index);
        size_t head = header(packet, (uint16_t)index);
        rtp_transform_protect(transform, packet, head, payload, length, ssrc, index);
        g_assert_true(
            rtp_transform_unprotect(transform, packet, head, 0, length, ssrc, index, clear));
        g_assert_cmpmem(clear, length, payload, length);
        g_assert_false(rtp_transform_unprotect(transform, packet, head, 0, length, ssrc,
                                               index + 0x10000, clear));
    }
    rtp_transform_free(transform);
}

/* RFC 7714 16.1.1 and 16.2.1: the session keys are given. */
static void test_gcm_vectors(void)
{
    static const uint8_t head[] = {0x80, 0x40, 0xf1, 0x7b, 0x80, 0x41,
                                   0xf8, 0xd3, 0x55, 0x01, 0xa0, 0xb2};
    static const char text[] = "Gallia est omnis divisa in partes tres";
    static const char *const expected[] = {
        "f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833"
        "899d7f27beb16a9152cf765ee4390cce",
        "32b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b"
        "7aa3db36dfffd6b0f9bb7878d7a76c13",
    };
    for (unsigned i = 0; i < 2; i++) {
        uint8_t session_key[32], packet[100], clear[100];
        g_autoptr(GString) hex = g_string_new(NULL);
        size_t length = sizeof text - 1;
        for (uint8_t k = 0; k < sizeof session_key; k++)
            session_key[k] = k;
        struct rtp_transform *transform =
            rtp_transform_aes_gcm_with(session_key, i ? 32 : 16, (const uint8_t *)"Quid pro quo");
        memcpy(packet, head, sizeof head);
        rtp_transform_protect(transform, packet, sizeof head, (const uint8_t *)text, length,
                              0x5501a0b2, 0xf17b);
        for (size_t k = sizeof head; k < sizeof head + length + 16; k++)
            g_string_append_printf(hex, "%02x", packet[k]);
        g_assert_cmpstr(hex->str, ==, expected[i]);
        g_assert_true(rtp_transform_unprotect(transform, packet, sizeof head, 0, length, 0x5501a0b2,
                                              0xf17b, clear));
        g_assert_cmpmem(clear, length, text, length);
        rtp_transform_free(transform);
    }
}

static void test_refused(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(profiles); i++) {
        const struct profile *p = &profiles[i];
        g_assert_null(rtp_transform_new(p->profile, key, p->key_length - 1, salt, p->salt_length));
        g_assert_null(rtp_transform_new(p->profile, key, 48 - p->key_length, salt, p->salt_length));
        g_assert_null(rtp_transform_new(p->profile, key, p->key_length, salt, 26 - p->salt_length));
    }
    g_assert_null(rtp_transform_new((enum relay_srtp_profile)2, key, 16, salt, 14));
    rtp_transform_free(NULL);
}

static void keys_both_ways(const struct profile *profile, struct relay_srtp_keys *keys)
{
    memset(keys, 0, sizeof *keys);
    keys->profile = profile->profile;
    keys->key_length = (guint)profile->key_length;
    keys->salt_length = (guint)profile->salt_length;
    memcpy(keys->local_key, key, 32);
    memcpy(keys->remote_key, key, 32);
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

static void test_srtcp(gconstpointer profile)
{
    size_t tag = ((const struct profile *)profile)->tag_length;
    struct relay_srtp_keys keys;
    uint8_t packet[100];
    bool replayed;
    keys_both_ways(profile, &keys);
    struct srtcp *srtcp = srtcp_new(&keys, 3);
    size_t length = receiver_report(packet, 1), protected;
    g_assert_true(srtcp_protect(srtcp, packet, &length));
    g_assert_cmpuint(length, ==, 8 + 4 + tag);
    g_assert_cmpuint(length, <=, 8 + SRTCP_TRAILER_MAX);
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

/* Sender and length as compound packets have them, from the shortest. */
static size_t report(uint8_t *out, uint32_t ssrc, size_t words)
{
    size_t length = receiver_report(out, ssrc);
    fill(out + length, words * 4, ssrc);
    return length + words * 4;
}

static void test_srtcp_for_libsrtp(gconstpointer profile)
{
    struct relay_srtp_keys keys;
    keys_both_ways(profile, &keys);
    struct srtcp *srtcp = srtcp_new(&keys, 3);
    srtp_t in = oracle(profile, ssrc_any_inbound);
    for (unsigned i = 0; i < 300; i++) {
        uint8_t clear[1400], packet[1400];
        size_t length = report(clear, SSRC + i % 2, i), protected = length;
        memcpy(packet, clear, length);
        g_assert_true(srtcp_protect(srtcp, packet, &protected));
        int octets = (int)protected;
        g_assert_cmpint(srtp_unprotect_rtcp(in, packet, &octets), ==, srtp_err_status_ok);
        g_assert_cmpmem(packet, (size_t)octets, clear, length);
    }
    srtp_dealloc(in);
    srtcp_free(srtcp);
}

/* Each packet is taken once, in whatever order they come, unless it is 128 late; and not if a bit
 * of it is another, wherever. */
static void test_srtcp_from_libsrtp(gconstpointer profile)
{
    enum { PACKETS = 400, LONGEST = 1400 };
    static const unsigned order[] = {3, 0, 1, 2, 4, 70, 5, 69, 200, 73, 72, 71, 328, 201, 200, 399};
    static const bool fresh[] = {true, true, true,  true,  true, true, true,  true,
                                 true, true, false, false, true, true, false, true};
    static uint8_t packets[PACKETS][LONGEST];
    int lengths[PACKETS];
    struct relay_srtp_keys keys;
    keys_both_ways(profile, &keys);
    struct srtcp *srtcp = srtcp_new(&keys, 1);
    srtp_t out = oracle(profile, ssrc_any_outbound);
    for (unsigned i = 0; i < PACKETS; i++) {
        lengths[i] = (int)report(packets[i], SSRC, i % 300);
        g_assert_cmpint(srtp_protect_rtcp(out, packets[i], &lengths[i]), ==, srtp_err_status_ok);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(order); i++) {
        uint8_t packet[LONGEST], clear[LONGEST];
        size_t length = (size_t)lengths[order[i]];
        bool replayed;
        for (size_t at = 4; at < length; at += 1 + length / 13) {
            size_t changed = length;
            memcpy(packet, packets[order[i]], length);
            packet[at] ^= 0x10;
            g_assert_false(srtcp_unprotect(srtcp, packet, &changed, &replayed));
        }
        memcpy(packet, packets[order[i]], length);
        g_assert_true(srtcp_unprotect(srtcp, packet, &length, &replayed) == fresh[i]);
        g_assert_true(replayed == !fresh[i]);
        if (fresh[i]) {
            g_assert_cmpuint(length, ==, report(clear, SSRC, order[i] % 300));
            g_assert_cmpmem(packet, length, clear, length);
        }
    }
    srtp_dealloc(out);
    srtcp_free(srtcp);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    init_keys();
    g_assert_cmpint(srtp_init(), ==, srtp_err_status_ok);
    g_test_add_func("/srtp/derivation", test_derivation);
    g_test_add_func("/srtp/gcm-vectors", test_gcm_vectors);
    g_test_add_func("/srtp/refused", test_refused);
    for (unsigned i = 0; i < G_N_ELEMENTS(profiles); i++) {
        static const struct {
            const char *name;
            GTestDataFunc test;
        } tests[] = {
            {"protect-for-libsrtp", test_protect},
            {"unprotect-from-libsrtp", test_unprotect},
            {"tampering", test_tampering},
            {"find", test_find},
            {"turns", test_turns},
            {"srtcp-for-libsrtp", test_srtcp_for_libsrtp},
            {"srtcp-from-libsrtp", test_srtcp_from_libsrtp},
            {"srtcp", test_srtcp},
        };
        for (unsigned t = 0; t < G_N_ELEMENTS(tests); t++) {
            g_autofree char *path = g_strdup_printf("/srtp/%s/%s", profiles[i].name, tests[t].name);
            g_test_add_data_func(path, &profiles[i], tests[t].test);
        }
    }
    return g_test_run();
}
