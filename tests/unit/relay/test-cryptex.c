/* SPDX-License-Identifier: Apache-2.0 */
/* Cryptex by the vectors of RFC 9335 Appendix A, and by what may go wrong with it. The generated
 * legs' own implementation, which judges the relay's elsewhere, is held against them as well. */
#include "tests/support/peer/srtp-evp.h"
#include "wmcf/relay/cryptex.h"
#include "wmcf/relay/srtp.h"

#include <glib.h>
#include <string.h>

#define PACKET_MAX 128

/* Header fields as in all of them: V=2, X, PT 15, marker 0; the payload is 16 octets of 0xab. */
struct vector {
    const char *clear, *cm, *gcm; /* from the CSRCs on; `clear` ends before the payload */
    uint8_t csrcs;
    uint16_t sequence;
};

/* A.1 and A.2, in their order. */
static const struct vector vectors[] = {
    {"bede000151000200", "c0de0001eb92365251c3e036f8de27e9c27ee3e0b4651d9fbc4218a70244522f34a5",
     "c0de000139972dc9572c4d99e8fc355de743fb2e94f9d8ff54e72f4193bbc5c74ffab0fa9fa0fbeb", 0, 0x1235},
    {"1000000105020002", "c2de00014ed9cc4e6a712b3096c5ca77339d4204ce0d77396cab69585fbce38194a5",
     "c2de0001bb75a4c545cd1f413bdb7daa2b1e3263de313667c963249081b35a65f5cb6c88b394235f", 0, 0x1236},
    {"0001e2400000b26ebede000151000200",
     "8bb6e12b5cff16ddc0de000192838c8c09e58393e1de3a9a74734d6745671338c3acf11da2df8423bee0",
     "63bbccc4a7f695c4c0de00018ad7c71fac70a80c92866b4c6ba98546ef913586e95ffaaffe956885bb0647a8bc094"
     "a"
     "c8",
     2, 0x1238},
    {"0001e2400000b26e1000000105020002",
     "f70e513eb90b9b25c2de0001bbed4848faa644665f3d7f34125914e9f4d0ae923c6f479b95a0f7b53133",
     "3680524f8d312b00c2de0001c78d120038422bc111a7187a18246f980c059cc6bc9df8b626394eca344e4b05d80fe"
     "a"
     "83",
     2, 0x1239},
    {"0001e2400000b26ebede0000",
     "7130b6abfe2ab0e3c0de0000e3d9f64b25c9e74cb4cf8e43fb92e3781c2c0ceab6b3a499a14c",
     "15b6bb4337906fffc0de0000b7b964537a2b03ab7ba5389ce93317126b5d974df30c6884dcb651c5e120c1da", 2,
     0x123a},
    {"0001e2400000b26e10000000",
     "cbf24c124330e1c8c2de0000599dd45bc9d687b603e8b59d771fd38e88b170e0cd31e125eabe",
     "dcb38c9e48bf95f4c2de000061ee432cf920317076613258d3ce4236c06ac429681ad08413512dc98b5207d8", 2,
     0x123b},
};

static const uint8_t *master_of(bool gcm)
{
    static const uint8_t cm[30] = {0xe1, 0xf9, 0x7a, 0x0d, 0x3e, 0x01, 0x8b, 0xe0, 0xd6, 0x4f,
                                   0xa3, 0x2c, 0x06, 0xde, 0x41, 0x39, 0x0e, 0xc6, 0x75, 0xad,
                                   0x49, 0x8a, 0xfe, 0xeb, 0xb6, 0x96, 0x0b, 0x3a, 0xab, 0xe6};
    static uint8_t of_gcm[28];
    for (uint8_t i = 0; i < 16; i++)
        of_gcm[i] = i;
    for (uint8_t i = 0; i < 12; i++)
        of_gcm[16 + i] = 0xa0 + i;
    return gcm ? of_gcm : cm;
}

static struct rtp_transform *transform_of(bool gcm)
{
    const uint8_t *master = master_of(gcm);
    return gcm ? rtp_transform_new(RELAY_SRTP_AEAD_AES_128_GCM, master, 16, master + 16, 12)
               : rtp_transform_new(RELAY_SRTP_AES128_CM_HMAC_SHA1_80, master, 16, master + 16, 14);
}

static size_t put_hex(uint8_t *out, const char *hex)
{
    size_t n = strlen(hex) / 2;
    for (size_t i = 0; i < n; i++)
        out[i] =
            (uint8_t)(g_ascii_xdigit_value(hex[2 * i]) << 4 | g_ascii_xdigit_value(hex[2 * i + 1]));
    return n;
}

static size_t begin(uint8_t *out, const struct vector *vector)
{
    static const uint8_t rest[] = {0xde, 0xca, 0xfb, 0xad, 0xca, 0xfe, 0xba, 0xbe};
    out[0] = (uint8_t)(0x90 | vector->csrcs);
    out[1] = 0x0f;
    out[2] = (uint8_t)(vector->sequence >> 8);
    out[3] = (uint8_t)vector->sequence;
    memcpy(out + 4, rest, sizeof rest);
    return RTP_HEADER_LENGTH;
}

static size_t clear_packet(uint8_t *out, const struct vector *vector)
{
    size_t n = begin(out, vector);
    n += put_hex(out + n, vector->clear);
    memset(out + n, 0xab, 16);
    return n + 16;
}

static size_t ciphered_packet(uint8_t *out, const struct vector *vector, bool gcm)
{
    size_t n = begin(out, vector);
    return n + put_hex(out + n, gcm ? vector->gcm : vector->cm);
}

/* As the relay's receiver does it; the region in the clear goes to `clear`. */
static bool open_packet(struct rtp_transform *transform, uint8_t *packet, size_t length,
                        struct rtp_header *header, uint8_t *clear)
{
    size_t tag = transform->class->tag_length;
    g_assert_true(rtp_header_parse(packet, length, header));
    g_assert_true(cryptex_is_profile(header->profile));
    size_t csrcs = cryptex_csrcs(header);
    cryptex_gather(packet, csrcs);
    if (!rtp_transform_unprotect(transform, packet, CRYPTEX_CLEAR, csrcs,
                                 length - CRYPTEX_CLEAR - tag, header->ssrc, header->sequence,
                                 clear))
        return false;
    cryptex_restore(packet, header, clear);
    return true;
}

static void check_opened(const struct vector *vector, const struct rtp_header *header,
                         const uint8_t *clear)
{
    uint8_t expected[PACKET_MAX];
    struct rtp_header other;
    size_t length = clear_packet(expected, vector), csrcs = 4 * vector->csrcs;
    g_assert_true(rtp_header_parse(expected, length, &other));
    g_assert_cmphex(header->profile, ==, other.profile);
    g_assert_cmpmem(header->extensions, header->extensions_length, other.extensions,
                    other.extensions_length);
    g_assert_cmpmem(clear, csrcs, expected + RTP_HEADER_LENGTH, csrcs);
    g_assert_cmpmem(clear + csrcs + header->extensions_length, 16, expected + other.length, 16);
}

static void test_receive(gconstpointer gcm)
{
    struct rtp_transform *transform = transform_of(gcm);
    for (unsigned i = 0; i < G_N_ELEMENTS(vectors); i++) {
        uint8_t packet[PACKET_MAX], clear[PACKET_MAX];
        struct rtp_header header;
        size_t length = ciphered_packet(packet, &vectors[i], gcm), n;
        g_assert_true(open_packet(transform, packet, length, &header, clear));
        check_opened(&vectors[i], &header, clear);
        uint8_t expected[PACKET_MAX];
        clear_packet(expected, &vectors[i]);
        g_assert_cmpmem(packet, header.length, expected, header.length);
        const uint8_t *element = rtp_extension_find(&header, 5, &n);
        g_assert_cmpuint(element ? n : 0, ==, header.extensions_length ? 2 : 0);
    }
    rtp_transform_free(transform);
}

/* What we send has no CSRCs. */
static void test_send(gconstpointer gcm)
{
    struct rtp_transform *transform = transform_of(gcm);
    for (unsigned i = 0; i < G_N_ELEMENTS(vectors); i++) {
        if (vectors[i].csrcs)
            continue;
        uint8_t packet[PACKET_MAX], expected[PACKET_MAX];
        size_t length = clear_packet(packet, &vectors[i]);
        cryptex_mark(packet);
        rtp_transform_protect(transform, packet, CRYPTEX_CLEAR, packet + CRYPTEX_CLEAR,
                              length - CRYPTEX_CLEAR, 0xcafebabe, vectors[i].sequence);
        length += transform->class->tag_length;
        size_t right = ciphered_packet(expected, &vectors[i], gcm);
        g_assert_cmpmem(packet, length, expected, right);
    }
    rtp_transform_free(transform);
}

/* CSRCs, the word between, elements, payload, tag: all is authenticated. */
static void test_tampering(gconstpointer gcm)
{
    struct rtp_transform *transform = transform_of(gcm);
    const struct vector *vector = &vectors[2];
    uint8_t packet[PACKET_MAX], clear[PACKET_MAX];
    size_t length = ciphered_packet(packet, vector, gcm);
    for (size_t bit = 0; bit < length * 8; bit++) {
        struct rtp_header header;
        ciphered_packet(packet, vector, gcm);
        packet[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (!rtp_header_parse(packet, length, &header) || !cryptex_is_profile(header.profile) ||
            header.length + transform->class->tag_length > length)
            continue;
        g_assert_false(open_packet(transform, packet, length, &header, clear));
    }
    rtp_transform_free(transform);
}

/* The search for a roll-over counter sees the packet in the order in which it came, too. */
static void test_find(gconstpointer gcm)
{
    struct rtp_transform *transform = transform_of(gcm);
    for (unsigned i = 0; i < G_N_ELEMENTS(vectors); i++) {
        uint8_t packet[PACKET_MAX];
        struct rtp_header header;
        uint64_t index;
        size_t length = ciphered_packet(packet, &vectors[i], gcm);
        size_t region = length - CRYPTEX_CLEAR - transform->class->tag_length;
        g_assert_true(rtp_header_parse(packet, length, &header));
        size_t csrcs = cryptex_csrcs(&header);
        cryptex_gather(packet, csrcs);
        g_assert_true(rtp_transform_find(transform, packet, CRYPTEX_CLEAR, csrcs, region,
                                         header.ssrc, header.sequence, 3, &index));
        g_assert_cmpuint(index, ==, header.sequence);
        g_assert_false(rtp_transform_find(transform, packet, CRYPTEX_CLEAR, csrcs, region,
                                          header.ssrc, header.sequence + 0x10000u, 3, &index));
    }
    rtp_transform_free(transform);
}

static void test_generated_legs(gconstpointer gcm)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(vectors); i++) {
        struct srtp_evp *srtp = srtp_evp_new(
            gcm ? PEER_SRTP_AEAD_AES_128_GCM : PEER_SRTP_AES128_CM_SHA1_80, master_of(gcm));
        uint8_t packet[PACKET_MAX], expected[PACKET_MAX];
        size_t length = clear_packet(packet, &vectors[i]);
        size_t right = ciphered_packet(expected, &vectors[i], gcm);
        srtp_evp_set_cryptex(srtp, true);
        length = srtp_evp_protect(srtp, packet, length);
        g_assert_cmpmem(packet, length, expected, right);
        right = clear_packet(expected, &vectors[i]);
        length = srtp_evp_unprotect(srtp, packet, length);
        g_assert_true(srtp_evp_was_cryptex(srtp));
        g_assert_cmpmem(packet, length, expected, right);
        srtp_evp_free(srtp);
    }
}

/* RFC 9335 5.1: CSRCs alone get an empty block. */
static void test_csrcs_alone(gconstpointer gcm)
{
    struct rtp_transform *transform = transform_of(gcm);
    struct srtp_evp *srtp = srtp_evp_new(
        gcm ? PEER_SRTP_AEAD_AES_128_GCM : PEER_SRTP_AES128_CM_SHA1_80, master_of(gcm));
    uint8_t packet[PACKET_MAX] = {0x83, 96, 0, 7}, clear[PACKET_MAX];
    struct rtp_header header;
    for (uint8_t i = 0; i < 32; i++)
        packet[RTP_HEADER_LENGTH + i] = i;
    srtp_evp_set_cryptex(srtp, true);
    size_t length = srtp_evp_protect(srtp, packet, RTP_HEADER_LENGTH + 32);
    g_assert_true(open_packet(transform, packet, length, &header, clear));
    g_assert_cmpuint(header.extensions_length, ==, 0);
    for (uint8_t i = 0; i < 32; i++)
        g_assert_cmpuint(clear[i], ==, i);
    srtp_evp_free(srtp);
    rtp_transform_free(transform);
}

static void test_profile(void)
{
    static const uint16_t others[] = {0, 0xbede, 0x1000, 0x100f, 0xc1de, 0xc3de, 0xc0df, 0xdec0};
    g_assert_true(cryptex_is_profile(0xc0de));
    g_assert_true(cryptex_is_profile(0xc2de));
    for (unsigned i = 0; i < G_N_ELEMENTS(others); i++)
        g_assert_false(cryptex_is_profile(others[i]));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cryptex/profile", test_profile);
    for (int gcm = 0; gcm < 2; gcm++) {
        static const struct {
            const char *name;
            GTestDataFunc test;
        } tests[] = {{"receive", test_receive},
                     {"send", test_send},
                     {"tampering", test_tampering},
                     {"find", test_find},
                     {"generated-legs", test_generated_legs},
                     {"csrcs-alone", test_csrcs_alone}};
        for (unsigned t = 0; t < G_N_ELEMENTS(tests); t++) {
            g_autofree char *path =
                g_strdup_printf("/cryptex/%s/%s", gcm ? "gcm" : "aes-cm", tests[t].name);
            g_test_add_data_func(path, GINT_TO_POINTER(gcm), tests[t].test);
        }
    }
    return g_test_run();
}
