/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* RTP out of a pcapng file, as `wmcfctl pcap` writes it, for pipelines outside of the media centre.
 * Threads: any, one at a time. */
#include <glib.h>
#include <stdbool.h>

struct packet_file;
/* The packets with this payload type, of one SSRC: `ssrc`, or with 0 the first that comes. Transfer
 * full; NULL and INVALID_MESSAGE when it cannot be read or is no pcapng in our byte order. */
struct packet_file *packet_file_open(const char *path, guint8 pt, guint32 ssrc, GError **error);
/* The next one. Valid as long as the file; false at the end, or where it is cut. */
bool packet_file_next(struct packet_file *file, const guint8 **ret_rtp, gsize *ret_length,
                      gint64 *ret_at);
void packet_file_close(struct packet_file *file); /* NULL allowed */
