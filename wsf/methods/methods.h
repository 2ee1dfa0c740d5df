/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The methods that a client may request, one file each. Every handler consumes the transaction.
 * Threads: control. */
#include "base/log.h"
#include "wsf/wsf.h"

struct method {
    const char *name; /* static */
    void (*handle)(struct client *client, struct link_transaction *txn);
};

void handle_application(struct client *client, struct link_transaction *txn);
void handle_auth(struct client *client, struct link_transaction *txn);
void handle_getinfo(struct client *client, struct link_transaction *txn);
void handle_mdisc(struct client *client, struct link_transaction *txn);
void handle_msetup(struct client *client, struct link_transaction *txn);
void handle_mupdate(struct client *client, struct link_transaction *txn);

/* NULL-terminated names for the link library, alphabetised. */
extern const char *const method_names[];
/* The method of this name; the one for application methods for any other. */
const struct method *method_find(const char *name);

/* Extensions (A3) whose members a handler meets. */
#define TRICKLE_ICE "trickle-ice"
#define PRE_OFFER_AS_OFFER "pre-offer-as-offer"
#define DIRECT_MEDIA "direct-media"

/* --- for the handlers ----------------------------------------------------------------------------
 */

/* Answers with the problem, logs it once, frees the error. `media_session_id` (may be NULL) goes
 * into the response. */
void method_fail(struct client *client, struct link_transaction *txn, GError *error,
                 const char *media_session_id);
/* The client's live leg named by mediaSessionId. NULL: MEDIA_SESSION_NOT_FOUND, or for one that has
 * ended ANSWERED_ELSEWHERE or MEDIA_SESSION_GONE. */
struct leg *method_leg(struct client *client, const json_t *message, GError **error);
/* userData within its limit; *ret NULL when absent. Borrowed. */
bool method_user_data(struct client *client, const json_t *message, const json_t **ret,
                      GError **error);
