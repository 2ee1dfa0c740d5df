/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The event qosReport: every few seconds, per medium of a termination that asked for it, what the
 * relay has measured since the report before. Threads: control. */
#include "wmcf/termination.h"

struct quality_reports; /* of a media centre */
/* `interval_s` between two reports of a medium; 0 = there are none. Transfer full. */
struct quality_reports *quality_reports_new(guint interval_s);
void quality_reports_free(struct quality_reports *reports); /* NULL allowed */

/* To be called when the termination's state or its wanted events have changed: it is looked at
 * while it is connected and has asked for it. */
void quality_report_follow(struct termination *termination);
/* What was measured of one that is gone from the relay. NULL allowed. */
struct quality_report;
void quality_report_free(struct quality_report *report);

struct quality_counters { /* of a medium, at the report before */
    char mid[RELAY_MID_MAX + 1];
    guint64 packets_in, octets_in, lost_in, packets_out, octets_out;
    guint64 encoding_octets_in[RELAY_ENCODINGS_MAX]; /* by place in the snapshot */
};
/* The event's details for medium `index` of a snapshot: what has changed from `before` to it in
 * `seconds`, and what is at the moment; NULL when nothing came or went. Transfer full. */
json_t *quality_report_details(const struct quality_counters *before,
                               const struct relay_leg_stats *stats, guint index, double seconds);
