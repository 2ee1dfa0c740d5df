/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The data channels of one leg (RFC 8831, RFC 8832): webrtcbin's objects as things with a number
 * that the control thread opens, closes, sends on and hears of. What webrtcbin's threads have to
 * say is posted and finds nothing once the leg is gone.
 *
 * Threads: control. */
#include "pipelines/dtls-transport.h"
#include "pipelines/leg.h"

#include <gst/gst.h>

struct data_channels;
/* `number` names the leg. Copies `limits`; borrows `ops`, and the webrtcbin and its
 * transport until the free.
 * Transfer full. */
struct data_channels *data_channels_new(guint64 number, GstElement *webrtcbin,
                                        struct dtls_transport *dtls,
                                        const struct pl_data_limits *limits,
                                        const struct pl_leg_ops *ops, void *user);
void data_channels_set_limits(struct data_channels *channels, const struct pl_data_limits *limits);
/* No callback after it. The channels go down with their webrtcbin. NULL allowed. */
void data_channels_free(struct data_channels *channels);

guint data_channels_open(struct data_channels *channels, const struct pl_channel *what,
                         GError **error);
bool data_channels_send(struct data_channels *channels, guint channel, GBytes *message, bool text,
                        GError **error);
void data_channels_close(struct data_channels *channels, guint channel);
guint64 data_channels_buffered(struct data_channels *channels, guint channel);
guint data_channels_count(const struct data_channels *channels);
