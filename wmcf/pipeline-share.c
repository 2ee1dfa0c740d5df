/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the shared pipelines by the name that a WSF gives them. What comes of the host is told to
 * every member; a member may leave while it is told, and the last one takes the share with it, so
 * telling goes over a copy and holds the share. One that has failed is nobody's to join. */
#define LOG_CATEGORY "pipeline"
#include "wmcf/pipeline-share.h"

#include "base/loop.h"
#include "base/problem.h"

#include <string.h>

struct pipeline_share {
    struct wmcf *wmcf;
    char *key;               /* owner and name */
    char *what;              /* template and arguments, to compare */
    struct context *context; /* owned */
    struct termination *host;
    GPtrArray *members; /* struct pipeline_share_member, borrowed */
    bool playing, over; /* over: failed, or being freed */
    guint held;
};

static char *key_of(const char *owner, const char *name)
{
    return g_strconcat(owner, "\n", name, NULL);
}

static int compare_arguments(const void *a, const void *b)
{
    return strcmp(((const struct pipeline_argument *)a)->name,
                  ((const struct pipeline_argument *)b)->name);
}

static char *describe(const struct pipeline_wanted *wanted)
{
    struct pipeline_argument sorted[PIPELINE_TEMPLATE_PARAMETERS_MAX];
    GString *what = g_string_new(wanted->template_name);
    memcpy(sorted, wanted->arguments, wanted->n_arguments * sizeof sorted[0]);
    qsort(sorted, wanted->n_arguments, sizeof sorted[0], compare_arguments);
    for (guint i = 0; i < wanted->n_arguments; i++)
        g_string_append_printf(what, "\n%s %d %" G_GINT64_FORMAT " %.17g %d %s", sorted[i].name,
                               sorted[i].kind, sorted[i].integer, sorted[i].number,
                               sorted[i].boolean, sorted[i].text ? sorted[i].text : "");
    return g_string_free(what, FALSE);
}

/* --- beginning and end ------------------------------------------------------------------------ */

/* Nobody joins it any more. */
static void close_share(struct pipeline_share *share)
{
    share->over = true;
    if (g_hash_table_lookup(share->wmcf->shares, share->key) == share)
        g_hash_table_remove(share->wmcf->shares, share->key);
}

static void free_if_empty(struct pipeline_share *share)
{
    if (share->members->len || share->held)
        return;
    close_share(share);
    share->held++; /* the host tells that it was taken away before it played */
    context_free(share->context);
    g_ptr_array_unref(share->members);
    g_free(share->what);
    g_free(share->key);
    g_free(share);
}

static void tell_all(struct pipeline_share *share,
                     void (*tell)(struct pipeline_share_member *member, const GError *error),
                     const GError *error)
{
    g_autoptr(GPtrArray) members = g_ptr_array_copy(share->members, NULL, NULL);
    share->held++;
    for (guint i = 0; i < members->len; i++)
        if (g_ptr_array_find(share->members, g_ptr_array_index(members, i), NULL))
            tell(g_ptr_array_index(members, i), error);
    share->held--;
    free_if_empty(share);
}

/* --- what is told ----------------------------------------------------------------------------- */

static void tell_started(struct pipeline_share_member *member, const GError *error)
{
    if (member->told)
        return;
    member->told = true;
    member->ops->started(member->user);
}

static void tell_failed(struct pipeline_share_member *member, const GError *error)
{
    member->ops->failed(member->user, error);
}

static void tell_ended(struct pipeline_share_member *member, const GError *error)
{
    if (member->told)
        member->ops->ended(member->user);
}

void pipeline_share_failed(struct pipeline_share *share, const GError *error)
{
    if (share->over)
        return;
    close_share(share);
    tell_all(share, tell_failed, error);
}

void pipeline_share_ended(struct pipeline_share *share)
{
    if (!share->over)
        tell_all(share, tell_ended, NULL);
}

/* A host that does not play stays until the last member has left. */
static void on_host_started(struct termination *host, const GError *error, void *user)
{
    struct pipeline_share *share = user;
    if (share->over)
        return;
    if (error) {
        pipeline_share_failed(share, error);
        return;
    }
    share->playing = true;
    tell_all(share, tell_started, NULL);
}

struct poke {
    struct wmcf *wmcf;
    char *key;
};

/* Who has joined one that plays learns it later, as from any pipeline. */
static void on_poke(void *data)
{
    struct poke *poke = data;
    struct pipeline_share *share = g_hash_table_lookup(poke->wmcf->shares, poke->key);
    if (share && share->playing)
        tell_all(share, tell_started, NULL);
    g_free(poke->key);
    g_free(poke);
}

/* --- members ---------------------------------------------------------------------------------- */

static struct pipeline_share *begin(struct wmcf *wmcf, const char *key, const char *what,
                                    const struct pipeline_wanted *wanted, GError **error)
{
    struct pipeline_share *share = g_new0(struct pipeline_share, 1);
    struct pipeline_wanted all = *wanted;
    share->wmcf = wmcf;
    share->key = g_strdup(key);
    share->what = g_strdup(what);
    share->members = g_ptr_array_new();
    all.share = NULL;
    all.hosts = share;
    all.n_medias = 0;
    share->context = context_new(wmcf, PIPELINE_SHARE_OWNER, TOPOLOGY_EXPLICIT, NULL, error);
    if (share->context)
        share->host = pipeline_termination_add(share->context, &all, on_host_started, share, error);
    if (!share->host) {
        share->over = true;
        context_free(share->context);
        g_ptr_array_unref(share->members);
        g_free(share->what);
        g_free(share->key);
        g_free(share);
        return NULL;
    }
    g_hash_table_insert(wmcf->shares, share->key, share);
    return share;
}

bool pipeline_share_join(struct pipeline_share_member *member, struct wmcf *wmcf, const char *owner,
                         const struct pipeline_wanted *wanted, GError **error)
{
    g_autofree char *key = key_of(owner, wanted->share), *what = describe(wanted);
    struct pipeline_share *share = g_hash_table_lookup(wmcf->shares, key);
    if (share && strcmp(share->what, what) != 0) {
        problem_set_param(error, PROBLEM_INVALID_STATE, "/pipeline/share",
                          "another template or other parameters are shared by this name");
        return false;
    }
    if (!share && !(share = begin(wmcf, key, what, wanted, error)))
        return false;
    member->share = share;
    member->told = false;
    g_ptr_array_add(share->members, member);
    if (share->playing) {
        struct poke *poke = g_new(struct poke, 1);
        *poke = (struct poke){wmcf, g_strdup(key)};
        loop_post("shared pipeline", on_poke, poke);
    }
    return true;
}

void pipeline_share_leave(struct pipeline_share_member *member)
{
    struct pipeline_share *share = g_steal_pointer(&member->share);
    if (!share)
        return;
    g_ptr_array_remove(share->members, member);
    free_if_empty(share);
}

struct termination *pipeline_share_host(const struct pipeline_share_member *member)
{
    return member->share ? member->share->host : NULL;
}
