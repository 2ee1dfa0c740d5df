/* SPDX-License-Identifier: Apache-2.0 */
/* A generated leg: puts SDP, ICE, DTLS and media together. The order is a browser's: a description
 * starts ICE, the first nomination starts DTLS, the keys start media. States go through one table;
 * a failure keeps its sentence and stops everything but the counters. */
#include "tests/support/peer/internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define SOCKET_BUFFER (2 * 1024 * 1024)
#define OPUS_PT 111
#define VP8_PT 96
#define MID_EXTENSION 4
#define LEVEL_EXTENSION 10
#define WIDE_EXTENSION 5
#define NO_CONFIG G_MAXUINT /* of a line that none of ours fits */

G_DEFINE_QUARK(peer - error - quark, peer_error)

static const char *const state_names[PEER_STATE_COUNT] = {"new",       "checking", "handshaking",
                                                          "connected", "failed",   "closed"};
static const guint8 transitions[PEER_STATE_COUNT] = {
    /* bit of each state that may follow */
    [PEER_NEW] = 1 << PEER_CHECKING | 1 << PEER_FAILED | 1 << PEER_CLOSED,
    [PEER_CHECKING] = 1 << PEER_HANDSHAKING | 1 << PEER_FAILED | 1 << PEER_CLOSED,
    [PEER_HANDSHAKING] = 1 << PEER_CONNECTED | 1 << PEER_FAILED | 1 << PEER_CLOSED,
    [PEER_CONNECTED] = 1 << PEER_FAILED | 1 << PEER_CLOSED,
    [PEER_FAILED] = 1 << PEER_CLOSED,
};

const char *peer_state_name(enum peer_state state)
{
    return state < PEER_STATE_COUNT ? state_names[state] : "?";
}

static void set_state(struct peer *peer, enum peer_state state)
{
    if (peer->state == state || peer->dying)
        return;
    g_assert(transitions[peer->state] & 1u << state);
    peer->state = state;
    gint64 now = g_get_monotonic_time();
    peer_media_update(peer, now);
    peer_group_schedule(peer, state < PEER_FAILED ? now : G_MAXINT64);
    if (peer->config.ops && peer->config.ops->state)
        peer->config.ops->state(peer, state, peer->config.user);
}

void peer_fail(struct peer *peer, const char *reason)
{
    if (peer->state >= PEER_FAILED)
        return;
    g_free(peer->failure);
    peer->failure = g_strdup(reason);
    set_state(peer, PEER_FAILED);
}

/* --- ICE and DTLS ----------------------------------------------------------------------------- */

static void on_ice_send(const struct sockaddr_storage *to, const void *data, gsize length,
                        void *user)
{
    struct peer *peer = user;
    peer_group_send(peer, peer->watch.fd, to, data, length);
}

static void start_dtls(struct peer *peer)
{
    if (peer->state != PEER_CHECKING || !peer->has_dtls)
        return;
    set_state(peer, PEER_HANDSHAKING);
    peer_dtls_start(&peer->dtls);
}

static void on_ice_nominated(const struct sockaddr_storage *remote, void *user)
{
    struct peer *peer = user;
    peer->remote = *remote;
    peer->has_remote = true;
    if (!peer->stats.ice_us)
        peer->stats.ice_us = g_get_monotonic_time();
    start_dtls(peer);
}

static void on_ice_failed(const char *reason, void *user)
{
    peer_fail(user, reason);
}

static const struct peer_ice_ops ice_ops = {
    .send = on_ice_send, .nominated = on_ice_nominated, .failed = on_ice_failed};

static void on_dtls_send(const void *data, gsize length, void *user)
{
    struct peer *peer = user;
    if (peer->has_remote)
        peer_group_send(peer, peer->watch.fd, &peer->remote, data, length);
}

static void on_dtls_connected(const struct peer_srtp_keys *keys, void *user)
{
    struct peer *peer = user;
    peer->srtp = peer_srtp_new(keys, peer->config.cryptex ? PEER_SRTP_EVP : peer->config.srtp);
    if (peer->cryptex)
        peer_srtp_set_cryptex(peer->srtp, true);
    peer->srtp_profile = keys->profile;
    peer->stats.dtls_us = g_get_monotonic_time();
    if (peer->state == PEER_CHECKING) /* the far end was faster than our own nomination */
        set_state(peer, PEER_HANDSHAKING);
    set_state(peer, PEER_CONNECTED);
}

static void on_dtls_failed(const char *reason, void *user)
{
    peer_fail(user, reason);
}

static const struct peer_dtls_ops dtls_ops = {
    .send = on_dtls_send, .connected = on_dtls_connected, .failed = on_dtls_failed};

/* A far end that checks by itself may be connected, and send its ClientHello, before its answer has
 * come over the slower way of signalling. Browsers keep it; without, all waits for its repetition.
 */
static void keep_early(struct peer *peer, const struct sockaddr_storage *from, const guint8 *data,
                       gsize length)
{
    g_free(peer->early);
    peer->early = g_memdup2(data, length);
    peer->early_length = length;
    peer->early_from = *from;
}

static void take_early(struct peer *peer, gint64 now)
{
    g_autofree guint8 *data = g_steal_pointer(&peer->early);
    if (data && !peer->dtls.client)
        peer_input(peer, now, &peer->early_from, data, peer->early_length);
}

void peer_input(struct peer *peer, gint64 now, const struct sockaddr_storage *from, guint8 *data,
                gsize length)
{
    peer->stats.datagrams_in++;
    if (peer->state >= PEER_FAILED || !length)
        return;
    if (data[0] < 4) { /* RFC 7983 */
        peer_ice_input(&peer->ice, now, from, data, length);
        if (peer->state < PEER_FAILED)
            peer_group_schedule(peer, now);
    } else if (data[0] >= 20 && data[0] <= 63 && peer->has_dtls) {
        if (!peer->has_remote) { /* a DTLS client may be faster than our own nomination */
            peer->remote = *from;
            peer->has_remote = true;
        }
        peer_dtls_input(&peer->dtls, data, length);
        if (peer->state < PEER_FAILED)
            peer_group_schedule(peer, now);
    } else if (data[0] >= 20 && data[0] <= 63) {
        keep_early(peer, from, data, length);
    } else if (data[0] >= 128 && data[0] <= 191) {
        peer_media_input(peer, now, data, length);
    } else {
        peer->stats.unexpected++;
    }
}

gint64 peer_tick(struct peer *peer, gint64 now)
{
    if (peer->state == PEER_NEW || peer->state >= PEER_FAILED)
        return G_MAXINT64;
    gint64 next = peer_ice_tick(&peer->ice, now);
    if (peer->has_dtls && peer->state < PEER_CONNECTED && peer->has_remote) {
        gint64 wait = peer_dtls_tick(&peer->dtls);
        next = wait == G_MAXINT64 ? next : MIN(next, now + MAX(wait, 1000));
    }
    gint64 media = peer_media_tick(peer, now);
    return MIN(next, media);
}

/* --- life ------------------------------------------------------------------------------------ */

static bool parse_address(const char *text, struct sockaddr_storage *ret)
{
    struct sockaddr_in *in = (struct sockaddr_in *)ret;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;
    memset(ret, 0, sizeof *ret);
    if (inet_pton(AF_INET, text, &in->sin_addr) == 1)
        in->sin_family = AF_INET;
    else if (inet_pton(AF_INET6, text, &in6->sin6_addr) == 1)
        in6->sin6_family = AF_INET6;
    else
        return false;
    return true;
}

static int bind_socket(const struct sockaddr_storage *address)
{
    int fd = socket(address->ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int size = SOCKET_BUFFER;
    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0)
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    if (bind(fd, (const struct sockaddr *)address, peer_address_length(address)) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void line_free(void *data)
{
    struct peer_line *line = data;
    if (line->has_source)
        peer_source_finish(&line->source);
    for (guint i = 0; i < PEER_ENCODINGS - 1; i++) {
        if (line->more[i])
            peer_source_finish(line->more[i]);
        g_free(line->more[i]);
    }
    g_free(line);
}

struct peer *peer_new(struct peer_group *group, const struct peer_config *config, GError **error)
{
    struct sockaddr_storage address;
    const char *text = config->bind_address ? config->bind_address : "127.0.0.1";
    int fd = parse_address(text, &address) ? bind_socket(&address) : -1;
    if (fd < 0) {
        g_set_error(error, PEER_ERROR, 0, "cannot bind %s: %s", text, g_strerror(errno));
        return NULL;
    }
    struct peer *peer = g_new0(struct peer, 1);
    socklen_t length = sizeof peer->local;
    peer->group = group;
    peer->config = *config;
    peer->name = g_strdup(config->name ? config->name : "peer");
    peer->config.name = peer->name;
    peer->watch = (struct peer_watch){peer, fd};
    peer->stranger = (struct peer_watch){peer, -1};
    getsockname(fd, (struct sockaddr *)&peer->local, &length);
    peer->sending = !config->hold_media;
    peer->session_id = g_random_int();
    peer->session_version = 1;
    peer->rtcp_ssrc = g_random_int();
    g_snprintf(peer->cname, sizeof peer->cname, "%08x", g_random_int());
    peer->lines = g_ptr_array_new_with_free_func(line_free);
    peer->sinks = g_ptr_array_new_with_free_func((GDestroyNotify)peer_sink_free);
    peer->heap_index = -1;
    peer->stats.created_us = g_get_monotonic_time();
    if (group->config.shared_key_off)
        peer->own_identity = peer_identity_new();
    peer_ice_init(&peer->ice, config->lite, &peer->config.faults, &ice_ops, peer);
    peer_group_watch(group, &peer->watch);
    g_ptr_array_add(group->peers, peer);
    return peer;
}

void peer_destroy(struct peer *peer)
{
    close(peer->watch.fd);
    if (peer->stranger.fd >= 0)
        close(peer->stranger.fd);
    if (peer->has_dtls)
        peer_dtls_finish(&peer->dtls);
    peer_srtp_free(peer->srtp);
    peer_identity_free(peer->own_identity);
    peer_identity_free(peer->lie);
    g_ptr_array_unref(peer->lines);
    g_ptr_array_unref(peer->sinks);
    g_free(peer->early);
    g_free(peer->failure);
    g_free(peer->name);
    g_free(peer);
}

void peer_free(struct peer *peer)
{
    if (peer && !peer->dying)
        peer_group_bury(peer);
}

void peer_close(struct peer *peer)
{
    if (peer->state == PEER_CLOSED)
        return;
    if (peer->has_dtls && peer->has_remote)
        peer_dtls_close(&peer->dtls);
    set_state(peer, PEER_CLOSED);
}

/* --- descriptions ----------------------------------------------------------------------------- */

static struct peer_identity *identity_of(struct peer *peer)
{
    return peer->own_identity ? peer->own_identity : peer->group->identity;
}

static void agree_on_cryptex(struct peer *peer, const struct peer_sdp *remote)
{
    peer->cryptex = peer->config.cryptex && peer_sdp_has_cryptex(remote);
    if (peer->srtp && peer->config.cryptex)
        peer_srtp_set_cryptex(peer->srtp, peer->cryptex);
}

static char *print_description(struct peer *peer, const char *setup, bool cryptex)
{
    const guint8 *fingerprint = identity_of(peer)->fingerprint;
    if (peer->config.faults.wrong_fingerprint) {
        if (!peer->lie)
            peer->lie = peer_identity_new();
        fingerprint = peer->lie->fingerprint;
    }
    struct peer_sdp_text text = {
        .session_id = peer->session_id,
        .version = peer->session_version++,
        .ufrag = peer->ice.local_ufrag,
        .pwd = peer->ice.local_pwd,
        .setup = setup,
        .cname = peer->cname,
        .lite = peer->config.lite,
        .cryptex = cryptex,
        .fingerprint = fingerprint,
        .address = &peer->local,
    };
    g_autofree struct peer_sdp_line *lines = g_new0(struct peer_sdp_line, peer->lines->len);
    for (guint i = 0; i < peer->lines->len; i++) {
        const struct peer_line *line = peer->lines->pdata[i];
        bool tell = line->has_source && !peer->config.no_ssrc_attribute &&
                    line->direction & PEER_SENDONLY && !line->rids[0];
        lines[i] = (struct peer_sdp_line){
            .kind = line->kind,
            .mid = line->mid,
            .application = line->application,
            .rejected = line->rejected,
            .rejected_line = line->rejected_line,
            .direction = line->direction,
            .pt = line->pt,
            .mid_extension = line->mid_extension,
            .level_extension = line->level_extension,
            .rid_extension = line->rid_extension,
            .rids = line->rids[0] && line->direction & PEER_SENDONLY ? line->rids : NULL,
            .wide_extension = line->wide_extension,
            .ssrc = tell ? line->source.ssrc : 0,
            .nack = line->nack,
            .rtx_pt = line->rtx_pt,
            .h264 = line->h264,
            .rtx_ssrc = line->source.rtx_ssrc,
        };
    }
    return peer_sdp_print(&text, lines, peer->lines->len);
}

static struct peer_line *line_new(const struct peer *peer, guint config)
{
    struct peer_line *line = g_new0(struct peer_line, 1);
    line->config = config;
    line->kind = peer->config.medias[config].kind;
    return line;
}

static void set_up_source(const struct peer *peer, const struct peer_line *line,
                          struct peer_source *source)
{
    source->pt = line->pt;
    source->rtx_pt = line->rtx_pt;
    source->stats.rtx_ssrc = line->rtx_pt ? source->rtx_ssrc : 0;
    source->mid_extension = peer->config.no_mid_extension ? 0 : line->mid_extension;
    source->level_extension = line->level_extension;
    source->wide_extension = line->wide_extension;
    source->rid_extension = line->rids[0] ? line->rid_extension : 0;
    g_strlcpy(source->mid, line->mid, sizeof source->mid);
    g_strlcpy(source->stats.mid, line->mid, sizeof source->stats.mid);
}

/* What encoding `i` of `n` is made of: half the picture of the one above it, and a quarter of
 * the bitrate. */
static struct peer_media_config encoding_config(const struct peer_media_config *config, guint i,
                                                guint n)
{
    struct peer_media_config ret = *config;
    ret.bitrate = ret.bitrate ? ret.bitrate : 1500000;
    for (ret.halvings = 0; ret.halvings < n - 1 - i; ret.halvings++)
        ret.bitrate /= 4;
    /* A frame has one packet at least: shorter ones, or a small encoding would not be one. */
    guint frame = ret.bitrate / 8 / (ret.fps ? ret.fps : 30);
    ret.packet_size = CLAMP(frame, 560u, ret.packet_size ? ret.packet_size : 1200u);
    return ret;
}

/* The source of a line lives as long as the line, so that its SSRC stays over changes of direction.
 */
static void provide_source(const struct peer *peer, struct peer_line *line)
{
    const struct peer_media_config *config = &peer->config.medias[line->config];
    guint n = (guint)strlen(line->rids);
    if (!line->has_source && !line->rejected && line->direction & PEER_SENDONLY) {
        struct peer_media_config first = n ? encoding_config(config, 0, n) : *config;
        peer_source_init(&line->source, &first);
        line->has_source = true;
        for (guint i = 1; i < n; i++) {
            struct peer_media_config next = encoding_config(config, i, n);
            line->more[i - 1] = g_new(struct peer_source, 1);
            peer_source_init(line->more[i - 1], &next);
        }
    }
    struct peer_source *sources[PEER_ENCODINGS];
    for (guint i = peer_line_sources(line, sources); i-- > 0;) {
        set_up_source(peer, line, sources[i]);
        sources[i]->rid = (guint8)line->rids[i];
    }
}

static enum peer_direction reverse(enum peer_direction direction)
{
    return (enum peer_direction)((direction & 1) << 1 | (direction & 2) >> 1);
}

static const struct peer_sdp_codec *wanted_codec(const struct peer_sdp_media *media,
                                                 const struct peer_media_config *config)
{
    const char *name = config->kind == PEER_AUDIO ? "opus" : config->h264 ? "H264" : "VP8";
    for (guint i = 0; i < media->codecs->len; i++) {
        const struct peer_sdp_codec *codec =
            &g_array_index(media->codecs, struct peer_sdp_codec, i);
        if (!g_ascii_strcasecmp(codec->name, name))
            return codec;
    }
    return NULL;
}

/* The payload type of retransmissions of `pt`; 0 = none. */
static guint8 rtx_of(const struct peer_sdp_media *media, guint8 pt)
{
    for (guint i = 0; i < media->codecs->len; i++) {
        const struct peer_sdp_codec *codec =
            &g_array_index(media->codecs, struct peer_sdp_codec, i);
        if (!g_ascii_strcasecmp(codec->name, "rtx") && codec->apt == pt)
            return codec->pt;
    }
    return 0;
}

static void reject_line(struct peer_line *line, const char *kind, const char *proto,
                        const char *formats)
{
    line->rejected = true;
    line->direction = PEER_INACTIVE;
    g_snprintf(line->rejected_line, sizeof line->rejected_line, "%s 0 %s %s", kind, proto, formats);
}

/* What the far side's m-line makes of ours. */
static void merge_line(const struct peer *peer, struct peer_line *line,
                       const struct peer_sdp_media *media)
{
    const struct peer_media_config *config = &peer->config.medias[line->config];
    const struct peer_sdp_codec *codec = wanted_codec(media, config);
    if (!codec || (media->port == 0 && !media->bundle_only) || peer->stopped[line->config]) {
        reject_line(line, media->kind, media->proto, media->formats);
        return;
    }
    line->rejected = false;
    line->direction = config->direction & reverse(media->direction);
    if (config->h264)
        line->direction &= PEER_RECVONLY;
    line->h264 = config->h264;
    line->pt = codec->pt;
    line->nack = codec->nack && config->nack;
    line->rtx_pt = line->nack && config->rtx ? rtx_of(media, line->pt) : 0;
    line->remote_ssrc = media->ssrc;
    line->remote_rtx_ssrc = media->rtx_ssrc;
    line->mid_extension = peer->config.no_mid_extension ? 0 : media->mid_extension;
    if (config->simulcast && !line->has_source && media->rid_extension) {
        line->rid_extension = media->rid_extension;
        g_strlcpy(line->rids, media->rids, sizeof line->rids);
    }
    line->level_extension = config->levels && line->kind == PEER_AUDIO ? media->level_extension : 0;
    line->wide_extension = peer->config.wide && codec->transport_cc ? media->wide_extension : 0;
}

static bool config_taken(const struct peer *peer, guint config)
{
    if (peer->stopped[config])
        return true;
    for (guint i = 0; i < peer->lines->len; i++) {
        const struct peer_line *line = peer->lines->pdata[i];
        if (!line->rejected && line->config == config)
            return true;
    }
    return false;
}

/* A line of ours for an m-line that is new: of a configured medium that is free, or a rejection. */
static struct peer_line *new_line_for(const struct peer *peer, const struct peer_sdp_media *media)
{
    struct peer_line *line = NULL;
    enum peer_kind kind = !strcmp(media->kind, "video") ? PEER_VIDEO : PEER_AUDIO;
    bool known = kind == PEER_VIDEO || !strcmp(media->kind, "audio");
    for (guint i = 0; i < peer->config.n_medias && known && media->port && !line; i++)
        if (peer->config.medias[i].kind == kind && !config_taken(peer, i))
            line = line_new(peer, i);
    if (!line) {
        line = g_new0(struct peer_line, 1);
        line->config = NO_CONFIG;
        line->application = peer->config.data && !strcmp(media->kind, "application");
    }
    if (line->config == NO_CONFIG && !line->application) {
        reject_line(line, media->kind, media->proto, media->formats);
    }
    g_strlcpy(line->mid, media->mid, sizeof line->mid);
    return line;
}

/* The line for the offered m-line `index`: the one it already has, unless that was rejected and the
 * m-line is used again (RFC 9429 5.2.2). */
static void answer_line(struct peer *peer, guint index, const struct peer_sdp_media *media)
{
    struct peer_line *line = index < peer->lines->len ? peer->lines->pdata[index] : NULL;
    if (line && line->rejected && strcmp(line->mid, media->mid) != 0) {
        struct peer_line *former = line;
        line = peer->lines->pdata[index] = new_line_for(peer, media);
        line_free(former);
    } else if (!line) {
        line = new_line_for(peer, media);
        g_ptr_array_add(peer->lines, line);
    }
    if (line->config == NO_CONFIG)
        return;
    merge_line(peer, line, media);
    provide_source(peer, line);
}

static void begin_transport(struct peer *peer, const struct peer_sdp *remote, bool client,
                            gint64 now)
{
    if (!peer->has_dtls) {
        static const enum peer_srtp_profile all[] = {
            PEER_SRTP_AEAD_AES_128_GCM, PEER_SRTP_AES128_CM_SHA1_80, PEER_SRTP_AEAD_AES_256_GCM};
        guint n = peer->config.n_srtp_profiles;
        peer_dtls_init(&peer->dtls, identity_of(peer), client, remote->fingerprint,
                       n ? peer->config.srtp_profiles : all, n ? n : G_N_ELEMENTS(all), &dtls_ops,
                       peer);
        peer->has_dtls = true;
        if (peer->config.dtls_repeat_ms)
            peer_dtls_set_repeat(&peer->dtls, peer->config.dtls_repeat_ms * 1000);
    }
    bool same = !strcmp(remote->ufrag, peer->ice.remote_ufrag) &&
                !strcmp(remote->pwd, peer->ice.remote_pwd);
    if (!same) {
        const struct sockaddr_storage *candidates =
            (const struct sockaddr_storage *)(void *)remote->candidates->data;
        peer_ice_start(&peer->ice, now, peer->offerer || remote->lite, remote->ufrag, remote->pwd,
                       candidates, remote->candidates->len);
    }
    if (peer->state == PEER_NEW)
        set_state(peer, PEER_CHECKING);
    if (peer->config.faults.dtls_before_ice && remote->candidates->len) {
        peer->remote = g_array_index(remote->candidates, struct sockaddr_storage, 0);
        peer->has_remote = true;
        start_dtls(peer);
    }
    peer_media_update(peer, now);
    peer_group_schedule(peer, now);
    take_early(peer, now);
}

char *peer_answer(struct peer *peer, const char *offer, GError **error)
{
    struct peer_sdp *remote = peer_sdp_parse(offer, error);
    if (!remote)
        return NULL;
    bool restarted = peer->ice.started && strcmp(remote->ufrag, peer->ice.remote_ufrag) != 0;
    if (restarted) /* RFC 8839 4.4.1.1.1: the answer to a restart has new ones too */
        peer_ice_restart(&peer->ice);
    for (guint i = 0; i < remote->medias->len; i++)
        answer_line(peer, i, &g_array_index(remote->medias, struct peer_sdp_media, i));
    agree_on_cryptex(peer, remote);
    bool client = strcmp(remote->setup, "active") != 0;
    if (!strcmp(remote->setup, "actpass") && peer->config.dtls_role == PEER_DTLS_SERVER)
        client = false;
    if (peer->has_dtls) /* RFC 8842 5.5: the roles of a running association stay */
        client = peer->dtls.client;
    char *answer = print_description(peer, client ? "active" : "passive", peer->cryptex);
    if (!peer->ice.started)
        peer->offerer = false;
    begin_transport(peer, remote, client, g_get_monotonic_time());
    peer_sdp_free(remote);
    return answer;
}

static bool has_mid(const struct peer *peer, const char *mid)
{
    for (guint i = 0; i < peer->lines->len; i++)
        if (!strcmp(((struct peer_line *)peer->lines->pdata[i])->mid, mid))
            return true;
    return false;
}

static void offer_lines(struct peer *peer)
{
    for (guint i = 0; i < peer->config.n_medias; i++) {
        if (config_taken(peer, i))
            continue;
        struct peer_line *line = line_new(peer, i);
        guint number = peer->lines->len;
        do
            g_snprintf(line->mid, sizeof line->mid, "%u", number++);
        while (has_mid(peer, line->mid));
        line->pt = line->kind == PEER_AUDIO ? OPUS_PT : VP8_PT;
        line->mid_extension = peer->config.no_mid_extension ? 0 : MID_EXTENSION;
        if (line->kind == PEER_AUDIO && peer->config.medias[line->config].levels)
            line->level_extension = LEVEL_EXTENSION;
        line->wide_extension = peer->config.wide ? WIDE_EXTENSION : 0;
        g_ptr_array_add(peer->lines, line);
    }
    for (guint i = 0; i < peer->lines->len; i++) {
        struct peer_line *line = peer->lines->pdata[i];
        if (line->application)
            continue;
        if (!line->rejected && peer->stopped[line->config])
            reject_line(line, line->kind == PEER_AUDIO ? "audio" : "video", "UDP/TLS/RTP/SAVPF",
                        line->kind == PEER_AUDIO ? "111" : "96");
        if (line->rejected)
            continue;
        line->direction = peer->config.medias[line->config].direction;
        line->nack = peer->config.medias[line->config].nack;
        if (line->nack && peer->config.medias[line->config].rtx && !line->rtx_pt)
            line->rtx_pt = VP8_PT + 1;
        provide_source(peer, line);
    }
}

char *peer_offer(struct peer *peer, GError **error)
{
    if (!peer->config.n_medias) {
        g_set_error(error, PEER_ERROR, 0, "nothing to offer");
        return NULL;
    }
    offer_lines(peer);
    if (!peer->ice.started)
        peer->offerer = true;
    return print_description(peer, "actpass", peer->config.cryptex);
}

bool peer_set_answer(struct peer *peer, const char *answer, GError **error)
{
    struct peer_sdp *remote = peer_sdp_parse(answer, error);
    if (!remote)
        return false;
    if (remote->medias->len != peer->lines->len) {
        g_set_error(error, PEER_ERROR, 0, "answer has %u m-lines, the offer had %u",
                    remote->medias->len, peer->lines->len);
        peer_sdp_free(remote);
        return false;
    }
    for (guint i = 0; i < peer->lines->len; i++) {
        struct peer_line *line = peer->lines->pdata[i];
        if (line->rejected || line->application)
            continue;
        merge_line(peer, line, &g_array_index(remote->medias, struct peer_sdp_media, i));
        provide_source(peer, line);
    }
    agree_on_cryptex(peer, remote);
    begin_transport(peer, remote, !strcmp(remote->setup, "passive"), g_get_monotonic_time());
    peer_sdp_free(remote);
    return true;
}

void peer_connect_static(struct peer *peer, const struct sockaddr_storage *remote,
                         enum peer_srtp_profile profile, const uint8_t *local_master,
                         const uint8_t *remote_master)
{
    struct peer_srtp_keys keys = {.profile = profile};
    const struct peer_srtp_profile_row *row = peer_srtp_profile_find(profile, NULL);
    g_return_if_fail(peer->state == PEER_NEW && row);
    memcpy(keys.local, local_master, row->key_length + row->salt_length);
    memcpy(keys.remote, remote_master, row->key_length + row->salt_length);
    offer_lines(peer);
    peer->remote = *remote;
    peer->has_remote = true;
    peer->stats.ice_us = g_get_monotonic_time();
    set_state(peer, PEER_CHECKING);
    on_dtls_connected(&keys, peer);
}

void peer_set_direction(struct peer *peer, guint index, enum peer_direction direction)
{
    g_return_if_fail(index < peer->config.n_medias);
    peer->config.medias[index].direction = direction;
}

bool peer_add_media(struct peer *peer, const struct peer_media_config *media)
{
    if (peer->config.n_medias == PEER_MEDIA_CONFIGS)
        return false;
    peer->config.medias[peer->config.n_medias++] = *media;
    return true;
}

void peer_stop_media(struct peer *peer, guint index)
{
    g_return_if_fail(index < peer->config.n_medias);
    peer->stopped[index] = true;
}

void peer_restart_ice(struct peer *peer)
{
    peer_ice_restart(&peer->ice);
}
