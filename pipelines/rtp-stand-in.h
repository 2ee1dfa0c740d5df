/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What stands in for rtpbin inside the webrtcbin of a leg whose media is the relay's: it has all
 * that webrtcbin asks of an rtpbin, and does nothing. Everybody else in the process gets the real
 * one. */
#include <glib.h>
#include <stdbool.h>

/* Puts itself under the name "rtpbin", after GStreamer's plug-in rtpmanager is loaded, and checks
 * that both are found as they should. False and *error: refuse to run. Control thread, once. */
bool rtp_stand_in_register(GError **error);
/* Whether an rtpbin that this thread makes from now on is the stand-in; false at first. Set it
 * around the making of one webrtcbin. Any thread. */
void rtp_stand_in_wanted(bool wanted);
