/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The inside of a media resource, for the two files that hold its life and what happens while it
 * plays. Threads: control, but for what is said. */
#include "base/loop.h"
#include "pipelines/media-branches.h"
#include "pipelines/media-resource-make.h"

#include <stdatomic.h>

struct media_resource {
    char *id;
    const struct media_resource_ops *ops;
    void *user;
    enum media_resource_state state;
    struct pipeline_text *text;
    struct loop_timer *start_timer;
    guint start_timeout_ms;
    gint64 asked, started; /* monotonic µs */

    GstElement *made;         /* borrowed: for its own threads */
    GstElement *pipeline;     /* from `built` until it is taken down, then */
    GstElement *ending;       /* until it is gone: of the thread that takes it down */
    struct media_sinks sinks; /* the making thread's, from `built` on ours, as are */
    struct media_inputs inputs;
    const struct wmcf_src_ops *input_ops;
    struct loop_timer *finish_timer; /* NULL until it is asked to end what it writes */
    guint finish_timeout_ms;
    bool patient;
    struct media_branches *branches;
    bool built, down;            /* the making is over; it is gone */
    _Atomic bool taken;          /* it is being taken down: no state but NULL any more */
    bool down_wanted;            /* to be taken down when a member's job is over */
    bool closing, told;          /* `stopped` is to be told; has been */
    _Atomic guint jobs;          /* on their way; each ends by media_resource_job_done() */
    _Atomic guint waiting;       /* sinks without a packet; streaming threads */
    _Atomic bool broken, at_end; /* told once; streaming threads */

    /* media-resource-change.c */
    _Atomic bool looking; /* a look is under way */
    bool looked;          /* duration and can_seek are known */
    gint64 duration;      /* ns */
    gint64 sought;        /* ns: where it was led last, until something comes from there */
    bool can_seek, paused, changing;
    guint stall_timeout_ms;
    struct loop_timer *stall_timer, *repeat_timer; /* NULL until it plays */
    struct {
        guint64 packets;
        gint64 since; /* loop time of the last new one */
    } seen[MEDIA_RESOURCE_MEDIA_MAX];
    guint64 taken_packets; /* by all of its inputs, at the last look */
    gint64 began;          /* loop time of the present repetition's begin */

    /* media-resource-members.c */
    struct media_member *members[MEDIA_RESOURCE_MEMBERS_MAX]; /* by place; NULL = free */
    GQueue member_jobs;                                       /* that wait for the one before */
    GPtrArray *members_gone; /* struct media_member that are out of their places, or NULL */
    bool member_busy;
    _Atomic bool member_key_frames[MEDIA_RESOURCE_MEMBERS_MAX];
};

/* --- media-resource.c ------------------------------------------------------------------------- */
bool media_resource_set_state(struct media_resource *r, enum media_resource_state state);
/* Takes the error. */
void media_resource_fail(struct media_resource *r, GError *error);
/* Tells `started` if all is there for it. */
void media_resource_begin(struct media_resource *r);
void media_resource_job_done(struct media_resource *r);
/* As soon as it is built and no job works on it. */
void media_resource_take_down(struct media_resource *r);

/* --- media-resource-change.c ------------------------------------------------------------------ */
/* Asks the pipeline how long it is and whether it can be sought, then media_resource_begin().
 * Streaming threads. */
void media_resource_look(struct media_resource *r);
/* From now on a medium that falls silent is noticed. */
void media_resource_watch(struct media_resource *r);
/* To the beginning again; false: this one cannot. */
bool media_resource_repeat(struct media_resource *r);

/* --- media-resource-members.c ----------------------------------------------------------------- */
struct media_member;
/* In which member an object of the pipeline is; NULL: in none. Streaming threads. */
struct media_member *media_resource_member_of(GstObject *object);
const struct pipeline_text *media_member_text(const struct media_member *member);
/* It alone has failed. Takes the error. Streaming threads, while the object is there. */
void media_member_broke(struct media_member *member, GError *error);
/* Whether members have fallen silent. */
void media_resource_watch_members(struct media_resource *r);
/* Tells those that are being added. */
void media_resource_fail_members(struct media_resource *r, const GError *error);
void media_resource_close_members(struct media_resource *r);
/* When the pipeline is gone. */
void media_resource_free_members(struct media_resource *r);
