/* SPDX-License-Identifier: Apache-2.0 */
/* Loads the bare forwarder: the same legs, media and measuring as against wmcf, with the static
 * keys in place of signalling, ICE and DTLS, and without RTCP, which it does not know. */
#include "base/loop.h"
#include "tests/bench/static-keys.h"
#include "tests/support/load/load.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define REGISTRATION_MS 200

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

static void on_finished(void *user)
{
    loop_quit();
}

static void clean(void *user)
{
    loop_timer_free(user);
}

static void on_registered(void *user)
{
    load_media_phase(user, on_finished, NULL);
}

static bool start_leg(struct load_run *run, guint index, const struct sockaddr_storage *to,
                      GError **error)
{
    struct load_leg *leg = run->legs->pdata[index];
    struct peer_config config;
    guint8 local[30], remote[30];
    load_peer_config(run->options, &config, leg->publishes, leg->subscribes);
    config.faults.no_rtcp = true;
    leg->begun_us = g_get_monotonic_time();
    leg->peer = peer_new(run->group, &config, error);
    if (!leg->peer)
        return false;
    bare_key(index, 0, local);
    bare_key(index, 1, remote);
    peer_connect_static(leg->peer, to, local, remote);
    struct bare_registration registration = {.magic = BARE_MAGIC_BYTES,
                                             .context = (guint16)leg->context,
                                             .endpoint = (guint16)index,
                                             .receives = leg->subscribes};
    peer_send_raw(leg->peer, &registration, sizeof registration);
    load_leg_settled(run, leg, true);
    return true;
}

void load_bare_start(struct load_run *run)
{
    struct sockaddr_storage to;
    g_autoptr(GError) error = NULL;
    if (!parse_to(run->options->to, &to)) {
        load_fail(run, "say --to address:port");
        return;
    }
    load_make_legs(run);
    if (run->legs->len > BARE_ENDPOINTS) {
        load_fail(run, "at most %u legs", BARE_ENDPOINTS);
        return;
    }
    for (guint i = 0; i < run->legs->len; i++)
        if (!start_leg(run, i, &to, &error)) {
            load_fail(run, "%s", error->message);
            return;
        }
    load_report_setup(run);
    struct loop_timer *timer = loop_timer_new("registration", on_registered, run);
    run->clean = clean;
    run->clean_user = timer;
    loop_timer_start(timer, REGISTRATION_MS);
}
