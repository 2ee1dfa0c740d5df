/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a leg that is being captured copies into its ring (relay.h has the reader's side). Legs
 * that are not pay one pointer test per packet. Threads: the worker, but for capture_new(). */
#include "wmcf/relay/packet-pool.h"
#include "wmcf/relay/relay.h"

struct media_line;
struct worker_leg;

/* With two references: the worker's, and that of who reads. Any thread. */
struct relay_capture *capture_new(const struct relay_capture_config *config);
/* The worker's reference goes; nothing more is written. */
void capture_let_go(struct relay_capture *capture);
/* The worker begins (takes the reference), or lets go (NULL); what there was has ended. */
void worker_leg_set_capture(struct worker_leg *leg, struct relay_capture *capture);

/* A packet of the endpoint's, authentic: its header as it came in clear, and the payload. */
void capture_received(const struct worker_leg *leg, const struct media_line *line,
                      const uint8_t *header, size_t header_length, const struct packet *packet);
/* One of ours, before it is encrypted. */
void capture_sent(const struct worker_leg *leg, const struct media_line *line,
                  const uint8_t *header, size_t header_length, const uint8_t *payload,
                  size_t length);
/* A compound of RTCP, in clear. */
void capture_rtcp(const struct worker_leg *leg, bool sent, const uint8_t *data, size_t length);
