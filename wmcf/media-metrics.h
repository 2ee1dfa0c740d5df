/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The packet path in /metrics. Threads: the control thread. */
struct relay;

/* Hands over what the workers have counted; for a metrics collector. */
void media_metrics_collect(const struct relay *relay);
