/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A leg as its worker sees it: ICE paths, keys, m-lines, sources. Threads: the worker. */
#include "wmcf/relay/ice-checklist.h"
#include "wmcf/relay/srtcp.h"
#include "wmcf/relay/srtp.h"
#include "wmcf/relay/stream.h"

#define ICE_PATHS_MAX 8

struct encoding_board;
struct leg_arrivals;
struct leg_bandwidth;
struct worker;

struct slot_watch {  /* what the control thread has been told of a slot */
    uint64_t told;   /* of its policing_discarded */
    int64_t told_at; /* 0 = never */
};

/* What is known of a datagram besides its octets. */
struct arrival {
    int64_t now;
    int64_t received;  /* by the kernel, where that is asked for (socket.h); else now */
    uint16_t overhead; /* octets of IP and UDP header */
    int8_t dscp;       /* -1 = nobody asks for it */
    bool judged;       /* the kernel has charged it to a slot and let it pass */
    bool repaired;     /* it came as payload of a retransmission (leg-rtx.c) */
};

struct media_line { /* one m-line */
    struct worker_leg *leg;
    struct relay_media media;
    struct slot_watch watch[2]; /* by enum qos_direction */
    uint64_t gate_counted;      /* discards at the uplink gate, a second ago */
    int8_t codec_of[128];       /* payload type → index of recv_codecs, -1 = none */
    enum key_frame_codec key_frame_of[RELAY_CODECS_MAX];
    uint16_t red_codecs;         /* bits: which of recv_codecs are redundant audio */
    struct stream in;            /* of its encodings the first that was, mostly the only one */
    struct encodings *encodings; /* NULL = no simulcast */
    struct subscription out;
};

/* The sender has told of this SSRC, its media's or its retransmissions'. */
static inline bool media_line_announces(const struct media_line *line, uint32_t ssrc)
{
    for (guint i = 0; i < line->media.n_remote_ssrcs; i++) {
        if (line->media.remote_ssrcs[i] == ssrc ||
            (ssrc && line->media.remote_rtx_ssrcs[i] == ssrc))
            return true;
    }
    return false;
}

struct ice_path { /* an address that the endpoint has shown it receives at */
    union socket_address remote;
    struct media_socket *socket;
    int64_t last_request;
    int64_t last_nomination; /* request with USE-CANDIDATE, 0 = never */
    int64_t last_answer;     /* to a question of ours: consent, when we check by ourselves */
    unsigned generation;     /* newest credentials that were used on it */
    bool named_early;        /* … with USE-CANDIDATE, before they were in force */
    uint32_t priority;       /* of the endpoint's candidate */
    bool proven;             /* it has answered us, so it is really there; until then: */
    uint64_t received, sent; /* octets */
    int64_t asked;           /* when we asked last, 0 = never */
    uint8_t transaction[ICE_TRANSACTION];
};

/* Where the numbering of an SSRC stopped. It must go on there when the SSRC is used again: with the
 * same key the same index would give the same keystream. */
struct sent_ssrc {
    uint32_t ssrc;
    uint64_t last_index, index_base;
};

/* What a waiting datagram counts: its octets and what is around them. */
#define DTLS_PENDING_COST(length) ((unsigned)(length) + 256)

struct worker_leg {
    struct worker *worker;
    struct relay_leg *handle;       /* for the control thread; never looked into here */
    _Atomic unsigned *dtls_pending; /* of the handle: what the control thread has not seen */
    int64_t dtls_window;            /* a second that has begun then, and what came in it */
    unsigned dtls_count;
    char cname[256];

    struct ice_credentials *ice;        /* in force */
    struct ice_credentials *next_ice;   /* of a restart without an answer yet, NULL */
    struct ice_credentials *former_ice; /* of the pair in use, until another is nominated; NULL */
    int64_t former_until;               /* 0 = not yet */
    unsigned generations;
    struct ice_checklist checks; /* full agent */
    struct leg_sockets *own;     /* its own; NULL = the worker's */
    bool tunnel;                 /* somebody else does its ICE: leg-tunnel.c */
    uint32_t tag;  /* first half of its transactions, unique in the worker; 0 = none */
    bool checking; /* in the worker's list of those with checks to make */
    struct worker_leg *next_checking;
    int64_t consent_due;

    struct ice_path paths[ICE_PATHS_MAX];
    unsigned n_paths;
    int nominated; /* index of paths, -1 = none */
    unsigned nominated_generation;
    unsigned nominations;    /* ever */
    bool connected;          /* told so, and consent has not expired since */
    bool nomination_pending; /* to be told at the next tick: changes too quickly */
    int64_t nomination_told;
    int64_t last_stun;

    struct relay_local *local; /* NULL = a leg with ICE and SRTP; the handle's */
    bool has_keys;
    struct relay_srtp_keys keys;
    struct rtp_transform *in, *out;
    struct relay_capture *capture; /* NULL = nobody looks (capture.h) */
    struct srtcp *srtcp;

    struct media_line **lines;
    unsigned n_lines;
    uint32_t *ssrcs; /* of `sources`, kept apart for a quick look */
    struct source **sources;
    unsigned n_sources;

    char data_mid[RELAY_MID_MAX + 1]; /* of the data channels; slots NULL = none */
    struct qos_slot *data_slot[2];
    struct slot_watch data_watch[2];
    struct qos_transport *transport; /* NULL = the relay alone judges */
    GArray *bound;                   /* struct bound_ssrc: what the kernel holds (leg-qos.c) */
    bool trusted;                    /* the DSCP of what comes from the nominated address */
    int64_t move_window;             /* SSRCs that change their m-line are limited per second, */
    unsigned move_count;
    int64_t search_window; /* and so is the search for a roll-over counter */
    unsigned search_count;
    int64_t keyed_at; /* first packets may have been withheld since */

    GArray *sent; /* struct sent_ssrc: SSRCs that have been sent with these keys and are not now */

    struct leg_bandwidth *bandwidth; /* NULL = no congestion control (leg-bandwidth.h) */
    uint16_t next_wide;              /* transport-wide number, while `bandwidth` is NULL */
    struct leg_arrivals *arrivals;   /* NULL = nobody negotiated to be told (leg-arrivals.h) */

    struct worker_leg *next, **link; /* in the worker's list of this report slot */
    unsigned slot;
    int64_t rtcp_window; /* received RTCP is limited per second */
    unsigned rtcp_count;
    int64_t round_trip; /* µs, 0 = not known */
    struct publisher_clock clock;

    bool cryptex; /* negotiated: header extensions may come ciphered */
    uint64_t stun_requests, unvalidated_dropped, unknown_ssrc_dropped, moved_ssrc_dropped,
        cryptex_dropped, rtcp_gated, srtp_failed, replayed, send_failed;
};

/* Copies names and credentials. Not registered anywhere yet. */
struct worker_leg *worker_leg_new(struct worker *worker, struct relay_leg *handle,
                                  _Atomic unsigned *dtls_pending, const char *ufrag,
                                  const char *pwd, bool ice_full, const char *cname,
                                  struct qos_transport *transport);
/* Detaches all routes, wipes keys. */
void worker_leg_free(struct worker_leg *leg);

void worker_leg_set_keys(struct worker_leg *leg, const struct relay_srtp_keys *keys, int64_t now);
/* `boards` has one for each medium with simulcast, NULL for the others. */
void worker_leg_set_medias(struct worker_leg *leg, const struct relay_media *medias,
                           struct encoding_board *const *boards, unsigned n, int64_t now);
struct media_line *worker_leg_line(struct worker_leg *leg, const char *mid);
struct media_line *worker_leg_line_by_local_ssrc(struct worker_leg *leg, uint32_t ssrc);
struct source *worker_leg_source(struct worker_leg *leg, uint32_t ssrc);
/* NULL at the limit. */
struct source *worker_leg_add_source(struct worker_leg *leg, uint32_t ssrc, struct stream *stream);
void worker_leg_remove_source(struct worker_leg *leg, struct source *source);
/* What was withheld of the medium is no loss. */
void worker_leg_gate_opened(struct worker_leg *leg, struct media_line *line);
/* Key frames of all that somebody gets. */
void media_line_want_pictures(struct media_line *line);
/* NULL `from` disconnects; else any of its encodings. */
void media_line_route(struct stream *from, struct media_line *to);

static inline struct ice_path *worker_leg_nominated(struct worker_leg *leg)
{
    return leg->nominated < 0 ? NULL : &leg->paths[leg->nominated];
}

/* What may be sent to a path that has not proven to be there: three times of what it sent, whatever
 * it is; `length` is that of the datagram or more. Answers to its own questions always go, and
 * count. */
static inline bool ice_path_admit(struct ice_path *path, size_t length)
{
    if (G_LIKELY(path->proven))
        return true;
    if (path->sent + length > 3 * path->received)
        return false;
    path->sent += length;
    return true;
}

/* --- leg-receive.c: datagrams from a validated address -----------------------------------------
 */
/* `data` is changed in place. */
void worker_leg_receive_rtp(struct worker_leg *leg, uint8_t *data, size_t length,
                            const struct arrival *arrival);
/* A packet in clear of a known source, payload, length and index filled in: describes and delivers
 * it. Takes the packet; false when it is broken. */
bool worker_leg_take(struct source *source, struct packet *packet, const struct rtp_header *header,
                     size_t datagram_length, const struct arrival *arrival);
/* --- leg-rtx.c: retransmissions on an SSRC of their own ----------------------------------------
 */
/* The codec whose retransmissions have this payload type; NULL = none. */
const struct relay_codec *media_line_rtx_codec(const struct media_line *line, uint8_t pt);
/* An authentic, new packet of `rtx`, the source of retransmissions of `codec`. Takes the packet;
 * false when it is broken. */
bool worker_leg_take_rtx(struct source *rtx, struct packet *packet, const struct rtp_header *header,
                         const struct relay_codec *codec, size_t datagram_length,
                         const struct arrival *arrival);
/* --- leg-decrypt.c ---------------------------------------------------------------------------- */
/* The packet in clear, with its index; NULL when it is not authentic, or seen before. `source`
 * NULL: the first one of its SSRC. */
struct packet *worker_leg_decrypt(struct worker_leg *leg, const struct source *source,
                                  struct media_line *line, const struct rtp_header *header,
                                  const uint8_t *data, size_t length, int64_t now);
/* The same for one with ciphered extensions (cryptex.h), which `data` and `header` have in the
 * clear then. */
struct packet *worker_leg_decrypt_whole(struct worker_leg *leg, const struct source *source,
                                        struct rtp_header *header, uint8_t *data, size_t length,
                                        int64_t now);
/* --- leg-data.c: DTLS, which data channels are inside of ---------------------------------------
 */
void worker_leg_receive_dtls(struct worker_leg *leg, uint8_t *data, size_t length,
                             const struct arrival *arrival);
void worker_leg_send_dtls(struct worker_leg *leg, const uint8_t *data, size_t length);
/* --- leg-qos.c: the leg as the kernel's partner ------------------------------------------------
 */
GArray *worker_leg_bound_new(void);
/* The pair in use; NULL = none any more. */
void worker_leg_bind_pair(struct worker_leg *leg, const struct ice_path *path);
void worker_leg_bind_sockets(struct worker_leg *leg);
/* Makes what the kernel holds equal to m-lines and sources. */
void worker_leg_bind_ssrcs(struct worker_leg *leg);
/* A source is new, or has changed its m-line. */
void worker_leg_bind_source(struct worker_leg *leg, struct source *source);
/* The kernel holds nothing of the leg any more. */
void worker_leg_unbind(struct worker_leg *leg);
/* Whether the m-line can have another SSRC; and one change its m-line now (it is then counted). */
bool worker_leg_may_add(const struct worker_leg *leg, uint32_t ssrc, const struct media_line *line);
bool worker_leg_may_move(struct worker_leg *leg, int64_t now);
/* The kernel has let a packet pass that is the m-line's: was it by the m-line's slot? `source` NULL
 * = not known yet. */
bool worker_leg_trusts_verdict(const struct worker_leg *leg, const struct source *source,
                               uint32_t ssrc, const struct media_line *line);
/* Judges by the slot, counts, tells of a closed gate. True: it passes. */
bool worker_leg_admit(struct worker_leg *leg, struct qos_slot *slot, const char *mid,
                      enum qos_direction direction, size_t octets);
/* The DSCP to write into what is sent for the slot, with SEND_DSCP_SEEN where the kernel does, too;
 * -1 = none. Where the slot copies, for packets that came without one from who may choose. */
int worker_leg_dscp(const struct worker_leg *leg, const struct qos_slot *slot);
static inline bool worker_leg_copies_dscp(const struct qos_slot *slot)
{
    return slot && __atomic_load_n(&slot->mark, __ATOMIC_RELAXED) & QOS_MARK_COPY;
}
/* Events of what kernel and relay have dropped; once a second. */
void worker_leg_watch_slots(struct worker_leg *leg, int64_t now);
/* --- leg-rtcp.c ------------------------------------------------------------------------------- */
/* `data` is changed in place and has SRTCP_TRAILER_MAX octets behind it. */
void worker_leg_receive_rtcp(struct worker_leg *leg, uint8_t *data, size_t length, int64_t now);
/* Our NTP time now, and the subscriber's RTP timestamp at that instant. False: not known yet. */
bool subscription_sender_info(const struct subscription *subscription, int64_t now,
                              struct rtcp_sender_info *ret);
/* Sender and receiver reports; once a second. */
void worker_leg_report(struct worker_leg *leg, int64_t now);
/* The front of a feedback packet; false when nothing can be sent. It goes with finish_rtcp(). */
bool worker_leg_begin_feedback(struct worker_leg *leg, struct rtcp_writer *writer);
void worker_leg_finish_rtcp(struct worker_leg *leg, struct rtcp_writer *writer);
/* The SSRC that feedback comes from. */
uint32_t worker_leg_own_ssrc(const struct worker_leg *leg);
/* Requests for what is missing. Returns when to look again; 0 = the source has no holes. */
int64_t source_send_nack(struct source *source, int64_t now);
/* A PLI, if one is wanted and due. */
void stream_send_key_frame_request(struct stream *stream, int64_t now);
/* --- leg-ice.c -------------------------------------------------------------------------------- */
/* A Binding request has been authenticated. False: the address is another leg's. */
bool worker_leg_validate(struct worker_leg *leg, struct media_socket *socket,
                         const union socket_address *remote, size_t length,
                         const struct ice_request *request, int64_t now);
/* A STUN answer from an address of the leg. False: to nothing that was asked. */
bool worker_leg_answered(struct worker_leg *leg, struct media_socket *socket,
                         const union socket_address *remote, const uint8_t *message, size_t length,
                         int64_t now);
/* Octets from a path that is not proven. */
void worker_leg_count_received(struct worker_leg *leg, struct media_socket *socket,
                               const union socket_address *remote, size_t length);
/* The DTLS handshake is over: whoever it was had our flights. */
void worker_leg_prove_by_handshake(struct worker_leg *leg);
/* Makes it the pair in use. */
void worker_leg_nominate(struct worker_leg *leg, unsigned path, unsigned generation, int64_t now);
/* The path to this address, made if need be; NULL when it is another leg's. */
struct ice_path *worker_leg_path(struct worker_leg *leg, struct media_socket *socket,
                                 const union socket_address *remote, int64_t now);
/* The credentials that the pair in use was nominated with. */
const struct ice_credentials *worker_leg_nominated_ice(const struct worker_leg *leg);
/* Consent and old paths; once a second. */
void worker_leg_check_consent(struct worker_leg *leg, int64_t now);
void worker_leg_tell_nomination(struct worker_leg *leg, int64_t now);
void worker_leg_forget_paths(struct worker_leg *leg);
/* Those that only former credentials have shown. */
void worker_leg_forget_former_paths(struct worker_leg *leg);
/* --- leg-tunnel.c: ICE is done elsewhere, datagrams come and go by one local socket ------------
 */
/* There is a path between these addresses, first or another one. */
void worker_leg_tunnel_up(struct worker_leg *leg, const union socket_address *local,
                          const union socket_address *remote, int64_t now);
/* There is none (any more). `reason`: why none was found; NULL = consent has expired. */
void worker_leg_tunnel_down(struct worker_leg *leg, const char *reason);
/* --- leg-generation.c: credentials of the leg, one pair in force -------------------------------
 */
struct ice_remote { /* as the command brings it */
    char ufrag[257], pwd[257];
    enum ice_role role;
    bool complete;
};
struct ice_candidate {
    union socket_address address;
    uint32_t priority;
};
void worker_leg_add_ice(struct worker_leg *leg);
void worker_leg_prepare_ice(struct worker_leg *leg, const char *ufrag, const char *pwd);
void worker_leg_cancel_ice(struct worker_leg *leg);
void worker_leg_set_remote_ice(struct worker_leg *leg, const struct ice_remote *remote,
                               const struct ice_candidate *candidates, unsigned n, int64_t now);
/* The former credentials have had their time; once a second. */
void worker_leg_retire_ice(struct worker_leg *leg, int64_t now);
void worker_leg_forget_ice(struct worker_leg *leg);
/* --- leg-check.c: checks of our own (full agent) ---------------------------------------------- */
static inline bool worker_leg_checks(const struct worker_leg *leg)
{
    return leg->ice->role != ICE_LITE;
}
/* Begins with an empty list, for the credentials in force. */
void worker_leg_begin_checks(struct worker_leg *leg, int64_t now);
void worker_leg_end_checks(struct worker_leg *leg);
void worker_leg_add_candidates(struct worker_leg *leg, const struct ice_candidate *candidates,
                               unsigned n, bool complete, int64_t now);
/* The endpoint has asked on this path, with the credentials in force. True: nominate it. */
bool worker_leg_trigger_check(struct worker_leg *leg, const struct ice_path *path,
                              bool use_candidate, int64_t now);
/* What is due; at every tick while there is something. False: nothing more to do. */
bool worker_leg_run_checks(struct worker_leg *leg, int64_t now);
/* An answer with the leg's tag. */
bool worker_leg_check_answered(struct worker_leg *leg, struct media_socket *socket,
                               const union socket_address *remote, const uint8_t *message,
                               size_t length, int64_t now);
/* Asks whether the pair in use still agrees (RFC 7675); once a second. */
void worker_leg_ask_consent(struct worker_leg *leg, int64_t now);
/* --- stats.c ---------------------------------------------------------------------------------- */
void worker_leg_stats(const struct worker_leg *leg, struct relay_leg_stats *ret);
