/* SPDX-License-Identifier: Apache-2.0 */
/* What pipelines may open, and above all what they may not. */
#include "base/problem.h"
#include "pipelines/media-places.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *folder;

static char *at(const char *name)
{
    return g_build_filename(folder, name, NULL);
}

static void write_file(const char *name)
{
    g_autofree char *path = at(name);
    g_assert_true(g_file_set_contents(path, name, -1, NULL));
}

static void link_to(const char *target, const char *name)
{
    g_autofree char *path = at(name);
    g_assert_cmpint(symlink(target, path), ==, 0);
}

static void set_up(void)
{
    folder = g_dir_make_tmp("places-XXXXXX", NULL);
    g_autofree char *media = at("media"), *deep = at("media/deep"), *pipe = at("media/pipe");
    g_assert_cmpint(g_mkdir(media, 0700) | g_mkdir(deep, 0700) | mkfifo(pipe, 0600), ==, 0);
    write_file("secret");
    write_file("media/film.webm");
    write_file("media/deep/film 2.webm");
    link_to("film.webm", "media/inside");
    link_to("../media/film.webm", "media/out-and-in");
    link_to("../secret", "media/outside");
    link_to("/etc/passwd", "media/absolute");
    link_to("/proc/self/fd/0", "media/magic");
    link_to("..", "media/up");
    link_to("round", "media/round");
}

static void tear_down(void)
{
    g_autofree char *command = g_strdup_printf("rm -r %s", folder);
    g_assert_true(g_spawn_command_line_sync(command, NULL, NULL, NULL, NULL));
    g_free(folder);
}

static char *open_it(const struct media_places *places, const char *text, int *ret_file,
                     GError **error)
{
    return media_place_open(places, text, "/pipeline/parameters/source", ret_file, error);
}

static void opens(const char *name, const char *content)
{
    g_autofree char *media = at("media");
    const struct media_places places = {.folder = media};
    g_autoptr(GError) error = NULL;
    int file;
    g_autofree char *uri = open_it(&places, name, &file, &error);
    g_assert_no_error(error);
    g_autofree char *path = g_filename_from_uri(uri, NULL, NULL);
    g_autofree char *read = NULL;
    g_assert_true(g_file_get_contents(path, &read, NULL, NULL));
    g_assert_cmpstr(read, ==, content);
    close(file);
}

static void refuses(const struct media_places *places, const char *text, enum problem problem)
{
    g_autoptr(GError) error = NULL;
    int file;
    g_autofree char *uri = open_it(places, text, &file, &error);
    g_test_message("%s: %s", text, error ? error->message : uri);
    g_assert_null(uri);
    g_assert_cmpint(file, ==, -1);
    g_assert_error(error, PROBLEM_DOMAIN, (int)problem);
}

static void test_files(void)
{
    opens("film.webm", "media/film.webm");
    opens("deep/film 2.webm", "media/deep/film 2.webm");
    opens("deep/../film.webm", "media/film.webm");
    opens("inside", "media/film.webm");
}

static void test_files_refused(void)
{
    g_autofree char *media = at("media"), *secret = at("secret"), *gone = at("gone");
    const struct media_places places = {.folder = media}, none = {0}, lost = {.folder = gone};
    static const char *const outside[] = {"../secret",   "deep/../../secret",
                                          "/etc/passwd", "outside",
                                          "absolute",    "magic",
                                          "up/secret",   "out-and-in",
                                          "round",       ".",
                                          "deep",        "pipe",
                                          "deep/..",     "..",
                                          "/",           ""};
    for (gsize i = 0; i < G_N_ELEMENTS(outside); i++)
        refuses(&places, outside[i], PROBLEM_INVALID_MESSAGE);
    refuses(&places, secret, PROBLEM_INVALID_MESSAGE);
    refuses(&places, "none.webm", PROBLEM_RESOURCE_NOT_FOUND);
    refuses(&places, "film.webm/", PROBLEM_RESOURCE_NOT_FOUND);
    refuses(&none, "film.webm", PROBLEM_INVALID_MESSAGE);
    refuses(&lost, "film.webm", PROBLEM_RESOURCE_NOT_FOUND);
}

static void test_uris(void)
{
    static const char *const beginnings[] = {"https://cdn.example.org/live/",
                                             "rtsp://cam.example.org:8554/front",
                                             "http://10.0.0.7/see?camera=1", NULL};
    const struct media_places places = {.beginnings = beginnings};
    static const char *const good[] = {
        "https://cdn.example.org/live/one.webm",
        "https://cdn.example.org/live/",
        "https://CDN.example.org:443/live/a/b?token=x",
        "https://cdn.example.org/x/.././live/a",
        "rtsp://cam.example.org:8554/front",
        "http://10.0.0.7/see?camera=1",
    };
    static const char *const bad[] = {
        "https://cdn.example.org/other",
        "https://cdn.example.org/live",
        "https://cdn.example.org/live/../admin",
        "https://cdn.example.org/live/%2e%2E/admin",
        "https://cdn.example.org/live/..%2fadmin",
        "https://cdn.example.org/live/..%5cadmin",
        "https://cdn.example.org.evil.example/live/",
        "https://cdn.example.org@evil.example/live/",
        "https://user@cdn.example.org/live/a",
        "https://cdn.example.org:8443/live/a",
        "http://cdn.example.org/live/a",
        "https://cdn.example.org/live/a#b",
        "https:cdn.example.org/live/a",
        "https:///live/a",
        "rtsp://cam.example.org:8554/front/door",
        "rtsp://cam.example.org:8554/frontdoor",
        "http://10.0.0.7/see?camera=2",
        "http://10.0.0.7/see",
        "http://127.0.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "file:///etc/passwd",
        "FILE:///etc/passwd",
        "file://localhost/etc/passwd",
        "fd://0",
        "v4l2:///dev/video0",
        "appsrc://",
        "http://[::1/",
    };
    for (gsize i = 0; i < G_N_ELEMENTS(good); i++) {
        g_autoptr(GError) error = NULL;
        int file;
        g_autofree char *uri = open_it(&places, good[i], &file, &error);
        g_assert_no_error(error);
        g_assert_cmpint(file, ==, -1);
        g_assert_null(strstr(uri, "/."));
    }
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++)
        refuses(&places, bad[i], PROBLEM_INVALID_MESSAGE);
}

static void test_configuration(void)
{
    static const char *const bad[] = {
        "file:///srv/", "fd://3", "rtsp://cdn.example.org",
        "https:///x/",  "live",   "https://cdn.example.org/a/..%5cb/"};
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(media_place_check(bad[i], &error));
        g_test_message("%s", error->message);
        g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_INVALID_MESSAGE);
    }
    g_assert_true(media_place_check("https://cdn.example.org/", NULL));
    g_assert_true(media_place_check("rtsp://user:pass@192.0.2.7/cam?x=1", NULL));
}

static void creates_not(const char *name, enum problem code)
{
    g_autofree char *media = at("media");
    const struct media_places places = {.record_folder = media};
    g_autoptr(GError) error = NULL;
    int file;
    g_assert_null(media_place_create(&places, name, "/pipeline/parameters/file", &file, &error));
    g_test_message("%s", error->message);
    g_assert_error(error, PROBLEM_DOMAIN, (int)code);
    g_assert_cmpint(file, ==, -1);
}

static void test_creation(void)
{
    g_autofree char *media = at("media"), *made = at("media/deep/new.mkv");
    const struct media_places places = {.record_folder = media}, nowhere = {.folder = media};
    g_autoptr(GError) error = NULL;
    int file;
    g_autofree char *path = media_place_create(&places, "deep/new.mkv", "/p", &file, &error);
    g_assert_no_error(error);
    g_assert_true(g_str_has_prefix(path, "/proc/self/fd/"));
    g_assert_cmpint(write(file, "x", 1), ==, 1);
    media_place_close(file);
    g_assert_true(g_file_test(made, G_FILE_TEST_IS_REGULAR));
    creates_not("deep/new.mkv", PROBLEM_INVALID_MESSAGE); /* it is there now */
    creates_not("inside", PROBLEM_INVALID_MESSAGE);       /* so is a link's own name */
    creates_not("../secret2", PROBLEM_INVALID_MESSAGE);
    creates_not("/tmp/secret2", PROBLEM_INVALID_MESSAGE);
    creates_not("up/secret2", PROBLEM_INVALID_MESSAGE);
    creates_not("magic/x", PROBLEM_INVALID_MESSAGE);
    creates_not("nowhere/new.mkv", PROBLEM_WMCF_ERROR);
    creates_not("", PROBLEM_INVALID_MESSAGE);
    /* Of one into which nothing came nothing stays, but never another of its name. */
    g_autofree char *path2 = media_place_create(&places, "deep/empty.mkv", "/p", &file, &error);
    g_autofree char *empty = at("media/deep/empty.mkv");
    g_assert_nonnull(path2);
    g_assert_true(g_file_test(empty, G_FILE_TEST_IS_REGULAR));
    media_place_close(file);
    g_assert_false(g_file_test(empty, G_FILE_TEST_EXISTS));
    g_autofree char *path3 = media_place_create(&places, "deep/empty.mkv", "/p", &file, &error);
    g_assert_nonnull(path3);
    g_assert_cmpint(unlink(empty), ==, 0);
    g_assert_true(g_file_set_contents(empty, "", 0, NULL));
    media_place_close(file);
    g_assert_true(g_file_test(empty, G_FILE_TEST_IS_REGULAR));
    media_place_close(-1);
    g_assert_null(media_place_create(&nowhere, "new.mkv", "/p", &file, &error));
    g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_INVALID_MESSAGE);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    set_up();
    g_test_add_func("/media-places/files", test_files);
    g_test_add_func("/media-places/files-refused", test_files_refused);
    g_test_add_func("/media-places/uris", test_uris);
    g_test_add_func("/media-places/configuration", test_configuration);
    g_test_add_func("/media-places/creation", test_creation);
    int result = g_test_run();
    tear_down();
    return result;
}
