/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The load generator: options, the legs of a run, its measured phase, its report. Everything on the
 * control thread of base/loop.h; the peers' group is attached to it. */
#include "tests/support/peer/peer.h"

#include <jansson.h>

struct load_options {
    char *url, *token_file, *webrtc_id, *users, *tls_ca, *to, *bind, *trace_file;
    char *srtp_profile; /* "cm", "gcm", "gcm256"; NULL = all are offered */
    int pid;            /* of the program that is measured; 0 = none */
    int contexts;       /* how many of the shape */
    int fan_out;        /* one publisher, so many subscribers each */
    gboolean two_way;   /* two legs that send to each other, instead */
    int room;           /* so many legs that all send to all others, instead; 0 = no */
    gboolean audio, no_video;
    int bitrate, fps, packet_size, audio_size;
    gboolean idle, setup_only; /* instead of media */
    gboolean gso, gro, libsrtp, nack, wide, no_rtcp;
    double drop_in, drop_out; /* share of RTP that gets lost at the legs */
    double seconds, warm_up;
    int parallel;    /* legs or calls being set up at a time */
    int repeat;      /* calls: rounds, one after the other */
    int count, rate; /* flood */
    gboolean keep;   /* leave contexts and calls as they are at the end */
};

struct load_driver;

struct load_leg {
    struct peer *peer;
    struct peer *second;   /* of a server that sends over a peer connection of its own, or NULL */
    guint context, number; /* number in its context */
    guint index;           /* in load_run.legs */
    guint n_sources;       /* how many other legs it receives from */
    bool publishes, subscribes;
    bool settled, connected;
    void *data;      /* the adapter's */
    gint64 begun_us; /* its set-up */
};

struct load_run {
    const struct load_options *options;
    struct peer_group *group;
    GPtrArray *legs; /* struct load_leg, owned; peers are the group's */
    json_t *report;
    int status; /* of the program */
    gint64 begun_us;
    struct histogram setup;
    guint connected, failed;
    struct load_driver *driver; /* NULL in modes that have an order of their own */
    void *data;                 /* the adapter's */
    void (*clean)(void *user);  /* the mode's own, after the loop has returned */
    void *clean_user;
};

/* --- legs ------------------------------------------------------------------------------------ */

/* The configured media with this leg's direction. */
void load_peer_config(const struct load_options *options, struct peer_config *config, bool send,
                      bool receive);
/* What a leg sends, then recvonly media until there is one of each kind per source. */
void load_leg_config(const struct load_run *run, const struct load_leg *leg,
                     struct peer_config *config);

/* --- measuring ---------------------------------------------------------------------------------
 */

struct load_process { /* a moment of the measured program */
    gint64 cpu_us;    /* user and system */
    guint threads, fds;
    guint64 resident_kb;
};
/* Zeros when the process is gone. */
void load_process_read(int pid, struct load_process *ret);
/* CPU time of the generator itself. */
gint64 load_own_cpu_us(void);
json_t *load_process_json(const struct load_process *process);

/* Lets the connected legs send: warm-up, the measured seconds, drain; then writes "media" into the
 * report and calls done. */
void load_media_phase(struct load_run *run, void (*done)(void *user), void *user);
/* Notes a leg as set up or failed. */
void load_leg_settled(struct load_run *run, const struct load_leg *leg, bool connected);
/* Writes "setup": legs, failures, rate, times. */
void load_report_setup(struct load_run *run);
/* Ends the program with a sentence on stderr. */
void load_fail(struct load_run *run, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* --- modes ----------------------------------------------------------------------------------- */

/* Those with an order of their own: start (on the loop), set `clean`, and quit the loop when
 * finished. */
void load_calls_start(struct load_run *run);
void load_flood_start(struct load_run *run);
/* The common order, for a server that has an adapter (adapter.h). */
struct load_adapter;
void load_drive(struct load_run *run, const struct load_adapter *adapter);
