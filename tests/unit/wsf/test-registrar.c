/* SPDX-License-Identifier: Apache-2.0 */
/* The registrar with injected time: several endpoints, supersession, loss, expiry, limits. */
#include "wsf/registrar.h"

#include "base/problem.h"

#include <string.h>

#define S ((gint64)G_USEC_PER_SEC)
#define ALICE "alice@example.org"
#define UUID_1 "11111111-1111-4111-8111-111111111111"
#define UUID_2 "22222222-2222-4222-8222-222222222222"

/* Links are never touched, so any address will do. */
#define LINK(n) ((struct link *)(gsize)(n))

struct fixture {
    struct registrar *registrar;
    guint removed[4];
    bool in_use;
};

static void on_removed(struct endpoint *endpoint, enum registrar_removal removal, void *user)
{
    struct fixture *f = user;
    g_assert_true(registrar_endpoint(f->registrar, endpoint->number) == endpoint);
    f->removed[removal]++;
}

static bool on_in_use(const struct endpoint *endpoint, void *user)
{
    return ((struct fixture *)user)->in_use;
}

static const struct registrar_ops ops = {.removed = on_removed, .in_use = on_in_use};

static void set_up(struct fixture *f, gconstpointer data)
{
    f->registrar = registrar_new(5, 3, &ops, f);
}

static void tear_down(struct fixture *f, gconstpointer data)
{
    registrar_free(f->registrar);
}

static struct endpoint *enrol(struct fixture *f, const char *id, const char *instance, int link,
                              gint64 now, struct link **ret_superseded, bool *ret_resumed)
{
    const struct registration_request request = {.webrtc_id = id,
                                                 .instance_id = instance,
                                                 .link = LINK(link),
                                                 .address = "192.0.2.1",
                                                 .expiration_s = 100,
                                                 .ttl_s = 30};
    struct link *superseded = NULL;
    bool resumed = false;
    struct endpoint *endpoint =
        registrar_register(f->registrar, &request, now, &superseded, &resumed, NULL);
    if (ret_superseded)
        *ret_superseded = superseded;
    if (ret_resumed)
        *ret_resumed = resumed;
    return endpoint;
}

static void test_normalise(void)
{
    g_autofree char *normal = registrar_normalise("Alice.B@Example.ORG");
    g_assert_cmpstr(normal, ==, "Alice.B@example.org");
    g_assert_null(registrar_normalise("alice"));
    g_assert_null(registrar_normalise("media/rain@example.org"));
    g_assert_null(registrar_normalise("a:b@example.org"));
}

static void test_supersede(struct fixture *f, gconstpointer data)
{
    struct link *superseded = NULL;
    bool resumed = true;
    struct endpoint *one = enrol(f, ALICE, UUID_1, 1, S, &superseded, &resumed);
    g_assert_null(superseded);
    g_assert_false(resumed);
    g_assert_true(enrol(f, ALICE, UUID_1, 1, 2 * S, &superseded, &resumed) == one);
    g_assert_null(superseded); /* a refresh */
    g_assert_true(enrol(f, ALICE, UUID_1, 2, 3 * S, &superseded, &resumed) == one);
    g_assert_true(superseded == LINK(1));
    g_assert_true(resumed);
    struct endpoint *two = enrol(f, ALICE, NULL, 3, 3 * S, &superseded, &resumed);
    g_assert_true(two != one && !resumed);
    g_assert_cmpuint(registrar_lookup(f->registrar, ALICE)->len, ==, 2);
    g_assert_true(registrar_find(f->registrar, ALICE, two->instance_id) == two);
    g_assert_null(registrar_find(f->registrar, "bob@example.org", UUID_1));
}

static void test_loss(struct fixture *f, gconstpointer data)
{
    struct endpoint *one = enrol(f, ALICE, UUID_1, 1, S, NULL, NULL);
    g_assert_cmpint(registrar_tick(f->registrar, S), ==, 101 * S);
    registrar_lost(one, 10 * S);
    g_assert_cmpint(registrar_tick(f->registrar, 11 * S), ==, 40 * S);
    bool resumed = false;
    g_assert_true(enrol(f, ALICE, UUID_1, 2, 39 * S, NULL, &resumed) == one);
    g_assert_true(resumed);
    g_assert_cmpint(registrar_tick(f->registrar, 40 * S), ==, 139 * S);
    registrar_lost(one, 50 * S);
    g_assert_cmpint(registrar_tick(f->registrar, 80 * S), ==, -1);
    g_assert_cmpuint(f->removed[REGISTRAR_LOST], ==, 1);
    g_assert_null(registrar_lookup(f->registrar, ALICE));
    g_assert_cmpuint(registrar_count(f->registrar), ==, 0);
}

/* A1: between servers there is exactly one connection. */
static void test_peer(struct fixture *f, gconstpointer data)
{
    json_auto_t *extensions = json_pack("[s, i]", "trickle-ice", 1);
    struct registration_request request = {.webrtc_id = "wsf@example.net",
                                           .instance_id = UUID_1,
                                           .link = LINK(1),
                                           .address = "192.0.2.2",
                                           .expiration_s = 100,
                                           .ttl_s = 30,
                                           .kind = ENDPOINT_OPERATOR,
                                           .peer = "net",
                                           .extensions = extensions};
    struct link *superseded = NULL;
    bool resumed = false;
    struct endpoint *one =
        registrar_register(f->registrar, &request, S, &superseded, &resumed, NULL);
    g_assert_true(endpoint_is_wsf(one) && endpoint_is_server(one));
    g_assert_cmpstr(one->peer, ==, "net");
    g_assert_true(endpoint_supports(one, "trickle-ice"));
    g_assert_false(endpoint_supports(one, "direct-media"));
    request.instance_id = UUID_2;
    request.link = LINK(2);
    request.extensions = NULL;
    g_assert_true(registrar_register(f->registrar, &request, 2 * S, &superseded, &resumed, NULL) ==
                  one);
    g_assert_true(superseded == LINK(1) && resumed);
    g_assert_cmpstr(one->instance_id, ==, UUID_2);
    g_assert_false(endpoint_supports(one, "trickle-ice"));
    request.instance_id = NULL;
    request.link = LINK(3);
    g_assert_true(registrar_register(f->registrar, &request, 3 * S, &superseded, &resumed, NULL) ==
                  one);
    g_assert_cmpstr(one->instance_id, ==, UUID_2);
}

static void test_expiry(struct fixture *f, gconstpointer data)
{
    struct endpoint *one = enrol(f, ALICE, UUID_1, 1, S, NULL, NULL);
    enrol(f, ALICE, UUID_2, 2, 2 * S, NULL, NULL);
    g_assert_cmpint(registrar_tick(f->registrar, 101 * S), ==, 102 * S);
    g_assert_cmpuint(f->removed[REGISTRAR_EXPIRED], ==, 1);
    g_assert_null(registrar_find(f->registrar, ALICE, UUID_1));
    g_assert_nonnull(registrar_find(f->registrar, ALICE, UUID_2));
    /* A loss does not prolong. */
    one = enrol(f, ALICE, UUID_1, 3, 102 * S - 1, NULL, NULL);
    registrar_lost(one, 200 * S);
    registrar_tick(f->registrar, 202 * S);
    g_assert_cmpuint(f->removed[REGISTRAR_EXPIRED], ==, 3);
    g_assert_cmpuint(f->removed[REGISTRAR_LOST], ==, 0);
}

static void test_limits(struct fixture *f, gconstpointer data)
{
    for (int i = 0; i < 3; i++)
        g_assert_nonnull(enrol(f, ALICE, NULL, i + 1, S, NULL, NULL));
    g_assert_null(enrol(f, ALICE, NULL, 4, S, NULL, NULL));
    struct endpoint *lost = g_ptr_array_index(registrar_lookup(f->registrar, ALICE), 1);
    guint64 number = lost->number;
    registrar_lost(lost, 2 * S);
    f->in_use = true;
    g_assert_null(enrol(f, ALICE, NULL, 5, 3 * S, NULL, NULL));
    f->in_use = false;
    g_assert_nonnull(enrol(f, ALICE, NULL, 6, 3 * S, NULL, NULL));
    g_assert_null(registrar_endpoint(f->registrar, number));
    g_assert_cmpuint(f->removed[REGISTRAR_EVICTED], ==, 1);
    g_assert_nonnull(enrol(f, "bob@example.org", NULL, 7, S, NULL, NULL));
    g_assert_nonnull(enrol(f, "carol@example.org", NULL, 8, S, NULL, NULL));
    g_assert_null(enrol(f, "dave@example.org", NULL, 9, S, NULL, NULL));
    g_assert_cmpuint(registrar_count(f->registrar), ==, 5);
}

static void test_ended(struct fixture *f, gconstpointer data)
{
    struct endpoint *one = enrol(f, ALICE, UUID_1, 1, S, NULL, NULL);
    endpoint_add_ended(one, "s-1", "NORMAL", json_object());
    g_assert_nonnull(endpoint_find_ended(one, "s-1")->mdisc);
    endpoint_acknowledge_ended(one, "s-1");
    g_assert_null(endpoint_find_ended(one, "s-1")->mdisc);
    endpoint_acknowledge_ended(one, "s-2");
    for (int i = 0; i < 1000; i++)
        endpoint_add_ended(one, "s-9", "NORMAL", NULL);
    g_assert_null(endpoint_find_ended(one, "s-1"));
    g_assert_cmpuint(g_queue_get_length(&one->ended), <, 100);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/registrar/normalise", test_normalise);
#define ADD(name, fn) g_test_add("/registrar/" name, struct fixture, NULL, set_up, fn, tear_down)
    ADD("supersede", test_supersede);
    ADD("loss", test_loss);
    ADD("peer", test_peer);
    ADD("expiry", test_expiry);
    ADD("limits", test_limits);
    ADD("ended", test_ended);
    return g_test_run();
}
