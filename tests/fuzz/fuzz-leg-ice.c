/* SPDX-License-Identifier: Apache-2.0 */
/* STUN at a worker with two legs, from four addresses: Binding requests and answers to ours, the
 * check list, restarts. The input's first octet makes the legs lite or full agents; then come steps
 * of an octet what, an octet how, an octet length and so many octets. Integrity and fingerprint are
 * put right where the step asks for it, and an answer can carry the transaction of a question that
 * was heard, so what lies behind the authentication is reached.
 *
 * Properties: what is said is a whole STUN message; nobody gets anything else, or becomes an
 * address of a leg, who has not proven to know a password; paths and address table agree. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/leg-world.h"
#include "wmcf/relay/demux.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

enum step { /* what % STEPS */
            STEP_SAY,
            STEP_PASS,       /* how: so many times 100 ms */
            STEP_REMOTE,     /* how: leg, role, credentials; candidates */
            STEP_CANDIDATES, /* how: leg, complete */
            STEP_PREPARE,    /* how: leg, credentials; or give it up */
            STEP_DTLS,       /* how: leg */
            STEPS
};
enum how { /* of STEP_SAY; the address below */
           HOW_LENGTH = 4,
           HOW_INTEGRITY = 8,
           HOW_FINGERPRINT = 16,
           HOW_ANSWER = 32, /* the transaction of the last question there */
           HOW_HELD = 64
};

#define HEADER 20
#define COOKIE "\x21\x12\xa4\x42"

static struct world *world;
static bool knows[WORLD_ADDRESSES]; /* a message with integrity came from there */
static uint8_t asked[WORLD_ADDRESSES][ICE_TRANSACTION];
static const char dtls[] = "\x16\xfe\xfd\0\0\0\0\0\0\0\0\0\x01!";

/* --- STUN messages (RFC 8489) ----------------------------------------------------------------- */

static void put16(uint8_t *at, size_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

/* 14.5 */
static size_t add_integrity(uint8_t *message, size_t length)
{
    unsigned octets = 20;
    put16(message + 2, length + 24 - HEADER);
    put16(message + length, 0x0008);
    put16(message + length + 2, octets);
    HMAC(EVP_sha1(), WORLD_PASSWORD, strlen(WORLD_PASSWORD), message, length, message + length + 4,
         &octets);
    return length + 24;
}

/* 14.7 */
static size_t add_fingerprint(uint8_t *message, size_t length)
{
    uint32_t crc = 0xffffffff;
    put16(message + 2, length + 8 - HEADER);
    put16(message + length, 0x8028);
    put16(message + length + 2, 4);
    for (size_t i = 0; i < length; i++) {
        crc ^= message[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    crc = ~crc ^ 0x5354554e;
    put16(message + length + 4, crc >> 16);
    put16(message + length + 6, crc & 0xffff);
    return length + 8;
}

static void say(unsigned how, const uint8_t *piece, size_t length)
{
    uint8_t message[HEADER + 256 + 24 + 8] = {0};
    unsigned from = how % WORLD_ADDRESSES;
    memcpy(message, piece, length);
    if (how & (HOW_LENGTH | HOW_INTEGRITY | HOW_FINGERPRINT)) {
        length = MAX((length + 3) & ~(size_t)3, HEADER);
        message[0] &= 3;
        memcpy(message + 4, COOKIE, 4);
        put16(message + 2, length - HEADER);
    }
    if (how & HOW_ANSWER && length >= HEADER)
        memcpy(message + 8, asked[from], ICE_TRANSACTION);
    if (how & HOW_INTEGRITY)
        length = add_integrity(message, length);
    if (how & HOW_FINGERPRINT)
        length = add_fingerprint(message, length);
    knows[from] |= how & HOW_INTEGRITY;
    world_say(world, from, message, length, 0);
    if (!(how & HOW_HELD))
        world_listen(world);
}

/* --- what the control thread asks ------------------------------------------------------------- */

static struct ice_candidate *candidates(const uint8_t *piece, size_t length)
{
    static const char *const odd[] = {"0.0.0.0", "224.0.0.1", "255.255.255.255", "::1",
                                      "fe80::1", "ff02::1",   "127.0.0.1"};
    struct ice_candidate *list = g_new0(struct ice_candidate, length);
    for (size_t i = 0; i < length; i++) {
        if (piece[i] & 0x80)
            socket_address_parse(odd[piece[i] % G_N_ELEMENTS(odd)], 0, &list[i].address);
        else
            list[i].address = world->at[piece[i] % WORLD_ADDRESSES];
        list[i].priority = (uint32_t)piece[i] << 24 | 1;
    }
    return list;
}

static void set_remote(enum command_kind kind, unsigned how, const uint8_t *piece, size_t length)
{
    struct command command = {
        .kind = kind,
        .leg = world->legs[how & 1],
        .ice = {.remote = {.role = (enum ice_role)((how >> 1 & 3) % 3), .complete = how & 8},
                .candidates = candidates(piece, length),
                .n = (guint)length}};
    g_snprintf(command.ice.remote.ufrag, sizeof command.ice.remote.ufrag, "far%u", how >> 4 & 3);
    g_strlcpy(command.ice.remote.pwd, WORLD_PASSWORD, sizeof command.ice.remote.pwd);
    world_command(world, command);
}

static void prepare(unsigned how)
{
    struct command command = {.kind = how & 2 ? COMMAND_CANCEL_ICE : COMMAND_PREPARE_ICE,
                              .leg = world->legs[how & 1]};
    g_snprintf(command.ice.remote.ufrag, sizeof command.ice.remote.ufrag, "new%u", how & 5);
    g_strlcpy(command.ice.remote.pwd, WORLD_PASSWORD, sizeof command.ice.remote.pwd);
    world_command(world, command);
}

/* --- what is true at all times ---------------------------------------------------------------- */

static void hear(void)
{
    uint8_t data[WORLD_DATAGRAM_MAX];
    size_t length;
    for (unsigned i = 0; i < WORLD_ADDRESSES; i++) {
        while ((length = world_hear(world, i, data))) {
            if (demux_classify(data, length) == DEMUX_STUN) {
                if (data[0] == 0 && data[1] == 1)
                    memcpy(asked[i], data + 8, ICE_TRANSACTION);
                continue;
            }
            g_assert_cmpmem(data, length, dtls, sizeof dtls - 1);
            g_assert_true(knows[i]);
        }
    }
}

static void check(void)
{
    size_t paths = 0;
    for (unsigned l = 0; l < WORLD_LEGS; l++) {
        const struct worker_leg *leg = world->legs[l];
        g_assert_cmpuint(leg->n_paths, <=, ICE_PATHS_MAX);
        g_assert_cmpint(leg->nominated, <, (int)leg->n_paths);
        g_assert_cmpuint(leg->checks.n, <=, leg->checks.max);
        for (unsigned i = 0; i < leg->n_paths; i++) {
            const struct ice_path *path = &leg->paths[i];
            g_assert_true(address_table_find(world->worker->addresses, 0, &path->remote) == leg);
            bool may = false;
            for (unsigned a = 0; a < WORLD_ADDRESSES; a++)
                may |= knows[a] && socket_address_equal(&world->at[a], &path->remote);
            g_assert_true(may);
        }
        paths += leg->n_paths;
    }
    g_assert_cmpuint(address_table_count(world->worker->addresses), ==, paths);
}

static void take_step(enum step what, unsigned how, const uint8_t *piece, size_t length)
{
    switch (what) {
    case STEP_SAY:
        say(how, piece, length);
        break;
    case STEP_PASS:
        world_pass(world, how * INT64_C(100000));
        break;
    case STEP_REMOTE:
        set_remote(COMMAND_REMOTE_ICE, how, piece, length);
        break;
    case STEP_CANDIDATES:
        set_remote(COMMAND_CANDIDATES, how, piece, length);
        break;
    case STEP_PREPARE:
        prepare(how);
        break;
    case STEP_DTLS:
        world_command(world, (struct command){.kind = COMMAND_DTLS,
                                              .leg = world->legs[how & 1],
                                              .dtls = g_bytes_new_static(dtls, sizeof dtls - 1)});
        break;
    case STEPS:
        break;
    }
    hear();
    check();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    world = world_begin(data[0] & 1);
    memset(knows, 0, sizeof knows);
    memset(asked, 0, sizeof asked);
    for (size_t at = 1; at + 3 <= size;) {
        size_t length = MIN((size_t)data[at + 2], size - at - 3);
        take_step(data[at] % STEPS, data[at + 1], data + at + 3, length);
        at += 3 + length;
    }
    world_end(world);
    return 0;
}
