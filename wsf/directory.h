/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The directory (protocol A7): endpoints and resources found by the attributes that they publish.
 * Threads: control. */
#include "wsf/wsf.h"

/* What has every attribute of `match` (NULL: any) and may be called by the asker: an array of
 * {resourceId, kind, attributes}, at most [registration] directory_max of them; *ret_more tells
 * that there were more. Transfer full. */
json_t *directory_find(const struct wsf *wsf, const struct endpoint *asker, const json_t *match,
                       bool *ret_more);
