/* SPDX-License-Identifier: Apache-2.0 */
/* Authentication. A yescrypt hash costs tens of milliseconds and 16 MB, so it runs in a pool of a
 * few threads with a bounded queue: a flood of passwords delays other passwords, never a call. A
 * success clears the counter of the identity but not of the address, or an attacker could clear it
 * with an account of his own. */
#define LOG_CATEGORY "auth"
#include "wsf/auth.h"

#include "base/log.h"
#include "base/loop.h"
#include "base/problem.h"
#include "wsf/auth-basic.h"
#include "wsf/auth-bearer.h"
#include "wsf/throttle.h"

#include <sys/stat.h>

#define KEYS_LOOK_US G_USEC_PER_SEC /* the file of keys is looked at once a second at most */

struct auth {
    const char *credentials_file, *jwk_set_file;
    struct bearer_rules rules;
    struct auth_basic *basic;   /* NULL: not configured */
    struct auth_bearer *bearer; /* NULL: not configured */
    struct stat keys;           /* of its file when it was read */
    gint64 keys_looked_at;
    struct throttle *identities, *addresses;
    GThreadPool *pool;
    guint queue_max;
    GPtrArray *waiting; /* struct password_check, in the pool or on the way back */
    gint stopping;      /* atomic */
};

struct password_check {
    struct auth *auth; /* NULL once it has been answered by auth_free() */
    char *hash, *password;
    bool known, good;
    auth_fn done;
    void *user;
};

static void check_done(void *data)
{
    struct password_check *check = data;
    if (check->auth) {
        g_ptr_array_remove_fast(check->auth->waiting, check);
        check->done(check->good, check->user);
    }
    g_free(check);
}

/* Pool thread. */
static void do_check(void *data, void *pool_data)
{
    struct password_check *check = data;
    struct auth *auth = pool_data;
    if (!g_atomic_int_get(&auth->stopping)) {
        bool equal = auth_basic_verify(check->hash, check->password);
        check->good = equal && check->known;
    }
    g_clear_pointer(&check->hash, g_free);
    g_clear_pointer(&check->password, auth_secret_free);
    loop_post("password checked", check_done, check);
}

struct auth *auth_new(const struct conf *conf, GError **error)
{
    struct auth *auth = g_new0(struct auth, 1);
    auth->waiting = g_ptr_array_new();
    auth->credentials_file = conf_string(conf, "auth", "credentials_file");
    auth->jwk_set_file = conf_string(conf, "auth", "jwk_set_file");
    auth->rules.issuer = conf_string(conf, "auth", "issuer");
    auth->rules.audience = conf_string(conf, "auth", "audience");
    auth->rules.clock_skew_s = conf_int(conf, "auth", "clock_skew");
    auth->queue_max = conf_int(conf, "auth", "hash_queue_max");
    guint max = conf_int(conf, "auth", "retry_after_max");
    guint kept = conf_int(conf, "auth", "failures_kept");
    auth->identities = throttle_new(conf_int(conf, "auth", "failures_free_identity"), max, kept);
    auth->addresses = throttle_new(conf_int(conf, "auth", "failures_free_address"), max, kept);
    if (!auth_reload(auth, error)) {
        auth_free(auth);
        return NULL;
    }
    auth->pool =
        g_thread_pool_new(do_check, auth, conf_int(conf, "auth", "hash_threads"), FALSE, NULL);
    return auth;
}

void auth_free(struct auth *auth)
{
    if (!auth)
        return;
    g_atomic_int_set(&auth->stopping, 1);
    if (auth->pool)
        g_thread_pool_free(auth->pool, FALSE, TRUE);
    for (guint i = 0; i < auth->waiting->len; i++) {
        struct password_check *check = g_ptr_array_index(auth->waiting, i);
        check->auth = NULL; /* its post may never be dispatched, or after us */
        check->done(false, check->user);
    }
    g_ptr_array_unref(auth->waiting);
    auth_basic_free(auth->basic);
    auth_bearer_free(auth->bearer);
    throttle_free(auth->identities);
    throttle_free(auth->addresses);
    g_free(auth);
}

static void look_at_keys(struct auth *auth, struct stat *ret)
{
    auth->keys_looked_at = loop_now();
    if (!auth->jwk_set_file || stat(auth->jwk_set_file, ret))
        *ret = (struct stat){0};
}

/* An issuer rotates its keys: a token with the new one follows soon after the new file. */
static void renew_keys(struct auth *auth)
{
    struct stat now;
    if (loop_now() - auth->keys_looked_at < KEYS_LOOK_US)
        return;
    look_at_keys(auth, &now);
    if (now.st_ino == auth->keys.st_ino && now.st_size == auth->keys.st_size &&
        now.st_mtim.tv_sec == auth->keys.st_mtim.tv_sec &&
        now.st_mtim.tv_nsec == auth->keys.st_mtim.tv_nsec)
        return;
    g_autoptr(GError) error = NULL;
    struct auth_bearer *bearer = auth_bearer_load(auth->jwk_set_file, &error);
    auth->keys = now;
    if (!bearer) {
        log_error(NULL, "changed keys not taken: %s, continuing with the former ones",
                  error->message);
        return;
    }
    auth_bearer_free(auth->bearer);
    auth->bearer = bearer;
    log_info(NULL, "%u keys for bearer tokens read again", auth_bearer_count(bearer));
}

bool auth_reload(struct auth *auth, GError **error)
{
    struct auth_basic *basic = NULL;
    struct auth_bearer *bearer = NULL;
    look_at_keys(auth, &auth->keys);
    if (auth->credentials_file && !(basic = auth_basic_load(auth->credentials_file, error)))
        return false;
    if (auth->jwk_set_file && !(bearer = auth_bearer_load(auth->jwk_set_file, error))) {
        auth_basic_free(basic);
        return false;
    }
    auth_basic_free(auth->basic);
    auth_bearer_free(auth->bearer);
    auth->basic = basic;
    auth->bearer = bearer;
    return true;
}

bool auth_knows(const struct auth *auth, const char *webrtc_id)
{
    bool known = false;
    if (auth->basic)
        g_free(auth_basic_hash(auth->basic, webrtc_id, &known));
    return known;
}

bool auth_has_basic(const struct auth *auth)
{
    return auth->basic != NULL;
}

bool auth_has_bearer(const struct auth *auth)
{
    return auth->bearer != NULL;
}

bool auth_check_basic(struct auth *auth, const char *webrtc_id, const char *password, auth_fn done,
                      void *user, GError **error)
{
    if (auth->waiting->len >= auth->queue_max) {
        problem_set_retry(error, PROBLEM_RESOURCES_UNAVAILABLE, 1,
                          "too many passwords are waiting to be checked; try again");
        return false;
    }
    struct password_check *check = g_new0(struct password_check, 1);
    check->auth = auth;
    check->hash = auth_basic_hash(auth->basic, webrtc_id, &check->known);
    check->password = g_strdup(password);
    check->done = done;
    check->user = user;
    g_ptr_array_add(auth->waiting, check);
    g_thread_pool_push(auth->pool, check, NULL);
    return true;
}

bool auth_check_bearer(struct auth *auth, const char *authorization, const char *webrtc_id,
                       gint64 *ret_lifetime, GError **error)
{
    gint64 now = g_get_real_time() / G_USEC_PER_SEC, expires = 0;
    renew_keys(auth);
    if (!auth_bearer_check(auth->bearer, authorization, &auth->rules, webrtc_id, now, &expires,
                           error))
        return false;
    *ret_lifetime = MAX(expires - now, 0);
    return true;
}

bool auth_admit(struct auth *auth, const char *webrtc_id, const char *address, GError **error)
{
    gint64 now = loop_now();
    guint wait = MAX(throttle_wait(auth->identities, webrtc_id, now),
                     throttle_wait(auth->addresses, address, now));
    if (!wait)
        return true;
    problem_set_retry(error, PROBLEM_TOO_MANY_REQUESTS, wait,
                      "too many failed attempts; try again in %u s", wait);
    return false;
}

guint auth_failed(struct auth *auth, const char *webrtc_id, const char *address)
{
    gint64 now = loop_now();
    guint identity = throttle_failed(auth->identities, webrtc_id, now);
    guint source = throttle_failed(auth->addresses, address, now);
    return MAX(identity, source);
}

void auth_succeeded(struct auth *auth, const char *webrtc_id)
{
    throttle_forget(auth->identities, webrtc_id);
}
