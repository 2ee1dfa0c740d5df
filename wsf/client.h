/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Clients' connections: what the link library tells, passed on to methods and registrar. A server
 * that dials us is a client here; one that we dial gives its connection over (peer-link.c).
 * Threads: control. */
#include "wsf/wsf.h"

/* user = struct wsf */
extern const struct link_ops client_link_ops;
extern const struct link_protocol client_protocol;
/* The extensions that we support, for supportedExtension (A3). Transfer full. */
json_t *client_extensions(void);

/* For a connection that we have opened: link_data() is its struct client from opened to closed. */
struct client *client_opened(struct wsf *wsf, struct link *link);
void client_request(struct link *link, struct link_transaction *transaction);
/* Its registration is lost, ended or expired, as the code says. */
void client_closed(struct wsf *wsf, struct link *link, int code, const char *reason);
