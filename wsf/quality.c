/* SPDX-License-Identifier: Apache-2.0 */
/* A leg's policy is kept as the list that was said last, because that is what the media centre
 * holds: entries lie over each other there, an unsaid member leaves what was. So whatever is to end
 * must be said, and that is worked out here from two lists. */
#include "wsf/quality.h"

#include "base/loop.h"

#include <string.h>

/* RFC 8837, what a media centre marks by default: there is no word for "as if nothing was said". */
#define DSCP_AUDIO 46
#define DSCP_VIDEO 36
#define DSCP_DATA 10

#define SOON_MS 50 /* in which the reports of one leg come */

#define OPEN "ENABLED"
#define CLOSED "DISABLED"

struct quality {
    json_t *policy;
    json_t *asked;     /* NULL: nothing is being asked for */
    json_t *told;      /* mid → flowStatus */
    GHashTable *noted; /* mid → bits of enum quality_note */
    json_t *measured;  /* mid → details of qosReport; NULL: nothing new */
    struct loop_timer *soon;
    bool waits; /* for it */
    void (*soon_fn)(struct wsf *wsf, struct leg *leg);
    struct wsf *wsf;
    struct leg *leg;
};

struct quality *quality_new(void)
{
    struct quality *quality = g_new0(struct quality, 1);
    quality->told = json_object();
    quality->noted = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return quality;
}

void quality_free(struct quality *quality)
{
    if (!quality)
        return;
    json_decref(quality->policy);
    json_decref(quality->asked);
    json_decref(quality->told);
    json_decref(quality->measured);
    loop_timer_free(quality->soon);
    g_hash_table_unref(quality->noted);
    g_free(quality);
}

/* --- what is in force ----------------------------------------------------------------------------
 */

static const char *text_of(const json_t *item, const char *name)
{
    const char *text = json_string_value(json_object_get(item, name));
    return text ? text : "";
}

/* The last that was said of a medium, be it by name or of all; NULL: nothing. */
static json_t *said_of(const json_t *policy, const char *mid, const char *member)
{
    json_t *said = NULL;
    size_t i;
    json_t *item;
    json_array_foreach(policy, i, item)
    {
        json_t *value = json_object_get(item, member);
        bool about =
            strcmp(text_of(item, "mid"), mid) == 0 || strcmp(text_of(item, "mid"), "*") == 0;
        if (value && about)
            said = value;
    }
    return said;
}

void quality_set_policy(struct quality *quality, json_t *policy)
{
    if (!json_equal(quality->policy, policy))
        g_hash_table_remove_all(quality->noted);
    json_decref(quality->policy);
    quality->policy = policy;
    quality_set_asked(quality, NULL);
}

void quality_set_asked(struct quality *quality, const json_t *policy)
{
    json_t *copy = json_deep_copy(policy);
    json_decref(quality->asked);
    quality->asked = copy;
}

const json_t *quality_policy(const struct quality *quality)
{
    return quality->policy;
}

const char *quality_flow_status(const struct quality *quality, const char *mid)
{
    const char *status = json_string_value(said_of(quality->policy, mid, "flowStatus"));
    return status ? status : CLOSED;
}

bool quality_passes(const char *flow_status, bool uplink)
{
    return strcmp(flow_status, OPEN) == 0 ||
           strcmp(flow_status, uplink ? "ENABLED-UPLINK" : "ENABLED-DOWNLINK") == 0;
}

bool quality_opens(const struct quality *quality, const char *mid, bool uplink)
{
    const char *asked = json_string_value(said_of(quality->asked, mid, "flowStatus"));
    return quality_passes(quality_flow_status(quality, mid), uplink) ||
           (asked && quality_passes(asked, uplink));
}

/* --- making policies -----------------------------------------------------------------------------
 */

static guint default_dscp(enum media_kind kind)
{
    return kind == MEDIA_AUDIO ? DSCP_AUDIO : kind == MEDIA_VIDEO ? DSCP_VIDEO : DSCP_DATA;
}

json_t *quality_lift(const struct quality *quality, const json_t *policy,
                     const struct offer_template *medias)
{
    json_t *list = json_deep_copy(policy);
    for (guint i = 0; medias && i < medias->medias->len; i++) {
        const struct offer_media *media = g_ptr_array_index(medias->medias, i);
        json_t *policed = said_of(quality->policy, media->mid, "policing");
        bool lift_policing =
            policed && !json_is_false(policed) && !said_of(policy, media->mid, "policing");
        bool lift_marking = said_of(quality->policy, media->mid, "marking") &&
                            !said_of(policy, media->mid, "marking");
        if (!lift_policing && !lift_marking)
            continue;
        json_t *item = json_pack("{s:s}", "mid", media->mid);
        if (lift_policing)
            json_object_set_new(item, "policing", json_false());
        if (lift_marking)
            json_object_set_new(item, "marking",
                                json_pack("{s:s, s:i}", "taggingBehaviour", "mark", "dscp",
                                          (int)default_dscp(media->kind)));
        json_array_append_new(list, item);
    }
    return list;
}

json_t *quality_closed(const json_t *policy)
{
    json_t *list = json_deep_copy(policy);
    bool enforced = false;
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        json_object_set_new(item, "flowStatus", json_string(CLOSED));
        enforced |= json_object_get(item, "policing") || json_object_get(item, "marking");
    }
    if (!enforced)
        g_clear_pointer(&list, json_decref);
    return list;
}

json_t *quality_gates(const json_t *policy)
{
    json_t *gates = json_array();
    size_t i;
    json_t *item;
    json_array_foreach(policy, i, item)
    {
        const char *status = json_string_value(json_object_get(item, "flowStatus"));
        if (status)
            json_array_append_new(
                gates, json_pack("{s:s, s:s}", "mid", text_of(item, "mid"), "flowStatus", status));
    }
    return gates;
}

/* --- what is told --------------------------------------------------------------------------------
 */

json_t *quality_news(struct quality *quality, const struct offer_template *medias)
{
    json_t *news = NULL;
    for (guint i = 0; medias && i < medias->medias->len; i++) {
        const struct offer_media *media = g_ptr_array_index(medias->medias, i);
        const char *told = json_string_value(json_object_get(quality->told, media->mid));
        const char *status = quality_flow_status(quality, media->mid);
        if (media->rejected || strcmp(status, told ? told : OPEN) == 0)
            continue;
        json_object_set_new(quality->told, media->mid, json_string(status));
        news = news ? news : json_array();
        json_array_append_new(news,
                              json_pack("{s:s, s:s}", "mid", media->mid, "flowStatus", status));
    }
    return news;
}

void quality_forget_told(struct quality *quality)
{
    const char *mid;
    json_t *status;
    json_object_foreach(quality->told, mid, status)
        json_string_set(status, ""); /* unlike any: it is told again, also that a gate is open */
}

bool quality_first(struct quality *quality, const char *mid, enum quality_note note)
{
    guint bits = GPOINTER_TO_UINT(g_hash_table_lookup(quality->noted, mid));
    if (bits & (1u << note))
        return false;
    g_hash_table_insert(quality->noted, g_strdup(mid), GUINT_TO_POINTER(bits | (1u << note)));
    return true;
}

/* --- what is measured ----------------------------------------------------------------------------
 */

void quality_measured(struct quality *quality, const char *mid, const json_t *details)
{
    static const char *const members[] = {"seconds", "uplink", "downlink"};
    json_t *measured = json_object();
    for (gsize i = 0; i < G_N_ELEMENTS(members); i++) {
        json_t *value = json_object_get(details, members[i]);
        if (value)
            json_object_set_new(measured, members[i], json_deep_copy(value));
    }
    if (!quality->measured)
        quality->measured = json_object();
    json_object_set_new(quality->measured, mid, measured);
}

json_t *quality_take_measured(struct quality *quality)
{
    if (!quality->measured)
        return NULL;
    json_auto_t *taken = g_steal_pointer(&quality->measured);
    json_t *list = json_array();
    const char *mid;
    json_t *details;
    json_object_foreach(taken, mid, details)
        json_array_append_new(list, json_pack("{s:s, s:O}", "mid", mid, "measured", details));
    return list;
}

static void on_soon(void *user)
{
    struct quality *quality = user;
    quality->waits = false;
    quality->soon_fn(quality->wsf, quality->leg);
}

void quality_soon(struct quality *quality, void (*fn)(struct wsf *wsf, struct leg *leg),
                  struct wsf *wsf, struct leg *leg)
{
    if (!quality->soon)
        quality->soon = loop_timer_new("quality", on_soon, quality);
    quality->soon_fn = fn;
    quality->wsf = wsf;
    quality->leg = leg;
    if (!quality->waits)
        loop_timer_start(quality->soon, SOON_MS);
    quality->waits = true;
}
