/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What group.c, peer.c and peer-media.c share. */
#include "tests/support/peer/dtls.h"
#include "tests/support/peer/ice.h"
#include "tests/support/peer/peer.h"
#include "tests/support/peer/sdp.h"
#include "tests/support/peer/sink.h"
#include "tests/support/peer/source.h"
#include "tests/support/peer/srtp.h"
#include "tests/support/peer/wide.h"

#include <sys/socket.h>
#include <sys/uio.h>

#define BURST_PACKETS 256
#define RECEIVE_BATCH 32

struct peer_burst { /* packets back to back */
    guint8 *data;
    gsize used;
    guint n;
    guint16 lengths[BURST_PACKETS];
    gsize offsets[BURST_PACKETS];
};

struct peer_group {
    struct peer_group_config config;
    int epoll_fd, timer_fd;
    struct peer_identity *identity;
    GPtrArray *peers;   /* owned */
    GPtrArray *dead;    /* freed after the dispatch */
    struct peer **heap; /* by due_us */
    guint n_heap, heap_size;
    gint64 armed_us;
    bool dispatching;
    GSource *source;
    struct peer_burst burst;
    guint8 *receive_data;
    gsize receive_size;
    struct mmsghdr messages[RECEIVE_BATCH];
    struct iovec vectors[RECEIVE_BATCH];
    struct sockaddr_storage addresses[RECEIVE_BATCH];
    guint8 controls[RECEIVE_BATCH][128];
    guint8 tos; /* of the datagram that is being delivered */
};

struct peer_traffic {
    struct peer_traffic_config config;
    struct peer_traffic_stats stats;
    guint64 emitted;
    gint64 begun_us, first_end_us, ssrc_us;
    double tokens; /* octets in the bucket */
    guint32 ssrc;
    guint16 sequence;
};

struct peer_watch {
    struct peer *peer;
    int fd;
};

/* One m-line of the session. */
struct peer_line {
    guint config; /* index in peer_config.medias */
    enum peer_kind kind;
    bool application; /* data channels: neither configured nor a source */
    bool rejected;
    char rejected_line[300];
    char mid[PEER_MID_MAX + 1];
    enum peer_direction direction; /* ours */
    guint8 pt, mid_extension, level_extension, rid_extension, wide_extension;
    char rids[PEER_ENCODINGS + 1];                /* that are sent; "" = no simulcast */
    struct peer_source *more[PEER_ENCODINGS - 1]; /* of the rids after the first */
    guint32 remote_ssrc, remote_rtx_ssrc;
    guint8 rtx_pt; /* 0 = none */
    bool h264;
    bool nack;
    struct peer_source source;
    bool has_source;
};

/* All sources of the m-line, at most PEER_ENCODINGS of them. */
static inline guint peer_line_sources(struct peer_line *line,
                                      struct peer_source *ret[PEER_ENCODINGS])
{
    guint n = 0;
    if (line->has_source)
        ret[n++] = &line->source;
    for (guint i = 0; i < PEER_ENCODINGS - 1; i++) {
        if (line->more[i])
            ret[n++] = line->more[i];
    }
    return n;
}

struct peer {
    struct peer_group *group;
    struct peer_config config;
    char *name;
    enum peer_state state;
    char *failure;
    struct peer_watch watch, stranger;
    struct sockaddr_storage local, remote;
    bool has_remote;
    struct peer_identity *own_identity, *lie; /* NULL unless asked */
    struct peer_ice ice;
    struct peer_dtls dtls;
    bool has_dtls;
    guint8 *early; /* a DTLS datagram before the description of who sends it, or NULL */
    gsize early_length;
    struct sockaddr_storage early_from;
    struct peer_srtp *srtp;
    enum peer_srtp_profile srtp_profile; /* of srtp */
    guint64 session_id, session_version;
    char cname[20];
    guint32 rtcp_ssrc;
    GPtrArray *lines; /* struct peer_line */
    GPtrArray *sinks; /* struct peer_sink */
    guint last_sink;
    bool offerer, sending, dying;
    bool cryptex; /* negotiated */
    bool stopped[PEER_MEDIA_CONFIGS];
    gint64 rtcp_due_us;
    struct peer_wide wide;
    struct peer_traffic traffics[PEER_TRAFFICS];
    guint n_traffics;
    struct histogram latency;
    struct peer_stats stats;
    gint64 due_us;
    int heap_index; /* -1 = not in it */
};

/* group.c */
bool peer_group_watch(struct peer_group *group, struct peer_watch *watch);
void peer_group_schedule(struct peer *peer, gint64 due_us);
void peer_group_bury(struct peer *peer);
void peer_group_send(struct peer *peer, int fd, const struct sockaddr_storage *to, const void *data,
                     gsize length);
void peer_group_flush(struct peer *peer);
socklen_t peer_address_length(const struct sockaddr_storage *address);

/* peer.c */
void peer_destroy(struct peer *peer);
void peer_input(struct peer *peer, gint64 now, const struct sockaddr_storage *from, guint8 *data,
                gsize length);
gint64 peer_tick(struct peer *peer, gint64 now);
void peer_fail(struct peer *peer, const char *reason);

/* traffic.c */
gint64 peer_traffic_tick(struct peer *peer, gint64 now);
/* Octets of IP and UDP header in front of what is sent. */
guint peer_ip_overhead(const struct peer *peer);

/* peer-media.c */
void peer_media_input(struct peer *peer, gint64 now, guint8 *data, gsize length);
gint64 peer_media_tick(struct peer *peer, gint64 now);
/* Starts and stops sources as state, direction and peer_set_sending() say. */
void peer_media_update(struct peer *peer, gint64 now);
