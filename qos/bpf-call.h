/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The bpf(2) system call, as much of it as we need. For the files of qos/ alone.
 *
 * Threads: any. */
#include <glib.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* File descriptors are closed on exec. -1 and *error (ENFORCEMENT_UNAVAILABLE, with the remedy)
 * when the kernel does not let us. An array is one that can be mapped. */
int bpf_map_new(enum bpf_map_type type, const char *name, uint32_t key, uint32_t value,
                uint32_t entries, GError **error);
/* The values of an array, in our memory; NULL and *error. munmap() frees them. */
void *bpf_map_view(int fd, size_t length, GError **error);

/* False: no room, or it is not there. */
bool bpf_map_put(int fd, const void *key, const void *value);
bool bpf_map_get(int fd, const void *key, void *ret_value);
bool bpf_map_remove(int fd, const void *key);

/* A program for tc. What the verifier has against it is in the error. */
int bpf_program_new(const char *name, const struct bpf_insn *instructions, uint32_t n,
                    GError **error);
