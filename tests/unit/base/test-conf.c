/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration: the order of sources, the sentence of every mistake, dump and sample. */
#include "base/conf.h"

#include "base/problem.h"

#include <glib/gstdio.h>
#include <string.h>

static const struct conf_key keys[] = {
    {"media", "port", CONF_INT, "3478", 1, 65535, NULL, NULL, "The port."},
    {"media", "address", CONF_LIST, "0.0.0.0, ::", 0, 0, NULL, NULL, "Where to listen."},
    {"media", "advertise", CONF_STRING, NULL, 0, 0, NULL, NULL, "The address behind a NAT."},
    {"log", "level", CONF_CHOICE, "info", 0, 0, "error|info|debug", NULL, "How much is told."},
    {"log", "ids", CONF_BOOL, "yes", 0, 0, NULL, NULL, "Whether ids are told."},
    {"log", "keep-days", CONF_INT, "7", -1, 365, NULL, "days", "How long."},
    {"wmcf*", "url", CONF_STRING, NULL, 0, 0, NULL, NULL, "Where it is."},
    {"wmcf*", "weight", CONF_INT, "10", 1, 100, NULL, NULL,
     "Its share of the calls, as compared "
     "with the others, in a sentence that is so long that the sample has to wrap it somewhere."},
    {"wmcf*", "token_file", CONF_PATH, NULL, 0, 0, NULL, NULL, "Its secret."},
};

struct fixture {
    char *dir, *file;
};

static void write_file(const struct fixture *f, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(f->dir, name, NULL);
    g_autofree char *folder = g_path_get_dirname(path);
    g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void set_up(struct fixture *f, gconstpointer data)
{
    f->dir = g_dir_make_tmp("conf-XXXXXX", NULL);
    g_assert_nonnull(f->dir);
    f->file = g_build_filename(f->dir, "p.conf", NULL);
}

static void remove_tree(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    for (const char *name; dir && (name = g_dir_read_name(dir));) {
        g_autofree char *child = g_build_filename(path, name, NULL);
        remove_tree(child);
    }
    g_remove(path);
}

static void tear_down(struct fixture *f, gconstpointer data)
{
    remove_tree(f->dir);
    g_free(f->dir);
    g_free(f->file);
}

static struct conf *load(struct fixture *f, const char *const *sets, GError **error)
{
    return conf_load("p", keys, G_N_ELEMENTS(keys), f->file, true, sets, error);
}

static void test_defaults(struct fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    struct conf *conf = load(f, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpint(conf_int(conf, "media", "port"), ==, 3478);
    g_assert_cmpstr(conf_list(conf, "media", "address")[0], ==, "0.0.0.0");
    g_assert_cmpstr(conf_list(conf, "media", "address")[1], ==, "::");
    g_assert_null(conf_list(conf, "media", "address")[2]);
    g_assert_null(conf_string(conf, "media", "advertise"));
    g_assert_true(conf_bool(conf, "log", "ids"));
    g_assert_cmpstr(conf_origin(conf, "log", "ids"), ==, "default");
    g_assert_null(conf_instances(conf, "wmcf*")[0]);
    conf_free(conf);
    conf_free(NULL);

    g_assert_null(
        conf_load("p", keys, G_N_ELEMENTS(keys), "/nonexistent.conf", false, NULL, &error));
    g_assert_nonnull(strstr(error->message, "/nonexistent.conf"));
}

static void test_order_of_sources(struct fixture *f, gconstpointer data)
{
    write_file(f, "p.conf",
               "; comment\n# comment\n[media]\nport=1\nadvertise = 192.0.2.1 # not a comment\r\n"
               "[log]\n\n  level = debug\nkeep-days=1\n[media]\naddress=lo;eth0,\n");
    write_file(f, "p.conf.d/20-b.conf", "[media]\nport=3\n[log]\nlevel=\n");
    write_file(f, "p.conf.d/10-a.conf", "[media]\nport=2\n");
    write_file(f, "p.conf.d/30-c.conf.off", "[nonsense]\n");
    g_setenv("P_LOG_KEEP_DAYS", "30", TRUE);
    g_setenv("P_LOG_IDS", "off", TRUE);
    g_autoptr(GError) error = NULL;
    struct conf *conf = load(f, (const char *const[]){"log.ids=ON", NULL}, &error);
    g_unsetenv("P_LOG_KEEP_DAYS");
    g_unsetenv("P_LOG_IDS");
    g_assert_no_error(error);
    g_assert_cmpint(conf_int(conf, "media", "port"), ==, 3);
    g_assert_true(g_str_has_suffix(conf_origin(conf, "media", "port"), "/p.conf.d/20-b.conf"));
    g_assert_cmpstr(conf_string(conf, "media", "advertise"), ==, "192.0.2.1 # not a comment");
    g_assert_cmpuint(g_strv_length((char **)conf_list(conf, "media", "address")), ==, 2);
    g_assert_null(conf_string(conf, "log", "level"));
    g_assert_cmpint(conf_int(conf, "log", "keep-days"), ==, 30);
    g_assert_cmpstr(conf_origin(conf, "log", "keep-days"), ==, "environment");
    g_assert_true(conf_bool(conf, "log", "ids"));
    g_assert_cmpstr(conf_origin(conf, "log", "ids"), ==, "command line");
    conf_free(conf);
}

static void test_instances(struct fixture *f, gconstpointer data)
{
    write_file(f, "p.conf",
               "[wmcf \"west\"]\nurl=wss://west\ntoken_file=west.token\n"
               "[wmcf \"east-1\"]\n");
    write_file(f, "west.token", "secret\n\n");
    g_setenv("P_WMCF_EAST_1_WEIGHT", "20", TRUE);
    g_autoptr(GError) error = NULL;
    struct conf *conf = load(f, (const char *const[]){"wmcf \"n.1\".url=ws://n=1.2", NULL}, &error);
    g_unsetenv("P_WMCF_EAST_1_WEIGHT");
    g_assert_no_error(error);
    const char *const *names = conf_instances(conf, "wmcf*");
    g_assert_cmpuint(g_strv_length((char **)names), ==, 3);
    g_assert_cmpstr(names[0], ==, "wmcf \"west\"");
    g_assert_cmpstr(names[1], ==, "wmcf \"east-1\"");
    g_assert_cmpint(conf_int(conf, names[0], "weight"), ==, 10);
    g_assert_cmpint(conf_int(conf, names[1], "weight"), ==, 20);
    g_assert_cmpstr(conf_string(conf, names[2], "url"), ==, "ws://n=1.2");

    g_autofree char *secret = conf_secret(conf, names[0], "token_file", &error);
    g_assert_no_error(error);
    g_assert_cmpstr(secret, ==, "secret");
    g_assert_null(conf_secret(conf, names[1], "token_file", &error));
    g_assert_no_error(error);
    conf_free(conf);
}

static void test_secret_missing(struct fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    struct conf *conf =
        load(f, (const char *const[]){"wmcf \"a\".token_file=/nonexistent", NULL}, &error);
    g_assert_no_error(error);
    g_assert_null(conf_secret(conf, "wmcf \"a\"", "token_file", &error));
    g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_INVALID_MESSAGE);
    conf_free(conf);
}

static void test_mistakes(struct fixture *f, gconstpointer data)
{
    static const struct {
        const char *text, *said;
    } rows[] = {
        {"[media]\nprot=1\n", "p.conf:2: unknown key 'prot' in section [media]"},
        {"[medium]\n", "p.conf:1: unknown section [medium]"},
        {"[media]\nport=1\n[log]\n[media]\nport=2\n", "p.conf:5: [media] port is already set in "
                                                      "line 2"},
        {"[media]\nport=0\n", "p.conf:2: [media] port = 0: must be an integer from 1 to 65535"},
        {"[media]\nport=65536\n", "must be an integer"},
        {"[media]\nport=1x\n", "must be an integer"},
        {"[media]\nport=99999999999999999999\n", "must be an integer"},
        {"[log]\nids=maybe\n", "p.conf:2: [log] ids = maybe: must be yes or no"},
        {"[log]\nlevel=Info\n", "must be one of error, info, debug"},
        {"port=1\n", "p.conf:1: key before the first [section]"},
        {"[media\nport=1\n", "p.conf:1: section without a closing bracket"},
        {"[media]\nport\n", "p.conf:2: neither [section] nor key = value"},
        {"[media]\n=1\n", "p.conf:2: neither"},
        {"[]\n", "p.conf:1: section"},
        {"[wmcf]\nurl=x\n", "[wmcf] needs a name"},
        {"[wmcf \"\"]\nurl=x\n", "needs a name"},
        {"[wmcf \"a b\"]\nurl=x\n", "needs a name"},
        {"[wmcf \"a\"\nurl=x\n", "closing bracket"},
        {"[wmcfx \"a\"]\nurl=x\n", "unknown section [wmcfx \"a\"]"},
        {"[wmcf*]\nurl=x\n", "needs a name"},
        {"[media]\nadvertise=\xff\n", "not UTF-8"},
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        write_file(f, "p.conf", rows[i].text);
        g_assert_null(load(f, NULL, &error));
        g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_INVALID_MESSAGE);
        if (!strstr(error->message, rows[i].said) || !strstr(error->message, f->dir))
            g_error("'%s' was said instead of '%s'", error->message, rows[i].said);
    }
    write_file(f, "p.conf", "");
    static const char *const sets[] = {"media.port", "port=1", "media.x=1", "x.port=1",
                                       "=",          "",       ".=",        "media.port=x"};
    for (guint i = 0; i < G_N_ELEMENTS(sets); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(load(f, (const char *const[]){sets[i], NULL}, &error));
        g_assert_nonnull(strstr(error->message, "command line"));
    }
    g_autoptr(GError) error = NULL;
    g_setenv("P_MEDIA_PORT", "x", TRUE);
    g_assert_null(load(f, NULL, &error));
    g_unsetenv("P_MEDIA_PORT");
    g_assert_nonnull(strstr(error->message, "P_MEDIA_PORT"));
}

static void test_dump_and_sample(struct fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    write_file(f, "p.conf", "[media]\nport=5\n[wmcf \"west\"]\ntoken_file=t\n");
    struct conf *conf = load(f, NULL, &error);
    g_assert_no_error(error);
    g_autofree char *dump = conf_dump(conf);
    conf_free(conf);
    g_assert_nonnull(strstr(dump, "# default\nlevel = info\n"));

    /* What is dumped loads again to the same. */
    write_file(f, "p.conf", dump);
    conf = load(f, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpint(conf_int(conf, "media", "port"), ==, 5);
    g_assert_cmpint(conf_int(conf, "wmcf \"west\"", "weight"), ==, 10);
    conf_free(conf);

    /* The sample loads as it is, and with every key uncommented. */
    g_autofree char *sample = conf_sample("p", keys, G_N_ELEMENTS(keys));
    write_file(f, "p.conf", sample);
    conf = load(f, NULL, &error);
    g_assert_no_error(error);
    conf_free(conf);
    g_autoptr(GRegex) commented = g_regex_new("^#(?=[^ ])", G_REGEX_MULTILINE, 0, NULL);
    g_autofree char *active = g_regex_replace(commented, sample, -1, 0, "", 0, NULL);
    write_file(f, "p.conf", active);
    conf = load(f, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpint(conf_int(conf, "wmcf \"name\"", "weight"), ==, 10);
    conf_free(conf);
}

/* A key outside of the table must stop the developer, not return a nothing. */
static void test_unknown_getter(void)
{
    if (g_test_subprocess()) {
        struct conf *conf = conf_load("p", keys, G_N_ELEMENTS(keys), NULL, true, NULL, NULL);
        conf_int(conf, "media", "nothing");
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*not in the table*");
}

#define ADD(name, fn) g_test_add("/conf/" name, struct fixture, NULL, set_up, fn, tear_down)

static void test_instance_name(void)
{
    static const struct {
        const char *section, *name;
    } cases[] = {{"wmcf \"west\"", "west"}, {"wmcf \"a \"b\"\"", "a \"b\""},
                 {"room \"\"", ""},         {"wmcf", NULL},
                 {"wmcf \"", NULL},         {"", NULL}};
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *name = conf_instance_name(cases[i].section);
        g_assert_cmpstr(name, ==, cases[i].name);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("defaults", test_defaults);
    ADD("order-of-sources", test_order_of_sources);
    ADD("instances", test_instances);
    ADD("secret-missing", test_secret_missing);
    ADD("mistakes", test_mistakes);
    ADD("dump-and-sample", test_dump_and_sample);
    g_test_add_func("/conf/instance-name", test_instance_name);
    g_test_add_func("/conf/unknown-getter", test_unknown_getter);
    return g_test_run();
}
