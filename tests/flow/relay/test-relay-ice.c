/* SPDX-License-Identifier: Apache-2.0 */
/* Two relays that check each other: both full, one lite, in conflict, without candidates,
 * restarted, lost. No endpoint but the other relay. */
#include "base/loop.h"
#include "tests/flow/relay/endpoint.h"

#include <string.h>

struct side {
    struct relay *relay;
    struct relay_leg *leg;
    char ufrag[16], pwd[32];
    unsigned connected, failed, expired, released;
    struct sockaddr_storage local, remote;
    GPtrArray *dtls;
};

static void on_connected(void *user, const struct sockaddr_storage *local,
                         const struct sockaddr_storage *remote)
{
    struct side *side = user;
    side->connected++;
    side->local = *local;
    side->remote = *remote;
}

static void on_failed(void *user, const char *reason)
{
    g_assert_nonnull(reason);
    ((struct side *)user)->failed++;
}

static void on_expired(void *user)
{
    ((struct side *)user)->expired++;
}

static void on_dtls(void *user, GBytes *datagram)
{
    g_ptr_array_add(((struct side *)user)->dtls, g_bytes_ref(datagram));
}

static void on_released(void *user)
{
    ((struct side *)user)->released++;
}

static const struct relay_leg_ops ops = {
    .ice_connected = on_connected,
    .ice_failed = on_failed,
    .consent_expired = on_expired,
    .dtls = on_dtls,
    .released = on_released,
};

/* Serves the loop until `condition`; the relays run by themselves. */
#define UNTIL(condition)                                                                           \
    do {                                                                                           \
        for (guint tries_ = 0; tries_ < 10000 && !(condition); tries_++)                           \
            endpoints_wait(NULL, NULL, NULL, 1);                                                   \
        g_assert_true(condition);                                                                  \
    } while (0)

static void new_credentials(struct side *side)
{
    static unsigned serial;
    g_snprintf(side->ufrag, sizeof side->ufrag, "side%u", ++serial);
    g_snprintf(side->pwd, sizeof side->pwd, "passwordpasswordpassw%u", serial);
}

static void begin_in(struct side *side, struct relay *relay, bool full)
{
    g_autoptr(GError) error = NULL;
    *side = (struct side){.relay = relay};
    side->dtls = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    new_credentials(side);
    struct relay_leg_config leg = {.group = 1,
                                   .name = "t-ice",
                                   .local_ufrag = side->ufrag,
                                   .local_pwd = side->pwd,
                                   .ice_full = full,
                                   .ops = &ops,
                                   .user = side};
    side->leg = relay_leg_new(side->relay, &leg, &error);
    g_assert_no_error(error);
}

static void begin(struct side *side, const char *address, bool full)
{
    const char *const bind[] = {address, NULL};
    struct relay_config config = {.bind = bind, .consent_timeout_ms = 3000};
    begin_in(side, test_relay_new(&config), full);
}

static void release(struct side *side)
{
    if (side->leg)
        relay_leg_release(g_steal_pointer(&side->leg));
    UNTIL(side->released == 1);
}

static void end(struct side *side)
{
    release(side);
    relay_free(side->relay);
    g_ptr_array_unref(side->dtls);
}

static struct relay_candidate candidate_of(const struct side *side)
{
    gsize n;
    const struct relay_address *addresses = relay_leg_addresses(side->leg, &n);
    return (struct relay_candidate){.address = addresses[0].advertised,
                                    .priority = addresses[0].priority};
}

/* What `side` is told of `other`. */
static void tell(struct side *side, const struct side *other, enum relay_ice_role role,
                 bool candidates)
{
    struct relay_candidate candidate = candidate_of(other);
    struct relay_remote_ice remote = {.ufrag = other->ufrag,
                                      .pwd = other->pwd,
                                      .role = role,
                                      .candidates = &candidate,
                                      .n_candidates = candidates,
                                      .complete = candidates};
    relay_leg_set_remote_ice(side->leg, &remote);
}

static void on_stats(const struct relay_leg_stats *stats, void *user)
{
    *(bool *)user = true;
}

/* The worker has done what it was told. */
static void have_done(struct side *side)
{
    bool done = false;
    relay_leg_stats(side->leg, on_stats, &done);
    UNTIL(done);
}

static void check_dtls(struct side *from, struct side *to)
{
    g_autoptr(GBytes) datagram = g_bytes_new_static("\x16\xfe\xfdsomething like DTLS", 22);
    guint have = to->dtls->len;
    relay_leg_send_dtls(from->leg, datagram);
    UNTIL(to->dtls->len == have + 1);
}

static void check_joined(struct side *a, struct side *b)
{
    gsize n;
    UNTIL(a->connected && b->connected);
    g_assert_cmpmem(&a->local, 8, &relay_leg_addresses(a->leg, &n)->local, 8);
    g_assert_cmpmem(&a->remote, 8, &relay_leg_addresses(b->leg, &n)->local, 8);
    g_assert_cmpmem(&b->remote, 8, &relay_leg_addresses(a->leg, &n)->local, 8);
    check_dtls(a, b);
    check_dtls(b, a);
    g_assert_cmpuint(a->connected, ==, 1);
    g_assert_cmpuint(b->connected, ==, 1);
}

static void join(const char *address, enum relay_ice_role role_a, enum relay_ice_role role_b)
{
    struct side a, b;
    begin(&a, address, role_a != RELAY_ICE_LITE);
    begin(&b, address, role_b != RELAY_ICE_LITE);
    tell(&b, &a, role_b, true);
    tell(&a, &b, role_a, true);
    check_joined(&a, &b);
    end(&a);
    end(&b);
}

static void test_full_full(void)
{
    join("127.0.0.1", RELAY_ICE_CONTROLLING, RELAY_ICE_CONTROLLED);
}

static void test_full_lite(void)
{
    join("127.0.0.1", RELAY_ICE_CONTROLLING, RELAY_ICE_LITE);
    join("127.0.0.1", RELAY_ICE_LITE, RELAY_ICE_CONTROLLING);
}

static void test_ipv6(void)
{
    join("::1", RELAY_ICE_CONTROLLING, RELAY_ICE_CONTROLLED);
}

/* Both want one role: the tie-breakers decide. */
static void test_conflict(void)
{
    for (guint i = 0; i < 4; i++) {
        join("127.0.0.1", RELAY_ICE_CONTROLLING, RELAY_ICE_CONTROLLING);
        join("127.0.0.1", RELAY_ICE_CONTROLLED, RELAY_ICE_CONTROLLED);
    }
}

/* One side has no candidate of the other: it learns it from the checks that come. */
static void test_peer_reflexive(void)
{
    for (int controlling = 0; controlling < 2; controlling++) {
        struct side a, b;
        begin(&a, "127.0.0.1", true);
        begin(&b, "127.0.0.1", true);
        tell(&a, &b, controlling ? RELAY_ICE_CONTROLLING : RELAY_ICE_CONTROLLED, false);
        tell(&b, &a, controlling ? RELAY_ICE_CONTROLLED : RELAY_ICE_CONTROLLING, true);
        check_joined(&a, &b);
        end(&a);
        end(&b);
    }
}

/* Checks that come before the description are answered, and remembered. */
static void test_early_checks(void)
{
    struct side a, b;
    begin(&a, "127.0.0.1", true);
    begin(&b, "127.0.0.1", true);
    tell(&b, &a, RELAY_ICE_CONTROLLED, true);
    endpoints_wait(NULL, NULL, NULL, 200);
    g_assert_cmpuint(a.connected + b.connected, ==, 0);
    tell(&a, &b, RELAY_ICE_CONTROLLING, false);
    check_joined(&a, &b);
    end(&a);
    end(&b);
}

static void test_trickle(void)
{
    struct side a, b;
    begin(&a, "127.0.0.1", true);
    begin(&b, "127.0.0.1", false);
    tell(&b, &a, RELAY_ICE_LITE, false);
    tell(&a, &b, RELAY_ICE_CONTROLLING, false);
    endpoints_wait(NULL, NULL, NULL, 100);
    g_assert_cmpuint(a.connected + b.connected, ==, 0);
    struct relay_candidate late = candidate_of(&b);
    relay_leg_add_candidates(a.leg, &late, 1, true);
    check_joined(&a, &b);
    end(&a);
    end(&b);
}

/* Nobody there knows us: told, once; and when somebody does after all, that is told too. */
static void test_failure(void)
{
    struct side a, b, stranger;
    begin(&a, "127.0.0.1", true);
    begin(&b, "127.0.0.1", true);
    begin(&stranger, "127.0.0.1", true);
    struct relay_candidate candidate = candidate_of(&stranger);
    struct relay_remote_ice remote = {.ufrag = b.ufrag,
                                      .pwd = b.pwd,
                                      .role = RELAY_ICE_CONTROLLED,
                                      .candidates = &candidate,
                                      .n_candidates = 1};
    relay_leg_set_remote_ice(a.leg, &remote);
    endpoints_wait(NULL, NULL, NULL, 100);
    g_assert_cmpuint(a.failed, ==, 0); /* candidates may follow */
    relay_leg_add_candidates(a.leg, NULL, 0, true);
    UNTIL(a.failed == 1);
    tell(&b, &a, RELAY_ICE_CONTROLLING, true);
    UNTIL(a.connected == 1 && b.connected == 1);
    g_assert_cmpuint(a.failed, ==, 1);
    end(&a);
    end(&b);
    end(&stranger);
}

#define MANY 20

/* Two servers have many legs between them: full ones have ports of their own, so one lite side is
 * no matter either. */
static void many(bool b_full)
{
    static const char *const bind[] = {"127.0.0.1", NULL};
    struct relay_config config = {.bind = bind, .own_port = 23000, .own_ports = 3 * MANY};
    struct relay *relays[2] = {test_relay_new(&config), test_relay_new(&config)};
    struct side sides[MANY][2] = {0};
    for (guint i = 0; i < MANY; i++) {
        for (guint k = 0; k < 2; k++)
            begin_in(&sides[i][k], relays[k], k == 0 || b_full);
        tell(&sides[i][1], &sides[i][0], b_full ? RELAY_ICE_CONTROLLED : RELAY_ICE_LITE, true);
        tell(&sides[i][0], &sides[i][1], RELAY_ICE_CONTROLLING, true);
    }
    for (guint i = 0; i < MANY; i++)
        check_joined(&sides[i][0], &sides[i][1]);
    for (guint i = 0; i < MANY; i++)
        for (guint k = 0; k < 2; k++) {
            release(&sides[i][k]);
            g_ptr_array_unref(sides[i][k].dtls);
        }
    relay_free(relays[0]);
    relay_free(relays[1]);
}

static void test_many(void)
{
    many(true);
    many(false);
}

/* The ports are used up: refused in a sentence, and free again after a release. */
static void test_ports(void)
{
    static const char *const bind[] = {"127.0.0.1", NULL};
    struct relay_config config = {.bind = bind, .own_port = 23100, .own_ports = 2};
    struct relay *relay = test_relay_new(&config);
    struct side sides[2] = {0};
    g_autoptr(GError) error = NULL;
    struct relay_leg_config leg = {.group = 1,
                                   .name = "t",
                                   .local_ufrag = "x",
                                   .local_pwd = "y",
                                   .ice_full = true,
                                   .ops = &ops};
    for (guint i = 0; i < 2; i++)
        begin_in(&sides[i], relay, true);
    g_assert_null(relay_leg_new(relay, &leg, &error));
    g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_RESOURCES_UNAVAILABLE);
    for (guint i = 0; i < 2; i++) {
        release(&sides[i]);
        g_ptr_array_unref(sides[i].dtls);
    }
    begin_in(&sides[0], relay, true);
    release(&sides[0]);
    g_ptr_array_unref(sides[0].dtls);
    relay_free(relay);
}

/* --- restart ---------------------------------------------------------------------------------- */

static void restart(struct side *side)
{
    new_credentials(side);
    relay_leg_prepare_ice(side->leg, side->ufrag, side->pwd);
}

static void test_restart(void)
{
    static const enum relay_ice_role roles[][2] = {
        {RELAY_ICE_CONTROLLING, RELAY_ICE_CONTROLLED},
        {RELAY_ICE_CONTROLLING, RELAY_ICE_LITE},
        {RELAY_ICE_LITE, RELAY_ICE_CONTROLLING},
    };
    for (guint i = 0; i < G_N_ELEMENTS(roles); i++) {
        struct side a, b;
        begin(&a, "127.0.0.1", roles[i][0] != RELAY_ICE_LITE);
        begin(&b, "127.0.0.1", roles[i][1] != RELAY_ICE_LITE);
        tell(&b, &a, roles[i][1], true);
        tell(&a, &b, roles[i][0], true);
        check_joined(&a, &b);
        for (guint round = 2; round < 4; round++) {
            endpoints_wait(NULL, NULL, NULL, 110); /* sooner it would be told a second later */
            restart(&a);                           /* it offers; b answers and may check at once */
            restart(&b);
            tell(&b, &a, roles[i][1], true);
            check_dtls(&a, &b); /* the old path carries on */
            check_dtls(&b, &a);
            tell(&a, &b, roles[i][0], true);
            UNTIL(a.connected == round && b.connected == round);
            check_dtls(&a, &b);
            check_dtls(&b, &a);
        }
        g_assert_cmpuint(a.expired + b.expired + a.failed + b.failed, ==, 0);
        end(&a);
        end(&b);
    }
}

/* An offer of a restart that is withdrawn, also after the endpoint has begun to check. */
static void test_cancel(void)
{
    struct side a, b;
    begin(&a, "127.0.0.1", false);
    begin(&b, "127.0.0.1", true);
    tell(&a, &b, RELAY_ICE_LITE, true);
    tell(&b, &a, RELAY_ICE_CONTROLLING, true);
    check_joined(&a, &b);
    struct side before = a;
    restart(&a);
    restart(&b);
    tell(&b, &a, RELAY_ICE_CONTROLLING, true);
    UNTIL(b.connected == 2);              /* a answers to the new credentials … */
    g_assert_cmpuint(a.connected, ==, 1); /* … and goes on with the old ones */
    relay_leg_cancel_ice(a.leg);
    check_dtls(&a, &b);
    check_dtls(&b, &a);
    /* and b comes back to the old ones */
    memcpy(a.ufrag, before.ufrag, sizeof a.ufrag);
    memcpy(a.pwd, before.pwd, sizeof a.pwd);
    new_credentials(&b);
    relay_leg_prepare_ice(b.leg, b.ufrag, b.pwd);
    tell(&a, &b, RELAY_ICE_LITE, true);
    have_done(&a);
    tell(&b, &a, RELAY_ICE_CONTROLLING, true);
    UNTIL(b.connected == 3);
    check_dtls(&a, &b);
    end(&a);
    end(&b);
}

/* Consent is kept by asking, and lost when nobody answers; a restart heals it. */
static void test_consent(void)
{
    struct side a, b;
    begin(&a, "127.0.0.1", true);
    begin(&b, "127.0.0.1", true);
    tell(&b, &a, RELAY_ICE_CONTROLLED, true);
    tell(&a, &b, RELAY_ICE_CONTROLLING, true);
    check_joined(&a, &b);
    endpoints_wait(NULL, NULL, NULL, 3500);
    g_assert_cmpuint(a.expired + b.expired, ==, 0);
    release(&b);
    gint64 deadline = g_get_monotonic_time() + 15 * G_USEC_PER_SEC;
    while (!a.expired && g_get_monotonic_time() < deadline)
        endpoints_wait(NULL, NULL, NULL, 10);
    g_assert_cmpuint(a.expired, ==, 1);
    end(&b);
    begin(&b, "127.0.0.1", true);
    restart(&a);
    tell(&b, &a, RELAY_ICE_CONTROLLED, true);
    tell(&a, &b, RELAY_ICE_CONTROLLING, true);
    UNTIL(a.connected == 2 && b.connected == 1);
    check_dtls(&a, &b);
    end(&a);
    end(&b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    loop_init(1000);
    g_test_add_func("/relay-ice/full-full", test_full_full);
    g_test_add_func("/relay-ice/full-lite", test_full_lite);
    g_test_add_func("/relay-ice/ipv6", test_ipv6);
    g_test_add_func("/relay-ice/conflict", test_conflict);
    g_test_add_func("/relay-ice/peer-reflexive", test_peer_reflexive);
    g_test_add_func("/relay-ice/early-checks", test_early_checks);
    g_test_add_func("/relay-ice/trickle", test_trickle);
    g_test_add_func("/relay-ice/many", test_many);
    g_test_add_func("/relay-ice/ports", test_ports);
    g_test_add_func("/relay-ice/restart", test_restart);
    g_test_add_func("/relay-ice/cancel", test_cancel);
    g_test_add_func("/relay-ice/failure", test_failure);
    g_test_add_func("/relay-ice/consent", test_consent);
    return g_test_run();
}
