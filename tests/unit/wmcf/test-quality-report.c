/* SPDX-License-Identifier: Apache-2.0 */
/* What two looks at a leg make of a report, and a leg under the names of webrtc-stats. */
#include "wmcf/quality-report.h"
#include "wmcf/rtc-stats.h"

#include <string.h>

static double number(const json_t *object, const char *part, const char *key)
{
    const json_t *in = part ? json_object_get(object, part) : object;
    const json_t *value = json_object_get(in, key);

    if (!json_is_number(value))
        g_error("%s.%s is missing", part ? part : "", key);
    return json_number_value(value);
}

static struct relay_leg_stats *video(void)
{
    struct relay_leg_stats *stats = g_new0(struct relay_leg_stats, 1);

    stats->n_medias = 1;
    g_strlcpy(stats->medias[0].mid, "1", sizeof(stats->medias[0].mid));
    stats->medias[0].kind = RELAY_VIDEO;
    return stats;
}

static void test_rates(void)
{
    g_autofree struct relay_leg_stats *stats = video();
    struct relay_media_stats *m = &stats->medias[0];
    const struct quality_counters before = {
        .packets_in = 100, .octets_in = 100000, .lost_in = 5, .packets_out = 7, .octets_out = 7000};

    m->packets_in = 190;
    m->octets_in = 225000;
    m->lost_in = 15;
    m->jitter_in = 900;
    m->packets_out = 8;
    m->octets_out = 8000;
    m->fraction_lost_remote = 64;
    m->jitter_remote = 90;
    json_auto_t *details = quality_report_details(&before, stats, 0, 2);
    g_assert_cmpfloat(number(details, NULL, "seconds"), ==, 2);
    g_assert_cmpfloat(number(details, "uplink", "bitrate"), ==, 500000);
    g_assert_cmpfloat_with_epsilon(number(details, "uplink", "loss"), 0.1, 1e-9);
    g_assert_cmpfloat_with_epsilon(number(details, "uplink", "jitter"), 0.01, 1e-9);
    g_assert_cmpfloat(number(details, "downlink", "bitrate"), ==, 4000);
    g_assert_cmpfloat_with_epsilon(number(details, "downlink", "loss"), 0.25, 1e-9);
    g_assert_cmpfloat_with_epsilon(number(details, "downlink", "jitter"), 0.001, 1e-9);
    g_assert_null(json_object_get(json_object_get(details, "downlink"), "roundTrip"));
    m->round_trip_us = 41200;
    m->limitation = RELAY_LIMITED_BANDWIDTH;
    m->layered = true;
    m->layer = (struct relay_layer_stats){.rid = "m", .temporal = 2, .width = 640, .height = 360};
    stats->available_outgoing_bitrate = 702000;
    json_auto_t *later = quality_report_details(&before, stats, 0, 2);
    g_assert_cmpfloat_with_epsilon(number(later, "downlink", "roundTrip"), 0.0412, 1e-9);
    g_assert_cmpfloat(number(later, "downlink", "estimate"), ==, 702000);
    const json_t *downlink = json_object_get(later, "downlink");
    const json_t *layer = json_object_get(downlink, "layer");
    g_assert_cmpstr(json_string_value(json_object_get(layer, "rid")), ==, "m");
    g_assert_cmpfloat(number(layer, NULL, "frameHeight"), ==, 360);
    g_assert_cmpfloat(number(layer, NULL, "temporal"), ==, 2);
    g_assert_cmpstr(json_string_value(json_object_get(downlink, "qualityLimitationReason")), ==,
                    "bandwidth");
}

/* Another source counts anew: never a negative rate. Of what rests nothing is told. */
static void test_anew(void)
{
    g_autofree struct relay_leg_stats *stats = video();
    const struct quality_counters before = {
        .packets_in = 100, .octets_in = 100000, .lost_in = 5, .packets_out = 7, .octets_out = 7000};
    const struct quality_counters nothing = {0};

    stats->medias[0].packets_in = 3;
    stats->medias[0].octets_in = 300;
    stats->medias[0].packets_out = 7;
    stats->medias[0].octets_out = 7000;
    json_auto_t *details = quality_report_details(&before, stats, 0, 5);
    g_assert_cmpfloat(number(details, "uplink", "bitrate"), ==, 0);
    g_assert_cmpfloat(number(details, "uplink", "loss"), ==, 0);
    g_assert_null(json_object_get(details, "downlink"));
    stats->medias[0] = (struct relay_media_stats){.mid = "1", .kind = RELAY_VIDEO};
    g_assert_null(quality_report_details(&nothing, stats, 0, 5));
    stats->medias[0].paused = true;
    json_auto_t *paused = quality_report_details(&nothing, stats, 0, 5);
    g_assert_cmpfloat(number(paused, "downlink", "bitrate"), ==, 0);
}

static const json_t *of_type(const json_t *array, const char *type)
{
    size_t i;
    json_t *item;

    json_array_foreach(array, i, item)
    {
        if (strcmp(json_string_value(json_object_get(item, "type")), type) == 0)
            return item;
    }
    return NULL;
}

/* Of a simulcast each encoding is told of by itself, and only those that come. */
static void test_encodings(void)
{
    g_autofree struct relay_leg_stats *stats = video();
    struct relay_media_stats *m = &stats->medias[0];
    struct quality_counters before = {.packets_in = 10, .encoding_octets_in = {1000, 5000, 0}};

    m->packets_in = 30;
    m->n_encodings = 3;
    m->encodings[0] = (struct relay_encoding_stats){
        .rid = "l", .packets_in = 10, .octets_in = 2000, .width = 320, .height = 180};
    m->encodings[1] =
        (struct relay_encoding_stats){.rid = "m", .packets_in = 20, .octets_in = 10000};
    m->encodings[2] = (struct relay_encoding_stats){.rid = "h"};
    json_auto_t *details = quality_report_details(&before, stats, 0, 1);
    const json_t *told = json_object_get(json_object_get(details, "uplink"), "encodings");
    g_assert_cmpuint(json_array_size(told), ==, 2);
    g_assert_cmpfloat(number(json_array_get(told, 0), NULL, "bitrate"), ==, 8000);
    g_assert_cmpfloat(number(json_array_get(told, 0), NULL, "frameWidth"), ==, 320);
    g_assert_cmpfloat(number(json_array_get(told, 1), NULL, "bitrate"), ==, 40000);
    json_auto_t *all = rtc_stats_json(stats);
    g_assert_cmpuint(json_array_size(all), ==, 2);
    g_assert_cmpstr(json_string_value(json_object_get(json_array_get(all, 1), "rid")), ==, "m");
    g_assert_cmpstr(json_string_value(json_object_get(json_array_get(all, 1), "id")), ==, "I1:m");
}

static void test_rtc_stats(void)
{
    g_autofree struct relay_leg_stats *stats = video();
    struct relay_media_stats *m = &stats->medias[0];

    json_auto_t *none = rtc_stats_json(stats);
    g_assert_cmpuint(json_array_size(none), ==, 0);
    m->packets_in = 190;
    m->jitter_in = 900;
    m->ssrc_in = 0xdeadbeef;
    json_auto_t *in = rtc_stats_json(stats);
    g_assert_cmpuint(json_array_size(in), ==, 1);
    g_assert_cmpfloat(number(of_type(in, "inbound-rtp"), NULL, "packetsReceived"), ==, 190);
    g_assert_cmpfloat(number(of_type(in, "inbound-rtp"), NULL, "ssrc"), ==, 0xdeadbeef);
    g_assert_cmpfloat_with_epsilon(number(of_type(in, "inbound-rtp"), NULL, "jitter"), 0.01, 1e-9);
    m->packets_out = 8;
    m->octets_out = 8000;
    m->lost_remote = -2;
    m->round_trip_us = 1000;
    stats->ice_connected = true;
    json_auto_t *all = rtc_stats_json(stats);
    g_assert_cmpuint(json_array_size(all), ==, 4);
    g_assert_cmpfloat(number(of_type(all, "outbound-rtp"), NULL, "bytesSent"), ==, 8000);
    const json_t *remote = of_type(all, "remote-inbound-rtp");
    g_assert_cmpfloat(number(remote, NULL, "packetsLost"), ==, -2);
    g_assert_cmpfloat(number(remote, NULL, "roundTripTime"), ==, 0.001);
    g_assert_cmpstr(json_string_value(json_object_get(remote, "localId")), ==,
                    json_string_value(json_object_get(of_type(all, "outbound-rtp"), "id")));
    g_assert_cmpfloat(number(of_type(all, "candidate-pair"), NULL, "bytesSent"), ==, 8000);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/wmcf/quality-report/rates", test_rates);
    g_test_add_func("/wmcf/quality-report/anew", test_anew);
    g_test_add_func("/wmcf/quality-report/encodings", test_encodings);
    g_test_add_func("/wmcf/quality-report/rtc-stats", test_rtc_stats);
    return g_test_run();
}
