/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The half of a traversal that lives on its thread: the NiceAgent and the socket to the relay.
 * Threads: traversal_agent_new() and traversal_post() control; the rest the traversal thread. */
#include "pipelines/traversal.h"

#include <nice/agent.h>

struct traversal_agent;

/* On the control thread, for the object that has this number. */
struct traversal_events {
    void (*gathered)(guint64 number, char **candidates); /* "a=candidate:…"; transfer full */
    void (*connected)(guint64 number, const struct sockaddr_storage *local,
                      const struct sockaddr_storage *remote);
    void (*failed)(guint64 number, const char *reason); /* static */
};

/* Takes `fd`, the agent's end. Nothing happens before traversal_agent_begin() has been posted. */
struct traversal_agent *traversal_agent_new(const struct traversal_config *config,
                                            const struct traversal_events *events, guint64 number,
                                            int fd);
/* Each of these is a job: the first argument is a struct traversal_job with what it needs. */
struct traversal_job {
    struct traversal_agent *agent;
    char *ufrag, *pwd, *local_ufrag, *local_pwd;
    bool controlling, restart;
    struct sdp_candidate candidate;
};
void traversal_agent_begin(struct traversal_job *job);
void traversal_agent_set_remote(struct traversal_job *job);
void traversal_agent_add_candidate(struct traversal_job *job);
void traversal_agent_complete(struct traversal_job *job);
/* Sends what the relay has sent and frees it. */
void traversal_agent_end(struct traversal_job *job);

guint64 traversal_agent_dropped(void);

/* --- traversal-connections.c: on the thread ----------------------------------------------------
 */
/* The agent listens for TCP there and keeps `most` connections, besides the one it has selected,
 * which is known by its peer's end. */
void traversal_listens(guint64 number, const NiceAddress *address, guint most);
void traversal_selects(guint64 number, const NiceAddress *remote);
void traversal_listens_no_more(guint64 number);

/* --- traversal-thread.c ----------------------------------------------------------------------- */
/* Runs fn(job) on the thread, in the order of posting, starting it if need be; takes the job. */
void traversal_post(void (*fn)(struct traversal_job *job), struct traversal_job *job);
GMainContext *traversal_context(void);
/* On the thread: agents of libnice that there are, more or fewer. */
void traversal_thread_count(int change);
/* Waits for agents to give back what they have at servers, a second at most. */
void traversal_thread_stop(void);
