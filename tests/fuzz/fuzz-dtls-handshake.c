/* SPDX-License-Identifier: Apache-2.0 */
/* One DTLS association fed with hostile datagrams before, in the middle of and after a handshake,
 * as client and as server. The input's first octet chooses the role and whether there is an honest
 * peer, too (a plain OpenSSL one), with which SRTP profiles; then come steps of an octet what, an
 * octet how, an octet length and so many octets, which deliver, lose, repeat, reorder and spoil
 * what the two say, or say something in between. OpenSSL's random numbers and clock are this
 * file's, so that an input always goes the same way.
 *
 * Properties: keys exist once at most and only with the honest peer, whose certificate is the one
 * expected; an end is told once and is final; no datagram is longer than promised. */
#define OPENSSL_SUPPRESS_DEPRECATED /* its random numbers can be replaced in no other way */
#include "base/problem.h"
#include "pipelines/certificate.h"
#include "pipelines/dtls-association.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/dtls-peer.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>
#include <sys/time.h>

enum step { /* what % STEPS */
            STEP_INJECT,
            STEP_RECORD,    /* how: content type; header of the first epoch added */
            STEP_HANDSHAKE, /* how: message type; both headers added, the first octet is its number
                             */
            STEP_DELIVER,   /* how: direction, how many */
            STEP_SPOIL,     /* how: direction, where; the octets are XORed into the next datagram */
            STEP_CUT,       /* how: direction, octets left of the next datagram */
            STEP_REORDER,   /* how: direction; or lose, or repeat it */
            STEP_PASS,      /* how: so many times 50 ms */
            STEP_DATA,      /* how: direction */
            STEP_CLOSE,     /* how: who */
            STEPS
};

enum { TO_US, TO_PEER };

#define DATAGRAM_MAX 2048
#define START_S 1800000000

static struct certificate *certificate;
static struct dtls_context *context;
static gint64 now;
static uint64_t random_state;

static struct dtls_association *association;
static struct dtls_peer *peers[4]; /* by their SRTP profiles */
static struct dtls_peer *peer;     /* NULL = nobody honest */
static GQueue out;                 /* GBytes of ours */
static guint connected, ended;
static guint8 record_number;

int gettimeofday(struct timeval *restrict time, void *restrict zone)
{
    time->tv_sec = START_S + now / G_USEC_PER_SEC;
    time->tv_usec = now % G_USEC_PER_SEC;
    return 0;
}

static int random_octets(unsigned char *data, int length)
{
    for (int i = 0; i < length; i++) {
        random_state = random_state * 6364136223846793005u + 1442695040888963407u;
        data[i] = (unsigned char)(random_state >> 56);
    }
    return 1;
}

static int random_status(void)
{
    return 1;
}

static const RAND_METHOD random_method = {
    .bytes = random_octets, .pseudorand = random_octets, .status = random_status};

/* --- what the association says ---------------------------------------------------------------- */

static void on_send(void *user, const guint8 *datagram, gsize length)
{
    g_assert_cmpuint(length, <=, MAX(DTLS_MTU, DATAGRAM_MAX));
    g_assert_true(connected || length <= DTLS_MTU);
    g_queue_push_tail(&out, g_bytes_new(datagram, length));
}

static void on_connected(void *user, const struct pl_srtp_keys *keys)
{
    guint8 own[DTLS_PEER_MASTER_MAX], other[DTLS_PEER_MASTER_MAX];
    g_assert_nonnull(peer);
    g_assert_cmpuint(connected++, ==, 0);
    g_assert_cmpuint(ended, ==, 0);
    if (!peer->connected)
        return;
    dtls_peer_keys(peer, keys->key_length, keys->salt_length, own, other);
    g_assert_cmpmem(keys->local_key, keys->key_length, other, keys->key_length);
    g_assert_cmpmem(keys->remote_key, keys->key_length, own, keys->key_length);
}

static void on_failed(void *user, const GError *error)
{
    g_assert_nonnull(error);
    g_assert_cmpuint(ended++, ==, 0);
}

static void on_closed(void *user)
{
    g_assert_cmpuint(ended++, ==, 0);
}

static void on_data(void *user, const guint8 *data, gsize length)
{
    g_assert_cmpuint(connected, ==, 1);
    g_assert_cmpuint(length, <=, DTLS_DATAGRAM_MAX);
}

static const struct dtls_ops ops = {on_send, on_connected, on_failed, on_closed, on_data};

static void check(void)
{
    enum dtls_state state = dtls_association_state(association);
    g_assert_true((state == DTLS_CONNECTED) == (connected && !ended));
    g_assert_true(state != DTLS_FAILED || ended == 1);
    g_assert_true((dtls_association_deadline(association, now) >= 0) == (state == DTLS_CONNECTING));
}

/* --- what is said to it ----------------------------------------------------------------------- */

static void receive(const guint8 *data, gsize length)
{
    /* Of exactly this size, so that a sanitizer sees a read behind the end. */
    g_autofree guint8 *copy = g_memdup2(data, length);
    dtls_association_receive(association, now, copy, length);
    check();
}

/* RFC 6347 4.1 */
static void say_record(guint8 type, const guint8 *body, gsize length)
{
    guint8 record[DATAGRAM_MAX] = {type, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, record_number++};
    record[11] = (guint8)(length >> 8);
    record[12] = (guint8)length;
    memcpy(record + 13, body, length);
    receive(record, 13 + length);
}

/* RFC 6347 4.2.2, one fragment */
static void say_handshake(guint8 type, const guint8 *piece, gsize length)
{
    guint8 message[DATAGRAM_MAX] = {type};
    if (length == 0)
        return;
    length--;
    message[2] = message[10] = (guint8)(length >> 8);
    message[3] = message[11] = (guint8)length;
    message[5] = piece[0];
    memcpy(message + 12, piece + 1, length);
    say_record(22, message, 12 + length);
}

static GQueue *towards(int direction)
{
    return direction == TO_PEER ? &out : &peer->out;
}

static void deliver(int direction)
{
    g_autoptr(GBytes) datagram = g_queue_pop_head(towards(direction));
    gsize length;
    if (!datagram)
        return;
    const guint8 *data = g_bytes_get_data(datagram, &length);
    if (direction == TO_PEER)
        dtls_peer_receive(peer, datagram);
    else
        receive(data, length);
}

/* The next datagram of a direction, changed: octets XORed in, or shorter. */
static void spoil(int direction, gsize at, const guint8 *piece, gsize length, gsize left)
{
    g_autoptr(GBytes) datagram = g_queue_pop_head(towards(direction));
    gsize size;
    if (!datagram)
        return;
    g_autofree guint8 *data =
        g_memdup2(g_bytes_get_data(datagram, NULL), g_bytes_get_size(datagram));
    size = MIN(g_bytes_get_size(datagram), left);
    for (gsize i = 0; i < length && at + i < size; i++)
        data[at + i] ^= piece[i];
    if (direction == TO_US) {
        receive(data, size);
        return;
    }
    g_autoptr(GBytes) changed = g_bytes_new(data, size);
    dtls_peer_receive(peer, changed);
}

static void reorder(int direction, unsigned how)
{
    GQueue *queue = towards(direction);
    GBytes *head = g_queue_pop_head(queue);
    if (!head)
        return;
    if (how & 2)
        g_queue_push_tail(queue, head);
    else if (how & 4)
        g_bytes_unref(head);
    else {
        g_queue_push_head(queue, g_bytes_ref(head));
        g_queue_push_head(queue, head);
    }
}

static void say_data(int direction, const guint8 *piece, gsize length)
{
    if (direction == TO_PEER)
        dtls_association_send(association, piece, length);
    else if (peer && peer->connected && !peer->failed && !peer->closed && length)
        SSL_write(peer->ssl, piece, (int)length);
}

static void pass(unsigned how)
{
    now += how * INT64_C(50000);
    dtls_association_tick(association, now);
    if (peer)
        dtls_peer_tick(peer);
    check();
}

static void take_step(enum step what, unsigned how, const guint8 *piece, gsize length)
{
    int direction = how & 1;
    if (!peer && what >= STEP_DELIVER && what <= STEP_REORDER)
        return;
    switch (what) {
    case STEP_INJECT:
        receive(piece, length);
        break;
    case STEP_RECORD:
        say_record((guint8)how, piece, length);
        break;
    case STEP_HANDSHAKE:
        say_handshake((guint8)how, piece, length);
        break;
    case STEP_DELIVER:
        for (unsigned i = 0; i <= (how >> 1) % 16; i++)
            deliver(direction);
        break;
    case STEP_SPOIL:
        spoil(direction, how >> 1 << 2, piece, length, DATAGRAM_MAX);
        break;
    case STEP_CUT:
        spoil(direction, 0, NULL, 0, how >> 1 << 2);
        break;
    case STEP_REORDER:
        reorder(direction, how);
        break;
    case STEP_PASS:
        pass(how);
        break;
    case STEP_DATA:
        say_data(direction, piece, length);
        break;
    case STEP_CLOSE:
        if (direction == TO_PEER) {
            dtls_association_close(association);
            ended += !ended; /* told to nobody, and final */
        } else if (peer) {
            dtls_peer_close(peer);
        }
        break;
    case STEPS:
        break;
    }
    check();
}

/* --- the input -------------------------------------------------------------------------------- */

static void begin(guint8 how)
{
    struct dtls_fingerprint fingerprint;
    guint8 value[64] = {0};
    guint length = 32;
    static const char *const profiles[] = {"SRTP_AES128_CM_SHA1_80",
                                           "SRTP_AEAD_AES_128_GCM:SRTP_AES128_CM_SHA1_80",
                                           "SRTP_AEAD_AES_256_GCM", NULL};
    g_autoptr(GError) error = NULL;
    if (!context) {
        RAND_set_rand_method(&random_method);
        certificate = certificate_new(&error);
        g_assert_no_error(error);
        context = dtls_context_new(certificate, &error);
        g_assert_no_error(error);
    }
    bool is_client = how & 1;
    now = 1000 * G_USEC_PER_SEC;
    connected = ended = record_number = 0;
    g_queue_init(&out);
    struct dtls_peer **honest = &peers[how >> 3 & 3]; /* a certificate takes longer than the rest */
    if (how & 2 && !*honest)
        *honest = dtls_peer_new(!is_client, DTLS_PEER_ECDSA, profiles[how >> 3 & 3]);
    peer = how & 2 ? *honest : NULL;
    random_state = 1;
    if (peer)
        dtls_peer_restart(peer, !is_client);
    if (peer)
        length = dtls_peer_fingerprint(peer, EVP_sha256(), value);
    dtls_fingerprint_set(&fingerprint, "sha-256", value, length, &error);
    g_assert_no_error(error);
    association = dtls_association_new(context, is_client, &fingerprint, &ops, NULL, &error);
    g_assert_no_error(error);
    if (how & 4) /* before it has begun */
        receive((const guint8 *)"\x16\xfe\xfd\0\0\0\0\0\0\0\0\0\x01!", 14);
    dtls_association_start(association, now);
    if (peer)
        dtls_peer_step(peer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    begin(data[0]);
    for (size_t at = 1; at + 3 <= size;) {
        size_t length = MIN((size_t)data[at + 2], size - at - 3);
        take_step(data[at] % STEPS, data[at + 1], data + at + 3, length);
        at += 3 + length;
    }
    dtls_association_free(association);
    g_queue_clear_full(&out, (GDestroyNotify)g_bytes_unref);
    return 0;
}
