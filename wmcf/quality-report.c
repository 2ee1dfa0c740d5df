/* SPDX-License-Identifier: Apache-2.0 */
/* Reports of what is measured. The terminations that want them are dealt out over the slots of one
 * wheel, of which a single timer turns one slot at a time: so a thousand legs never ask their
 * workers in the same moment, and none of them has a timer of its own. A snapshot is the one that
 * `audit` takes; the former one's counters are kept to tell rates. */
#include "wmcf/quality-report.h"

#include "base/loop.h"
#include "wmcf/rtc-stats.h"

#include <string.h>

#define SLOTS 50 /* a turn of the wheel is the interval */

struct quality_reports {
    struct loop_timer *timer;
    guint tick_ms;
    GPtrArray *slots[SLOTS]; /* struct termination, borrowed: they leave before they end */
    guint now, n;            /* slot that is next; terminations in all */
};

struct quality_report {
    int slot; /* -1 = not followed */
    bool asked;
    gint64 at; /* of the snapshot before, monotonic µs; 0 = there is none */
    guint n;
    struct quality_counters *before; /* n of them */
};

/* --- what is told ----------------------------------------------------------------------------- */

static double bits(guint64 before, guint64 after, double seconds)
{
    return after > before ? (double)(after - before) * 8 / seconds : 0;
}

static void set_rounded(json_t *object, const char *key, double value, double step)
{
    json_object_set_new(object, key, json_real((double)(gint64)(value / step + 0.5) * step));
}

static void set_size(json_t *object, guint width, guint height)
{
    if (width == 0 || height == 0)
        return;
    json_object_set_new(object, "frameWidth", json_integer(width));
    json_object_set_new(object, "frameHeight", json_integer(height));
}

static json_t *encodings(const struct quality_counters *before,
                         const struct relay_media_stats *after, double seconds)
{
    json_t *array = json_array();
    for (guint i = 0; i < after->n_encodings; i++) {
        const struct relay_encoding_stats *e = &after->encodings[i];
        double rate = bits(before->encoding_octets_in[i], e->octets_in, seconds);
        if (rate <= 0)
            continue;
        json_t *object = json_pack("{s:s, s:I}", "rid", e->rid, "bitrate", (json_int_t)rate);
        set_size(object, e->width, e->height);
        json_array_append_new(array, object);
    }
    return array;
}

static json_t *layer(const struct relay_layer_stats *sent)
{
    json_t *object = json_pack("{s:i, s:i}", "spatial", sent->spatial, "temporal", sent->temporal);
    if (sent->rid[0])
        json_object_set_new(object, "rid", json_string(sent->rid));
    set_size(object, sent->width, sent->height);
    return object;
}

static json_t *uplink(const struct quality_counters *before, const struct relay_media_stats *after,
                      double seconds)
{
    double packets = after->packets_in > before->packets_in
                         ? (double)(after->packets_in - before->packets_in)
                         : 0;
    /* Another source of the medium begins to count anew. */
    double lost = after->lost_in > before->lost_in ? (double)(after->lost_in - before->lost_in) : 0;
    json_t *object = json_pack("{s:I}", "bitrate",
                               (json_int_t)bits(before->octets_in, after->octets_in, seconds));
    set_rounded(object, "loss", packets + lost > 0 ? lost / (packets + lost) : 0, 0.0001);
    set_rounded(object, "jitter", after->jitter_in / rtc_stats_clock(after->kind), 0.0001);
    if (after->n_encodings)
        json_object_set_new(object, "encodings", encodings(before, after, seconds));
    return object;
}

static json_t *downlink(const struct quality_counters *before,
                        const struct relay_media_stats *after, uint32_t estimate, double seconds)
{
    json_t *object = json_pack("{s:I}", "bitrate",
                               (json_int_t)bits(before->octets_out, after->octets_out, seconds));
    set_rounded(object, "loss", after->fraction_lost_remote / 256.0, 0.0001);
    set_rounded(object, "jitter", after->jitter_remote / rtc_stats_clock(after->kind), 0.0001);
    if (after->round_trip_us)
        set_rounded(object, "roundTrip", after->round_trip_us / 1e6, 0.0001);
    if (estimate)
        json_object_set_new(object, "estimate", json_integer(estimate));
    if (after->layered)
        json_object_set_new(object, "layer", layer(&after->layer));
    if (after->kind == RELAY_VIDEO)
        json_object_set_new(object, "qualityLimitationReason",
                            json_string(rtc_stats_limitation(after->limitation)));
    return object;
}

json_t *quality_report_details(const struct quality_counters *before,
                               const struct relay_leg_stats *stats, guint index, double seconds)
{
    const struct relay_media_stats *after = &stats->medias[index];
    bool in = after->packets_in != before->packets_in;
    /* What is paused is told of, although nothing goes: why, and what the way carries. */
    bool out = after->packets_out != before->packets_out || after->paused;
    if (!in && !out)
        return NULL;
    json_t *details =
        json_pack("{s:s}", "mediaType", after->kind == RELAY_AUDIO ? "audio" : "video");
    set_rounded(details, "seconds", seconds, 0.001);
    if (in)
        json_object_set_new(details, "uplink", uplink(before, after, seconds));
    if (out)
        json_object_set_new(details, "downlink",
                            downlink(before, after, stats->available_outgoing_bitrate, seconds));
    return details;
}

/* --- one termination ----------------------------------------------------------------------------
 */

static const struct quality_counters *find(const struct quality_report *report, const char *mid)
{
    for (guint i = 0; i < report->n; i++)
        if (strcmp(report->before[i].mid, mid) == 0)
            return &report->before[i];
    return NULL;
}

static void tell(struct termination *t, const struct relay_leg_stats *stats, double seconds)
{
    for (guint i = 0; i < stats->n_medias; i++) {
        const struct quality_counters *before = find(t->report, stats->medias[i].mid);
        json_t *details = before ? quality_report_details(before, stats, i, seconds) : NULL;
        if (details)
            event_notify(t, EVENT_QOS_REPORT, before->mid, details);
    }
}

static void keep(struct quality_report *report, const struct relay_leg_stats *stats)
{
    report->n = stats->n_medias;
    report->before = g_renew(struct quality_counters, report->before, MAX(report->n, 1));
    for (guint i = 0; i < report->n; i++) {
        const struct relay_media_stats *m = &stats->medias[i];
        struct quality_counters *counters = &report->before[i];
        *counters = (struct quality_counters){
            .packets_in = m->packets_in,
            .octets_in = m->octets_in,
            .lost_in = m->lost_in,
            .packets_out = m->packets_out,
            .octets_out = m->octets_out,
        };
        for (guint e = 0; e < m->n_encodings; e++)
            counters->encoding_octets_in[e] = m->encodings[e].octets_in;
        g_strlcpy(counters->mid, m->mid, sizeof counters->mid);
    }
}

/* The termination's memory is there until its leg is let go, which is after this. */
static void on_stats(const struct relay_leg_stats *stats, void *user)
{
    struct termination *t = user;
    struct quality_report *report = t->report;
    gint64 now = g_get_monotonic_time();
    report->asked = false;
    if (!stats || report->slot < 0)
        return;
    if (report->at)
        tell(t, stats, (double)(now - report->at) / 1e6);
    report->at = now;
    keep(report, stats);
}

void quality_report_free(struct quality_report *report)
{
    if (!report)
        return;
    g_free(report->before);
    g_free(report);
}

/* --- the wheel ----------------------------------------------------------------------------------
 */

static void on_tick(void *user)
{
    struct quality_reports *reports = user;
    GPtrArray *slot = reports->slots[reports->now];
    reports->now = (reports->now + 1) % SLOTS;
    for (guint i = 0; i < slot->len; i++) {
        struct termination *t = g_ptr_array_index(slot, i);
        if (t->report->asked) /* its worker is behind */
            continue;
        t->report->asked = true;
        relay_leg_stats(t->relay_leg, on_stats, t);
    }
}

struct quality_reports *quality_reports_new(guint interval_s)
{
    struct quality_reports *reports = g_new0(struct quality_reports, 1);
    reports->tick_ms = interval_s * 1000 / SLOTS;
    reports->timer = loop_timer_new("quality reports", on_tick, reports);
    for (guint i = 0; i < SLOTS; i++)
        reports->slots[i] = g_ptr_array_new();
    return reports;
}

void quality_reports_free(struct quality_reports *reports)
{
    if (!reports)
        return;
    loop_timer_free(reports->timer);
    for (guint i = 0; i < SLOTS; i++)
        g_ptr_array_unref(reports->slots[i]);
    g_free(reports);
}

/* The emptiest slot, looking from the one that comes last: even, and the first snapshot, which only
 * begins to count, waits longest. */
static guint choose_slot(const struct quality_reports *reports)
{
    guint best = reports->now;
    for (guint i = 1; i <= SLOTS; i++) {
        guint slot = (reports->now + SLOTS - i) % SLOTS;
        if (reports->slots[slot]->len < reports->slots[best]->len || i == 1)
            best = slot;
    }
    return best;
}

static void begin(struct quality_reports *reports, struct termination *t)
{
    if (!t->report) {
        t->report = g_new0(struct quality_report, 1);
        t->report->slot = -1;
    }
    if (t->report->slot >= 0)
        return;
    t->report->at = 0;
    t->report->slot = (int)choose_slot(reports);
    g_ptr_array_add(reports->slots[t->report->slot], t);
    if (reports->n++ == 0)
        loop_timer_start_repeating(reports->timer, reports->tick_ms);
}

static void end(struct quality_reports *reports, struct termination *t)
{
    if (!t->report || t->report->slot < 0)
        return;
    g_ptr_array_remove_fast(reports->slots[t->report->slot], t);
    t->report->slot = -1;
    if (--reports->n == 0)
        loop_timer_stop(reports->timer);
}

void quality_report_follow(struct termination *t)
{
    struct quality_reports *reports = t->wmcf->reports;
    if (reports->tick_ms && t->context && !t->pipeline && t->state == TERMINATION_CONNECTED &&
        (t->events.bits & 1u << EVENT_QOS_REPORT))
        begin(reports, t);
    else
        end(reports, t);
}
