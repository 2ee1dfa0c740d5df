/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A generated leg: a whole WebRTC endpoint without a browser. SDP, ICE (full, or lite as a server),
 * DTLS-SRTP, generated VP8 and opus, RTCP, and a close look at what is received. It shares no code
 * with the programs under test, so that it is an independent witness of what they send; faults can
 * be switched on to be a hostile one.
 *
 * Many peers live in one group: one epoll, one timer, one thread. A group is driven either by
 * peer_group_run() or, attached to a main context, by the GLib loop.
 *
 * Threads: a group and its peers belong to one thread; groups on several threads are independent.
 */
#include "tests/support/peer/histogram.h"
#include "tests/support/peer/srtp-profile.h"

#include <glib.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#define PEER_MID_MAX 16

/* --- group --------------------------------------------------------------------------------- */

struct peer_group;
struct peer_group_config {
    bool gso;            /* bursts leave as UDP_SEGMENT runs: cheaper, unlike a browser */
    bool gro;            /* receive UDP_GRO runs: cheaper, unlike a browser */
    bool tos;            /* look at the TOS octet of what comes: peer_recv_tos() */
    bool stamps;         /* latency ends when the kernel has received, not when we read */
    bool shared_key_off; /* every peer its own certificate */
};
/* `config` NULL = defaults. Transfer full. */
struct peer_group *peer_group_new(const struct peer_group_config *config);
/* Frees its peers too. */
void peer_group_free(struct peer_group *group);
/* Serves the group until `deadline` (g_get_monotonic_time) or until `done(user)` (may be NULL) says
 * so; returns what done() said last. Not for an attached group. */
bool peer_group_run(struct peer_group *group, gint64 deadline, bool (*done)(void *user),
                    void *user);
/* Serves the group on `context` (NULL = default) until the group is freed. */
void peer_group_attach(struct peer_group *group, GMainContext *context);

/* --- peer ---------------------------------------------------------------------------------- */

struct peer;
enum peer_state {
    PEER_NEW,
    PEER_CHECKING,    /* ICE */
    PEER_HANDSHAKING, /* DTLS */
    PEER_CONNECTED,   /* media flows */
    PEER_FAILED,      /* see peer_failure() */
    PEER_CLOSED,
    PEER_STATE_COUNT
};
const char *peer_state_name(enum peer_state state);

enum peer_kind { PEER_AUDIO, PEER_VIDEO };
enum peer_direction { PEER_INACTIVE = 0, PEER_SENDONLY = 1, PEER_RECVONLY = 2, PEER_SENDRECV = 3 };
enum peer_srtp_engine { PEER_SRTP_LIBSRTP, PEER_SRTP_EVP /* faster, no replay list */ };
enum peer_dtls_role { PEER_DTLS_AUTO, PEER_DTLS_CLIENT, PEER_DTLS_SERVER };

/* Misbehaviour; all zero is a well-behaved peer. */
struct peer_faults {
    bool wrong_fingerprint;   /* a=fingerprint of another certificate */
    bool wrong_ice_password;  /* checks with a wrong MESSAGE-INTEGRITY */
    bool no_checks;           /* no STUN from us at all */
    bool no_nomination;       /* checks without USE-CANDIDATE */
    bool no_consent;          /* silent after nomination: media only */
    bool dtls_before_ice;     /* ClientHello to the first candidate at once, and no checks */
    bool no_rtcp;             /* neither reports nor feedback */
    double drop_in, drop_out; /* share of RTP packets lost on the way, 0..1 */
};

struct peer_media_config {
    enum peer_kind kind;
    enum peer_direction direction; /* what we want; the answer takes the intersection */
    /* video */
    guint bitrate;     /* bit/s of RTP packets; default 1 000 000 */
    guint fps;         /* default 30 */
    guint packet_size; /* octets of an RTP packet before SRTP; default 1200 (video), 100 (audio) */
    guint key_factor;  /* a key frame has so many times the packets of another one; default 3 */
    bool nack;         /* receiver: ask for lost packets; sender: keep a history and answer */
    bool
        rtx; /* with `nack`: retransmissions on an SSRC of their own, where the other has it, too */
    bool simulcast;        /* video: as encodings, where the other asks for them in an offer */
    bool temporal;         /* video: in three temporal layers (RFC 7741 4.2) */
    guint halvings;        /* … of the picture, 0 to 2; set for each of them */
    bool h264;             /* video: knows H264 alone, and only receives it */
    bool levels;           /* audio: tells its level in each packet (RFC 6464) */
    guint pli_interval_ms; /* receiver: ask for a key frame so often; 0 = only when none has come */
};
#define PEER_MEDIA_CONFIGS 40
#define PEER_ENCODINGS 3

struct peer_ops {
    void (*state)(struct peer *peer, enum peer_state state, void *user);
    /* An RTP packet in clear, whole, as it was received; borrowed. May be NULL. */
    void (*packet)(struct peer *peer, enum peer_kind kind, const uint8_t *packet, size_t length,
                   void *user);
};

struct peer_config {
    const char *name;         /* for messages; copied */
    const char *bind_address; /* numeric; NULL = "127.0.0.1" */
    bool lite;                /* ICE-lite: waits for checks, like a server */
    enum peer_dtls_role dtls_role;
    enum peer_srtp_engine srtp;
    /* What DTLS offers, or accepts as a server, best first; none = all, AEAD_AES_128_GCM first. */
    enum peer_srtp_profile srtp_profiles[PEER_SRTP_PROFILES];
    guint n_srtp_profiles;
    guint dtls_repeat_ms;   /* first repetition of a lost flight; 0 = 1000; browsers: 50 */
    bool hold_media;        /* nothing is sent until peer_set_sending(true) */
    bool no_mid_extension;  /* no sdes:mid: streams are told by a=ssrc alone */
    bool no_ssrc_attribute; /* no a=ssrc: streams are told by the mid extension alone */
    bool wide; /* transport-wide numbers and feedback about them, where the other has them, too */
    bool cryptex; /* RFC 9335, where the other has it, too; its SRTP is PEER_SRTP_EVP */
    guint csrcs;  /* made up ones in each packet of media, 15 at most */
    bool data;    /* an offered m-line of data channels is accepted; there is no SCTP */
    struct peer_media_config
        medias[PEER_MEDIA_CONFIGS]; /* in an offer: one m-line each; in an answer:
              the next one of the kind is taken for each offered m-line */
    guint n_medias;
    struct peer_faults faults;
    const struct peer_ops *ops; /* may be NULL; kept by reference */
    void *user;
};

#define PEER_ERROR peer_error_quark()
GQuark peer_error_quark(void);

/* Binds a socket. Owned by the group until peer_free(). NULL and *error when the bind fails. */
struct peer *peer_new(struct peer_group *group, const struct peer_config *config, GError **error);
void peer_free(struct peer *peer);
/* Sends DTLS close_notify and stops; counters stay readable. */
void peer_close(struct peer *peer);

/* Answers an offer; ICE starts at once. Again for a later offer: directions change, new ICE
 * credentials restart ICE. Transfer full. */
char *peer_answer(struct peer *peer, const char *offer, GError **error);
/* Makes an offer; peer_set_answer() starts ICE. peer_offer() alone makes a pre-offer. Transfer
 * full. */
char *peer_offer(struct peer *peer, GError **error);
bool peer_set_answer(struct peer *peer, const char *answer, GError **error);
/* Media at once with keys from elsewhere: no descriptions, no ICE, no DTLS; every configured m-line
 * runs in its configured direction. Each master is the key, then the salt. */
void peer_connect_static(struct peer *peer, const struct sockaddr_storage *remote,
                         enum peer_srtp_profile profile, const uint8_t *local_master,
                         const uint8_t *remote_master);
/* Changes what the next description will say about the n-th m-line. */
void peer_set_direction(struct peer *peer, guint index, enum peer_direction direction);
/* One more medium: an m-line of the next peer_offer(), or for one that is offered. False when there
 * are PEER_MEDIA_CONFIGS. */
bool peer_add_media(struct peer *peer, const struct peer_media_config *media);
/* The n-th medium is over: its m-line is rejected in the next description. */
void peer_stop_media(struct peer *peer, guint index);
/* New ICE credentials in the next peer_offer(). */
void peer_restart_ice(struct peer *peer);

enum peer_state peer_get_state(const struct peer *peer);
/* One sentence, or NULL. Borrowed. */
const char *peer_failure(const struct peer *peer);
const char *peer_name(const struct peer *peer);
/* The SRTP profile in use; 0 before there are keys. */
enum peer_srtp_profile peer_srtp_profile(const struct peer *peer);
void *peer_user(const struct peer *peer);
void peer_set_sending(struct peer *peer, bool sending);
/* The encodings of simulcasts that are sent, by the letters of their rids; all at first. */
void peer_set_encodings(struct peer *peer, const char *rids);
void peer_set_faults(struct peer *peer, const struct peer_faults *faults);
/* The TOS octet (traffic class), DSCP and ECN, of everything that is sent from now on. */
void peer_set_tos(struct peer *peer, uint8_t tos);
/* How loud the n-th m-line is from a moment on, -dBov (127 = silent, as at the beginning; -1 = the
 * packet does not tell); in order of time. Replaces what was said before. */
#define PEER_SPEECH_STEPS 32
struct peer_speech {
    int64_t at_us; /* g_get_monotonic_time() */
    int level;
};
bool peer_speak(struct peer *peer, guint index, const struct peer_speech *steps, guint n);
/* What the packets of the n-th m-line hold from now on, one after the other and from the beginning
 * again, in place of what is generated; of a video each is a whole frame. Array of GBytes of at
 * most 1000 octets, a reference is taken. */
bool peer_set_payloads(struct peer *peer, guint index, GPtrArray *payloads);
/* Sends a PLI for the video received on m-line `mid` (NULL = every one). */
void peer_request_key_frame(struct peer *peer, const char *mid);
/* Clears receive and send counters and latencies: what follows is measured. */
void peer_reset_stats(struct peer *peer);

/* One record of DTLS application data, whatever is or is not behind it. */
bool peer_send_application(struct peer *peer, const void *data, size_t length);
/* One datagram as it is, from the peer's own socket, to the remote address in use (the first remote
 * candidate before nomination). */
bool peer_send_raw(struct peer *peer, const void *data, size_t length);
/* RTP or RTCP in clear, whatever it holds, protected with the leg's keys. With `line` >= 0 an RTP
 * packet is the next one of that m-line: its payload type, numbers, timestamp and SSRC are written.
 * False when there are no keys, or what is no packet at all is refused. */
bool peer_send_protected(struct peer *peer, bool rtcp, int line, const void *data, size_t length);
/* As it is, from a socket that ICE has never seen; what comes back is counted in the stats. */
bool peer_send_from_stranger(struct peer *peer, const void *data, size_t length);
/* A well protected RTP packet of the n-th m-line, from the stranger's socket. */
bool peer_send_rtp_from_stranger(struct peer *peer, guint index);
const struct sockaddr_storage *peer_local_address(const struct peer *peer);
const struct sockaddr_storage *peer_remote_address(const struct peer *peer);

/* --- measured traffic (traffic.c) ------------------------------------------------------------- */

#define PEER_TRAFFICS 32
struct peer_traffic_config {
    guint lines[4], n_lines; /* m-lines to send on, in turn */
    guint count;             /* packets */
    guint size;              /* octets of each IP datagram */
    guint rate;              /* octets/s of IP datagrams; 0 = back to back */
    bool gso;                /* as UDP_SEGMENT runs */
    int64_t ssrc_every_us;   /* a new SSRC so often; -1 = with every packet; 0 = never */
    int ssrc_of;             /* m-line whose SSRC and numbers the packets have; -1 = their own */
    guint sdr, mbs;          /* for full_us: octets/s, octets */
};
struct peer_traffic_stats {
    uint64_t packets, octets; /* that left; octets of IP datagrams */
    uint64_t failed;          /* the socket refused */
    uint64_t ssrcs;           /* new ones */
    /* Before the first packet, after the last; what lies between the first and the last at least.
     */
    int64_t first_us, last_us, least_us;
    int64_t longest_gap_us;
    int64_t full_us; /* for so long a bucket of `sdr` and `mbs` would have been full and gained
                        nothing */
    bool done;
};
/* Begins; several may run at once. Media that the peer generates by itself go on unless it was made
 * with `hold_media`. */
bool peer_traffic_start(struct peer *peer, const struct peer_traffic_config *config,
                        GError **error);
guint peer_traffic_count(const struct peer *peer);
void peer_get_traffic(const struct peer *peer, guint index, struct peer_traffic_stats *ret);

/* --- what was seen --------------------------------------------------------------------------- */

#define PEER_ORIGINS 64
struct peer_recv_stats { /* one SSRC */
    uint32_t ssrc;
    uint8_t pt;
    enum peer_kind kind;
    char mid[PEER_MID_MAX + 1];
    uint64_t packets, octets;
    uint64_t
        ip_octets;   /* of the datagrams that brought them, IP and UDP header and SRTP included */
    uint64_t unique; /* different sequence numbers */
    int64_t lost;    /* expected - unique */
    uint64_t reordered, duplicates;
    uint64_t jumps;           /* sequence numbers that leave all order (> 3000 away) */
    uint64_t timestamp_jumps; /* RTP timestamp against arrival: more than 1 s apart */
    uint64_t gaps;            /* holes in the sequence numbers */
    uint64_t recovered;       /* lost packets that came after a NACK */
    uint64_t frames, key_frames;
    uint64_t broken_payload; /* generated payload that is not as it was sent */
    uint64_t source_lost;    /* holes in the source's own numbering */
    uint64_t source_changes;
    struct {
        uint32_t ssrc; /* of who has sent it */
        uint64_t packets;
    } origins[PEER_ORIGINS]; /* in order of appearance; those beyond are not kept apart */
    guint n_origins;
    uint32_t origin;  /* of the last packet */
    uint64_t foreign; /* payload not generated by a peer (a browser's) */
    uint64_t nack_sent, pli_sent;
    uint64_t rtx, rtx_padding; /* packets of the RTX stream; those with nothing but padding */
    uint64_t decoded, dropped; /* frames, as a decoder would have it (decoder.h) */
    int64_t longest_freeze_us; /* longest time between two decoded frames */
    uint64_t sr_received;
    uint32_t jitter; /* clock units, RFC 3550 A.8 */
    int64_t first_us, last_us, longest_silence_us;
};
struct peer_send_stats { /* one m-line that we send */
    uint32_t ssrc;
    enum peer_kind kind;
    char mid[PEER_MID_MAX + 1];
    uint64_t packets, octets, frames, key_frames;
    uint64_t nack_received, retransmitted, nack_unknown;
    uint32_t rtx_ssrc; /* retransmissions are sent on; 0 = as they were */
    uint64_t pli_received, fir_received;
    int64_t key_request_us; /* when the last of them came */
    uint64_t rr_received;
    uint8_t fraction_lost;
    int32_t cumulative_lost;
    uint32_t round_trip_us;
};
struct peer_wide_stats {                                          /* transport-wide numbers */
    uint64_t sent, told_received, told_missing, reports_received; /* what we sent */
    uint64_t received, late, missing, reports_sent;               /* what came */
};
struct peer_stats {
    struct peer_wide_stats wide;
    uint64_t datagrams_in, datagrams_out;
    uint64_t cryptex_in; /* RTP that came so */
    uint64_t srtp_failed, srtp_replayed, srtcp_failed;
    uint64_t srtcp_in; /* good ones */
    uint64_t stun_requests_in, stun_responses_in, stun_rejected;
    uint64_t unknown_ssrc; /* RTP that belongs to no negotiated m-line */
    uint64_t unexpected;   /* neither STUN, DTLS nor SRTP */
    uint64_t stranger_in;  /* datagrams that came back to the stranger's socket */
    uint64_t send_failed;
    int64_t created_us, ice_us, dtls_us; /* moments; 0 = not reached */
};
void peer_get_stats(const struct peer *peer, struct peer_stats *ret);
guint peer_recv_count(const struct peer *peer);
void peer_get_recv(const struct peer *peer, guint index, struct peer_recv_stats *ret);
guint peer_send_count(const struct peer *peer);
void peer_get_send(const struct peer *peer, guint index, struct peer_send_stats *ret);
/* How many packets of the n-th received SSRC came with that TOS octet (traffic class). */
uint32_t peer_recv_tos(const struct peer *peer, guint index, uint8_t tos);
/* One way, send call to arrival, µs, of every generated packet since the reset; only between peers
 * of one machine. */
const struct histogram *peer_latency(const struct peer *peer);
