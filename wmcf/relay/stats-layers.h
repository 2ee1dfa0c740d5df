/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Encodings and layers in a leg's snapshot. Threads: the worker. */
#include "wmcf/relay/leg.h"

void stats_layers(struct media_line *line, int64_t now, struct relay_media_stats *ret);
