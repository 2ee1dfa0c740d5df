/* SPDX-License-Identifier: Apache-2.0 */
/* Events on their way to the WSF. A notify is a request that is answered, but nothing here waits
 * for the answer: a WSF that has lost its link audits when it is back, so an event that finds no
 * link is dropped, not queued. The sequence counts all of a context's events, sent or not, and so a
 * gap shows. */
#define LOG_CATEGORY "events"
#include "wmcf/events.h"

#include "base/log.h"
#include "base/metrics.h"
#include "base/problem.h"
#include "wmcf/controller.h"
#include "wmcf/termination.h"
#include "wsf-link/json-read.h"

static const char *const event_names[] = {
#define EVENT_NAME(name, wire) wire,
    EVENTS(EVENT_NAME)
#undef EVENT_NAME
};

const char *event_name(enum event event)
{
    g_return_val_if_fail(event < G_N_ELEMENTS(event_names), "");
    return event_names[event];
}

bool event_mask_read(const json_t *message, struct event_mask *ret, bool *ret_said, GError **error)
{
    const json_t *array = NULL;
    if (!json_read_array(message, "", "events", JSON_OPTIONAL, G_N_ELEMENTS(event_names), &array,
                         error))
        return false;
    *ret_said = array != NULL;
    struct event_mask mask = {0};
    size_t i;
    json_t *item;
    json_array_foreach(array, i, item)
    {
        const char *name = json_string_value(item);
        size_t e = 0;
        while (name && e < G_N_ELEMENTS(event_names) && strcmp(name, event_names[e]) != 0)
            e++;
        if (!name || e == G_N_ELEMENTS(event_names)) {
            g_autofree char *pointer = g_strdup_printf("/events/%zu", i);
            problem_set_param(error, PROBLEM_INVALID_MESSAGE, pointer,
                              "%s is not an event that can be asked for", name ? name : "this");
            return false;
        }
        mask.bits |= 1u << e;
    }
    *ret = mask;
    return true;
}

json_t *event_mask_json(struct event_mask mask)
{
    json_t *array = json_array();
    for (size_t e = 0; e < G_N_ELEMENTS(event_names); e++)
        if (mask.bits & (1u << e))
            json_array_append_new(array, json_string(event_names[e]));
    return array;
}

void event_notify(struct termination *termination, enum event event, const char *mid,
                  json_t *details)
{
    json_auto_t *owned = details;
    struct context *context = termination->context;
    if (!context)
        return;
    static struct metric *events;
    if (!events)
        events =
            metric_register(METRIC_COUNTER, "events", NULL, "Events of terminations.", "event");
    metric_add(events, 1, (const char *const[]){event_name(event)});

    struct log_ids ids = {.context = context->id, .termination = termination->id};
    log_debug(&ids, "event %s%s%s", event_name(event), mid ? " of mid " : "", mid ? mid : "");
    if (!(termination->events.bits & (1u << event)))
        return;
    context->events_sent++;
    struct link *link = controller_link_for(context->wmcf, context->owner, context->instance);
    if (!link)
        return;
    json_t *members = json_pack("{s:s, s:s, s:s, s:I}", "contextId", context->id, "terminationId",
                                termination->id, "event", event_name(event), "sequence",
                                (json_int_t)context->events_sent);
    if (mid)
        json_object_set_new(members, "mid", json_string(mid));
    if (owned)
        json_object_set(members, "details", owned);
    link_request(link, "notify", members, 0, NULL, NULL);
}
