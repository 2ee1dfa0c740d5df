/* SPDX-License-Identifier: Apache-2.0 */
/* The adapter of the bare forwarder: the same legs, media and measuring as against wmcf, with the
 * static keys in place of signalling, ICE and DTLS, and without RTCP, which it does not know. It
 * forwards whatever a leg sends to the others of its context that receive, so one m-line of each
 * kind takes the streams of all of them. */
#include "base/loop.h"
#include "tests/bench/static-keys.h"
#include "tests/support/load/adapter.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define REGISTRATION_MS 200

struct bare {
    struct sockaddr_storage to;
    struct loop_timer *timer;
};

static bool parse_to(const char *text, struct sockaddr_storage *ret)
{
    const char *colon = text ? strrchr(text, ':') : NULL;
    g_autofree char *host = colon ? g_strndup(text, (gsize)(colon - text)) : NULL;
    struct sockaddr_in *in = (struct sockaddr_in *)ret;
    memset(ret, 0, sizeof *ret);
    if (!host || inet_pton(AF_INET, host, &in->sin_addr) != 1)
        return false;
    in->sin_family = AF_INET;
    in->sin_port = htons((guint16)atoi(colon + 1));
    return in->sin_port != 0;
}

static void bare_add(struct load_run *run, struct load_leg *leg)
{
    struct bare *bare = run->data;
    struct peer_config config;
    guint8 local[PEER_SRTP_MASTER_MAX], remote[PEER_SRTP_MASTER_MAX];
    enum peer_srtp_profile profile;
    g_autoptr(GError) error = NULL;
    load_peer_config(run->options, &config, leg->publishes, leg->subscribes);
    config.faults.no_rtcp = true;
    leg->peer = peer_new(run->group, &config, &error);
    if (!leg->peer) {
        load_leg_done(run, leg, error->message);
        return;
    }
    bare_key(leg->index, 0, local);
    bare_key(leg->index, 1, remote);
    profile = config.n_srtp_profiles ? config.srtp_profiles[0] : PEER_SRTP_AEAD_AES_128_GCM;
    peer_connect_static(leg->peer, &bare->to, profile, local, remote);
    struct bare_registration registration = {.magic = BARE_MAGIC_BYTES,
                                             .context = (guint16)leg->context,
                                             .endpoint = (guint16)leg->index,
                                             .receives = leg->subscribes,
                                             .srtp_profile = (guint8)profile};
    peer_send_raw(leg->peer, &registration, sizeof registration);
    load_context_ready(run, leg->context);
    load_leg_done(run, leg, NULL);
}

static void on_registered(void *data)
{
    load_joined(data);
}

/* Nothing tells when the last registration was read. */
static void bare_join(struct load_run *run)
{
    struct bare *bare = run->data;
    bare->timer = loop_timer_new("registration", on_registered, run);
    loop_timer_start(bare->timer, REGISTRATION_MS);
}

static void bare_open(struct load_run *run)
{
    struct bare *bare = run->data = g_new0(struct bare, 1);
    if (!parse_to(run->options->to, &bare->to))
        load_fail(run, "say --to address:port");
    else if (run->legs->len > BARE_ENDPOINTS)
        load_fail(run, "at most %u legs", BARE_ENDPOINTS);
    else
        load_opened(run);
}

static void bare_free(struct load_run *run)
{
    struct bare *bare = run->data;
    if (!bare)
        return;
    loop_timer_free(bare->timer);
    g_free(bare);
}

const struct load_adapter load_bare_adapter = {
    .name = "bare", .open = bare_open, .add = bare_add, .join = bare_join, .free = bare_free};
