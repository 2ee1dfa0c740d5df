/* SPDX-License-Identifier: Apache-2.0 */
/* An element names what it wants of one m-line and replaces what was wanted of it before; one that
 * names nothing wants everything again. What of it can be had the relay sees from packet to packet:
 * here only its form is judged. */
#include "wmcf/preferred-layer.h"

#include "base/problem.h"
#include "wsf-link/json-read.h"

#define PIXELS_MAX 65535
#define LAYER_NUMBER_MAX 7 /* three bits (RFC 9628 4.2) */

struct preferred_layer {
    char mid[SDP_MAX_MID + 1];
    bool any;
    struct relay_layer_preference preference;
};

static bool read_numbers(const json_t *item, const char *base, struct preferred_layer *layer,
                         GError **error)
{
    struct relay_layer_preference *preference = &layer->preference;
    gint64 width = 0, height = 0, spatial = -1, temporal = -1;
    const char *rid = "";
    if (!json_read_integer(item, base, "width", JSON_OPTIONAL, 0, PIXELS_MAX, &width, error) ||
        !json_read_integer(item, base, "height", JSON_OPTIONAL, 0, PIXELS_MAX, &height, error) ||
        !json_read_string(item, base, "rid", JSON_OPTIONAL, RELAY_RID_MAX, &rid, error) ||
        !json_read_integer(item, base, "spatial", JSON_OPTIONAL, 0, LAYER_NUMBER_MAX, &spatial,
                           error) ||
        !json_read_integer(item, base, "temporal", JSON_OPTIONAL, 0, LAYER_NUMBER_MAX, &temporal,
                           error))
        return false;
    preference->width = (uint16_t)width;
    preference->height = (uint16_t)height;
    preference->spatial = (int8_t)spatial;
    preference->temporal = (int8_t)temporal;
    g_strlcpy(preference->rid, rid, sizeof preference->rid);
    layer->any = !width && !height && !*rid && spatial < 0 && temporal < 0;
    return true;
}

static bool read_layer(struct termination *termination, const json_t *item, const char *base,
                       struct preferred_layer *layer, GError **error)
{
    const char *mid = NULL;
    if (!json_is_object(item)) {
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, base,
                          "a preferred layer is an object with the mid of a video");
        return false;
    }
    if (!json_read_string(item, base, "mid", JSON_REQUIRED, SDP_MAX_MID, &mid, error))
        return false;
    const struct termination_media *media = termination_media(termination, mid);
    if (!media || media->kind != SDP_VIDEO) {
        g_autofree char *pointer = g_strconcat(base, "/mid", NULL);
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, pointer,
                          "termination %s has no video of mid %s", termination->id, mid);
        return false;
    }
    g_strlcpy(layer->mid, mid, sizeof layer->mid);
    return read_numbers(item, base, layer, error);
}

GArray *preferred_layers_read(struct termination *termination, const json_t *message,
                              GError **error)
{
    const json_t *array = NULL;
    g_autoptr(GArray) layers = g_array_new(FALSE, TRUE, sizeof(struct preferred_layer));
    if (!json_read_array(message, "", "preferredLayer", JSON_OPTIONAL, RELAY_MEDIAS_MAX, &array,
                         error))
        return NULL;
    size_t i;
    json_t *item;
    json_array_foreach(array, i, item)
    {
        g_autofree char *base = g_strdup_printf("/preferredLayer/%zu", i);
        struct preferred_layer layer = {.any = false};
        if (!read_layer(termination, item, base, &layer, error))
            return NULL;
        g_array_append_val(layers, layer);
    }
    return g_steal_pointer(&layers);
}

void preferred_layers_apply(struct termination *termination, const GArray *layers)
{
    for (guint i = 0; i < layers->len; i++) {
        const struct preferred_layer *layer = &g_array_index(layers, struct preferred_layer, i);
        relay_leg_prefer_layer(termination->relay_leg, layer->mid,
                               layer->any ? NULL : &layer->preference);
    }
}
