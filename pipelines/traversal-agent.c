/* SPDX-License-Identifier: Apache-2.0 */
/* A NiceAgent with one stream of one component, and the socket that joins it to the relay. Neither
 * side waits for the other: what does not fit into the kernel's buffer is dropped and counted, as
 * on the network. Somebody who opens TCP connections to a listening candidate and says nothing
 * costs a descriptor each, and libnice sets no bound; so connections beyond a limit are closed once
 * a second, the selected one and the listening sockets excepted. */
#include "pipelines/traversal-agent.h"

#include "base/loop.h"

#include <glib-unix.h>
#include <gio/gnetworking.h>
#include <nice/agent.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define COMPONENT 1
#define DATAGRAM_MAX 65536
#define DATAGRAMS_PER_TURN 64

struct traversal_agent {
    struct traversal_config config; /* strings and arrays are ours */
    const struct traversal_events *events;
    guint64 number;
    int fd;
    NiceAgent *nice;
    guint stream;
    bool gathered, connected, failed;
    GSource *readable, *deadline;
};

static _Atomic guint64 dropped;

guint64 traversal_agent_dropped(void)
{
    return dropped;
}

struct traversal_agent *traversal_agent_new(const struct traversal_config *config,
                                            const struct traversal_events *events, guint64 number,
                                            int fd)
{
    struct traversal_agent *agent = g_new0(struct traversal_agent, 1);
    agent->config = *config;
    agent->config.addresses =
        g_memdup2(config->addresses, config->n_addresses * sizeof *config->addresses);
    agent->config.servers = g_memdup2(config->servers, config->n_servers * sizeof *config->servers);
    agent->config.turn_user = g_strdup(config->turn_user);
    agent->config.turn_password = g_strdup(config->turn_password);
    agent->config.ufrag = g_strdup(config->ufrag);
    agent->config.pwd = g_strdup(config->pwd);
    agent->events = events;
    agent->number = number;
    agent->fd = fd;
    return agent;
}

/* --- to the control thread -------------------------------------------------------------------- */

struct report {
    const struct traversal_events *events;
    guint64 number;
    char **candidates;
    struct sockaddr_storage local, remote;
    const char *reason;
};

static void on_report(void *data)
{
    struct report *report = data;
    if (report->candidates)
        report->events->gathered(report->number, report->candidates);
    else if (report->reason)
        report->events->failed(report->number, report->reason);
    else
        report->events->connected(report->number, &report->local, &report->remote);
    g_free(report);
}

static void tell(const struct traversal_agent *agent, struct report report)
{
    report.events = agent->events;
    report.number = agent->number;
    loop_post("traversal", on_report, g_memdup2(&report, sizeof report));
}

/* --- datagrams -------------------------------------------------------------------------------- */

static void on_datagram(NiceAgent *nice, guint stream, guint component, guint length, char *data,
                        void *user)
{
    struct traversal_agent *agent = user;
    if (send(agent->fd, data, length, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        dropped++;
}

/* Returns whether there may be more. */
static bool take_one(struct traversal_agent *agent)
{
    static char data[DATAGRAM_MAX]; /* one thread */
    ssize_t length = recv(agent->fd, data, sizeof data, MSG_DONTWAIT);
    if (length < 0)
        return false;
    if (nice_agent_send(agent->nice, agent->stream, COMPONENT, (guint)length, data) != length)
        dropped++;
    return true;
}

static gboolean on_readable(int fd, GIOCondition condition, void *data)
{
    for (guint i = 0; i < DATAGRAMS_PER_TURN && take_one(data); i++)
        ;
    return G_SOURCE_CONTINUE;
}

/* --- what libnice says ------------------------------------------------------------------------ */

/* With a 1:1 NAT in front, host candidates tell its outer address. */
static void advertise(const struct traversal_agent *agent, NiceCandidate *candidate)
{
    if (candidate->type != NICE_CANDIDATE_TYPE_HOST)
        return;
    for (gsize i = 0; i < agent->config.n_addresses; i++) {
        NiceAddress local;
        nice_address_set_from_sockaddr(&local,
                                       (const struct sockaddr *)&agent->config.addresses[i].local);
        if (!nice_address_equal_no_port(&local, &candidate->addr))
            continue;
        guint port = nice_address_get_port(&candidate->addr);
        nice_address_set_from_sockaddr(
            &candidate->addr, (const struct sockaddr *)&agent->config.addresses[i].advertised);
        nice_address_set_port(&candidate->addr, port);
        return;
    }
}

static void free_candidate(void *candidate)
{
    nice_candidate_free(candidate);
}

static void finish_gathering(struct traversal_agent *agent)
{
    if (agent->gathered)
        return;
    agent->gathered = true;
    g_autoptr(GPtrArray) lines = g_ptr_array_new();
    GSList *candidates = nice_agent_get_local_candidates(agent->nice, agent->stream, COMPONENT);
    for (GSList *i = candidates; i; i = i->next) {
        NiceCandidate *candidate = i->data;
        /* A client has nothing that listens; if it has, we connect, and it learns of us then. */
        if (candidate->transport == NICE_CANDIDATE_TRANSPORT_TCP_ACTIVE)
            continue;
        if (candidate->transport == NICE_CANDIDATE_TRANSPORT_TCP_PASSIVE &&
            candidate->type == NICE_CANDIDATE_TYPE_HOST)
            traversal_listens(agent->number, &candidate->addr, agent->config.connections);
        advertise(agent, candidate);
        g_ptr_array_add(lines, nice_agent_generate_local_candidate_sdp(agent->nice, candidate));
    }
    g_slist_free_full(candidates, free_candidate);
    g_ptr_array_add(lines, NULL);
    tell(agent,
         (struct report){.candidates = (char **)g_ptr_array_free(g_steal_pointer(&lines), FALSE)});
}

static void on_gathered(NiceAgent *nice, guint stream, void *user)
{
    finish_gathering(user);
}

static gboolean on_deadline(void *user)
{
    finish_gathering(user);
    return G_SOURCE_REMOVE;
}

static void to_storage(const NiceAddress *address, struct sockaddr_storage *ret)
{
    nice_address_copy_to_sockaddr(address, (struct sockaddr *)ret);
}

static void on_selected(NiceAgent *nice, guint stream, guint component, NiceCandidate *local,
                        NiceCandidate *remote, void *user)
{
    struct traversal_agent *agent = user;
    struct report report = {0};
    agent->connected = true;
    to_storage(&local->addr, &report.local);
    to_storage(&remote->addr, &report.remote);
    traversal_selects(agent->number, &remote->addr);
    tell(agent, report);
}

static void on_state(NiceAgent *nice, guint stream, guint component, guint state, void *user)
{
    struct traversal_agent *agent = user;
    if (state != NICE_COMPONENT_STATE_FAILED)
        return;
    tell(agent,
         (struct report){.reason = agent->connected ? "the endpoint does not answer any more"
                                                    : "no candidate of the endpoint answers"});
    agent->connected = false;
}

/* --- life ------------------------------------------------------------------------------------- */

static GSource *start_timer(guint ms, GSourceFunc fn, struct traversal_agent *agent)
{
    GSource *source = g_timeout_source_new(ms);
    g_source_set_callback(source, fn, agent, NULL);
    g_source_attach(source, traversal_context());
    return source;
}

static void configure_servers(struct traversal_agent *agent)
{
    const struct traversal_config *config = &agent->config;
    for (gsize i = 0; i < config->n_servers; i++) {
        const struct traversal_server *server = &config->servers[i];
        if (server->kind == TRAVERSAL_STUN)
            g_object_set(agent->nice, "stun-server", server->address, "stun-server-port",
                         (guint)server->port, NULL);
        else if (config->turn_user)
            nice_agent_set_relay_info(agent->nice, agent->stream, COMPONENT, server->address,
                                      server->port, config->turn_user, config->turn_password,
                                      server->kind == TRAVERSAL_TURN_TCP
                                          ? NICE_RELAY_TYPE_TURN_TCP
                                          : NICE_RELAY_TYPE_TURN_UDP);
    }
}

void traversal_agent_begin(struct traversal_job *job)
{
    struct traversal_agent *agent = job->agent;
    const struct traversal_config *config = &agent->config;
    traversal_thread_count(1);
    agent->nice =
        nice_agent_new_full(traversal_context(), NICE_COMPATIBILITY_RFC5245,
                            NICE_AGENT_OPTION_REGULAR_NOMINATION | NICE_AGENT_OPTION_ICE_TRICKLE |
                                NICE_AGENT_OPTION_CONSENT_FRESHNESS);
    g_object_set(agent->nice, "upnp", FALSE, "ice-tcp", (gboolean)config->tcp, NULL);
    for (gsize i = 0; i < config->n_addresses; i++) {
        NiceAddress address;
        nice_address_set_from_sockaddr(&address,
                                       (const struct sockaddr *)&config->addresses[i].local);
        nice_address_set_port(&address, 0);
        nice_agent_add_local_address(agent->nice, &address);
    }
    agent->stream = nice_agent_add_stream(agent->nice, 1);
    if (config->port)
        nice_agent_set_port_range(agent->nice, agent->stream, COMPONENT, config->port,
                                  config->port + config->ports - 1);
    nice_agent_set_local_credentials(agent->nice, agent->stream, config->ufrag, config->pwd);
    configure_servers(agent);
    g_signal_connect(agent->nice, "candidate-gathering-done", G_CALLBACK(on_gathered), agent);
    g_signal_connect(agent->nice, "new-selected-pair-full", G_CALLBACK(on_selected), agent);
    g_signal_connect(agent->nice, "component-state-changed", G_CALLBACK(on_state), agent);
    nice_agent_attach_recv(agent->nice, agent->stream, COMPONENT, traversal_context(), on_datagram,
                           agent);
    agent->readable = g_unix_fd_source_new(agent->fd, G_IO_IN);
    g_source_set_callback(agent->readable, G_SOURCE_FUNC(on_readable), agent, NULL);
    g_source_attach(agent->readable, traversal_context());
    agent->deadline = start_timer(TRAVERSAL_GATHER_MS, on_deadline, agent);
    if (!nice_agent_gather_candidates(agent->nice, agent->stream))
        finish_gathering(agent);
}

void traversal_agent_set_remote(struct traversal_job *job)
{
    struct traversal_agent *agent = job->agent;
    g_object_set(agent->nice, "controlling-mode", (gboolean)job->controlling, NULL);
    if (job->restart) {
        nice_agent_restart_stream(agent->nice, agent->stream);
        nice_agent_set_local_credentials(agent->nice, agent->stream, job->local_ufrag,
                                         job->local_pwd);
    }
    nice_agent_set_remote_credentials(agent->nice, agent->stream, job->ufrag, job->pwd);
}

static NiceCandidateTransport transport_of(const struct sdp_candidate *candidate)
{
    return candidate->udp                                ? NICE_CANDIDATE_TRANSPORT_UDP
           : strcmp(candidate->tcp_type, "active") == 0  ? NICE_CANDIDATE_TRANSPORT_TCP_ACTIVE
           : strcmp(candidate->tcp_type, "passive") == 0 ? NICE_CANDIDATE_TRANSPORT_TCP_PASSIVE
                                                         : NICE_CANDIDATE_TRANSPORT_TCP_SO;
}

static NiceCandidateType type_of(const struct sdp_candidate *candidate)
{
    return strcmp(candidate->type, "host") == 0    ? NICE_CANDIDATE_TYPE_HOST
           : strcmp(candidate->type, "srflx") == 0 ? NICE_CANDIDATE_TYPE_SERVER_REFLEXIVE
           : strcmp(candidate->type, "prflx") == 0 ? NICE_CANDIDATE_TYPE_PEER_REFLEXIVE
                                                   : NICE_CANDIDATE_TYPE_RELAYED;
}

void traversal_agent_add_candidate(struct traversal_job *job)
{
    struct traversal_agent *agent = job->agent;
    const struct sdp_candidate *from = &job->candidate;
    NiceCandidate *candidate = nice_candidate_new(type_of(from));
    candidate->component_id = COMPONENT;
    candidate->stream_id = agent->stream;
    candidate->transport = transport_of(from);
    candidate->priority = from->priority;
    g_strlcpy(candidate->foundation, from->foundation, sizeof candidate->foundation);
    if (nice_address_set_from_string(&candidate->addr, from->address)) {
        nice_address_set_port(&candidate->addr, from->port);
        GSList one = {.data = candidate};
        nice_agent_set_remote_candidates(agent->nice, agent->stream, COMPONENT, &one);
    }
    nice_candidate_free(candidate);
}

void traversal_agent_complete(struct traversal_job *job)
{
    nice_agent_peer_candidate_gathering_done(job->agent->nice, job->agent->stream);
}

static void end_source(GSource **source)
{
    if (!*source)
        return;
    g_source_destroy(*source);
    g_clear_pointer(source, g_source_unref);
}

static void on_closed(GObject *nice, GAsyncResult *result, void *data)
{
    nice_agent_remove_stream(NICE_AGENT(nice), GPOINTER_TO_UINT(data));
    g_object_unref(nice);
    traversal_thread_count(-1);
}

void traversal_agent_end(struct traversal_job *job)
{
    struct traversal_agent *agent = job->agent;
    while (take_one(agent)) /* a farewell */
        ;
    end_source(&agent->readable);
    end_source(&agent->deadline);
    traversal_listens_no_more(agent->number);
    g_signal_handlers_disconnect_by_data(agent->nice, agent);
    nice_agent_attach_recv(agent->nice, agent->stream, COMPONENT, NULL, NULL, NULL);
    /* Gives its allocations back, which takes the servers' answers. */
    nice_agent_close_async(agent->nice, on_closed, GUINT_TO_POINTER(agent->stream));
    close(agent->fd);
    g_free((void *)agent->config.addresses);
    g_free((void *)agent->config.servers);
    g_free((char *)agent->config.turn_user);
    g_free((char *)agent->config.turn_password);
    g_free((char *)agent->config.ufrag);
    g_free((char *)agent->config.pwd);
    g_free(agent);
}
