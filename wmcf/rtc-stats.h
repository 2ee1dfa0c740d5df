/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A snapshot of a leg under the names of webrtc-stats (W3C). Threads: control. */
#include "wmcf/relay/relay.h"

#include <jansson.h>

/* Array of dictionaries with `type` and `id`, as the values of an RTCStatsReport, the WMCF taken
 * for the endpoint that measures: inbound-rtp, outbound-rtp, remote-inbound-rtp, candidate-pair.
 * What nothing came or went on has none. Transfer full. */
json_t *rtc_stats_json(const struct relay_leg_stats *stats);

/* RTCQualityLimitationReason. Static. */
const char *rtc_stats_limitation(enum relay_limitation limitation);
/* Ticks of the RTP clock of a medium in a second. */
double rtc_stats_clock(enum relay_kind kind);
