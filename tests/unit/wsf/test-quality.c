/* SPDX-License-Identifier: Apache-2.0 */
/* What is in force, what must be said to end it, and what an endpoint still has to hear. */
#include "wsf/quality.h"

static struct offer_template *medias(void)
{
    static const char *const audio[] = {"opus", NULL}, *const video[] = {"VP8", NULL};
    return offer_template_default(audio, video);
}

static json_t *parse(const char *text)
{
    json_error_t error;
    json_t *json = json_loads(text, 0, &error);
    g_assert_nonnull(json);
    return json;
}

/* Steals what it compares with. */
static void assert_json(json_t *is, const char *text)
{
    json_auto_t *owned = is, *expected = text ? parse(text) : NULL;
    g_assert_true(expected ? json_equal(owned, expected) : owned == NULL);
}

static void test_in_force(void)
{
    struct quality *quality = quality_new();
    g_assert_cmpstr(quality_flow_status(quality, "0"), ==, "DISABLED");
    quality_set_policy(quality, parse("[{\"mid\":\"1\",\"flowStatus\":\"DISABLED\"}]"));
    g_assert_cmpstr(quality_flow_status(quality, "0"), ==, "DISABLED");
    quality_set_policy(quality, parse("[{\"mid\":\"*\",\"flowStatus\":\"ENABLED\"},"
                                      "{\"mid\":\"1\",\"flowStatus\":\"ENABLED-UPLINK\"}]"));
    g_assert_cmpstr(quality_flow_status(quality, "0"), ==, "ENABLED");
    g_assert_cmpstr(quality_flow_status(quality, "1"), ==, "ENABLED-UPLINK");
    g_assert_true(quality_passes("ENABLED-UPLINK", true));
    g_assert_false(quality_passes("ENABLED-UPLINK", false));
    g_assert_true(quality_passes("ENABLED", false));
    g_assert_false(quality_passes("DISABLED", true));
    quality_free(quality);
}

/* A media centre's word of a closed gate crosses the request that opens it. */
static void test_asked(void)
{
    struct quality *quality = quality_new();
    json_auto_t *opening = parse("[{\"mid\":\"*\",\"flowStatus\":\"ENABLED-UPLINK\"}]");
    g_assert_false(quality_opens(quality, "1", true));
    quality_set_asked(quality, opening);
    g_assert_true(quality_opens(quality, "1", true));
    g_assert_false(quality_opens(quality, "1", false));
    quality_set_asked(quality, NULL); /* refused */
    g_assert_false(quality_opens(quality, "1", true));
    quality_set_asked(quality, opening);
    quality_set_policy(quality, parse("[{\"mid\":\"1\",\"flowStatus\":\"DISABLED\"}]"));
    g_assert_false(quality_opens(quality, "1", true));
    quality_set_policy(quality, json_incref(opening));
    g_assert_true(quality_opens(quality, "1", true));
    quality_free(quality);
}

static void test_lift(void)
{
    struct quality *quality = quality_new();
    struct offer_template *both = medias();
    const char *limited = "[{\"mid\":\"0\",\"flowStatus\":\"ENABLED\","
                          "\"marking\":{\"taggingBehaviour\":\"mark\",\"dscp\":8}},"
                          "{\"mid\":\"1\",\"flowStatus\":\"ENABLED\","
                          "\"policing\":{\"sdr\":1000,\"mbs\":2000}}]";
    json_auto_t *before = parse(limited);
    json_auto_t *after = parse("[{\"mid\":\"*\",\"flowStatus\":\"ENABLED\"}]");
    assert_json(quality_lift(quality, before, both), limited);
    quality_set_policy(quality, json_incref(before));
    assert_json(quality_lift(quality, before, both), limited);
    assert_json(quality_lift(quality, after, both),
                "[{\"mid\":\"*\",\"flowStatus\":\"ENABLED\"},"
                "{\"mid\":\"0\",\"marking\":{\"taggingBehaviour\":\"mark\",\"dscp\":46}},"
                "{\"mid\":\"1\",\"policing\":false}]");
    assert_json(quality_closed(after), NULL);
    assert_json(quality_closed(before), "[{\"mid\":\"0\",\"flowStatus\":\"DISABLED\","
                                        "\"marking\":{\"taggingBehaviour\":\"mark\",\"dscp\":8}},"
                                        "{\"mid\":\"1\",\"flowStatus\":\"DISABLED\","
                                        "\"policing\":{\"sdr\":1000,\"mbs\":2000}}]");
    assert_json(quality_gates(before), "[{\"mid\":\"0\",\"flowStatus\":\"ENABLED\"},"
                                       "{\"mid\":\"1\",\"flowStatus\":\"ENABLED\"}]");
    offer_template_free(both);
    quality_free(quality);
}

static void test_news(void)
{
    struct quality *quality = quality_new();
    struct offer_template *both = medias();
    quality_set_policy(quality, parse("[{\"mid\":\"*\",\"flowStatus\":\"ENABLED\"}]"));
    assert_json(quality_news(quality, both), NULL);
    quality_set_policy(quality, parse("[{\"mid\":\"0\",\"flowStatus\":\"ENABLED\"},"
                                      "{\"mid\":\"1\",\"flowStatus\":\"DISABLED\"}]"));
    const char *closed = "[{\"mid\":\"1\",\"flowStatus\":\"DISABLED\"}]";
    assert_json(quality_news(quality, both), closed);
    assert_json(quality_news(quality, both), NULL);
    quality_forget_told(quality);
    assert_json(quality_news(quality, both), closed);
    quality_set_policy(quality, parse("[{\"mid\":\"*\",\"flowStatus\":\"ENABLED\"}]"));
    const char *open = "[{\"mid\":\"1\",\"flowStatus\":\"ENABLED\"}]";
    assert_json(quality_news(quality, both), open);
    quality_forget_told(quality);
    assert_json(quality_news(quality, both), open);
    offer_template_free(both);
    quality_free(quality);
}

static void test_first(void)
{
    struct quality *quality = quality_new();
    g_assert_true(quality_first(quality, "0", QUALITY_POLICED));
    g_assert_false(quality_first(quality, "0", QUALITY_POLICED));
    g_assert_true(quality_first(quality, "0", QUALITY_GATED_UPLINK));
    g_assert_true(quality_first(quality, "1", QUALITY_POLICED));
    quality_set_policy(quality, parse("[{\"mid\":\"*\",\"flowStatus\":\"ENABLED\"}]"));
    g_assert_true(quality_first(quality, "0", QUALITY_POLICED));
    quality_free(quality);
}

/* Of each medium the latest, once; what the table of the protocol does not have is left out. */
static void test_measured(void)
{
    struct quality *quality = quality_new();
    json_auto_t *first =
        parse("{\"mediaType\":\"audio\",\"seconds\":5,\"uplink\":{\"bitrate\":1}}");
    json_auto_t *second = parse("{\"seconds\":5,\"downlink\":{\"bitrate\":2}}");
    assert_json(quality_take_measured(quality), NULL);
    quality_measured(quality, "0", second);
    quality_measured(quality, "1", second);
    quality_measured(quality, "0", first);
    assert_json(quality_take_measured(quality),
                "[{\"mid\":\"0\",\"measured\":{\"seconds\":5,\"uplink\":{\"bitrate\":1}}},"
                "{\"mid\":\"1\",\"measured\":{\"seconds\":5,\"downlink\":{\"bitrate\":2}}}]");
    assert_json(quality_take_measured(quality), NULL);
    quality_measured(quality, "0", first);
    quality_free(quality);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/quality/asked", test_asked);
    g_test_add_func("/quality/in-force", test_in_force);
    g_test_add_func("/quality/lift", test_lift);
    g_test_add_func("/quality/news", test_news);
    g_test_add_func("/quality/first", test_first);
    g_test_add_func("/quality/measured", test_measured);
    return g_test_run();
}
