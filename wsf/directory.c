/* SPDX-License-Identifier: Apache-2.0 */
/* The directory. To be found is opt-in: only who publishes attributes is looked at, only who is
 * connected, and only by those whom policy lets call him, so a question tells nothing that a call
 * would not. Everything is looked through for each question; the limits of attributes make that a
 * matter of a millisecond for thousands of endpoints. */
#include "wsf/directory.h"

#include "wsf/attributes.h"
#include "wsf/room.h"
#include "wsf/routing.h"

#include <string.h>

struct search {
    const struct wsf *wsf;
    struct policy_caller asker;
    const json_t *match;
    gint64 max;
    json_t *found;
    GHashTable *seen; /* identities: one entry for all endpoints of a user */
    bool more;
};

/* `resource_id` and `attributes` are borrowed. */
static void consider(struct search *search, const char *resource_id, const char *kind,
                     const json_t *attributes)
{
    guint row;
    if (!json_object_size(attributes) || !attributes_match(attributes, search->match) ||
        g_hash_table_contains(search->seen, resource_id) ||
        !policy_permit(search->wsf->policy, &search->asker, resource_id, &row, NULL))
        return;
    if ((gint64)json_array_size(search->found) >= search->max) {
        search->more = true;
        return;
    }
    g_hash_table_add(search->seen, g_strdup(resource_id));
    json_array_append_new(search->found, json_pack("{s:s, s:s, s:O}", "resourceId", resource_id,
                                                   "kind", kind, "attributes", attributes));
}

static void look_at_resources(struct search *search)
{
    const struct conf *conf = search->wsf->conf;
    const char *const *sections = conf_instances(conf, "resource*");
    for (guint i = 0; sections && sections[i]; i++) {
        g_autofree char *name = routing_resource_name(conf, sections[i]);
        g_autofree char *resource_id = g_strconcat(name, "@", search->wsf->realm, NULL);
        json_auto_t *attributes = attributes_parse(conf_list(conf, sections[i], "attributes"));
        consider(search, resource_id, "resource", attributes);
    }
}

/* The rooms of the configuration, whether somebody is there or not. */
static void look_at_rooms(struct search *search)
{
    const GPtrArray *rules = room_rules_all(room_table_rules(search->wsf->rooms));
    for (guint i = 0; i < rules->len; i++) {
        const struct room_rule *rule = g_ptr_array_index(rules, i);
        for (guint n = 0; n < rule->rooms->len; n++) {
            g_autofree char *resource_id = g_strconcat(
                ROOM_PREFIX, g_ptr_array_index(rule->rooms, n), "@", search->wsf->realm, NULL);
            if (room_rule_permits(rule, &search->asker, true, NULL))
                consider(search, resource_id, "room", rule->attributes);
        }
    }
}

json_t *directory_find(const struct wsf *wsf, const struct endpoint *asker, const json_t *match,
                       bool *ret_more)
{
    struct search search = {
        .wsf = wsf,
        .asker = {asker->webrtc_id, asker->kind},
        .match = match,
        .max = conf_int(wsf->conf, "registration", "directory_max"),
        .found = json_array(),
        .seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
    };
    look_at_resources(&search);
    look_at_rooms(&search);
    g_autoptr(GPtrArray) all = registrar_all(wsf->registrar);
    for (guint i = 0; i < all->len; i++) {
        const struct endpoint *endpoint = g_ptr_array_index(all, i);
        if (endpoint->link && endpoint->attributes &&
            strcmp(endpoint->webrtc_id, asker->webrtc_id) != 0)
            consider(&search, endpoint->webrtc_id, endpoint_kind_name(endpoint->kind),
                     endpoint->attributes);
    }
    g_hash_table_unref(search.seen);
    *ret_more = search.more;
    return search.found;
}
