/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Clients' connections: what the link library tells, passed on to methods and registrar.
 * Threads: control. */
#include "wsf-link/link.h"

/* user = struct wsf */
extern const struct link_ops client_link_ops;
extern const struct link_protocol client_protocol;
