/* SPDX-License-Identifier: Apache-2.0 */
/* Decides what a pipeline may open. Names come from whoever drives the media centre, so nothing is
 * told by comparing paths: the kernel resolves the name below the folder and never outside of it,
 * and the pipeline gets that very descriptor. A URI is compared part by part, because a host that
 * only begins as an allowed one is another host. */
#include "pipelines/media-places.h"

#include "base/problem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* --- files ------------------------------------------------------------------------------------ */

/* No symbolic link, no ".." and no mount of another process's files leads out. O_NONBLOCK: a pipe
 * without a writer must not hold up the caller. */
static int open_below(const char *folder, const char *name, int flags)
{
    struct open_how how = {.flags = (guint64)(flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY),
                           .mode = flags & O_CREAT ? 0640 : 0,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    int dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return -1;
    int file = (int)syscall(SYS_openat2, dir, name, &how, sizeof how);
    int why = errno;
    close(dir);
    errno = why;
    return file;
}

static char *open_file(const struct media_places *places, const char *name, const char *pointer,
                       int *ret_file, GError **error)
{
    struct stat info;
    if (!places->folder) {
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, pointer,
                          "files cannot be played here: pipelines.media_folder is not set");
        return NULL;
    }
    int file = open_below(places->folder, name, O_RDONLY);
    if (file < 0) {
        int why = errno;
        if (why == EXDEV || why == ELOOP)
            problem_set_param(error, PROBLEM_INVALID_MESSAGE, pointer,
                              "\"%s\" leads out of the folder of media", name);
        else
            problem_set_param(error, PROBLEM_RESOURCE_NOT_FOUND, pointer,
                              "\"%s\" cannot be opened in the folder of media: %s", name,
                              g_strerror(why));
        return NULL;
    }
    if (fstat(file, &info) != 0 || !S_ISREG(info.st_mode)) {
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, pointer, "\"%s\" is not a file", name);
        close(file);
        return NULL;
    }
    *ret_file = file;
    return g_strdup_printf("file:///proc/self/fd/%d", file);
}

char *media_place_create(const struct media_places *places, const char *name, const char *pointer,
                         int *ret_file, GError **error)
{
    *ret_file = -1;
    if (!places->record_folder || *name == '\0') {
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, pointer,
                          places->record_folder
                              ? "the template needs to be told which file to write"
                              : "nothing can be recorded here: pipelines.record_folder is not set");
        return NULL;
    }
    int file = open_below(places->record_folder, name, O_WRONLY | O_CREAT | O_EXCL);
    if (file < 0) {
        int why = errno;
        if (why == EXDEV || why == ELOOP)
            problem_set_param(error, PROBLEM_INVALID_MESSAGE, pointer,
                              "\"%s\" leads out of the folder of recordings", name);
        else if (why == EEXIST)
            problem_set_param(error, PROBLEM_INVALID_MESSAGE, pointer,
                              "there is a file \"%s\" already; recordings never replace one", name);
        else
            problem_set_param(error, PROBLEM_WMCF_ERROR, pointer,
                              "\"%s\" cannot be written in the folder of recordings: %s", name,
                              g_strerror(why));
        return NULL;
    }
    *ret_file = file;
    return g_strdup_printf("/proc/self/fd/%d", file);
}

/* By the descriptor's present name, if that still means the same file: an operator may have moved
 * it meanwhile, and put another in its place. */
static void remove_if_empty(int file)
{
    char link[32], name[PATH_MAX];
    struct stat opened, named;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, name, sizeof name - 1);
    if (length <= 0 || fstat(file, &opened) != 0 || opened.st_size > 0)
        return;
    name[length] = '\0';
    if (lstat(name, &named) == 0 && named.st_dev == opened.st_dev && named.st_ino == opened.st_ino)
        unlink(name);
}

static bool is_written(int file)
{
    return (fcntl(file, F_GETFL) & O_ACCMODE) == O_WRONLY;
}

void media_place_discard(int file)
{
    if (is_written(file) && ftruncate(file, 0) != 0)
        return; /* it stays, as it is */
}

void media_place_close(int file)
{
    if (file < 0)
        return;
    if (is_written(file))
        remove_if_empty(file);
    close(file);
}

/* --- URIs ------------------------------------------------------------------------------------- */

static GUri *parse(const char *text)
{
    return g_uri_parse(text, G_URI_FLAGS_ENCODED | G_URI_FLAGS_SCHEME_NORMALIZE, NULL);
}

/* A server may take "%2e%2e" for "..", and some take "\" for "/". */
static bool climbs(const char *path)
{
    g_autofree char *plain = g_uri_unescape_string(path, NULL);
    if (!plain)
        return true; /* a zero octet, or no UTF-8 */
    g_auto(GStrv) steps = g_strsplit_set(plain, "/\\", -1);
    return g_strv_contains((const char *const *)steps, "..") ||
           g_strv_contains((const char *const *)steps, ".");
}

static bool begins(GUri *uri, GUri *with)
{
    const char *path = g_uri_get_path(uri), *start = g_uri_get_path(with);
    gsize length = strlen(start);
    if (strcmp(g_uri_get_scheme(uri), g_uri_get_scheme(with)) != 0 ||
        g_ascii_strcasecmp(g_uri_get_host(uri), g_uri_get_host(with)) != 0 ||
        g_uri_get_port(uri) != g_uri_get_port(with) ||
        g_strcmp0(g_uri_get_userinfo(uri), g_uri_get_userinfo(with)) != 0)
        return false;
    if (strcmp(path, start) == 0)
        return !g_uri_get_query(with) ||
               g_strcmp0(g_uri_get_query(uri), g_uri_get_query(with)) == 0;
    return !g_uri_get_query(with) && strncmp(path, start, length) == 0 && start[length - 1] == '/';
}

static bool is_allowed(const struct media_places *places, GUri *uri)
{
    for (const char *const *text = places->beginnings; text && *text; text++) {
        g_autoptr(GUri) with = parse(*text);
        if (with && g_uri_get_host(with) && *g_uri_get_path(with) && begins(uri, with))
            return true;
    }
    return false;
}

static char *open_uri(const struct media_places *places, const char *text, const char *pointer,
                      GError **error)
{
    g_autoptr(GUri) uri = parse(text);
    if (!uri || !g_uri_get_host(uri) || !*g_uri_get_host(uri) || g_uri_get_fragment(uri) ||
        climbs(g_uri_get_path(uri))) {
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, pointer,
                          "this is not a URI with a host and a plain path");
        return NULL;
    }
    if (is_allowed(places, uri))
        return g_uri_to_string(uri);
    problem_set_param(error, PROBLEM_INVALID_MESSAGE, pointer,
                      "no URI of pipelines.media_uris begins as this one");
    return NULL;
}

bool media_place_check(const char *beginning, GError **error)
{
    g_autoptr(GUri) uri = parse(beginning);
    const char *scheme = uri ? g_uri_get_scheme(uri) : "";
    const char *wrong = NULL;
    if (!uri)
        wrong = "is not a URI";
    else if (strcmp(scheme, "file") == 0 || strcmp(scheme, "fd") == 0)
        wrong = "names files; they are found below pipelines.media_folder";
    else if (!g_uri_get_host(uri) || !*g_uri_get_host(uri) || !*g_uri_get_path(uri))
        wrong = "needs a host and a path, be it / alone";
    else if (climbs(g_uri_get_path(uri)) || g_uri_get_fragment(uri))
        wrong = "has a path that is not plain";
    if (wrong)
        problem_set(error, PROBLEM_INVALID_MESSAGE, "\"%s\" %s", beginning, wrong);
    return !wrong;
}

/* --- both ------------------------------------------------------------------------------------- */

char *media_place_open(const struct media_places *places, const char *text, const char *pointer,
                       int *ret_file, GError **error)
{
    *ret_file = -1;
    if (*text == '\0') {
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, pointer,
                          "the template needs to be told what to play");
        return NULL;
    }
    g_autofree char *scheme = g_uri_parse_scheme(text);
    return scheme ? open_uri(places, text, pointer, error)
                  : open_file(places, text, pointer, ret_file, error);
}
