/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Which worker a leg goes to. Pure: loads are told, nothing is measured here. Threads: control. */
#include <glib.h>
#include <stdbool.h>

struct placement;
/* `spread`: legs of one group that share a worker before others are used. */
struct placement *placement_new(guint workers, guint spread);
void placement_free(struct placement *placement);

struct placement_group { /* legs of one context */
    guint64 id;
    guint home; /* where its first leg went */
    guint legs;
    guint legs_on[]; /* per worker */
};
/* No leg yet; its home is the least loaded worker. */
struct placement_group *placement_group_new(struct placement *placement, guint64 id);

/* Chooses a worker for the group's next leg and counts it. */
guint placement_add(struct placement *placement, struct placement_group *group);
/* True: it was the group's last. */
bool placement_remove(struct placement *placement, struct placement_group *group, guint worker);
/* The share of its core that the worker's thread was busy for lately, in thousandths. */
void placement_measured(struct placement *placement, guint worker, guint busy);
guint placement_busy(const struct placement *placement, guint worker);
guint placement_legs(const struct placement *placement, guint worker);
