/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A network namespace for a test about interfaces and tc, and what a test does in one. Setting up
 * is left to ip and tc, so that our messages are judged by another program. */
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* The calling thread moves into a new, empty network namespace with loopback up. False, and the
 * test is skipped, where that is not allowed. */
bool ground_new(void);
/* Runs a shell command that must succeed. */
void ground_do(const char *format, ...) G_GNUC_PRINTF(1, 2);
/* The same; its standard output. */
char *ground_ask(const char *format, ...) G_GNUC_PRINTF(1, 2);
/* Runs `body` in a process of its own, in this namespace, and waits for its end: what a process
 * that is gone has left behind. */
void ground_in_child(void (*body)(void *data), void *data);
unsigned ground_index(const char *name);

/* A program of two instructions that returns `verdict` (TC_ACT_…). */
int ground_program(int verdict);
/* One that counts in *ret_count_fd, an array of one uint64_t, and passes on (TC_ACT_UNSPEC). */
int ground_counter(int *ret_count_fd);
uint64_t ground_count(int count_fd);
/* Puts a cls_bpf filter there by a message of the test's own. `parent`: as in struct tcmsg. */
void ground_raw_bpf(unsigned ifindex, uint32_t parent, unsigned priority, int program_fd,
                    const char *name);
/* How many lines of `tc filter show` at the hook have the word. */
guint ground_filters(const char *interface, const char *hook, const char *word);
