/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoints to records and back, with injected clocks; records that are not good cost themselves.
 */
#include "wsf/endpoint-record.h"

#include "base/problem.h"

#include <stdlib.h>
#include <string.h>

#define S ((gint64)G_USEC_PER_SEC)
#define ALICE "alice@example.org"
#define UUID "11111111-1111-4111-8111-111111111111"

static void on_removed(struct endpoint *endpoint, enum registrar_removal removal, void *user)
{
}

static bool on_in_use(const struct endpoint *endpoint, void *user)
{
    return true;
}

static void on_changed(const struct endpoint *endpoint, void *user)
{
    ++*(guint *)user;
}

static const struct registrar_ops ops = {
    .removed = on_removed, .in_use = on_in_use, .changed = on_changed};

struct fixture {
    struct registrar *before, *after;
    struct endpoint *endpoint;
    struct record_clock written, read;
    guint changes, changes_after;
};

static void set_up(struct fixture *f, gconstpointer data)
{
    const struct registration_request request = {.webrtc_id = ALICE,
                                                 .instance_id = UUID,
                                                 .address = "192.0.2.7",
                                                 .expiration_s = 100,
                                                 .ttl_s = 30};
    struct link *superseded;
    bool resumed;
    f->before = registrar_new(10, 10, &ops, &f->changes);
    f->after = registrar_new(10, 10, &ops, &f->changes_after);
    f->endpoint = registrar_register(f->before, &request, 1000 * S, &superseded, &resumed, NULL);
    g_assert_cmpuint(f->changes, ==, 1);
    /* 10 s after the registration; read 25 s later by a machine that has started anew. */
    f->written = (struct record_clock){.now = 1010 * S, .wall = 1700000000 * S};
    f->read = (struct record_clock){.now = 3 * S, .wall = 1700000025 * S};
}

static void tear_down(struct fixture *f, gconstpointer data)
{
    registrar_free(f->before);
    registrar_free(f->after);
}

/* Once through the record. */
static struct endpoint *again(struct fixture *f)
{
    g_autoptr(GError) error = NULL;
    char *text = endpoint_record_write(f->endpoint, &f->written);
    struct endpoint *endpoint = endpoint_record_read(f->after, text, &f->read, 3600, &error);
    g_assert_no_error(error);
    free(text);
    return endpoint;
}

static void test_round_trip(struct fixture *f, gconstpointer data)
{
    g_autofree char *first = reauth_rotate(&f->endpoint->reauth, REAUTH_NO_MATCH);
    g_autofree char *second = reauth_rotate(&f->endpoint->reauth, REAUTH_CURRENT);
    f->endpoint->kind = ENDPOINT_OPERATOR;
    f->endpoint->peer = g_strdup("west");
    f->endpoint->dialed = true;
    f->endpoint->extensions = g_strsplit("trickle-ice,datachannel", ",", 0);
    struct endpoint *endpoint = again(f);
    g_assert_cmpstr(endpoint->webrtc_id, ==, ALICE);
    g_assert_cmpstr(endpoint->instance_id, ==, UUID);
    g_assert_cmpstr(endpoint->address, ==, "192.0.2.7");
    g_assert_cmpstr(endpoint->peer, ==, "west");
    g_assert_cmpint(endpoint->kind, ==, ENDPOINT_OPERATOR);
    g_assert_true(endpoint->dialed);
    g_assert_null(endpoint->link);
    g_assert_cmpuint(endpoint->ttl_s, ==, 30);
    g_assert_true(endpoint_supports(endpoint, "datachannel"));
    g_assert_false(endpoint_supports(endpoint, "direct-media"));
    g_assert_cmpint(reauth_check(&endpoint->reauth, second), ==, REAUTH_CURRENT);
    g_assert_cmpint(reauth_check(&endpoint->reauth, first), ==, REAUTH_FORMER);
    g_assert_cmpint(reauth_check(&endpoint->reauth, "another"), ==, REAUTH_NO_MATCH);
}

static void test_times(struct fixture *f, gconstpointer data)
{
    struct endpoint *endpoint = again(f);
    /* 90 s were left, 25 s have passed. */
    g_assert_cmpint(endpoint->expires_at, ==, f->read.now + 65 * S);
    /* The time to live starts anew. */
    g_assert_cmpint(registrar_tick(f->after, f->read.now + 29 * S), ==, f->read.now + 30 * S);
    g_assert_cmpuint(registrar_count(f->after), ==, 1);
    registrar_tick(f->after, f->read.now + 30 * S);
    g_assert_cmpuint(registrar_count(f->after), ==, 0);
}

static void test_expired_meanwhile(struct fixture *f, gconstpointer data)
{
    f->read.wall += 90 * S;
    g_assert_nonnull(again(f));
    registrar_tick(f->after, f->read.now);
    g_assert_cmpuint(registrar_count(f->after), ==, 0);
}

/* A clock that was set back does not make registrations last. */
static void test_clock_set_back(struct fixture *f, gconstpointer data)
{
    f->read.wall -= 1000000 * S;
    const struct endpoint *endpoint = again(f);
    g_assert_cmpint(endpoint->expires_at, ==, f->read.now + 3600 * S);
}

static void test_ended(struct fixture *f, gconstpointer data)
{
    for (guint i = 0; i < 20; i++) {
        g_autofree char *id = g_strdup_printf("acknowledged-%u", i);
        endpoint_add_ended(f->endpoint, id, "NORMAL", NULL);
    }
    endpoint_add_ended(f->endpoint, "open", "PEER_LOST", json_pack("{s:s}", "cause", "PEER_LOST"));
    struct endpoint *endpoint = again(f);
    const struct ended_session *open = endpoint_find_ended(endpoint, "open");
    g_assert_cmpstr(open->state_cause, ==, "PEER_LOST");
    g_assert_cmpstr(json_string_value(json_object_get(open->mdisc, "cause")), ==, "PEER_LOST");
    g_assert_nonnull(endpoint_find_ended(endpoint, "acknowledged-19"));
    g_assert_null(endpoint_find_ended(endpoint, "acknowledged-0"));
    const struct ended_session *newest = g_queue_peek_head(&endpoint->ended);
    g_assert_cmpstr(newest->media_session_id, ==, "open");
    guint changes = f->changes_after;
    endpoint_acknowledge_ended(endpoint, "open");
    endpoint_acknowledge_ended(endpoint, "open");
    g_assert_cmpuint(f->changes_after, ==, changes + 1);
}

static void test_id(struct fixture *f, gconstpointer data)
{
    g_autofree char *id = endpoint_record_id(f->endpoint);
    g_assert_cmpstr(id, ==, ALICE " " UUID);
    g_assert_true(endpoint_record_find(f->before, id) == f->endpoint);
    g_assert_null(endpoint_record_find(f->after, id));
    g_assert_null(endpoint_record_find(f->before, "nonsense"));
}

static void test_bad_records(struct fixture *f, gconstpointer data)
{
#define HEAD "{\"version\":1,\"kind\":\"client\",\"webrtcId\":\"" ALICE "\","
#define NAMED HEAD "\"instanceId\":\"" UUID "\","
    static const char *const bad[] = {
        "",
        "[]",
        "{",
        "{}",
        HEAD "\"expiresAt\":1,\"disconnectionTtl\":1}",
        HEAD "\"instanceId\":\"x\",\"expiresAt\":1,\"disconnectionTtl\":1}",
        NAMED "\"expiresAt\":\"1\",\"disconnectionTtl\":1}",
        NAMED "\"expiresAt\":1,\"disconnectionTtl\":-1}",
        NAMED "\"expiresAt\":1,\"disconnectionTtl\":1,\"credential\":\"00\"}",
        NAMED "\"expiresAt\":1,\"disconnectionTtl\":1,\"extensions\":[1]}",
        NAMED "\"expiresAt\":1,\"disconnectionTtl\":1,\"ended\":[1]}",
        NAMED "\"expiresAt\":1,\"disconnectionTtl\":1,\"ended\":[{\"cause\":\"NORMAL\"}]}",
        "{\"version\":2,\"kind\":\"client\",\"webrtcId\":\"" ALICE "\",\"instanceId\":\"" UUID
        "\",\"expiresAt\":1,\"disconnectionTtl\":1}",
        "{\"version\":1,\"kind\":\"king\",\"webrtcId\":\"" ALICE "\",\"instanceId\":\"" UUID
        "\",\"expiresAt\":1,\"disconnectionTtl\":1}",
        "{\"version\":1,\"kind\":\"client\",\"webrtcId\":\"alice\",\"instanceId\":\"" UUID
        "\",\"expiresAt\":1,\"disconnectionTtl\":1}",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(endpoint_record_read(f->after, bad[i], &f->read, 3600, &error));
        g_assert_nonnull(error);
        g_assert_cmpuint(registrar_count(f->after), ==, 0);
    }
    g_autoptr(GError) error = NULL;
    g_assert_nonnull(again(f));
    char *twice = endpoint_record_write(f->endpoint, &f->written);
    g_assert_null(endpoint_record_read(f->after, twice, &f->read, 3600, &error));
    g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_INVALID_STATE);
    free(twice);
}

/* A later version's members, and those that it has dropped. */
static void test_tolerant(struct fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    const struct endpoint *endpoint = endpoint_record_read(
        f->after,
        NAMED "\"expiresAt\":1700000030000,\"disconnectionTtl\":5,\"invented\":{\"later\":true}}",
        &f->read, 3600, &error);
    g_assert_no_error(error);
    g_assert_cmpint(endpoint->expires_at, ==, f->read.now + 5 * S);
    g_assert_false(endpoint->reauth.has_current);
    g_assert_null(endpoint->extensions);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, function)                                                                        \
    g_test_add("/endpoint-record/" name, struct fixture, NULL, set_up, function, tear_down)
    ADD("round-trip", test_round_trip);
    ADD("times", test_times);
    ADD("expired-meanwhile", test_expired_meanwhile);
    ADD("clock-set-back", test_clock_set_back);
    ADD("ended", test_ended);
    ADD("id", test_id);
    ADD("bad-records", test_bad_records);
    ADD("tolerant", test_tolerant);
    return g_test_run();
}
