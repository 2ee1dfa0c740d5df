/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The u32 filters of one WMCF at the two hooks of one interface: tables by port under a few roots
 * that tell media from the rest, IPv4 and IPv6. For the files of qos/ alone.
 *
 * Errors: ENFORCEMENT_UNAVAILABLE with the kernel's text. Threads: control. */
#include "qos/tc-action.h"

#include <sys/socket.h>

/* What a filter is for, by the first octet behind the UDP header (RFC 7983). */
enum u32_payload {
    U32_RTP,  /* 128–191, without RTCP (RFC 5761) */
    U32_SSRC, /* the same, of one SSRC */
    U32_DATA, /* 23: the first DTLS record is application data */
};
struct u32_match {
    enum tc_hook hook;
    bool has_remote;                       /* else every remote address */
    struct sockaddr_storage local, remote; /* of one family, IPv4 or IPv6 */
    enum u32_payload payload;
    uint32_t ssrc;
};
/* Sets the addresses: IPv4 in IPv6's clothes becomes IPv4. `remote` NULL = every. False when they
 * are no pair. Pure. */
bool u32_match_set(struct u32_match *match, const struct sockaddr *local,
                   const struct sockaddr *remote);
bool u32_match_equal(const struct u32_match *a, const struct u32_match *b);

/* Where a filter is: the same on each interface, so that one number is enough. Its owner keeps it
 * unique: `key` is that of the match, `node` 1–4095 within it. */
struct u32_place {
    uint16_t key, node;
};
uint16_t u32_place_key(const struct u32_match *match); /* below 2^12; pure */

/* The cookie on what is ours: the owner, with a '+' behind when a WMCF has made the clsact. Longer
 * ones are cut and told apart by a hash. Pure. */
void u32_cookie(const char *owner, bool clsact, struct tc_cookie *ret);

struct u32;
/* Roots and empty tables at both hooks; takes away what that owner has left there before.
 * `priority` or the next ones that nobody has. Transfer full. */
struct u32 *u32_attach(struct tc *tc, unsigned ifindex, const char *owner, unsigned priority,
                       GError **error);
/* Whether the tables are at both hooks still: others can take them away with their own tools. */
bool u32_is_there(struct u32 *u32);
void u32_free(struct u32 *u32); /* lets go of the memory; filters stay (u32_clean()) */
bool u32_add(struct u32 *u32, const struct u32_match *match, struct u32_place place,
             const struct tc_action *actions, guint count, GError **error);
void u32_remove(struct u32 *u32, const struct u32_match *match, struct u32_place place);
/* Takes the filters of that owner off the interface, and the clsact when it was made by a WMCF and
 * nothing is left on it. An interface without any is no error (tc-u32-clean.c). */
void u32_clean(struct tc *tc, unsigned ifindex, const char *owner);
