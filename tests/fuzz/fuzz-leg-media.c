/* SPDX-License-Identifier: Apache-2.0 */
/* RTP with extensions and RTCP compounds behind their authentication: two connected legs, routed to
 * each other, whose endpoints say what the input says with the right keys. The input is a profile
 * and then steps of an octet what, an octet how, an octet length and so many octets.
 *
 * Properties: whatever comes in, what goes out is authentic, in a form that we would read
 * ourselves, from an SSRC of the leg, at an index that its receiver finds by itself; and no index
 * ever protects two different packets. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/leg-world.h"
#include "wmcf/relay/cryptex.h"
#include "wmcf/relay/demux.h"
#include "wmcf/relay/leg-bandwidth.h"
#include "wmcf/relay/resend.h"

#include <string.h>

enum step { /* what % STEPS; `how` */
            STEP_RTP,
            STEP_RTCP,
            STEP_RAW,    /* as it is; how / 8: segments of so many times 8 octets */
            STEP_PASS,   /* how: so many times 10 ms */
            STEP_MEDIAS, /* how: leg, variant */
            STEP_ROUTE,  /* how: which, on or off */
            STEP_KEYS,   /* how: leg, which */
            STEP_GATE,   /* how: which slot, what with it */
            STEP_ASK,    /* how: leg, what */
            STEPS
};
enum how { /* of RTP and RTCP */
           HOW_LEG = 1,
           HOW_NEXT = 2,     /* the sequence number after the last one; a NACK counts from there */
           HOW_LONG = 4,     /* zeros behind it, up to a full packet */
           HOW_BROKEN = 8,   /* another tag */
           HOW_CUT = 16,     /* the last octets are missing */
           HOW_ROLLED = 32,  /* after a roll-over */
           HOW_STRANGE = 64, /* from an address that is nobody's */
           HOW_HELD = 128
}; /* the relay looks when there is more */

#define LONG_OCTETS 1180
#define SSRCS_MAX 16
#define SENT_MAX 2048 /* remembered packets, power of two */

static const char opus[] = "audio/opus/48000/2", red[] = "audio/red/48000/2",
                  vp8[] = "video/VP8/90000", vp9[] = "video/VP9/90000", h264[] = "video/H264/90000",
                  av1[] = "video/AV1/90000", other[] = "video/H261/90000";

static const struct {
    enum relay_srtp_profile profile;
    guint key_length, salt_length;
} profiles[] = {{RELAY_SRTP_AES128_CM_HMAC_SHA1_80, 16, 14},
                {RELAY_SRTP_AEAD_AES_128_GCM, 16, 12},
                {RELAY_SRTP_AEAD_AES_256_GCM, 32, 12}};

struct heard { /* an SSRC as its receiver sees it */
    uint32_t ssrc;
    struct replay replay;
};

struct endpoint {
    struct relay_srtp_keys keys;
    struct rtp_transform *in, *out; /* of transforms: they keep nothing from packet to packet */
    struct srtcp *srtcp;            /* NULL until there is RTCP: it costs more than a packet */
    struct heard heard[SSRCS_MAX];
    unsigned n_heard;
    uint16_t sequence;
};

static struct {
    unsigned leg;
    uint32_t ssrc;
    uint64_t index, hash;
    unsigned input; /* 0 = none */
} sent[SENT_MAX];
static unsigned input, keys_made;

static struct world *world;
static struct rtp_transform *transforms[256];
static struct endpoint endpoints[WORLD_LEGS];
static struct qos_slot slots[WORLD_LEGS][2];

/* --- the legs --------------------------------------------------------------------------------- */

static void end_keys(struct endpoint *endpoint)
{
    srtcp_free(endpoint->srtcp);
    memset(endpoint, 0, sizeof *endpoint);
}

static struct srtcp *srtcp_of(struct endpoint *endpoint)
{
    if (!endpoint->srtcp)
        endpoint->srtcp = srtcp_new(&endpoint->keys, 64);
    g_assert(endpoint->srtcp);
    return endpoint->srtcp;
}

static struct rtp_transform *transform(const struct relay_srtp_keys *keys, uint8_t octet)
{
    uint8_t key[32], salt[14] = {0};
    memset(key, octet, sizeof key);
    if (!transforms[octet])
        transforms[octet] =
            rtp_transform_new(keys->profile, key, keys->key_length, salt, keys->salt_length);
    g_assert(transforms[octet]);
    return transforms[octet];
}

/* Keys of one octet, which chooses the profile, too. */
static void set_keys(unsigned leg, unsigned which)
{
    struct endpoint *endpoint = &endpoints[leg];
    uint8_t ours = (uint8_t)(which & 0x7f), theirs = ours | 0x80;
    unsigned p = ours % G_N_ELEMENTS(profiles);
    struct relay_srtp_keys keys = {.profile = profiles[p].profile,
                                   .key_length = profiles[p].key_length,
                                   .salt_length = profiles[p].salt_length};
    memset(keys.local_key, ours, sizeof keys.local_key);
    memset(keys.remote_key, theirs, sizeof keys.remote_key);
    bool again = endpoint->in == transform(&keys, ours);
    world_command(world,
                  (struct command){.kind = COMMAND_KEYS, .leg = world->legs[leg], .keys = keys});
    if (again) /* the same keys change nothing */
        return;
    end_keys(endpoint);
    endpoint->keys = keys;
    memset(endpoint->keys.local_key, theirs, sizeof keys.local_key);
    memset(endpoint->keys.remote_key, ours, sizeof keys.remote_key);
    endpoint->in = transform(&keys, ours);
    endpoint->out = transform(&keys, theirs);
    keys_made++;
}

static void add_codec(struct relay_media *media, uint8_t pt, uint32_t clock_rate,
                      const char *format)
{
    struct relay_codec codec = {.pt = pt,
                                .clock_rate = clock_rate,
                                .format = format,
                                .nack = true,
                                .pli = pt != 102,
                                .fir = true};
    media->recv_codecs[media->n_recv_codecs++] = codec;
    media->send_codecs[media->n_send_codecs++] = codec;
}

/* Retransmissions on an SSRC of their own, and transport-wide numbers with feedback. */
static void add_congestion_control(struct relay_media *media, bool announced)
{
    media->transport_cc_extmap = 5;
    media->local_rtx_ssrc = media->local_ssrc + 16;
    media->remote_rtx_ssrcs[0] = announced ? media->remote_ssrcs[0] + 16 : 0;
    for (guint c = 0; c < media->n_send_codecs; c++) {
        struct relay_codec *codec = &media->send_codecs[c];
        codec->rtx_pt = (uint8_t)(114 + c);
        codec->transport_cc = true;
        media->recv_codecs[c] = *codec;
    }
}

/* Audio "0" and video "1", in variants that differ in what a renegotiation may change. */
static void set_medias(unsigned leg, unsigned variant)
{
    guint n = variant & 1 ? 1 : 2;
    struct relay_media *list = g_new0(struct relay_media, n);
    for (guint i = 0; i < n; i++) {
        struct relay_media *media = &list[i];
        media->mid[0] = (char)('0' + i);
        media->kind = i == 0 ? RELAY_AUDIO : RELAY_VIDEO;
        media->receive = !(variant & 2);
        media->send = !(variant & 4);
        media->mid_extmap = variant & 8 ? 15 : 1;
        media->audio_level_extmap = 2;
        media->local_ssrc = (variant & 16 ? 0x33333300u : 0x22222200u) + i;
        media->remote_ssrcs[0] = 0x11111100u + i;
        media->n_remote_ssrcs = 1;
        media->rtcp_rsize = !(variant & 32);
        media->cryptex = variant & 32;
        media->slot[QOS_UPLINK] = &slots[leg][QOS_UPLINK];
        media->slot[QOS_DOWNLINK] = &slots[leg][QOS_DOWNLINK];
        if (i == 0) {
            add_codec(media, 111, 48000, opus);
            if (leg == 0 || variant & 16) /* the other one gets what is inside */
                add_codec(media, 63, 48000, red);
        } else {
            add_codec(media, 96, 90000, vp8);
            add_codec(media, 98, 90000, vp9);
            add_codec(media, 102, 90000, h264);
            add_codec(media, 45, 90000, av1);
            if (!(variant & 64))
                add_codec(media, 31, 90000, other);
        }
        if (variant & 64)
            add_congestion_control(media, !(variant & 32));
    }
    world_command(
        world, (struct command){
                   .kind = COMMAND_MEDIAS,
                   .leg = world->legs[leg],
                   .medias = {.list = list, .boards = g_new0(struct encoding_board *, n), .n = n}});
}

/* The n-th m-line of one leg to the same of the other. */
static void set_route(unsigned which)
{
    unsigned to = which >> 1 & 1;
    struct command command = {.kind = COMMAND_ROUTE,
                              .leg = world->legs[to],
                              .route = {.from = which & 4 ? NULL : world->legs[!to]}};
    command.route.to_mid[0] = (char)('0' + (which & 1));
    command.route.from_mid[0] = (char)('0' + ((which ^ which >> 3) & 1));
    world_command(world, command);
}

static void connect_leg(unsigned leg)
{
    struct worker_leg *worker_leg = world->legs[leg];
    struct ice_path *path =
        worker_leg_path(worker_leg, &world->worker->sockets[0], &world->at[leg], world_now());
    path->last_request = world_now();
    path->proven = true;
    worker_leg_nominate(worker_leg, 0, 0, world_now());
}

static void set_gate(unsigned how)
{
    struct qos_slot *slot = &slots[how & 1][how >> 1 & 1];
    slot->open = !(how & 4);
    slot->sustained = how & 8 ? UINT64_C(20000) << 32 | 3000 : 0;
    slot->peak = how & 16 ? UINT64_C(40000) << 32 | 1000 : 0;
    slot->mark = how & 32 ? QOS_MARK_SET | 46 : how & 64 ? QOS_MARK_COPY | 10 : 0;
}

static void ask(unsigned how)
{
    static const enum command_kind kinds[] = {COMMAND_GATE_OPENED, COMMAND_KEY_FRAME, COMMAND_STATS,
                                              COMMAND_DTLS};
    struct command command = {.kind = kinds[how >> 2 & 3], .leg = world->legs[how & 1]};
    struct worker_leg *leg = world->legs[how & 1];
    if (how & 16 && leg->n_lines > 1) { /* a probe */
        subscription_send_padding(&leg->lines[1]->out, how << 2);
        worker_flush(world->worker);
        return;
    }
    if (command.kind == COMMAND_DTLS)
        command.dtls = g_bytes_new_static("\x16\xfe\xfd\0\0\0\0\0\0\0\0\0\x01!", 14);
    else if (command.kind != COMMAND_STATS)
        command.mid[0] = (char)('0' + (how >> 1 & 1));
    world_command(world, command);
}

/* --- what endpoints say ----------------------------------------------------------------------- */

static void say(unsigned how, const uint8_t *data, size_t length)
{
    world_say(world, how & HOW_STRANGE ? WORLD_LEGS : how & HOW_LEG, data, length, 0);
    if (!(how & HOW_HELD))
        world_listen(world);
}

static size_t spoil(unsigned how, uint8_t *data, size_t length)
{
    if (how & HOW_BROKEN && length)
        data[length - 1] ^= 1;
    return how & HOW_CUT && length > 3 ? length - 3 : length;
}

/* With ciphered extensions (RFC 9335), where the transform alone can do it: HMAC over CSRCs has to
 * be told of them. */
static void protect(struct endpoint *endpoint, uint8_t *out, const uint8_t *clear, size_t length,
                    const struct rtp_header *header, uint64_t index)
{
    size_t csrcs = header->profile ? cryptex_csrcs(header) : 0;
    if (!cryptex_is_profile(header->profile) ||
        (csrcs && endpoint->keys.profile == RELAY_SRTP_AES128_CM_HMAC_SHA1_80)) {
        memcpy(out, clear, header->length);
        rtp_transform_protect(endpoint->out, out, header->length, clear + header->length,
                              length - header->length, header->ssrc, index);
        return;
    }
    uint8_t word[CRYPTEX_WORD];
    memcpy(out, clear, length);
    cryptex_gather(out, csrcs);
    rtp_transform_protect(endpoint->out, out, CRYPTEX_CLEAR, out + CRYPTEX_CLEAR,
                          length - CRYPTEX_CLEAR, header->ssrc, index);
    memcpy(word, out + RTP_HEADER_LENGTH, CRYPTEX_WORD);
    memmove(out + RTP_HEADER_LENGTH, out + CRYPTEX_CLEAR, csrcs);
    memcpy(out + RTP_HEADER_LENGTH + csrcs, word, CRYPTEX_WORD);
}

static void say_rtp(unsigned how, const uint8_t *piece, size_t length)
{
    uint8_t clear[LONG_OCTETS] = {0}, out[LONG_OCTETS + RTP_TRANSFORM_TAG_MAX];
    struct endpoint *endpoint = &endpoints[how & HOW_LEG];
    struct rtp_header header;
    memcpy(clear, piece, length);
    if (how & HOW_LONG)
        length = sizeof clear;
    if (how & HOW_NEXT) {
        endpoint->sequence++;
        clear[2] = (uint8_t)(endpoint->sequence >> 8);
        clear[3] = (uint8_t)endpoint->sequence;
    }
    if (!rtp_header_parse(clear, length, &header)) {
        say(how, clear, length);
        return;
    }
    g_assert_cmpuint(header.length, <=, length);
    endpoint->sequence = header.sequence;
    protect(endpoint, out, clear, length, &header,
            header.sequence | (how & HOW_ROLLED ? 0x10000 : 0));
    say(how, out, spoil(how, out, length + endpoint->out->class->tag_length));
}

/* What is asked for begins so many packets after the last one of the stream that came. */
static void ask_from_last(const struct endpoint *endpoint, uint8_t *nack)
{
    uint32_t media = (uint32_t)nack[8] << 24 | (uint32_t)nack[9] << 16 | nack[10] << 8 | nack[11];
    for (unsigned i = 0; i < endpoint->n_heard; i++) {
        if (endpoint->heard[i].ssrc != media)
            continue;
        unsigned sequence =
            (nack[12] << 8 | nack[13]) + (unsigned)endpoint->heard[i].replay.highest;
        nack[12] = (uint8_t)(sequence >> 8);
        nack[13] = (uint8_t)sequence;
    }
}

static void say_rtcp(unsigned how, const uint8_t *piece, size_t length)
{
    uint8_t packet[LONG_OCTETS + SRTCP_TRAILER_MAX] = {0};
    memcpy(packet, piece, length);
    if (how & HOW_LONG)
        length = LONG_OCTETS;
    if (how & HOW_NEXT && length >= 16)
        ask_from_last(&endpoints[how & HOW_LEG], packet);
    if (length >= 8)
        srtcp_protect(srtcp_of(&endpoints[how & HOW_LEG]), packet, &length);
    say(how, packet, spoil(how, packet, length));
}

/* --- what they hear --------------------------------------------------------------------------- */

static struct heard *heard_from(struct endpoint *endpoint, uint32_t ssrc)
{
    for (unsigned i = 0; i < endpoint->n_heard; i++)
        if (endpoint->heard[i].ssrc == ssrc)
            return &endpoint->heard[i];
    g_assert_cmpuint(endpoint->n_heard, <, SSRCS_MAX);
    endpoint->heard[endpoint->n_heard].ssrc = ssrc;
    return &endpoint->heard[endpoint->n_heard++];
}

/* One keystream, one text. */
static void check_only(unsigned leg, uint32_t ssrc, uint64_t index, const uint8_t *data,
                       size_t length)
{
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ data[i]) * 1099511628211u;
    unsigned at = (unsigned)(index ^ ssrc << 8 ^ leg << 10) & (SENT_MAX - 1);
    if (sent[at].input == input && sent[at].leg == leg && sent[at].ssrc == ssrc &&
        sent[at].index == index)
        g_assert_cmpuint(sent[at].hash, ==, hash);
    sent[at].input = input;
    sent[at].leg = leg;
    sent[at].ssrc = ssrc;
    sent[at].index = index;
    sent[at].hash = hash;
}

static void check_rtp(unsigned leg, const uint8_t *data, size_t length)
{
    struct endpoint *endpoint = &endpoints[leg];
    struct rtp_header header;
    uint8_t payload[WORLD_DATAGRAM_MAX];
    uint64_t index;
    size_t tag = endpoint->in->class->tag_length;
    g_assert(rtp_header_parse(data, length, &header));
    g_assert_cmpuint(header.length + tag, <=, length);
    g_assert_cmphex(header.ssrc & 0xeeeeeeee, ==, 0x22222200);
    struct heard *heard = heard_from(endpoint, header.ssrc);
    g_assert(replay_guess(&heard->replay, header.sequence, &index));
    size_t clear = cryptex_is_profile(header.profile) ? CRYPTEX_CLEAR : header.length;
    g_assert_cmpuint(data[0] & 0x0f, ==, 0);
    g_assert(rtp_transform_unprotect(endpoint->in, data, clear, 0, length - clear - tag,
                                     header.ssrc, index, payload));
    if (replay_check(&heard->replay, index))
        replay_commit(&heard->replay, index);
    check_only(leg << 8 | keys_made, header.ssrc, index, data, length);
}

static void ignore_report(void *user, uint32_t ssrc, const struct rtcp_sender_info *info)
{
}

static void ignore_block(void *user, const struct rtcp_block *block)
{
}

static void ignore_nack(void *user, uint32_t media, uint16_t sequence)
{
}

static void ignore_key_frame(void *user, uint32_t media)
{
}

static void ignore_transport_feedback(void *user, const uint8_t *fci, size_t length)
{
}

static void ignore_remb(void *user, uint64_t rate)
{
}

static void check_rtcp(unsigned leg, uint8_t *data, size_t length)
{
    static const struct rtcp_handler handler = {
        ignore_report, ignore_block, ignore_nack, ignore_key_frame, ignore_transport_feedback,
        ignore_remb};
    bool replayed;
    g_assert(srtcp_unprotect(srtcp_of(&endpoints[leg]), data, &length, &replayed));
    g_assert(rtcp_parse(data, length, &handler, NULL));
}

static void hear(void)
{
    uint8_t data[WORLD_DATAGRAM_MAX];
    size_t length;
    for (unsigned leg = 0; leg < WORLD_ADDRESSES; leg++) {
        while ((length = world_hear(world, leg, data))) {
            g_assert_cmpuint(leg, <, WORLD_LEGS); /* nobody else is spoken to */
            switch (demux_classify(data, length)) {
            case DEMUX_RTP:
                check_rtp(leg, data, length);
                break;
            case DEMUX_RTCP:
                check_rtcp(leg, data, length);
                break;
            case DEMUX_DTLS:
            case DEMUX_STUN:
                break;
            case DEMUX_MALFORMED:
                g_assert_not_reached();
            }
        }
    }
}

/* --- the input -------------------------------------------------------------------------------- */

static void take_step(enum step what, unsigned how, const uint8_t *piece, size_t length)
{
    switch (what) {
    case STEP_RTP:
        say_rtp(how, piece, length);
        break;
    case STEP_RTCP:
        say_rtcp(how, piece, length);
        break;
    case STEP_RAW:
        world_say(world, how & (WORLD_ADDRESSES - 1), piece, length, how / 8 * 8);
        world_listen(world);
        break;
    case STEP_PASS:
        world_pass(world, how * INT64_C(10000));
        for (unsigned i = 0; i < WORLD_LEGS; i++) /* ICE is not what this is about */
            if (world->legs[i]->nominated >= 0)
                world->legs[i]->paths[world->legs[i]->nominated].last_request = world_now();
        break;
    case STEP_MEDIAS:
        set_medias(how & 1, how >> 1);
        break;
    case STEP_ROUTE:
        set_route(how);
        break;
    case STEP_KEYS:
        /* What has waited behind a burst goes with the keys of its time. */
        leg_bandwidth_flush(world->legs[how & 1]);
        worker_flush(world->worker);
        hear();
        set_keys(how & 1, how >> 1);
        break;
    case STEP_GATE:
        set_gate(how);
        break;
    case STEP_ASK:
        ask(how);
        break;
    case STEPS:
        break;
    }
    hear();
}

static void begin(unsigned how)
{
    world = world_begin(false);
    input++;
    keys_made = 0;
    memset(slots, 0, sizeof slots);
    for (unsigned leg = 0; leg < WORLD_LEGS; leg++) {
        slots[leg][QOS_UPLINK].open = slots[leg][QOS_DOWNLINK].open = 1;
        connect_leg(leg);
        set_keys(leg, how);
        set_medias(leg, 0);
    }
    for (unsigned i = 0; i < 4; i++)
        set_route(i);
    hear();
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
    world_listen(world);
    hear();
    world_end(world);
    for (unsigned leg = 0; leg < WORLD_LEGS; leg++)
        end_keys(&endpoints[leg]);
    return 0;
}
