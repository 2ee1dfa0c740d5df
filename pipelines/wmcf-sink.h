/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The element `wmcfsink`: RTP out of a pipeline into the media centre. One per medium, named by its
 * property `mid`; a template ends in it:  … ! rtpvp8pay mtu=1200 ! wmcfsink mid=video
 *
 * It waits for each packet's time (property `sync` of GstBaseSink), so a source that is faster than
 * real time is played at its pace; what is late is still handed on, because a missing packet would
 * hurt more than a late one, and the encoder is told by QoS events to leave frames out.
 *
 * RTP timestamps follow the clock on which the packets are due, also over a pause, a seek and the
 * begin of a repetition, where the payloader's own would stand still or go back; sequence numbers
 * have no gap there.
 *
 * Threads: as each function says. */
#include "pipelines/sdp.h"

#include <gst/gst.h>

#define WMCF_SINK_NAME "wmcfsink"
#define WMCF_TYPE_SINK wmcf_sink_get_type()
GType wmcf_sink_get_type(void);

struct wmcf_sink_packet {
    const guint8 *data; /* RTP; borrowed for the call */
    gsize length;
    gint64 at; /* monotonic µs at which the packet is due */
};

/* What a sink carries, from its caps. */
struct wmcf_sink_medium {
    char mid[SDP_MAX_MID + 1];
    enum sdp_kind kind;
    const char *codec;  /* the name as registered; static */
    const char *format; /* canonical key of sdp.h; interned */
    guint8 pt;
    guint clock_rate;
};

struct wmcf_sink_ops { /* on the pipeline's streaming threads */
    /* The first packet has come: the medium is known. Before its `packets`. */
    void (*first)(void *user, guint index);
    void (*packets)(void *user, guint index, const struct wmcf_sink_packet *packets, guint n);
};

/* Registers the element in the process. */
bool wmcf_sink_register(GError **error);
bool wmcf_sink_check(GstElement *element); /* whether it is one */
/* Before the pipeline runs; ops and user live until it is in NULL. `index` comes back in ops. */
void wmcf_sink_attach(GstElement *sink, guint index, const struct wmcf_sink_ops *ops, void *user);
/* The property; "" when it is not set. Copied. Any thread. */
void wmcf_sink_mid(GstElement *sink, char *ret, gsize size);
/* What it carries; false before the first packet. Any thread. */
bool wmcf_sink_medium(GstElement *sink, struct wmcf_sink_medium *ret);
/* The encoder upstream makes a key frame soon. Any thread, only sets a flag. */
void wmcf_sink_request_key_frame(GstElement *sink);

/* Nothing will ever come: the source has no such stream. Any thread. */
void wmcf_sink_set_absent(GstElement *sink);
bool wmcf_sink_is_absent(GstElement *sink);

struct wmcf_sink_stats {
    guint64 packets, octets, late, key_frame_requests;
    gint64 position; /* stream time of the last packet, ns; -1 = none */
    bool ended;      /* the last that came was the end of the stream */
};
void wmcf_sink_stats(GstElement *sink, struct wmcf_sink_stats *ret); /* any thread */
