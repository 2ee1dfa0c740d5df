/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The envelope of A2: from octets to a checked message, and from members to octets. Pure.
 * Threads: any. */
#include <glib.h>
#include <jansson.h>
#include <stdbool.h>

#define ENVELOPE_DEPTH_MAX 64     /* levels of arrays and objects */
#define ENVELOPE_VALUES_MAX 32768 /* a tree costs some hundred octets a value */
#define ENVELOPE_METHOD_MAX 256   /* octets of a method's name */

enum envelope_verdict {
    ENVELOPE_REQUEST,
    ENVELOPE_RESPONSE,
    ENVELOPE_INVALID,  /* a request that only earns a problem; id is set, method perhaps */
    ENVELOPE_UNUSABLE, /* no JSON object or no usable transactionId: close 4400 */
};

struct envelope {
    json_t *message; /* owned; NULL when unusable */
    guint64 id;
    const char *method; /* borrowed from message, may be NULL when invalid */
    bool success;       /* of a response */
};

/* *error is set for INVALID and UNUSABLE. */
enum envelope_verdict envelope_parse(const char *text, size_t length, struct envelope *ret,
                                     GError **error);
void envelope_clear(struct envelope *envelope);

/* A first look at the octets, before any tree is built: the limit of depth, and where the value of
 * the top-level member "transactionId" stands (length 0: not found). False: too deep, too many
 * values, or unbalanced.
 */
bool envelope_scan(const char *text, size_t length, size_t *ret_id_at, size_t *ret_id_length);
/* A JSON integer of 0..2^64-1 written in the canonical way. */
bool envelope_id_parse(const char *digits, size_t length, guint64 *ret);

/* Members of the envelope that stand in `members` too are ignored there. Neither consumes `members`
 * (may be NULL). NULL when a member cannot be written as JSON. Transfer full. */
GBytes *envelope_request(guint64 id, const char *method, const json_t *members);
GBytes *envelope_response(guint64 id, const char *method, bool success, const json_t *members);

/* problemDetails and retryAfter (A4) of an error, put into `members`. */
void envelope_put_problem(json_t *members, const GError *error);
/* The problem told by a failed response. */
GError *envelope_take_problem(const json_t *message);
