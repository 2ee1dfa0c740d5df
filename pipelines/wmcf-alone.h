/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What wmcfsrc and wmcfsink do outside of the media centre, where nobody has attached them: RTP
 * from a file or a UDP port, and to an address. In the media centre this is never used, whatever a
 * template says. Threads: those of the elements. */
#include "pipelines/wmcf-sink.h"
#include "pipelines/wmcf-src.h"

struct wmcf_alone_source;
struct wmcf_alone_wanted { /* all borrowed */
    const char *location;  /* of a pcapng file; NULL = from the port */
    guint port;            /* of the loopback addresses and all others */
    guint8 pt;
    guint32 ssrc; /* 0 = the first that comes */
};
extern const struct wmcf_src_ops wmcf_alone_ops; /* `user` is the source */
/* Ends `element` at the end of the file. Transfer full; NULL and *error. */
struct wmcf_alone_source *
wmcf_alone_source_new(GstElement *element, const struct wmcf_alone_wanted *wanted, GError **error);
void wmcf_alone_source_free(struct wmcf_alone_source *source); /* NULL allowed */

struct wmcf_alone_sender;
/* To a numeric address. Transfer full; NULL and *error. */
struct wmcf_alone_sender *wmcf_alone_sender_new(const char *host, guint port, GError **error);
/* What cannot be sent is lost, as on any network. */
void wmcf_alone_send(struct wmcf_alone_sender *sender, const guint8 *rtp, gsize length);
void wmcf_alone_sender_free(struct wmcf_alone_sender *sender); /* NULL allowed */
