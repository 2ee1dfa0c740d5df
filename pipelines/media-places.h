/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What pipelines may read, files below one folder and URIs that begin as the operator has said, and
 * what they may write: new files below another one.
 * Threads: any. */
#include <glib.h>
#include <stdbool.h>

#define MEDIA_PLACE_MAX 1024 /* octets of a name or URI */

struct media_places {                 /* all borrowed */
    const char *folder;               /* NULL: no files */
    const char *const *beginnings;    /* of URIs: "https://cdn.example.org/live/"; NULL: none */
    const char *record_folder;        /* NULL: nothing is written */
    const char *const *tap_addresses; /* tap-addresses.h; NULL: nothing is sent */
};

/* `text`: the name of a file below the folder ("films/one.webm"), or a URI. Gives the URI that
 * GStreamer is to open. A file is opened here, so that what is checked is what is played: *ret_file
 * is its descriptor, for media_place_close(), else -1. Transfer full. NULL and
 * INVALID_MESSAGE (it is not allowed) or RESOURCE_NOT_FOUND, both with `pointer`. */
char *media_place_open(const struct media_places *places, const char *text, const char *pointer,
                       int *ret_file, GError **error);

/* `text`: the name of a file below the folder of recordings that is not there yet; folders on the
 * way to it are. Makes it, so that no two write one, and gives its descriptor, for
 * media_place_close(), and the path by which GStreamer opens it. Transfer full. NULL and
 * INVALID_MESSAGE (it is not allowed, or there is such a file) or WMCF_ERROR (it cannot be made),
 * both with `pointer`. */
char *media_place_create(const struct media_places *places, const char *text, const char *pointer,
                         int *ret_file, GError **error);

/* What was written is not worth keeping: a file that media_place_create() has given is empty. */
void media_place_discard(int file);
/* The pipeline is gone: closes what either has given; -1 is allowed. A file into which nothing was
 * written is removed, for nobody has begun to record it. */
void media_place_close(int file);

/* Whether a URI's beginning can stand in the configuration: INVALID_MESSAGE. */
bool media_place_check(const char *beginning, GError **error);
