/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The service manager's notify protocol: one datagram, no library (sd_notify(3)).
 * Silent when NOTIFY_SOCKET is not set. Threads: control. */
#include <stdbool.h>

/* Sends e.g. "READY=1\nSTATUS=…". False when it could not be sent. */
bool sd_notify_send(const char *state);
/* Starts the watchdog pings (WATCHDOG_USEC/2) from the control loop, if the manager wants them. */
void sd_notify_watchdog_start(void);
