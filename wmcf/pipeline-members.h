/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Members of a pipeline's repeated input: each is an m-line of its local leg in both directions,
 * named as the member, from which its part of the pipeline reads and into which it gives. They have
 * places among the termination's medias, behind those of single inputs; a free place is a medium
 * without a name. Threads: control. */
#include "pipelines/media-resource.h"
#include "wmcf/termination.h"

struct pipeline_members;

struct pipeline_members_config {
    struct termination *termination;
    const struct pipeline_text *text; /* of the resource; borrowed */
    guint first, places;              /* of the termination's medias */
    /* The medias are others than before: tell the relay. */
    void (*changed)(void *user);
    void *user;
};
/* Puts the places among the termination's medias. Transfer full. */
struct pipeline_members *pipeline_members_new(const struct pipeline_members_config *config);
void pipeline_members_free(struct pipeline_members *members); /* NULL allowed */

/* What is asked for of one. */
struct pipeline_member_wish {
    char name[SDP_MAX_MID + 1]; /* "": the next number that is free */
    char from[65];              /* terminationId; "": nobody */
    char mid[SDP_MAX_MID + 1];
    bool leaves;
};
/* Whether all of it is possible: INVALID_MESSAGE, TERMINATION_NOT_FOUND with a member of /inputs,
 * RESOURCES_UNAVAILABLE when there are too many. Gives names to those that have none. Array of
 * struct pipeline_member_wish. */
bool pipeline_members_check(const struct pipeline_members *members, GArray *wishes, GError **error);
/* Once: all of it is done, or `error` tells why not, and who was to come has not. */
typedef void (*pipeline_members_fn)(void *user, const GError *error);
/* After the check, when the resource plays; not while those who came with the termination are
 * awaited, since it is released without the last of them. At once or later by `done`; who leaves
 * has left, who changes has another source, and who comes is there when his first packet is. */
void pipeline_members_change(struct pipeline_members *members, struct media_resource *resource,
                             const GArray *wishes, pipeline_members_fn done, void *user);
/* The termination goes: changes that are under way are told the error. */
void pipeline_members_close(struct pipeline_members *members, const GError *error);
/* The resource says that one has failed. */
void pipeline_members_failed(struct pipeline_members *members, guint place, const GError *error);

guint pipeline_members_places(const struct pipeline_members *members); /* NULL: 0 */
/* What the relay is told, into as many of `medias` as there are places. */
void pipeline_members_describe(const struct pipeline_members *members,
                               const struct media_resource *resource, struct relay_media *medias);
/* The repeated input when there is a member of this name, else NULL. Borrowed. */
const struct pipeline_input *pipeline_members_input(const struct pipeline_members *members,
                                                    const char *name);
/* Of the member in a place: whether it gives something, and the codec that it takes. */
bool pipeline_members_gives(const struct pipeline_members *members,
                            const struct media_resource *resource, guint place);
const char *pipeline_members_codec(const struct pipeline_members *members, guint place);
