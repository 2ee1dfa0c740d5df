/* SPDX-License-Identifier: Apache-2.0 */
/* Binding requests as a full agent sends them, made by the same STUN library, and what they may not
 * be. */
#include "wmcf/relay/ice-stun.h"

#include <string.h>
#include <stun/stunagent.h>

#define SECOND INT64_C(1000000)

static const uint16_t known[] = {STUN_ATTRIBUTE_USERNAME, STUN_ATTRIBUTE_MESSAGE_INTEGRITY,
                                 STUN_ATTRIBUTE_ERROR_CODE, STUN_ATTRIBUTE_XOR_MAPPED_ADDRESS, 0};

struct question {
    const char *username, *password; /* password NULL: no integrity */
    bool use_candidate, controlled;
    uint16_t unknown_attribute;
    StunClass class;
};

struct fixture {
    struct ice_server *server;
    struct ice_credentials credentials;
    StunAgent agent;
    union socket_address source;
    uint8_t message[512];
    size_t length;
    struct ice_request request;
};

static void set_up(struct fixture *f, guint rate)
{
    memset(f, 0, sizeof *f);
    f->server = ice_server_new(rate);
    strcpy(f->credentials.ufrag, "ours");
    strcpy(f->credentials.pwd, "ourpasswordourpassword");
    ice_server_add(f->server, &f->credentials);
    socket_address_parse("192.0.2.7", 4711, &f->source);
    stun_agent_init(&f->agent, known, STUN_COMPATIBILITY_RFC5389,
                    STUN_AGENT_USAGE_SHORT_TERM_CREDENTIALS | STUN_AGENT_USAGE_USE_FINGERPRINT);
}

static void tear_down(struct fixture *f)
{
    ice_server_remove(f->server, &f->credentials);
    ice_server_free(f->server);
}

static bool ask(struct fixture *f, struct question question, bool known_source, gint64 now)
{
    StunMessage message;
    if (question.class == STUN_INDICATION)
        stun_agent_init_indication(&f->agent, &message, f->message, sizeof f->message,
                                   STUN_BINDING);
    else
        stun_agent_init_request(&f->agent, &message, f->message, sizeof f->message, STUN_BINDING);
    if (question.username)
        stun_message_append_string(&message, STUN_ATTRIBUTE_USERNAME, question.username);
    stun_message_append32(&message, STUN_ATTRIBUTE_PRIORITY, 1);
    if (question.use_candidate)
        stun_message_append_flag(&message, STUN_ATTRIBUTE_USE_CANDIDATE);
    stun_message_append64(
        &message,
        question.controlled ? STUN_ATTRIBUTE_ICE_CONTROLLED : STUN_ATTRIBUTE_ICE_CONTROLLING, 99);
    if (question.unknown_attribute)
        stun_message_append32(&message, (StunAttribute)question.unknown_attribute, 1);
    StunTransactionId id;
    stun_message_id(&message, id);
    f->length = stun_agent_finish_message(&f->agent, &message, (const uint8_t *)question.password,
                                          question.password ? strlen(question.password) : 0);
    g_assert_cmpuint(f->length, >, 0);
    bool good = ice_server_handle(f->server, f->message, f->length, &f->source, known_source, now,
                                  &f->request);
    if (question.class == STUN_REQUEST && f->request.reply_length == 0)
        stun_agent_forget_transaction(&f->agent, id);
    return good;
}

/* The reply as the asker reads it: 0 for success, the error's code, or -1 for none. */
static int reply(struct fixture *f, const char *password)
{
    StunMessage message;
    int code = -1;
    if (f->request.reply_length == 0)
        return -1;
    StunDefaultValidaterData validater[] = {
        {(uint8_t *)"", 0, (uint8_t *)password, strlen(password)}, {NULL, 0, NULL, 0}};
    StunValidationStatus status =
        stun_agent_validate(&f->agent, &message, f->request.reply, f->request.reply_length,
                            stun_agent_default_validater, validater);
    if (stun_message_get_class(&message) == STUN_ERROR) {
        g_assert_cmpint(stun_message_find_error(&message, &code), ==, STUN_MESSAGE_RETURN_SUCCESS);
        return code;
    }
    g_assert_cmpint(status, ==, STUN_VALIDATION_SUCCESS);
    union socket_address mapped;
    socklen_t length = sizeof mapped;
    struct sockaddr_storage storage;
    length = sizeof storage;
    g_assert_cmpint(
        stun_message_find_xor_addr(&message, STUN_ATTRIBUTE_XOR_MAPPED_ADDRESS, &storage, &length),
        ==, STUN_MESSAGE_RETURN_SUCCESS);
    memcpy(&mapped, &storage, sizeof mapped);
    g_assert_true(socket_address_equal(&mapped, &f->source));
    return 0;
}

#define PASSWORD "ourpasswordourpassword"

static void test_success(void)
{
    struct fixture f;
    set_up(&f, 100);
    /* before the remote description: our password is enough */
    g_assert_true(ask(&f, (struct question){"ours:theirs", PASSWORD}, false, SECOND));
    g_assert_true(f.request.credentials == &f.credentials);
    g_assert_false(f.request.use_candidate);
    g_assert_cmpint(reply(&f, PASSWORD), ==, 0);
    strcpy(f.credentials.remote_ufrag, "theirs");
    g_assert_true(
        ask(&f, (struct question){"ours:theirs", PASSWORD, .use_candidate = true}, false, SECOND));
    g_assert_true(f.request.use_candidate);
    g_assert_cmpint(reply(&f, PASSWORD), ==, 0);
    socket_address_parse("2001:db8::7", 4711, &f.source);
    g_assert_true(ask(&f, (struct question){"ours:theirs", PASSWORD}, false, SECOND));
    g_assert_cmpint(reply(&f, PASSWORD), ==, 0);
    tear_down(&f);
}

static void expect_refused(struct fixture *f, struct question question, int code)
{
    g_assert_false(ask(f, question, false, SECOND));
    g_assert_null(f->request.credentials);
    g_assert_cmpint(reply(f, PASSWORD), ==, code);
}

static void test_refused(void)
{
    struct fixture f;
    set_up(&f, 100);
    strcpy(f.credentials.remote_ufrag, "theirs");
    expect_refused(&f, (struct question){"ours:theirs", "wrong"}, 401);
    expect_refused(&f, (struct question){"ours:somebody", PASSWORD}, 401);
    expect_refused(&f, (struct question){"ours:theirsx", PASSWORD}, 401);
    expect_refused(&f, (struct question){"nobody:theirs", PASSWORD}, 401);
    expect_refused(&f, (struct question){"ours", PASSWORD}, 401);
    expect_refused(&f, (struct question){"", PASSWORD}, 401);
    expect_refused(&f, (struct question){"ours:theirs", NULL}, 400);
    expect_refused(&f, (struct question){NULL, PASSWORD}, 400);
    expect_refused(&f, (struct question){"ours:theirs", PASSWORD, .controlled = true}, 487);
    expect_refused(&f, (struct question){"ours:theirs", PASSWORD, .unknown_attribute = 0x7abc},
                   420);
    tear_down(&f);
}

static void test_not_requests(void)
{
    struct fixture f;
    set_up(&f, 100);
    g_assert_true(ask(&f, (struct question){NULL, NULL, .class = STUN_INDICATION}, false, SECOND));
    g_assert_cmpuint(f.request.reply_length, ==, 0);
    g_assert_null(f.request.credentials);
    /* an answer: whose it is the caller knows by its transaction */
    ask(&f, (struct question){"ours:theirs", PASSWORD}, false, SECOND);
    uint8_t answer[ICE_REPLY_MAX];
    size_t length = f.request.reply_length;
    memcpy(answer, f.request.reply, length);
    g_assert_true(ice_server_handle(f.server, answer, length, &f.source, true, SECOND, &f.request));
    g_assert_cmpuint(f.request.reply_length, ==, 0);
    g_assert_null(f.request.credentials);
    g_assert_cmpmem(f.request.response, ICE_TRANSACTION, f.message + 8, ICE_TRANSACTION);
    /* another method */
    f.message[1] = 3;
    g_assert_false(
        ice_server_handle(f.server, f.message, f.length, &f.source, true, SECOND, &f.request));
    g_assert_cmpuint(f.request.reply_length, ==, 0);
    tear_down(&f);
}

/* What we ask a full agent must be able to authenticate. */
static void test_ask(void)
{
    struct fixture f;
    uint8_t request[ICE_CHECK_MAX], transaction[ICE_TRANSACTION];
    StunMessage message;
    struct ice_question question = {.priority = 1};
    set_up(&f, 100);
    g_assert_cmpuint(ice_server_ask(f.server, &f.credentials, &question, request, transaction), ==,
                     0);
    strcpy(f.credentials.remote_ufrag, "theirs");
    strcpy(f.credentials.remote_pwd, "theirpasswordtheirpassword");
    StunDefaultValidaterData validater[] = {
        {(uint8_t *)"theirs:ours", 11, (uint8_t *)"theirpasswordtheirpassword", 26},
        {NULL, 0, NULL, 0}};
    static const uint16_t understood[] = {STUN_ATTRIBUTE_USERNAME, STUN_ATTRIBUTE_MESSAGE_INTEGRITY,
                                          STUN_ATTRIBUTE_PRIORITY, 0};
    StunAgent agent;
    stun_agent_init(&agent, understood, STUN_COMPATIBILITY_RFC5389,
                    STUN_AGENT_USAGE_SHORT_TERM_CREDENTIALS | STUN_AGENT_USAGE_USE_FINGERPRINT);
    for (unsigned i = 0; i < 1000; i++) { /* the library's list of questions never fills */
        size_t length = ice_server_ask(f.server, &f.credentials, &question, request, transaction);
        g_assert_cmpuint(length, >, 0);
        g_assert_cmpint(stun_agent_validate(&agent, &message, request, length,
                                            stun_agent_default_validater, validater),
                        ==, STUN_VALIDATION_SUCCESS);
        g_assert_true(stun_message_has_attribute(&message, STUN_ATTRIBUTE_ICE_CONTROLLED));
        g_assert_false(stun_message_has_attribute(&message, STUN_ATTRIBUTE_USE_CANDIDATE));
        g_assert_cmpmem(request + 8, ICE_TRANSACTION, transaction, ICE_TRANSACTION);
    }
    memset(f.credentials.remote_ufrag, 'r', 256);
    memset(f.credentials.ufrag, 'l', 256);
    g_assert_cmpuint(ice_server_ask(f.server, &f.credentials, &question, request, transaction), >,
                     512);
    strcpy(f.credentials.ufrag, "ours");
    tear_down(&f);
}

/* RFC 8445 7.3.1.1: two agents of one role. */
static void test_roles(void)
{
    struct fixture f;
    set_up(&f, 1000);
    f.credentials.role = ICE_CONTROLLING;
    f.credentials.tie_breaker = 100; /* the asker has 99 */
    expect_refused(&f, (struct question){"ours:theirs", PASSWORD}, 487);
    g_assert_cmpint(f.credentials.role, ==, ICE_CONTROLLING);
    g_assert_true(
        ask(&f, (struct question){"ours:theirs", PASSWORD, .controlled = true}, false, SECOND));
    g_assert_false(f.request.role_changed);
    reply(&f, PASSWORD);
    f.credentials.tie_breaker = 98;
    g_assert_true(ask(&f, (struct question){"ours:theirs", PASSWORD}, false, SECOND));
    g_assert_true(f.request.role_changed);
    g_assert_cmpint(f.credentials.role, ==, ICE_CONTROLLED);
    reply(&f, PASSWORD);
    expect_refused(&f, (struct question){"ours:theirs", PASSWORD, .controlled = true}, 487);
    f.credentials.tie_breaker = 100;
    g_assert_true(
        ask(&f, (struct question){"ours:theirs", PASSWORD, .controlled = true}, false, SECOND));
    g_assert_true(f.request.role_changed);
    g_assert_cmpint(f.credentials.role, ==, ICE_CONTROLLING);
    reply(&f, PASSWORD);
    guint64 before = f.credentials.tie_breaker;
    ice_credentials_switch_role(&f.credentials);
    g_assert_cmpint(f.credentials.role, ==, ICE_CONTROLLED);
    g_assert_true(f.credentials.tie_breaker != before);
    tear_down(&f);
}

/* Two servers ask each other: answers are believed when they are authentic, and only then. */
static void test_judge(void)
{
    struct fixture a, b;
    uint8_t question[ICE_CHECK_MAX], transaction[ICE_TRANSACTION];
    struct ice_question check = {.priority = 7, .use_candidate = true};
    set_up(&a, 100);
    set_up(&b, 100);
    a.credentials.role = ICE_CONTROLLING;
    strcpy(a.credentials.remote_ufrag, "ours");
    strcpy(a.credentials.remote_pwd, PASSWORD);
    for (guint i = 0; i < 300; i++) { /* the library's list never fills */
        size_t length = ice_server_ask(a.server, &a.credentials, &check, question, transaction);
        g_assert_true(
            ice_server_handle(b.server, question, length, &b.source, true, SECOND, &b.request));
        g_assert_true(b.request.use_candidate);
        g_assert_cmpuint(b.request.priority, ==, 7);
        g_assert_cmpint(
            ice_server_judge(a.server, &a.credentials, b.request.reply, b.request.reply_length), ==,
            ICE_ANSWER_GOOD);
        b.request.reply[b.request.reply_length - 12] ^= 1;
        g_assert_cmpint(
            ice_server_judge(a.server, &a.credentials, b.request.reply, b.request.reply_length), ==,
            ICE_ANSWER_FORGED);
    }
    /* the same transaction again */
    uint8_t again[ICE_TRANSACTION];
    memcpy(again, transaction, sizeof again);
    check.again = true;
    g_assert_cmpuint(ice_server_ask(a.server, &a.credentials, &check, question, again), >, 0);
    g_assert_cmpmem(again, sizeof again, transaction, sizeof transaction);
    g_assert_cmpmem(question + 8, ICE_TRANSACTION, transaction, ICE_TRANSACTION);
    /* a conflict is one only when it is authentic, too */
    b.credentials.role = ICE_CONTROLLING;
    b.credentials.tie_breaker = G_MAXUINT64;
    size_t length = ice_server_ask(a.server, &a.credentials, &check, question, again);
    g_assert_false(
        ice_server_handle(b.server, question, length, &b.source, true, SECOND, &b.request));
    g_assert_cmpint(
        ice_server_judge(a.server, &a.credentials, b.request.reply, b.request.reply_length), ==,
        ICE_ANSWER_CONFLICT);
    strcpy(a.credentials.remote_pwd, "another password it is");
    g_assert_cmpint(
        ice_server_judge(a.server, &a.credentials, b.request.reply, b.request.reply_length), ==,
        ICE_ANSWER_FORGED);
    tear_down(&a);
    tear_down(&b);
}

static unsigned answered(struct fixture *f, struct question question, bool known_source, gint64 now,
                         unsigned n)
{
    unsigned ret = 0;
    for (unsigned i = 0; i < n; i++) {
        ask(f, question, known_source, now);
        ret += f->request.reply_length > 0;
        if (f->request.reply_length)
            reply(f, PASSWORD);
    }
    return ret;
}

static void test_limits(void)
{
    struct fixture f;
    set_up(&f, 5);
    /* strangers have a budget; those we know are not touched by it */
    g_assert_cmpuint(answered(&f, (struct question){"nobody:x", PASSWORD}, false, SECOND, 20), ==,
                     5);
    g_assert_cmpuint(answered(&f, (struct question){"ours:x", PASSWORD}, false, SECOND, 20), ==,
                     20);
    /* a leg under a flood of bad requests still hears the addresses it knows */
    g_assert_cmpuint(answered(&f, (struct question){"ours:x", "wrong"}, false, SECOND, 20), ==, 5);
    g_assert_cmpuint(answered(&f, (struct question){"ours:x", PASSWORD}, false, SECOND, 3), ==, 0);
    g_assert_cmpuint(answered(&f, (struct question){"ours:x", PASSWORD}, true, SECOND, 3), ==, 3);
    /* a second later everybody is heard again */
    g_assert_cmpuint(answered(&f, (struct question){"nobody:x", PASSWORD}, false, 2 * SECOND, 20),
                     ==, 5);
    g_assert_cmpuint(answered(&f, (struct question){"ours:x", PASSWORD}, false, 2 * SECOND, 3), ==,
                     3);
    tear_down(&f);
}

static void test_any_octets(void)
{
    struct fixture f;
    set_up(&f, 1000000);
    for (unsigned i = 0; i < 50000; i++) {
        ask(&f, (struct question){"ours:theirs", PASSWORD}, true, SECOND);
        g_autofree uint8_t *copy = g_memdup2(f.message, f.length);
        unsigned flips = 1 + g_random_int() % 4;
        while (flips--)
            copy[g_random_int() % f.length] = (uint8_t)g_random_int();
        if (f.request.reply_length)
            reply(&f, PASSWORD);
        ice_server_handle(f.server, copy, f.length, &f.source, false, SECOND, &f.request);
    }
    /* and in answers: what was changed is not believed */
    strcpy(f.credentials.remote_pwd, PASSWORD);
    ask(&f, (struct question){"ours:theirs", PASSWORD}, true, 5 * SECOND);
    g_assert_cmpint(
        ice_server_judge(f.server, &f.credentials, f.request.reply, f.request.reply_length), ==,
        ICE_ANSWER_GOOD);
    for (unsigned i = 0; i < 20000; i++) {
        struct ice_request request;
        g_autofree uint8_t *copy = g_memdup2(f.request.reply, f.request.reply_length);
        size_t at = g_random_int() % (f.request.reply_length - 8);
        copy[at] ^= (uint8_t)(1 + g_random_int() % 255);
        ice_server_handle(f.server, copy, f.request.reply_length, &f.source, false, SECOND,
                          &request);
        /* the transaction is the asker's to compare */
        if (request.response && (at < 8 || at >= 20))
            g_assert_cmpint(
                ice_server_judge(f.server, &f.credentials, copy, f.request.reply_length), !=,
                ICE_ANSWER_GOOD);
    }
    tear_down(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ice-stun/success", test_success);
    g_test_add_func("/ice-stun/refused", test_refused);
    g_test_add_func("/ice-stun/not-requests", test_not_requests);
    g_test_add_func("/ice-stun/ask", test_ask);
    g_test_add_func("/ice-stun/roles", test_roles);
    g_test_add_func("/ice-stun/judge", test_judge);
    g_test_add_func("/ice-stun/limits", test_limits);
    g_test_add_func("/ice-stun/any-octets", test_any_octets);
    return g_test_run();
}
