/* SPDX-License-Identifier: Apache-2.0 */
/* The control thread's half of a traversal: says by jobs what its agent is to do, and hears of it
 * by number, so that what is told late of one that is gone finds nothing. */
#include "pipelines/traversal.h"

#include "base/loop.h"
#include "base/problem.h"
#include "pipelines/traversal-agent.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct traversal {
    guint64 number;
    const struct traversal_ops *ops;
    void *user;
    struct traversal_agent *agent; /* its thread's; only named here */
    bool gathered;
    GArray *candidates;
    char *remote_ufrag, *remote_pwd; /* as said last; NULL = not yet */
};

static GHashTable *all; /* number → struct traversal */
static guint64 last_number;

static struct traversal *find(guint64 number)
{
    return all ? g_hash_table_lookup(all, &number) : NULL;
}

/* --- from the agent --------------------------------------------------------------------------- */

static void on_gathered(guint64 number, char **lines)
{
    struct traversal *traversal = find(number);
    for (guint i = 0; traversal && lines[i] && traversal->candidates->len < SDP_MAX_CANDIDATES;
         i++) {
        struct sdp_candidate candidate;
        if (sdp_candidate_parse(lines[i], &candidate, NULL))
            g_array_append_val(traversal->candidates, candidate);
    }
    g_strfreev(lines);
    if (!traversal)
        return;
    traversal->gathered = true;
    traversal->ops->gathered(traversal->user);
}

static void on_connected(guint64 number, const struct sockaddr_storage *local,
                         const struct sockaddr_storage *remote)
{
    struct traversal *traversal = find(number);
    if (traversal)
        traversal->ops->connected(traversal->user, local, remote);
}

static void on_failed(guint64 number, const char *reason)
{
    struct traversal *traversal = find(number);
    if (traversal)
        traversal->ops->failed(traversal->user, reason);
}

static const struct traversal_events events = {on_gathered, on_connected, on_failed};

/* --- life ------------------------------------------------------------------------------------- */

static struct traversal_job *job_new(const struct traversal *traversal)
{
    struct traversal_job *job = g_new0(struct traversal_job, 1);
    job->agent = traversal->agent;
    return job;
}

static bool open_pair(int ends[2], guint octets, GError **error)
{
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0) {
        problem_set(error, PROBLEM_RESOURCES_UNAVAILABLE,
                    "no descriptors for another termination with iceMode \"traversal\": %s",
                    g_strerror(errno));
        return false;
    }
    for (guint i = 0; i < 2; i++)
        setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &octets, sizeof octets);
    return true;
}

struct traversal *traversal_new(const struct traversal_config *config,
                                const struct traversal_ops *ops, void *user, int *ret_socket,
                                GError **error)
{
    int ends[2];
    loop_assert();
    if (!open_pair(ends, config->queue, error))
        return NULL;
    struct traversal *traversal = g_new0(struct traversal, 1);
    traversal->number = ++last_number;
    traversal->ops = ops;
    traversal->user = user;
    traversal->candidates = g_array_new(FALSE, FALSE, sizeof(struct sdp_candidate));
    g_array_set_clear_func(traversal->candidates, (GDestroyNotify)sdp_candidate_clear);
    if (!all)
        all = g_hash_table_new(g_int64_hash, g_int64_equal);
    g_hash_table_insert(all, &traversal->number, traversal);
    traversal->agent = traversal_agent_new(config, &events, traversal->number, ends[0]);
    traversal_post(traversal_agent_begin, job_new(traversal));
    *ret_socket = ends[1];
    return traversal;
}

void traversal_free(struct traversal *traversal)
{
    if (!traversal)
        return;
    loop_assert();
    g_hash_table_remove(all, &traversal->number);
    traversal_post(traversal_agent_end, job_new(traversal));
    g_array_unref(traversal->candidates);
    g_free(traversal->remote_ufrag);
    g_free(traversal->remote_pwd);
    g_free(traversal);
}

void traversal_finish(void)
{
    traversal_thread_stop();
    g_clear_pointer(&all, g_hash_table_destroy);
}

guint64 traversal_dropped(void)
{
    return traversal_agent_dropped();
}

/* --- negotiation ------------------------------------------------------------------------------ */

bool traversal_gathered(const struct traversal *traversal)
{
    return traversal->gathered;
}

const GArray *traversal_candidates(const struct traversal *traversal)
{
    return traversal->candidates;
}

void traversal_set_remote(struct traversal *traversal, const struct traversal_remote *remote)
{
    bool same = g_strcmp0(traversal->remote_ufrag, remote->ufrag) == 0 &&
                g_strcmp0(traversal->remote_pwd, remote->pwd) == 0;
    if (same)
        return;
    struct traversal_job *job = job_new(traversal);
    job->ufrag = g_strdup(remote->ufrag);
    job->pwd = g_strdup(remote->pwd);
    job->local_ufrag = g_strdup(remote->local_ufrag);
    job->local_pwd = g_strdup(remote->local_pwd);
    job->controlling = remote->controlling;
    job->restart = traversal->remote_ufrag != NULL;
    g_free(traversal->remote_ufrag);
    g_free(traversal->remote_pwd);
    traversal->remote_ufrag = g_strdup(remote->ufrag);
    traversal->remote_pwd = g_strdup(remote->pwd);
    traversal_post(traversal_agent_set_remote, job);
}

void traversal_add_candidate(struct traversal *traversal, const struct sdp_candidate *candidate)
{
    if (candidate->component != 1 || (!candidate->udp && !*candidate->tcp_type))
        return;
    struct traversal_job *job = job_new(traversal);
    job->candidate = *candidate;
    job->candidate.foundation = g_strdup(candidate->foundation);
    job->candidate.address = g_strdup(candidate->address);
    job->candidate.type = g_strdup(candidate->type);
    traversal_post(traversal_agent_add_candidate, job);
}

void traversal_complete(struct traversal *traversal)
{
    traversal_post(traversal_agent_complete, job_new(traversal));
}

/* --- servers ---------------------------------------------------------------------------------- */

/* host [":" port], an IPv6 address in brackets. */
static bool read_host(const char *text, size_t length, struct traversal_server *server)
{
    char host[64];
    const char *end = text + length, *colon = memchr(text, ':', length);
    if (length && *text == '[') {
        const char *close = memchr(text, ']', length);
        if (!close || (size_t)(close - text) > sizeof host)
            return false;
        g_snprintf(host, sizeof host, "%.*s", (int)(close - text - 1), text + 1);
        colon = close + 1 < end ? close + 1 : NULL;
        if (colon && *colon != ':')
            return false;
    } else {
        g_snprintf(host, sizeof host, "%.*s", (int)((colon ? colon : end) - text), text);
    }
    guint64 port = 3478;
    if (colon) {
        g_autofree char *digits = g_strndup(colon + 1, (size_t)(end - colon - 1));
        if (!g_ascii_string_to_unsigned(digits, 10, 1, 65535, &port, NULL))
            return false;
    }
    guint8 binary[16];
    if (inet_pton(AF_INET, host, binary) != 1 && inet_pton(AF_INET6, host, binary) != 1)
        return false;
    g_strlcpy(server->address, host, sizeof server->address);
    server->port = (guint16)port;
    return true;
}

bool traversal_server_parse(const char *url, struct traversal_server *ret, GError **error)
{
    const char *query = strchr(url, '?'), *rest = strchr(url, ':');
    const char *transport = query ? query + 1 : "transport=udp";
    bool stun = g_str_has_prefix(url, "stun:"), turn = g_str_has_prefix(url, "turn:");
    bool tcp = strcmp(transport, "transport=tcp") == 0;
    *ret = (struct traversal_server){.kind = stun  ? TRAVERSAL_STUN
                                             : tcp ? TRAVERSAL_TURN_TCP
                                                   : TRAVERSAL_TURN_UDP};
    if ((stun && !query) || (turn && (tcp || strcmp(transport, "transport=udp") == 0))) {
        rest++;
        if (read_host(rest, query ? (size_t)(query - rest) : strlen(rest), ret))
            return true;
    }
    problem_set(error, PROBLEM_INVALID_MESSAGE,
                "\"%s\" is no server for iceMode \"traversal\": say stun:ADDRESS:PORT or "
                "turn:ADDRESS:PORT?transport=udp (or tcp) with a numeric address",
                url);
    return false;
}
