/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Direct media: a call whose clients reach each other without a media centre (protocol A6).
 * Threads: control. */
#include "wsf/call-media.h"
#include "wsf/routing.h"

extern const struct leg_media media_direct;

/* Whether this call may be a direct one: the row of the policy table allows it, the caller's msetup
 * and everybody who would ring support direct-media, pre-offer-as-offer and trickle-ice, and all
 * are clients of this WSF. Otherwise it is anchored. */
bool direct_is_possible(const struct wsf *wsf, const struct link_transaction *setup,
                        const struct endpoint *caller, const struct route *route, guint policy);
/* supportedExtension of an msetup to a called client: its answer may be followed by candidates.
 * Transfer full. */
json_t *direct_extensions(void);
