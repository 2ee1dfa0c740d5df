/* SPDX-License-Identifier: Apache-2.0 */
/* The machines of a session, its tables, its offers and its deadlines, with injected time. */
#include "wsf/session.h"

#include <string.h>

#define S ((gint64)G_USEC_PER_SEC)
#define ALICE "alice@example.org"
#define BOB "bob@example.org"

struct fixture {
    struct session_table *table;
    struct session *session;
    struct leg *caller, *one, *two;
    guint leg_changes, phase_changes;
};

static void on_leg_changed(const struct leg *leg, enum session_state from, const char *reason,
                           void *user)
{
    struct fixture *f = user;
    g_assert_cmpint(leg->state, !=, from);
    f->leg_changes++;
}

static void on_phase_changed(const struct session *session, enum call_phase from,
                             const char *reason, void *user)
{
    ((struct fixture *)user)->phase_changes++;
}

static const struct session_ops ops = {.leg_changed = on_leg_changed,
                                       .phase_changed = on_phase_changed};

static void set_up(struct fixture *f, gconstpointer data)
{
    f->table = session_table_new(2, 2, &ops, f);
    f->session = session_new(f->table, "s-1", ALICE, 1, BOB, S);
    f->caller = f->session->caller;
    f->one = session_add_branch(f->table, f->session, BOB, 2);
    f->two = session_add_branch(f->table, f->session, BOB, 3);
}

static void tear_down(struct fixture *f, gconstpointer data)
{
    session_table_free(f->table);
}

static void test_machines(void)
{
    for (guint s = 0; s < SESSION_STATE_COUNT; s++) {
        enum session_state parsed;
        g_assert_true(session_state_parse(session_state_name(s), &parsed));
        g_assert_cmpint(parsed, ==, s);
        g_assert_false(session_state_may_follow(SESSION_TERMINATED, s));
        g_assert_true(s == SESSION_TERMINATED || session_state_may_follow(s, SESSION_TERMINATED));
    }
    for (guint p = 0; p < CALL_PHASE_COUNT; p++)
        g_assert_true(p == CALL_ENDED || call_phase_may_follow(p, CALL_ENDED));
    g_assert_true(session_state_may_follow(SESSION_ESTABLISHED, SESSION_MODIFYING));
    g_assert_true(session_state_may_follow(SESSION_MODIFYING, SESSION_ESTABLISHED));
    g_assert_false(session_state_may_follow(SESSION_ALERTING, SESSION_PROCEEDING));
    g_assert_false(call_phase_may_follow(CALL_RINGING, CALL_ACTIVE));
    g_assert_true(call_phase_may_follow(CALL_ANSWERED, CALL_RINGING));
    for (guint c = 0; c < DISC_CAUSE_COUNT; c++)
        g_assert_cmpstr(disc_cause_name(c), ==, disc_cause_names[c]);
    g_assert_null(disc_cause_names[DISC_CAUSE_COUNT]);
    g_autofree char *graph = session_print_fsm();
    g_assert_nonnull(strstr(graph, "leg_established -> leg_modifying"));
    g_assert_nonnull(strstr(graph, "call_answered -> call_ringing"));
}

static void test_tables(struct fixture *f, gconstpointer data)
{
    g_assert_true(session_table_find(f->table, "s-1") == f->session);
    g_assert_true(session_table_leg(f->table, "s-1") == f->caller);
    g_assert_true(session_table_leg(f->table, f->one->media_session_id) == f->one);
    g_autofree char *before = g_strdup(f->one->media_session_id);
    leg_renew_id(f->table, f->one);
    g_assert_null(session_table_leg(f->table, before));
    g_assert_true(session_table_leg(f->table, f->one->media_session_id) == f->one);
    f->session->wmcf = g_strdup("west");
    session_set_context(f->table, f->session, "c-1");
    g_assert_true(session_table_context(f->table, "west", "c-1") == f->session);
    g_assert_null(session_table_context(f->table, "east", "c-1"));
    f->one->termination_id = g_strdup("t-1");
    g_assert_true(session_leg_of_termination(f->session, "t-1") == f->one);
    g_assert_null(session_leg_of_termination(f->session, "t-2"));
    g_autoptr(GPtrArray) legs = session_table_legs_of(f->table, 3);
    g_assert_cmpuint(legs->len, ==, 1);
    session_free(f->table, f->session);
    g_assert_null(session_table_context(f->table, "west", "c-1"));
    g_assert_null(session_table_leg(f->table, "s-1"));
    g_autoptr(GPtrArray) none = session_table_legs_of(f->table, 3);
    g_assert_cmpuint(none->len, ==, 0);
    g_assert_cmpuint(session_table_count(f->table), ==, 0);
    g_assert_cmpuint(session_table_count_identity(f->table, BOB), ==, 0);
}

/* Participants of a room. */
static void test_shared_context(struct fixture *f, gconstpointer data)
{
    struct session *other = session_new(f->table, "s-2", "carol@example.org", 4, BOB, S);
    f->session->wmcf = g_strdup("west");
    other->wmcf = g_strdup("west");
    g_autoptr(GPtrArray) none = session_table_in_context(f->table, "west", "c-1");
    g_assert_cmpuint(none->len, ==, 0);
    session_set_context(f->table, f->session, "c-1");
    session_set_context(f->table, other, "c-1");
    g_autoptr(GPtrArray) both = session_table_in_context(f->table, "west", "c-1");
    g_assert_cmpuint(both->len, ==, 2);
    session_free(f->table, f->session);
    g_assert_true(session_table_context(f->table, "west", "c-1") == other);
    g_autoptr(GPtrArray) one = session_table_in_context(f->table, "west", "c-1");
    g_assert_cmpuint(one->len, ==, 1);
    session_free(f->table, other);
    g_assert_null(session_table_context(f->table, "west", "c-1"));
}

static bool admit(const struct session_table *table, const char *caller, const char *called,
                  GError **error)
{
    const struct session_limits limits = {.caller = caller, .called = called};
    return session_table_admit(table, &limits, error);
}

static void test_limits(struct fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_assert_true(admit(f->table, ALICE, BOB, NULL));
    session_new(f->table, "s-2", "carol@example.org", 4, BOB, S);
    g_assert_false(admit(f->table, ALICE, "dave@example.org", &error));
    g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_RESOURCES_UNAVAILABLE);
    struct session_table *wide = session_table_new(100, 1, &ops, f);
    session_new(wide, "s-1", ALICE, 1, ALICE, S);
    g_assert_cmpuint(session_table_count_identity(wide, ALICE), ==, 1);
    g_clear_error(&error);
    g_assert_false(admit(wide, ALICE, BOB, &error));
    g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_RESOURCES_UNAVAILABLE);
    g_clear_error(&error);
    g_assert_false(admit(wide, BOB, ALICE, &error));
    g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_USER_BUSY);
    session_table_free(wide);
}

static void test_offers(struct fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_assert_false(leg_check_answer(f->one, NULL, &error));
    g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_INVALID_STATE);
    g_clear_error(&error);
    g_assert_cmpstr(leg_offer_pending(f->one), ==, "none");
    g_assert_true(leg_offer(f->one, "v=0", 5 * S, NULL));
    g_assert_cmpstr(leg_offer_pending(f->one), ==, "remote");
    g_assert_false(leg_offer(f->one, "v=0", 5 * S, &error));
    g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_OFFER_GLARE);
    g_clear_error(&error);
    g_autofree char *id = leg_offer_id(f->one);
    g_assert_true(leg_check_answer(f->one, NULL, NULL));
    g_assert_true(leg_check_answer(f->one, id, NULL));
    g_assert_false(leg_check_answer(f->one, "other", NULL));
    f->one->answer_in_progress = true;
    g_assert_false(leg_check_answer(f->one, id, NULL));
    g_assert_cmpstr(leg_offer_pending(f->one), ==, "none");
    f->one->answer_in_progress = false;
    leg_offer_done(f->one);
    g_assert_true(leg_offer(f->one, "v=0", 0, NULL));
    g_assert_false(leg_check_answer(f->one, id, NULL)); /* that was the one before */
}

static void test_deadlines(struct fixture *f, gconstpointer data)
{
    struct leg *leg = NULL;
    gint64 next = 0;
    g_assert_cmpint(session_due(f->session, S, &leg, &next), ==, SESSION_NO_TIMEOUT);
    g_assert_cmpint(next, ==, -1);
    f->session->no_answer_deadline = 60 * S;
    f->two->offer_deadline = 30 * S;
    g_assert_cmpint(session_due(f->session, S, &leg, &next), ==, SESSION_NO_TIMEOUT);
    g_assert_cmpint(next, ==, 30 * S);
    g_assert_cmpint(session_due(f->session, 30 * S, &leg, &next), ==, SESSION_OFFER);
    g_assert_true(leg == f->two);
    f->two->failure_deadline = 31 * S;
    f->one->failure_deadline = 32 * S;
    g_assert_cmpint(session_due(f->session, 31 * S, &leg, &next), ==, SESSION_FAILURE);
    g_assert_true(leg == f->two);
    f->one->failure_deadline = 0;
    leg_set_state(f->table, f->two, SESSION_TERMINATED, "test");
    g_assert_cmpint(session_due(f->session, 30 * S, &leg, &next), ==, SESSION_NO_TIMEOUT);
    g_assert_cmpint(session_due(f->session, 60 * S, &leg, &next), ==, SESSION_NO_ANSWER);
    f->session->no_answer_deadline = 0;
    f->session->connect_deadline = 70 * S;
    g_assert_cmpint(session_due(f->session, 70 * S, &leg, &next), ==, SESSION_CONNECT);
    session_set_phase(f->table, f->session, CALL_ENDED, "test");
    g_assert_cmpint(session_due(f->session, 70 * S, &leg, &next), ==, SESSION_NO_TIMEOUT);
    g_assert_cmpint(next, ==, -1);
}

static void test_far_side(struct fixture *f, gconstpointer data)
{
    g_assert_null(leg_far(f->caller));
    g_assert_null(leg_far(f->one));
    f->session->winner = f->one;
    g_assert_true(leg_far(f->caller) == f->one);
    g_assert_true(leg_far(f->one) == f->caller);
    g_assert_null(leg_far(f->two));
    g_assert_cmpuint(session_live_branches(f->session), ==, 2);
    leg_set_state(f->table, f->two, SESSION_TERMINATED, "test");
    leg_set_state(f->table, f->two, SESSION_TERMINATED, "again is no change");
    g_assert_cmpuint(f->leg_changes, ==, 1);
    g_assert_cmpuint(session_live_branches(f->session), ==, 1);
    g_assert_true(session_leg(f->session, 0) == f->caller);
    g_assert_true(session_leg(f->session, 2) == f->two);
    g_assert_null(session_leg(f->session, 3));
}

static void test_changes(struct fixture *f, gconstpointer data)
{
    struct leg *next = NULL;
    gint64 at = -1;
    g_assert_false(leg_is_established(f->caller));
    leg_take_offer(f->caller, "theirs", "7");
    g_assert_cmpstr(leg_offer_pending(f->caller), ==, "local");
    g_assert_false(leg_offer(f->caller, "ours", 0, NULL));
    leg_keep_our_answer(f->caller, "answer");
    leg_offer_done(f->caller);
    g_assert_null(f->caller->peer_offer);
    g_assert_null(f->caller->our_answer);
    f->session->change_deadline = 5 * S;
    f->session->retry_deadline = 7 * S;
    g_assert_cmpint(session_due(f->session, 4 * S, &next, &at), ==, SESSION_NO_TIMEOUT);
    g_assert_cmpint(at, ==, 5 * S);
    g_assert_cmpint(session_due(f->session, 5 * S, &next, &at), ==, SESSION_CHANGE);
    f->session->change_deadline = 0;
    g_assert_cmpint(session_due(f->session, 7 * S, &next, &at), ==, SESSION_RETRY);
    /* The place of a branch that has ended is taken, that of a live one is not. */
    guint index = f->two->index, serial = f->two->serial;
    leg_set_state(f->table, f->two, SESSION_TERMINATED, "over");
    struct leg *third = session_reuse_branch(f->table, f->session, "film/2@example.net", 0);
    g_assert_cmpuint(third->index, ==, index);
    g_assert_cmpuint(third->serial, !=, serial);
    g_assert_true(session_leg(f->session, index) == third);
    g_assert_true(session_table_leg(f->table, third->media_session_id) == third);
    g_assert_cmpuint(session_reuse_branch(f->table, f->session, BOB, 4)->index, ==, 3);
    session_set_called(f->table, f->session, "film/2@example.net");
    g_assert_cmpuint(session_table_count_identity(f->table, BOB), ==, 0);
    g_assert_cmpuint(session_table_count_identity(f->table, "film/2@example.net"), ==, 1);
    session_free(f->table, f->session);
    g_assert_cmpuint(session_table_count_identity(f->table, "film/2@example.net"), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/session/machines", test_machines);
#define ADD(name, fn) g_test_add("/session/" name, struct fixture, NULL, set_up, fn, tear_down)
    ADD("tables", test_tables);
    ADD("shared-context", test_shared_context);
    ADD("limits", test_limits);
    ADD("offers", test_offers);
    ADD("deadlines", test_deadlines);
    ADD("far-side", test_far_side);
    ADD("changes", test_changes);
    return g_test_run();
}
