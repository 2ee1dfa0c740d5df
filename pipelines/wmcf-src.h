/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The element `wmcfsrc`: RTP of the media centre into a pipeline. One per input, named by its
 * property `mid`; a template begins with it:  wmcfsrc mid=video ! rtpjitterbuffer ! rtpvp8depay ! …
 *
 * A live source in packets as they came: in their order of arrival, holes included, each with the
 * time at which it was taken (rtp-timeline.h), so that audio and video of one sender are in step.
 * Sequence numbers and timestamps go on over a change of who sends. A wish for a key frame from
 * downstream (GstForceKeyUnit) reaches the sender.
 *
 * Threads: as each function says. */
#include "pipelines/sdp.h"

#include <gst/gst.h>

#define WMCF_SRC_NAME "wmcfsrc"
#define WMCF_TYPE_SRC wmcf_src_get_type()
GType wmcf_src_get_type(void);

struct wmcf_src_packet {
    const guint8 *data; /* RTP; borrowed for the call */
    gsize length;
    gint64 arrival; /* monotonic µs */
};

/* What the element calls while it reads. */
struct wmcf_src_sink {
    void (*packet)(void *to, const struct wmcf_src_packet *packet);
    /* The stream had this RTP timestamp at this instant, monotonic µs. */
    void (*clock)(void *to, guint32 timestamp, gint64 at);
};

struct wmcf_src_medium {
    enum sdp_kind kind;
    const char *codec; /* the name as registered; static */
    guint8 pt;
    guint clock_rate;
};

struct wmcf_src_ops { /* on the streaming thread of the n-th input, but for what is said */
    /* Readable when there may be something to read. Lives as long as the pipeline. */
    int (*descriptor)(void *user, guint index);
    /* Hands on what is there, and returns how much it was. 0: nothing is, and the descriptor will
     * tell of more. */
    guint (*read)(void *user, guint index, const struct wmcf_src_sink *sink, void *to);
    /* Somebody downstream needs a key frame. Any thread. */
    void (*key_frame)(void *user, guint index);
};

/* Registers the element in the process. */
bool wmcf_src_register(GError **error);
bool wmcf_src_check(GstElement *element); /* whether it is one */
/* Before the pipeline runs; ops and user live until it is in NULL, `medium` is copied. `index`
 * comes back in ops. What is not attached gives the end of the stream at once. */
void wmcf_src_attach(GstElement *src, guint index, const struct wmcf_src_medium *medium,
                     const struct wmcf_src_ops *ops, void *user);
/* The property; "" when it is not set. Copied. Any thread. */
void wmcf_src_mid(GstElement *src, char *ret, gsize size);
/* The end of the stream comes next, as if the sender had ended. Any thread. */
void wmcf_src_end(GstElement *src);

struct wmcf_src_stats {
    guint64 packets, octets, key_frame_requests;
};
void wmcf_src_stats(GstElement *src, struct wmcf_src_stats *ret); /* any thread */
