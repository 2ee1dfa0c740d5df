/* SPDX-License-Identifier: Apache-2.0 */
/* wss://: versions, names, authorities, client certificates, IPv6. */
#include "certificates.h"
#include "world.h"

#include "base/loop.h"

#include <string.h>
#include <sys/wait.h>

struct run {
    struct world world;
    struct caller caller;
    char *url;
};

static void set_up(struct run *run, const char *address)
{
    const struct certificates *certificates = certificates_get();
    world_init(&run->world);
    run->world.config.address = address;
    run->world.config.tls_certificate = certificates->server;
    run->world.config.tls_key = certificates->server_key;
    run->url = NULL;
}

static void dial(struct run *run, const char *host, const char *ca)
{
    world_listen(&run->world);
    run->url = g_strdup_printf("wss://%s:%u/eirtcw/v1", host, run->world.port);
    caller_init(&run->caller, &run->world, run->url);
    run->caller.config.tls_ca = ca;
}

static void expect_open(struct run *run)
{
    caller_dial(&run->caller);
    world_wait(run->caller.opened && run->world.opened, 10);
    g_assert_true(caller_try(&run->caller, "auth", NULL));
    g_autofree char *value = g_strnfill(100000, 'x');
    g_assert_true(caller_try(&run->caller, "echo", json_pack("{s:s}", "value", value)));
}

static void expect_refused(struct run *run)
{
    caller_dial(&run->caller);
    world_wait(run->caller.failed, 10);
    g_assert_cmpuint(run->caller.opened, ==, 0);
    g_assert_cmpstr(run->caller.failure, !=, "");
}

static void tear_down(struct run *run)
{
    caller_finish(&run->caller);
    world_finish(&run->world);
    g_free(run->url);
}

static void test_good(void)
{
    static const char *const rows[][2] = {
        {"127.0.0.1", "127.0.0.1"},
        {"127.0.0.1", "localhost"},
        {"::1", "[::1]"},
        {NULL, "127.0.0.1"},
        {NULL, "[::1]"},
        {"lo", "127.0.0.1"},
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct run run;
        set_up(&run, rows[i][0]);
        dial(&run, rows[i][1], certificates_get()->ca);
        expect_open(&run);
        g_assert_null(link_peer_certificate_names(run.world.links->pdata[0]));
        g_assert_nonnull(link_peer_certificate_names(run.caller.link));
        tear_down(&run);
    }
}

static void test_wrong_name(void)
{
    static const char *const hosts[] = {"127.0.0.1", "localhost", "[::1]"};
    for (guint i = 0; i < G_N_ELEMENTS(hosts); i++) {
        struct run run;
        set_up(&run, NULL);
        run.world.config.tls_certificate = certificates_get()->elsewhere;
        run.world.config.tls_key = certificates_get()->elsewhere_key;
        dial(&run, hosts[i], certificates_get()->ca);
        expect_refused(&run);
        tear_down(&run);
    }
}

static void test_wrong_authority(void)
{
    struct run run;
    set_up(&run, "127.0.0.1");
    dial(&run, "127.0.0.1", certificates_get()->other_ca);
    expect_refused(&run);
    tear_down(&run);
    set_up(&run, "127.0.0.1");
    dial(&run, "127.0.0.1", NULL); /* the system does not know ours either */
    expect_refused(&run);
    tear_down(&run);
}

static void test_client_certificate(void)
{
    const struct certificates *certificates = certificates_get();
    struct run run;
    set_up(&run, "127.0.0.1");
    run.world.config.tls_client_ca = certificates->ca;
    dial(&run, "127.0.0.1", certificates->ca);
    run.caller.config.tls_certificate = certificates->client;
    run.caller.config.tls_key = certificates->client_key;
    expect_open(&run);
    const char *const *names = link_peer_certificate_names(run.world.links->pdata[0]);
    g_assert_nonnull(names);
    g_assert_true(g_strv_contains(names, "wsf.example.org"));
    g_assert_true(g_strv_contains(names, "wsf@example.org"));
    g_assert_true(g_strv_contains(names, "2001:db8::7"));
    tear_down(&run);
}

/* Asked for but not demanded: a client may authenticate otherwise. */
static void test_no_client_certificate(void)
{
    struct run run;
    set_up(&run, "127.0.0.1");
    run.world.config.tls_client_ca = certificates_get()->ca;
    dial(&run, "127.0.0.1", certificates_get()->ca);
    expect_open(&run);
    g_assert_null(link_peer_certificate_names(run.world.links->pdata[0]));
    tear_down(&run);
}

static void test_strange_client_certificate(void)
{
    const struct certificates *certificates = certificates_get();
    struct run run;
    set_up(&run, "127.0.0.1");
    run.world.config.tls_client_ca = certificates->ca;
    dial(&run, "127.0.0.1", certificates->ca);
    run.caller.config.tls_certificate = certificates->stranger;
    run.caller.config.tls_key = certificates->stranger_key;
    expect_refused(&run);
    g_assert_cmpuint(run.world.opened, ==, 0);
    tear_down(&run);
}

static void test_two_listeners(void)
{
    const struct certificates *certificates = certificates_get();
    struct run first, second;
    set_up(&first, "127.0.0.1");
    dial(&first, "127.0.0.1", certificates->ca);
    set_up(&second, "127.0.0.1");
    link_service_free(second.world.service);
    second.world.service = first.world.service;
    second.world.config.tls_certificate = certificates->stranger;
    second.world.config.tls_key = certificates->stranger_key;
    dial(&second, "localhost", certificates->other_ca);
    expect_open(&first);
    expect_open(&second);
    g_assert_cmpuint(first.world.opened, ==, 1);
    g_assert_cmpuint(second.world.opened, ==, 1);
    caller_finish(&second.caller);
    g_free(second.url);
    tear_down(&first);
    g_ptr_array_unref(second.world.links);
}

static int s_client(guint port, const char *version)
{
    g_autofree char *where = g_strdup_printf("127.0.0.1:%u", port);
    const char *const arguments[] = {"openssl",         "s_client", version, "-cipher",
                                     "ALL:@SECLEVEL=0", "-connect", where,   NULL};
    GPid pid;
    int status = -1;
    /* The child needs our loop, so it is not waited for. */
    g_assert_true(g_spawn_async(NULL, (char **)arguments, NULL,
                                G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD |
                                    G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL,
                                NULL, NULL, &pid, NULL));
    gint64 deadline = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;
    while (waitpid(pid, &status, WNOHANG) == 0)
        g_assert_true(world_step(deadline));
    g_spawn_close_pid(pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_versions(void)
{
    static const struct {
        const char *version;
        bool ok;
    } rows[] = {{"-tls1", false}, {"-tls1_1", false}, {"-tls1_2", true}, {"-tls1_3", true}};
    struct run run;
    set_up(&run, "127.0.0.1");
    dial(&run, "127.0.0.1", certificates_get()->ca);
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
        g_assert_cmpint(s_client(run.world.port, rows[i].version) == 0, ==, rows[i].ok);
    tear_down(&run);
}

static void test_bad_configuration(void)
{
    const struct certificates *certificates = certificates_get();
    const struct link_listener_config listeners[] = {
        {.address = "0.0.0.0"},
        {.address = "127.0.0.1", .tls_certificate = certificates->server},
        {.address = "127.0.0.1", .tls_certificate = "/nowhere", .tls_key = "/nowhere"},
        {.address = "127.0.0.1",
         .tls_certificate = certificates->server,
         .tls_key = certificates->client_key},
        {.address = "127.0.0.1",
         .tls_certificate = certificates->server_key,
         .tls_key = certificates->server},
        {.address = "300.0.0.1",
         .tls_certificate = certificates->server,
         .tls_key = certificates->server_key},
    };
    const struct link_dialer_config dialers[] = {
        {.url = "ws://192.0.2.1/x"},
        {.url = "http://127.0.0.1/"},
        {.url = "wss:///"},
        {.url = "not a url"},
        {.url = "wss://user:word@localhost/"},
        {.url = "wss://localhost/", .tls_ca = "/nowhere"},
        {.url = "wss://localhost/", .tls_ca = certificates->server_key},
        {.url = "wss://localhost/",
         .tls_ca = certificates->ca,
         .tls_certificate = certificates->client,
         .tls_key = certificates->server_key},
    };
    struct world world;
    world_init(&world);
    for (guint i = 0; i < G_N_ELEMENTS(listeners); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(link_listen(world.service, &listeners[i], &error));
        g_assert_nonnull(error);
    }
    for (guint i = 0; i < G_N_ELEMENTS(dialers); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(link_dialer_new(world.service, &dialers[i], &error));
        g_assert_nonnull(error);
    }
    world_finish(&world);
}

/* --- renewal ------------------------------------------------------------------------------------
 */

static void copy(const char *from, const char *to)
{
    g_autofree char *text = NULL;
    gsize length;
    g_assert_true(g_file_get_contents(from, &text, &length, NULL));
    g_assert_true(g_file_set_contents(to, text, (gssize)length, NULL));
}

static bool opens(struct world *world, const char *ca)
{
    struct caller caller;
    g_autofree char *url = g_strdup_printf("wss://127.0.0.1:%u/eirtcw/v1", world->port);
    caller_init(&caller, world, url);
    caller.config.tls_ca = ca;
    caller_dial(&caller);
    world_wait(caller.opened || caller.failed, 10);
    bool opened = caller.opened > 0;
    caller_finish(&caller);
    return opened;
}

static bool reload(struct world *world)
{
    g_autoptr(GError) error = NULL;
    bool done = link_service_reload(world->service, &error);
    g_assert_true(done == !error);
    if (error)
        g_assert_nonnull(strstr(error->message, "stays in use"));
    return done;
}

/* New connections use the new certificate, open ones go on, a broken file changes nothing. */
static void test_renewed_server(void)
{
    const struct certificates *certificates = certificates_get();
    g_autofree char *certificate = g_build_filename(certificates->folder, "now.pem", NULL);
    g_autofree char *key = g_build_filename(certificates->folder, "now.key", NULL);
    struct run run;
    set_up(&run, "127.0.0.1");
    copy(certificates->server, certificate);
    copy(certificates->server_key, key);
    run.world.config.tls_certificate = certificate;
    run.world.config.tls_key = key;
    dial(&run, "127.0.0.1", certificates->ca);
    expect_open(&run);

    copy(certificates->stranger, certificate);
    g_assert_false(reload(&run.world)); /* the key is another's */
    g_assert_true(opens(&run.world, certificates->ca));
    copy(certificates->stranger_key, key);
    g_assert_true(reload(&run.world));
    g_assert_false(opens(&run.world, certificates->ca));
    g_assert_true(opens(&run.world, certificates->other_ca));
    g_assert_true(caller_try(&run.caller, "echo", NULL));

    g_assert_true(g_file_set_contents(certificate, "nothing", -1, NULL));
    g_assert_false(reload(&run.world));
    g_assert_true(opens(&run.world, certificates->other_ca));
    tear_down(&run);
}

static void test_renewed_authority(void)
{
    const struct certificates *certificates = certificates_get();
    g_autofree char *ca = g_build_filename(certificates->folder, "now-ca.pem", NULL);
    struct run run;
    set_up(&run, "127.0.0.1");
    copy(certificates->other_ca, ca);
    dial(&run, "127.0.0.1", ca);
    expect_refused(&run);
    copy(certificates->ca, ca);
    g_assert_true(reload(&run.world));
    world_wait(run.caller.opened, 10);
    g_assert_true(g_file_set_contents(ca, "nothing", -1, NULL));
    g_assert_false(reload(&run.world));
    tear_down(&run);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    loop_init(1000);
    g_test_add_func("/tls/good", test_good);
    g_test_add_func("/tls/wrong-name", test_wrong_name);
    g_test_add_func("/tls/wrong-authority", test_wrong_authority);
    g_test_add_func("/tls/client-certificate", test_client_certificate);
    g_test_add_func("/tls/no-client-certificate", test_no_client_certificate);
    g_test_add_func("/tls/strange-client-certificate", test_strange_client_certificate);
    g_test_add_func("/tls/two-listeners", test_two_listeners);
    g_test_add_func("/tls/versions", test_versions);
    g_test_add_func("/tls/bad-configuration", test_bad_configuration);
    g_test_add_func("/tls/renewed-server", test_renewed_server);
    g_test_add_func("/tls/renewed-authority", test_renewed_authority);
    int result = g_test_run();
    certificates_remove();
    return result;
}
