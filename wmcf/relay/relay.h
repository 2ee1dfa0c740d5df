/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The packet path: N workers, each one thread with its own UDP port, legs multiplexed on it.
 * Demultiplexes STUN, DTLS, RTP and RTCP (RFC 7983), does ICE as a lite agent (RFC 8445 2.5) or as
 * a full one, does SRTP and SRTCP, routes media from publishers to subscribers, terminates RTCP. No
 * GStreamer, no JSON, no lock, no allocation and no log line per packet.
 *
 * Ownership: a leg belongs to one worker, chosen at relay_leg_new() by load and by its group (the
 * context): legs of one context share a worker up to `spread_legs`. A stream that is wanted in
 * another worker crosses to it once, by a ring. Control → worker and back by message queues with
 * eventfd.
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
#define RELAY_RID_MAX 16
#define RELAY_ENCODINGS_MAX 4 /* of one m-line: simulcast (RFC 8853) */
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
    guint spread_legs;   /* of one group on one worker, before others are used; 0 = 32 */
    guint ring_buffer;   /* octets on their way from one worker to another at most; 0 = 2 MiB */
    guint socket_buffer; /* octets, SO_RCVBUF/SO_SNDBUF */
    guint video_buffer_ms, audio_buffer_ms; /* retransmission history */
    guint consent_timeout_ms;               /* 30000 */
    guint source_timeout_ms;   /* silent so long, an SSRC gives way to a new one; 0 = 30000 */
    guint inactivity_ms;       /* no media on an open stream: mediaInactivity; 0 = never */
    guint pli_interval_ms;     /* 500 */
    guint nack_buffer_packets; /* upper limit per stream */
    guint buffer_mib;          /* 1024; all histories of a worker */
    guint bitrate_start, bitrate_min, bitrate_max; /* kbit/s of the estimates; 0 = 800, 50, 50000 */
    guint send_history;      /* packets of a leg of which feedback may still come; 0 = 8192 */
    guint pacing_ms;         /* so long a video packet may wait behind a burst; 0 = 200 */
    guint pause_after_ms;    /* a video whose lowest layer is too much goes on so long; 0 = 2000 */
    guint streams_max;       /* SSRCs per leg, receive side */
    guint stun_rate_unknown; /* STUN requests/s and worker with an unknown ufrag or bad integrity
                              * that are still looked at */
    guint dtls_rate;         /* DTLS datagrams/s of a leg, other than data of its channels, that are
                              * looked at; 0 = 100 */
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
    const char *format;  /* interned; equal pointers = same payload (sdp.h) */
    bool nack, pli, fir; /* feedback that was negotiated */
    uint8_t rtx_pt;      /* of its retransmissions (RFC 4588); 0 = none */
    bool transport_cc,
        remb; /* of congestion control; for what is received: what we tell the sender */
};

/* One m-line as negotiated, from our side. */
struct relay_media {
    char mid[RELAY_MID_MAX + 1];
    enum relay_kind kind;
    bool receive, send; /* endpoint → us, us → endpoint */
    /* Header extensions; 0 = none. */
    uint8_t mid_extmap, audio_level_extmap;
    uint8_t rid_extmap, repaired_rid_extmap; /* RFC 8852 */
    uint8_t transport_cc_extmap;             /* transport-wide sequence number */
    uint8_t abs_send_time_extmap;
    uint8_t orientation_extmap; /* 3GPP TS 26.114: coordination of video orientation */
    uint8_t allocation_extmap;  /* which encodings are sent (layers-allocation.h) */
    uint8_t dependency_extmap;  /* AV1 RTP specification: dependency descriptor */
    struct relay_codec recv_codecs[RELAY_CODECS_MAX];
    guint n_recv_codecs;
    struct relay_codec send_codecs[RELAY_CODECS_MAX];
    guint n_send_codecs;
    uint32_t remote_ssrcs[RELAY_SSRCS_MAX];
    guint n_remote_ssrcs;
    uint32_t remote_rtx_ssrcs[RELAY_SSRCS_MAX]; /* by place: what repairs it (FID); 0 = not told */
    /* Simulcast that the endpoint sends, in the order of its a=simulcast; none = one encoding. */
    char rids[RELAY_ENCODINGS_MAX][RELAY_RID_MAX + 1];
    guint n_rids;
    uint32_t local_ssrc;
    uint32_t local_rtx_ssrc; /* 0 = we send no RTX */
    bool rtcp_rsize;
    bool cryptex;             /* RFC 9335; the same for all of a leg */
    struct qos_slot *slot[2]; /* by enum qos_direction; outlive the leg's `released` */
};

enum relay_srtp_profile { /* the registered numbers: key and salt octets */
                          RELAY_SRTP_AES128_CM_HMAC_SHA1_80 = 0x0001, /* RFC 5764: 16, 14 */
                          RELAY_SRTP_AEAD_AES_128_GCM = 0x0007,       /* RFC 7714: 16, 12 */
                          RELAY_SRTP_AEAD_AES_256_GCM = 0x0008,       /* 32, 12 */
};
struct relay_srtp_keys {
    enum relay_srtp_profile profile;
    uint8_t local_key[32], local_salt[14], remote_key[32], remote_salt[14];
    guint key_length, salt_length;
};

#define RELAY_ACTIVITY_FULL 65536u
/* Speech in an audio medium, as its sender tells it by levels (RFC 6464). */
struct relay_activity {
    bool loud; /* there is sound at this moment: from its first packet until half a second after the
                * last one */
    uint32_t share; /* of the last half second that was speech; RELAY_ACTIVITY_FULL = all of it */
    uint32_t strength; /* of what was said in the last seconds, above the noise; of ..._FULL */
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
    /* Of a medium that relay_leg_watch_activity() has named: sound begins (with its first packet),
     * goes on (every 200 ms), has ended. Nothing is told of silence, and no end when packets cease
     * to come in the midst of it: who hears nothing for longer takes it for one. */
    void (*activity)(void *user, const char *mid, const struct relay_activity *activity);
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
    guint outlets;       /* media that are read from: the first so many; 0 = none is */
    guint outlet_buffer; /* octets of packets that wait to be read, of each; 0 = 256 KiB */
};

struct relay_leg_config {
    guint64 group;                       /* the context: see above */
    const char *name;                    /* terminationId, for dumps; copied */
    const char *local_ufrag, *local_pwd; /* copied; the ufrag is unique in the process */
    bool ice_full;                       /* it will check by itself: see relay_remote_ice */
    int tunnel; /* somebody else does ICE, and this connected datagram socket leads there; taken,
                 * also on failure; does not block. 0 = the relay does */
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
/* Its media addresses, with the ports of the first worker; *ret_n of them, borrowed. */
const struct relay_address *relay_addresses(const struct relay *relay, gsize *ret_n);

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
/* Candidates that come later (RFC 8838), of the generation in force; dropped before there is one.
 */
void relay_leg_add_candidates(struct relay_leg *leg, const struct relay_candidate *candidates,
                              gsize n, bool complete);
/* Of a leg with a tunnel, in place of the three around: the path at its far end, first or another
 * one; and that it is gone (`reason` NULL: consent) or was not found. `reason` is static. */
void relay_leg_tunnel_up(struct relay_leg *leg, const struct sockaddr_storage *local,
                         const struct sockaddr_storage *remote);
void relay_leg_tunnel_down(struct relay_leg *leg, const char *reason);
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
/* At most so much of what medium `mid` is sent: the best encoding and spatial layer that is not
 * larger than width × height (0 = any; when all are larger, the smallest), or exactly the encoding
 * `rid` ("" = any); `temporal` and above are left out (-1 = none is). NULL = all again. */
struct relay_layer_preference {
    uint16_t width, height;
    char rid[RELAY_RID_MAX + 1];
    int8_t spatial, temporal; /* highest; -1 = any */
};
void relay_leg_prefer_layer(struct relay_leg *leg, const char *mid,
                            const struct relay_layer_preference *preference);
/* Begins or ends to listen for speech in received audio medium `mid`; again is no change. Ends with
 * the m-line. What is not watched costs nothing. */
void relay_leg_watch_activity(struct relay_leg *leg, const char *mid, bool watch);
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
    uint8_t pt; /* the payload type that it gets; 0 = as it is */
};
/* A burst of the n-th medium. Any thread, until relay_leg_release(); one medium by one thread.
 * Never blocks. */
void relay_local_push(struct relay_local *local, guint medium,
                      const struct relay_local_packet *packets, guint n);
/* Packets for which the queue was full, and those that were no RTP or too long. Any thread. */
uint64_t relay_local_dropped(const struct relay_local *local);
uint64_t relay_local_refused(const struct relay_local *local);

/* --- local sinks (local-sink.c): what a leg made with `local` is sent can be read ------------- */

struct relay_local_reader {
    /* RTP in clear; borrowed. `arrival`: monotonic µs. */
    void (*packet)(void *to, const uint8_t *rtp, size_t length, int64_t arrival);
    /* The stream had this timestamp at this instant, monotonic µs, as the reports of who sends it
     * tell: of all that one endpoint sends on one clock. */
    void (*clock)(void *to, uint32_t timestamp, int64_t at);
};
/* Readable when there may be something to read of the n-th medium. Lives as long as the leg; any
 * thread. */
int relay_local_descriptor(const struct relay_local *local, guint medium);
/* Hands on what is there of the n-th medium and returns the number of packets and clocks. 0: there
 * is nothing, and the descriptor will tell of more. Any thread, one at a time of each medium. */
guint relay_local_read(struct relay_local *local, guint medium,
                       const struct relay_local_reader *reader, void *to);
/* The reader needs a key frame. Any thread, until relay_leg_release(). */
void relay_local_want_key_frame(struct relay_local *local, guint medium);
/* Packets that were lost because the reader was behind. Any thread. */
uint64_t relay_local_overrun(const struct relay_local *local, guint medium);

/* --- captures (capture.c): a copy in clear of what a leg receives and sends --------------------
 */

struct relay_capture;
struct relay_capture_config {
    const char *mid; /* of this medium alone, and the RTCP of the leg; NULL = all. Copied */
    guint snap;      /* octets that are kept of each packet; 0 = all */
    guint buffer;    /* octets that may wait to be read; what finds no room is counted */
};
struct relay_captured {
    int64_t at;          /* monotonic µs */
    bool sent;           /* by us */
    bool rtcp;           /* a compound of the leg; what follows is not set */
    bool retransmission; /* on an SSRC of its own (RFC 4588) */
    uint8_t pt;
    char mid[RELAY_MID_MAX + 1];
    const char *format;               /* interned; NULL = its payload type was not negotiated */
    struct sockaddr_storage from, to; /* no family: the leg has no network */
    const uint8_t *data;
    size_t kept, length; /* of `data`, and of the packet */
};
/* Begins. NULL: one is under way on this leg, or it is being released. Transfer full. */
struct relay_capture *relay_leg_capture(struct relay_leg *leg,
                                        const struct relay_capture_config *config);
/* What the worker has written next; NULL = nothing now. Valid until the next call. */
const struct relay_captured *relay_capture_next(struct relay_capture *capture);
/* Nothing is added from a moment later on, what is there can still be read; the leg's own end stops
 * it, too. */
void relay_capture_stop(struct relay_capture *capture);
/* Whether nothing will be added any more. */
bool relay_capture_ended(const struct relay_capture *capture);
/* Packets that are missing because the reader was behind. */
uint64_t relay_capture_overrun(const struct relay_capture *capture);
/* Stops it. NULL is allowed. */
void relay_capture_free(struct relay_capture *capture);

/* --- what the operator sees ------------------------------------------------------------------- */

/* One encoding of a simulcast that the endpoint sends; its medium has the sum. */
struct relay_encoding_stats {
    char rid[RELAY_RID_MAX + 1];
    uint32_t ssrc_in, jitter_in;
    uint64_t packets_in, octets_in, lost_in, retransmitted_in, retransmitted_octets_in;
    uint64_t nack_sent, pli_sent;
    uint16_t width, height; /* 0 = not known */
};
/* What an endpoint gets of a video. */
struct relay_layer_stats {
    char rid[RELAY_RID_MAX + 1]; /* "" = the source has one encoding */
    uint8_t spatial, temporal;
    uint16_t width, height; /* 0 = not known */
};
enum relay_limitation {
    RELAY_LIMITED_NOT, /* the best that there is */
    RELAY_LIMITED_BANDWIDTH,
    RELAY_LIMITED_OTHER, /* less was asked for, or the change to it is under way */
};

struct relay_media_stats {
    char mid[RELAY_MID_MAX + 1];
    enum relay_kind kind;
    /* received from the endpoint */
    uint64_t packets_in, octets_in, lost_in, retransmitted_in, duplicates_in, decrypt_failed;
    /* on an SSRC of their own (RFC 4588), padding and what had come already left out */
    uint64_t retransmitted_octets_in;
    uint64_t rtx_redundant_in, rtx_padding_in, rtx_unknown_in;
    uint32_t jitter_in; /* clock units (RFC 3550 A.8) */
    uint32_t ssrc_in;
    uint8_t pt_in;
    int64_t last_packet_in; /* monotonic µs, 0 = never */
    int64_t last_key_frame; /* video, 0 = never */
    uint64_t key_frames;
    uint64_t nack_sent, pli_sent;
    struct relay_encoding_stats encodings[RELAY_ENCODINGS_MAX]; /* in its order */
    guint n_encodings;
    /* sent to the endpoint */
    uint64_t packets_out, octets_out, retransmitted_out, nack_received, pli_received;
    uint64_t retransmitted_octets_out, padding_octets_out; /* on the RTX SSRC */
    uint32_t rtx_ssrc_out;
    uint64_t no_codec; /* not forwarded: the subscriber did not negotiate this format */
    uint32_t ssrc_out;
    int64_t last_packet_out;
    bool layered; /* there is something to choose from, and this is sent: */
    struct relay_layer_stats layer;
    enum relay_limitation limitation; /* video */
    /* from the endpoint's receiver reports about what we send */
    int32_t lost_remote;
    uint8_t fraction_lost_remote;
    uint32_t jitter_remote;
    uint32_t round_trip_us;  /* 0 = not known */
    uint32_t target_bitrate; /* bits/s of what bandwidth allows of it; 0 = paused, or no limit */
    bool paused;             /* for want of bandwidth */
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
    uint64_t cryptex_dropped;      /* RTP with ciphered extensions that were not negotiated */
    uint64_t rtcp_gated;           /* while every gate was closed */
    uint64_t srtp_failed, replayed;
    uint64_t send_failed;
    /* Congestion control; 0 = the endpoint has negotiated none, or has not been heard yet. */
    uint32_t available_outgoing_bitrate; /* bits/s on the wire: the estimate */
    uint32_t acknowledged_bitrate;       /* what arrives at present */
    uint32_t wanted_bitrate;             /* of all in their highest layers */
    uint32_t pacer_delay_us, pacer_packets;
    uint64_t probes, paced_packets, overuses;
    double transport_loss; /* of the last second or so, 0..1 */
    bool srtp;
    guint worker;
    guint n_medias;
    struct relay_media_stats medias[RELAY_MEDIAS_MAX];
};
/* Asks the worker for a snapshot; `done` from the loop. One that was asked for before
 * relay_leg_release() comes before `released`: a last look at a leg that goes. */
typedef void (*relay_stats_fn)(const struct relay_leg_stats *stats, void *user);
void relay_leg_stats(struct relay_leg *leg, relay_stats_fn done, void *user);

#define RELAY_TRANSIT_BOUNDS 14
/* Upper bounds of relay_worker_stats.transit, µs, rising; the last bucket has none. */
extern const uint32_t relay_transit_bounds[RELAY_TRANSIT_BOUNDS];

/* Of estimates, bits/s. */
#define RELAY_ESTIMATE_BOUNDS 10
extern const uint32_t relay_estimate_bounds[RELAY_ESTIMATE_BOUNDS];

/* Per-worker totals, atomics: for metrics and tests. */
struct relay_worker_stats {
    uint64_t packets_in, octets_in, packets_out, octets_out;
    uint64_t unknown_source_dropped; /* no leg has validated this address */
    uint64_t malformed;              /* neither STUN, DTLS, RTP nor RTCP, or broken */
    uint64_t stun_rejected;
    uint64_t dtls_dropped; /* more than dtls_rate, or than the control thread keeps up with */
    uint64_t wakeups;      /* of the thread, for whatever reason */
    uint64_t receive_batches, runs_in; /* recvmmsg() that brought something, and the messages: one
                                        * packet each, or several that the kernel had joined */
    uint64_t send_calls, runs_out;     /* sendmmsg(), and the messages that it took */
    uint64_t gso_fallbacks;            /* runs that had to go packet by packet after all */
    uint64_t send_dropped;
    uint64_t transit[RELAY_TRANSIT_BOUNDS + 1];  /* batches by the time from the kernel's receipt of
                                                  * the first packet until all was sent; one of
                                                  * eight is measured */
    uint64_t transit_sum;                        /* µs */
    uint64_t cpu;                                /* of the thread, µs */
    uint64_t gate_discarded, policing_discarded; /* by the relay, not by the kernel */
    uint64_t feedback_in, feedback_out;          /* transport-wide, packets */
    uint64_t probes, overuses; /* clusters sent; times that a way was found to be full */
    uint64_t video_pauses;     /* for want of bandwidth */
    uint64_t estimates[RELAY_ESTIMATE_BOUNDS + 1]; /* one of each leg that has one each second, */
    uint64_t estimate_sum;                         /* bits/s */
    uint64_t ring_dropped;                         /* packets for other workers that were behind */
    uint64_t buffer_octets; /* taken for packets; kept as long as there are legs */
    uint32_t legs;
    uint32_t mirrors; /* streams of other workers that have subscribers here */
    uint32_t busy;    /* thousandths of a core, in the last second with a leg */
};
void relay_worker_stats(const struct relay *relay, guint worker, struct relay_worker_stats *ret);
