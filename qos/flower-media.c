/* SPDX-License-Identifier: Apache-2.0 */
/* The interfaces that have our filters, and what is said of the level: an interface that is missing
 * or refuses them, or a filter that the kernel would not take, is what keeps a required level from
 * holding anything. Once a second it is looked whether the filters are there still, by one question
 * for each hook; what is wrong is made anew, filters of all flows included. */
#define LOG_CATEGORY "qos"
#include "qos/flower-private.h"

#include "base/log.h"

#include <net/if.h>

static void report(struct level *level)
{
    const char *wrong = level->interfaces ? interfaces_missing(level->interfaces) : NULL;
    GHashTableIter iter;
    gpointer sentence;
    if (level->trouble)
        wrong = level->trouble;
    g_hash_table_iter_init(&iter, level->refused);
    if (g_hash_table_iter_next(&iter, NULL, &sentence))
        wrong = sentence;
    g_autofree char *impediment = g_strdup(wrong);
    g_autofree char *reason = g_strdup(level->qos->reason);
    qos_report(level->qos, reason, impediment);
}

void flower_fail(struct level *level, const GError *error)
{
    log_debug(NULL, "%s", error->message);
    g_free(level->trouble);
    level->trouble = g_strdup(error->message);
    report(level);
}

static void set_all_marks(struct level *level)
{
    for (guint i = 0; i < level->transports->len; i++)
        flower_set_marks(level, level->transports->pdata[i]);
}

static void on_up(void *user, unsigned index, const char *name)
{
    struct level *level = user;
    g_autoptr(GError) error = NULL;
    struct u32 *u32 =
        u32_attach(level->tc, index, level->name, level->qos->config.priority, &error);
    g_hash_table_remove(level->refused, GUINT_TO_POINTER(index));
    if (u32) {
        g_hash_table_replace(level->attached, GUINT_TO_POINTER(index), u32);
        flower_fill(level, u32);
    } else {
        g_hash_table_remove(level->attached, GUINT_TO_POINTER(index));
        g_hash_table_insert(level->refused, GUINT_TO_POINTER(index), g_strdup(error->message));
        set_all_marks(level);
    }
    log_debug(NULL, "interface %s: %s", name, error ? error->message : "filters attached");
    report(level);
}

static void on_down(void *user, unsigned index, const char *name)
{
    struct level *level = user;
    g_hash_table_remove(level->refused, GUINT_TO_POINTER(index));
    if (g_hash_table_remove(level->attached, GUINT_TO_POINTER(index)))
        u32_clean(level->tc, index, level->name); /* it may still be there */
    set_all_marks(level);
    report(level);
}

const struct interfaces_ops flower_interfaces_ops = {.up = on_up, .down = on_down};

void flower_add_address(struct level *level, const struct sockaddr *local)
{
    interfaces_add_address(level->interfaces, local);
    report(level);
}

/* A filter that was refused: all of an interface anew, and if that goes well the trouble is over.
 */
static bool has_failed(const struct level *level)
{
    for (guint i = 0; i < level->transports->len; i++) {
        const struct flower_transport *transport = level->transports->pdata[i];
        for (guint j = 0; j < transport->filters->len; j++)
            if (((const struct flower_filter *)transport->filters->pdata[j])->failed)
                return true;
    }
    return false;
}

void flower_visit(struct level *level)
{
    g_autoptr(GArray) again = g_array_new(FALSE, FALSE, sizeof(unsigned));
    bool failed = level->trouble && has_failed(level);
    GHashTableIter iter;
    gpointer key, u32;
    g_hash_table_iter_init(&iter, level->refused);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        unsigned index = GPOINTER_TO_UINT(key);
        g_array_append_val(again, index);
    }
    g_hash_table_iter_init(&iter, level->attached);
    while (g_hash_table_iter_next(&iter, &key, &u32)) {
        unsigned index = GPOINTER_TO_UINT(key);
        if (failed || !u32_is_there(u32))
            g_array_append_val(again, index);
    }
    bool troubled = level->trouble != NULL;
    if (troubled) {
        g_clear_pointer(&level->trouble, g_free);
        flower_forgive(level);
    }
    for (guint i = 0; i < again->len; i++) {
        unsigned index = g_array_index(again, unsigned, i);
        char name[IF_NAMESIZE];
        if (if_indextoname(index, name)) /* else down() is on its way */
            on_up(level, index, name);
    }
    if (!troubled)
        return;
    for (guint i = 0; i < level->transports->len; i++)
        flower_arrange(level, level->transports->pdata[i]);
    report(level);
}
