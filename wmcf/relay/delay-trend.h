/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Whether a queue grows on the way to a receiver (draft-ietf-rmcat-gcc-02 5.2 to 5.4): packets sent
 * close together form a group, the delay that each group gains on the one before is summed up, and
 * the slope of that sum over time is compared with a threshold that adapts. Pure. Threads: any. */
#include <stdbool.h>
#include <stdint.h>

#define DELAY_TREND_WINDOW 20

enum delay_state { DELAY_NORMAL, DELAY_OVERUSE, DELAY_UNDERUSE };
const char *delay_state_name(enum delay_state state);

struct delay_group { /* times in µs, each of its own clock */
    bool begun;
    int64_t first_sent, last_sent, first_arrival, last_arrival;
};

struct delay_trend { /* delay_trend_reset() begins */
    struct delay_group current, previous;
    unsigned disorder;            /* groups in a row that arrived before the one sent before them */
    double accumulated, smoothed; /* ms */
    struct {
        double at, delay; /* ms */
    } window[DELAY_TREND_WINDOW];
    unsigned n, next; /* of the window */
    unsigned deltas;
    int64_t first_arrival;
    double slope, threshold;
    int64_t threshold_at; /* 0 = never */
    double over_for;      /* ms above the threshold; < 0 = not */
    unsigned over_count;
    enum delay_state state;
};

void delay_trend_reset(struct delay_trend *trend);
/* A packet that has arrived, in the order of sending. Times in µs. */
void delay_trend_packet(struct delay_trend *trend, int64_t sent, int64_t arrival);
/* What follows is not compared with what came before. */
void delay_trend_interrupt(struct delay_trend *trend);
