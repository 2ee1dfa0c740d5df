/* SPDX-License-Identifier: Apache-2.0 */
/* Owns what an HTTP request on a listener is answered with: generated pages, redirects and files
 * below a folder. Only decisions are made here; ws-http.c transmits them. Files are opened, not
 * read, so a slow reader costs a descriptor and no memory. A path is checked twice: its text may
 * hold no dot names, and the resolved file must lie below the folder, so no symlink leads out. */
#include "wsf-link/http-core.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_LENGTH_MAX 1024

struct page {
    char *path;
    http_page_fn fn; /* NULL: a redirect */
    void *user;
    char *to;
};

struct folder {
    char *prefix; /* ends in "/" */
    char *root;   /* as given; resolved at each request, so it may appear later */
};

struct http_server {
    GPtrArray *pages, *folders;
};

static void page_free(gpointer data)
{
    struct page *page = data;
    g_free(page->path);
    g_free(page->to);
    g_free(page);
}

static void folder_free(gpointer data)
{
    struct folder *folder = data;
    g_free(folder->prefix);
    g_free(folder->root);
    g_free(folder);
}

struct http_server *http_server_new(void)
{
    struct http_server *server = g_new0(struct http_server, 1);
    server->pages = g_ptr_array_new_with_free_func(page_free);
    server->folders = g_ptr_array_new_with_free_func(folder_free);
    return server;
}

void http_server_free(struct http_server *server)
{
    if (!server)
        return;
    g_ptr_array_unref(server->pages);
    g_ptr_array_unref(server->folders);
    g_free(server);
}

void http_server_add_page(struct http_server *server, const char *path, http_page_fn fn, void *user)
{
    struct page *page = g_new0(struct page, 1);
    *page = (struct page){.path = g_strdup(path), .fn = fn, .user = user};
    g_ptr_array_add(server->pages, page);
}

void http_server_add_redirect(struct http_server *server, const char *path, const char *to)
{
    struct page *page = g_new0(struct page, 1);
    *page = (struct page){.path = g_strdup(path), .to = g_strdup(to)};
    g_ptr_array_add(server->pages, page);
}

void http_server_add_folder(struct http_server *server, const char *prefix, const char *root)
{
    struct folder *folder = g_new0(struct folder, 1);
    folder->prefix = g_strconcat(prefix, g_str_has_suffix(prefix, "/") ? "" : "/", NULL);
    folder->root = g_strdup(root);
    g_ptr_array_add(server->folders, folder);
}

/* --- files -------------------------------------------------------------------------------------
 */

static const char *content_type_of(const char *name)
{
    static const char *const types[][2] = {
        {".html", "text/html; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".mjs", "text/javascript; charset=utf-8"},
        {".ts", "text/plain; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".json", "application/json"},
        {".map", "application/json"},
        {".webmanifest", "application/manifest+json"},
        {".svg", "image/svg+xml"},
        {".png", "image/png"},
        {".jpg", "image/jpeg"},
        {".webp", "image/webp"},
        {".ico", "image/x-icon"},
        {".woff2", "font/woff2"},
        {".wasm", "application/wasm"},
        {".webm", "video/webm"},
        {".mp4", "video/mp4"},
        {".ogg", "audio/ogg"},
        {".txt", "text/plain; charset=utf-8"},
        {".md", "text/plain; charset=utf-8"},
        {".yaml", "application/yaml"},
    };
    for (guint i = 0; i < G_N_ELEMENTS(types); i++)
        if (g_str_has_suffix(name, types[i][0]))
            return types[i][1];
    return "application/octet-stream";
}

/* No empty, dot or hidden names, no backslash and no control characters. */
static bool is_plain_path(const char *path)
{
    if (strlen(path) > PATH_LENGTH_MAX)
        return false;
    for (const char *at = path; *at; at++) {
        if ((guchar)*at < 0x20 || *at == '\\' || *at == 0x7f)
            return false;
        if (*at == '/' && (at[1] == '.' || at[1] == '/'))
            return false;
    }
    return true;
}

/* The real path of root + "/" + rest when it lies below the root. Transfer full (free). */
static char *resolve(const struct folder *folder, const char *rest)
{
    g_autofree char *joined = g_build_filename(folder->root, rest, NULL);
    char *root = realpath(folder->root, NULL);
    char *real = root ? realpath(joined, NULL) : NULL;
    gsize length = root ? strlen(root) : 0;
    bool below = real && !strncmp(real, root, length) && (real[length] == '/' || !real[length]);
    free(root);
    if (below)
        return real;
    free(real);
    return NULL;
}

static bool etag_matches(const char *if_none_match, const char *etag)
{
    if (!if_none_match)
        return false;
    g_auto(GStrv) tags = g_strsplit(if_none_match, ",", 64);
    for (guint i = 0; tags[i]; i++) {
        const char *tag = g_strstrip(tags[i]);
        /* RFC 9110 13.1.2: the comparison is weak. */
        if (!strcmp(tag, "*") || !strcmp(g_str_has_prefix(tag, "W/") ? tag + 2 : tag, etag))
            return true;
    }
    return false;
}

static bool answer_file(const char *real, const char *if_none_match, struct http_answer *ret)
{
    int fd = open(real, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat info;
    if (fd < 0 || fstat(fd, &info) || !S_ISREG(info.st_mode)) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    ret->status = 200;
    ret->fd = fd;
    ret->length = (guint64)info.st_size;
    ret->content_type = content_type_of(real);
    ret->html = g_str_has_prefix(ret->content_type, "text/html");
    ret->etag =
        g_strdup_printf("\"%" G_GINT64_MODIFIER "x-%" G_GINT64_MODIFIER "x-%lx\"",
                        (gint64)info.st_size, (gint64)info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
    if (etag_matches(if_none_match, ret->etag)) {
        close(fd);
        ret->fd = -1;
        ret->length = 0;
        ret->content_type = NULL;
        ret->status = 304;
    }
    return true;
}

static bool answer_below(const struct folder *folder, const char *path, const char *if_none_match,
                         struct http_answer *ret)
{
    char *real = resolve(folder, path + strlen(folder->prefix));
    struct stat info;
    bool done = false;
    if (real && !stat(real, &info) && S_ISDIR(info.st_mode)) {
        if (!g_str_has_suffix(path, "/")) {
            /* Relative names in its index.html count from the folder. */
            ret->status = 308;
            ret->location = g_strconcat(path, "/", NULL);
            done = true;
        } else {
            g_autofree char *rest = g_strconcat(path + strlen(folder->prefix), "index.html", NULL);
            free(real);
            real = resolve(folder, rest);
        }
    }
    if (!done && real)
        done = answer_file(real, if_none_match, ret);
    free(real);
    return done;
}

/* --- answers ------------------------------------------------------------------------------------
 */

static bool answer_page(const struct page *page, const char *path, struct http_answer *ret)
{
    if (page->to) {
        ret->status = 302;
        ret->location = g_strdup(page->to);
        return true;
    }
    struct http_reply reply = {.status = 200};
    page->fn(path, &reply, page->user);
    ret->status = reply.status;
    ret->content_type = reply.content_type ? reply.content_type : "text/plain; charset=utf-8";
    ret->body = reply.body;
    ret->length = reply.body ? reply.length : 0;
    ret->any_origin = reply.any_origin;
    ret->html = g_str_has_prefix(ret->content_type, "text/html");
    return true;
}

static bool answer(struct http_server *server, const char *path, const char *if_none_match,
                   struct http_answer *ret)
{
    for (guint i = 0; i < server->pages->len; i++) {
        const struct page *page = server->pages->pdata[i];
        if (!strcmp(page->path, path))
            return answer_page(page, path, ret);
    }
    if (!is_plain_path(path))
        return false;
    for (guint i = 0; i < server->folders->len; i++) {
        const struct folder *folder = server->folders->pdata[i];
        if (g_str_has_prefix(path, folder->prefix) &&
            answer_below(folder, path, if_none_match, ret))
            return true;
    }
    return false;
}

void http_server_answer(struct http_server *server, const char *path, const char *if_none_match,
                        struct http_answer *ret)
{
    *ret = (struct http_answer){.fd = -1};
    if (server && path[0] == '/' && answer(server, path, if_none_match, ret))
        return;
    ret->status = 404;
    ret->content_type = "text/plain; charset=utf-8";
    ret->body = g_strdup("not found\n");
    ret->length = strlen(ret->body);
}

/* Scripts and styles of our own origin only; the page connects to its own listener (and, for
 * development, to another port of it). */
#define CONTENT_POLICY                                                                             \
    "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data: blob:; "                \
    "media-src 'self' blob: mediastream:; object-src 'none'; base-uri 'none'; "                    \
    "form-action 'self'; frame-ancestors 'none'"

void http_answer_head(const struct http_answer *answer, const char *allow,
                      void (*put)(void *user, const char *name, const char *value), void *user)
{
    const char *const rows[][2] = {
        {"content-type", answer->content_type},
        {"etag", answer->etag},
        {"location", answer->location},
        {"allow", allow},
        /* Files are checked by their tag each time, pages are never kept. */
        {"cache-control", answer->etag ? "no-cache" : "no-store"},
        {"x-content-type-options", "nosniff"},
        {"referrer-policy", "no-referrer"},
        {"access-control-allow-origin", answer->any_origin ? "*" : NULL},
        {"cross-origin-resource-policy", answer->any_origin ? "cross-origin" : "same-origin"},
        {"content-security-policy", answer->html ? CONTENT_POLICY : NULL},
        {"retry-after", answer->status == 503 ? "5" : NULL},
        {"sec-websocket-version", answer->status == 426 ? "13" : NULL}, /* RFC 6455 4.2.2 */
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
        if (rows[i][1])
            put(user, rows[i][0], rows[i][1]);
}

void http_answer_clear(struct http_answer *answer)
{
    if (answer->fd >= 0)
        close(answer->fd);
    g_free(answer->body);
    g_free(answer->etag);
    g_free(answer->location);
    *answer = (struct http_answer){.fd = -1};
}
