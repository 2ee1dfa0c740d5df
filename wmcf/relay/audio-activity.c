/* SPDX-License-Identifier: Apache-2.0 */
/* Three looks at one stream, as in the literature on dominant speakers: is there sound at this
 * moment (`loud`: who is heard), how much of the last half second was speech (`share`: a cough is
 * too short for it), how strong was it over some seconds (`strength`: who leads among several who
 * talk). Loud is what stands out of the stream's own noise, whose level is followed: down at once,
 * since words have pauses, and up slowly, so that a fan becomes noise within seconds and a speech
 * does not. The extension's voice flag is not used: some senders never set it, others always. */
#include "wmcf/relay/audio-activity.h"

#include <glib.h>

#define DB 256u
#define SILENCE 127           /* -dBov: digital silence, a muted microphone */
#define FLOOR_START (67 * DB) /* -60 dBov */
#define FLOOR_MIN (57 * DB)
#define FLOOR_MAX (87 * DB) /* -40 dBov: what is louder is never taken for noise */
#define FLOOR_RISE_US INT64_C(10000000)
#define ABOVE_FLOOR (10 * DB)
#define LOUDEST (50 * DB) /* above the floor: full strength */

#define PACKET_MAX_US                                                                              \
    INT64_C(60000)                  /* what a packet stands for at most; the rest is a gap: DTX    \
                                     */
#define HANGOVER_US INT64_C(500000) /* between words it stays loud */
#define SHARE_US INT64_C(500000)
#define STRENGTH_US INT64_C(3000000)

/* One step of a first-order low pass, stable for any step. */
static uint32_t approach(uint32_t value, uint32_t target, int64_t step, int64_t constant)
{
    return (uint32_t)(value + ((int64_t)target - value) * step / (constant + step));
}

#define DECAY_STEPS 8 /* near enough to the exponential */
static uint32_t decay(uint32_t value, int64_t time, int64_t constant)
{
    if (time > 20 * constant)
        return 0;
    for (unsigned i = 0; i < DECAY_STEPS && value; i++)
        value = approach(value, 0, time / DECAY_STEPS, constant);
    return value;
}

static void follow_noise(struct audio_activity *a, uint32_t loudness, int64_t step)
{
    if (loudness < a->floor)
        a->floor -= (a->floor - loudness + 1) / 2;
    else
        a->floor = approach(a->floor, loudness, step, FLOOR_RISE_US);
    a->floor = CLAMP(a->floor, FLOOR_MIN, FLOOR_MAX);
}

void audio_activity_init(struct audio_activity *a)
{
    *a = (struct audio_activity){.floor = FLOOR_START};
}

bool audio_activity_take(struct audio_activity *a, int level, int64_t now)
{
    int64_t since = a->at ? MAX(now - a->at, 0) : PACKET_MAX_US / 3;
    int64_t step = MIN(since, PACKET_MAX_US), gap = since - step;
    uint32_t loudness = level < 0 ? 0 : (SILENCE - (level & 0x7f)) * DB;
    bool loud = loudness >= a->floor + ABOVE_FLOOR;
    uint32_t above = loud ? MIN(loudness - a->floor, LOUDEST) : 0;
    a->at = now;
    if (loudness) /* silence of a muted microphone tells nothing of the room */
        follow_noise(a, loudness, step);
    if (gap > 0) {
        a->share = decay(a->share, gap, SHARE_US);
        a->strength = decay(a->strength, gap, STRENGTH_US);
    }
    a->share = approach(a->share, loud ? RELAY_ACTIVITY_FULL : 0, step, SHARE_US);
    a->strength = approach(a->strength, above * (RELAY_ACTIVITY_FULL / LOUDEST), step, STRENGTH_US);
    if (loud)
        a->loud_at = now;
    bool was = a->loud;
    a->loud = loud || (was && now - a->loud_at < HANGOVER_US);
    if (a->loud == was && (!a->loud || now - a->told_at < AUDIO_REPORT_US))
        return false;
    a->told_at = now;
    return true;
}

void audio_activity_report(const struct audio_activity *a, struct relay_activity *ret)
{
    *ret = (struct relay_activity){.loud = a->loud, .share = a->share, .strength = a->strength};
}

void audio_activity_age(struct relay_activity *report, int64_t age)
{
    if (age <= 0)
        return;
    /* The next report is late: the sender has fallen silent in the midst of it. */
    if (age >= AUDIO_REPORT_US + HANGOVER_US)
        report->loud = false;
    if (report->loud)
        return;
    report->share = decay(report->share, age, SHARE_US);
    report->strength = decay(report->strength, age, STRENGTH_US);
}
