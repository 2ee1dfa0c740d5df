/* SPDX-License-Identifier: Apache-2.0 */
/* Routes as the control thread sees them. Within a worker a route is one command, and the worker
 * knows the rest. Between two, the stream needs a mirror in the subscriber's worker: made with the
 * first route that needs it and ended with the last, for which routes and m-lines of both legs are
 * kept here, as the workers were told them. Nothing is asked of a worker, so nothing is waited for:
 * the order of commands, and that they go to both before anything that depends on them, suffices.
 */
#include "wmcf/relay/layer-meter.h"
#include "wmcf/relay/relay-control.h"

#include <string.h>

struct control_line {
    char mid[RELAY_MID_MAX + 1];
    enum relay_kind kind;
    struct encoding_board *board; /* one reference, of the leg's own; NULL = no simulcast */
};

struct control_mirror {
    guint32 id;
    struct relay_leg *from;
    struct control_line line; /* of `from`; one reference of its board */
    guint worker;             /* where it is */
    bool ended;               /* … until the publisher's worker knows of other encodings */
    GPtrArray *routes;        /* borrowed */
};

struct control_route {
    struct relay_leg *to;
    struct control_line line; /* of `to` */
    struct control_mirror *mirror;
};

static struct worker *worker_at(const struct relay *relay, guint number)
{
    return g_ptr_array_index(relay->workers, number);
}

static struct worker_link *link_between(struct relay *relay, guint from, guint to)
{
    struct worker_link **link = &relay->links[from * relay->workers->len + to];
    if (!*link)
        *link = worker_link_new(worker_at(relay, from), worker_at(relay, to), relay->ring_octets);
    return *link;
}

static const struct control_line *find_line(const struct relay_leg *leg, const char *mid)
{
    for (guint i = 0; leg->lines && i < leg->lines->len; i++) {
        const struct control_line *line = &g_array_index(leg->lines, struct control_line, i);
        if (strcmp(line->mid, mid) == 0)
            return line;
    }
    return NULL;
}

/* --- mirrors ---------------------------------------------------------------------------------- */

/* Makes it in both workers, under a new id. */
static void begin_mirror(struct control_mirror *mirror)
{
    struct relay *relay = mirror->from->relay;
    struct worker_link *link = link_between(relay, mirror->from->worker, mirror->worker);
    struct command *there = g_new0(struct command, 1), *here;
    do
        mirror->id = ++relay->last_mirror;
    while (mirror->id == 0);
    there->kind = COMMAND_MIRROR;
    there->mirror.id = mirror->id;
    there->mirror.kind = mirror->line.kind;
    there->mirror.board = encoding_board_ref(mirror->line.board);
    there->mirror.link = link;
    worker_post(worker_at(relay, mirror->worker), there);
    here = relay_command_new(mirror->from, COMMAND_FEED);
    here->mirror.id = mirror->id;
    here->mirror.link = link;
    g_strlcpy(here->mirror.mid, mirror->line.mid, sizeof here->mirror.mid);
    relay_post(mirror->from, here);
}

static void stop_mirror(struct control_mirror *mirror)
{
    struct command *here = relay_command_new(mirror->from, COMMAND_END_FEED), *there;
    here->mirror.id = mirror->id;
    relay_post(mirror->from, here);
    there = g_new0(struct command, 1);
    there->kind = COMMAND_END_MIRROR;
    there->mirror.id = mirror->id;
    worker_post(worker_at(mirror->from->relay, mirror->worker), there);
}

static void set_line(struct control_mirror *mirror, const struct control_line *line)
{
    encoding_board_unref(mirror->line.board);
    mirror->line = *line;
    encoding_board_ref(mirror->line.board);
}

static struct control_mirror *mirror_for(struct relay_leg *from, const struct control_line *line,
                                         guint worker)
{
    for (guint i = 0; from->mirrors && i < from->mirrors->len; i++) {
        struct control_mirror *mirror = g_ptr_array_index(from->mirrors, i);
        if (mirror->worker == worker && strcmp(mirror->line.mid, line->mid) == 0)
            return mirror;
    }
    struct control_mirror *mirror = g_new0(struct control_mirror, 1);
    mirror->from = from;
    set_line(mirror, line);
    mirror->worker = worker;
    mirror->routes = g_ptr_array_new();
    if (!from->mirrors)
        from->mirrors = g_ptr_array_new();
    g_ptr_array_add(from->mirrors, mirror);
    begin_mirror(mirror);
    return mirror;
}

static void end_mirror(struct control_mirror *mirror)
{
    stop_mirror(mirror);
    g_ptr_array_remove_fast(mirror->from->mirrors, mirror);
    g_ptr_array_unref(mirror->routes);
    encoding_board_unref(mirror->line.board);
    g_free(mirror);
}

/* --- routes ----------------------------------------------------------------------------------- */

static struct control_route *find_route(const struct relay_leg *to, const char *mid)
{
    for (guint i = 0; to->routes && i < to->routes->len; i++) {
        struct control_route *route = g_ptr_array_index(to->routes, i);
        if (strcmp(route->line.mid, mid) == 0)
            return route;
    }
    return NULL;
}

static void end_route(struct control_route *route)
{
    struct control_mirror *mirror = route->mirror;
    g_ptr_array_remove_fast(route->to->routes, route);
    g_ptr_array_remove_fast(mirror->routes, route);
    g_free(route);
    if (mirror->routes->len == 0)
        end_mirror(mirror);
}

/* With the last of its routes the mirror goes, too. */
static void end_routes_of(const struct control_mirror *mirror)
{
    for (guint left = mirror->routes->len; left; left--)
        end_route(g_ptr_array_index(mirror->routes, left - 1));
}

static void post_route(struct relay_leg *to, const char *to_mid, const struct relay_leg *from,
                       const char *from_mid, guint32 mirror)
{
    struct command *command = relay_command_new(to, COMMAND_ROUTE);
    if (from) {
        command->route.from = from->there;
        g_strlcpy(command->route.from_mid, from_mid, sizeof command->route.from_mid);
    }
    command->route.mirror = mirror;
    g_strlcpy(command->route.to_mid, to_mid, sizeof command->route.to_mid);
    relay_post(to, command);
}

static void route_across(struct relay_leg *from, const char *from_mid, struct relay_leg *to,
                         const char *to_mid)
{
    const struct control_line *source = find_line(from, from_mid);
    const struct control_line *destination = find_line(to, to_mid);
    struct control_route *old = find_route(to, to_mid);
    if (!destination)
        return;
    if (!source) {
        post_route(to, to_mid, NULL, NULL, 0);
        g_clear_pointer(&old, end_route);
        return;
    }
    struct control_mirror *mirror = mirror_for(from, source, to->worker);
    if (old && old->mirror == mirror)
        return;
    struct control_route *route = g_new0(struct control_route, 1);
    route->to = to;
    route->line = *destination;
    route->mirror = mirror;
    if (!to->routes)
        to->routes = g_ptr_array_new();
    g_ptr_array_add(to->routes, route);
    g_ptr_array_add(mirror->routes, route);
    post_route(to, to_mid, NULL, NULL, mirror->id);
    g_clear_pointer(&old, end_route);
}

void relay_route(struct relay_leg *from, const char *from_mid, struct relay_leg *to,
                 const char *to_mid)
{
    if (to->releasing)
        return;
    if (from && from->releasing)
        from = NULL;
    if (from && from->worker != to->worker) {
        route_across(from, from_mid, to, to_mid);
        return;
    }
    post_route(to, to_mid, from, from_mid, 0);
    struct control_route *old = find_route(to, to_mid);
    g_clear_pointer(&old, end_route);
}

/* --- m-lines ---------------------------------------------------------------------------------- */

static bool goes_on(const struct control_line *line, const struct relay_media *medias, guint n)
{
    for (guint i = 0; i < n; i++) {
        if (strcmp(medias[i].mid, line->mid) == 0)
            return medias[i].kind == line->kind;
    }
    return false;
}

/* The board of a medium goes on as long as its rids do. One that brings nothing for a while names
 * none, and later its sender goes on with SSRCs that it takes for known, without a rid (RFC 8852
 * 3.1). */
static struct encoding_board *board_for(const struct relay_leg *leg,
                                        const struct relay_media *media)
{
    const struct control_line *old = find_line(leg, media->mid);
    struct encoding_board *board = old && old->kind == media->kind ? old->board : NULL;
    if (encoding_board_serves(board, media) || (board && !media->receive))
        return encoding_board_ref(board);
    return media->kind == RELAY_VIDEO && media->n_rids > 1 ? encoding_board_new(media) : NULL;
}

static void clear_line(struct control_line *line)
{
    encoding_board_unref(line->board);
}

static GArray *lines_new(const struct relay_leg *leg, const struct relay_media *medias, guint n)
{
    GArray *lines = g_array_sized_new(FALSE, TRUE, sizeof(struct control_line), n);
    g_array_set_clear_func(lines, (GDestroyNotify)clear_line);
    g_array_set_size(lines, n);
    for (guint i = 0; i < n; i++) {
        struct control_line *line = &g_array_index(lines, struct control_line, i);
        g_strlcpy(line->mid, medias[i].mid, sizeof line->mid);
        line->kind = medias[i].kind;
        line->board = board_for(leg, &medias[i]);
    }
    return lines;
}

void relay_routes_configure(struct relay_leg *leg, const struct relay_media *medias, guint n)
{
    for (guint left = leg->mirrors ? leg->mirrors->len : 0; left; left--) {
        struct control_mirror *mirror = g_ptr_array_index(leg->mirrors, left - 1);
        if (!goes_on(&mirror->line, medias, n))
            end_routes_of(mirror);
    }
    for (guint left = leg->routes ? leg->routes->len : 0; left; left--) {
        struct control_route *route = g_ptr_array_index(leg->routes, left - 1);
        if (!goes_on(&route->line, medias, n))
            end_route(route);
    }
    GArray *lines = lines_new(leg, medias, n);
    if (leg->lines)
        g_array_unref(leg->lines);
    leg->lines = lines;
    for (guint i = 0; leg->mirrors && i < leg->mirrors->len; i++) {
        struct control_mirror *mirror = g_ptr_array_index(leg->mirrors, i);
        const struct control_line *line = find_line(leg, mirror->line.mid);
        if (mirror->line.board == line->board)
            continue;
        stop_mirror(mirror);
        set_line(mirror, line);
        mirror->ended = true;
    }
}

void relay_routes_configured(struct relay_leg *leg)
{
    for (guint i = 0; leg->mirrors && i < leg->mirrors->len; i++) {
        struct control_mirror *mirror = g_ptr_array_index(leg->mirrors, i);
        if (!mirror->ended)
            continue;
        mirror->ended = false;
        begin_mirror(mirror);
        for (guint r = 0; r < mirror->routes->len; r++) {
            const struct control_route *route = g_ptr_array_index(mirror->routes, r);
            post_route(route->to, route->line.mid, NULL, NULL, mirror->id);
        }
    }
}

struct encoding_board **relay_routes_boards(const struct relay_leg *leg, guint n)
{
    struct encoding_board **boards = g_new0(struct encoding_board *, n);
    for (guint i = 0; leg->lines && i < MIN(n, leg->lines->len); i++)
        boards[i] = encoding_board_ref(g_array_index(leg->lines, struct control_line, i).board);
    return boards;
}

void relay_routes_free(struct relay_leg *leg)
{
    g_clear_pointer(&leg->lines, g_array_unref);
    g_clear_pointer(&leg->mirrors, g_ptr_array_unref);
    g_clear_pointer(&leg->routes, g_ptr_array_unref);
}
