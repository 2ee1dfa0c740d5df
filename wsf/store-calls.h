/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What becomes of the calls that the store has brought back. Threads: control. */
#include "wsf/wsf.h"

/* Ends the calls that cannot go on and makes the others wait for their endpoints. Once, when the
 * pool exists and before any connection can come. */
void store_settle_calls(struct wsf *wsf);
