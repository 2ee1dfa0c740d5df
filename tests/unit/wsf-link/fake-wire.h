/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A link on a wire that is no network: what it sends is taken by hand. */
#include "wsf-link/link-core.h"

#include <string.h>

struct fake {
    struct link *link;
    struct link_limits limits;
    guint writes_asked, kills;
    bool reading, admit;
    /* what the program saw */
    guint opened, closed;
    int closed_code;
    GPtrArray *requests; /* struct link_transaction, waiting for the test's answer */
};

static inline void fake_write_soon(void *wire)
{
    ((struct fake *)wire)->writes_asked++;
}

static inline void fake_read(void *wire, bool on)
{
    ((struct fake *)wire)->reading = on;
}

static inline void fake_kill(void *wire)
{
    ((struct fake *)wire)->kills++;
}

static inline bool fake_admit(void *wire, gint64 now, guint *ret_wait_ms)
{
    *ret_wait_ms = 2500;
    return ((struct fake *)wire)->admit;
}

static inline void fake_opened(struct link *link, void *user)
{
    ((struct fake *)user)->opened++;
}

static inline void fake_request(struct link *link, struct link_transaction *transaction, void *user)
{
    g_ptr_array_add(((struct fake *)user)->requests, transaction);
}

static inline void fake_closed(struct link *link, int code, const char *reason, void *user)
{
    struct fake *fake = user;
    fake->closed++;
    fake->closed_code = code;
    fake->link = NULL;
}

static const struct link_wire_ops fake_wire_ops = {
    .write_soon = fake_write_soon, .read = fake_read, .kill = fake_kill, .admit = fake_admit};
static const struct link_ops fake_ops = {
    .opened = fake_opened, .request = fake_request, .closed = fake_closed};
static const char *const fake_methods[] = {"auth", "msetup", "mdisc", NULL};
static const char *const fake_extensions[] = {"trickle-ice", NULL};
static const struct link_protocol fake_protocol = {.subprotocol = "eirtcw.v1",
                                                   .methods = fake_methods,
                                                   .application_methods = true,
                                                   .extensions = fake_extensions};

static inline void fake_init(struct fake *fake)
{
    *fake = (struct fake){.limits = link_limits_client, .reading = true, .admit = true};
    fake->requests = g_ptr_array_new();
}

static inline void fake_open(struct fake *fake, enum link_role role)
{
    struct link_setup setup = {
        .number = 7,
        .role = role,
        .protocol = &fake_protocol,
        .limits = &fake->limits,
        .ops = &fake_ops,
        .user = fake,
        .peer_address = "192.0.2.1",
        .path = "/eirtcw/v1",
        .wire_ops = &fake_wire_ops,
        .wire = fake,
    };
    fake->link = link_new(&setup);
    link_wire_opened(fake->link);
}

static inline void fake_finish(struct fake *fake)
{
    link_wire_lost(fake->link);
    for (guint i = 0; i < fake->requests->len; i++)
        link_succeed(fake->requests->pdata[i], NULL);
    g_ptr_array_unref(fake->requests);
}

/* The peer sends a whole text message. */
static inline void fake_say(struct fake *fake, const char *text)
{
    link_wire_received(fake->link, text, strlen(text), true, true, false);
}

/* What the link sends next: a message's text, "ping", "close 4400" or NULL. */
static inline char *fake_hear(struct fake *fake)
{
    GString *text = g_string_new(NULL);
    struct link_piece piece;
    for (;;) {
        switch (link_wire_next(fake->link, 100, &piece)) {
        case LINK_OUT_NOTHING:
            g_string_free(text, TRUE);
            return NULL;
        case LINK_OUT_PING:
            g_string_free(text, TRUE);
            return g_strdup("ping");
        case LINK_OUT_CLOSE:
            g_string_free(text, TRUE);
            return g_strdup_printf("close %d", fake->link->close_code);
        case LINK_OUT_PIECE:
            g_assert_cmpint(piece.first, ==, text->len == 0);
            g_string_append_len(text, (const char *)piece.data, (gssize)piece.length);
            if (piece.last)
                return g_string_free(text, FALSE);
        }
    }
}

static inline void fake_expect(struct fake *fake, const char *pattern)
{
    g_autofree char *text = fake_hear(fake);
    if (!pattern)
        g_assert_null(text);
    else if (!text || !g_pattern_match_simple(pattern, text))
        g_error("heard %s where %s was expected", text ? text : "nothing", pattern);
}

static inline struct link_transaction *fake_take(struct fake *fake)
{
    g_assert_cmpuint(fake->requests->len, >, 0);
    return g_ptr_array_steal_index(fake->requests, 0);
}
