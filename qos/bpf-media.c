/* SPDX-License-Identifier: Apache-2.0 */
/* Puts the program on the interfaces that carry media and takes it off again. The kind of an
 * interface decides which variant it gets, since the program has to know what lies before the IP
 * header. One that cannot have it is remembered with the reason; its packets come unjudged, and the
 * relay judges them. */
#define LOG_CATEGORY "qos"
#include "qos/bpf-media.h"

#include "base/log.h"
#include "base/problem.h"
#include "qos/interfaces.h"
#include "qos/tc.h"

#include <errno.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define VISIT_S 2 /* some 60 µs for each interface */

struct bpf_media {
    const struct enforce *enforce;
    char *owner;
    guint priority;
    bpf_media_changed changed;
    void *user;
    struct tc *tc;
    struct interfaces *interfaces;
    GHashTable *attached; /* index */
    GHashTable *refused;  /* index → sentence */
    char *impediment;
    guint visit;
    bool covers; /* atomic */
};

static bool link_of(const char *name, enum enforce_link *ret, GError **error)
{
    struct ifreq request = {0};
    g_strlcpy(request.ifr_name, name, sizeof request.ifr_name);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int done = fd < 0 ? -1 : ioctl(fd, SIOCGIFHWADDR, &request);
    int why = errno;
    if (fd >= 0)
        close(fd);
    if (done < 0) {
        problem_set(error, PROBLEM_ENFORCEMENT_UNAVAILABLE, "nothing is known of interface %s: %s",
                    name, g_strerror(why));
        return false;
    }
    switch (request.ifr_hwaddr.sa_family) {
    case ARPHRD_ETHER:
    case ARPHRD_LOOPBACK:
        *ret = ENFORCE_ETHERNET;
        return true;
    case ARPHRD_NONE: /* WireGuard, tun */
    case ARPHRD_PPP:
    case ARPHRD_RAWIP:
    case ARPHRD_SIT:
    case ARPHRD_TUNNEL:
    case ARPHRD_TUNNEL6:
        *ret = ENFORCE_PLAIN;
        return true;
    default:
        problem_set(error, PROBLEM_ENFORCEMENT_UNAVAILABLE,
                    "interface %s is of a kind (ARPHRD %u) that is not known; its media is judged "
                    "by the relay",
                    name, request.ifr_hwaddr.sa_family);
        return false;
    }
}

static void update(struct bpf_media *media)
{
    const char *wrong = media->interfaces ? interfaces_missing(media->interfaces) : NULL;
    GHashTableIter iter;
    gpointer sentence;
    g_hash_table_iter_init(&iter, media->refused);
    if (g_hash_table_iter_next(&iter, NULL, &sentence))
        wrong = sentence;
    g_free(media->impediment);
    media->impediment = g_strdup(wrong);
    __atomic_store_n(&media->covers, !wrong && g_hash_table_size(media->attached) > 0,
                     __ATOMIC_RELAXED);
    media->changed(media->user);
}

static bool attach(struct bpf_media *media, unsigned index, const char *name, GError **error)
{
    enum enforce_link link;
    if (!link_of(name, &link, error))
        return false;
    const int *programs = media->enforce->programs[link];
    if (tc_attach_bpf(media->tc, index, TC_INGRESS, programs[QOS_UPLINK], media->owner,
                      media->priority, error) &&
        tc_attach_bpf(media->tc, index, TC_EGRESS, programs[QOS_DOWNLINK], media->owner,
                      media->priority, error))
        return true;
    tc_detach(media->tc, index, media->owner);
    return false;
}

static void on_up(void *user, unsigned index, const char *name)
{
    struct bpf_media *media = user;
    g_autoptr(GError) error = NULL;
    g_hash_table_remove(media->refused, GUINT_TO_POINTER(index));
    if (attach(media, index, name, &error))
        g_hash_table_add(media->attached, GUINT_TO_POINTER(index));
    else
        g_hash_table_insert(media->refused, GUINT_TO_POINTER(index), g_strdup(error->message));
    log_debug(NULL, "interface %s: %s", name, error ? error->message : "filters attached");
    update(media);
}

static void on_down(void *user, unsigned index, const char *name)
{
    struct bpf_media *media = user;
    g_hash_table_remove(media->refused, GUINT_TO_POINTER(index));
    if (g_hash_table_remove(media->attached, GUINT_TO_POINTER(index)))
        tc_detach(media->tc, index, media->owner);
    update(media);
}

static bool is_wanted(unsigned index, const char *kind, void *user)
{
    struct bpf_media *media = user;
    return strcmp(kind, "bpf") == 0 &&
           g_hash_table_contains(media->attached, GUINT_TO_POINTER(index));
}

static bool has_both(struct bpf_media *media, unsigned index)
{
    return tc_is_attached(media->tc, index, TC_INGRESS, media->owner) &&
           tc_is_attached(media->tc, index, TC_EGRESS, media->owner);
}

/* Others have tools as well: what they have taken away, with the clsact perhaps, is put back, and
 * what was refused may be possible now. */
static gboolean on_visit(gpointer user)
{
    struct bpf_media *media = user;
    g_autoptr(GArray) again = g_array_new(FALSE, FALSE, sizeof(unsigned));
    GHashTableIter iter;
    gpointer key;
    g_hash_table_iter_init(&iter, media->refused);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        unsigned index = GPOINTER_TO_UINT(key);
        g_array_append_val(again, index);
    }
    g_hash_table_iter_init(&iter, media->attached);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        unsigned index = GPOINTER_TO_UINT(key);
        if (!has_both(media, index))
            g_array_append_val(again, index);
    }
    for (guint i = 0; i < again->len; i++) {
        unsigned index = g_array_index(again, unsigned, i);
        char name[IF_NAMESIZE];
        g_hash_table_remove(media->attached, GUINT_TO_POINTER(index));
        if (if_indextoname(index, name)) /* else down() is on its way */
            on_up(media, index, name);
    }
    return G_SOURCE_CONTINUE;
}

static const struct interfaces_ops ops = {.up = on_up, .down = on_down};

struct bpf_media *bpf_media_new(const struct enforce *enforce, const char *owner, guint priority,
                                const char *const *interfaces, bpf_media_changed changed,
                                void *user, GError **error)
{
    struct bpf_media *media = g_new0(struct bpf_media, 1);
    media->enforce = enforce;
    media->owner = g_strdup(owner);
    media->priority = priority;
    media->changed = changed;
    media->user = user;
    media->attached = g_hash_table_new(NULL, NULL);
    media->refused = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    media->tc = tc_new(error);
    if (media->tc)
        media->interfaces = interfaces_new(interfaces, &ops, media, error);
    if (!media->interfaces) {
        bpf_media_free(media);
        return NULL;
    }
    media->visit = g_timeout_add_seconds(VISIT_S, on_visit, media);
    update(media);
    return media;
}

void bpf_media_free(struct bpf_media *media)
{
    if (!media)
        return;
    if (media->visit)
        g_source_remove(media->visit);
    interfaces_free(media->interfaces);
    GHashTableIter iter;
    gpointer index;
    g_hash_table_iter_init(&iter, media->attached);
    while (g_hash_table_iter_next(&iter, &index, NULL))
        tc_detach(media->tc, GPOINTER_TO_UINT(index), media->owner);
    tc_free(media->tc);
    g_hash_table_unref(media->attached);
    g_hash_table_unref(media->refused);
    g_free(media->impediment);
    g_free(media->owner);
    g_free(media);
}

void bpf_media_add_address(struct bpf_media *media, const struct sockaddr *local)
{
    interfaces_add_address(media->interfaces, local);
    update(media);
}

char *bpf_media_sweep(struct bpf_media *media)
{
    return tc_sweep(media->tc, media->owner, is_wanted, media);
}

guint bpf_media_count(const struct bpf_media *media)
{
    return g_hash_table_size(media->attached);
}

const char *bpf_media_impediment(const struct bpf_media *media)
{
    return media->impediment;
}

bool bpf_media_covers(const struct bpf_media *media)
{
    return __atomic_load_n(&media->covers, __ATOMIC_RELAXED);
}
