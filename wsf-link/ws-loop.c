/* SPDX-License-Identifier: Apache-2.0 */
/* Owns how libwebsockets waits. Its GLib plugin makes a source of every socket, and GLib looks at
 * every source of a main context in every round: with thousands of links that is all there is time
 * for. So a context of libwebsockets has few sockets and a main context of its own, and all of
 * these wait in one epoll, which is the only source of the control loop. A round costs what is
 * ready and its few neighbours. GLib's documented steps (prepare, query, check, dispatch) are taken
 * one by one for that; libwebsockets does not notice. */
#define LOG_CATEGORY "link"
#include "wsf-link/ws-loop.h"

#include "base/problem.h"
#include "wsf-link/ws-core.h"

#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS_PER_ROUND 256
#define WATCHES 0x80000000U /* numbers from here are those of watches */

struct ws_poll {
    int epoll;
    GPtrArray *loops;   /* struct ws_loop or NULL, by number */
    GPtrArray *watches; /* struct ws_watch, NULL or a freed one's grave, by number */
    GArray *free;       /* guint: numbers of watches */
    GArray *freed;      /* … that an event of this round may still name */
    GQueue woken;       /* struct ws_watch */
    guint n_ready;      /* loops and watches */
    GSource *source;
    gpointer tag;
};

struct ws_watch {
    struct ws_poll *poll;
    guint number, events;
    int fd;
    ws_watch_fn fn;
    void *data;
    bool woken;
};

struct poll_source {
    GSource source;
    struct ws_poll *poll;
};

/* --- one loop ----------------------------------------------------------------------------------
 */

static void set_ready(struct ws_loop *loop, bool ready)
{
    if (loop->ready == ready)
        return;
    loop->ready = ready;
    loop->poll->n_ready += ready ? 1 : (guint)-1;
}

static void watch(struct ws_loop *loop, const GPollFD *fd)
{
    guint64 name = (guint64)loop->number << 32 | (guint32)fd->fd;
    struct epoll_event event = {.events = fd->events, .data.u64 = name};
    /* A descriptor that was closed has left the epoll by itself. */
    if (epoll_ctl(loop->poll->epoll, EPOLL_CTL_MOD, fd->fd, &event) && errno == ENOENT)
        epoll_ctl(loop->poll->epoll, EPOLL_CTL_ADD, fd->fd, &event);
}

/* Both lists are sorted by descriptor. `changed`: a number may mean another socket now. */
static void sync_epoll(struct ws_loop *loop)
{
    gint a = 0;
    for (gint i = 0; i < loop->n_fds; i++) {
        GPollFD wanted = loop->fds[i];
        for (; a < loop->n_armed && loop->armed[a].fd < wanted.fd; a++)
            epoll_ctl(loop->poll->epoll, EPOLL_CTL_DEL, loop->armed[a].fd, NULL);
        bool known = a < loop->n_armed && loop->armed[a].fd == wanted.fd;
        if (!known || loop->changed || loop->armed[a].events != wanted.events)
            watch(loop, &wanted);
        a += known;
    }
    for (; a < loop->n_armed; a++)
        epoll_ctl(loop->poll->epoll, EPOLL_CTL_DEL, loop->armed[a].fd, NULL);
    memcpy(loop->armed, loop->fds, sizeof *loop->fds * (gsize)loop->n_fds);
    loop->n_armed = loop->n_fds;
    loop->changed = false;
}

static void arm(struct ws_loop *loop)
{
    gint timeout;
    bool now = g_main_context_prepare(loop->main, &loop->priority);
    while ((loop->n_fds = g_main_context_query(loop->main, loop->priority, &timeout, loop->fds,
                                               loop->size)) > loop->size) {
        loop->size = loop->n_fds;
        loop->fds = g_renew(GPollFD, loop->fds, loop->size);
        loop->armed = g_renew(GPollFD, loop->armed, loop->size);
    }
    for (gint i = 0; i < loop->n_fds; i++)
        loop->fds[i].revents = 0;
    loop->deadline = timeout < 0 ? -1 : g_get_monotonic_time() + (gint64)timeout * 1000;
    sync_epoll(loop);
    if (now || !timeout)
        set_ready(loop, true);
}

static void run(struct ws_loop *loop)
{
    set_ready(loop, false);
    if (!g_main_context_acquire(loop->main))
        return;
    if (g_main_context_check(loop->main, loop->priority, loop->fds, loop->n_fds))
        g_main_context_dispatch(loop->main);
    arm(loop);
    g_main_context_release(loop->main);
}

/* --- watches ------------------------------------------------------------------------------------
 */

struct ws_watch *ws_watch_new(struct ws_poll *poll, int fd, guint events, ws_watch_fn fn,
                              void *data)
{
    struct ws_watch *watch = g_new(struct ws_watch, 1);
    *watch = (struct ws_watch){.poll = poll, .fd = fd, .events = events, .fn = fn, .data = data};
    if (poll->free->len) {
        watch->number = g_array_index(poll->free, guint, poll->free->len - 1);
        g_array_set_size(poll->free, poll->free->len - 1);
    } else {
        watch->number = poll->watches->len;
        g_ptr_array_add(poll->watches, NULL);
    }
    poll->watches->pdata[watch->number] = watch;
    guint64 name = (guint64)(WATCHES | watch->number) << 32;
    struct epoll_event event = {.events = events, .data.u64 = name};
    epoll_ctl(poll->epoll, EPOLL_CTL_ADD, fd, &event);
    return watch;
}

void ws_watch_set(struct ws_watch *watch, guint events)
{
    if (watch->events == events)
        return;
    watch->events = events;
    struct epoll_event event = {.events = events,
                                .data.u64 = (guint64)(WATCHES | watch->number) << 32};
    epoll_ctl(watch->poll->epoll, EPOLL_CTL_MOD, watch->fd, &event);
}

void ws_watch_wake(struct ws_watch *watch)
{
    if (watch->woken)
        return;
    watch->woken = true;
    watch->poll->n_ready++;
    g_queue_push_tail(&watch->poll->woken, watch);
}

void ws_watch_free(struct ws_watch *watch)
{
    if (!watch)
        return;
    struct ws_poll *poll = watch->poll;
    epoll_ctl(poll->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
    if (watch->woken) {
        poll->n_ready--;
        g_queue_remove(&poll->woken, watch);
    }
    poll->watches->pdata[watch->number] = NULL;
    g_array_append_val(poll->freed, watch->number);
    g_free(watch);
}

static void run_woken(struct ws_poll *poll)
{
    for (guint n = poll->woken.length; n && poll->woken.length; n--) {
        struct ws_watch *watch = g_queue_pop_head(&poll->woken);
        watch->woken = false;
        poll->n_ready--;
        watch->fn(watch->data, 0);
    }
}

static void end_round(struct ws_poll *poll)
{
    g_array_append_vals(poll->free, poll->freed->data, poll->freed->len);
    g_array_set_size(poll->freed, 0);
}

/* --- events -------------------------------------------------------------------------------------
 */

static void take_event(struct ws_poll *poll, const struct epoll_event *event)
{
    guint number = (guint)(event->data.u64 >> 32);
    int fd = (int)(guint32)event->data.u64;
    if (number & WATCHES) {
        struct ws_watch *watch = poll->watches->pdata[number & ~WATCHES];
        if (watch)
            watch->fn(watch->data, event->events);
        return;
    }
    struct ws_loop *loop = number < poll->loops->len ? poll->loops->pdata[number] : NULL;
    if (!loop)
        return;
    for (gint i = 0; i < loop->n_fds; i++)
        if (loop->fds[i].fd == fd)
            loop->fds[i].revents = (gushort)(event->events & 0xffff);
    set_ready(loop, true);
}

/* --- the source of all --------------------------------------------------------------------------
 */

static gint64 nearest_deadline(const struct ws_poll *poll)
{
    gint64 nearest = -1;
    for (guint i = 0; i < poll->loops->len; i++) {
        const struct ws_loop *loop = poll->loops->pdata[i];
        if (loop && loop->deadline >= 0 && (nearest < 0 || loop->deadline < nearest))
            nearest = loop->deadline;
    }
    return nearest;
}

static gboolean poll_prepare(GSource *source, gint *timeout)
{
    const struct ws_poll *poll = ((struct poll_source *)source)->poll;
    gint64 deadline = nearest_deadline(poll);
    gint64 wait = deadline - g_source_get_time(source);
    *timeout = deadline < 0 ? -1 : (gint)CLAMP((wait + 999) / 1000, 0, G_MAXINT);
    return poll->n_ready || (deadline >= 0 && wait <= 0);
}

static gboolean poll_check(GSource *source)
{
    const struct ws_poll *poll = ((struct poll_source *)source)->poll;
    gint64 deadline = nearest_deadline(poll);
    return poll->n_ready || g_source_query_unix_fd(source, poll->tag) ||
           (deadline >= 0 && deadline <= g_source_get_time(source));
}

static void work(struct ws_poll *poll, int timeout_ms)
{
    struct epoll_event events[EVENTS_PER_ROUND];
    int n = epoll_wait(poll->epoll, events, EVENTS_PER_ROUND, timeout_ms);
    gint64 now = g_get_monotonic_time();
    for (int i = 0; i < n; i++)
        take_event(poll, &events[i]);
    run_woken(poll);
    /* What becomes ready meanwhile has its turn in the next round, after everybody else. */
    guint n_loops = poll->loops->len;
    for (guint i = 0; i < n_loops; i++) {
        struct ws_loop *loop = poll->loops->pdata[i];
        if (loop && (loop->ready || (loop->deadline >= 0 && loop->deadline <= now)))
            run(loop);
    }
    end_round(poll);
}

static gboolean poll_dispatch(GSource *source, GSourceFunc callback, gpointer user)
{
    work(((struct poll_source *)source)->poll, 0);
    return G_SOURCE_CONTINUE;
}

void ws_poll_step(struct ws_poll *poll, gint64 wait_us)
{
    gint64 deadline = nearest_deadline(poll);
    if (deadline >= 0) {
        gint64 left = deadline - g_get_monotonic_time();
        wait_us = MIN(wait_us, left);
    }
    work(poll, poll->n_ready ? 0 : (int)(MAX(wait_us, 0) / 1000 + 1));
}

static GSourceFuncs poll_funcs = {
    .prepare = poll_prepare, .check = poll_check, .dispatch = poll_dispatch};

struct ws_poll *ws_poll_new(void)
{
    struct ws_poll *poll = g_new0(struct ws_poll, 1);
    poll->epoll = epoll_create1(EPOLL_CLOEXEC);
    poll->loops = g_ptr_array_new();
    poll->watches = g_ptr_array_new();
    poll->free = g_array_new(FALSE, FALSE, sizeof(guint));
    poll->freed = g_array_new(FALSE, FALSE, sizeof(guint));
    g_queue_init(&poll->woken);
    poll->source = g_source_new(&poll_funcs, sizeof(struct poll_source));
    g_source_set_name(poll->source, "websocket");
    ((struct poll_source *)poll->source)->poll = poll;
    /* It never does: GLib would take the descriptor out of the poll and back for each dispatch, and
     * wake itself up by either. */
    g_source_set_can_recurse(poll->source, TRUE);
    poll->tag = g_source_add_unix_fd(poll->source, poll->epoll, G_IO_IN);
    g_source_attach(poll->source, NULL);
    return poll;
}

void ws_poll_free(struct ws_poll *poll)
{
    if (!poll)
        return;
    g_source_destroy(poll->source);
    g_source_unref(poll->source);
    close(poll->epoll);
    g_ptr_array_unref(poll->loops);
    g_ptr_array_unref(poll->watches);
    g_array_unref(poll->free);
    g_array_unref(poll->freed);
    g_free(poll);
}

/* --- life ---------------------------------------------------------------------------------------
 */

static struct lws_context *make_context(struct ws_loop *loop, guint fds_max)
{
    void *loops[] = {loop->glib};
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN,
        .options = LWS_SERVER_OPTION_GLIB | LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
                   LWS_SERVER_OPTION_SKIP_SERVER_CANONICAL_NAME,
        .foreign_loops = loops,
        .gid = (gid_t)-1,
        .uid = (uid_t)-1,
        .server_string = "eirtcw",
        .max_http_header_data = 8192,
        .fd_limit_per_thread = fds_max,
        .timeout_secs = 10,
        .user = loop,
    };
    /* Asked for again it would renumber where libwebsockets keeps its pointers inside of OpenSSL's
     * objects, and living connections would lose theirs. */
    static bool tls_ready;
    if (!tls_ready)
        info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
    struct lws_context *context = lws_create_context(&info);
    tls_ready = tls_ready || context;
    return context;
}

struct ws_loop *ws_loop_new(struct link_service *service, guint fds_max, void *owner,
                            GError **error)
{
    struct ws_loop *loop = g_new0(struct ws_loop, 1);
    loop->service = service;
    loop->owner = owner;
    loop->poll = service->poll;
    loop->main = g_main_context_new();
    loop->glib = g_main_loop_new(loop->main, FALSE);
    loop->deadline = -1;
    loop->context = make_context(loop, fds_max);
    loop->number = loop->poll->loops->len;
    g_ptr_array_add(loop->poll->loops, loop);
    if (loop->context) {
        ws_loop_touch(loop);
        return loop;
    }
    problem_set(error, PROBLEM_INTERNAL_ERROR,
                "libwebsockets did not start; is libwebsockets-evlib-glib installed?");
    ws_loop_free(loop);
    return NULL;
}

void ws_loop_free(struct ws_loop *loop)
{
    if (!loop)
        return;
    for (gint i = 0; i < loop->n_armed; i++)
        epoll_ctl(loop->poll->epoll, EPOLL_CTL_DEL, loop->armed[i].fd, NULL);
    if (loop->context)
        lws_context_destroy(loop->context);
    set_ready(loop, false);
    loop->poll->loops->pdata[loop->number] = NULL;
    g_main_loop_unref(loop->glib);
    g_main_context_unref(loop->main);
    g_free(loop->fds);
    g_free(loop->armed);
    g_free(loop);
}

void ws_loop_touch(struct ws_loop *loop)
{
    loop->changed = true;
    set_ready(loop, true);
}

struct ws_loop *ws_loop_of(struct lws *wsi)
{
    return lws_context_user(lws_get_context(wsi));
}
