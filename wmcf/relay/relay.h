/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The packet path: N workers, each one thread with its own UDP port, legs multiplexed on it.
 * Demultiplexes STUN, DTLS, RTP and RTCP (RFC 7983), does ICE as a lite agent (RFC 8445 2.5) or as
 * a full one, does SRTP and SRTCP, routes media from publishers to subscribers, terminates RTCP. No
 * GStreamer, no JSON, no lock, no allocation and no log line per packet.
 *
 * Ownership: a leg belongs to one worker, chosen at relay_leg_new() by its group (the context), so
 * legs of one context share a worker. Control → worker and back by message queues with eventfd.
 *
 * Threads: every function and callback here on the control thread. */
#include "base/problem.h"
#include "qos/qos.h"

#include <glib.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define RELAY_MID_MAX 16
#define RELAY_CODECS_MAX 16
#define RELAY_SSRCS_MAX 16
#define RELAY_MEDIAS_MAX 64

struct relay;
struct relay_leg;

/* All from the configuration table. */
struct relay_config {
    const char *const *bind; /* numeric addresses; NULL-terminated; empty = every address of the
                              * machine (loopback only when there is no other) */
    const char *const *advertise; /* "local=public" or "public": 1:1 NAT */
    guint port;                   /* first UDP port; worker i has port + i; 0 = any free (tests) */
    guint workers;                /* 0 = one per core */
    guint legs_max;
    guint socket_buffer;                    /* octets, SO_RCVBUF/SO_SNDBUF */
    guint video_buffer_ms, audio_buffer_ms; /* retransmission history */
    guint consent_timeout_ms;               /* 30000 */
    guint source_timeout_ms;   /* silent so long, an SSRC gives way to a new one; 0 = 30000 */
    guint inactivity_ms;       /* no media on an open stream: mediaInactivity; 0 = never */
    guint pli_interval_ms;     /* 500 */
    guint nack_buffer_packets; /* upper limit per stream */
    guint streams_max;         /* SSRCs per leg, receive side */
    guint stun_rate_unknown;   /* STUN requests/s and worker with an unknown ufrag or bad integrity
                                * that are still looked at */
    guint own_port, own_ports; /* legs with ice_full have ports of their own: the first, and how
                                * many; 0 = any that are free */
    guint ice_pairs_max;       /* candidate pairs that a leg checks by itself */
    guint ice_checks_max;      /* checks of a leg between two ICE restarts, repetitions too */
    guint discard_report_ms;   /* policingDiscard of one medium and direction at most so often */
    struct qos *qos; /* told of media addresses and ports; borrowed. NULL = none (tests) */
};

struct relay_address {                  /* a media address: one of a worker's sockets */
    struct sockaddr_storage local;      /* bound */
    struct sockaddr_storage advertised; /* what candidates say */
    uint32_t priority;                  /* of the host candidate (RFC 8445 5.1.2, RFC 8421) */
};

struct relay_candidate { /* of the endpoint: UDP, component 1, a numeric address */
    struct sockaddr_storage address;
    uint32_t priority;
};

enum relay_kind { RELAY_AUDIO, RELAY_VIDEO };

struct relay_codec {
    uint8_t pt;
    uint32_t clock_rate;
    const char *format; /* interned; equal pointers = same payload (sdp.h) */
    bool nack, pli;     /* feedback that was negotiated */
};

/* One m-line as negotiated, from our side. */
struct relay_media {
    char mid[RELAY_MID_MAX + 1];
    enum relay_kind kind;
    bool receive, send;                     /* endpoint → us, us → endpoint */
    uint8_t mid_extmap, audio_level_extmap; /* 0 = none */
    struct relay_codec recv_codecs[RELAY_CODECS_MAX];
    guint n_recv_codecs;
    struct relay_codec send_codecs[RELAY_CODECS_MAX];
    guint n_send_codecs;
    uint32_t remote_ssrcs[RELAY_SSRCS_MAX];
    guint n_remote_ssrcs;
    uint32_t local_ssrc;
    bool rtcp_rsize;
    struct qos_slot *slot[2]; /* by enum qos_direction; outlive the leg's `released` */
};

enum relay_srtp_profile { RELAY_SRTP_AES128_CM_HMAC_SHA1_80 = 0x0001 };
struct relay_srtp_keys {
    enum relay_srtp_profile profile;
    uint8_t local_key[32], local_salt[14], remote_key[32], remote_salt[14];
    guint key_length, salt_length;
};

struct relay_leg_ops {
    /* ICE nominated a pair, first or another one: addresses for iceConnected. */
    void (*ice_connected)(void *user, const struct sockaddr_storage *local,
                          const struct sockaddr_storage *remote);
    /* The leg's own checks have all failed; told once per ICE generation. The endpoint may still
     * find a path, then ice_connected follows. `reason` is one sentence, static. */
    void (*ice_failed)(void *user, const char *reason);
    /* No valid STUN for consent_timeout_ms after having been connected (RFC 7675). */
    void (*consent_expired)(void *user);
    /* A DTLS datagram from a validated source. Borrowed. */
    void (*dtls)(void *user, GBytes *datagram);
    /* First RTP packet of a medium that was forwarded or consumed. */
    void (*first_media)(void *user, const char *mid);
    /* First packet dropped at a closed gate since it closed, by the relay or by the kernel (then
     * within a second). Data channels too. */
    void (*media_gated)(void *user, const char *mid, enum qos_direction direction);
    /* So many packets were in excess since the last time: the first within a second, then at most
     * every discard_report_ms. Data channels too. */
    void (*policing_discard)(void *user, const char *mid, enum qos_direction direction,
                             uint64_t packets);
    void (*media_inactivity)(void *user, const char *mid);
    /* The worker has let go of the leg and its slots; nothing follows. The leg pointer is dead. */
    void (*released)(void *user);
};

/* A leg without a network: what it "receives" are packets of this process (a pipeline). */
struct relay_local_ops {
    /* A subscriber needs a key frame of the n-th medium of relay_leg_set_medias(). On the worker's
     * thread: never blocks, touches atomics alone. */
    void (*key_frame)(void *user, guint medium);
};
struct relay_local_config {
    const struct relay_local_ops *ops; /* by reference; both live until `released` */
    void *user;
    guint queue_packets; /* on their way to the worker at most; more are dropped and counted */
};

struct relay_leg_config {
    guint64 group;                       /* the context: same group, same worker */
    const char *name;                    /* terminationId, for dumps; copied */
    const char *local_ufrag, *local_pwd; /* copied; the ufrag is unique in the process */
    bool ice_full;                       /* it will check by itself: see relay_remote_ice */
    const char *cname;
    const struct relay_leg_ops *ops;
    void *user;
    struct qos_transport *transport; /* told of the pair and the SSRCs; outlives `released`. NULL =
                                      * the relay alone judges */
    const struct relay_local_config *local; /* NULL = a leg with ICE and SRTP; copied. With it:
                                             * ufrag, pwd and keys are not used */
};

/* Binds all sockets, starts the workers. Transfer full; NULL and *error that names address, port
 * and remedy. */
struct relay *relay_new(const struct relay_config *config, GError **error);
/* Stops and joins the workers; every leg must have been released. */
void relay_free(struct relay *relay);
guint relay_workers(const struct relay *relay);

/* RESOURCES_UNAVAILABLE at the limit. Owned by the relay; ended by relay_leg_release(). */
struct relay_leg *relay_leg_new(struct relay *relay, const struct relay_leg_config *config,
                                GError **error);
/* The leg's candidates, its own or those of its worker; *ret_n of them, borrowed, live as long as
 * the leg. */
const struct relay_address *relay_leg_addresses(const struct relay_leg *leg, gsize *ret_n);

enum relay_ice_role {
    RELAY_ICE_LITE,       /* the endpoint checks, we answer */
    RELAY_ICE_CONTROLLED, /* both check */
    RELAY_ICE_CONTROLLING,
};
struct relay_remote_ice {
    const char *ufrag, *pwd;                  /* copied */
    enum relay_ice_role role;                 /* ours; a conflict is settled in the worker */
    const struct relay_candidate *candidates; /* copied */
    gsize n_candidates;
    bool complete; /* no candidate will follow: all failed is final */
};
/* The endpoint's side of ICE. The same credentials again only add candidates. After
 * relay_leg_prepare_ice() it begins the new generation: checks start anew, the nominated pair
 * carries media until another is nominated, and the former credentials go on answering until then
 * (RFC 8445 9). */
void relay_leg_set_remote_ice(struct relay_leg *leg, const struct relay_remote_ice *remote);
/* Candidates that come later (RFC 8838), of the generation in force. */
void relay_leg_add_candidates(struct relay_leg *leg, const struct relay_candidate *candidates,
                              gsize n, bool complete);
/* An ICE restart begins: these credentials answer besides the ones in force. Replaces prepared
 * ones. */
void relay_leg_prepare_ice(struct relay_leg *leg, const char *local_ufrag, const char *local_pwd);
/* It does not take place: the prepared credentials go. */
void relay_leg_cancel_ice(struct relay_leg *leg);
/* SRTP keys: media may flow from now on. Copied, and wiped in the worker at release. */
void relay_leg_set_keys(struct relay_leg *leg, const struct relay_srtp_keys *keys);
/* Replaces the leg's whole set of m-lines (copied). State of streams whose m-line goes on is kept.
 */
void relay_leg_set_medias(struct relay_leg *leg, const struct relay_media *medias, guint n);
/* The leg's data channels: DTLS application data is judged by these slots, handshakes and alerts
 * are not. `mid` NULL = there are none, then all DTLS passes. Slots outlive the next call or the
 * leg's `released`, as those of a medium do. */
void relay_leg_set_data(struct relay_leg *leg, const char *mid, struct qos_slot *uplink,
                        struct qos_slot *downlink);
/* To be told before the uplink gate of a medium opens: what was withheld is no loss, the stream
 * begins anew with the next packet. */
void relay_leg_gate_opened(struct relay_leg *leg, const char *mid);
/* To the nominated address; dropped before there is one. */
void relay_leg_send_dtls(struct relay_leg *leg, GBytes *datagram);
/* Asks the source of a received medium for a key frame (throttled as ever). */
void relay_leg_request_key_frame(struct relay_leg *leg, const char *mid);
/* Lets go of the leg: no callback but `released` after this. */
void relay_leg_release(struct relay_leg *leg);

/* Routes: subscriber's medium `to_mid` gets what publisher's medium `from_mid` receives. One source
 * per destination; NULL `from` disconnects. A new video route asks for a key frame. The source
 * going away disconnects by itself. */
void relay_route(struct relay_leg *from, const char *from_mid, struct relay_leg *to,
                 const char *to_mid);

/* --- local sources (local-source.c) ----------------------------------------------------------- */

struct relay_local;
/* The way in of a leg made with `local`. Lives until `released`. Borrowed. */
struct relay_local *relay_leg_local(const struct relay_leg *leg);

struct relay_local_packet {
    const uint8_t *data; /* RTP in clear; borrowed for the call, copied */
    size_t length;
    int64_t at; /* monotonic µs at which its timestamp is due: what sender reports tell */
};
/* A burst of the n-th medium. Any thread, until relay_leg_release(); one medium by one thread.
 * Never blocks. */
void relay_local_push(struct relay_local *local, guint medium,
                      const struct relay_local_packet *packets, guint n);
/* Packets for which the queue was full, and those that were no RTP or too long. Any thread. */
uint64_t relay_local_dropped(const struct relay_local *local);
uint64_t relay_local_refused(const struct relay_local *local);

/* --- what the operator sees ------------------------------------------------------------------- */

struct relay_media_stats {
    char mid[RELAY_MID_MAX + 1];
    enum relay_kind kind;
    /* received from the endpoint */
    uint64_t packets_in, octets_in, lost_in, retransmitted_in, duplicates_in, decrypt_failed;
    uint32_t jitter_in; /* clock units (RFC 3550 A.8) */
    uint32_t ssrc_in;
    uint8_t pt_in;
    int64_t last_packet_in; /* monotonic µs, 0 = never */
    int64_t last_key_frame; /* video, 0 = never */
    uint64_t key_frames;
    uint64_t nack_sent, pli_sent;
    /* sent to the endpoint */
    uint64_t packets_out, octets_out, retransmitted_out, nack_received, pli_received;
    uint64_t no_codec; /* not forwarded: the subscriber did not negotiate this format */
    uint32_t ssrc_out;
    int64_t last_packet_out;
    /* from the endpoint's receiver reports about what we send */
    int32_t lost_remote;
    uint8_t fraction_lost_remote;
    uint32_t jitter_remote;
    uint32_t round_trip_us; /* 0 = not known */
};
struct relay_leg_stats {
    bool ice_connected;
    struct sockaddr_storage local, remote; /* nominated */
    int64_t last_stun;                     /* monotonic µs */
    uint64_t stun_requests;
    uint64_t
        unvalidated_dropped; /* RTP/RTCP/DTLS for this leg from an address ICE has not validated */
    uint64_t unknown_ssrc_dropped; /* RTP of no medium, or of one SSRC too many of it */
    uint64_t moved_ssrc_dropped;   /* RTP whose MID moves its SSRC more often than allowed */
    uint64_t rtcp_gated;           /* while every gate was closed */
    uint64_t srtp_failed, replayed;
    uint64_t send_failed;
    bool srtp;
    guint worker;
    guint n_medias;
    struct relay_media_stats medias[RELAY_MEDIAS_MAX];
};
/* Asks the worker for a snapshot; `done` from the loop. One that was asked for before
 * relay_leg_release() comes before `released`: a last look at a leg that goes. */
typedef void (*relay_stats_fn)(const struct relay_leg_stats *stats, void *user);
void relay_leg_stats(struct relay_leg *leg, relay_stats_fn done, void *user);

/* Per-worker totals, atomics: for metrics and tests. */
struct relay_worker_stats {
    uint64_t packets_in, octets_in, packets_out, octets_out;
    uint64_t unknown_source_dropped; /* no leg has validated this address */
    uint64_t malformed;              /* neither STUN, DTLS, RTP nor RTCP, or broken */
    uint64_t stun_rejected;
    uint64_t receive_batches, send_calls, gso_fallbacks, send_dropped;
    uint64_t gate_discarded, policing_discarded; /* by the relay, not by the kernel */
    uint32_t legs;
};
void relay_worker_stats(const struct relay *relay, guint worker, struct relay_worker_stats *ret);
