/* SPDX-License-Identifier: Apache-2.0 */
/* Calls to records and back, with injected clocks; records that are not good cost themselves. */
#include "wsf/session-record.h"

#include "base/problem.h"
#include "wsf/call-media.h"
#include "wsf/room.h"

#include <stdlib.h>
#include <string.h>

#define S ((gint64)G_USEC_PER_SEC)
#define ALICE "alice@example.org"
#define BOB "bob@example.org"
#define LEG_A "aaaaaaaa-1111-4111-8111-111111111111"
#define UUID_A "11111111-1111-4111-8111-111111111111"
#define UUID_B1 "22222222-2222-4222-8222-222222222222"
#define UUID_B2 "33333333-3333-4333-8333-333333333333"

static const char sdp[] = "v=0\r\n"
                          "o=- 1 1 IN IP4 192.0.2.1\r\n"
                          "s=-\r\n"
                          "t=0 0\r\n"
                          "m=audio 9 UDP/TLS/RTP/SAVPF 111 9\r\n"
                          "a=mid:0\r\n"
                          "a=sendonly\r\n"
                          "a=rtpmap:111 opus/48000/2\r\n"
                          "m=video 0 UDP/TLS/RTP/SAVPF 96\r\n"
                          "a=mid:v\r\n"
                          "a=rtpmap:96 VP8/90000\r\n";

static const struct conf_key keys[] = {
#define CONF_KEY(...) {__VA_ARGS__},
#include "wsf/conf.def"
#undef CONF_KEY
};

/* --- what stands around a call -------------------------------------------------------------------
 */

static void on_removed(struct endpoint *endpoint, enum registrar_removal removal, void *user)
{
}

static bool on_in_use(const struct endpoint *endpoint, void *user)
{
    return true;
}

static const struct registrar_ops registrar_ops = {.removed = on_removed, .in_use = on_in_use};

static void on_leg(const struct leg *leg, enum session_state from, const char *reason, void *user)
{
}

static void on_phase(const struct session *session, enum call_phase from, const char *reason,
                     void *user)
{
}

static const struct session_ops session_ops = {.leg_changed = on_leg, .phase_changed = on_phase};

struct side {
    struct registrar *registrar;
    struct session_table *table;
    struct session_record_names names;
    struct record_clock clock;
};

struct fixture {
    struct conf *conf;
    struct policy *policy;
    struct side before, after;
    guint64 alice, bob1, bob2; /* endpoints before */
    struct session *session;
};

static guint64 enrol(struct side *side, const char *id, const char *instance)
{
    const struct registration_request request = {
        .webrtc_id = id, .instance_id = instance, .expiration_s = 100, .ttl_s = 30};
    struct link *superseded;
    bool resumed;
    return registrar_register(side->registrar, &request, side->clock.now, &superseded, &resumed,
                              NULL)
        ->number;
}

static void set_up_side(struct fixture *f, struct side *side)
{
    side->registrar = registrar_new(10, 10, &registrar_ops, NULL);
    side->table = session_table_new(10, 10, &session_ops, NULL);
    side->names = (struct session_record_names){side->registrar, f->policy};
}

static void set_up(struct fixture *f, gconstpointer data)
{
    static const char *const sets[] = {"policy \"first\".to=nobody@*", "policy \"second\".to=bob@*",
                                       NULL};
    g_autoptr(GError) error = NULL;
    f->conf = conf_load("test", keys, G_N_ELEMENTS(keys), NULL, true, sets, &error);
    g_assert_no_error(error);
    f->policy = policy_new(f->conf, NULL);
    set_up_side(f, &f->before);
    set_up_side(f, &f->after);
    f->before.clock = (struct record_clock){.now = 1000 * S, .wall = 1700000000 * S};
    f->after.clock = (struct record_clock){.now = 3 * S, .wall = 1700000020 * S};
    f->alice = enrol(&f->before, ALICE, UUID_A);
    f->bob1 = enrol(&f->before, BOB, UUID_B1);
    f->bob2 = enrol(&f->before, BOB, UUID_B2);
    enrol(&f->after, BOB, UUID_B2); /* in another order, with other numbers */
    enrol(&f->after, ALICE, UUID_A);
    f->session =
        session_new(f->before.table, LEG_A, ALICE, f->alice, BOB, f->before.clock.now - 60 * S);
    f->session->caller->media = &media_anchored;
    f->session->asserted_caller = g_strdup(ALICE);
    f->session->wanted = offer_template_parse(sdp, 65536, NULL);
}

static void tear_down_side(struct side *side)
{
    session_table_free(side->table);
    registrar_free(side->registrar);
}

static void tear_down(struct fixture *f, gconstpointer data)
{
    tear_down_side(&f->before);
    tear_down_side(&f->after);
    policy_free(f->policy);
    conf_free(f->conf);
}

/* An answered call with a loser. */
static void make_answered(struct fixture *f)
{
    struct session *session = f->session;
    struct leg *loser = session_add_branch(f->before.table, session, BOB, f->bob1);
    struct leg *winner = session_add_branch(f->before.table, session, BOB, f->bob2);
    loser->state = SESSION_TERMINATED;
    loser->end_cause = DISC_ANSWERED_ELSEWHERE;
    problem_set(&loser->end_error, PROBLEM_ANSWERED_ELSEWHERE, "another one has it");
    winner->media = &media_anchored;
    winner->state = SESSION_ESTABLISHED;
    winner->acknowledged = true;
    winner->offer_number = 3;
    winner->termination_id = g_strdup("t-1");
    winner->told = offer_template_parse(sdp, 65536, NULL);
    winner->negotiated = offer_template_parse(sdp, 65536, NULL);
    winner->ice_connected = winner->dtls_connected = true;
    winner->gate_open = winner->settled = true;
    quality_set_policy(winner->quality,
                       json_pack("[{s:s, s:s}]", "mid", "0", "flowStatus", "ENABLED-UPLINK"));
    winner->need = LEG_NEEDS_RESTART;
    winner->unheard = true;
    session->caller->state = SESSION_MODIFYING;
    session->caller->offer = OFFER_PEERS;
    session->caller->our_answer = g_strdup("v=0 …");
    session->caller->termination_id = g_strdup("t-2");
    session->caller->negotiated = offer_template_parse(sdp, 65536, NULL);
    session->winner = winner;
    session->phase = CALL_CONNECTING;
    session->user_data = json_pack("{s:[i,s]}", "subject", 1, "lunch");
    session_set_subject(f->before.table, session, "carol@other.example");
    session->caller_authority = g_strdup("other.example");
    winner->asserted = g_strdup("robert@example.org");
    winner->authority = g_strdup("example.org");
    session->preferred_caller = g_strdup("anonymous@anonymous.invalid");
    session->hop_limit = 15;
    session->policy = 1;
    session->wmcf = g_strdup("west");
    session_set_context(f->before.table, session, "c-1");
    session->answered_at = f->before.clock.now - 50 * S;
}

static char *write_call(struct fixture *f)
{
    return session_record_write(f->session, &f->before.names, &f->before.clock);
}

static struct session *read_call(struct fixture *f, const char *text, GError **error)
{
    return session_record_read(f->after.table, text, &f->after.names, &f->after.clock, error);
}

/* --- tests ---------------------------------------------------------------------------------------
 */

static void assert_template(const struct offer_template *offer)
{
    g_assert_nonnull(offer);
    g_assert_cmpuint(offer->medias->len, ==, 2);
    const struct offer_media *audio = offer_template_media(offer, "0");
    const struct offer_media *video = offer_template_media(offer, "v");
    g_assert_cmpint(audio->kind, ==, MEDIA_AUDIO);
    g_assert_cmpint(audio->direction, ==, MEDIA_SENDONLY);
    g_assert_false(audio->rejected);
    g_assert_cmpuint(audio->codecs->len, ==, 2);
    g_assert_cmpstr(g_ptr_array_index(audio->codecs, 0), ==, "opus");
    g_assert_cmpint(video->kind, ==, MEDIA_VIDEO);
    g_assert_true(video->rejected);
}

static void test_round_trip(struct fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    make_answered(f);
    char *text = write_call(f);
    struct session *session = read_call(f, text, &error);
    g_assert_no_error(error);
    free(text);
    g_assert_true(session_table_find(f->after.table, LEG_A) == session);
    g_assert_true(session_table_context(f->after.table, "west", "c-1") == session);
    g_assert_cmpuint(session_table_count_identity(f->after.table, BOB), ==, 1);
    g_assert_cmpint(session->phase, ==, CALL_CONNECTING);
    g_assert_cmpstr(session->called, ==, BOB);
    g_assert_cmpstr(session->asserted_caller, ==, ALICE);
    g_assert_cmpstr(session->subject, ==, "carol@other.example");
    g_assert_cmpuint(session_table_count_identity(f->after.table, session->subject), ==, 1);
    g_assert_cmpstr(session->caller_authority, ==, "other.example");
    g_assert_cmpstr(session->preferred_caller, ==, "anonymous@anonymous.invalid");
    g_assert_cmpuint(session->hop_limit, ==, 15);
    g_assert_cmpuint(session->policy, ==, 1);
    g_assert_true(json_equal(session->user_data, f->session->user_data));
    assert_template(session->wanted);
    /* 60 s old before, and 20 s have passed. */
    g_assert_cmpint(f->after.clock.now - session->answered_at, ==, 70 * S);
    g_assert_cmpint(session->created_wall, ==, 1700000000 * S - 60 * S);
    g_assert_cmpint(session->active_at, ==, 0);
    g_assert_cmpint(session->no_answer_deadline, ==, 0);
}

static void test_legs(struct fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    make_answered(f);
    char *text = write_call(f);
    struct session *session = read_call(f, text, &error);
    g_assert_no_error(error);
    free(text);
    const struct leg *caller = session->caller, *loser = session_leg(session, 1),
                     *winner = session_leg(session, 2);
    g_assert_cmpuint(caller->endpoint, ==,
                     registrar_find(f->after.registrar, ALICE, UUID_A)->number);
    g_assert_cmpint(caller->state, ==, SESSION_MODIFYING);
    g_assert_cmpint(caller->offer, ==, OFFER_PEERS);
    g_assert_nonnull(caller->our_answer);
    g_assert_true(caller->acknowledged);
    g_assert_true(session->winner == winner);
    g_assert_cmpuint(winner->endpoint, ==,
                     registrar_find(f->after.registrar, BOB, UUID_B2)->number);
    g_assert_cmpstr(winner->media_session_id, ==, f->session->winner->media_session_id);
    g_assert_true(session_table_leg(f->after.table, winner->media_session_id) == winner);
    g_assert_true(winner->media == &media_anchored);
    g_assert_cmpint(winner->offer, ==, OFFER_NONE);
    g_assert_cmpuint(winner->offer_number, ==, 3);
    g_assert_cmpstr(winner->asserted, ==, "robert@example.org");
    g_assert_cmpstr(winner->authority, ==, "example.org");
    g_assert_cmpstr(winner->termination_id, ==, "t-1");
    assert_template(winner->told);
    assert_template(winner->negotiated);
    g_assert_true(leg_is_connected(winner) && winner->gate_open && winner->acknowledged);
    g_assert_cmpstr(quality_flow_status(winner->quality, "0"), ==, "ENABLED-UPLINK");
    g_assert_null(quality_policy(caller->quality));
    g_assert_true(winner->settled && winner->unheard);
    g_assert_cmpint(winner->need, ==, LEG_NEEDS_RESTART);
    g_assert_false(caller->settled || caller->unheard);
    g_assert_cmpint(caller->need, ==, LEG_NEEDS_NOTHING);
    g_assert_false(leg_is_live(loser));
    g_assert_cmpint(loser->end_cause, ==, DISC_ANSWERED_ELSEWHERE);
    g_assert_error(loser->end_error, PROBLEM_DOMAIN, PROBLEM_ANSWERED_ELSEWHERE);
    /* Its registration did not come back. */
    g_assert_true(loser->endpoint == SESSION_NO_ENDPOINT);
    g_autoptr(GPtrArray) legs = session_table_legs_of(f->after.table, winner->endpoint);
    g_assert_cmpuint(legs->len, ==, 1);
}

static void test_ringing(struct fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    struct leg *branch = session_add_branch(f->before.table, f->session, BOB, f->bob2);
    branch->media = &media_anchored;
    branch->state = SESSION_ALERTING;
    branch->offer = OFFER_OURS;
    branch->offer_number = 1;
    f->session->caller->state = SESSION_ALERTING;
    f->session->phase = CALL_RINGING;
    f->session->no_answer_deadline = f->before.clock.now + 40 * S;
    char *text = write_call(f);
    const struct session *session = read_call(f, text, &error);
    g_assert_no_error(error);
    free(text);
    g_assert_null(session->winner);
    g_assert_null(session->context_id);
    g_assert_cmpint(session->no_answer_deadline, ==, f->after.clock.now + 20 * S);
    const struct leg *leg = session_leg(session, 1);
    g_assert_cmpint(leg->offer, ==, OFFER_OURS);
    g_assert_cmpint(leg->state, ==, SESSION_ALERTING);
    g_assert_false(leg->acknowledged);
}

static void test_resource(struct fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    make_answered(f);
    f->session->winner->endpoint = 0;
    f->session->winner->resource = g_strdup("media/test");
    char *text = write_call(f);
    const struct session *session = read_call(f, text, &error);
    g_assert_no_error(error);
    free(text);
    g_assert_cmpuint(session->winner->endpoint, ==, 0);
    g_assert_cmpstr(session->winner->resource, ==, "media/test");
    f->session->winner->endpoint = f->bob2; /* as the table has it */
}

/* A participant of a room shares its context with others of the same room alone. */
static void test_room(struct fixture *f, gconstpointer data)
{
    static const struct {
        const char *called, *participant;
        bool good;
    } rows[] = {{BOB, "p-1", true}, {BOB, NULL, false}, {ALICE, "p-1", false}};
    make_answered(f);
    f->session->participant_id = g_strdup("p-2");
    f->session->winner->endpoint = 0;
    f->session->winner->resource = g_strdup("room/hall");
    f->session->winner->media = &media_room;
    char *text = write_call(f);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        struct session *there =
            session_new(f->after.table, UUID_B1, "carol@example.org", 1, rows[i].called, S);
        there->participant_id = g_strdup(rows[i].participant);
        there->wmcf = g_strdup("west");
        session_set_context(f->after.table, there, "c-1");
        struct session *session = read_call(f, text, &error);
        g_assert_true(!!session == rows[i].good);
        if (session) {
            g_assert_cmpstr(session->participant_id, ==, "p-2");
            g_assert_true(session->winner->media == &media_room);
            g_assert_cmpuint(session->winner->endpoint, ==, 0);
        }
        session_free(f->after.table, session);
        session_free(f->after.table, there);
    }
    free(text);
    f->session->winner->endpoint = f->bob2; /* as the table has it */
}

static void test_ended(struct fixture *f, gconstpointer data)
{
    f->session->phase = CALL_ENDED;
    g_assert_null(write_call(f));
}

/* Takes a good record and breaks one member. */
static void assert_broken(struct fixture *f, const char *good, const char *leg, const char *name,
                          json_t *value)
{
    g_autoptr(GError) error = NULL;
    json_auto_t *record = json_loads(good, 0, NULL);
    json_t *object = record;
    if (leg)
        object = json_array_get(json_object_get(record, "legs"), atoi(leg));
    if (value)
        json_object_set_new(object, name, value);
    else
        json_object_del(object, name);
    char *text = json_dumps(record, 0);
    if (read_call(f, text, &error))
        g_error("%s is taken: %s", name, text);
    g_assert_nonnull(error);
    g_assert_cmpuint(session_table_count(f->after.table), ==, 0);
    free(text);
}

static void test_bad_records(struct fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    make_answered(f);
    char *good = write_call(f);
    const char *winner = f->session->winner->media_session_id;
    assert_broken(f, good, NULL, "version", json_integer(2));
    assert_broken(f, good, NULL, "version", NULL);
    assert_broken(f, good, NULL, "phase", json_string("ended"));
    assert_broken(f, good, NULL, "phase", json_string("dancing"));
    assert_broken(f, good, NULL, "called", json_integer(1));
    assert_broken(f, good, NULL, "winner", json_integer(3));
    assert_broken(f, good, NULL, "winner", json_integer(1)); /* the loser */
    assert_broken(f, good, NULL, "winner", NULL);
    assert_broken(f, good, NULL, "wanted", NULL);
    assert_broken(f, good, NULL, "wanted", json_pack("{s:[i]}", "medias", 1));
    assert_broken(f, good, NULL, "wmcf", NULL);
    assert_broken(f, good, NULL, "createdAt", json_integer(-1));
    assert_broken(f, good, NULL, "legs", json_array());
    assert_broken(f, good, NULL, "legs", json_pack("[i,i]", 1, 2));
    assert_broken(f, good, "0", "mediaSessionId", json_string("x"));
    assert_broken(f, good, "0", "mediaSessionId", json_string(winner));
    assert_broken(f, good, "0", "state", json_string("x"));
    assert_broken(f, good, "0", "negotiated", NULL);
    assert_broken(f, good, "0", "offer", json_string("x"));
    assert_broken(f, good, "0", "media", json_string("carrier pigeon"));
    assert_broken(f, good, "1", "end", NULL);
    assert_broken(f, good, "2", "negotiated", json_pack("{s:[{s:s}]}", "medias", "mid", "0"));
    g_assert_nonnull(read_call(f, good, &error));
    g_assert_no_error(error);
    g_assert_null(read_call(f, good, &error)); /* its ids are taken now */
    g_assert_nonnull(error);
    free(good);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, function)                                                                        \
    g_test_add("/session-record/" name, struct fixture, NULL, set_up, function, tear_down)
    ADD("round-trip", test_round_trip);
    ADD("legs", test_legs);
    ADD("ringing", test_ringing);
    ADD("resource", test_resource);
    ADD("room", test_room);
    ADD("ended", test_ended);
    ADD("bad-records", test_bad_records);
    return g_test_run();
}
