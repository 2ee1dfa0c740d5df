/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Speech in one audio stream, from the levels that its sender tells (RFC 6464). A packet is a claim
 * about the time since the one before; integers, a dozen operations each. Threads: the worker; the
 * arithmetic has no state of its own. */
#include "wmcf/relay/relay.h"

#define AUDIO_REPORT_US INT64_C(200000) /* a report is repeated so often while it is loud */

struct audio_activity {
    int64_t at;               /* of the last packet; 0 = there was none */
    int64_t loud_at;          /* of the last loud one */
    int64_t told_at;          /* of the last report */
    uint32_t floor;           /* the noise, 1/256 dB above the least level */
    uint32_t share, strength; /* as in struct relay_activity */
    bool loud;
};

void audio_activity_init(struct audio_activity *activity);
/* `level`: the octet of the extension, -1 = the packet has none, which is silence. True: there is
 * something to tell: sound begins or ends, or has gone on for AUDIO_REPORT_US. */
bool audio_activity_take(struct audio_activity *activity, int level, int64_t now);
void audio_activity_report(const struct audio_activity *activity, struct relay_activity *ret);
/* What a report from `age` µs ago is worth now, nothing having come since. */
void audio_activity_age(struct relay_activity *report, int64_t age);
