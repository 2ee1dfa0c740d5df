/* SPDX-License-Identifier: Apache-2.0 */
/* The pool of media centres. The choice is by the load that each one reports; equal loads take
 * turns, so that a burst of calls spreads before the next report. */
#include "wsf/wmcf-pool.h"

#include <string.h>

struct wmcf_pool {
    GPtrArray *links; /* struct wmcf_link, owned */
    guint turn;
};

struct wmcf_pool *wmcf_pool_new(const struct conf *conf, const char *identity,
                                struct link_service *service, const struct wmcf_link_ops *ops,
                                void *user, GError **error)
{
    struct wmcf_pool *pool = g_new0(struct wmcf_pool, 1);
    pool->links = g_ptr_array_new_with_free_func((GDestroyNotify)wmcf_link_free);
    const char *const *sections = conf_instances(conf, "wmcf*");
    for (guint i = 0; sections && sections[i]; i++) {
        struct wmcf_link *link =
            wmcf_link_new(conf, sections[i], identity, service, ops, user, error);
        if (!link) {
            wmcf_pool_free(pool);
            return NULL;
        }
        g_ptr_array_add(pool->links, link);
    }
    return pool;
}

void wmcf_pool_free(struct wmcf_pool *pool)
{
    if (!pool)
        return;
    g_ptr_array_unref(pool->links);
    g_free(pool);
}

static struct wmcf_link *find(const struct wmcf_pool *pool, const char *wmcf)
{
    for (guint i = 0; i < pool->links->len; i++) {
        struct wmcf_link *link = g_ptr_array_index(pool->links, i);
        if (strcmp(wmcf_link_name(link), wmcf) == 0)
            return link;
    }
    return NULL;
}

bool wmcf_pool_has(const struct wmcf_pool *pool, const char *wmcf)
{
    return find(pool, wmcf) != NULL;
}

static bool was_tried(const struct wmcf_link *link, const GPtrArray *tried)
{
    for (guint i = 0; tried && i < tried->len; i++)
        if (strcmp(g_ptr_array_index(tried, i), wmcf_link_name(link)) == 0)
            return true;
    return false;
}

/* One that enforces no policy at all comes after all that do. */
static guint weight(const struct wmcf_link *link)
{
    return wmcf_link_load(link) + (wmcf_link_enforces(link) ? 0 : 10000);
}

static struct wmcf_link *best(const struct wmcf_pool *pool, const GPtrArray *tried)
{
    struct wmcf_link *found = NULL;
    for (guint i = 0; i < pool->links->len; i++) {
        struct wmcf_link *link =
            g_ptr_array_index(pool->links, (pool->turn + i) % pool->links->len);
        if (wmcf_link_is_ready(link) && !was_tried(link, tried) &&
            (!found || weight(link) < weight(found)))
            found = link;
    }
    return found;
}

bool wmcf_pool_is_ready(const struct wmcf_pool *pool)
{
    return best(pool, NULL) != NULL;
}

bool wmcf_pool_is_up(const struct wmcf_pool *pool, const char *wmcf)
{
    const struct wmcf_link *link = wmcf ? find(pool, wmcf) : NULL;
    return link && wmcf_link_is_up(link);
}

guint wmcf_pool_members(const struct wmcf_pool *pool, const char *wmcf)
{
    const struct wmcf_link *link = wmcf ? find(pool, wmcf) : NULL;
    return link ? wmcf_link_members(link) : 0;
}

const char *wmcf_pool_choose(struct wmcf_pool *pool, GError **error)
{
    struct wmcf_link *link = best(pool, NULL);
    if (link) {
        pool->turn++;
        return wmcf_link_name(link);
    }
    problem_set_retry(error, PROBLEM_RESOURCES_UNAVAILABLE, 5,
                      "no media centre is available at the moment; try again shortly");
    return NULL;
}

const char *wmcf_pool_choose_other(struct wmcf_pool *pool, const GPtrArray *tried)
{
    const struct wmcf_link *link = best(pool, tried);
    return link ? wmcf_link_name(link) : NULL;
}

void wmcf_pool_request(struct wmcf_pool *pool, const char *wmcf, const char *method,
                       json_t *members, wmcf_response_fn done, void *user)
{
    wmcf_link_request(find(pool, wmcf), method, members, done, user);
}

void wmcf_pool_release(struct wmcf_pool *pool, const char *wmcf, const char *context_id)
{
    struct wmcf_link *link = find(pool, wmcf);
    if (link)
        wmcf_link_release(link, context_id);
}

static void on_subtracted(const struct link_response *response, void *user)
{
}

void wmcf_pool_subtract(struct wmcf_pool *pool, const char *wmcf, const char *context_id,
                        const char *termination_id)
{
    wmcf_pool_request(
        pool, wmcf, "subtract",
        json_pack("{s:s, s:s}", "contextId", context_id, "terminationId", termination_id),
        on_subtracted, NULL);
}
