/* SPDX-License-Identifier: Apache-2.0 */
/* The timestamps give the pace. What they say is led towards the truth slowly: once the sender's
 * reports have come that is their clock, before it the quickest packets, because a packet can be
 * late and never early. Leading it by a small part of the time passed is neither heard nor seen, a
 * jump would be. */
#include "pipelines/rtp-timeline.h"

#define JUMP_US 1000000      /* a timestamp that is off by more begins anew */
#define LEAD_PARTS 50        /* 2 % of the time passed */
#define SLACK_RISE_PARTS 500 /* of the time passed: clocks drift, by far less than 0.2 % */

void rtp_timeline_init(struct rtp_timeline *timeline, guint clock_rate)
{
    *timeline = (struct rtp_timeline){.clock_rate = clock_rate};
}

static gint64 duration(const struct rtp_timeline *timeline, guint32 from, guint32 to)
{
    return (gint64)(gint32)(to - from) * G_USEC_PER_SEC / (gint64)timeline->clock_rate;
}

void rtp_timeline_learn(struct rtp_timeline *timeline, guint32 timestamp, gint64 at)
{
    timeline->known = true;
    timeline->known_timestamp = timestamp;
    timeline->known_at = at;
}

/* Where the packet should lie, given that its pace says `at`. */
static gint64 truth(struct rtp_timeline *timeline, guint32 timestamp, gint64 at, gint64 passed,
                    gint64 arrival)
{
    if (timeline->known)
        return timeline->known_at + duration(timeline, timeline->known_timestamp, timestamp);
    timeline->slack = MIN(timeline->slack + passed / SLACK_RISE_PARTS, arrival - at);
    return at + timeline->slack;
}

static gint64 begin(struct rtp_timeline *timeline, guint32 timestamp, gint64 arrival)
{
    gint64 at = arrival;
    timeline->slack = 0;
    if (timeline->known) {
        gint64 told = timeline->known_at + duration(timeline, timeline->known_timestamp, timestamp);
        if (ABS(told - arrival) < JUMP_US)
            at = told;
        else
            timeline->known = false; /* of another time */
    }
    timeline->begun = true;
    timeline->timestamp = timestamp;
    timeline->at = at;
    return at;
}

gint64 rtp_timeline_place(struct rtp_timeline *timeline, guint32 timestamp, gint64 arrival)
{
    gint64 passed = duration(timeline, timeline->timestamp, timestamp);
    gint64 at = timeline->at + passed;
    if (!timeline->begun || ABS(at - arrival) > JUMP_US)
        return begin(timeline, timestamp, arrival);
    if (passed < 0) /* overtaken on its way */
        return at;
    gint64 off = truth(timeline, timestamp, at, passed, arrival) - at;
    at += CLAMP(off, -passed / LEAD_PARTS, passed / LEAD_PARTS);
    if (passed > 0) {
        timeline->slack -= at - (timeline->at + passed);
        timeline->timestamp = timestamp;
        timeline->at = at;
    }
    return at;
}
