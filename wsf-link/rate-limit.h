/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Token buckets: one per link, one per source address in a table of bounded size, one in total
 * (A1). Time in microseconds is a parameter. Threads: any, one at a time. */
#include <glib.h>
#include <stdbool.h>

struct rate_bucket {
    double tokens;
    gint64 updated; /* 0: full */
};

/* Takes one token if there is one. rate 0: not limited. */
bool rate_take(struct rate_bucket *bucket, guint rate, guint burst, gint64 now);
/* Takes tokens even when that makes a debt. True while there was none. */
bool rate_charge(struct rate_bucket *bucket, guint rate, guint burst, guint amount, gint64 now);
/* Milliseconds until a token is there, rounded up; 0 = now. */
guint rate_wait_ms(struct rate_bucket *bucket, guint rate, guint burst, gint64 now);

/* What one source address does. IPv6 addresses count by their /64, which is one subscriber. */
struct rate_address {
    struct rate_bucket connects, requests;
    guint connections; /* open now */
    gint64 used;
    char key[48];
};
struct rate_table;
struct rate_table *rate_table_new(guint max_entries);
void rate_table_free(struct rate_table *table);
/* The entry of a numeric address. When the table is full the longest unused entry without
 * connections goes; when there is none, all newcomers share one. Valid while it has connections or
 * until the next call. */
struct rate_address *rate_table_find(struct rate_table *table, const char *address, gint64 now);
guint rate_table_size(const struct rate_table *table);
