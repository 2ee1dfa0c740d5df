/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The policy table (protocol A7, 6.3.2.5 QoS control): who may call whom with which media, and what
 * the media centre is told about them: gates, policing, marking. One row per [policy "name"], the
 * first that fits decides. Rows without `media` decide about a call as a whole, and about every
 * kind of media that no earlier row names. No fitting row: permitted, gates ENABLED, nothing
 * policed. Threads: control. */
#include "base/conf.h"
#include "wsf/offer-template.h"
#include "wsf/registrar.h"

struct policy;

/* Who asks. */
struct policy_caller {
    const char *identity;    /* as the network knows it, not as it is shown */
    enum endpoint_kind kind; /* of the endpoint it came from */
};

/* Whose media a row is about: what that side sends and what is sent to it. */
enum policy_side { POLICY_BOTH, POLICY_CALLER, POLICY_CALLEE };

/* One side of a call, for what a media centre is told about its media. */
struct policy_leg {
    struct policy_caller from;
    const char *to;
    enum policy_side side;
};

/* Limits of a row; 0 = the general one of [call]. */
struct policy_limits {
    guint calls_per_caller, calls_per_callee;       /* at a time */
    guint attempts_per_caller, attempts_per_callee; /* per second */
};

/* NULL and INVALID_MESSAGE when a row names a class that there is not, or contradicts itself; with
 * section and key. Keeps nothing of the configuration. Transfer full. */
struct policy *policy_new(const struct conf *conf, GError **error);
void policy_free(struct policy *policy);
/* *ret_row: of the call as a whole. NOT_AUTHORIZED when it forbids the call. */
bool policy_permit(const struct policy *policy, const struct policy_caller *from, const char *to,
                   guint *ret_row, GError **error);
/* The row for one kind of media of such a call. */
guint policy_media_row(const struct policy *policy, const struct policy_caller *from,
                       const char *to, enum media_kind kind);
/* Takes out what is not permitted and what is beyond media_max. NOT_AUTHORIZED when nothing is left
 * of what was there. */
bool policy_limit_media(const struct policy *policy, const struct policy_caller *from,
                        const char *to, struct offer_template *wanted, GError **error);
/* mediaPolicy of protocol B for the media of one leg, once its gates shall open. Transfer full. */
json_t *policy_media_json(const struct policy *policy, const struct policy_leg *leg,
                          const struct offer_template *medias);
/* Whether a call goes on without the policing and marking of these media when no media centre can
 * hold them. */
bool policy_media_best_effort(const struct policy *policy, const struct policy_leg *leg,
                              const struct offer_template *medias);

/* `pipeline` of mediaPath "pipeline" for one leg; NULL when what it sends goes straight. Transfer
 * full. */
json_t *policy_media_path(const struct policy *policy, const struct policy_leg *leg);
/* Whether either side of such a call has one. */
bool policy_has_media_path(const struct policy *policy, const struct policy_caller *from,
                           const char *to);

/* --- parties of other tables --------------------------------------------------------------------
 */

/* A list of callers as in `from` of a row. */
struct policy_party;
/* Of a key of a section; NULL and INVALID_MESSAGE as policy_new(). Transfer full. */
struct policy_party *policy_party_new(const struct conf *conf, const char *section, const char *key,
                                      GError **error);
void policy_party_free(struct policy_party *party);
bool policy_party_fits(const struct policy_party *party, const struct policy_caller *caller);

/* --- what a row says ---------------------------------------------------------------------------
 */

/* flowStatus of protocol B. Static. */
const char *policy_flow_status(const struct policy *policy, guint row);
/* Whether media of the call may pass from client to client without a media centre. */
bool policy_direct_media(const struct policy *policy, guint row);
/* The [recording "name"] by which such a call is recorded, or NULL. Borrowed. */
const char *policy_record(const struct policy *policy, guint row);
/* Whether application methods are relayed outside of a media session. */
bool policy_application(const struct policy *policy, guint row);
const struct policy_limits *policy_limits(const struct policy *policy, guint row);
/* The section of a row, policy "name" as in the file, "" for the default, which comes last: a row
 * has another number when the configuration was changed. Borrowed. */
const char *policy_row_name(const struct policy *policy, guint row);
/* The row of this name (NULL allowed); the default when there is none. */
guint policy_row_by_name(const struct policy *policy, const char *name);
